//! `cargo xtask openchaos`: the original `OpenChaos` breaks three or five controllers, ours or upstream's own.
//!
//! `OpenChaos` is fetched and built as it is (Maven); a driver of ours (`interop/openchaos/`) tells it what a controller is.
//! Each fault gets fresh nodes: namespaces with an address, ssh and processes of their own. Afterwards three verdicts stand
//! side by side: `OpenChaos`' (acknowledged values that are lost), the driver's own check, and `pitchover check`; and how many
//! injections were seen to work from outside. `interop/openchaos/README.md` tells what `OpenChaos` cannot do.
//!
//! ```text
//! openchaos.rs   options, all runs
//!  ├─ faults     what works in `OpenChaos`
//!  ├─ ground     what the machine must have; what is removed, and by whom
//!  ├─ source     `OpenChaos`' sources to a jar; the driver to classes
//!  ├─ delay      what holds packets where the kernel has no netem
//!  ├─ play       one fault ── nodes, watch (was it in force?), presence (was everybody there?), result (what `OpenChaos` wrote)
//!  └─ table      lines for the terminal, docs/report/openchaos.md
//! ```

mod delay;
mod faults;
mod ground;
mod nodes;
mod play;
mod presence;
mod result;
mod source;
mod table;
mod watch;

use self::delay::Emulation;
use self::faults::{FAULTS, Fault, Means};
use self::ground::Janitor;
use self::nodes::{Keys, Programs};
use self::play::Stage;
use self::source::Source;
use self::table::Row;
use crate::interop::clock::Stopwatch;
use crate::interop::report::{Failure, Outcome};
use crate::interop::{absolute, build, maven, prepare};
use crate::words::{EXIT_UNAVAILABLE, understood};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask openchaos [--source DIR|ARCHIVE] [--target NAME] [--faults LIST|all] [--mapping register|set]
                             [--writes N] [--seconds N] [--pitchover FILE] [--write]

  --source DIR|ARCHIVE  OpenChaos' sources (default: cloned from GitHub)
  --target NAME         pitchover (default), java-dledger or java-jraft
  --faults LIST         names, parted by commas, or all (default)
  --mapping NAME        register (default): compare and set of a sync-state set; set: broker ids, one put each
  --writes N            puts that a run must have (default 1500)
  --seconds N           how long it puts, 60 to 3600 (default: twice what these puts need, and 30 s more)
  --pitchover FILE      our program (default: built with cargo, release profile)
  --write               writes the table into docs/report/openchaos.md

Needs root, a JDK, Maven, iptables, sshd. Logs stay under target/openchaos/.";

/// Which `OpenChaos` is meant.
struct Origin {
    repository: &'static str,
    commit: &'static str,
}

const ORIGIN: Origin =
    Origin { repository: "https://github.com/openmessaging/openchaos.git", commit: "d129a32" };

const WRITES: u64 = 1_500;

/// Of one run: two injections need a minute; an hour is the longest that one history is kept for.
const SECONDS: RangeInclusive<u64> = 60..=3_600;

/// Of RocketMQ, for the Java controllers.
const ROCKETMQ: &str = "5.5.0";

/// Who the controllers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Pitchover,
    JavaDledger,
    JavaJraft,
}

impl Target {
    const ALL: [Self; 3] = [Self::Pitchover, Self::JavaDledger, Self::JavaJraft];

    fn name(self) -> &'static str {
        match self {
            Self::Pitchover => "pitchover",
            Self::JavaDledger => "java-dledger",
            Self::JavaJraft => "java-jraft",
        }
    }
}

/// What a put is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapping {
    Register,
    Set,
}

#[derive(Debug)]
struct Options {
    source: Source,
    target: Target,
    faults: Vec<Fault>,
    mapping: Mapping,
    writes: u64,
    seconds: Option<u64>,
    pitchover: Option<PathBuf>,
    writes_report: bool,
}

/// The names of all faults that `OpenChaos` makes.
pub(crate) fn faults() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|fault| fault.name)
}

