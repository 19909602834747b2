//! Random commands against the invariants of RELIABILITY.md 2.4, and codecs on any bytes.
//!
//! | Invariant | Where |
//! |---|---|
//! | C1 one master per (broker set, master epoch) | [`History::masters`] |
//! | C2 master epoch | [`check_master_epoch`] |
//! | C3 one set per set epoch, + 1 per change | [`History::sets`], [`check_set_epoch`] |
//! | C6 master in set, set within registered | [`check_membership`] |
//! | C7 ids unique for ever, next id above them | [`History::owners`] |
//! | C9 epochs of a re-created set above the old ones | [`check_master_epoch`], [`check_set_epoch`] |
//! | C11, C12 equal commands, equal bytes; snapshot and go on | [`run`] |
//! | C13 a refused command changes nothing | [`run`] |

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use replicas::{
    Alive, AlterSyncStateSet, ApplyBrokerId, BrokerId, CleanBrokerData, Command, ElectMaster,
    Evidence, MasterEpoch, Outcome, Policy, RegisterBroker, Replicas, SetEpoch,
};

use crate::fixture::{SET, three_in_sync, with_epochs};

const NAMES: [&str; 2] = [SET, "b"];

fn name() -> impl Strategy<Value = Box<str>> {
    prop::sample::select(&NAMES[..]).prop_map(Box::from)
}

fn broker_id() -> impl Strategy<Value = BrokerId> {
    let edge = prop::sample::select(vec![i64::MIN, -1, 0, 9, 1 << 40, i64::MAX - 1, i64::MAX]);
    prop_oneof![20 => 1..7_i64, 1 => edge].prop_map(BrokerId)
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let near = prop_oneof![-1..3_i64, Just(i64::MIN), Just(i64::MAX)];
    let one = (broker_id(), -1..3_i32, near, 0..3_i32);
    let one =
        one.prop_map(|(id, epoch, max_offset, priority)| Alive { id, epoch, max_offset, priority });
    vec(one, 0..6).prop_map(Evidence::new)
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop::sample::select(&["a;1", "b;1", "a;2", "", ";", "c", "ü\n"][..]).prop_map(Box::from)
}

fn id_list() -> impl Strategy<Value = Box<str>> {
    let ids = vec(broker_id(), 1..4).prop_map(|ids| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Box::from(ids.join(";"))
    });
    prop_oneof![8 => ids, 1 => text()]
}

prop_compose! {
    fn apply_id()(
        cluster in option::of(text()), set in name(), id in option::weighted(0.95, broker_id()),
        check_code in option::weighted(0.95, text()),
    ) -> Command {
        Command::ApplyBrokerId(ApplyBrokerId { cluster, set, id, check_code })
    }
}

prop_compose! {
    fn register()(
        set in name(), id in option::weighted(0.95, broker_id()),
        address in option::weighted(0.95, text()), evidence in evidence(),
    ) -> Command {
        Command::RegisterBroker(RegisterBroker { set, id, address, evidence })
    }
}

prop_compose! {
    fn elect()(
        set in name(), broker in option::of(broker_id()), designate: bool, unclean: bool,
        evidence in evidence(), seen in option::of(0..4_i32),
        preferred in vec(broker_id(), 0..3), never in vec(broker_id(), 0..3),
    ) -> Command {
        let (seen, policy) = (seen.map(MasterEpoch), Policy::new(preferred, never));
        Command::ElectMaster(ElectMaster { set, broker, designate, unclean, evidence, seen, policy })
    }
}

prop_compose! {
    fn clean()(
        set in name(), ids in option::weighted(0.9, id_list()), clean_living: bool,
        evidence in evidence(),
    ) -> Command {
        Command::CleanBrokerData(CleanBrokerData { set, ids, clean_living, evidence })
    }
}

prop_compose! {
    fn alter()(
        set in name(), master in option::weighted(0.95, broker_id()),
        master_epoch in option::weighted(0.95, 0..4_i32),
        new_set in option::weighted(0.95, vec(broker_id(), 0..5)), set_epoch in 0..4_i32,
        evidence in evidence(),
    ) -> AlterSyncStateSet {
        let (master_epoch, set_epoch) = (master_epoch.map(MasterEpoch), SetEpoch(set_epoch));
        AlterSyncStateSet { set, master, master_epoch, new_set, set_epoch, evidence }
    }
}

