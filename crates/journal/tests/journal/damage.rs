//! Bytes rot, files are cut, zeroed, removed, exchanged.
//!
//! Allowed: everything is found; or the newest write is missing, as after a torn write; or a
//! refusal that names the file and leaves all files as they were. Never: something that was not
//! written, or a hole.

use std::collections::BTreeMap;

use consensus::Entry;
use journal::{Damage, MemoryDisk, OpenError, Recovered, RecoveryNote};
use proptest::prelude::*;

use crate::model::{
    Call, Dice, Model, descriptor, entry, founded, group, hard_state, names, open, run_all, script,
    state_bytes, without_notes,
};

/// Several segments, two snapshots, and the states before and after the newest write.
fn grown() -> (MemoryDisk, Model, Model) {
    let (disk, mut journal) = founded();
    let mut model = Model::default();
    model = model.after(&Call::Identity(journal::Founding::Founded)).pop().expect("one");
    let mut calls = Vec::new();
    for index in 1..=30 {
        let group = group(
            hard_state(1 + index / 10, Some(2), index - 1),
            vec![entry(index, 1 + index / 10, 1500)],
        );
        calls.push(Call::Write(vec![group]));
        if index == 12 || index == 22 {
            let term = 1 + (index - 1) / 10;
            let state = state_bytes(index - 1, term);
            calls.push(Call::Save(descriptor(index - 1, term, &state), state));
        }
    }
    (journal, model) = run_all(&disk, journal, model, &calls);
    let before = model.clone();
    let two = vec![
        group(hard_state(4, Some(2), 30), vec![entry(31, 4, 600), entry(32, 4, 7)]),
        group(hard_state(4, Some(2), 32), vec![entry(33, 4, 100)]),
    ];
    let (_journal, model) = run_all(&disk, journal, model, &[Call::Write(two)]);
    disk.kill();
    (disk, before, model)
}

fn newest_segment(disk: &MemoryDisk) -> String {
    let segments = names(disk).into_iter().filter(|name| name.starts_with("segment-"));
    segments.max().expect("one at least")
}

/// Opens a damaged disk; a refusal must have changed nothing.
fn open_damaged(disk: &MemoryDisk, what: &str) -> Result<Recovered, OpenError> {
    let before = disk.contents();
    let result = open(disk.handle()).map(|(_, recovered)| recovered);
    disk.kill();
    if let Err(error) = &result {
        let mut after = disk.contents();
        after.remove("lock");
        let before: BTreeMap<_, _> =
            before.into_iter().filter(|(name, _)| name != "lock").collect();
        assert_eq!(after, before, "{what}: {error}");
    }
    result
}

/// What may be found after damage in the newest write or in nothing that counts.
fn allowed(before: &Model, model: &Model) -> Vec<Recovered> {
    let Call::Write(groups) = newest_write() else { unreachable!("it is a write") };
    let mut states: Vec<_> =
        before.after(&Call::Write(groups)).iter().map(Model::expected).collect();
    states.push(model.expected());
    states
}

fn newest_write() -> Call {
    Call::Write(vec![
        group(hard_state(4, Some(2), 30), vec![entry(31, 4, 600), entry(32, 4, 7)]),
        group(hard_state(4, Some(2), 32), vec![entry(33, 4, 100)]),
    ])
}

