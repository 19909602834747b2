//! The end: nobody asks any more but the judge.

use super::WHOLE;
use crate::actors::crew;
use crate::actors::lines::Lines;
use crate::actors::observer;
use crate::actors::recorder::Recorder;
use crate::clock;
use crate::course::{Course, Final};
use crate::judge;
use crate::stand::Stand;
use bytes::Bytes;
use protocol::private;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long one question may take, where an answer is not certain.
const ANSWER: Duration = Duration::from_secs(3);

/// How long all questions together may take. A run of 10 minutes has some 300 broker sets, each of 5 controllers is asked
/// for each, and an answer takes a few milliseconds, on a busy machine some ten.
const FINALS: Duration = Duration::from_secs(300);

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
    match ask_finals(stand).await {
        Ok(finals) => course.finals = finals,
        Err(error) => course.doubts.push(format!(
            "no controller could be asked for its broker sets at the end, so nobody knows what is lost: {error}"
        )),
    }
}

/// Asks every controller that answers for every broker set of which something was acknowledged.
async fn ask_finals(stand: &Stand) -> io::Result<Vec<Final>> {
    let sets = {
        let records = stand.recorder.lock();
        let sets = judge::written(&records.history).into_iter();
        sets.map(Box::from).collect::<Vec<Box<str>>>()
    };
    let cast = stand.cast.clone();
    let recorder = Arc::clone(&stand.recorder);
    let asking = async move {
        let lines = Lines::new((u32::MAX, cast.observer), &cast.controllers, WHOLE, &recorder);
        let is_ours = cast.kind.is_ours();
        let asked = async |finals: &mut Vec<Final>| {
            if is_ours {
                ask_each(&lines, &sets, WHOLE, finals).await;
            } else {
                ask_leader(&lines, &recorder, sets, finals).await;
            }
        };
        let mut finals = Vec::new();
        // What was not asked by then is missing in the list, which the judge counts.
        drop(timeout(FINALS, asked(&mut finals)).await);
        finals
    };
    crew::inside(&stand.cast.clients_namespace, asking).await
}

/// Asks each controller, until one question of it had no answer: of the others it would have none, either.
async fn ask_each(lines: &Lines, sets: &[Box<str>], patience: Duration, finals: &mut Vec<Final>) {
    for node in 0..lines.peers().len() {
        for set in sets {
            let body = Bytes::copy_from_slice(set.as_bytes());
            let said = observer::ask(lines, node, private::DESCRIBE, body, patience).await;
            let is_silent = said.is_none();
            finals.push(Final { node, set: set.clone(), said });
            if is_silent {
                break;
            }
        }
    }
}

/// Of upstream's controllers the leader alone answers, and it may change while it is asked. The first question that
/// nobody answers is the last.
async fn ask_leader(
    lines: &Lines,
    recorder: &Recorder,
    sets: Vec<Box<str>>,
    finals: &mut Vec<Final>,
) {
    for set in sets {
        let began = clock::now();
        let (node, said) = loop {
            // If there is none, whoever is asked refuses.
            let node = recorder.leader().unwrap_or(0);
            let said = observer::describe(lines, node, &set, ANSWER).await;
            if said.is_some() || Duration::from_nanos(clock::now() - began) > WHOLE {
                break (node, said);
            }
            tokio::time::sleep(observer::EVERY).await;
        };
        let is_silent = said.is_none();
        finals.push(Final { node, set, said });
        if is_silent {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Final, ask_each};
    use crate::actors::lines::Lines;
    use crate::actors::recorder::Recorder;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn who_is_silent_once_is_asked_no_more() {
        let folder = std::env::temp_dir().join(format!("pitchover-ends-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let recorder = Arc::new(Recorder::create(&folder, 2, (true, "a test".into())).unwrap());
        // The kernel takes connections for both, and nobody reads them.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let peers: Vec<SocketAddr> =
            [&silent, &other].map(|one| one.local_addr().unwrap()).to_vec();
        let lines = Lines::new((7, Ipv4Addr::LOCALHOST), &peers, Duration::from_secs(9), &recorder);
        let sets: Vec<Box<str>> = (0..300).map(|set| format!("set-{set}").into()).collect();
        let mut finals = Vec::new();
        ask_each(&lines, &sets, Duration::from_millis(50), &mut finals).await;
        let silence = |node| Final { node, set: sets[0].clone(), said: None };
        assert_eq!(finals, [silence(0), silence(1)]);
        // A question whose time was cut short is none.
        finals.clear();
        let asking = ask_each(&lines, &sets, Duration::from_secs(60), &mut finals);
        assert!(timeout(Duration::from_millis(50), asking).await.is_err());
        assert_eq!(finals, []);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
