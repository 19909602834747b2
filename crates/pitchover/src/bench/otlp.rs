//! `bench run --otlp URL`: the windows of a run as metrics, the run and its phases as spans.
//!
//! | Metric | Attributes | Kind |
//! |---|---|---|
//! | `pitchover_bench_requests` | `op`; `result` = `offered`, `ok`, `error`, `timeout`, `skipped` | counter |
//! | `pitchover_bench_latency_seconds` | `op` | histogram, from due to done |
//! | `pitchover_bench_server_cpu_seconds`, `…_server_rss_bytes` | `node` | gauges of the newest window |
//!
//! Exported once in each window (of 100 ms or more), and what is left at the end. Spans: `run`, and in it `prepare`, `warm-up`, `measure`,
//! `cooldown`, `finish`, at the moments that were fixed before the first request was sent. A collector that takes
//! nothing changes no run: its messages are dropped, and said to be at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use load::run::{Planned, Progress};
use measure::folder::{Run, Window};
use measure::histogram::{as_f64, micros};
use server::metrics::BOUNDS_US;
use telemetry::{
    Counts, Distribution, Exporter, Metric, MetricsPlan, MetricsWay, Plan, Points, Resource, Scope,
    Series, Signal, Span, Target, Value, wall_nanos,
};

/// How long one message may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Names of what is counted of an operation, in the order of [`Sums::results`].
const RESULTS: [&str; 5] = ["offered", "ok", "error", "timeout", "skipped"];

/// All windows so far, of one operation.
#[derive(Debug, Default, Clone)]
struct Sums {
    results: [u64; RESULTS.len()],
    buckets: [u64; BOUNDS_US.len() + 1],
    seconds: f64,
}

#[derive(Debug, Default)]
struct Seen {
    operations: BTreeMap<String, Sums>,
    /// CPU seconds of the newest window, and resident bytes.
    servers: BTreeMap<String, (f64, f64)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Otlp {
    exporter: Exporter,
    counts: Arc<Counts>,
    seen: Arc<Mutex<Seen>>,
    began_nanos: u64,
    /// Beginnings of warm-up, measuring, cooldown and of what comes after.
    phases: Option<[u64; 4]>,
    address: String,
}

/// The option.
#[derive(Debug, Clone, Args)]
pub(crate) struct OtlpArguments {
    /// Send windows as metrics, the run and its phases as spans, to this OpenTelemetry collector: `http://host:port`.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
}

impl OtlpArguments {
    /// Begins to export, if that is wanted; see [`Otlp::start`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn start(&self, run: &str, window_ms: u64) -> Result<Option<Otlp>, String> {
        self.otlp.as_deref().map(|url| Otlp::start(url, run, window_ms)).transpose()
    }
}

impl Otlp {
    /// Begins to export to `url`, once in each window of so many milliseconds.
    ///
    /// # Errors
    /// A text that says what is wrong with the URL, or which thread cannot be had.
    fn start(url: &str, run: &str, window_ms: u64) -> Result<Self, String> {
        let target = Target::read(url, "", TIMEOUT).map_err(|error| format!("--otlp: {error}"))?;
        let address = target.address();
        let interval = Duration::from_millis(window_ms.max(100));
        let way = MetricsWay::Otlp(target.clone());
        let plan = Plan {
            resource: Resource(vec![
                ("service.name", "pitchover-bench".to_owned()),
                ("service.instance.id", run.to_owned()),
                ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ]),
            metrics: Some(MetricsPlan { way, interval, is_delta: false }),
            spans: Some(target),
        };
        let (seen, counts) = (Arc::new(Mutex::new(Seen::default())), Arc::new(Counts::default()));
        let source = Arc::clone(&seen);
        let read = move || vec![source.lock().unwrap_or_else(PoisonError::into_inner).scope()];
        let exporter = Exporter::start(plan, Arc::clone(&counts), read);
        let exporter = exporter.map_err(|error| format!("--otlp: {error}"))?;
        Ok(Self { exporter, counts, seen, began_nanos: wall_nanos(), phases: None, address })
    }

