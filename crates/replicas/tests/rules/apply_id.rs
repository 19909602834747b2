//! 1013 and 1012: who gets which id.

use replicas::{ApplyBrokerId, BrokerId, Command, Outcome, Rejection, Replicas};

use crate::fixture::{
    CLUSTER, Fault, SET, accept, address, alive, apply_id, check, check_code, check_order, clean,
    describe, id, living, refused, registered, three_in_sync,
};

fn request(number: Option<i64>, code: Option<&str>) -> Command {
    Command::ApplyBrokerId(ApplyBrokerId {
        cluster: Some(CLUSTER.into()),
        set: SET.into(),
        id: number.map(id),
        check_code: code.map(Into::into),
    })
}

fn id_refused(number: i64) -> Rejection {
    Rejection::BrokerIdRefused { set: SET.into(), id: id(number) }
}

fn applied(number: i64) -> Result<Outcome, Rejection> {
    Ok(Outcome::BrokerIdApplied { cluster: Some(CLUSTER.into()), id: id(number) })
}

#[test]
fn each_fault_and_each_pair_of_faults_is_refused_in_upstreams_order() {
    let good = ApplyBrokerId {
        cluster: None,
        set: "other".into(),
        id: Some(BrokerId::FIRST),
        check_code: Some("a;1".into()),
    };
    let missing = |field| Rejection::MissingField { field };
    let faults = [
        Fault::<ApplyBrokerId> {
            name: "no check code",
            spoil: |command| command.check_code = None,
            rejection: missing("registerCheckCode"),
        },
        Fault {
            name: "no id",
            spoil: |command| command.id = None,
            rejection: missing("appliedBrokerId"),
        },
        Fault {
            name: "not the first id",
            spoil: |command| {
                let _: &mut BrokerId = command.id.get_or_insert(id(2));
                command.id = command.id.map(|_| id(2));
            },
            rejection: Rejection::ApplySetUnknown { set: "other".into(), id: id(2) },
        },
    ];
    let exclusive = [("no id", "not the first id")];
    check_order(&Replicas::new(), &good, &faults, &exclusive, Command::ApplyBrokerId);
    let good = ApplyBrokerId { set: SET.into(), id: Some(id(3)), ..good };
    let taken = Fault::<ApplyBrokerId> {
        name: "taken",
        spoil: |command| command.id = command.id.map(|_| id(2)),
        rejection: id_refused(2),
    };
    let [no_code, no_id, _] = faults;
    let faults = [no_code, no_id, taken];
    check_order(&registered(2), &good, &faults, &[("no id", "taken")], Command::ApplyBrokerId);
}

#[test]
fn ids_of_an_unknown_broker_set() {
    let unknown = |number| Rejection::ApplySetUnknown { set: SET.into(), id: id(number) };
    for number in [i64::MIN, -1, 0, 2, i64::MAX] {
        refused(&Replicas::new(), &apply_id(SET, number), unknown(number));
    }
    let mut state = Replicas::new();
    check(&mut state, &apply_id(SET, 1), applied(1));
    assert_eq!(describe(&state), "master none, epochs 0/0, [] of [1], next 2, never elected");
    let set = state.broker_set(SET).unwrap();
    assert_eq!(set.cluster(), Some(CLUSTER));
    assert_eq!(set.replicas()[0].address, address(1));
    assert_eq!(set.replicas()[0].check_code, check_code(1));
}

#[test]
fn ids_of_a_known_broker_set() {
    let mut state = registered(2);
    let ask = |number, code: Box<str>| request(Some(number), Some(&code));
    for number in [i64::MIN, -1, 0, 1, 2, i64::MAX] {
        refused(&state, &ask(number, check_code(7)), id_refused(number));
    }
    // A repeat is accepted and changes nothing (`check` compares).
    check(&mut state.clone(), &ask(1, check_code(1)), applied(1));
    assert!(!state.decide(&ask(1, check_code(1))).unwrap().changes_state());
    check(&mut state, &ask(3, check_code(3)), applied(3));
}

