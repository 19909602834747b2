//! Metrics: upstream's names and labels as release 5.5.0 exports them, ours beside them.

use std::collections::{BTreeMap, BTreeSet};

use server::config::{Config, ConfigFile, Sources};
use server::metrics::{
    AppendResult, Batch, BrokerSetGauges, ElectionReason, ElectionResult, ExpiryReason, Metrics,
    NoticeResult, RequestKind, Role, Snapshot, Stage, Work,
};
use std::sync::Arc;
use telemetry::{Points, Scope, Series};

const FILE: &str = "controllerDLegerGroup = group1\n\
    controllerDLegerPeers = n0-127.0.0.1:9878;n1-127.0.0.1:9868;n2-127.0.0.1:9858\n\
    controllerDLegerSelfId = n2\n";

fn metrics(more: &str) -> Metrics {
    let bytes = format!("{FILE}{more}").into_bytes();
    let file = Some(ConfigFile { path: "c.conf".to_owned(), bytes });
    Metrics::new(&Config::load(&Sources { file, ..Sources::default() }).expect("valid"))
}

/// Sample name, label pairs, value.
type Sample = (String, BTreeMap<String, String>, f64);

fn samples(page: &str) -> Vec<Sample> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(sample).collect()
}

/// No label of these pages holds a comma, a brace or a quote.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("valid");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    let pairs = labels.map(|pair| {
        let (key, value) = pair.split_once('=').expect("valid");
        (key.to_owned(), value.trim_matches('"').to_owned())
    });
    (name.to_owned(), pairs.collect(), value.parse().expect("valid"))
}

/// Every sample name with its set of label keys.
fn shapes(page: &str) -> BTreeSet<(String, Vec<String>)> {
    let shape = |(name, labels, _): Sample| (name, labels.into_keys().collect());
    samples(page).into_iter().map(shape).collect()
}

fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let is_meant = |(sample, pairs, _): &&Sample| {
        sample == name
            && labels.iter().all(|(key, value)| pairs.get(*key).is_some_and(|own| own == value))
    };
    samples(page).iter().find(is_meant).map(|(_, _, value)| *value)
}

fn everything_happens(metrics: &Metrics) {
    for kind in RequestKind::ALL {
        metrics.request(kind, 0, 250);
        metrics.request(kind, 2007, 40);
    }
    metrics.request(RequestKind::ElectMaster, 1, 3);
    metrics.append(AppendResult::Committed, 900);
    metrics.append(AppendResult::Undecided, 5_000_000);
    metrics.election("c", "broker-a", ElectionResult::Elected, ElectionReason::MasterLost);
    metrics.election("c", "broker-a", ElectionResult::Elected, ElectionReason::MasterLost);
    metrics.election("", "broker-a", ElectionResult::Nobody, ElectionReason::Broker);
    metrics.journal_sync(1_200, 4_096);
    for stage in Stage::ALL {
        metrics.stage(stage, 150, 4);
    }
    metrics.work(Work::Snapshot, 7_000);
    metrics.work(Work::Compaction, 20);
    metrics.batch(Batch::Commands, 40);
    metrics.batch(Batch::Groups, 2);
    metrics.peer_frame(300);
    metrics.peer_frame(200);
    metrics.refused("CONNECTIONS_MAX");
    metrics.unread_answers(700);
    for result in [
        NoticeResult::Sent,
        NoticeResult::Sent,
        NoticeResult::Acknowledged,
        NoticeResult::Retried,
        NoticeResult::GivenUp,
    ] {
        metrics.notice(result);
    }
    metrics.broker_expired(ExpiryReason::Silent);
    metrics.leader_changed();
    metrics.set_role(Role::Leader);
    metrics.publish(Snapshot {
        term: 3,
        commit_index: 20,
        applied_index: 19,
        peer_lag_entries: vec![("n0".to_owned(), 4)],
        journal_bytes: 4096,
        broker_sets: Arc::new(vec![BrokerSetGauges {
            cluster: "c".to_owned(),
            broker_set: "broker-a".to_owned(),
            alive: 2,
            sync_state_set_size: 1,
        }]),
        queue_depths: vec![("core", 5)],
    });
}

#[test]
fn names_and_labels_are_those_of_java() {
    let metrics = metrics("");
    everything_happens(&metrics);
    let page = metrics.text();
    let ours: BTreeSet<_> =
        shapes(&page).into_iter().filter(|(name, _)| !name.starts_with("pitchover_")).collect();
    let leader = include_str!("../../../vectors/metrics/leader.prom");
    let follower = include_str!("../../../vectors/metrics/follower.prom");
    let mut java: BTreeSet<_> = shapes(leader).union(&shapes(follower)).cloned().collect();
    // No broker was alive when the pages were recorded; labels as upstream's source has them.
    let labels = ["address", "broker_set", "cluster", "group", "otel_scope_name", "peer_id"];
    java.insert(("active_broker_num".to_owned(), labels.map(ToOwned::to_owned).to_vec()));
    assert_eq!(ours, java);
    // Histograms have the same bounds, once numbers are compared as numbers.
    let bounds = |page: &str| -> Vec<String> {
        let of_histogram = samples(page).into_iter().filter(|(name, labels, _)| {
            name == "dledger_op_latency_microseconds_bucket" && labels.contains_key("le")
        });
        of_histogram
            .map(|(_, labels, _)| labels["le"].parse::<f64>().unwrap().to_string())
            .collect()
    };
    assert_eq!(bounds(&page), bounds(leader));
    assert_eq!(bounds(leader).len(), 23);
    let common = [("address", "127.0.0.1:9858"), ("group", "group1"), ("peer_id", "n2")];
    assert_eq!(value(&page, "role", &common), Some(1.0));
    assert_eq!(value(leader, "role", &common), Some(1.0));
}

