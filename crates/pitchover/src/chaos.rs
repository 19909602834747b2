//! `pitchover chaos`: real controllers, each in namespaces of its own, under faults; and the verdict.
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | passed |
//! | 1 | failed: something did not hold; the verdict says what |
//! | 2 | this host cannot begin a run: no privileges, something is missing |
//! | 3 | invalid: a fault was not confirmed, or the run was interrupted |
//! | 64 | wrong usage: an unknown fault, a file that is none, a folder that holds a run |

use crate::exit::{FAILED, INVALID, UNDECIDED, USAGE};
use ::chaos::brokers::Kit;
use ::chaos::compare;
use ::chaos::course::Options;
use ::chaos::disk;
use ::chaos::faults::catalogue::{CATALOGUE, Kind};
use ::chaos::ground::probe;
use ::chaos::judge::{Outcome, Verdict};
use ::chaos::recovery::Row;
use ::chaos::recovery::goals::{Goal, Span, goals};
use ::chaos::run::{OPERATIONS_MAX, SETS, SETS_MAX, StartError};
use ::chaos::target;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Break real controllers, and judge what their clients saw.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run controllers, brokers and clients under faults. Needs root.
    Run(Arguments),
    /// Show every fault, and what this machine can inject.
    List,
    /// Say whether a run can be started here; exit code 2 and the reason if it cannot.
    Probe,
    /// Put runs of several targets side by side.
    Compare(Comparison),
    /// Serve the disk of one controller until standard input ends; a run starts this itself.
    #[command(hide = true)]
    Disk(DiskArguments),
}

#[derive(Debug, Parser)]
pub(crate) struct DiskArguments {
    /// The folder that it covers.
    at: PathBuf,
    /// What `mount` calls it.
    #[arg(long)]
    source: String,
    /// Its size.
    #[arg(long)]
    bytes: usize,
}

#[derive(Debug, Parser)]
pub(crate) struct Comparison {
    /// Folders of runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where and when they were made; stands above the tables.
    #[arg(long, default_value = "")]
    about: String,
    /// Writes Markdown here; without any file it goes to the standard output.
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Writes a page here.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What a run is for; sets what is not given.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Profile {
    /// Kills, pauses and partitions of three controllers, 5 minutes.
    Commit,
    /// Every fault, and every two families at once, five controllers, 2 hours.
    Nightly,
    /// Every fault, five controllers, 2 hours; a skipped fault that nothing excuses makes it invalid. The day before a
    /// release is many runs: `cargo xtask chaos-release`.
    Release,
}

/// Which controllers are broken.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    /// This very program.
    Pitchover,
    /// Upstream's, over its DLedger.
    JavaDledger,
    /// Upstream's, over JRaft.
    JavaJraft,
}

/// Who the brokers are.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Brokers {
    /// Actors: three sets of three, which do what a broker asks of controllers, and store nothing.
    Actors,
    /// Upstream's, unmodified: one set of three, with an official producer and consumer.
    Java,
}

#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// A set of the options below.
    #[arg(long)]
    profile: Option<Profile>,
    /// Controllers, 3 or 5.
    #[arg(long, value_parser = ["3", "5"])]
    nodes: Option<String>,
    /// Broker sets of three, 1 to 80; Java brokers are one set.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(SETS_MAX)))]
    sets: Option<u8>,
    /// `all`, `openchaos`, `ours`, `pairs`, or names: `leader-kill,openchaos:bridge,fixed-kill@n1,leader-kill+master-kill`.
    #[arg(long, value_name = "LIST")]
    faults: Option<String>,
    /// How long faults are injected: 90s, 10m, 24h.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    length: Option<Duration>,
    /// How long each fault lasts whose name does not say it; drawn between 1 and 8 s without.
    #[arg(long, value_name = "TIME", value_parser = time)]
    each: Option<Duration>,
    /// Operations that are recorded, each of some 250 bytes of memory; a run that has so many ends early and is invalid.
    #[arg(long, value_name = "N", default_value_t = OPERATIONS_MAX)]
    operations_max: usize,
    /// Draws the order of faults, whom they hit, and how long.
    #[arg(long)]
    seed: Option<u64>,
    /// Which controllers are broken.
    #[arg(long, default_value = "pitchover")]
    target: Target,
    /// Who the brokers are.
    #[arg(long, default_value = "actors")]
    brokers: Brokers,
    /// Folder of upstream's jars, for a Java target or Java brokers; `cargo xtask interop --fetch` leaves one.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "PITCHOVER_ROCKETMQ_JARS",
        default_value = "target/interop/maven-5.5.0/jars"
    )]
    jars: PathBuf,
    /// Another build of this program, to be broken instead of this one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// What `rolling-upgrade` puts in the place of the controllers; without it that is skipped.
    #[arg(long, value_name = "PATH")]
    other_binary: Option<PathBuf>,
    /// Folder for the history, the logs, the verdict and the report; by default a new one below the temporary folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What the profile `commit` does.
