//! Asks every controller for its status, from an address that no rule names.

use super::lines::Lines;
use super::recorder::{State, View};
use crate::clock;
use bytes::Bytes;
use client::Deadline;
use protocol::{ExtFields, Frame, Header, HeaderEncoding, private, response_code};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How often each is asked.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// How long a status may take; later ones count as silence.
const PATIENCE: Duration = Duration::from_millis(250);

/// Runs until its task is dropped.
pub(crate) async fn observe(lines: Arc<Lines>) {
    let mut loops = JoinSet::new();
    for node in 0..lines.peers().len() {
        loops.spawn(observe_one(Arc::clone(&lines), node));
    }
    loops.join_all().await;
}

async fn observe_one(lines: Arc<Lines>, node: usize) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = ask(&lines, node, private::STATUS, Bytes::new(), PATIENCE).await;
        let view = answer.as_ref().map(|status| View {
            is_leader: status["role"] == "leader",
            leader: status["leader"].as_str().unwrap_or_default().to_owned(),
            term: status["term"].as_u64().unwrap_or_default(),
            applied: status["applied"].as_u64().unwrap_or_default(),
            is_ready: status["ready"] == true,
            hash: status["stateHash"].as_str().unwrap_or_default().to_owned(),
        });
        lines.recorder().state(State { at: clock::now(), node, view });
    }
}

/// One private question to one controller; `None` if it does not answer in time, or refuses.
pub(crate) async fn ask(
    lines: &Lines,
    node: usize,
    code: i32,
    body: Bytes,
    patience: Duration,
) -> Option<Value> {
    let line = lines.line(node).await.ok()?;
    let header = Header::request(code, 0, 0, ExtFields::new(), HeaderEncoding::Json);
    let answer = line.exchange(Frame { header, body }, Deadline::after(patience)).await;
    let Ok(answer) = answer else {
        lines.close(node).await;
        return None;
    };
    (answer.header.code == response_code::SUCCESS).then_some(())?;
    serde_json::from_slice(&answer.body).ok()
}
