//! A thread that exports: metrics at each interval, spans as they come.
//!
//! | What | Limit | Beyond it |
//! |---|---|---|
//! | spans that wait | [`SPANS_WAITING_MAX`] | dropped, and counted |
//! | spans of one message | [`BATCH_SPANS_MAX`] | the next message |
//! | points of one message | [`MESSAGE_POINTS_MAX`] | the next message, at once |
//! | messages of one kind on their way | 1 | metrics: the interval passes; spans: they wait |
//! | one call | the target's time-out | given up, and counted; the next call connects anew |
//!
//! A message that failed is not sent again: metrics are sums, which the next interval repeats (or differences of what
//! was taken, `delta.rs`), and a span that nobody took is lost.
//!
//! When the exporter goes, it tries once more what there is, each kind within [`FAREWELL`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::clock::wall_nanos;
use crate::collector::{Collector, ErrorKind, SendError, Target};
use crate::data::{Scope, Span};
use crate::delta::Taken;
use crate::encode::{Resource, metrics_message, spans_message};
use crate::lines::lines;
use crate::parts::parts;

/// Spans that may wait for the collector: some megabytes.
pub const SPANS_WAITING_MAX: usize = 8_192;

/// Points of one message of metrics: with up to 2 KiB for each it fits what collectors take.
const MESSAGE_POINTS_MAX: usize = 2_000;

/// Spans of one message.
const BATCH_SPANS_MAX: usize = 512;

/// How long the first span of a message waits for more.
const BATCH_WAIT: Duration = Duration::from_millis(500);

/// How long the program's end waits for what is left, for each kind.
const FAREWELL: Duration = Duration::from_millis(500);

/// How much less than the program's other threads this one gets where all processors are busy.
const NICE: i32 = 10;

const METRICS_SERVICE: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
const SPANS_SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Spans.
    Spans,
}

/// What became of messages and spans, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    sent: [AtomicU64; 2],
    failed: [AtomicU64; 2],
    spans_dropped: AtomicU64,
}

impl Counts {
    /// Messages that the collector took, and those that it did not (lines of the log count as taken).
    #[must_use]
    pub fn messages(&self, signal: Signal) -> (u64, u64) {
        let of = |counts: &[AtomicU64; 2]| counts[signal as usize].load(Ordering::Relaxed);
        (of(&self.sent), of(&self.failed))
    }

    /// Spans that found no room, or were in a message that the collector did not take.
    #[must_use]
    pub fn spans_dropped(&self) -> u64 {
        self.spans_dropped.load(Ordering::Relaxed)
    }

    fn drop_spans(&self, count: usize) {
        self.spans_dropped.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn message(&self, signal: Signal, is_sent: bool) {
        let counts = if is_sent { &self.sent } else { &self.failed };
        counts[signal as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Where metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsWay {
    /// To a collector.
    Otlp(Target),
    /// To the log, a line for each metric.
    Log,
}

/// How metrics are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPlan {
    /// Where to.
    pub way: MetricsWay,
    /// How often; also how long after the start for the first time. Not 0.
    pub interval: Duration,
    /// Send what was counted since the last export, and not since the start.
    pub is_delta: bool,
}

/// What an exporter does; nothing if both are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who exports.
    pub resource: Resource,
    /// Metrics.
    pub metrics: Option<MetricsPlan>,
    /// Spans, and to whom.
    pub spans: Option<Target>,
}

/// Takes spans; clones share one queue.
#[derive(Debug, Clone)]
pub struct Spans {
    queue: Sender<Span>,
    counts: Arc<Counts>,
}

impl Spans {
    /// Takes the spans of one trace if there is room for all of them; else they are dropped and counted. Never waits.
    pub fn offer(&self, spans: Vec<Span>) {
        match self.queue.try_reserve_many(spans.len()) {
            Ok(places) => places.zip(spans).for_each(|(place, span)| place.send(span)),
            Err(_full) => self.counts.drop_spans(spans.len()),
        }
    }
}

/// Exports until it is dropped.
#[derive(Debug)]
pub struct Exporter {
    spans: Option<Spans>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts the thread. `read` says what the metrics are now; it is called on that thread at each interval.
    ///
    /// # Errors
    /// No runtime or no thread can be had.
    ///
    /// # Panics
    /// If the interval is 0.
    pub fn start(
        plan: Plan,
        counts: Arc<Counts>,
        read: impl FnMut() -> Vec<Scope> + Send + 'static,
    ) -> io::Result<Self> {
        if let Some(metrics) = &plan.metrics {
            assert!(!metrics.interval.is_zero(), "metrics are exported every 0 s");
        }
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // Only names are looked up there.
        let runtime = runtime.enable_all().max_blocking_threads(1).build()?;
        let (stop, stopped) = watch::channel(false);
        let (queue, waiting) = mpsc::channel(SPANS_WAITING_MAX);
        let spans = Spans { queue, counts: Arc::clone(&counts) };
        let spans = plan.spans.is_some().then_some(spans);
        let thread = std::thread::Builder::new().name("telemetry".to_owned()).spawn(move || {
            // Where the system has no such thing, this thread gets as much as the others.
            rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE).ok();
            let Plan { resource, metrics, spans } = plan;
            let sending = |signal| Sending::new(signal, &resource, &counts);
            let metrics = export_metrics(metrics, sending(Signal::Metrics), read, stopped.clone());
            let spans = export_spans(spans, sending(Signal::Spans), waiting, stopped);
            runtime.block_on(async { tokio::join!(metrics, spans) });
            // A name that is still looked up keeps nobody: that can take as long as resolvers are patient.
            runtime.shutdown_background();
        })?;
        Ok(Self { spans, stop, thread: Some(thread) })
    }

    /// Where spans are offered; `None` if none are exported.
    #[must_use]
    pub fn spans(&self) -> Option<Spans> {
        self.spans.clone()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the telemetry panicked");
        }
    }
}