const COMMIT: &str = "leader-kill,random-kill,leader-term,kill-all,leader-suspend,random-suspend,pause-1,pause-2,\
                      leader-partition,random-partition,one-way-in,one-way-out,leader-from-followers,flapping,\
                      master-kill,master-from-leader";

/// What is injected with Java brokers if nothing else is said: what may cost a message, and what needs data on a device,
/// which other runs keep in memory.
const JAVA_BROKERS: &str = "master-kill,master-suspend,master-cut,master-from-replicas,master-apart,master-from-leader,\
                            replica-kill,leader-kill,leader-suspend,leader-partition,leader-from-brokers,random-kill,\
                            kill-all,leader-kill+master-kill,io-throttle";

pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::List => {
            list();
            ExitCode::SUCCESS
        }
        Command::Probe => probe_here(),
        Command::Compare(comparison) => compare_runs(comparison),
        Command::Run(arguments) => run_one(arguments),
        Command::Disk(arguments) => serve_disk(arguments),
    }
}

fn serve_disk(arguments: &DiskArguments) -> ExitCode {
    let DiskArguments { at, source, bytes } = arguments;
    let place = disk::Place { at: at.clone(), source: source.clone(), bytes: *bytes };
    match disk::serve(&place, std::io::stdin().lock(), std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos disk: {}: {error}", at.display());
            ExitCode::FAILURE
        }
    }
}

fn probe_here() -> ExitCode {
    match probe::lacking(&probe::findings()) {
        None => ExitCode::SUCCESS,
        Some(why) => {
            println!("{why}");
            ExitCode::from(UNDECIDED)
        }
    }
}

