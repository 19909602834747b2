//! 1003: a broker comes (again).

use replicas::{Command, Outcome, RegisterBroker, Rejection, Replicas, SetEpoch};

use crate::fixture::{
    Fault, SET, accept, address, alive, apply_id, check, check_order, clean, elect_anyone, id, ids,
    living, master, refused, register, three_in_sync,
};

fn at(number: i64, address: &str) -> Command {
    Command::RegisterBroker(RegisterBroker {
        set: SET.into(),
        id: Some(id(number)),
        address: Some(address.into()),
        evidence: alive(&[1, 2, 3]),
    })
}

#[test]
fn each_fault_and_each_pair_of_faults_is_refused_in_upstreams_order() {
    let good = RegisterBroker {
        set: SET.into(),
        id: Some(id(1)),
        address: Some(address(1)),
        evidence: alive(&[1]),
    };
    let faults = [
        Fault::<RegisterBroker> {
            name: "set unknown",
            spoil: |command| command.set = "other".into(),
            rejection: Rejection::RegisterSetUnknown { set: "other".into() },
        },
        Fault {
            name: "no id",
            spoil: |command| command.id = None,
            rejection: Rejection::MissingField { field: "brokerId" },
        },
        Fault {
            name: "id unknown",
            spoil: |command| command.id = Some(id(9)),
            rejection: Rejection::RegisterIdUnknown { set: SET.into(), id: id(9) },
        },
        Fault {
            name: "no address",
            spoil: |command| command.address = None,
            rejection: Rejection::MissingField { field: "brokerAddress" },
        },
        Fault {
            name: "empty address",
            spoil: |command| command.address = Some("".into()),
            rejection: Rejection::MissingField { field: "brokerAddress" },
        },
    ];
    check_order(&three_in_sync(), &good, &faults, &[], Command::RegisterBroker);
}

#[test]
fn the_master_is_told_only_if_it_is_alive() {
    let mut state = three_in_sync();
    let told = |master| {
        Ok(Outcome::BrokerRegistered {
            master,
            sync_state_set: ids(&[1, 2, 3]),
            set_epoch: SetEpoch(2),
            address_changed: false,
        })
    };
    let recorded = master(1, (1, 2), &[1, 2, 3]);
    check(&mut state, &register(2, alive(&[1])), told(Some(recorded)));
    check(&mut state, &register(2, alive(&[2, 3])), told(None));
    // Registering is no heartbeat: the master itself hears of none (#5631).
    check(&mut state, &register(1, alive(&[])), told(None));
    accept(&mut state, &elect_anyone(alive(&[])));
    check(&mut state, &register(1, alive(&[1])), told(None));
}

#[test]
fn a_new_address_is_stored_and_the_check_code_stays() {
    let mut state = three_in_sync();
    let outcome = accept(&mut state, &at(1, "10.0.0.1:1"));
    let Outcome::BrokerRegistered { master: Some(told), address_changed: true, .. } = outcome
    else {
        panic!("{outcome:?}");
    };
    // Upstream looks up the master before it stores the address.
    assert_eq!(told.address, address(1));
    let replica = state.broker_set(SET).unwrap().replica(id(1)).unwrap();
    assert_eq!(&*replica.address, "10.0.0.1:1");
    assert_eq!(state.broker_set(SET).unwrap().master_address(), Some("10.0.0.1:1"));
    // The id's owner is still known by its check code.
    check(
        &mut state,
        &apply_id(SET, 1),
        Ok(Outcome::BrokerIdApplied { cluster: Some("cluster-a".into()), id: id(1) }),
    );
}

#[test]
fn who_was_cleaned_is_unknown() {
    // U11: an address of a broker that a clean removed just before.
    let mut state = three_in_sync();
    accept(&mut state, &living(clean(SET, Some("2"), alive(&[1, 2, 3]))));
    let unknown = Rejection::RegisterIdUnknown { set: SET.into(), id: id(2) };
    refused(&state, &at(2, "10.0.0.2:1"), unknown);
    accept(&mut state, &living(clean(SET, None, alive(&[]))));
    let unknown = Rejection::RegisterSetUnknown { set: SET.into() };
    refused(&state, &at(1, "10.0.0.1:1"), unknown.clone());
    refused(&Replicas::new(), &at(1, "10.0.0.1:1"), unknown);
}
