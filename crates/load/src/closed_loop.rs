//! Closed-loop connections: each sends its next request when its last one is answered.
//!
//! ```text
//! lane 1   send ── wait ── check ── record ── send …         one task a connection,
//! lane 2        send ── wait ── check ── record ── send …    all on the calling thread
//! director      warm-up …… start_measuring …… stop           decides the window
//! ```
//!
//! A closed loop hides stalls (PERFORMANCE.md, section 1): it measures what the server can do and
//! what a request costs, not what a fleet would feel. It is kept because it needs no plan and its
//! ceiling is easy to measure beside it.
//!
//! Estimate for one request: a write and a read, 2 µs each on loopback, a share of one
//! `epoll_wait`, one clock read (50 ns), one record (12 ns). Measured, all in all: 6 to 7 µs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use measure::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::answer::{AnswerReader, BadAnswer, set_epoch};
use crate::clock;
use crate::generator::slot::frame_bytes;
use crate::requester::Requester;

/// How long the last answers of a phase may take before it counts as failed.
const DRAIN: Duration = Duration::from_secs(10);

/// Longest answer a lane accepts; those of the measured requests have some 250 bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const READ_BYTES: usize = 4096;

/// Answers are counted apart for each so long, so that a run's error can be told from its windows.
pub(crate) const WINDOW: Duration = Duration::from_millis(250);

/// Most windows, of some 200 kB each: four minutes. Answers after them count in the last one.
const WINDOWS_MAX: usize = 960;

/// Why a phase has no result.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The connection broke, or the server closed it.
    #[error("a connection broke: {0}")]
    Io(#[from] io::Error),
    /// An answer was not what the workload needs.
    #[error("a request was answered badly: {0}")]
    Answer(#[from] BadAnswer),
    /// Requests were still unanswered long after the end of the phase.
    #[error("answers were still missing {} s after the end of the phase", DRAIN.as_secs())]
    Drain,
}

/// One connection and the requests it sends, in turn and again from the first.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its place among all; they end in any order, and are given back in this one.
    pub(crate) number: usize,
    pub(crate) stream: TcpStream,
    /// At least one.
    pub(crate) requesters: Vec<Requester>,
}

/// Latencies and counts of one phase, shared by its lanes and its director.
///
/// The lock is never contended, because lanes and director share a thread.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug)]
struct Tally {
    stage: Stage,
    /// By windows of [`WINDOW`].
    windows: Vec<Histogram>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Warming,
    Measuring { since: Instant },
    Stopped { measured: Duration },
}

/// What was measured between [`Gauge::start_measuring`] and [`Gauge::stop`].
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Latencies by windows of [`WINDOW`]; the last one may be shorter.
    pub(crate) windows: Vec<Histogram>,
    pub(crate) time: Duration,
}

impl Measured {
    /// The latencies of all windows.
    pub(crate) fn latency(&self) -> Histogram {
        let mut all = Histogram::default();
        self.windows.iter().for_each(|window| all.add(window));
        all
    }
}

impl Gauge {
    pub(crate) fn new() -> Self {
        let tally = Tally { stage: Stage::Warming, windows: Vec::new() };
        Self { tally: Arc::new(Mutex::new(tally)) }
    }

    /// Answers that complete from now on are recorded.
    pub(crate) fn start_measuring(&self) {
        self.with(|tally| tally.stage = Stage::Measuring { since: clock::now() });
    }

    /// Ends the window; each lane waits for its last answer and returns.
    pub(crate) fn stop(&self) {
        self.with(|tally| {
            let measured = match tally.stage {
                Stage::Warming => Duration::ZERO,
                Stage::Measuring { since } => clock::now().saturating_duration_since(since),
                Stage::Stopped { measured } => measured,
            };
            tally.stage = Stage::Stopped { measured };
        });
    }

    /// Latencies recorded so far.
    #[cfg(test)]
    fn recorded(&self) -> u64 {
        self.with(|tally| tally.windows.iter().map(Histogram::count).sum())
    }

    /// The latencies and the length of the window; empty before [`Gauge::stop`].
    pub(crate) fn measured(&self) -> Measured {
        self.with(|tally| {
            let time = match tally.stage {
                Stage::Warming | Stage::Measuring { .. } => Duration::ZERO,
                Stage::Stopped { measured } => measured,
            };
            Measured { windows: tally.windows.clone(), time }
        })
    }