/// Runs; the exit code says whether all passed (upstream's controllers may fail: that is what the comparison is for).
pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let options = match understood(parse(words), USAGE) {
        Ok(options) => options,
        Err(code) => return code,
    };
    if let Err(failure) = ground::check() {
        eprintln!("{failure}");
        return ExitCode::from(EXIT_UNAVAILABLE);
    }
    for line in ground::remove_leftovers() {
        println!("{line}");
    }
    match play_all(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn play_all(options: &Options) -> Outcome<bool> {
    let run = std::process::id();
    let _janitor = Janitor::start(run)?;
    let mut lacking = ground::lacking(run)?;
    let mut stage = set_up(options)?;
    if options.faults.iter().any(|fault| fault.means == Means::Netem) {
        stage.programs.emulation = Emulation::instead(&mut lacking, run, &stage.folder);
    }
    exam(&stage)?;
    let mut is_well = true;
    let target = options.target;
    println!("{}", table::heading(target, options.mapping));
    for fault in &options.faults {
        let row = if let Some((_, why)) = lacking.iter().find(|(means, _)| *means == fault.means) {
            println!("SKIPPED  {}: {why}", fault.name);
            Row::Skipped(fault.name, why.to_string())
        } else {
            play_one(&stage, run, *fault)
        };
        is_well &= row.is_well(target);
        // After each fault: a run that is broken off has written what it saw.
        if options.writes_report {
            table::write(&crate::tree::root().join(table::REPORT), options, &row)?;
        }
    }
    for fault in faults::NAMES_ONLY.iter().filter(|_| options.faults.len() == FAULTS.len()) {
        println!("SKIPPED  {fault}: OpenChaos lists it and does not make it");
    }
    println!("logs: {}", stage.folder.display());
    Ok(is_well)
}

fn play_one(stage: &Stage<'_>, run: u32, fault: Fault) -> Row {
    let watch = Stopwatch::start();
    match stage.play(run, fault) {
        Ok(one) => {
            let verdict = one.verdict(stage.options.writes);
            println!("{}", table::line(&one, &verdict));
            Row::Played(one, verdict)
        }
        Err(failure) => {
            println!("BROKEN   {} after {}: {failure}", fault.name, watch.shown());
            Row::Broken(fault.name, failure.to_string())
        }
    }
}

fn set_up(options: &Options) -> Outcome<Stage<'_>> {
    let root = crate::tree::root();
    let folder = root.join("target").join("openchaos");
    prepare(&folder)?;
    println!("building OpenChaos ({}), unless it is built, and the driver", ORIGIN.commit);
    let jar = source::jar(&options.source, &folder)?;
    let driver = source::driver(root, &jar, &folder)?;
    let pitchover = options.pitchover.clone().map_or_else(|| build(root, &folder), Ok)?;
    let class_path = match options.target {
        Target::Pitchover => String::new(),
        Target::JavaDledger | Target::JavaJraft => {
            println!("RocketMQ {ROCKETMQ} through Maven");
            let interop = root.join("target").join("interop");
            prepare(&interop)?;
            maven::class_path(root, ROCKETMQ, &interop)?
        }
    };
    let logback = root.join("interop").join("logback.xml");
    let programs =
        Programs { target: options.target, pitchover, class_path, logback, emulation: None };
    let keys = Keys::make(&folder)?;
    Ok(Stage { options, folder, keys, programs, jar, driver })
}

/// The driver's check must find what is planted, and nothing where nothing is: `interop/openchaos/exam/`.
fn exam(stage: &Stage<'_>) -> Outcome<()> {
    let folder = crate::tree::root().join("interop").join("openchaos").join("exam");
    let mut histories = 0;
    for entry in std::fs::read_dir(&folder).map_err(Failure::while_doing(folder.display()))? {
        let file = entry.map_err(Failure::while_doing(folder.display()))?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let violations = stage.check(&file)?;
        if (violations == 0) != name.starts_with("clean") {
            return Err(Failure(format!(
                "the driver's check counts {violations} violations in {name}"
            )));
        }
        histories += 1;
    }
    println!("the driver's check judges its {histories} histories made by hand as it should");
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        source: Source::Origin,
        target: Target::Pitchover,
        faults: FAULTS.to_vec(),
        mapping: Mapping::Register,
        writes: WRITES,
        seconds: None,
        pitchover: None,
        writes_report: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--source" => options.source = source_of(&value()?)?,
            "--target" => {
                let name = value()?;
                let found = Target::ALL.into_iter().find(|target| target.name() == name);
                options.target = found.ok_or_else(|| format!("there is no target {name}"))?;
            }
            "--faults" => options.faults = faults::parse(&value()?)?,
            "--mapping" => {
                options.mapping = match value()?.as_str() {
                    "register" => Mapping::Register,
                    "set" => Mapping::Set,
                    other => return Err(format!("there is no mapping {other}")),
                };
            }
            "--writes" => {
                let text = value()?;
                let number = text.parse().ok().filter(|number| *number > 0);
                options.writes =
                    number.ok_or_else(|| format!("--writes {text}: no number above 0"))?;
            }
            "--seconds" => {
                let text = value()?;
                let number = text.parse().ok().filter(|number| SECONDS.contains(number));
                let (least, most) = (SECONDS.start(), SECONDS.end());
                options.seconds =
                    Some(number.ok_or_else(|| format!("--seconds {text}: not {least} to {most}"))?);
            }
            "--pitchover" => options.pitchover = Some(absolute(value()?)?),
            "--write" => options.writes_report = true,
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(options)
}

fn source_of(text: &str) -> Result<Source, String> {
    let path = absolute(text)?;
    if path.is_dir() {
        return Ok(Source::Folder(path));
    }
    if path.is_file() {
        return Ok(Source::Archive(path));
    }
    Err(format!("--source {text}: neither a folder nor a file"))
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Options, Source, Target, WRITES, parse};

    fn check(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let plain = check("").expect("nothing is needed");
        assert_eq!(
            (plain.target, plain.writes, plain.faults.len()),
            (Target::Pitchover, WRITES, 18)
        );
        let all =
            check("--target java-jraft --faults leader-kill --mapping set --writes 9 --source .");
        let all = all.expect("it is right");
        assert_eq!((all.target, all.mapping, all.writes), (Target::JavaJraft, Mapping::Set, 9));
        assert!(matches!(all.source, Source::Folder(_)));
        assert_eq!((plain.seconds(), all.seconds()), (60, 30));
        assert_eq!(check("--seconds 130").expect("it is right").seconds(), 130);
    }

    #[test]
    fn wrong_words_are_told() {
        for (line, expected) in [
            ("--source", "--source needs a value"),
            ("--source /nowhere/at/all", "--source /nowhere/at/all: neither a folder nor a file"),
            ("--target java", "there is no target java"),
            ("--seconds 59", "--seconds 59: not 60 to 3600"),
            ("--writes 0", "--writes 0: no number above 0"),
            ("--mapping list", "there is no mapping list"),
            (
                "--faults fixed-io-hang",
                "OpenChaos lists the fault fixed-io-hang and does not make it",
            ),
            ("quick", "quick is no option"),
        ] {
            assert_eq!(check(line).expect_err("it is wrong"), expected);
        }
    }
}
