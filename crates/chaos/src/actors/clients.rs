//! Writers and readers: closed loops, one for each controller, so that one frozen controller holds up one
//! loop and not the client.
//!
//! A writer's loop owns its broker sets: it takes the next id of a set, again and again, and goes on with
//! another set when one has [`IDS_MAX`]. Each id is a write that must never be lost and never be given twice.

use super::CLUSTER;
use super::lines::Lines;
use crate::draw::Draw;
use protocol::{
    ApplyBrokerId, GetNextBrokerId, GetReplicaInfo, GetSyncStateData, Request, Text, response_code,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(700);

/// Ids in one set, before a writer goes on with another.
const IDS_MAX: i64 = 100;

/// Pause of a loop between two requests, in ms.
const PAUSE_MS: (u64, u64) = (20, 60);

/// Pause after a request that was not carried out.
const RETRY: Duration = Duration::from_millis(25);

/// Runs a writer until its task is dropped.
pub(crate) async fn write(lines: Arc<Lines>, mut draw: Draw) {
    let mut loops = JoinSet::new();
    for peer in 0..lines.peers().len() {
        loops.spawn(write_at(Arc::clone(&lines), peer, draw.fork()));
    }
    loops.join_all().await;
}

async fn write_at(lines: Arc<Lines>, peer: usize, mut draw: Draw) {
    let mut number = 0;
    loop {
        let set = format!("ids-{}-{peer}-{number}", lines.client);
        fill(&lines, peer, &set, &mut draw).await;
        number += 1;
    }
}

/// Takes ids of one set until it has enough.
async fn fill(lines: &Lines, peer: usize, set: &str, draw: &mut Draw) {
    let name = || Some(Text::copied(set));
    let mut next: Option<i64> = None;
    while next.is_none_or(|next| next <= IDS_MAX) {
        let Some(id) = next else {
            // Also after an unknown outcome: the set itself knows whether the id was given.
            let ask = GetNextBrokerId { cluster_name: Some(CLUSTER.into()), broker_name: name() };
            let answer = lines.ask(peer, &Request::GetNextBrokerId(ask)).await;
            next = answer.ok().and_then(|answer| answer.ext.long("nextBrokerId"));
            if next.is_none() {
                sleep(RETRY).await;
            }
            continue;
        };
        let apply = ApplyBrokerId {
            cluster_name: Some(CLUSTER.into()),
            broker_name: name(),
            applied_broker_id: Some(id),
            register_check_code: Some(Text::from(format!("{}-{id}-{}", lines.client, draw.bits()))),
        };
        match lines.ask(peer, &Request::ApplyBrokerId(apply)).await {
            Ok(answer) if answer.code == response_code::SUCCESS => {
                next = Some(id + 1);
                sleep(Duration::from_millis(draw.between(PAUSE_MS.0, PAUSE_MS.1))).await;
            }
            Ok(_) | Err(_) => {
                next = None;
                sleep(RETRY).await;
            }
        }
    }
}

/// Runs a reader of these broker sets until its task is dropped.
pub(crate) async fn read(lines: Arc<Lines>, sets: Arc<[String]>, mut draw: Draw) {
    let mut loops = JoinSet::new();
    for peer in 0..lines.peers().len() {
        loops.spawn(read_at(Arc::clone(&lines), peer, Arc::clone(&sets), draw.fork()));
    }
    loops.join_all().await;
}

async fn read_at(lines: Arc<Lines>, peer: usize, sets: Arc<[String]>, mut draw: Draw) {
    loop {
        let set = Text::copied(&sets[draw.index(sets.len())]);
        let request = match draw.below(10) {
            0 => Request::GetNextBrokerId(GetNextBrokerId {
                cluster_name: Some(CLUSTER.into()),
                broker_name: Some(set),
            }),
            1 => {
                let names = sets.iter().map(|set| Text::copied(set)).collect();
                Request::GetSyncStateData(GetSyncStateData { broker_names: Some(names) })
            }
            _ => Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some(set) }),
        };
        let pause = match lines.ask(peer, &request).await {
            Ok(_) => Duration::from_millis(draw.between(PAUSE_MS.0, PAUSE_MS.1)),
            Err(_) => RETRY,
        };
        sleep(pause).await;
    }
}