/// A command, and whether an alter shall be corrected to the present view before it is sent: by
/// chance alone it would hardly ever get through.
fn step() -> impl Strategy<Value = (Command, bool)> {
    let command = prop_oneof![
        4 => apply_id(),
        1 => register(),
        4 => elect(),
        4 => alter().prop_map(Command::AlterSyncStateSet),
        1 => clean(),
    ];
    (command, prop::bool::weighted(0.8))
}

fn corrected(state: &Replicas, command: Command) -> Command {
    let Command::AlterSyncStateSet(mut alter) = command else { return command };
    if let Some(set) = state.broker_set(&alter.set) {
        alter.master = set.master();
        alter.master_epoch = Some(set.master_epoch());
        alter.set_epoch = set.set_epoch();
        let wanted = alter.new_set.take().unwrap_or_default();
        let is_known = |id: &BrokerId| set.replica(*id).is_some();
        let mut wanted: Vec<_> = wanted.into_iter().filter(is_known).collect();
        wanted.extend(set.master());
        let seen = |id: &BrokerId| Alive { id: *id, epoch: 0, max_offset: 0, priority: 0 };
        alter.evidence = Evidence::new(wanted.iter().map(seen).collect());
        alter.new_set = Some(wanted);
    }
    Command::AlterSyncStateSet(alter)
}

/// What may never be contradicted later.
#[derive(Default)]
struct History {
    masters: BTreeMap<(Box<str>, MasterEpoch), BrokerId>,
    sets: BTreeMap<(Box<str>, SetEpoch), Vec<BrokerId>>,
    owners: BTreeMap<(Box<str>, BrokerId), Box<str>>,
}

impl History {
    fn check(&mut self, state: &Replicas) {
        for (name, set) in state.broker_sets() {
            if let Some(master) = set.master() {
                let key = (name.into(), set.master_epoch());
                assert_eq!(*self.masters.entry(key).or_insert(master), master, "C1");
            }
            let stored = set.sync_state_set().to_vec();
            let key = (name.into(), set.set_epoch());
            assert_eq!(*self.sets.entry(key).or_insert(stored.clone()), stored, "C3");
            for replica in set.replicas() {
                let owner = replica.check_code.clone();
                let key = (name.into(), replica.id);
                assert_eq!(*self.owners.entry(key).or_insert(owner.clone()), owner, "C7");
            }
        }
        for (name, id) in self.owners.keys() {
            assert!(state.next_broker_id(name) > *id, "C7: {id} was given");
        }
    }
}

/// Epochs, master and set of a name, known or cleaned.
struct View {
    master_epoch: i32,
    set_epoch: i32,
    master: Option<BrokerId>,
    sync_state_set: Vec<BrokerId>,
    is_known: bool,
}

fn view(state: &Replicas, name: &str) -> View {
    if let Some(set) = state.broker_set(name) {
        return View {
            master_epoch: set.master_epoch().0,
            set_epoch: set.set_epoch().0,
            master: set.master(),
            sync_state_set: set.sync_state_set().to_vec(),
            is_known: true,
        };
    }
    let tombstone = state.tombstone(name);
    View {
        master_epoch: tombstone.map_or(0, |tombstone| tombstone.master_epoch().0),
        set_epoch: tombstone.map_or(0, |tombstone| tombstone.set_epoch().0),
        master: None,
        sync_state_set: Vec::new(),
        is_known: false,
    }
}

/// C2: by exactly 1, when the recorded master changes or the whole set is cleaned, else not at all.
fn check_master_epoch(before: &View, after: &View) {
    let was_cleaned = before.is_known && !after.is_known;
    let rises = was_cleaned || before.master != after.master;
    assert_eq!(after.master_epoch, before.master_epoch + i32::from(rises), "C2");
}

/// C3: by exactly 1, when the set is another, a master is elected, or the whole set is cleaned.
fn check_set_epoch(before: &View, after: &View) {
    let was_cleaned = before.is_known && !after.is_known;
    let elected = after.master.is_some() && before.master != after.master;
    let rises = was_cleaned || elected || before.sync_state_set != after.sync_state_set;
    assert_eq!(after.set_epoch, before.set_epoch + i32::from(rises), "C3");
}

fn check_membership(state: &Replicas) {
    for (_, set) in state.broker_sets() {
        assert!(set.sync_state_set().iter().all(|id| set.replica(*id).is_some()), "C6");
        assert!(set.master().is_none_or(|master| set.is_in_sync(master)), "C6");
        assert!(set.replicas().iter().all(|replica| replica.id < set.next_id()), "C7");
    }
}

