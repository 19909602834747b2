//! Workload files: what is taken, and how what is not is refused.

use std::time::Duration;

use super::{Arrival, Key, PRESETS, Rate, Reads, Span, Timing, Wire, Workload, preset};

const HEAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"x\"\ntime = { measure = \"60s\" }\n";
const FLEET: &str = "[fleet]\nbroker_sets = 3\n";

fn read(rest: &str) -> Result<Workload, String> {
    Workload::read("w.toml", &format!("{HEAD}{rest}")).map_err(|error| error.to_string())
}

#[test]
fn the_specified_file_is_read() {
    let text = r#"
schema = "pitchover.bench/v1"
name = "fleet-3k-steady"
description = "1000 broker sets x 3 replicas"
seed = 7
time = { warmup = "20s", measure = "2m", cooldown = "5s", window = "1s", drain_timeout = "10s" }
phase = [{ at = "0s", scale = 1.0 }, { at = "30s", scale = 2 }]
load = [
  { op = "get_replica_info", arrival = "poisson", rate = 2000, key = "zipf:0.99", conns = 32, timeout = "3s", max_in_flight = 20000 },
  { op = "alter_sync_state_set", arrival = { burst = { size = 10 } }, rate = 0.5 },
  { op = "heartbeat", arrival = { sine = { amplitude = 0.5, period = "10s" } }, rate = 10 },
]
fault = [{ at = "60s", kind = "broker-kill", select = "masters:20%" }]
limits = { send_lag_p99 = "1ms", skipped_arrivals = 0, generator_cpu = 0.80, psi_cpu_some = "25%", clock_step = "1ms" }
record = { server_metrics = true, trace_slowest = 50 }
[target]
controllers = ["127.0.0.1:9770", "127.0.0.1:9771"]
durability = "fsync"
reads = "pinned:1"
[fleet]
broker_sets = 1000
replicas = 3
connections = "per-broker"
phase = "uniform"
heartbeat = { every = "1s", timeout = "10s", sample_twoway = 0.01 }
get_replica_info = { every = "5s", timeout = "3s" }
get_metadata = { every = "10s", timeout = "3s" }
alter_sync_state_set = { arrival = "poisson", per_set = 0.002, timeout = "3s" }
react = { to_role_change = "alter_sync_state_set", delay = "1ms" }
"#;
    let workload = Workload::read("w.toml", text).unwrap();
    let streams: Vec<_> = workload.streams().collect();
    assert_eq!(
        (streams[0].key, &streams[0].arrival),
        (Key::Zipf(0.99), &Timing::At(Arrival::Poisson))
    );
    assert_eq!(
        (streams[1].rate, &streams[1].arrival),
        (Some(Rate(0.5)), &Timing::At(Arrival::Burst { size: 10 }))
    );
    assert_eq!(
        streams[2].arrival,
        Timing::At(Arrival::Sine { amplitude: 0.5, period: Span(Duration::from_secs(10)) })
    );
    assert_eq!((workload.target.reads, workload.target.kind), (Reads::Pinned(1), Wire::Controller));
    assert_eq!(workload.time.measure, Span(Duration::from_secs(120)));
    assert_eq!((workload.seed, workload.length().as_secs()), (7, 145));
    let odd = Workload::read("w.toml", &text.replace("\"20s\"", "\"1200ms\"")).unwrap();
    assert_eq!(odd.warm_up(), Span(Duration::from_secs(2)), "whole windows");
}

