//! Builders of states and commands, and the check that all tables go through.

use replicas::{
    Alive, AlterSyncStateSet, ApplyBrokerId, BrokerId, CleanBrokerData, Command, ElectMaster,
    Evidence, MasterEpoch, Outcome, Policy, RecordedMaster, RegisterBroker, Rejection, Replicas,
    SetEpoch,
};

pub(crate) const CLUSTER: &str = "cluster-a";
pub(crate) const SET: &str = "broker-set-a";

/// Applies a command in every way there is and requires them to agree:
/// decided and applied alike, decoded from its bytes alike, and a rejection changes nothing.
#[track_caller]
pub(crate) fn check(state: &mut Replicas, command: &Command, expected: Result<Outcome, Rejection>) {
    let before = state.clone();
    let decided = state.decide(command);
    assert_eq!(decided.clone().map(|decision| decision.outcome), expected, "{command:?}");
    let within_limits = command.check_limits().is_ok();
    if within_limits {
        assert_eq!(Command::decode(&command.encode()).as_ref(), Ok(command));
    }
    let result = state.apply(command);
    assert_eq!(result, expected, "{command:?}");
    let changed = *state != before;
    assert_eq!(decided.is_ok_and(|decision| decision.changes_state()), changed, "{command:?}");
    assert_eq!(state.state_hash() != before.state_hash(), changed, "{command:?}");
    let restored = Replicas::restore(&state.snapshot()).unwrap();
    assert_eq!(restored, *state);
    assert_eq!(restored.state_hash(), state.state_hash());
}

/// Checks that a command is refused.
#[track_caller]
pub(crate) fn refused(state: &Replicas, command: &Command, rejection: Rejection) {
    check(&mut state.clone(), command, Err(rejection));
}

/// A fault that can be put into a good command.
pub(crate) struct Fault<C> {
    pub(crate) name: &'static str,
    pub(crate) spoil: fn(&mut C),
    pub(crate) rejection: Rejection,
}

/// Checks each fault alone and each pair of faults: of two, the earlier in the list answers.
/// `exclusive` names pairs that cannot be there at once.
#[track_caller]
pub(crate) fn check_order<C: Clone>(
    state: &Replicas,
    good: &C,
    faults: &[Fault<C>],
    exclusive: &[(&str, &str)],
    wrap: fn(C) -> Command,
) {
    let accepted = state.decide(&wrap(good.clone()));
    assert!(accepted.is_ok(), "the good command is refused: {accepted:?}");
    for (index, first) in faults.iter().enumerate() {
        for second in faults.iter().skip(index) {
            if exclusive.contains(&(first.name, second.name)) {
                continue;
            }
            let mut command = good.clone();
            // The later first: what both spoil is then as the earlier left it.
            (second.spoil)(&mut command);
            (first.spoil)(&mut command);
            let result = state.decide(&wrap(command));
            let expected = first.rejection.clone();
            assert_eq!(result, Err(expected), "{} and {}", first.name, second.name);
        }
    }
}

pub(crate) fn id(number: i64) -> BrokerId {
    BrokerId(number)
}

pub(crate) fn ids(numbers: &[i64]) -> Vec<BrokerId> {
    numbers.iter().copied().map(BrokerId).collect()
}

pub(crate) fn address(number: i64) -> Box<str> {
    format!("127.0.0.1:{}", 8999_i64.saturating_add(number)).into()
}

pub(crate) fn check_code(number: i64) -> Box<str> {
    format!("{};1700000000000", address(number)).into()
}

/// These brokers are alive, all alike.
pub(crate) fn alive(numbers: &[i64]) -> Evidence {
    heard(&numbers.iter().map(|number| (*number, 1, 0, i32::MAX)).collect::<Vec<_>>())
}

/// These brokers are alive: id, epoch, offset, priority.
pub(crate) fn heard(brokers: &[(i64, i32, i64, i32)]) -> Evidence {
    let one = |&(number, epoch, max_offset, priority): &(i64, i32, i64, i32)| Alive {
        id: id(number),
        epoch,
        max_offset,
        priority,
    };
    Evidence::new(brokers.iter().map(one).collect())
}

pub(crate) fn apply_id(set: &str, number: i64) -> Command {
    Command::ApplyBrokerId(ApplyBrokerId {
        cluster: Some(CLUSTER.into()),
        set: set.into(),
        id: Some(id(number)),
        check_code: Some(check_code(number)),
    })
}

pub(crate) fn register(number: i64, evidence: Evidence) -> Command {
    Command::RegisterBroker(RegisterBroker {
        set: SET.into(),
        id: Some(id(number)),
        address: Some(address(number)),
        evidence,
    })
}

/// A broker asks for itself.
pub(crate) fn elect_by(number: i64, evidence: Evidence) -> Command {
    elect(Some(number), false, evidence)
}

/// An operator names a broker.
pub(crate) fn designate(number: i64, evidence: Evidence) -> Command {
    elect(Some(number), true, evidence)
}

