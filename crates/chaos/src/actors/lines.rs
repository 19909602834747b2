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

/// A request on its way. An actor that ends in the middle of it leaves a request that may have an effect: then
/// dropping this records it, as unknown.
struct Asked<'a> {
    lines: &'a Lines,
    peer: usize,
    request: &'a Request,
    invoked: u64,
    is_told: bool,
}

impl Asked<'_> {
    fn tell(mut self, answer: &Result<Response, CallError>) {
        self.is_told = true;
        self.lines.record(self.peer, self.request, self.invoked, Some(answer));
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let address = self.lines.peers[self.peer].to_string();
            let unknown = Err(CallError::Timeout { address });
            self.lines.record(self.peer, self.request, self.invoked, Some(&unknown));
        }
    }
}

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
        let asked = Asked { lines: self, peer, request, invoked: clock::now(), is_told: false };
        let answer = line.call(request, Deadline::after(self.patience)).await;
        asked.tell(&answer);
        if answer.is_err() {
            drop(line);
            self.close(peer).await;
        }
        answer
    }

    /// Sends what nobody answers, and nobody records; what is lost is followed by the next. Whether it left.
    pub(crate) async fn tell(&self, peer: usize, request: &Request, patience: Duration) -> bool {
        let Ok(line) = self.line(peer).await else { return false };
        line.send_one_way(request, Deadline::after(patience)).await.is_ok()
    }

    /// `answer` is none if nothing was sent: then there is a sample and no operation.
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

#[cfg(test)]
mod tests {
    use super::{Asked, Lines};
    use crate::actors::recorder::Recorder;
    use protocol::{GetReplicaInfo, Request};
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;
    use workload::history::Outcome;

    #[test]
    fn what_an_ended_actor_asked_is_unknown() {
        let folder = std::env::temp_dir().join(format!("pitchover-lines-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let recorder = Arc::new(Recorder::create(&folder, 1, (true, "a test".into())).unwrap());
        let peers = [SocketAddr::from((Ipv4Addr::LOCALHOST, 1))];
        let lines = Lines::new((7, Ipv4Addr::LOCALHOST), &peers, Duration::ZERO, &recorder);
        let name = Some("a".into());
        let request = &Request::GetReplicaInfo(GetReplicaInfo { broker_name: name });
        drop(Asked { lines: &lines, peer: 0, request, invoked: 1, is_told: false });
        let records = recorder.lock();
        let operations = &records.history.operations;
        assert_eq!((operations.len(), &operations[0].outcome), (1, &Outcome::Unknown));
        assert_eq!((operations[0].client, operations[0].finished), (7, None));
        drop(records);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