#[test]
fn javas_numbers() {
    let metrics = metrics("");
    everything_happens(&metrics);
    let page = metrics.text();
    let elect = ("request_type", "CONTROLLER_ELECT_MASTER");
    let rows = [
        // An error code is a success, code 1 is upstream's exception.
        ("request_total", vec![elect, ("request_handle_status", "success")], 2.0),
        ("request_total", vec![elect, ("request_handle_status", "failed")], 1.0),
        ("request_latency_microseconds_count", vec![elect], 3.0),
        ("request_latency_microseconds_sum", vec![elect], 293.0),
        ("request_latency_microseconds_bucket", vec![elect, ("le", "300.0")], 3.0),
        ("dledger_op_latency_microseconds_count", vec![], 1.0),
        ("dledger_op_total", vec![("dLedger_operation_status", "success")], 1.0),
        ("dledger_op_total", vec![("dLedger_operation_status", "timeout")], 1.0),
        ("election_total", vec![("election_result", "new_master_elected")], 2.0),
        ("election_total", vec![("cluster", ""), ("election_result", "no_master_elected")], 1.0),
        ("active_broker_num", vec![("cluster", "c"), ("broker_set", "broker-a")], 2.0),
        ("dledger_disk_usage_bytes", vec![], 4096.0),
        ("target_info", vec![], 1.0),
    ];
    for (name, labels, expected) in rows {
        assert_eq!(value(&page, name, &labels), Some(expected), "{name} {labels:?}");
    }
    assert!(!page.contains("request_type=\"OTHER\""), "upstream counts known codes only");
}

