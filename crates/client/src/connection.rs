//! One connection to one controller: many calls in flight, answers in any order.
//!
//! ```text
//! call ──► Waiting (opaque) ──► queue ──► writer task ──► socket
//! call ◄── oneshot ◄── Waiting ◄── reader task ◄───────── socket
//! ```
//!
//! The writer sends all that is queued in one write. Both tasks end, and every waiting call hears
//! of it, when the socket breaks, when bytes arrive that are no frame, or when the last clone of
//! the [`Connection`] is dropped.
//!
//! A request counts as sent once it stands in the queue. That is earlier than the truth, and so
//! errs on the side that a checker needs: an outcome called known is known.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use protocol::{FLAG_ONE_WAY, Frame, HeaderEncoding, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::clock::Deadline;
use crate::error::CallError;
use crate::waiting::{End, Refused, Told, Waiting};

/// Frames that may stand between the callers and the writer; a caller waits when it is full.
const QUEUE_FRAMES_MAX: usize = 1024;

/// The writer gathers about this much before it writes.
const WRITE_BYTES: usize = 64 * 1024;

const READ_BYTES: usize = 16 * 1024;

/// A connection to one controller; clones share it.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    address: String,
    waiting: Arc<Waiting>,
    queue: mpsc::Sender<BytesMut>,
}

impl Connection {
    /// Connects to `address`, `host:port`; the first resolved address that accepts is taken.
    ///
    /// Must be called inside a Tokio runtime, which carries the connection's two tasks.
    ///
    /// # Errors
    /// - [`CallError::Unreachable`]: no such host, refused, or no answer before `deadline`.
    pub async fn connect(address: &str, deadline: Deadline) -> Result<Self, CallError> {
        let connecting = timeout_at(deadline.instant(), TcpStream::connect(address)).await;
        let connected = connecting.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|error| CallError::unreachable(address, &error))?;
        Ok(Self::over(address, stream))
    }

    /// A connection over a socket that is connected already, for callers that choose its source
    /// address or options themselves; `address` is for messages only.
    #[must_use]
    pub fn over(address: &str, stream: TcpStream) -> Self {
        let (reading, writing) = stream.into_split();
        let (queue, queued) = mpsc::channel(QUEUE_FRAMES_MAX);
        let waiting = Arc::new(Waiting::default());
        let writer = tokio::spawn(write(writing, queued));
        let for_reader = Arc::clone(&waiting);
        tokio::spawn(async move {
            // The writer ends when the last handle is dropped or the socket refuses: then no
            // answer is awaited any more, and reading ends with it.
            let end = tokio::select! {
                end = read(reading, &for_reader) => end,
                ended = writer => End::Lost(ended.unwrap_or_else(|panic| panic.to_string())),
            };
            for_reader.close(&end);
        });
        Self { shared: Arc::new(Shared { address: address.to_owned(), waiting, queue }) }
    }

    /// The address as it was given.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Whether the connection has ended; a new one is needed then.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.waiting.is_closed()
    }

    /// Sends `request` with a JSON header and waits for its answer, whatever its code.
    ///
    /// # Errors
    /// - [`CallError::Closed`], [`CallError::Busy`]: it was not sent.
    /// - [`CallError::Timeout`], [`CallError::ConnectionLost`], [`CallError::Unreadable`]: the
    ///   outcome is unknown.
    pub async fn call(&self, request: &Request, deadline: Deadline) -> Result<Response, CallError> {
        let encode = |opaque, out: &mut BytesMut| {
            request.encode(opaque, 0, HeaderEncoding::Json, out);
        };
        self.ask(encode, deadline).await.map(Response::from_frame)
    }

    /// Sends any `frame` under an opaque of this connection and waits for its answer; the answer's
    /// opaque is put back to the frame's own.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn exchange(&self, frame: Frame, deadline: Deadline) -> Result<Frame, CallError> {
        let own = frame.header.opaque;
        let encode = |opaque, out: &mut BytesMut| {
            let mut frame = frame;
            frame.header.opaque = opaque;
            frame.encode(out);
        };
        let mut answer = self.ask(encode, deadline).await?;
        answer.header.opaque = own;
        Ok(answer)
    }

    /// Queues `request` as a one-way one. `Ok` says that it was handed to the socket's writer, not
    /// that it arrived.
    ///
    /// # Errors
    /// - [`CallError::Closed`]: it was not sent.
    /// - [`CallError::Busy`]: the queue was full until `deadline`; it was not sent.
    pub async fn send_one_way(
        &self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<(), CallError> {
        let opaque = self.shared.waiting.opaque().map_err(|refused| self.refused(&refused))?;
        let mut bytes = BytesMut::new();
        request.encode(opaque, FLAG_ONE_WAY, HeaderEncoding::Json, &mut bytes);
        self.enqueue(bytes, deadline).await
    }

    async fn ask(
        &self,
        encode: impl FnOnce(i32, &mut BytesMut),
        deadline: Deadline,
    ) -> Result<Frame, CallError> {
        let waiting = &self.shared.waiting;
        let (opaque, waiter) = waiting.open().map_err(|refused| self.refused(&refused))?;
        // Forgets the wait on every way out, also when the caller drops this future.
        let _forget = Forget { waiting, opaque };
        let mut bytes = BytesMut::new();
        encode(opaque, &mut bytes);
        self.enqueue(bytes, deadline).await?;
        match timeout_at(deadline.instant(), waiter).await {
            Ok(Ok(told)) => self.told(told),
            Ok(Err(_dropped)) => self.told(Err(End::Lost("the runtime ended".to_owned()))),
            Err(_elapsed) => Err(CallError::Timeout { address: self.address().to_owned() }),
        }
    }

    async fn enqueue(&self, bytes: BytesMut, deadline: Deadline) -> Result<(), CallError> {
        let address = || self.address().to_owned();
        match timeout_at(deadline.instant(), self.shared.queue.reserve()).await {
            Ok(Ok(place)) => {
                place.send(bytes);
                Ok(())
            }
            Ok(Err(_closed)) => Err(CallError::Closed { address: address() }),
            Err(_elapsed) => Err(CallError::Busy { address: address() }),
        }
    }

    fn told(&self, told: Told) -> Result<Frame, CallError> {
        let address = || self.address().to_owned();
        told.map_err(|end| match end {
            End::Lost(reason) => CallError::ConnectionLost { address: address(), reason },
            End::Unreadable(reason) => CallError::Unreadable { address: address(), reason },
        })
    }

    fn refused(&self, refused: &Refused) -> CallError {
        let address = self.address().to_owned();
        match refused {
            Refused::Full => CallError::Busy { address },
            Refused::Closed => CallError::Closed { address },
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_closed() { "closed" } else { "open" };
        write!(f, "Connection({}, {state})", self.address())
    }
}

struct Forget<'a> {
    waiting: &'a Waiting,
    opaque: i32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.waiting.forget(self.opaque);
    }
}

