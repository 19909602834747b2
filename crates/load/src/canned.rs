//! The ceiling: a server that knows its answers beforehand.
//!
//! It does what no server can leave out: read, cut frames, find the opaque, write. It decodes
//! nothing, keeps nothing and syncs nothing. What it reaches on one thread, over the same kind of
//! sockets and under the same generator, is the ceiling of the machine and the method, and every
//! number of `bench quick` stands beside it.
//!
//! | Request begins with | Answer |
//! |---|---|
//! | `{"code":1001,` | an ALTER's success with set epoch 1 |
//! | `{"code":1004,` | a `GET_REPLICA_INFO` answer with a master and three members |
//! | anything else | a heartbeat's `Heart beat success` |
//!
//! It serves this crate's generator only: a frame without a ten-digit opaque ends its connection,
//! and the server ends when its last client has left.
//!
//! For `bench selftest` it stalls by plan: it answers nobody for a while, again and again, so that the
//! truth about its latencies can be computed.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::clock::mono_ns;
use crate::generator::pacer::sleep_until;
use crate::generator::slot::{HEAD_BYTES, OPAQUE_DIGITS, find_opaque, frame_bytes};
use crate::own_cluster::end;

/// Longest frame it accepts.
const FRAME_BYTES_MAX: usize = 64 * 1024;

const ALTER_HEADER: &str = r#"{"code":0,"extFields":{"newSyncStateSetEpoch":"1"},"flag":1,"language":"JAVA","opaque":1000000000,"serializeTypeCurrentRPC":"JSON","version":0}"#;
const ALTER_BODY: &str = r#"{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}"#;
const READ_HEADER: &str = r#"{"code":0,"extFields":{"masterBrokerId":"1","masterAddress":"127.0.0.1:30911","masterEpoch":"1"},"flag":1,"language":"JAVA","opaque":1000000000,"serializeTypeCurrentRPC":"JSON","version":0}"#;
const READ_BODY: &str = r#"{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}"#;
const HEARTBEAT_HEADER: &str = r#"{"code":0,"flag":1,"language":"JAVA","opaque":1000000000,"remark":"Heart beat success","serializeTypeCurrentRPC":"JSON","version":0}"#;

/// When the server answers nobody: for `length` at the beginning of every `every`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stalls {
    /// From one stall to the next; nought for none.
    pub every: Duration,
    /// How long each is.
    pub length: Duration,
}

impl Stalls {
    /// When the stall ends that a moment lies in, both in nanoseconds from the first one.
    fn end_of(self, since_ns: u64) -> Option<u64> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let into_ns = since_ns.checked_rem(nanos(self.every))?;
        let left_ns = nanos(self.length).checked_sub(into_ns).filter(|left_ns| *left_ns > 0)?;
        Some(since_ns + left_ns)
    }
}

/// Serves `listener` on the calling thread until the last client has left.
///
/// # Errors
/// If the runtime cannot be built or the listener fails.
pub fn run(listener: TcpListener, stalls: Stalls) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve(listener, Stalling { stalls, first_ns: mono_ns() }))
}

/// A running canned-answer server in a process of its own; dropping it ends it.
#[derive(Debug)]
pub(crate) struct CannedServer {
    pub(crate) child: Child,
}

impl CannedServer {
    /// Starts `program canned-server`. It may take a moment to listen.
    ///
    /// # Errors
    /// If there is no process for it.
    pub(crate) fn start(program: &Path, port: u16, stalls: Stalls) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(["canned-server", "--port", &port.to_string()]).stdin(Stdio::null());
        let millis = |time: Duration| time.as_millis().to_string();
        command.args(["--stall-every-ms", &millis(stalls.every)]);
        command.args(["--stall-ms", &millis(stalls.length)]);
        command.spawn().map(|child| Self { child })
    }
}

impl Drop for CannedServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Stalls of a server that has begun.
#[derive(Clone, Copy, Debug)]
struct Stalling {
    stalls: Stalls,
    first_ns: u64,
}

impl Stalling {
    /// Blocks the server's only thread, and so everybody, while a stall lasts.
    fn wait(&self) {
        let since_ns = mono_ns().saturating_sub(self.first_ns);
        if let Some(end_ns) = self.stalls.end_of(since_ns) {
            sleep_until(self.first_ns + end_ns);
        }
    }
}

async fn serve(listener: TcpListener, stalling: Stalling) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                clients.spawn(answer(stream, stalling));
            }
            Some(_ended) = clients.join_next() => {
                if clients.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

/// An answer with a slot for the opaque.
struct Canned {
    frame: Vec<u8>,
    opaque_at: usize,
}

impl Canned {
    fn new(header: &str, body: &str) -> Self {
        let header_bytes = u32::try_from(header.len()).expect("canned answers are short");
        let total = u32::try_from(4 + header.len() + body.len()).expect("canned answers are short");
        let lengths = [total.to_be_bytes(), header_bytes.to_be_bytes()].concat();
        let frame = [&lengths, header.as_bytes(), body.as_bytes()].concat();
        let opaque_at = find_opaque(&frame, 0).expect("each canned header holds an opaque");
        Self { frame, opaque_at }
    }

    fn append(&self, out: &mut Vec<u8>, opaque: &[u8]) {
        let at = out.len() + self.opaque_at;
        out.extend_from_slice(&self.frame);
        out[at..at + OPAQUE_DIGITS].copy_from_slice(opaque);
    }
}

async fn answer(mut stream: TcpStream, stalling: Stalling) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let alter = Canned::new(ALTER_HEADER, ALTER_BODY);
    let read = Canned::new(READ_HEADER, READ_BODY);
    let heartbeat = Canned::new(HEARTBEAT_HEADER, "");
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    let (mut filled, mut opaque_at) = (0, 0);
    let mut out = Vec::new();
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut start = 0;
        while let Some(frame) = whole_frame(&buffer[start..filled]) {
            let Some(at) = find_opaque(frame, opaque_at) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            opaque_at = at;
            let canned = match frame.get(HEAD_BYTES + 8..HEAD_BYTES + 12) {
                Some(b"1001") => &alter,
                Some(b"1004") => &read,
                Some(_) | None => &heartbeat,
            };
            canned.append(&mut out, &frame[at..at + OPAQUE_DIGITS]);
            start += frame.len();
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if filled == buffer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stalling.wait();
        stream.write_all(&out).await?;
        out.clear();
    }
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..frame_bytes(bytes)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Stalls;

    #[test]
    fn stalls_begin_and_end_by_plan() {
        let stalls = Stalls { every: Duration::from_nanos(100), length: Duration::from_nanos(10) };
        let rows = [(0, Some(10)), (9, Some(10)), (10, None), (99, None), (205, Some(210))];
        for (since_ns, end_ns) in rows {
            assert_eq!(stalls.end_of(since_ns), end_ns, "{since_ns}");
        }
        assert_eq!(Stalls::default().end_of(5), None);
    }
}