#[test]
fn our_numbers() {
    let metrics = metrics("");
    everything_happens(&metrics);
    let page = metrics.text();
    let kind = ("type", "CONTROLLER_BROKER_HEARTBEAT");
    let rows = [
        ("pitchover_requests_total", vec![kind, ("code", "2007")], 1.0),
        ("pitchover_requests_total", vec![("type", "OTHER"), ("code", "0")], 1.0),
        ("pitchover_request_seconds_count", vec![kind], 2.0),
        ("pitchover_request_seconds_sum", vec![kind], 0.00029),
        ("pitchover_journal_sync_seconds_bucket", vec![("le", "0.003")], 1.0),
        ("pitchover_stage_seconds_count", vec![("stage", "propose")], 4.0),
        ("pitchover_stage_seconds_sum", vec![("stage", "reply")], 0.0006),
        ("pitchover_stage_seconds_bucket", vec![("stage", "replicate"), ("le", "0.0003")], 4.0),
        ("pitchover_snapshot_seconds_sum", vec![], 0.007),
        ("pitchover_compaction_seconds_sum", vec![], 0.00002),
        ("pitchover_batch_commands_bucket", vec![("le", "30.0")], 0.0),
        ("pitchover_batch_commands_bucket", vec![("le", "50.0")], 1.0),
        ("pitchover_batch_groups_sum", vec![], 2.0),
        ("pitchover_elections_total", vec![("reason", "master_lost")], 2.0),
        ("pitchover_refused_total", vec![("limit", "CONNECTIONS_MAX")], 1.0),
        ("pitchover_notices_total", vec![("result", "sent")], 2.0),
        ("pitchover_notices_total", vec![("result", "acknowledged")], 1.0),
        ("pitchover_notices_total", vec![("result", "retried")], 1.0),
        ("pitchover_notices_total", vec![("result", "given_up")], 1.0),
        ("pitchover_brokers_expired_total", vec![("reason", "silent")], 1.0),
        ("pitchover_leader_changes_total", vec![], 1.0),
        ("pitchover_raft_role", vec![], 3.0),
        ("pitchover_raft_term", vec![], 3.0),
        ("pitchover_raft_commit_index", vec![], 20.0),
        ("pitchover_raft_applied_index", vec![], 19.0),
        ("pitchover_peer_lag_entries", vec![("peer", "n0")], 4.0),
        ("pitchover_journal_bytes", vec![], 4096.0),
        ("pitchover_journal_written_bytes_total", vec![], 4096.0),
        ("pitchover_peer_frames_total", vec![], 2.0),
        ("pitchover_peer_bytes_total", vec![], 500.0),
        ("pitchover_brokers_alive", vec![("broker_set", "broker-a")], 2.0),
        ("pitchover_sync_state_set_size", vec![("broker_set", "broker-a")], 1.0),
        ("pitchover_queue_depth", vec![("queue", "core")], 5.0),
        ("pitchover_unread_answers_bytes", vec![], 700.0),
        ("pitchover_build_info", vec![], 1.0),
    ];
    for (name, labels, expected) in rows {
        assert_eq!(value(&page, name, &labels), Some(expected), "{name} {labels:?}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn a_series_appears_with_its_first_event_and_gauges_vanish() {
    let metrics = metrics("");
    let page = metrics.text();
    for name in ["request_total", "role", "active_broker_num", "dledger_disk_usage_bytes"] {
        assert_eq!(value(&page, name, &[]), None, "{name}");
    }
    everything_happens(&metrics);
    metrics.publish(Snapshot::default());
    let page = metrics.text();
    assert_eq!(value(&page, "active_broker_num", &[]), None);
    assert_eq!(value(&page, "pitchover_brokers_alive", &[]), None);
}

#[test]
fn roles_as_java_exports_them() {
    let metrics = metrics("");
    let rows = [(Role::Candidate, -1.0, 1.0), (Role::Follower, 0.0, 2.0), (Role::Leader, 1.0, 3.0)];
    for (role, java, own) in rows {
        metrics.set_role(role);
        let page = metrics.text();
        assert_eq!(value(&page, "role", &[]), Some(java));
        assert_eq!(value(&page, "pitchover_raft_role", &[]), Some(own));
    }
    metrics.set_role(Role::Unknown);
    assert_eq!(value(&metrics.text(), "role", &[]), None);
}

#[test]
fn labels_of_the_configuration() {
    let metrics = metrics(
        "metricsLabel=instance id:x,9a:\"quoted\\\\\\nline\"\n\
         pitchover.durability=async\n",
    );
    metrics.set_role(Role::Leader);
    let page = metrics.text();
    let labels = [("instance_id", "x"), ("address", "127.0.0.1:9858")];
    assert_eq!(value(&page, "role", &labels), Some(1.0));
    // Escaped: a label cannot break out of its line.
    assert!(page.contains(r#"_9a="\"quoted\\\nline\"""#), "{page}");
    assert_eq!(value(&page, "pitchover_raft_role", &[("durability", "async")]), Some(3.0));
}

/// There is one set of numbers: what an exporter reads is what the page shows.
#[test]
fn exports_hold_what_the_page_shows() {
    let metrics = metrics("metricsLabel=zone:a\n");
    everything_happens(&metrics);
    let page = metrics.text();
    let on_page: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| *name != "target_info")
        .collect();
    let scopes = metrics.scopes();
    let [upstream, ours] = &scopes[..] else { panic!("two scopes: {scopes:?}") };
    assert_eq!((upstream.name, ours.name), ("controller", "pitchover"));
    let names = |scope: &Scope| -> BTreeSet<String> {
        scope.metrics.iter().map(|metric| metric.name.clone()).collect()
    };
    let (javas, own) = (names(upstream), names(ours));
    let of_page = on_page.iter().filter(|name| name.starts_with("pitchover_"));
    assert_eq!(own, of_page.map(|name| (*name).to_owned()).collect());
    assert_eq!(own.len() + javas.len(), on_page.len());
    let bare = [
        "active_broker_num",
        "dledger_disk_usage",
        "dledger_op_latency",
        "dledger_op_total",
        "election_total",
        "request_latency",
        "request_total",
        "role",
    ];
    assert_eq!(javas, bare.map(ToOwned::to_owned).into());
    let expected =
        [("address", "127.0.0.1:9858"), ("group", "group1"), ("peer_id", "n2"), ("zone", "a")];
    let expected: Vec<_> = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(upstream.attributes, expected);

    let named = |scope: &Scope, name: &str| {
        let found = scope.metrics.iter().find(|metric| metric.name == name).cloned();
        found.expect("it is there")
    };
    let latency = named(upstream, "request_latency");
    assert_eq!(latency.unit, "us");
    let Points::Histogram { bounds, series } = &latency.points else { panic!("{latency:?}") };
    assert_eq!((bounds.len(), bounds[0], bounds[21]), (22, 1.0, 1e7));
    let elect = ("request_type", "CONTROLLER_ELECT_MASTER".to_owned());
    let elect = series.iter().find(|one| one.attributes == [elect.clone()]).expect("it is there");
    assert_eq!((elect.value.buckets.iter().sum::<u64>(), elect.value.sum), (3, 293.0));
    let stages = named(ours, "pitchover_stage_seconds");
    let Points::Histogram { series, .. } = &stages.points else { panic!("{stages:?}") };
    assert_eq!((stages.unit, series.len()), ("s", 7));
    let role = named(upstream, "role");
    assert_eq!(role.points, Points::Gauge(vec![Series { attributes: vec![], value: 1.0 }]));
}