#[test]
fn the_next_id_is_above_all_ids_ever_given() {
    // Upstream counts applications instead, and then hands out a taken id for ever (S8, U12).
    let mut state = registered(1);
    accept(&mut state, &apply_id(SET, 5));
    assert_eq!(state.next_broker_id(SET), id(6));
    refused(&state, &apply_id(SET, 3), id_refused(3));
    accept(&mut state, &apply_id(SET, 6));
    accept(&mut state, &clean(SET, Some("6"), alive(&[])));
    assert_eq!(state.next_broker_id(SET), id(7));
    refused(&state, &apply_id(SET, 6), id_refused(6));
    let last = BrokerId::MAX.0;
    accept(&mut state, &apply_id(SET, last));
    assert_eq!(state.next_broker_id(SET), id(i64::MAX));
    refused(&state, &apply_id(SET, i64::MAX), id_refused(i64::MAX));
    assert_eq!(state.next_broker_id("other"), BrokerId::FIRST);
}

#[test]
fn a_cleaned_broker_set_gives_the_next_id_as_if_it_were_known() {
    let mut state = three_in_sync();
    accept(&mut state, &living(clean(SET, None, alive(&[1, 2, 3]))));
    assert_eq!(describe(&state), "cleaned, epochs 2/3, next 4");
    assert_eq!(state.next_broker_id(SET), id(4));
    for number in [-1, 0, 1, 2, 3] {
        refused(&state, &apply_id(SET, number), id_refused(number));
    }
    let mut gap = state.clone();
    check(&mut gap, &apply_id(SET, 6), applied(6));
    assert_eq!(describe(&gap), "master none, epochs 2/3, [] of [6], next 7, never elected");
    check(&mut state, &apply_id(SET, 4), applied(4));
    assert_eq!(describe(&state), "master none, epochs 2/3, [] of [4], next 5, never elected");
}

#[test]
fn the_address_is_what_stands_before_the_first_separator() {
    let cases = [
        ("a:1;5", Some("a:1")),
        ("a:1", Some("a:1")),
        ("a:1;5;6", Some("a:1")),
        (";5", Some("")),
        ("", Some("")),
        (";", None),
        (";;", None),
    ];
    for (code, expected) in cases {
        let mut state = Replicas::new();
        let command = request(Some(1), Some(code));
        match expected {
            Some(expected) => {
                check(&mut state, &command, applied(1));
                let set = state.broker_set(SET).unwrap();
                assert_eq!(&*set.replicas()[0].address, expected, "{code:?}");
            }
            None => {
                refused(&state, &command, Rejection::MissingField { field: "registerCheckCode" });
            }
        }
    }
}

#[test]
fn one_name_in_two_clusters_is_one_broker_set() {
    // S10, kept as upstream has it: the first cluster name stays.
    let mut state = registered(1);
    let command = Command::ApplyBrokerId(ApplyBrokerId {
        cluster: Some("cluster-b".into()),
        set: SET.into(),
        id: Some(id(2)),
        check_code: Some("x;1".into()),
    });
    let outcome = Outcome::BrokerIdApplied { cluster: Some("cluster-b".into()), id: id(2) };
    check(&mut state, &command, Ok(outcome));
    assert_eq!(state.broker_set(SET).unwrap().cluster(), Some(CLUSTER));
}

#[test]
fn two_applications_for_one_id_have_one_winner() {
    // K2: decided when applied, the second of two racing brokers is refused.
    let mut state = registered(1);
    check(&mut state, &request(Some(2), Some("first;1")), applied(2));
    check(&mut state, &request(Some(2), Some("second;1")), Err(id_refused(2)));
    assert_eq!(&*state.broker_set(SET).unwrap().replicas()[1].address, "first");
}
