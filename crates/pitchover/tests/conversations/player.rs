//! Plays the steps of a conversation in their order.
//!
//! ```text
//! step ─► node (leader, follower, all) ─► connection (node, name) ─► answer ─► alike?
//! ```
//!
//! Equal names share one connection to a node, different names never do, and none is closed before
//! the end, because a close is news about a broker.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use client::{CallError, Cluster, Connection, Deadline};
use protocol::response_code;

use crate::alike::difference;
use crate::deviation::{Deviations, Expected, may_ask_again};
use crate::step::{Answer, Step, To};

/// How long three fresh processes may take to agree on a leader.
const LEADER: Duration = Duration::from_secs(30);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(6);

/// A step whose answer is not what it must be.
#[derive(Debug)]
pub(crate) struct Difference {
    step: Step,
    text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { n, to, code, ext, body, note, .. } = &self.step;
        write!(f, "step {n} ({note}): {code} to {to:?}")?;
        for (key, value) in ext.iter().flatten() {
            write!(f, " {key}={value}")?;
        }
        if let Some(body) = body {
            write!(f, " body {body}")?;
        }
        write!(f, "\n    {}", self.text)
    }
}

/// Plays `steps` to the cluster at `addresses`; the differences in order.
///
/// # Errors
/// If no leader is named, or a node cannot be reached. A step without an answer is a difference.
pub(crate) async fn play(
    steps: &[Step],
    addresses: &[String],
) -> Result<Vec<Difference>, CallError> {
    let mut player = Player::find_roles(addresses).await?;
    let mut deviations = Deviations::default();
    let mut differences = Vec::new();
    for step in steps {
        deviations.note(step);
        if step.wait > 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(step.wait)).await;
        }
        if let Some(text) = player.play(step, &deviations).await? {
            differences.push(Difference { step: step.clone(), text });
        }
    }
    Ok(differences)
}

struct Player {
    addresses: Vec<String>,
    leader: usize,
    follower: usize,
    /// By node and name.
    connections: BTreeMap<(usize, String), Connection>,
}

impl Player {
    async fn find_roles(addresses: &[String]) -> Result<Self, CallError> {
        let deadline = Deadline::after(LEADER);
        let cluster = Cluster::new(addresses);
        loop {
            // Waits until a leader is named at all; then each node's own word counts.
            cluster.leader(deadline).await?;
            let said =
                cluster.metadata(deadline).await.into_iter().collect::<Result<Vec<_>, _>>()?;
            if let Some(leader) = said.iter().position(|node| node.is_leader) {
                let follower = (0..addresses.len()).find(|node| *node != leader).unwrap_or(leader);
                let connections = BTreeMap::new();
                return Ok(Self { addresses: addresses.to_vec(), leader, follower, connections });
            }
        }
    }

    /// Plays one step; what is wrong with the answer, if anything.
    async fn play(
        &mut self,
        step: &Step,
        deviations: &Deviations,
    ) -> Result<Option<String>, CallError> {
        let counts = if step.to == To::Follower { self.follower } else { self.leader };
        let all = 0..self.addresses.len();
        let nodes = if step.to == To::All { all } else { counts..counts + 1 };
        let mut counted = None;
        for node in nodes {
            let answer = self.ask(node, step).await?;
            if node == counts {
                counted = Some(answer);
            }
        }
        let got = match counted.expect("the node that counts is among those asked") {
            Ok(got) => got,
            Err(error) => return Ok(Some(format!("no answer: {error}"))),
        };
        let expected = match step.deviation.as_deref() {
            None => Expected::Answer(step.answer.clone()),
            Some(deviation) => deviations.expected(step, deviation),
        };
        match expected {
            Expected::Answer(expected) => Ok(difference(step.code, &expected, &got)),
            Expected::AsLeader => self.compare_with_leader(step, &got).await,
            Expected::Unknown(text) => Ok(Some(format!("a deviation nobody knows: {text}"))),
        }
    }

    async fn compare_with_leader(
        &mut self,
        step: &Step,
        got: &Answer,
    ) -> Result<Option<String>, CallError> {
        if got.code == response_code::CONTROLLER_NOT_LEADER {
            return Ok(Some("a follower refuses".to_owned()));
        }
        if !may_ask_again(step, got) {
            return Ok(None);
        }
        Ok(match self.ask(self.leader, step).await? {
            Ok(expected) => difference(step.code, &expected, got),
            Err(error) => Some(format!("no answer of the leader: {error}")),
        })
    }

    /// Sends a step's request to one node; the inner error is a request without an answer.
    async fn ask(
        &mut self,
        node: usize,
        step: &Step,
    ) -> Result<Result<Answer, CallError>, CallError> {
        let place = (node, step.conn.clone());
        if !self.connections.contains_key(&place) {
            let connecting = Connection::connect(&self.addresses[node], Deadline::after(ANSWER));
            self.connections.insert(place.clone(), connecting.await?);
        }
        let connection = &self.connections[&place];
        let answer = connection.exchange(step.frame(), Deadline::after(ANSWER)).await;
        Ok(answer.map(|frame| Answer::of(&frame)))
    }
}