/// Writes what is queued until the queue's last sender is gone; returns why it ended.
async fn write(mut socket: OwnedWriteHalf, mut queued: mpsc::Receiver<BytesMut>) -> String {
    let mut out = BytesMut::new();
    while let Some(frame) = queued.recv().await {
        out.extend_from_slice(&frame);
        while out.len() < WRITE_BYTES
            && let Ok(frame) = queued.try_recv()
        {
            out.extend_from_slice(&frame);
        }
        if let Err(error) = socket.write_all(&out).await {
            return error.to_string();
        }
        out.clear();
    }
    "the last handle was dropped".to_owned()
}

/// Reads answers and hands them over until the socket ends.
async fn read(mut socket: OwnedReadHalf, waiting: &Waiting) -> End {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        match protocol::split(&mut buffer).map(|frame| frame.map(Frame::decode)) {
            Err(error) | Ok(Some(Err(error))) => return End::Unreadable(error.to_string()),
            Ok(Some(Ok(frame))) if frame.header.is_response() => waiting.answer(frame),
            // A request of the server's own: nobody here can answer it.
            Ok(Some(Ok(_request))) => {}
            Ok(None) => {
                buffer.reserve(READ_BYTES);
                match socket.read_buf(&mut buffer).await {
                    Ok(0) => return End::Lost("closed by the other side".to_owned()),
                    Ok(_) => {}
                    Err(error) => return End::Lost(error.to_string()),
                }
            }
        }
    }
}