/// The controller asks.
pub(crate) fn elect_anyone(evidence: Evidence) -> Command {
    elect(None, false, evidence)
}

fn elect(broker: Option<i64>, designate: bool, evidence: Evidence) -> Command {
    let broker = broker.map(id);
    Command::ElectMaster(ElectMaster {
        set: SET.into(),
        broker,
        designate,
        unclean: false,
        evidence,
        seen: None,
        policy: Policy::default(),
    })
}

/// The same election, but a broker outside the sync-state set may win.
pub(crate) fn unclean(command: Command) -> Command {
    let Command::ElectMaster(command) = command else { panic!("no election: {command:?}") };
    Command::ElectMaster(ElectMaster { unclean: true, ..command })
}

/// The recorded master asks for a set, with its view of the epochs.
pub(crate) fn alter(
    master: i64,
    (master_epoch, set_epoch): (i32, i32),
    new_set: &[i64],
    evidence: Evidence,
) -> Command {
    Command::AlterSyncStateSet(AlterSyncStateSet {
        set: SET.into(),
        master: Some(id(master)),
        master_epoch: Some(MasterEpoch(master_epoch)),
        new_set: Some(ids(new_set)),
        set_epoch: SetEpoch(set_epoch),
        evidence,
    })
}

pub(crate) fn clean(set: &str, list: Option<&str>, evidence: Evidence) -> Command {
    let ids = list.map(Into::into);
    Command::CleanBrokerData(CleanBrokerData {
        set: set.into(),
        ids,
        clean_living: false,
        evidence,
    })
}

/// The same clean, but living brokers may go.
pub(crate) fn living(command: Command) -> Command {
    let Command::CleanBrokerData(command) = command else { panic!("no clean: {command:?}") };
    Command::CleanBrokerData(CleanBrokerData { clean_living: true, ..command })
}

pub(crate) fn master(number: i64, epochs: (i32, i32), set: &[i64]) -> RecordedMaster {
    RecordedMaster {
        id: id(number),
        address: address(number),
        master_epoch: MasterEpoch(epochs.0),
        set_epoch: SetEpoch(epochs.1),
        sync_state_set: ids(set),
    }
}

pub(crate) fn still_exists(number: i64, epochs: (i32, i32), set: &[i64]) -> Rejection {
    Rejection::MasterStillExists { set: SET.into(), master: master(number, epochs, set) }
}

/// Applies what must be accepted.
#[track_caller]
pub(crate) fn accept(state: &mut Replicas, command: &Command) -> Outcome {
    let outcome = state.decide(command).unwrap().outcome;
    check(state, command, Ok(outcome.clone()));
    outcome
}

/// Brokers 1 to `count` have their ids and are registered; nobody was ever elected.
pub(crate) fn registered(count: i64) -> Replicas {
    let mut state = Replicas::new();
    for number in 1..=count {
        assert_eq!(state.next_broker_id(SET), id(number));
        accept(&mut state, &apply_id(SET, number));
        accept(&mut state, &register(number, alive(&[1, 2, 3])));
    }
    state
}

/// The fixture of upstream's tests: three brokers, master 1, all in sync, epochs 1 and 2.
pub(crate) fn three_in_sync() -> Replicas {
    let mut state = registered(3);
    let all = || alive(&[1, 2, 3]);
    accept(&mut state, &elect_by(1, all()));
    accept(&mut state, &alter(1, (1, 1), &[1, 2, 3], all()));
    state
}

/// The broker set in one line.
pub(crate) fn describe(state: &Replicas) -> String {
    if let Some(tombstone) = state.tombstone(SET) {
        let (master_epoch, set_epoch) = (tombstone.master_epoch(), tombstone.set_epoch());
        return format!("cleaned, epochs {master_epoch}/{set_epoch}, next {}", tombstone.next_id());
    }
    let Some(set) = state.broker_set(SET) else {
        return "unknown".into();
    };
    let master = set.master().map_or("none".into(), |master| master.to_string());
    let all: Vec<i64> = set.replicas().iter().map(|replica| replica.id.0).collect();
    let in_sync: Vec<i64> = set.sync_state_set().iter().map(|id| id.0).collect();
    let (master_epoch, set_epoch, next) = (set.master_epoch(), set.set_epoch(), set.next_id());
    let elected = if set.was_elected() { "" } else { ", never elected" };
    format!(
        "master {master}, epochs {master_epoch}/{set_epoch}, {in_sync:?} of {all:?}, next {next}{elected}"
    )
}

/// The state with other epochs, by way of its snapshot: where they stand is in `snapshot.rs`.
pub(crate) fn with_epochs(state: &Replicas, master_epoch: i32, set_epoch: i32) -> Replicas {
    let mut bytes = state.snapshot();
    let offset = 12 + 4 + SET.len() + 1;
    bytes[offset..offset + 4].copy_from_slice(&master_epoch.to_le_bytes());
    bytes[offset + 4..offset + 8].copy_from_slice(&set_epoch.to_le_bytes());
    Replicas::restore(&bytes).unwrap()
}
