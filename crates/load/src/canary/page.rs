//! The canary's metrics for Prometheus: `pitchover_canary_*`, in seconds, read only.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use measure::judged::Verdict;
use std::fmt::Write as _;
use tokio::net::TcpListener;

use super::Canary;
use super::record::{Line, Record};
use measure::histogram::as_f64;
use std::sync::atomic::Ordering;

/// Bounds of the histogram, in seconds: those of the controllers' own `pitchover_request_seconds` and up to a time-out.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0];

/// As Prometheus asks for it.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens at an address, and where it is in the end.
///
/// # Errors
/// If nobody may listen there.
pub(super) async fn serve(address: SocketAddr, canary: Arc<Canary>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let page = move || {
        let skipped = canary.skipped.load(Ordering::Acquire);
        let page = text(&canary.record, skipped);
        async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], page) }
    };
    let pages = Router::new().route("/metrics", get(page));
    // It ends with the runtime.
    tokio::spawn(async move { axum::serve(listener, pages).await });
    Ok(bound)
}

/// The page.
fn text(record: &Record, skipped: u64) -> String {
    let mut page = String::new();
    seconds(record, &mut page);
    let Line { promises, contradictions, .. } = record.whole();
    family(
        &mut page,
        "contradictions_total",
        "counter",
        "Reads that knew less than was acknowledged",
    );
    line(&mut page, "contradictions_total", "", as_f64(contradictions));
    family(&mut page, "skipped_total", "counter", "Requests that were due and not sent");
    line(&mut page, "skipped_total", "", as_f64(skipped));
    family(&mut page, "answers_total", "counter", "Answers that count for an objective");
    for it in &promises {
        for (is_good, count) in [("true", it.good), ("false", it.all.saturating_sub(it.good))] {
            let labels = format!("slo=\"{}\",good=\"{is_good}\"", it.id);
            line(&mut page, "answers_total", &labels, as_f64(count));
        }
    }
    family(
        &mut page,
        "objective_broken",
        "gauge",
        "Whether an objective is broken since the start",
    );
    for it in &promises {
        let is_broken = f64::from(u8::from(it.verdict == Verdict::Fail));
        line(&mut page, "objective_broken", &format!("slo=\"{}\"", it.id), is_broken);
    }
    page
}

fn seconds(record: &Record, page: &mut String) {
    family(page, "request_seconds", "histogram", "From when a request was due to its end");
    for ((kind, node, ending), latency) in record.series().iter() {
        let labels =
            format!("type=\"{}\",node=\"{}\",ending=\"{ending}\"", kind.name(), escaped(node));
        for bound in BOUNDS {
            let nanos = measure::histogram::whole(bound * 1e9);
            let labels = format!("{labels},le=\"{bound}\"");
            line(page, "request_seconds_bucket", &labels, as_f64(latency.count_up_to(nanos)));
        }
        let all = as_f64(latency.count());
        line(page, "request_seconds_bucket", &format!("{labels},le=\"+Inf\""), all);
        let sum: f64 = latency.recorded().map(|(nanos, count)| as_f64(nanos) * as_f64(count)).sum();
        line(page, "request_seconds_sum", &labels, sum / 1e9);
        line(page, "request_seconds_count", &labels, all);
    }
}

fn family(page: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(page, "# HELP pitchover_canary_{name} {help}\n# TYPE pitchover_canary_{name} {kind}")
        .expect("a string grows");
}

fn line(page: &mut String, name: &str, labels: &str, value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(page, "pitchover_canary_{name}{labels} {value}").expect("a string grows");
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::canary::Promise;
    use crate::canary::record::{Ending, Kind, Record};

    #[test]
    fn the_page_counts_what_was_recorded() {
        let promise = Promise { id: "read".into(), kind: Kind::Read, seconds: 0.01, ratio: 0.99 };
        let record = Record::new("set".to_owned(), vec![promise]);
        for ms in [1, 4, 40] {
            record.ended(Kind::Read, "a:1", &Ending::Good, ms * 1_000_000);
        }
        let page = text(&record, 5);
        let series = "type=\"get_replica_info\",node=\"a:1\",ending=\"good\"";
        for part in [
            "# TYPE pitchover_canary_request_seconds histogram".to_owned(),
            format!("pitchover_canary_request_seconds_bucket{{{series},le=\"0.005\"}} 2"),
            format!("pitchover_canary_request_seconds_bucket{{{series},le=\"+Inf\"}} 3"),
            format!("pitchover_canary_request_seconds_count{{{series}}} 3"),
            "pitchover_canary_answers_total{slo=\"read\",good=\"true\"} 2".to_owned(),
            "pitchover_canary_answers_total{slo=\"read\",good=\"false\"} 1".to_owned(),
            "pitchover_canary_skipped_total 5".to_owned(),
            "pitchover_canary_contradictions_total 0".to_owned(),
        ] {
            assert!(page.contains(&part), "{part} in\n{page}");
        }
    }
}
