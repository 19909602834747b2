//! Conversations that were held with upstream's controller, held again with ours.
//!
//! Each recorded conversation is played to a fresh cluster of three `pitchover serve` processes,
//! step by step, and every answer must be like the recorded one. What *alike* means, and how steps
//! name their node and connection, is written in `vectors/README.md`; what ours answers to steps
//! that differ on purpose is in `conversations/deviation.rs`.
//!
//! | Variable | Effect on the last test |
//! |---|---|
//! | `PITCHOVER_CONVERSATION=FILE` | plays this file; without it the test has nothing to do |
//! | `PITCHOVER_TARGET=a,b,c` | plays it to these controllers instead of starting three |

#[path = "conversations/alike.rs"]
mod alike;
#[path = "conversations/deviation.rs"]
mod deviation;
#[path = "conversations/player.rs"]
mod player;
#[path = "conversations/step.rs"]
mod step;

use std::path::{Path, PathBuf};

use load::{OwnCluster, Setup};

use crate::player::Difference;

/// Differences that a failing test shows.
const SHOWN: usize = 10;

/// Plays `file` to `targets`, or to a cluster of its own, and fails if any answer differs.
fn check(file: &Path, targets: Option<Vec<String>>) {
    let steps = step::read(file);
    let own = targets.is_none().then(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_pitchover"));
        OwnCluster::start(&Setup::temporary(program.to_owned()))
            .expect("three processes can be started")
    });
    let addresses = targets
        .unwrap_or_else(|| own.as_ref().map(|own| own.addresses().to_vec()).unwrap_or_default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let played = runtime.block_on(player::play(&steps, &addresses));
    let logs = || own.as_ref().map(OwnCluster::logs).unwrap_or_default();
    let differences = match played {
        Ok(differences) => differences,
        Err(error) => panic!("{}: {error}\n{}", file.display(), logs()),
    };
    let shown: Vec<String> = differences.iter().take(SHOWN).map(Difference::to_string).collect();
    assert!(
        differences.is_empty(),
        "{}: {} of {} answers differ\n{}\n{}",
        file.display(),
        differences.len(),
        steps.len(),
        shown.join("\n"),
        logs(),
    );
}

fn recorded(name: &str) -> PathBuf {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/conversations");
    vectors.join(name)
}

#[test]
fn conversation_scripted() {
    check(&recorded("scripted.jsonl"), None);
}

#[test]
fn conversation_random_a() {
    check(&recorded("random-a.jsonl"), None);
}

#[test]
fn conversation_random_b() {
    check(&recorded("random-b.jsonl"), None);
}

#[test]
fn conversation_named_by_the_environment() {
    let Some(file) = std::env::var_os("PITCHOVER_CONVERSATION") else { return };
    let targets = std::env::var("PITCHOVER_TARGET").ok();
    let targets = targets.map(|list| list.split(',').map(str::to_owned).collect());
    check(Path::new(&file), targets);
}