/// An unchanged state proves itself to be one; a changed one to have changed as it may.
fn run(mut state: Replicas, steps: Vec<(Command, bool)>) {
    let mut history = History::default();
    let mut other = Replicas::restore(&state.snapshot()).unwrap();
    for (command, correct) in steps {
        let command = if correct { corrected(&state, command) } else { command };
        let before = state.clone();
        let decision = state.decide(&command);
        let result = state.apply(&command);
        assert_eq!(decision.map(|decision| decision.outcome), result);
        if result.is_err() {
            assert_eq!(state, before, "C13: {command:?}");
        }
        let bytes = command.encode();
        let decoded = Command::decode(&bytes).unwrap();
        assert_eq!(decoded, command);
        assert_eq!(other.apply(&decoded), result, "C11");
        assert_eq!(other.state_hash(), state.state_hash(), "C11");
        other = Replicas::restore(&other.snapshot()).unwrap();
        assert_eq!(other.snapshot(), state.snapshot(), "C12");
        assert_eq!(other.state_hash(), state.state_hash(), "C12");
        for name in NAMES {
            let (before, after) = (view(&before, name), view(&state, name));
            check_master_epoch(&before, &after);
            check_set_epoch(&before, &after);
            let untouched = name != command.set();
            assert!(!untouched || before.master_epoch == after.master_epoch);
        }
        check_membership(&state);
        history.check(&state);
        if let Ok(Outcome::MasterElected { master, .. }) = &result {
            let is_alive = |evidence: &Evidence| evidence.is_alive(master.id);
            let asked = matches!(&command, Command::ElectMaster(elect)
                if !elect.designate && elect.broker == Some(master.id));
            assert!(asked || command.evidence().is_some_and(is_alive), "C5: a dead master");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_commands_keep_the_invariants(steps in vec(step(), 0..60)) {
        run(Replicas::new(), steps);
    }

    #[test]
    fn random_commands_keep_the_invariants_at_the_end_of_the_epochs(
        steps in vec(step(), 0..40), below in (0..3_i32, 0..3_i32),
    ) {
        run(with_epochs(&three_in_sync(), i32::MAX - below.0, i32::MAX - below.1), steps);
    }

    #[test]
    fn any_bytes_are_a_command_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        decodes_canonically(&bytes);
    }

    #[test]
    fn spoiled_commands_are_a_command_or_an_error(
        (command, _) in step(), index: prop::sample::Index, byte: u8, length: prop::sample::Index,
    ) {
        let mut bytes = command.encode().to_vec();
        let index = index.index(bytes.len());
        bytes[index] = byte;
        decodes_canonically(&bytes);
        bytes.truncate(length.index(bytes.len()));
        decodes_canonically(&bytes);
    }

    #[test]
    fn any_bytes_are_a_snapshot_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        restores_canonically(&bytes);
        restores_canonically(&[b"RPLC\x01\0\0\0", &bytes[..]].concat());
    }

    #[test]
    fn spoiled_snapshots_are_a_snapshot_or_an_error(
        steps in vec(step(), 0..40), spoils in vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        length: prop::sample::Index,
    ) {
        let mut state = three_in_sync();
        steps.iter().for_each(|(command, _)| drop(state.apply(command)));
        let mut bytes = state.snapshot();
        for (index, byte) in spoils {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        restores_canonically(&bytes);
        bytes.truncate(length.index(bytes.len()));
        restores_canonically(&bytes);
    }
}

/// What decodes, encodes to the same bytes, and any state takes it without a panic.
fn decodes_canonically(bytes: &[u8]) {
    if let Ok(command) = Command::decode(bytes) {
        assert_eq!(command.encode(), bytes);
        drop(three_in_sync().apply(&command));
        drop(Replicas::new().apply(&command));
    }
}

/// What restores, has the same bytes as snapshot, and takes commands without a panic.
fn restores_canonically(bytes: &[u8]) {
    if let Ok(mut state) = Replicas::restore(bytes) {
        assert_eq!(state.snapshot(), bytes);
        let names: Vec<Box<str>> = state.broker_sets().map(|(name, _)| name.into()).collect();
        for set in names {
            let evidence = Evidence::default();
            let ids = None;
            let clean = CleanBrokerData { set, ids, clean_living: true, evidence };
            drop(state.apply(&Command::CleanBrokerData(clean)));
        }
    }
}
