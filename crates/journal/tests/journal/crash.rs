//! Every disk operation fails, in turn; every crash drops, keeps and tears what was not synced.
//!
//! The oracle: what was acknowledged is there; of the call that failed there is nothing, or whole
//! groups from its front, or all; nothing else. Then the journal goes on, and is checked again.

use journal::{Fault, JournalError, MemoryDisk, OpenError};

use crate::model::{Call, Dice, Failure, Model, open, run, run_all, script, without_notes};

/// How a process ends after its failure.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The machine lives on: what was written is still to be read.
    Kill,
    /// The power goes.
    Crash(u64),
}

/// Runs `script` on a new disk with one fault; then ends the process, opens again, and checks.
/// Returns whether the fault struck.
fn check(script: &[Call], fault_at: u64, fault: Fault, end: End) -> bool {
    let what = format!("fault {fault:?} at {fault_at}, then {end:?}");
    let disk = MemoryDisk::new();
    disk.fail_at(fault_at, fault);
    let candidates = run_until_failure(&disk, script);
    let has_struck = disk.operations() >= fault_at;
    restart(&disk, end);

    // A fault in the opening as well: recovery must be able to recover from itself.
    if let End::Crash(seed) = end {
        disk.fail_at(disk.operations() + 1 + seed % 40, Fault::PowerLoss);
        if let Ok((journal, _)) = open(disk.handle()) {
            drop(journal);
        }
        restart(&disk, End::Crash(seed + 1));
    }
    let (journal, recovered) =
        open(disk.handle()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = without_notes(recovered);
    let model = candidates.iter().find(|model| model.expected() == found);
    let Some(model) = model else {
        panic!("{what}: found {found:#?}\nallowed {candidates:#?}");
    };
    let mut model = model.clone();
    model.forget();

    // What an opening said is durable: it may be promised to others.
    drop(journal);
    restart(&disk, End::Crash(fault_at));
    let (journal, again) = open(disk.handle()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(without_notes(again), found, "{what}: forgotten after an opening");

    let more = crate::model::script(&model, fault_at, 8);
    let (journal, model) = run_all(&disk, journal, model, &more);
    drop(journal);
    restart(&disk, End::Crash(fault_at + 1));
    let (_, recovered) = open(disk.handle()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(without_notes(recovered), model.expected(), "{what}: after going on");
    has_struck
}

fn restart(disk: &MemoryDisk, end: End) {
    match end {
        End::Kill => disk.kill(),
        End::Crash(seed) => disk.crash(seed),
    }
}

/// All states that the disk may be in when the script has failed or is done.
fn run_until_failure(disk: &MemoryDisk, script: &[Call]) -> Vec<Model> {
    let mut model = Model::default();
    let Ok((mut journal, _)) = open(disk.handle()) else { return vec![model] };
    for call in script {
        let states = model.after(call);
        match run(disk, journal, &model, call) {
            Ok(next) => journal = next,
            // Nothing but the fault itself may be the reason.
            Err(
                Failure::Open(OpenError::Disk(_))
                | Failure::Journal(JournalError::Disk(_))
                | Failure::SnapshotUnread,
            ) => return states,
            Err(Failure::Open(error)) => panic!("{error}"),
            Err(Failure::Journal(error)) => panic!("{error}"),
        }
        model = states.last().cloned().expect("one at least");
    }
    vec![model]
}

#[test]
fn each_operation_fails_in_turn() {
    for seed in 0..2 {
        let script = script(&Model::default(), seed, 24);
        for fault in [Fault::Error, Fault::Short, Fault::Full] {
            for fault_at in 1.. {
                let is_kill = check(&script, fault_at, fault, End::Kill);
                let is_crash = check(&script, fault_at, fault, End::Crash(fault_at ^ seed));
                if !is_kill && !is_crash {
                    break;
                }
            }
        }
    }
}

#[test]
fn the_power_goes_at_each_operation() {
    for seed in 0..2 {
        let script = script(&Model::default(), 100 + seed, 24);
        for fault_at in 1.. {
            let mut has_struck = false;
            for tear in 0..5 {
                let tear = Dice(seed * 1000 + fault_at * 10 + tear).next();
                has_struck |= check(&script, fault_at, Fault::PowerLoss, End::Crash(tear >> 1));
            }
            if !has_struck {
                break;
            }
        }
    }
}

#[test]
fn long_scripts_without_a_fault_are_found_again() {
    for seed in 0..40 {
        let disk = MemoryDisk::new();
        let (journal, _) = open(disk.handle()).expect("empty");
        let script = script(&Model::default(), 1000 + seed, 150);
        let (journal, model) = run_all(&disk, journal, Model::default(), &script);
        let counters = journal.counters();
        drop(journal);
        disk.crash(seed);
        let (_, recovered) = open(disk.handle()).expect("intact");
        assert_eq!(without_notes(recovered), model.expected(), "seed {seed}, {counters:?}");
    }
}
