//! What `bench quick` found: as values, as JSON and as a table.

use std::fmt;
use std::time::Duration;

use measure::Histogram;
use measure::histogram::micros;
use serde::Serialize;

/// A machine on which others use less than this is quiet; the kernel itself uses some of it.
const QUIET_CORES: f64 = 0.2;

/// What a controller is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Workload {
    /// `CONTROLLER_ALTER_SYNC_STATE_SET` (1001): each connection toggles the set of its own.
    AlterSyncStateSet,
    /// `CONTROLLER_GET_REPLICA_INFO` (1004), asked of the leader.
    GetReplicaInfo,
    /// `BROKER_HEARTBEAT` (904), sent two-way to the leader.
    Heartbeat,
    /// `CONTROLLER_GET_REPLICA_INFO` (1004), asked of one follower.
    FollowerRead,
    /// What brokers send, to all nodes alike: 904, 1004, 1005, 1001 and 1012.
    Mix,
}

impl Workload {
    /// Those that the leader alone serves, in the order in which they are measured.
    pub const OF_LEADER: [Self; 3] =
        [Self::AlterSyncStateSet, Self::GetReplicaInfo, Self::Heartbeat];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AlterSyncStateSet => "alterSyncStateSet",
            Self::GetReplicaInfo => "getReplicaInfo",
            Self::Heartbeat => "heartbeat, two-way",
            Self::FollowerRead => "follower read",
            Self::Mix => "mix on all nodes",
        }
    }
}

/// One workload against one server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Answers within the measured time.
    pub requests: u64,
    /// The measured time, in seconds.
    pub seconds: f64,
    /// Answers per second.
    pub requests_per_second: f64,
    /// Half of all requests took at most this long, in microseconds.
    pub p50_us: f64,
    /// 99 % of all requests took at most this long, in microseconds.
    pub p99_us: f64,
    /// 99.9 % of all requests took at most this long, in microseconds.
    pub p999_us: f64,
    /// The slowest request, in microseconds.
    pub max_us: f64,
    /// CPU time of all server processes together per request, in microseconds; absent if they are
    /// not on this host.
    pub server_cpu_us_per_request: Option<f64>,
    /// CPU time of the generator per request, in microseconds.
    pub generator_cpu_us_per_request: Option<f64>,
    /// Processors that neither the generator nor the measured servers kept busy, but somebody did.
    /// The rate and the tail are not to be trusted when this is not near nought.
    pub other_cores: Option<f64>,
}

/// CPU time used within the measured time, as far as it could be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct CpuUsed {
    /// By all server processes together.
    pub(crate) servers: Option<Duration>,
    /// By the generator.
    pub(crate) generator: Option<Duration>,
    /// By everything on this host.
    pub(crate) host: Option<Duration>,
}

impl Figures {
    /// `latency` of all requests that were answered within `time`, and the CPU `used` in it.
    pub(crate) fn new(latency: &Histogram, time: Duration, used: CpuUsed) -> Self {
        let seconds = time.as_secs_f64().max(f64::MIN_POSITIVE);
        let ours = used.servers.unwrap_or_default() + used.generator.unwrap_or_default();
        let requests = latency.count();
        let quantile_us = |quantile| micros(latency.quantile_ns(quantile));
        let per_request = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count(requests).max(1.0);
        Self {
            requests,
            seconds: time.as_secs_f64(),
            requests_per_second: count(requests) / seconds,
            p50_us: quantile_us(0.5),
            p99_us: quantile_us(0.99),
            p999_us: quantile_us(0.999),
            max_us: micros(latency.max_ns()),
            server_cpu_us_per_request: used.servers.map(per_request),
            generator_cpu_us_per_request: used.generator.map(per_request),
            other_cores: used.host.map(|all| all.saturating_sub(ours).as_secs_f64() / seconds),
        }
    }
}

/// One workload: the controllers, and the canned-answer server under the same generator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was asked.
    pub workload: Workload,
    /// The follower that was asked, if it was one.
    pub follower: Option<String>,
    /// The controllers' figures.
    pub controllers: Figures,
    /// The ceiling: the same bytes, answered by a server that knows its answers beforehand. Absent
    /// where a row is to be compared with another one.
    pub ceiling: Option<Figures>,
    /// Throughput of the controllers as a part of the ceiling's, 0 to 1.
    pub throughput_of_ceiling: Option<f64>,
    /// CPU of the controllers per request in multiples of the ceiling's.
    pub cpu_times_ceiling: Option<f64>,
}

impl Row {
    pub(crate) fn new(workload: Workload, controllers: Figures, ceiling: Figures) -> Self {
        let throughput_of_ceiling =
            controllers.requests_per_second / ceiling.requests_per_second.max(f64::MIN_POSITIVE);
        let cpu = controllers.server_cpu_us_per_request.zip(ceiling.server_cpu_us_per_request);
        let cpu_times_ceiling =
            cpu.filter(|(_, floor)| *floor > 0.0).map(|(own, floor)| own / floor);
        let throughput_of_ceiling = Some(throughput_of_ceiling);
        let (follower, ceiling) = (None, Some(ceiling));
        Self { workload, follower, controllers, ceiling, throughput_of_ceiling, cpu_times_ceiling }
    }

