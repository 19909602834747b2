//! An actor's connections to the controllers, from its own address; everything asked over them is recorded.
//!
//! As a broker does, an actor closes its connection to a controller when an answer does not come in time.

use super::recorder::{Recorder, Result as Ended, Sample, result_of};
use crate::clock;
use client::{CallError, Connection, Deadline};
use protocol::{Request, Response};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::Mutex;
use tokio::time::timeout;
use workload::history::{Operation, Outcome};
use workload::record;

/// The connections of one actor.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) client: u32,
    from: Ipv4Addr,
    peers: Vec<SocketAddr>,
    slots: Vec<Mutex<Option<Connection>>>,
    /// How long a connect and an answer may take.
    patience: Duration,
    recorder: Arc<Recorder>,
}

impl Lines {
    /// No connection yet.
    pub(crate) fn new(
        (client, from): (u32, Ipv4Addr),
        peers: &[SocketAddr],
        patience: Duration,
        recorder: &Arc<Recorder>,
    ) -> Self {
        let slots = peers.iter().map(|_| Mutex::default()).collect();
        let recorder = Arc::clone(recorder);
        Self { client, from, peers: peers.to_vec(), slots, patience, recorder }
    }

    pub(crate) fn peers(&self) -> &[SocketAddr] {
        &self.peers
    }

    pub(crate) fn from(&self) -> Ipv4Addr {
        self.from
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The connection to a controller, a new one if there is none.
    pub(crate) async fn line(&self, peer: usize) -> Result<Connection, CallError> {
        let mut slot = self.slots[peer].lock().await;
        if let Some(open) = slot.as_ref().filter(|line| !line.is_closed()) {
            return Ok(open.clone());
        }
        let address = self.peers[peer];
        let connecting = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((self.from, 0).into())?;
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let connected = timeout(self.patience, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|error| CallError::Unreachable {
            address: address.to_string(),
            reason: error.to_string(),
        })?;
        let line = Connection::over(&address.to_string(), stream);
        *slot = Some(line.clone());
        Ok(line)
    }

    /// Closes the connection to a controller.
    pub(crate) async fn close(&self, peer: usize) {
        *self.slots[peer].lock().await = None;
    }

    /// Asks a controller, and records what came of it.
    pub(crate) async fn ask(&self, peer: usize, request: &Request) -> Result<Response, CallError> {
        let line = match self.line(peer).await {
            Ok(line) => line,
            Err(error) => {
                self.record(peer, request, clock::now(), None);
                return Err(error);
            }
        };
        let invoked = clock::now();
        let answer = line.call(request, Deadline::after(self.patience)).await;
        self.record(peer, request, invoked, Some(&answer));
        if answer.is_err() {
            drop(line);
            self.close(peer).await;
        }
        answer
    }

    /// `answer` is none if nothing was sent; then there is a sample and no operation.
    fn record(
        &self,
        peer: usize,
        request: &Request,
        invoked: u64,
        answer: Option<&Result<Response, CallError>>,
    ) {
        let ended = clock::now();
        let calls = record::calls(request);
        let is_write = calls.iter().any(|(_, call)| call.can_write());
        let mut sample =
            Sample { client: self.client, invoked, ended, result: Ended::Unreached, is_write };
        let sent = match answer {
            Some(Ok(response)) => Some(Some(response)),
            Some(Err(error)) if error.is_unknown() => Some(None),
            Some(Err(_)) | None => None,
        };
        let Some(response) = sent else { return self.recorder.tell(sample, Vec::new()) };
        let operation = |(set, call): (Box<str>, workload::history::Call)| {
            let outcome =
                response.map_or(Outcome::Unknown, |answer| record::outcome(&set, &call, answer));
            let finished = (outcome != Outcome::Unknown).then_some(ended);
            let peer = u32::try_from(peer).ok();
            Operation { client: self.client, peer, set, invoked, finished, call, outcome }
        };
        let operations: Vec<Operation> = calls.into_iter().map(operation).collect();
        let outcomes: Vec<&Outcome> = operations.iter().map(|o| &o.outcome).collect();
        sample.result = result_of(&outcomes);
        self.recorder.tell(sample, operations);
    }
}
