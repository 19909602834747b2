//! Metrics and spans of running controllers, as a collector receives them; and a collector that never answers.

use std::collections::BTreeSet;
use std::net::TcpListener;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;
use protocol::{code, response_code};

use crate::broker_set::found;
use crate::cluster::Cluster;
use crate::patience::until;
use crate::receiver::{Got, Receiver};
use crate::stages::{ask_everything, metrics_page};
use crate::wire::{Wire, request};

/// Metrics ten times a second, and every request is traced.
pub(crate) fn settings(target: &str) -> String {
    format!(
        "metricsExporterType = OTLP_GRPC\n\
         metricsGrpcExporterTarget = {target}\n\
         metricGrpcExporterIntervalInMills = 100\n\
         metricGrpcExporterTimeOutInMills = 300\n\
         metricsLabel = zone:a\n\
         pitchover.otlp.tracesTarget = {target}\n\
         pitchover.otlp.tracesPerMillion = 1000000\n"
    )
}

pub(crate) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let pair = attributes.iter().find(|pair| pair.key == key);
    match pair.and_then(|pair| pair.value.as_ref()).and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text,
        _ => "",
    }
}

/// Names of the metrics of a scope that this peer sent, with the peer's name.
fn metrics_of(got: &Got, peer: &str, scope: &str) -> BTreeSet<String> {
    let resources = got.metrics.iter().flat_map(|message| &message.resource_metrics);
    let own = resources.filter(|from| {
        let attributes = from.resource.as_ref().map(|resource| &*resource.attributes);
        text(attributes.unwrap_or_default(), "service.instance.id") == peer
    });
    let scopes = own.flat_map(|from| &from.scope_metrics);
    let meant = scopes.filter(|of| of.scope.as_ref().is_some_and(|of| of.name == scope));
    meant.flat_map(|of| &of.metrics).map(|metric| metric.name.clone()).collect()
}

pub(crate) fn spans(got: &Got) -> Vec<Span> {
    let resources = got.spans.iter().flat_map(|message| &message.resource_spans);
    resources.flat_map(|from| &from.scope_spans).flat_map(|of| &of.spans).cloned().collect()
}

#[test]
fn a_collector_receives_metrics_and_spans() {
    let receiver = Receiver::start("0");
    let mut cluster = Cluster::one_port(&settings(&receiver.target()));
    let _brokers = found(&cluster);
    let leader = cluster.await_leader();
    ask_everything(&cluster.addresses[leader]);

    let peer = format!("n{leader}");
    until("Java's metrics and ours of the leader", || {
        receiver.look(|got| {
            let java = metrics_of(got, &peer, "controller");
            let javas = ["role", "request_total", "request_latency", "dledger_op_total"];
            let ours = metrics_of(got, &peer, "pitchover");
            let is_whole = javas.iter().all(|name| java.contains(*name))
                && ours.contains("pitchover_stage_seconds")
                && ours.contains("pitchover_exports");
            is_whole.then_some(())
        })
    });
    let name = "CONTROLLER_ALTER_SYNC_STATE_SET";
    let (root, children) = until("the trace of a write", || {
        let spans = receiver.look(spans);
        let roots = spans.iter().filter(|span| span.name == name && span.parent_span_id.is_empty());
        // The leader's own, not that of a follower who passed it on.
        roots.rev().find_map(|root| {
            let of_root = spans.iter().filter(|span| span.trace_id == root.trace_id);
            let children: Vec<Span> =
                of_root.filter(|span| !span.parent_span_id.is_empty()).cloned().collect();
            children.iter().any(|span| span.name == "propose").then(|| (root.clone(), children))
        })
    });
    let names: BTreeSet<&str> = children.iter().map(|span| &*span.name).collect();
    for name in ["propose", "commit", "apply", "reply"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert!(names.contains("journal") || names.contains("replicate"), "{names:?}");
    assert_eq!(text(&root.attributes, "rpc.system"), "rocketmq");
    for span in &children {
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{span:?} in {root:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    }
    let ids: BTreeSet<&[u8]> = children.iter().map(|span| &*span.span_id).collect();
    assert_eq!(ids.len(), children.len(), "each has a number of its own");
    let reads = receiver.look(spans);
    assert!(reads.iter().any(|span| span.name == "CONTROLLER_GET_REPLICA_INFO"));
}

/// Requests to a controller whose collector accepts and says nothing: more spans than may wait.
const REQUESTS: usize = 6_000;

#[test]
fn a_collector_that_never_answers_is_not_noticed() {
    // Never accepted from: the kernel does so, and takes what fits.
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = silent.local_addr().expect("it is bound");
    let mut cluster = Cluster::one_port(&settings(&format!("http://{address}")));
    let _brokers = found(&cluster);
    let leader = cluster.await_leader();
    let address = &cluster.addresses[leader];
    let mut wire = Wire::connect(address).expect("a controller accepts");
    let ask = request(code::CONTROLLER_GET_METADATA_INFO, &[], "");
    for _ in 0..REQUESTS {
        let answer = wire.ask(&ask).expect("an answer comes in time").expect("it stays open");
        assert_eq!(answer.code, response_code::SUCCESS);
    }
    let resident_kib = memory_kib(cluster.nodes[leader].child.id());
    for _ in 0..REQUESTS {
        wire.ask(&ask).expect("an answer comes in time").expect("it stays open");
    }
    let grown_kib = memory_kib(cluster.nodes[leader].child.id()).saturating_sub(resident_kib);
    assert!(grown_kib < 16 * 1_024, "{grown_kib} KiB more for as many requests again");
    until("it is counted that nothing arrives", || {
        let page = metrics_page(address);
        let counts = |series: &str| {
            let count = page.lines().find_map(|line| line.strip_prefix(series));
            count.map_or(0, |count| count.trim().parse::<u64>().expect("a count"))
        };
        let failed = "pitchover_exports_total{signal=\"metrics\",result=\"failed\"}";
        let is_counted = counts(failed) > 0 && counts("pitchover_spans_dropped_total") > 0;
        is_counted.then_some(())
    });
    let log = cluster.nodes[leader].log();
    let said = log.lines().filter(|line| line.contains("the collector takes nothing")).count();
    assert!((1..=2).contains(&said), "once for each kind:\n{log}");
}

fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse().ok()).expect("the kernel says how much")
}

#[test]
fn metrics_are_written_to_the_log() {
    let cluster = Cluster::one_port(
        "metricsExporterType = LOG\nmetricLoggingExporterIntervalInMills = 100\n",
    );
    let log = until("Java's metrics and ours in the log", || {
        let log = cluster.nodes[0].log();
        let names = ["\"name\":\"role\"", "\"name\":\"pitchover_raft_term\""];
        names.iter().all(|name| log.contains(name)).then_some(log)
    });
    let line = log.lines().find(|line| line.contains("\"name\":\"role\"")).expect("it is there");
    let json = line.find('{').and_then(|at| line.get(at..)).expect("an object");
    let metric: serde_json::Value = serde_json::from_str(json).expect("valid");
    assert_eq!((&metric["scope"], metric["series"].is_array()), (&"controller".into(), true));
}
