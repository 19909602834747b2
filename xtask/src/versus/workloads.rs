//! Workloads as texts and commands of `pitchover bench`: the same for every arm, byte for byte, but for the
//! rates that are parts of an arm's own capacity.

use super::arms::Arm;
use super::bench::Step;
use super::plan::{Size, Workload, expected_seconds};
use std::time::Duration;

/// The part of a capacity at which tails are looked at. Closed loops cost the generator less than open ones,
/// and both share the machine with the servers.
pub(super) const SHARE: f64 = 0.4;

/// Broker sets of the workloads that only need some, and most of one whose writes must not meet.
const SETS: usize = 32;
const SETS_MAX: usize = 512;

/// Writes a second of one set, so that the next one rarely finds the last one under way.
const WRITES_PER_SET: f64 = 40.0;

/// Brokers of the workload of one-way heartbeats, and each one's period: some 3,000 a second to each controller.
const BEATING_SETS: usize = 34;
const BEAT_EVERY: &str = "34ms";

/// From the start of measuring to the death of masters.
const CALM_SECONDS: u64 = 3;

/// A step may take so many times what is expected, and so much more.
const LIMIT_TIMES: u64 = 4;
const LIMIT_MORE: u64 = 120;

/// How late (p99) the generator may send where requests are timed.
const LAG: &str = "5ms";

/// The same where what is timed is when survivors are told: of 200 masters and more hundreds of ms to seconds, of which
/// this is little. It makes both sides slower, so it flatters neither.
const LAG_OF_FAILOVER: &str = "25ms";

/// What makes a run invalid. Servers and generator share few processors, so that somebody waits for one at all
/// times and pressure says nothing; how late the generator sends does.
fn limits(workload: &str) -> String {
    let is_long = matches!(workload, "failover-200" | "failover-1000");
    let lag = if is_long { LAG_OF_FAILOVER } else { LAG };
    format!(
        "limits = {{ send_lag_p99 = \"{lag}\", generator_cpu = 0.95, psi_cpu_some = \"100%\" }}\n"
    )
}

/// How controllers are asked.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    pub(super) arm: Arm,
    /// `host:port` of each controller, with commas.
    pub(super) targets: &'a str,
    /// Of the program under measurement, where it is ours.
    pub(super) commit: Option<&'a str>,
    pub(super) version: &'a str,
}

/// Answers a second of the closed loops of one arm, where they were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Capacity {
    pub(super) writes: Option<f64>,
    pub(super) reads: Option<f64>,
}

/// Rates of the open loops, a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// Of all arms together.
    pub(super) common: (f64, f64),
    /// Of one arm.
    pub(super) own: (f64, f64),
}

impl Rates {
    /// The rates of one arm; nothing if it, or none, has a capacity.
    pub(super) fn of(own: Capacity, all: &[Capacity]) -> Option<Self> {
        let least = |of: fn(&Capacity) -> Option<f64>| all.iter().filter_map(of).reduce(f64::min);
        let common = (least(|it| it.writes)? * SHARE, least(|it| it.reads)? * SHARE);
        let own = (own.writes? * SHARE, own.reads? * SHARE);
        Some(Self {
            common: (two_digits(common.0), two_digits(common.1)),
            own: (two_digits(own.0), two_digits(own.1)),
        })
    }
}

/// A workload file and the step that runs it.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Its file's name below `workloads/`, and its text; none for commands that need no file.
    pub(super) file: Option<(String, String)>,
    pub(super) step: Step,
}

/// Load without figures, so that a JVM has compiled what it will run.
pub(super) fn warm_up(size: Size, asked: &Asked<'_>) -> Task {
    let seconds = size.warm_up_seconds();
    let mut arguments = words(&[
        "bench",
        "quick",
        "--rows",
        "writes,reads,heartbeats",
        "--connections",
        "16",
        "--warm-up-ms",
        "0",
        "--no-ceiling",
        "--json",
        "--seconds",
    ]);
    arguments.extend([seconds.to_string(), "--target".to_owned(), asked.targets.to_owned()]);
    let name = format!("warm-up-{}", asked.arm.name());
    Task { file: None, step: step(name, arguments, 3 * seconds + 20) }
}

/// All steps of a workload on one arm.
pub(super) fn tasks(
    size: Size,
    workload: Workload,
    asked: &Asked<'_>,
    rates: Option<Rates>,
) -> Vec<Task> {
    let expected = expected_seconds(size, workload, asked.arm);
    match workload {
        Workload::Capacity => vec![capacity(size, asked, expected)],
        Workload::Tails => {
            rates.map(|rates| tails(size, asked, rates, expected)).unwrap_or_default()
        }
        Workload::Heartbeats => {
            let description = "102 brokers send some 3,000 one-way heartbeats a second to each of three \
                               controllers; one in a hundred is answered";
            let fleet = format!(
                "[fleet]\nbroker_sets = {BEATING_SETS}\nheartbeat = {{ every = \"{BEAT_EVERY}\", \
                 timeout = \"10s\", sample_twoway = 0.01 }}\n"
            );
            vec![run(size, asked, ("heartbeats", description), &fleet, expected)]
        }
        Workload::Fleet(brokers) => {
            let description =
                format!("{} brokers at Java's cadences, nobody dies", brokers.div_ceil(3) * 3);
            let body = fleet(brokers.div_ceil(3));
            vec![run(size, asked, (&workload.name(), &description), &body, expected)]
        }
        Workload::Failover(masters) => vec![failover(size, asked, masters, expected)],
        Workload::Leader => vec![leader(size, asked, expected)],
    }
}