/// What both kinds have in common: counting, and saying each kind of error once.
struct Sending<'a> {
    signal: Signal,
    resource: &'a Resource,
    counts: &'a Counts,
    /// What went wrong since the collector last took something, which the log says once for each.
    failing: Vec<ErrorKind>,
}

impl<'a> Sending<'a> {
    fn new(signal: Signal, resource: &'a Resource, counts: &'a Counts) -> Self {
        Self { signal, resource, counts, failing: Vec::new() }
    }

    fn count(&self, is_sent: bool) {
        self.counts.message(self.signal, is_sent);
    }

    /// Says what became of one message to `target`, or of all messages of an interval, if that is news.
    fn ended(&mut self, result: Result<(), SendError>, target: &str) -> bool {
        let signal = self.signal;
        let Err(error) = result else {
            if !self.failing.is_empty() {
                tracing::info!(?signal, to = target, "the collector takes them again");
            }
            self.failing.clear();
            return true;
        };
        if !self.failing.contains(&error.kind()) {
            self.failing.push(error.kind());
            tracing::warn!(
                ?signal, to = target, %error,
                "the collector takes nothing; this error is not said again until it does"
            );
        }
        false
    }
}

async fn export_metrics(
    plan: Option<MetricsPlan>,
    mut sending: Sending<'_>,
    mut read: impl FnMut() -> Vec<Scope>,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(MetricsPlan { way, interval, is_delta }) = plan else { return };
    let (mut collector, address) = match way {
        MetricsWay::Otlp(target) => (Some(Collector::new(target.clone())), target.address()),
        MetricsWay::Log => (None, "the log".to_owned()),
    };
    let mut from_nanos = wall_nanos();
    let mut taken = Taken::default();
    let mut due = tokio::time::interval(interval);
    // The first is at once, when there is nothing to tell.
    due.tick().await;
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = due.tick() => false,
            // An error means that the exporter is gone, which is as good.
            _ = stopped.wait_for(|stopped| *stopped) => true,
        };
        let now_nanos = wall_nanos();
        let all = read();
        let sent = match &mut collector {
            None => {
                let scopes = if is_delta { taken.news(&all) } else { all.clone() };
                lines(&scopes).iter().for_each(|line| tracing::info!(target: "metrics", "{line}"));
                if is_delta {
                    taken.take(&all);
                }
                sending.count(true);
                Ok(())
            }
            Some(collector) => {
                let period = (from_nanos, now_nanos);
                let taken = is_delta.then_some(&mut taken);
                let sent = send_metrics(collector, &sending, taken, all, period);
                or_farewell(sent, &mut stopped).await
            }
        };
        if sent.is_err() {
            sending.count(false);
        }
        if sending.ended(sent, &address) && is_delta {
            from_nanos = now_nanos;
        }
        if is_last {
            return;
        }
    }
}

