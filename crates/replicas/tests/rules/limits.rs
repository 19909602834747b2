//! Limits: what is too long or too many is refused before anything else, and at the limit it is not.

use replicas::{
    Alive, AlterSyncStateSet, ApplyBrokerId, BrokerId, CleanBrokerData, Command, ElectMaster,
    Evidence, Policy, RegisterBroker, Rejection, Replicas, SetEpoch, limits,
};

use crate::fixture::{SET, accept, alive, apply_id, check, clean, id, refused, registered};

fn text(bytes: usize) -> Box<str> {
    "x".repeat(bytes).into()
}

fn sightings(count: usize) -> Evidence {
    let count = i64::try_from(count).unwrap();
    let one = |number| Alive { id: id(number), epoch: 0, max_offset: 0, priority: 0 };
    Evidence::new((0..count).map(one).collect())
}

fn apply(set: Box<str>, cluster: Box<str>, check_code: Box<str>) -> Command {
    let (cluster, check_code) = (Some(cluster), Some(check_code));
    Command::ApplyBrokerId(ApplyBrokerId { cluster, set, id: Some(BrokerId::FIRST), check_code })
}

fn register(address: Box<str>) -> Command {
    Command::RegisterBroker(RegisterBroker {
        set: SET.into(),
        id: Some(BrokerId::FIRST),
        address: Some(address),
        evidence: alive(&[]),
    })
}

fn elect(evidence: Evidence) -> Command {
    let (set, broker) = (SET.into(), Some(BrokerId::FIRST));
    let policy = Policy::default();
    let (designate, unclean, seen) = (false, false, None);
    Command::ElectMaster(ElectMaster { set, broker, designate, unclean, evidence, seen, policy })
}

fn alter(count: usize) -> Command {
    let count = i64::try_from(count).unwrap();
    Command::AlterSyncStateSet(AlterSyncStateSet {
        set: SET.into(),
        master: Some(BrokerId::FIRST),
        master_epoch: None,
        new_set: Some((1..=count).map(BrokerId).collect()),
        set_epoch: SetEpoch(0),
        evidence: alive(&[]),
    })
}

fn clean_list(list: Box<str>) -> Command {
    let (set, ids) = (SET.into(), Some(list));
    Command::CleanBrokerData(CleanBrokerData { set, ids, clean_living: true, evidence: alive(&[]) })
}

/// At the limit a command is no longer refused for it, one more and it is, and cannot be decoded.
#[track_caller]
fn limit(
    field: &'static str,
    limit: &'static str,
    maximum: usize,
    command: impl Fn(usize) -> Command,
) {
    let state = registered(1);
    let at = command(maximum);
    assert_eq!(at.check_limits(), Ok(()), "{field}");
    assert_eq!(Command::decode(&at.encode()), Ok(at), "{field}");
    let over = command(maximum + 1);
    assert!(Command::decode(&over.encode()).is_err(), "{field}");
    refused(&state, &over, Rejection::LimitExceeded { field, limit, maximum });
}

#[test]
fn each_limit_holds_and_one_more_is_refused() {
    let (a, code) = (|| text(1), || Box::from("a;1"));
    let name_max = limits::NAME_BYTES_MAX;
    limit("brokerName", "NAME_BYTES_MAX", name_max, |size| apply(text(size), a(), code()));
    limit("brokerName", "NAME_BYTES_MAX", name_max, |size| clean(&text(size), None, alive(&[])));
    let cluster_max = limits::CLUSTER_BYTES_MAX;
    limit("clusterName", "CLUSTER_BYTES_MAX", cluster_max, |size| apply(a(), text(size), code()));
    let code_max = limits::CHECK_CODE_BYTES_MAX;
    limit("registerCheckCode", "CHECK_CODE_BYTES_MAX", code_max, |size| {
        apply(a(), a(), text(size))
    });
    let address_max = limits::ADDRESS_BYTES_MAX;
    limit("brokerAddress", "ADDRESS_BYTES_MAX", address_max, |size| register(text(size)));
    let evidence_max = limits::EVIDENCE_COUNT_MAX;
    limit("evidence", "EVIDENCE_COUNT_MAX", evidence_max, |count| elect(sightings(count)));
    let set_max = limits::SYNC_STATE_SET_COUNT_MAX;
    limit("syncStateSet", "SYNC_STATE_SET_COUNT_MAX", set_max, alter);
    let list_max = limits::ID_LIST_BYTES_MAX;
    limit("brokerControllerIdsToClean", "ID_LIST_BYTES_MAX", list_max, |size| {
        clean_list(text(size))
    });
}

#[test]
fn a_full_broker_set_takes_nobody_more_until_somebody_is_cleaned() {
    let maximum = limits::REPLICAS_COUNT_MAX;
    let mut state = Replicas::new();
    let last = i64::try_from(maximum).unwrap();
    (1..=last).for_each(|number| drop(state.apply(&apply_id(SET, number)).unwrap()));
    let (field, limit) = ("replicas", "REPLICAS_COUNT_MAX");
    refused(&state, &apply_id(SET, last + 1), Rejection::LimitExceeded { field, limit, maximum });
    // A repeat and a refusal come before the limit.
    accept(&mut state.clone(), &apply_id(SET, last));
    let taken = Rejection::BrokerIdRefused { set: SET.into(), id: id(0) };
    refused(&state, &apply_id(SET, 0), taken);
    accept(&mut state, &clean(SET, Some("7"), alive(&[])));
    accept(&mut state, &apply_id(SET, last + 1));
}

#[test]
fn names_that_are_stored_hold_no_control_characters() {
    let state = Replicas::new();
    for bad in ["a\nb", "\u{0}", "a\u{7f}", "a\u{85}b"] {
        let set = apply(bad.into(), text(1), "a;1".into());
        refused(&state, &set, Rejection::ControlCharacter { field: "brokerName" });
        let cluster = apply(text(1), bad.into(), "a;1".into());
        refused(&state, &cluster, Rejection::ControlCharacter { field: "clusterName" });
    }
    for good in ["", ";", "a@b", "../x", "ümläut-中文", "a'b\"c\\d", "with space"] {
        let command = apply(good.into(), good.into(), "a;1".into());
        let cluster = Some(good.into());
        let outcome = replicas::Outcome::BrokerIdApplied { cluster, id: BrokerId::FIRST };
        check(&mut Replicas::new(), &command, Ok(outcome));
    }
}