fn capacity(size: Size, asked: &Asked<'_>, expected: u64) -> Task {
    let mut arguments = words(&[
        "bench",
        "quick",
        "--rows",
        "writes,reads,heartbeats,follower-reads",
        "--no-ceiling",
        "--json",
        "--seconds",
    ]);
    let warm_up = size.closed_warm_up().as_millis().to_string();
    arguments.extend([size.closed_seconds().to_string(), "--warm-up-ms".to_owned(), warm_up]);
    arguments.extend(about(asked, &format!("runs/{}", asked.arm.name())));
    Task { file: None, step: step(format!("capacity-{}", asked.arm.name()), arguments, expected) }
}

fn tails(size: Size, asked: &Asked<'_>, rates: Rates, expected: u64) -> Vec<Task> {
    let stream = |op: &str, rate: f64| {
        format!(
            "  {{ op = \"{op}\", arrival = \"poisson\", rate = {rate}, conns = 32, timeout = \"3s\" }},\n"
        )
    };
    let alone = |sets: usize| {
        format!(
            "[fleet]\nbroker_sets = {sets}\nconnections = \"shared:300\"\n\
             get_metadata = {{ every = \"10s\" }}\n"
        )
    };
    let (write, read) = ("alter_sync_state_set", "get_replica_info");
    let percent = SHARE * 100.0;
    let common = format!(
        "the rates that every arm carries: {percent:.0} % of the least capacity, {} writes/s and {} reads/s",
        rates.common.0, rates.common.1
    );
    let streams = stream(write, rates.common.0) + &stream(read, rates.common.1);
    let common_body = format!("load = [\n{streams}]\n{}", alone(SETS));
    let share = format!("{percent:.0} % of each arm's own capacity");
    let one =
        |op: &str, rate: f64, sets| format!("load = [\n{}]\n{}", stream(op, rate), alone(sets));
    let all = [
        ("common-rate", common, common_body),
        (
            "writes-share",
            format!("writes at {share}"),
            one(write, rates.own.0, sets_for(rates.own.0)),
        ),
        ("reads-share", format!("reads on the leader at {share}"), one(read, rates.own.1, SETS)),
    ];
    let of = |(name, description, body): (&str, String, String)| {
        run(size, asked, (name, &description), &body, expected)
    };
    all.into_iter().map(of).collect()
}

fn failover(size: Size, asked: &Asked<'_>, masters: usize, expected: u64) -> Task {
    let sets = size.sets_of_failover(masters);
    let percent = as_f64(masters) / as_f64(sets) * 100.0;
    let name = Workload::Failover(masters).name();
    let description = format!("the masters of {masters} of {sets} broker sets die at once");
    let measure = CALM_SECONDS + size.patience_seconds(masters);
    let fault = format!(
        "fault = [{{ at = \"{CALM_SECONDS}s\", kind = \"broker-kill\", select = \"masters:{percent}%\" }}]\n"
    );
    let text = head(size, (&name, &description), measure) + &fault + &fleet(sets);
    of_file(asked, &name, text, expected)
}

fn leader(size: Size, asked: &Asked<'_>, expected: u64) -> Task {
    let (kills, freezes) = size.strikes();
    let mut arguments = words(&["bench", "failover", "leader", "--strike-targets", "--json"]);
    for (option, value) in [("--sets", 10), ("--kills", kills), ("--freezes", freezes)] {
        arguments.extend([option.to_owned(), value.to_string()]);
    }
    arguments.extend(about(asked, &format!("runs/{}/leader-lost", asked.arm.name())));
    let name = format!("leader-lost-{}", asked.arm.name());
    let step = Step { kills: true, ..step(name, arguments, expected) };
    Task { file: None, step }
}

/// An open-loop run of a workload's usual length.
fn run(
    size: Size,
    asked: &Asked<'_>,
    (name, description): (&str, &str),
    body: &str,
    expected: u64,
) -> Task {
    let text = head(size, (name, description), size.open_seconds()) + body;
    of_file(asked, name, text, expected)
}

fn of_file(asked: &Asked<'_>, name: &str, text: String, expected: u64) -> Task {
    let arm = asked.arm.name();
    // Rates differ between arms, so each has a file of its own.
    let file = format!("{name}-{arm}.toml");
    let mut arguments = words(&["bench", "run", "--json", "-f"]);
    arguments.push(format!("workloads/{file}"));
    arguments.extend(about(asked, &format!("runs/{arm}/{name}")));
    Task { file: Some((file, text)), step: step(format!("{name}-{arm}"), arguments, expected) }
}