    /// Records an answer; `true` if the lane is to send another request.
    fn answered(&self, sent: Instant, done: Instant) -> bool {
        self.with(|tally| match tally.stage {
            Stage::Warming => true,
            Stage::Measuring { since } => {
                let latency = done.saturating_duration_since(sent).as_nanos();
                let number = done.saturating_duration_since(since).as_nanos() / WINDOW.as_nanos();
                let number = usize::try_from(number).unwrap_or(usize::MAX).min(WINDOWS_MAX - 1);
                while tally.windows.len() <= number {
                    tally.windows.push(Histogram::default());
                }
                tally.windows[number].record(u64::try_from(latency).unwrap_or(u64::MAX));
                true
            }
            Stage::Stopped { .. } => false,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Drives all `lanes` until `director` has ended and the last answers are in; gives the lanes back.
///
/// Runs on the current thread's runtime; the director is expected to call
/// [`Gauge::start_measuring`] and [`Gauge::stop`].
///
/// # Errors
/// The first failure of any lane ([`LaneError`]), at once.
pub(crate) async fn run<T>(
    lanes: Vec<Lane>,
    gauge: &Gauge,
    director: impl Future<Output = T>,
) -> Result<(Vec<Lane>, T), LaneError> {
    let mut running = JoinSet::new();
    for lane in lanes {
        running.spawn(drive(lane, gauge.clone()));
    }
    let directed = tokio::select! {
        directed = director => directed,
        failed = first_failure(&mut running) => return Err(failed),
    };
    gauge.stop();
    let all = async {
        let mut lanes = Vec::with_capacity(running.len());
        while let Some(joined) = running.join_next().await {
            lanes.push(joined.expect("a lane does not panic and is not aborted")?);
        }
        lanes.sort_by_key(|lane: &Lane| lane.number);
        Ok::<_, LaneError>(lanes)
    };
    match tokio::time::timeout(DRAIN, all).await {
        Ok(lanes) => Ok((lanes?, directed)),
        Err(_elapsed) => Err(LaneError::Drain),
    }
}

/// Waits for a lane that ends before it was told to, which can only be a failure.
async fn first_failure(running: &mut JoinSet<Result<Lane, LaneError>>) -> LaneError {
    match running.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Ok(Ok(_))) | Some(Err(_)) | None => std::future::pending().await,
    }
}

async fn drive(mut lane: Lane, gauge: Gauge) -> Result<Lane, LaneError> {
    let mut reader = AnswerReader::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut sent = clock::now();
    let mut turn = 0;
    loop {
        let requester = &mut lane.requesters[turn];
        lane.stream.write_all(requester.frame()).await?;
        let frame_end = read_frame(&mut lane.stream, &mut buffer).await?;
        let frame = &buffer[..frame_end];
        reader.check(frame, requester.opaque())?;
        let epoch = if requester.wants_set_epoch() { Some(set_epoch(frame)?) } else { None };
        requester.advance(epoch);
        turn = (turn + 1) % lane.requesters.len();
        // The end of one request is the beginning of the next: one clock read serves both.
        let done = clock::now();
        if !gauge.answered(sent, done) {
            return Ok(lane);
        }
        sent = done;
    }
}

/// Reads exactly one frame to the front of `buffer`. With one request in flight nothing follows it.
async fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<usize, LaneError> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += read;
        match frame_bytes(&buffer[..filled]) {
            Some(bytes) if bytes == filled => return Ok(bytes),
            Some(bytes) if bytes < filled => {
                return Err(BadAnswer::Malformed("more than one answer".to_owned()).into());
            }
            Some(bytes) if bytes > ANSWER_BYTES_MAX => {
                let text = format!("an answer of {bytes} bytes (ANSWER_BYTES_MAX)");
                return Err(BadAnswer::Malformed(text).into());
            }
            Some(bytes) if bytes > buffer.len() => buffer.resize(bytes, 0),
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use tokio::net::TcpStream;
    use tokio::task::yield_now;

    use super::{Gauge, Lane, LaneError, run};
    use crate::answer::BadAnswer;
    use crate::canned;
    use crate::requester::Requester;

    const LANES: usize = 8;
    const ANSWERS: u64 = 1_000;

    fn requester(code: i32) -> Requester {
        let header = format!("{{\"code\":{code},\"flag\":0,\"opaque\":1000000000}}");
        let bytes = u32::try_from(header.len()).unwrap();
        let lengths = [(bytes + 4).to_be_bytes(), bytes.to_be_bytes()].concat();
        let frame = [&lengths, header.as_bytes()].concat();
        if code == 1001 {
            return Requester::toggling(frame, 1, true).unwrap();
        }
        Requester::fixed(frame).unwrap()
    }

    /// Drives lanes against `listener` until a thousand answers are recorded.
    fn check(listener: &TcpListener, code: i32) -> Result<u64, LaneError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = listener.local_addr().unwrap();
        runtime.block_on(async {
            let mut lanes = Vec::new();
            for number in 0..LANES {
                let stream = TcpStream::connect(address).await.unwrap();
                lanes.push(Lane { number, stream, requesters: vec![requester(code)] });
            }
            let gauge = Gauge::new();
            let director = async {
                gauge.start_measuring();
                while gauge.recorded() < ANSWERS {
                    yield_now().await;
                }
            };
            let (lanes, ()) = run(lanes, &gauge, director).await?;
            assert!(lanes.iter().map(|lane| lane.number).eq(0..LANES), "in order");
            Ok(gauge.recorded())
        })
    }

    #[test]
    fn lanes_are_answered_by_the_canned_server() {
        for code in [904, 1001, 1004] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let served = listener.try_clone().unwrap();
            let server = std::thread::Builder::new()
                .spawn(move || canned::run(served, canned::Stalls::default()))
                .unwrap();
            let recorded = check(&listener, code).unwrap();
            assert!(recorded >= ANSWERS, "{code}: {recorded}");
            // It ends by itself once its last client has left.
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_refusal_ends_the_phase() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = listener.try_clone().unwrap();
        let refuse = move || {
            let header = b"{\"code\":2007,\"flag\":1,\"opaque\":1000000000}";
            let (mut stream, _) = served.accept().unwrap();
            let bytes = u32::try_from(header.len()).unwrap();
            stream.write_all(&[(bytes + 4).to_be_bytes(), bytes.to_be_bytes()].concat()).unwrap();
            stream.write_all(header).unwrap();
            stream
        };
        let server = std::thread::Builder::new().spawn(refuse).unwrap();
        let error = check(&listener, 904).unwrap_err();
        assert!(matches!(&error, LaneError::Answer(BadAnswer::Code { code: 2007, .. })), "{error}");
        drop(server.join().unwrap());
    }
}
