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

use std::io;
use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::generator::slot::{HEAD_BYTES, OPAQUE_DIGITS, find_opaque, frame_bytes};

/// Longest frame it accepts.
const FRAME_BYTES_MAX: usize = 64 * 1024;

const ALTER_HEADER: &str = r#"{"code":0,"extFields":{"newSyncStateSetEpoch":"1"},"flag":1,"language":"JAVA","opaque":1000000000,"serializeTypeCurrentRPC":"JSON","version":0}"#;
const ALTER_BODY: &str = r#"{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}"#;
const READ_HEADER: &str = r#"{"code":0,"extFields":{"masterBrokerId":"1","masterAddress":"127.0.0.1:30911","masterEpoch":"1"},"flag":1,"language":"JAVA","opaque":1000000000,"serializeTypeCurrentRPC":"JSON","version":0}"#;
const READ_BODY: &str = r#"{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}"#;
const HEARTBEAT_HEADER: &str = r#"{"code":0,"flag":1,"language":"JAVA","opaque":1000000000,"remark":"Heart beat success","serializeTypeCurrentRPC":"JSON","version":0}"#;

/// Serves `listener` on the calling thread until the last client has left.
///
/// # Errors
/// If the runtime cannot be built or the listener fails.
pub fn run(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve(listener))
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                clients.spawn(answer(stream));
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

async fn answer(mut stream: TcpStream) -> io::Result<()> {
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
        stream.write_all(&out).await?;
        out.clear();
    }
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..frame_bytes(bytes)?)
}