    /// One that has no ceiling.
    pub(crate) fn alone(
        workload: Workload,
        follower: Option<String>,
        controllers: Figures,
    ) -> Self {
        let (throughput_of_ceiling, cpu_times_ceiling) = (None, None);
        let ceiling = None;
        Self { workload, follower, controllers, ceiling, throughput_of_ceiling, cpu_times_ceiling }
    }
}

/// What reading at one node took, by the node's own counters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reads {
    /// The node.
    pub address: String,
    /// Whether it led.
    pub is_leader: bool,
    /// Reads per second as a part of the leader's, 0 to 1.
    pub of_leader: f64,
    /// Rounds of confirmation for each thousand reads; all readers that wait share one.
    pub rounds_per_thousand: f64,
    /// Messages between this node and the leader for each thousand reads: a question and an answer
    /// for each round. On the leader, messages to and from the others.
    pub messages_per_thousand: f64,
    /// How long readers waited for their rounds: the 99th percentile of the last while.
    pub wait_p99_us: u64,
}

/// One controller.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Node {
    /// Its address.
    pub address: String,
    /// Whether it led when the run began.
    pub is_leader: bool,
    /// Its process, if it is on this host.
    pub pid: Option<u32>,
    /// Resident memory at the end of the run.
    pub rss_bytes: Option<u64>,
}

/// Everything that one run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Closed-loop connections.
    pub connections: usize,
    /// Warm-up before each measured time, in seconds.
    pub warm_up_seconds: f64,
    /// Processors of this host, which servers and generator share if the servers are on it.
    pub cores: usize,
    /// `fsync` or `async`, as the controllers say or the caller claims; absent if nobody does.
    pub durability: Option<&'static str>,
    /// File system under the journals of controllers that the run started.
    pub file_system: Option<String>,
    /// The controllers.
    pub nodes: Vec<Node>,
    /// Processors that the controllers kept busy with the heartbeats alone that keep all brokers
    /// alive; taken off their CPU in every row.
    pub background_cores: Option<f64>,
    /// One row for each workload, and one for each follower that was read.
    pub rows: Vec<Row>,
    /// What reading took at each node; empty if the nodes do not count it.
    pub reads: Vec<Reads>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

impl Report {
    /// The report as indented JSON.
    ///
    /// # Panics
    /// Never: all keys are strings and no value refuses to be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds numbers and strings only")
    }

    /// What others used at worst, in cores.
    #[must_use]
    pub fn other_cores(&self) -> f64 {
        let both = |row: &Row| {
            [row.controllers.other_cores, row.ceiling.as_ref().and_then(|it| it.other_cores)]
        };
        self.rows.iter().flat_map(both).flatten().fold(0.0, f64::max)
    }

    fn headline(&self) -> String {
        let nodes = self.nodes.len();
        let class = match (self.durability, &self.file_system) {
            (Some(class), Some(file_system)) => format!("{class} on {file_system}"),
            (Some(class), None) => class.to_owned(),
            (None, _) => "durability as the target is set".to_owned(),
        };
        let (connections, cores) = (self.connections, self.cores);
        let warm_up = self.warm_up_seconds;
        let measured = self.rows.first().map_or(0.0, |row| row.controllers.seconds);
        format!(
            "{nodes} controllers, {class}; {connections} closed-loop connections; \
             {warm_up:.1} s warm-up, {measured:.1} s measured; {cores} cores with the generator"
        )
    }
}