/// Sends one message after the other until one is not taken, and counts those that are. With `taken`, what is in there
/// is not sent again; after an error the next messages tell of the same period, with what was not taken in it.
async fn send_metrics(
    collector: &mut Collector,
    sending: &Sending<'_>,
    mut taken: Option<&mut Taken>,
    all: Vec<Scope>,
    period: (u64, u64),
) -> Result<(), SendError> {
    for part in parts(all, MESSAGE_POINTS_MAX) {
        let news = taken.as_ref().map(|taken| taken.news(&part));
        let scopes = news.as_ref().unwrap_or(&part);
        let message = metrics_message(sending.resource, scopes, period, taken.is_some());
        collector.export(METRICS_SERVICE, &message).await?;
        sending.count(true);
        if let Some(taken) = &mut taken {
            taken.take(&part);
        }
    }
    Ok(())
}

async fn export_spans(
    target: Option<Target>,
    mut sending: Sending<'_>,
    mut waiting: Receiver<Span>,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(target) = target else { return };
    let address = target.address();
    let mut collector = Collector::new(target);
    let mut batch = Vec::new();
    loop {
        let mut is_last = *stopped.borrow();
        if !is_last {
            tokio::select! {
                taken = waiting.recv_many(&mut batch, BATCH_SPANS_MAX) => is_last = taken == 0,
                _ = stopped.wait_for(|stopped| *stopped) => is_last = true,
            }
        }
        if !is_last && batch.len() < BATCH_SPANS_MAX {
            // Not for ever: what is there by then is sent.
            tokio::select! {
                () = tokio::time::sleep(BATCH_WAIT) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
        while batch.len() < BATCH_SPANS_MAX
            && let Ok(span) = waiting.try_recv()
        {
            batch.push(span);
        }
        if !batch.is_empty() {
            let message = spans_message(sending.resource, "pitchover", &batch);
            let sent = collector.export(SPANS_SERVICE, &message);
            let sent = or_farewell(sent, &mut stopped).await;
            sending.count(sent.is_ok());
            if !sending.ended(sent, &address) {
                sending.counts.drop_spans(batch.len());
            }
            batch.clear();
        }
        if is_last {
            sending.counts.drop_spans(waiting.len());
            return;
        }
    }
}

/// Waits for the collector as long as its time-out says; not for long once the program ends.
async fn or_farewell(
    sent: impl Future<Output = Result<(), SendError>>,
    stopped: &mut watch::Receiver<bool>,
) -> Result<(), SendError> {
    let farewell = async {
        // As above.
        drop(stopped.wait_for(|stopped| *stopped).await);
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        sent = sent => sent,
        () = farewell => Err(SendError::Late(FAREWELL)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Sending, Signal};
    use crate::collector::SendError;
    use crate::encode::Resource;
    use std::fmt::Debug;
    use std::io::{self, ErrorKind};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// A log: each event as its fields.
    #[derive(Debug, Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _span: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _span: &Id, _values: &Record<'_>) {}

        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().expect("nobody panics with it").push(line.0);
        }

        fn enter(&self, _span: &Id) {}

        fn exit(&self, _span: &Id) {}
    }

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.push_str(&format!(" {field}={value:?}"));
        }
    }

    #[test]
    fn each_kind_of_error_is_said_once_until_something_is_taken() {
        let (resource, counts, log) = (Resource::default(), Counts::default(), Log::default());
        let mut sending = Sending::new(Signal::Spans, &resource, &counts);
        let mut said = |result: Result<(), SendError>| {
            tracing::subscriber::with_default(log.clone(), || sending.ended(result, "c:1"));
            log.take().join("\n")
        };
        let late = |seconds| Err(SendError::Late(Duration::from_secs(seconds)));
        let broken = |kind: ErrorKind| Err(SendError::Connection(io::Error::from(kind)));
        let first = said(late(1));
        for part in ["WARN", "the collector takes nothing", "signal=Spans", "c:1", "within 1s"] {
            assert!(first.contains(part), "{part}: {first}");
        }
        assert_eq!(said(late(2)), "", "the same kind");
        assert!(said(broken(ErrorKind::ConnectionRefused)).contains("refused"));
        assert!(said(broken(ErrorKind::HostUnreachable)).contains("unreachable"));
        assert_eq!(said(late(1)), "", "said already");
        let again = said(Ok(()));
        assert!(again.contains("takes them again") && again.contains("c:1"), "{again}");
        assert_eq!(said(Ok(())), "");
        assert!(said(late(1)).contains("takes nothing"), "it took something meanwhile");
    }
}
