//! The end: nobody asks any more but the judge.

use super::{Course, Final, WHOLE};
use crate::actors::lines::Lines;
use crate::actors::observer;
use crate::actors::recorder::Recorder;
use crate::clock;
use crate::judge;
use crate::stand::Stand;
use bytes::Bytes;
use protocol::private;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long one question may take, where an answer is not certain.
const ANSWER: Duration = Duration::from_secs(3);

/// How long controllers may take to hold the same state.
const SETTLE: Duration = Duration::from_secs(30);

/// Waits until all controllers hold the same state, and asks each for every broker set.
pub(super) async fn settle(stand: &mut Stand, course: &mut Course) {
    let is_settled = |stand: &mut Stand| {
        let all: Option<Vec<_>> = stand.recorder.latest().into_iter().collect();
        all.is_some_and(|all| {
            all.iter().all(|v| (v.applied, &v.hash) == (all[0].applied, &all[0].hash))
        })
    };
    tokio::time::sleep(observer::EVERY * 3).await;
    // Upstream's controllers do not say what state they hold.
    if stand.cast.kind.is_ours() {
        if !stand.until(SETTLE, is_settled).await {
            course.accidents.push(format!("states differ {} s after the end", SETTLE.as_secs()));
        }
        let views = stand.recorder.latest().into_iter();
        course.hashes =
            views.map(|view| view.map_or("silent".to_owned(), |view| view.hash)).collect();
    }
    match ask_finals(stand) {
        Ok(finals) => course.finals = finals,
        Err(error) => course.doubts.push(format!(
            "no controller could be asked for its broker sets at the end, so nobody knows what is lost: {error}"
        )),
    }
}

/// Asks every controller that answers for every broker set of which something was acknowledged.
fn ask_finals(stand: &Stand) -> io::Result<Vec<Final>> {
    let sets = {
        let records = stand.recorder.lock();
        let sets = judge::written(&records.history).into_iter();
        sets.map(Box::from).collect::<Vec<Box<str>>>()
    };
    let cast = stand.cast.clone();
    let recorder = Arc::clone(&stand.recorder);
    let asking = async move {
        let lines = Lines::new((u32::MAX, cast.observer), &cast.controllers, WHOLE, &recorder);
        if cast.kind.is_ours() {
            ask_each(&lines, cast.controllers.len(), sets).await
        } else {
            ask_leader(&lines, &recorder, sets).await
        }
    };
    crate::actors::crew::inside(&stand.cast.clients_namespace, asking)
}

async fn ask_each(lines: &Lines, nodes: usize, sets: Vec<Box<str>>) -> Vec<Final> {
    let mut finals = Vec::new();
    for node in 0..nodes {
        for set in &sets {
            let body = Bytes::copy_from_slice(set.as_bytes());
            let said = observer::ask(lines, node, private::DESCRIBE, body, WHOLE).await;
            finals.push(Final { node, set: set.clone(), said });
        }
    }
    finals
}

/// Of upstream's controllers the leader alone answers, and it may change while it is asked.
async fn ask_leader(lines: &Lines, recorder: &Recorder, sets: Vec<Box<str>>) -> Vec<Final> {
    let began = clock::now();
    let mut finals = Vec::new();
    for set in sets {
        let (node, said) = loop {
            // If there is none, whoever is asked refuses.
            let node = recorder.leader().unwrap_or(0);
            let said = observer::describe(lines, node, &set, ANSWER).await;
            if said.is_some() || Duration::from_nanos(clock::now() - began) > WHOLE {
                break (node, said);
            }
            tokio::time::sleep(observer::EVERY).await;
        };
        finals.push(Final { node, set, said });
    }
    finals
}