#[test]
fn every_rotten_byte_is_harmless_cut_or_refused() {
    let (disk, before, model) = grown();
    let allowed = allowed(&before, &model);
    let mut seen = BTreeMap::new();
    for (name, bytes) in disk.contents() {
        let segment = name.starts_with("segment-");
        let step = if segment { 13 } else { 3 };
        for offset in (0..bytes.len()).step_by(step) {
            let copy = disk.copy();
            let offset = u64::try_from(offset).expect("fits");
            copy.flip(&name, offset, 1 << (offset % 8));
            let what = format!("{name} at {offset}");
            let kind = match open_damaged(&copy, &what) {
                Err(OpenError::Damaged { file, .. }) => {
                    assert_eq!(file, name, "{what}: another file is named");
                    "refused"
                }
                Err(error) => panic!("{what}: {error}"),
                Ok(recovered) if fell_back(&recovered) => {
                    assert!(name.starts_with("snapshot-"), "{what}");
                    model.assert_same_log(&recovered);
                    "older snapshot"
                }
                Ok(recovered) => {
                    let is_cut = !recovered.notes.is_empty();
                    let found = without_notes(recovered);
                    assert!(allowed.contains(&found), "{what}: {found:?}");
                    if is_cut { "cut" } else { "harmless" }
                }
            };
            *seen.entry(kind).or_insert(0) += 1;
        }
    }
    let kinds: Vec<_> = seen.keys().copied().collect();
    assert_eq!(kinds, ["cut", "harmless", "older snapshot", "refused"]);
}

fn fell_back(recovered: &Recovered) -> bool {
    let is_unusable = |note: &RecoveryNote| matches!(note, RecoveryNote::SnapshotUnusable { .. });
    recovered.notes.iter().any(is_unusable)
}

#[test]
fn damage_in_the_middle_names_file_and_offset() {
    let (disk, journal) = founded();
    let writes = (1..=3)
        .map(|index| Call::Write(vec![group(hard_state(1, None, 0), vec![entry(index, 1, 40)])]));
    let writes: Vec<_> = writes.collect();
    run_all(&disk, journal, Model::default(), &writes);
    disk.kill();
    // Each write: a hard state of 40 bytes and an entry of 80.
    let name = newest_segment(&disk);
    assert!(disk.flip(&name, 4096 + 120 + 45, 1));
    let error = open_damaged(&disk, "the second write").expect_err("refused");
    let OpenError::Damaged { file, offset, damage, .. } = &error else { panic!("{error}") };
    assert_eq!((file, *offset), (&name, 4096 + 120 + 40));
    assert_eq!(*damage, Damage::Record { write: 2 });
    let text = error.to_string();
    assert!(text.contains(&name) && text.contains("offset 4256"), "{text}");
    assert!(text.contains("rejoins as a learner"), "says what to do: {text}");
}

#[test]
fn what_a_later_write_proves_is_refused_wherever_it_rots() {
    let (disk, mut journal) = founded();
    for index in 1..=3 {
        let written = journal.write(&[group(hard_state(1, None, 0), vec![entry(index, 1, 40)])]);
        written.expect("the disk is whole");
    }
    let (name, end) = journal.proven().expect("three writes");
    assert_eq!((&name, end), (&newest_segment(&disk), 4096 + 2 * 120));
    disk.kill();
    for offset in 4096..end {
        let copy = disk.copy();
        assert!(copy.flip(&name, offset, 1));
        let what = format!("offset {offset}");
        let error = open_damaged(&copy, &what).expect_err("proven");
        assert!(matches!(error, OpenError::Damaged { .. }), "{what}: {error}");
    }
}

#[test]
fn a_torn_newest_write_is_cut_at_every_byte() {
    let (disk, before, model) = grown();
    let name = newest_segment(&disk);
    let bytes = disk.content(&name).expect("there");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("not empty");
    let allowed = allowed(&before, &model);
    let mut found_counts = [0; 4];
    for kept in (end - 899..=end + 1).step_by(3) {
        let copy = disk.copy();
        let mut torn = bytes.clone();
        torn[kept..].fill(0);
        copy.put(&name, &torn);
        let recovered = open_damaged(&copy, "torn").expect("cut");
        let found = without_notes(recovered);
        let at = allowed.iter().position(|state| *state == found);
        found_counts[at.unwrap_or_else(|| panic!("{kept}: {found:?}"))] += 1;
        // The cut is durable, and so is what was kept.
        copy.crash(7);
        let again = open_damaged(&copy, "cut before").expect("clean");
        assert_eq!(again.notes, []);
        assert_eq!(without_notes(again), found);
    }
    assert!(found_counts[..3].iter().all(|count| *count > 0), "{found_counts:?}");
}