    /// Takes note of what a run says.
    pub(crate) fn note(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Doing(_) | Progress::Event(_) => {}
            Progress::Planned(Planned { start, measure_from, measure_to, end }) => {
                let now = wall_nanos();
                let at = |after: &Duration| {
                    now.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX))
                };
                self.phases = Some([at(start), at(measure_from), at(measure_to), at(end)]);
            }
            Progress::Window(window, _) => {
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(window);
            }
        }
    }

    /// Sends the spans and what is left of the metrics. A text if a collector did not take everything.
    pub(crate) fn finish(self, run: Option<&Run>) -> Option<String> {
        let ended_nanos = wall_nanos();
        if let Some(spans) = self.exporter.spans() {
            spans.offer(self.spans(run, ended_nanos));
        }
        let Self { exporter, counts, address, .. } = self;
        drop(exporter);
        let failed = counts.messages(Signal::Metrics).1 + counts.messages(Signal::Spans).1;
        (failed > 0).then(|| format!("--otlp: {address} did not take {failed} messages"))
    }

    fn spans(&self, run: Option<&Run>, ended_nanos: u64) -> Vec<Span> {
        // Started runs differ by their moment; one process makes one at a time.
        let trace = u128::from(self.began_nanos) << 64 | u128::from(std::process::id());
        let root = self.began_nanos | 1;
        let span = |id, parent, name, began_nanos, ended_nanos: u64| Span {
            trace,
            id,
            parent,
            name,
            is_server: false,
            began_nanos,
            ended_nanos: ended_nanos.max(began_nanos),
            is_error: false,
            attributes: Vec::new(),
        };
        let mut spans = vec![span(root, None, "run", self.began_nanos, ended_nanos)];
        if let (Some(first), Some(run)) = (spans.first_mut(), run) {
            first.is_error = !run.validity.valid || run.correctness.violations > 0;
            first.attributes = vec![
                ("workload", Value::Text(run.name.clone())),
                ("arm", Value::Text(run.arm.clone())),
                ("valid", Value::Word(if run.validity.valid { "true" } else { "false" })),
            ];
        }
        let Some([start, from, to, end]) = self.phases else { return spans };
        let phases = [
            ("prepare", self.began_nanos, start),
            ("warm-up", start, from),
            ("measure", from, to),
            ("cooldown", to, end),
            ("finish", end, ended_nanos),
        ];
        let begun = phases.into_iter().filter(|(_, began, _)| *began < ended_nanos);
        // One after the other, so that each has a number of its own.
        spans.extend((1..).zip(begun).map(|(nth, (name, began, ended))| {
            span(root.wrapping_add(nth), Some(root), name, began, ended.min(ended_nanos))
        }));
        spans
    }
}

impl Seen {
    fn add(&mut self, window: &Window) {
        for op in &window.ops {
            let sums = self.operations.entry(op.op.clone()).or_default();
            let counts = [op.offered, op.ok, op.errors, op.timeouts, op.skipped];
            for (sum, count) in sums.results.iter_mut().zip(counts) {
                *sum += count;
            }
            // Written by this process a moment ago.
            let latency = op.latency.decode().unwrap_or_default();
            for (nanos, count) in latency.recorded() {
                let bucket = BOUNDS_US.partition_point(|bound| u64::from(*bound) * 1_000 < nanos);
                if let Some(bucket) = sums.buckets.get_mut(bucket) {
                    *bucket += count;
                }
                sums.seconds += micros(nanos) / 1e6 * as_f64(count);
            }
        }
        for server in &window.servers {
            let cpu_seconds = as_f64(server.cpu_us) / 1e6;
            let rss = as_f64(server.rss_bytes);
            self.servers.insert(server.node.clone(), (cpu_seconds, rss));
        }
    }

    fn scope(&self) -> Scope {
        let metric = |name: &str, help: &str, unit, points| {
            let (name, help) = (name.to_owned(), help.to_owned());
            Metric { name, help, unit, points }
        };
        let op = |op: &String| ("op", op.clone());
        let requests = self.operations.iter().flat_map(|(name, sums)| {
            RESULTS.iter().zip(sums.results).map(move |(result, value)| {
                let attributes = vec![op(name), ("result", (*result).to_owned())];
                Series { attributes, value }
            })
        });
        let latencies = self.operations.iter().map(|(name, sums)| Series {
            attributes: vec![op(name)],
            value: Distribution { buckets: sums.buckets.to_vec(), sum: sums.seconds },
        });
        let gauge = |of: fn(&(f64, f64)) -> f64| {
            let series = self.servers.iter().map(|(node, server)| Series {
                attributes: vec![("node", node.clone())],
                value: of(server),
            });
            Points::Gauge(series.collect())
        };
        let bounds = BOUNDS_US.iter().map(|bound| f64::from(*bound) / 1e6).collect();
        let latency = Points::Histogram { bounds, series: latencies.collect() };
        let metrics = vec![
            metric(
                "pitchover_bench_requests",
                "Requests by result",
                "",
                Points::Sum(requests.collect()),
            ),
            metric("pitchover_bench_latency_seconds", "From due to done", "s", latency),
            metric(
                "pitchover_bench_server_cpu_seconds",
                "CPU time in a window",
                "s",
                gauge(|of| of.0),
            ),
            metric(
                "pitchover_bench_server_rss_bytes",
                "Resident memory",
                "bytes",
                gauge(|of| of.1),
            ),
        ];
        Scope { name: "pitchover-bench", attributes: Vec::new(), metrics }
    }
}