#[test]
fn every_preset_is_a_workload() {
    for (name, _) in PRESETS {
        let text = preset(name).unwrap_or_else(|| panic!("{name} has no text"));
        let workload = Workload::read(name, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((workload.name.as_str(), workload.text.as_str()), (*name, text.as_str()));
    }
    let error = Workload::named("no-such-workload").unwrap_err().to_string();
    assert!(error.contains("smoke-5s"), "{error}");
}

/// Texts behind [`HEAD`], whose last line is 3, and what the refusal says.
#[test]
fn what_is_wrong_is_named_with_its_line_and_what_is_allowed() {
    let stream =
        |rest: &str| format!("load = [\n{{ op = \"get_replica_info\", {rest} }}]\n{FLEET}");
    let rows = [
        ("clients = 3\n".to_owned() + FLEET, 4, "unknown field `clients`, expected one of"),
        (stream("rate = 9, speed = 3"), 5, "unknown field `speed`"),
        (stream("rate = 9, timeout = \"3 fortnights\""), 5, "units ns, us, ms, s, m, h"),
        (stream("rate = 9, timeout = 3"), 5, "a time such as"),
        (stream("rate = 0"), 5, "0 requests per second: from 0.000001 to 1000000"),
        (stream("rate = -5"), 5, "-5 requests per second"),
        (stream("rate = 2e9"), 5, "RATE_MAX"),
        (stream("rate = nan"), 5, "NaN requests per second"),
        (stream("rate = 9, key = \"zipf\""), 5, "\"zipf:S\""),
        (stream("rate = 9, arrival = \"sometimes\""), 5, "expected one of `constant`"),
        (stream("arrival = \"poisson\""), 5, "a rate, or else arrival = \"trace:FILE\""),
        (stream("rate = 9, arrival = \"trace:t\""), 5, "which has its own"),
        (stream("rate = 9, conns = 0"), 5, "conns = 0: 1 to 4096"),
        (stream("rate = 9, max_in_flight = 1000000"), 5, "IN_FLIGHT_MAX"),
        (
            "load = [{ op = \"get\", rate = 1 }]\n".to_owned() + FLEET,
            4,
            "allowed: get_replica_info",
        ),
        ("limits = { psi_cpu_some = 25 }\n".to_owned() + FLEET, 4, "\"100%\""),
        ("[fleet]\nbroker_sets = 0\n".to_owned(), 5, "1 to 33000"),
        ("[fleet]\nbroker_sets = 3\nreplicas = 5\n".to_owned(), 6, "3 brokers"),
        ("[fleet]\nbroker_sets = 3\nconnections = \"many\"\n".to_owned(), 6, "\"per-broker\""),
        (FLEET.to_owned() + "[target]\nreads = \"nearest\"\n", 7, "\"follower\""),
        (FLEET.to_owned() + "[target]\nspawn = { peers = 4 }\n", 7, "1, 3 or 5"),
        (FLEET.to_owned() + "[target]\nkind = \"redis\"\n", 4, "a fleet needs"),
        (FLEET.to_owned() + "[target]\nkind = \"mysql\"\n", 7, "expected one of `controller`"),
        (
            "fault = [{ at = \"2m\", kind = \"broker-kill\", select = \"masters:9%\" }]\n"
                .to_owned()
                + FLEET,
            4,
            "while it is measured",
        ),
        (
            "fault = [{ at = \"2s\", kind = \"broker-kill\", select = \"leader\" }]\n".to_owned()
                + FLEET,
            4,
            "masters:20%",
        ),
        ("phase = [{ at = \"0s\", scale = -1.0 }]\n".to_owned() + FLEET, 4, "0 to 1000"),
        (String::new(), 2, "no load"),
        ("load = [{ op = \"get_metadata\", rate = 1 }]\n".to_owned(), 4, "add [fleet]"),
        ("x = = 3\n".to_owned(), 4, ""),
    ];
    for (text, line, part) in rows {
        let error = read(&text).expect_err(&text);
        assert!(error.starts_with(&format!("w.toml:{line}: ")), "{text}\n{error}");
        assert!(error.contains(part), "{text}\n{error}");
    }
    let uneven = HEAD.replace("60s", "2500ms") + FLEET;
    let error = Workload::read("w", &uneven).unwrap_err().to_string();
    assert!(error.starts_with("w:3: ") && error.contains("a multiple of `window`"), "{error}");
    let other = Workload::read("w", "schema = \"v2\"\nname = \"x\"\ntime = { measure = \"1s\" }");
    assert!(other.unwrap_err().to_string().contains("must be \"pitchover.bench/v1\""));
}

#[test]
fn scaling_multiplies_rates_or_else_broker_sets() {
    let load = "load = [{ op = \"get_metadata\", rate = 100 }]\n";
    let scaled = read(&format!("{load}{FLEET}")).unwrap().scaled(2.5).unwrap();
    assert_eq!(scaled.streams().next().unwrap().rate, Some(Rate(250.0)));
    assert_eq!(scaled.fleet.unwrap().broker_sets, 3);
    let fleet = read(FLEET).unwrap();
    assert_eq!(fleet.scaled(0.1).unwrap().fleet.unwrap().broker_sets, 1);
    assert_eq!(fleet.scaled(3.0).unwrap().fleet.unwrap().broker_sets, 9);
    assert!(fleet.scaled(1e6).unwrap_err().to_string().contains("BROKER_SETS_MAX"));
}