#[test]
fn old_bytes_of_a_recycled_segment_never_count() {
    let (disk, journal) = founded();
    let model = Model::default().after(&Call::Identity(journal::Founding::Founded)).pop();
    let (mut journal, mut model) = (journal, model.expect("one"));
    let mut index = 0;
    let mut is_recycled = false;
    // Writes of one size, so that old records stand exactly where new ones will.
    for _ in 0..12 {
        let mut calls = Vec::new();
        for _ in 0..20 {
            index += 1;
            let entries = vec![entry(index, 1, 984)];
            calls.push(Call::Write(vec![group(hard_state(1, None, index), entries)]));
        }
        let state = state_bytes(index, 1);
        calls.push(Call::Save(descriptor(index, 1, &state), state));
        (journal, model) = run_all(&disk, journal, model, &calls);
        is_recycled |= journal.spares() > 0;
        drop(journal);
        disk.crash(index);
        let (again, recovered) = open(disk.handle()).expect("intact");
        assert_eq!(without_notes(recovered), model.expected());
        journal = again;
    }
    assert!(is_recycled, "a segment was used again");
    drop(journal);
    let name = newest_segment(&disk);
    let generation: u64 = name.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(generation > 12, "{name}");
}

#[test]
fn a_missing_or_emptied_file_is_refused_or_done_without() {
    let (disk, _, model) = grown();
    let newest = newest_segment(&disk);
    for (name, bytes) in disk.contents() {
        for content in [None, Some(Vec::new()), Some(vec![0; bytes.len()])] {
            let copy = disk.copy();
            match &content {
                None => copy.take_away(&name),
                Some(bytes) => copy.put(&name, bytes),
            }
            let is_zeroed = content.as_ref().is_some_and(|bytes| !bytes.is_empty());
            let what = format!("{name}: {:?}", content.map(|bytes| bytes.len()));
            match open_damaged(&copy, &what) {
                Err(error) => assert!(
                    error.to_string().contains(&name) || error.to_string().contains("identity"),
                    "{what}: {error}"
                ),
                Ok(recovered) if name == "lock" => {
                    assert_eq!(without_notes(recovered), model.expected());
                }
                Ok(recovered) if name.starts_with("snapshot-") => {
                    if fell_back(&recovered) {
                        model.assert_same_log(&recovered);
                    } else {
                        assert_eq!(without_notes(recovered), model.expected());
                    }
                }
                // The oldest segment is only needed to start from the older snapshot.
                Ok(recovered) if name != newest => {
                    assert!(!is_zeroed, "{what}");
                    assert_eq!(without_notes(recovered), model.expected(), "{what}");
                }
                // Nothing in the folder proves that the newest segment was used, or was there. It
                // is for consensus to notice (D21).
                Ok(recovered) => {
                    let is_unused = recovered
                        .notes
                        .contains(&RecoveryNote::UnusedSegment { file: newest.clone() });
                    assert_eq!(is_unused, is_zeroed, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_rotten_newest_snapshot_gives_way_to_the_older_and_both_to_a_refusal() {
    let (disk, _, model) = grown();
    let snapshots = names(&disk).into_iter().filter(|name| name.starts_with("snapshot-"));
    let snapshots: Vec<_> = snapshots.collect();
    assert_eq!(snapshots.len(), 2);
    disk.flip(&snapshots[1], 200, 0x40);
    let recovered = open_damaged(&disk, "the newest").expect("the older one serves");
    model.assert_same_log(&recovered);
    assert!(recovered.snapshot.is_some());
    disk.flip(&snapshots[0], 200, 0x40);
    let error = open_damaged(&disk, "both").expect_err("refused");
    assert!(matches!(error, OpenError::NoSnapshot { .. }), "{error}");
    for name in snapshots {
        assert!(error.to_string().contains(&name), "{error}");
    }
}

/// One random change of the folder.
#[derive(Debug, Clone)]
enum Change {
    Overwrite { at: prop::sample::Index, bytes: Vec<u8> },
    Zero { at: prop::sample::Index, bytes: usize },
    Copy { from: prop::sample::Index, to: prop::sample::Index, bytes: usize },
    Cut { at: prop::sample::Index },
    Remove,
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let bytes = prop::collection::vec(any::<u8>(), 1..200);
    prop_oneof![
        6 => (at(), bytes).prop_map(|(at, bytes)| Change::Overwrite { at, bytes }),
        3 => (at(), 1..9000_usize).prop_map(|(at, bytes)| Change::Zero { at, bytes }),
        3 => (at(), at(), 1..9000_usize)
            .prop_map(|(from, to, bytes)| Change::Copy { from, to, bytes }),
        1 => at().prop_map(|at| Change::Cut { at }),
        1 => Just(Change::Remove),
    ]
}

fn apply(disk: &MemoryDisk, file: prop::sample::Index, change: &Change) {
    let contents = disk.contents();
    let names: Vec<_> = contents.keys().collect();
    if names.is_empty() {
        return;
    }
    let name = file.get(&names);
    let mut bytes = contents[*name].clone();
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match change {
        Change::Overwrite { at, bytes: new } => {
            let start = at.index(length);
            let end = (start + new.len()).min(length);
            bytes[start..end].copy_from_slice(&new[..end - start]);
        }
        Change::Zero { at, bytes: count } => {
            let start = at.index(length);
            bytes[start..(start + count).min(length)].fill(0);
        }
        Change::Copy { from, to, bytes: count } => {
            let (from, to) = (from.index(length), to.index(length));
            let count = (*count).min(length - from.max(to));
            bytes.copy_within(from..from + count, to);
        }
        Change::Cut { at } => bytes.truncate(at.index(length)),
        Change::Remove => return disk.take_away(name),
    }
    disk.put(name, &bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Total on any damage; and what is found was written, without a hole.
    #[test]
    fn recovery_survives_anything_and_invents_nothing(
        seed in 0..50_u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..6),
    ) {
        let disk = MemoryDisk::new();
        let (journal, _) = open(disk.handle()).expect("empty");
        let calls = script(&Model::default(), seed, 40);
        let mut written = Vec::new();
        for call in &calls {
            if let Call::Write(groups) = call {
                written.extend(groups.iter().flat_map(|group| group.entries.clone()));
            }
        }
        run_all(&disk, journal, Model::default(), &calls);
        disk.kill();
        for (file, change) in &changes {
            apply(&disk, *file, change);
        }
        if let Ok(recovered) = open_damaged(&disk, "random damage") {
            check_sound(&recovered, &written);
            // And a second opening finds the same.
            let again = open_damaged(&disk, "again").expect("opened before");
            prop_assert_eq!(without_notes(again), without_notes(recovered));
        }
    }
}

fn check_sound(recovered: &Recovered, written: &[Entry]) {
    let applied = recovered.snapshot.as_ref().map_or(0, |(found, _)| found.index.0);
    for (entry, index) in recovered.entries.iter().zip(applied + 1..) {
        assert_eq!(entry.index.0, index, "a hole");
        assert!(written.contains(entry), "invented: {entry:?}");
        assert!(entry.term <= recovered.hard_state.term);
    }
    let is_sorted = recovered.entries.is_sorted_by_key(|entry| entry.term);
    assert!(is_sorted, "terms fall");
    let last = recovered.entries.last().map_or(applied, |entry| entry.index.0);
    assert!(recovered.hard_state.commit.0 <= last);
}

/// A restored backup is an intact journal of an earlier time; it is consensus that notices (D21).
#[test]
fn a_restored_backup_opens_as_what_it_was() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(disk.handle()).expect("empty");
    let calls = script(&Model::default(), 5, 40);
    let (journal, model) = run_all(&disk, journal, Model::default(), &calls);
    let backup = disk.copy();
    let more = script(&model, Dice(1).next(), 10);
    run_all(&disk, journal, model.clone(), &more);
    let recovered = open_damaged(&backup, "a backup").expect("intact");
    let mut model = model;
    model.forget();
    assert_eq!(without_notes(recovered), model.expected());
}
