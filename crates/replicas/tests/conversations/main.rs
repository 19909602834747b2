//! Plays the conversations recorded with the Java controller to [`replicas::Replicas`] alone.
//!
//! ```text
//!   recorded step ──► request.rs: Command or read ──► Replicas ──► answer.rs: code, remark, body
//!                         ▲                                              │
//!                  liveness.rs: naive table, virtual time                └──► equal to the record
//! ```
//!
//! Compared: code, remark, header fields and body of 1001-1004, 1006 and 1011-1013. Left out, as
//! `vectors/README.md` says: the text of code 1, and the steps marked as a deviation.
//! Time is virtual: a step takes [`STEP_MS`], and more where the record prescribes a wait.
#![expect(clippy::unwrap_used, reason = "a broken record fails the test")]

mod answer;
mod liveness;
mod request;

use std::path::Path;

use replicas::Replicas;
use serde_json::Value;

use crate::answer::Answer;
use crate::liveness::Liveness;
use crate::request::Step;

/// How long one step takes, about as on the recorded wire.
const STEP_MS: i64 = 10;

/// What a conversation must hold at least, so that a broken reader does not pass for success.
struct Expected {
    compared_count: usize,
    deviations_count: usize,
}

#[test]
fn scripted_conversation_is_answered_alike() {
    check("scripted.jsonl", &Expected { compared_count: 200, deviations_count: 11 });
}

#[test]
fn random_conversation_a_is_answered_alike() {
    check("random-a.jsonl", &Expected { compared_count: 1_350, deviations_count: 0 });
}

#[test]
fn random_conversation_b_is_answered_alike() {
    check("random-b.jsonl", &Expected { compared_count: 1_350, deviations_count: 0 });
}

fn check(file: &str, expected: &Expected) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/conversations").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut replicas = Replicas::new();
    let mut liveness = Liveness::default();
    let (mut compared_count, mut deviations_count) = (0, 0);
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let step = Step::read(&record);
        liveness.advance(STEP_MS + step.wait_ms);
        liveness.elect_for_the_dead(&mut replicas);
        let answer = request::play(&step, &mut replicas, &mut liveness);
        if record.get("deviation").is_some() {
            deviations_count += 1;
            continue;
        }
        if let Some(answer) = answer {
            let number = &record["n"];
            assert_eq!(answer, Answer::read(&record["answer"]), "{file}, step {number}: {record}");
            compared_count += 1;
        }
        let restored = Replicas::restore(&replicas.snapshot()).unwrap();
        assert_eq!(restored, replicas, "{file}, step {}", record["n"]);
    }
    assert!(compared_count >= expected.compared_count, "{compared_count} compared");
    assert_eq!(deviations_count, expected.deviations_count);
}