fn head(size: Size, (name, description): (&str, &str), measure: u64) -> String {
    let warm_up = size.open_warm_up_seconds();
    let limits = limits(name);
    format!(
        "schema = \"pitchover.bench/v1\"\nname = \"{name}\"\ndescription = \"{description}\"\n\
         time = {{ warmup = \"{warm_up}s\", measure = \"{measure}s\", window = \"500ms\" }}\n{limits}"
    )
}

/// Brokers at Java's cadences.
fn fleet(sets: usize) -> String {
    format!(
        "[fleet]\nbroker_sets = {sets}\nheartbeat = {{ every = \"1s\", timeout = \"10s\", sample_twoway = \
         0.01 }}\nget_replica_info = {{ every = \"5s\", timeout = \"3s\" }}\nget_metadata = {{ every = \
         \"10s\", timeout = \"3s\" }}\n"
    )
}

/// Options that say who is asked, and where the result goes.
fn about(asked: &Asked<'_>, out: &str) -> Vec<String> {
    let arm = asked.arm;
    let mut all = vec![
        ("--target", asked.targets),
        ("--arm", arm.name()),
        ("--kind", arm.kind()),
        ("--durability", arm.durability()),
        ("--target-version", asked.version),
    ];
    all.extend(asked.commit.map(|commit| ("--commit", commit)));
    all.push(("--out", out));
    all.into_iter().flat_map(|(option, value)| [option.to_owned(), value.to_owned()]).collect()
}

fn step(name: String, arguments: Vec<String>, expected: u64) -> Step {
    let limit = Duration::from_secs(LIMIT_TIMES * expected + LIMIT_MORE);
    Step { name, arguments, kills: false, limit }
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// Sets for so many writes a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and is bounded right after"
)]
fn sets_for(rate: f64) -> usize {
    ((rate / WRITES_PER_SET) as usize).clamp(SETS, SETS_MAX)
}

/// A rate that people can remember: two digits that count, one request a second at least.
fn two_digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.max(1.0).log10().floor() - 1.0);
    ((rate / unit).floor() * unit).max(1.0).round()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of sets are far below 2^53")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Asked, Capacity, Rates, limits, tasks, two_digits, warm_up};
    use crate::versus::arms::Arm;
    use crate::versus::plan::{Size, Workload};

    fn asked() -> Asked<'static> {
        Asked { arm: Arm::JavaJraft, targets: "h:1,h:2,h:3", commit: None, version: "5.5.0" }
    }

    #[test]
    fn only_what_is_timed_in_hundreds_of_ms_may_be_sent_later() {
        assert!(limits("failover-1000").contains("\"25ms\""));
        for workload in ["failover-10", "fleet-1000", "common-rate"] {
            assert!(limits(workload).contains("\"5ms\""), "{workload}");
        }
    }

    #[test]
    fn rates_are_parts_of_the_least_and_of_the_own_capacity() {
        let capacity = |writes, reads| Capacity { writes: Some(writes), reads: Some(reads) };
        let (slow, fast) = (capacity(180.0, 14_400.0), capacity(35_000.0, 70_300.0));
        let rates = Rates::of(fast, &[slow, fast, Capacity::default()]).expect("both are known");
        assert_eq!((rates.common, rates.own), ((72.0, 5_700.0), (14_000.0, 28_000.0)));
        assert_eq!(Rates::of(Capacity::default(), &[slow]), None);
        assert_eq!([0.3, 9.99, 123.0, 98_765.0].map(two_digits), [1.0, 10.0, 120.0, 98_000.0]);
    }

    #[test]
    fn every_task_says_who_is_asked_and_where_the_result_goes() {
        let capacity = Capacity { writes: Some(100.0), reads: Some(100.0) };
        let rates = Rates::of(capacity, &[capacity]);
        let mut runs = Vec::new();
        for workload in Workload::ALL {
            for task in tasks(Size::Quick, workload, &asked(), rates) {
                let line = task.step.arguments.join(" ");
                assert!(
                    line.contains("--target h:1,h:2,h:3 --arm java-jraft --kind java-jraft"),
                    "{line}"
                );
                assert!(line.contains("--durability fsync --target-version 5.5.0"), "{line}");
                assert_eq!(task.step.kills, workload == Workload::Leader);
                runs.push(line.rsplit(' ').next().unwrap_or_default().to_owned());
            }
        }
        assert_eq!(runs.len(), Workload::ALL.len() + 2, "tails are three runs");
        assert!(runs.contains(&"runs/java-jraft/fleet-1000".to_owned()), "{runs:?}");
    }

    #[test]
    fn files_hold_what_their_names_say() {
        let text = |workload| {
            let task = tasks(Size::Quick, workload, &asked(), None).remove(0);
            task.file.expect("it has a file").1
        };
        assert!(text(Workload::Failover(10)).contains("select = \"masters:25%\""));
        assert!(text(Workload::Failover(1_000)).contains("broker_sets = 1000\n"));
        assert!(text(Workload::Fleet(1_000)).contains("broker_sets = 334\n"));
        assert!(tasks(Size::Quick, Workload::Tails, &asked(), None).is_empty(), "no rate, no run");
        assert!(warm_up(Size::Full, &asked()).step.arguments.contains(&"20".to_owned()));
    }
}