impl Report {
    fn write_reads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.reads.is_empty() {
            writeln!(
                f,
                "\n{:<22}{:>14}{:>20}{:>22}{:>14}",
                "reads at",
                "of leader's",
                "rounds/1000 reads",
                "messages/1000 reads",
                "wait p99 us"
            )?;
        }
        for reads in &self.reads {
            let role = if reads.is_leader { "leader" } else { "follower" };
            writeln!(
                f,
                "{:<22}{:>12.1} %{:>20.1}{:>22.1}{:>14}",
                format!("{role} {}", port(&reads.address)),
                reads.of_leader * 100.0,
                reads.rounds_per_thousand,
                reads.messages_per_thousand,
                reads.wait_p99_us,
            )?;
        }
        if let Some(cores) = self.background_cores {
            writeln!(f, "\nkeeping all brokers alive took {cores:.2} cores, taken off every row")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

/// `:9878` of `127.0.0.1:9878`.
fn port(address: &str) -> &str {
    address.rfind(':').and_then(|colon| address.get(colon..)).unwrap_or(address)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.headline())?;
        writeln!(
            f,
            "{:<19}{:<13}{:>11}{:>10}{:>10}{:>10}{:>10}{:>12}{:>11}{:>8}",
            "workload",
            "server",
            "requests/s",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "max us",
            "CPU us/req",
            "generator",
            "others",
        )?;
        for row in &self.rows {
            let name = row.workload.name();
            let server = row.follower.as_deref().map_or("controllers", port);
            figures(f, name, server, &row.controllers)?;
            let Some(ceiling) = &row.ceiling else { continue };
            figures(f, "", "canned", ceiling)?;
            let rate = row.throughput_of_ceiling.unwrap_or_default() * 100.0;
            let cpu = row.cpu_times_ceiling.map(|times| format!(", {times:.2} x its CPU"));
            writeln!(f, "{:<19}{rate:.1} % of the ceiling{}", "", cpu.unwrap_or_default())?;
        }
        self.write_reads(f)?;
        if self.other_cores() > QUIET_CORES {
            let cores = self.other_cores();
            writeln!(f, "\nNot a quiet machine: others kept {cores:.2} cores busy at worst.")?;
        }
        writeln!(f)?;
        for node in &self.nodes {
            let role = if node.is_leader { "leader" } else { "follower" };
            let pid =
                node.pid.map_or_else(|| "not on this host".to_owned(), |pid| format!("pid {pid}"));
            let rss =
                node.rss_bytes.map(|bytes| format!(", RSS {:.1} MiB", count(bytes) / 1_048_576.0));
            writeln!(f, "{} {role}, {pid}{}", node.address, rss.unwrap_or_default())?;
        }
        Ok(())
    }
}

fn figures(f: &mut fmt::Formatter<'_>, name: &str, server: &str, figures: &Figures) -> fmt::Result {
    let cpu = |cpu: Option<f64>| cpu.map_or_else(|| "-".to_owned(), |us| format!("{us:.2}"));
    writeln!(
        f,
        "{name:<19}{server:<13}{:>11.0}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>12}{:>11}{:>8}",
        figures.requests_per_second,
        figures.p50_us,
        figures.p99_us,
        figures.p999_us,
        figures.max_us,
        cpu(figures.server_cpu_us_per_request),
        cpu(figures.generator_cpu_us_per_request),
        cpu(figures.other_cores),
    )
}

/// A count as a float: exact up to 2^53, far above any number of requests here.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use measure::Histogram;

    use super::{CpuUsed, Figures, Node, Reads, Report, Row, Workload};

    fn report() -> Report {
        let mut latency = Histogram::default();
        latency.record_n(1_000, 999);
        latency.record(50_000);
        let second = Duration::from_secs(1);
        let used = |servers| CpuUsed {
            servers: Some(Duration::from_micros(servers)),
            generator: Some(Duration::from_micros(3_000)),
            host: Some(Duration::from_micros(servers + 3_000 + 250_000)),
        };
        let own = Figures::new(&latency, second, used(14_000));
        let ceiling = Figures::new(&latency, second / 2, used(7_000));
        let node = Node {
            address: "127.0.0.1:1".to_owned(),
            is_leader: true,
            pid: Some(7),
            rss_bytes: Some(1 << 20),
        };
        Report {
            connections: 64,
            warm_up_seconds: 2.0,
            cores: 2,
            durability: Some("fsync"),
            file_system: Some("ext4".to_owned()),
            nodes: vec![node],
            background_cores: Some(0.25),
            rows: vec![
                Row::new(Workload::GetReplicaInfo, own.clone(), ceiling),
                Row::alone(Workload::FollowerRead, Some("127.0.0.1:77".to_owned()), own),
            ],
            reads: vec![Reads {
                address: "127.0.0.1:77".to_owned(),
                is_leader: false,
                of_leader: 0.875,
                rounds_per_thousand: 8.0,
                messages_per_thousand: 16.0,
                wait_p99_us: 300,
            }],
            notes: vec!["no mix".to_owned()],
        }
    }

    #[test]
    fn figures_are_per_second_and_per_request() {
        let row = &report().rows[0];
        assert!((row.controllers.requests_per_second - 1000.0).abs() < 1e-9);
        assert!((row.throughput_of_ceiling.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(row.controllers.server_cpu_us_per_request, Some(14.0));
        assert_eq!(row.cpu_times_ceiling, Some(2.0));
        assert!((row.controllers.p50_us - 1.0).abs() < 0.01, "{}", row.controllers.p50_us);
        assert!((row.controllers.max_us - 50.0).abs() < 0.1, "{}", row.controllers.max_us);
    }

    #[test]
    fn the_table_and_the_json_hold_the_same() {
        let report = report();
        let table = report.to_string();
        for part in [
            "getReplicaInfo",
            "50.0 % of the ceiling, 2.00 x its CPU",
            "others kept 0.50 cores",
            "RSS 1.0 MiB",
            "follower read      :77",
            "follower :77                  87.5 %",
            "0.25 cores, taken off",
            "no mix",
        ] {
            assert!(table.contains(part), "{part} in\n{table}");
        }
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["rows"][0]["controllers"]["requests"], 1000);
        assert_eq!(json["rows"][0]["workload"], "getReplicaInfo");
    }
}
