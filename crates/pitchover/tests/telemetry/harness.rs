//! What a run of the harness sends to a collector.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use measure::folder::read;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};

use crate::export::{spans, text};
use crate::node::{Folder, PROGRAM, command};
use crate::receiver::{Got, Receiver};

const WORKLOAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"exported\"\nseed = 7\n\
    time = { warmup = \"500ms\", measure = \"1s\", window = \"500ms\" }\n\
    load = [{ op = \"get_replica_info\", rate = 40, conns = 1 }]\n[fleet]\nbroker_sets = 1\n";

/// The newest value of each result of an operation.
fn requests(got: &Got, op: &str) -> BTreeMap<String, i64> {
    let scopes = got.metrics.iter().flat_map(|message| &message.resource_metrics);
    let metrics = scopes.flat_map(|from| &from.scope_metrics).flat_map(|scope| &scope.metrics);
    let requests = metrics.filter(|metric| metric.name == "pitchover_bench_requests");
    let points = requests.flat_map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => &sum.data_points[..],
        other => panic!("a sum, not {other:?}"),
    });
    let of_op = points.filter(|point| text(&point.attributes, "op") == op);
    let pairs = of_op.map(|point| match point.value {
        Some(Value::AsInt(count)) => (text(&point.attributes, "result").to_owned(), count),
        other => panic!("a whole number, not {other:?}"),
    });
    pairs.collect()
}

#[test]
fn a_run_sends_its_windows_and_its_phases() {
    let receiver = Receiver::start("0");
    let folder = Folder::new();
    let (workload, out) = (folder.path().join("w.toml"), folder.path().join("run"));
    fs::write(&workload, WORKLOAD).expect("a workload can be written");
    let mut bench = command(PROGRAM.as_ref());
    bench.args(["bench", "run", "--otlp", &receiver.target(), "-f"]).arg(&workload);
    let ran = bench.arg("--out").arg(&out).output().expect("the program can be started");
    let said = String::from_utf8_lossy(&ran.stderr);
    // A busy machine makes it invalid (3), which is not what is tested here.
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{said}");
    assert!(!said.contains("did not take"), "{said}");
    let found = read(&out).expect("a run folder");
    let measured = found.run.operations.iter().find(|of| of.op == "get_replica_info");
    let measured = measured.expect("it was asked").offered;
    assert_eq!(measured, 40);
    let requests = receiver.look(|got| requests(got, "get_replica_info"));
    // Those of the warm-up, too.
    assert_eq!(requests["offered"], 60, "{requests:?}");
    assert!(requests["ok"] > 0, "{requests:?}");

    let spans = receiver.look(spans);
    let root = spans.iter().find(|span| span.name == "run").expect("the run itself");
    assert_eq!(text(&root.attributes, "workload"), "exported");
    let phases = spans.iter().filter(|span| span.parent_span_id == root.span_id);
    let lengths: BTreeMap<&str, u64> = phases
        .map(|span| (&*span.name, span.end_time_unix_nano - span.start_time_unix_nano))
        .collect();
    let names: BTreeSet<&str> = lengths.keys().copied().collect();
    assert_eq!(names, ["cooldown", "finish", "measure", "prepare", "warm-up"].into());
    assert_eq!((lengths["warm-up"], lengths["measure"]), (500_000_000, 1_000_000_000));
}