fn compare_runs(comparison: &Comparison) -> ExitCode {
    let sides = match compare::read(&comparison.runs) {
        Ok(sides) => sides,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let (md, html) = (comparison.md.as_deref(), comparison.html.as_deref());
    if md.is_none() && html.is_none() {
        print!("{}", compare::markdown(&sides, &comparison.about));
    }
    match compare::write(&sides, &comparison.about, md, html) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn list() {
    print!("{}", probe::table(&probe::findings()));
    println!();
    for entry in CATALOGUE {
        let note = match entry.kind {
            Kind::Cannot(why) => format!("SKIPPED, nothing to hit: {why}"),
            kind if kind.needs_java_brokers() => "needs --brokers java".to_owned(),
            Kind::Upgrade => "alone; needs --other-binary".to_owned(),
            _ if entry.alone.is_some() => "alone".to_owned(),
            _ if entry.nodes_min > 1 => format!("needs {} controllers", entry.nodes_min),
            _ => entry.means.map_or(String::new(), |means| format!("needs {}", means.name())),
        };
        println!("{:<15} {:<38} {note}", entry.family, entry.full_name());
    }
}

fn run_one(arguments: &Arguments) -> ExitCode {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match ::chaos::run::run(&options, &|line| println!("{line}")) {
        Ok(verdict) => {
            print_verdict(&verdict);
            println!("report: {}", options.folder.join("report.html").display());
            match verdict.outcome {
                Outcome::Passed => ExitCode::SUCCESS,
                Outcome::Failed => ExitCode::from(FAILED),
                Outcome::Invalid => ExitCode::from(INVALID),
            }
        }
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(match error {
                StartError::Fault(_) | StartError::FolderUsed(_) => USAGE,
                StartError::Means(_)
                | StartError::Brokers(_)
                | StartError::NothingLeft
                | StartError::Io(_)
                | StartError::NoMessages(_)
                | StartError::NoCluster(_) => UNDECIDED,
            })
        }
    }
}

fn options(arguments: &Arguments) -> Result<Options, Box<dyn std::error::Error>> {
    let (faults, minutes, nodes) = match arguments.profile {
        Some(Profile::Commit) => (COMMIT, 5, 3),
        Some(Profile::Nightly) => ("all,pairs", 120, 5),
        Some(Profile::Release) => ("all", 120, 5),
        None if matches!(arguments.brokers, Brokers::Java) => (JAVA_BROKERS, 10, 3),
        None => ("all", 15, 3),
    };
    let java_brokers = match arguments.brokers {
        Brokers::Actors => None,
        Brokers::Java => Some(Kit::find(&arguments.jars)?),
    };
    if java_brokers.is_some() && arguments.sets.is_some() {
        return Err("--sets is for actors; Java brokers are one set".into());
    }
    let java = |kind| target::Target::java(kind, &arguments.jars);
    let target = match (arguments.target, &arguments.program) {
        (Target::Pitchover, Some(program)) => target::Target::ours(program)?,
        (Target::Pitchover, None) => target::Target::ours(&std::env::current_exe()?)?,
        (Target::JavaDledger | Target::JavaJraft, Some(_)) => {
            return Err("--program names a build of this program; a Java target has none".into());
        }
        (Target::JavaDledger, None) => java(target::Kind::JavaDledger)?,
        (Target::JavaJraft, None) => java(target::Kind::JavaJraft)?,
    };
    let other = arguments.other_binary.as_deref().map(target::Target::ours).transpose()?;
    let seed = arguments.seed.unwrap_or_else(::chaos::clock::unix_seconds);
    let folder = || std::env::temp_dir().join(format!("pitchover-chaos-{}", std::process::id()));
    Ok(Options {
        nodes: arguments.nodes.as_ref().and_then(|nodes| nodes.parse().ok()).unwrap_or(nodes),
        sets: arguments.sets.unwrap_or(SETS),
        each: arguments.each,
        faults: arguments.faults.clone().unwrap_or_else(|| faults.to_owned()),
        length: arguments.length.unwrap_or(Duration::from_secs(minutes * 60)),
        operations_max: arguments.operations_max,
        seed,
        // Controllers read their settings from below it, each in a folder of its own.
        folder: std::path::absolute(arguments.out.clone().unwrap_or_else(folder))?,
        target,
        version: crate::VERSION,
        other_program: other.map(|other| other.program),
        is_release: matches!(arguments.profile, Some(Profile::Release)),
        java_brokers,
    })
}

fn print_recovery(title: &str, rows: &[Row]) {
    let (outage, healed) = ("OUTAGE P50/MAX MS", "HEALED P50/MAX MS");
    let (samples, masters) = ("SAMPLES", "MASTERS REPLACED");
    println!("\n{title:<34} {samples:>7} {outage:>22} {healed:>22} {masters:>17}");
    for row in rows {
        let both = |values: &[u64]| {
            format!("{} / {}", Row::percentile(values, 50), Row::percentile(values, 100))
        };
        let (outage, healed) = (both(&row.outages_ms), both(&row.healed_ms));
        let samples = row.outages_ms.len();
        println!("{:<34} {samples:>7} {outage:>22} {healed:>22} {:>17}", row.fault, row.replaced);
    }
}

fn print_verdict(verdict: &Verdict) {
    print_recovery("FAULT, CONTROLLERS' CLIENTS", &verdict.recovery);
    let (reached, missed): (Vec<Goal>, Vec<Goal>) =
        goals(&verdict.recovery).into_iter().partition(Goal::is_reached);
    println!("\ngoals of recovery times: {} reached, {} missed", reached.len(), missed.len());
    // Those that are one fault's own are said in any case.
    let own = reached.iter().filter(|goal| goal.of == Span::Outage);
    for goal in own.chain(&missed) {
        println!("{}", goal.line());
    }
    if let Some(rows) = verdict.messages_recovery() {
        print_recovery("FAULT, PRODUCER", rows);
    }
    let [ok, refused, unknown] = verdict.operations;
    println!(
        "\noperations: {ok} ok, {refused} refused, {unknown} unknown; {} sets undecided by the search",
        verdict.undecided
    );
    println!("{}", verdict.reach());
    for line in verdict.messages() {
        println!("{line}");
    }
    for line in &verdict.violations {
        println!("VIOLATION {line}");
    }
    for line in &verdict.doubts {
        println!("IN DOUBT {line}");
    }
    println!("{}", verdict.word());
}

/// `90s`, `10m`, `24h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write 90s, 10m or 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_not_a_number| wrong())?;
    Ok(Duration::from_secs(number * seconds))
}

#[cfg(test)]
mod tests {
    use super::{COMMIT, JAVA_BROKERS, time};
    use std::time::Duration;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(time("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "10", "m", "10d", "-1s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_faults_of_the_lists_are_in_the_catalogue() {
        let count = |list| ::chaos::faults::parse(list, 3).map(|faults| faults.len());
        assert_eq!((count(COMMIT), count(JAVA_BROKERS)), (Ok(16), Ok(15)));
    }
}
