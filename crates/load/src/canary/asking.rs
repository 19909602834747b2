//! One connection to each controller, and one request at a time: how it ended.

use std::sync::Arc;
use std::time::Duration;

use client::{CallError, Connection, Deadline};
use protocol::{Request, Response, response_code};
use tokio::sync::Mutex;

use super::record::Ending;

/// How long an answer may take: as long as a broker waits.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

/// Connections to all controllers of a group, each opened when it is needed.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    nodes: Arc<[Node]>,
}

#[derive(Debug)]
struct Node {
    address: String,
    connection: Mutex<Option<Connection>>,
}

impl Asker {
    pub(super) fn new(addresses: &[String]) -> Self {
        let node =
            |address: &String| Node { address: address.clone(), connection: Mutex::default() };
        Self { nodes: addresses.iter().map(node).collect() }
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn address(&self, node: usize) -> &str {
        &self.nodes[node].address
    }

    /// Sends a request to one controller, whatever its role is.
    pub(super) async fn ask(&self, node: usize, request: &Request) -> (Ending, Option<Response>) {
        let deadline = Deadline::after(ANSWER);
        let answer = match self.nodes[node].open(deadline).await {
            Ok(connection) => connection.call(request, deadline).await,
            Err(error) => Err(error),
        };
        ending(answer)
    }
}

impl Node {
    async fn open(&self, deadline: Deadline) -> Result<Connection, CallError> {
        let mut slot = self.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|it| !it.is_closed()) {
            return Ok(open.clone());
        }
        let opened = Connection::connect(&self.address, deadline).await?;
        Ok(slot.insert(opened).clone())
    }
}

/// How a request ended, and its answer if that is good.
pub(super) fn ending(answer: Result<Response, CallError>) -> (Ending, Option<Response>) {
    match answer {
        Ok(answer) if answer.code == response_code::SUCCESS => (Ending::Good, Some(answer)),
        Ok(answer) if answer.code == response_code::CONTROLLER_NOT_LEADER => {
            (Ending::Elsewhere, None)
        }
        Ok(answer) => {
            let remark = answer.remark.as_deref().unwrap_or_default();
            (Ending::Refused(format!("code {}: {remark}", answer.code)), None)
        }
        Err(CallError::Timeout { .. }) => (Ending::TimedOut, None),
        Err(error) => (Ending::Lost(error.to_string()), None),
    }
}
