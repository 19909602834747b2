//! The leader behind several addresses.
//!
//! ```text
//! no leader known ──1005 to all addresses──► leader's address ──connect──► leader known
//!      ▲                                                                      │
//!      └── not sent, or answered 2007 (not leader) or 1500 (go away) ◄────────┘
//! ```
//!
//! Only a request that certainly had no effect is sent again. A call whose outcome is unknown
//! returns at once, and the next call looks for the leader again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::{Request, Response, response_code};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::Deadline;
use crate::connection::Connection;
use crate::error::CallError;
use crate::metadata::Metadata;

/// Addresses that one cluster may have.
const ADDRESSES_MAX: usize = 64;

/// How long one address may take to name the leader before the others decide alone.
const ASK: Duration = Duration::from_secs(1);

/// Pause between two rounds that found no leader.
const PAUSE: Duration = Duration::from_millis(50);

/// A group of controllers, reached by any of their addresses.
#[derive(Debug)]
pub struct Cluster {
    addresses: Vec<String>,
    leader: Mutex<Option<Connection>>,
}

impl Cluster {
    /// A cluster with these addresses, each `host:port`; nothing is connected yet.
    ///
    /// # Panics
    /// If there are none, or more than 64 (`ADDRESSES_MAX`).
    pub fn new<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Self {
        let addresses: Vec<String> = addresses.into_iter().map(Into::into).collect();
        assert!(!addresses.is_empty(), "a cluster has one address or more");
        assert!(addresses.len() <= ADDRESSES_MAX, "more than {ADDRESSES_MAX} addresses");
        Self { addresses, leader: Mutex::new(None) }
    }

    /// The addresses as they were given.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// A connection to the leader: the one in use, or a new one after asking for it.
    ///
    /// # Errors
    /// - [`CallError::NoLeader`]: none was named and reached before `deadline`.
    pub async fn leader(&self, deadline: Deadline) -> Result<Connection, CallError> {
        if let Some(leader) = self.remembered() {
            return Ok(leader);
        }
        loop {
            let failed = match self.find(deadline).await {
                Ok(leader) => {
                    *self.slot() = Some(leader.clone());
                    return Ok(leader);
                }
                Err(failed) => failed,
            };
            if !deadline.leaves(PAUSE) {
                return Err(failed);
            }
            sleep(PAUSE).await;
        }
    }

    /// Sends `request` to the leader and waits for the answer; follows the leader when it moves.
    ///
    /// The answer may still be a 2007 if the deadline passes first.
    ///
    /// # Errors
    /// - [`CallError::NoLeader`]: no leader was found before `deadline`; nothing was sent.
    /// - any other [`CallError`] of [`Connection::call`].
    pub async fn call(&self, request: &Request, deadline: Deadline) -> Result<Response, CallError> {
        loop {
            let leader = self.leader(deadline).await?;
            let result = leader.call(request, deadline).await;
            let moved = match &result {
                Ok(answer) => is_elsewhere(answer.code),
                Err(error) => !error.is_unknown(),
            };
            if result.is_err() || moved {
                self.forget();
            }
            if !moved || !deadline.leaves(PAUSE) {
                return result;
            }
            sleep(PAUSE).await;
        }
    }

    /// What each address says about the cluster, in the order of the addresses.
    ///
    /// # Panics
    /// Never: the tasks that ask do not panic.
    pub async fn metadata(&self, deadline: Deadline) -> Vec<Result<Metadata, CallError>> {
        let mut asking = JoinSet::new();
        for (index, address) in self.addresses.iter().cloned().enumerate() {
            asking.spawn(async move { (index, ask(&address, deadline).await) });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn find(&self, deadline: Deadline) -> Result<Connection, CallError> {
        let answers = self.metadata(deadline.within(ASK)).await;
        let named = |want_own: bool| {
            let known = answers.iter().flatten();
            let mut fitting = known.filter(move |node| node.is_leader || !want_own);
            fitting.find_map(|node| node.leader_address.clone())
        };
        // Who takes itself for the leader knows better than who heard of one.
        let Some(address) = named(true).or_else(|| named(false)) else {
            let reason = |(address, answer): (&String, &Result<Metadata, CallError>)| match answer {
                Ok(_) => format!("{address} names none"),
                Err(error) => error.to_string(),
            };
            let reasons: Vec<_> = self.addresses.iter().zip(&answers).map(reason).collect();
            return Err(CallError::NoLeader { reasons: reasons.join("; ") });
        };
        let connected = Connection::connect(&address, deadline.within(ASK)).await;
        connected.map_err(|error| CallError::NoLeader { reasons: error.to_string() })
    }

    fn remembered(&self) -> Option<Connection> {
        self.slot().as_ref().filter(|leader| !leader.is_closed()).cloned()
    }

    fn forget(&self) {
        *self.slot() = None;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_elsewhere(code: i32) -> bool {
    matches!(code, response_code::CONTROLLER_NOT_LEADER | response_code::GO_AWAY)
}

async fn ask(address: &str, deadline: Deadline) -> Result<Metadata, CallError> {
    let connection = Connection::connect(address, deadline).await?;
    let answer = connection.call(&Request::GetMetadataInfo, deadline).await?;
    Ok(Metadata::read(&answer))
}
