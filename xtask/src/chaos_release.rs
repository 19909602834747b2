//! `cargo xtask chaos-release`: the programme before a release, 24 hours of `pitchover chaos run`.
//!
//! ```text
//! round 1: every fault, 3 controllers │ every fault, 5 │ every two families at once, 3 │ the same, 5     round 2: …
//! ```
//!
//! Every stage is a run with a seed and a folder of its own, and after each the report is written anew, so that a programme
//! that is cut short (`--for`, Ctrl-C, TERM) has said what it saw. What it never came to is listed, and makes it INVALID.
//!
//! Not here, each a command of its own: the original `OpenChaos` (`cargo xtask openchaos`), unmodified brokers
//! (`cargo xtask interop`), the same faults against upstream's controllers (`pitchover chaos run --target java-dledger`).

mod summary;

use self::summary::Summary;
use crate::interop::build;
use crate::versus::signals::stop_flag;
use crate::words::{EXIT_UNAVAILABLE, understood};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const USAGE: &str = "\
usage: cargo xtask chaos-release [--for TIME] [--stage TIME] [--seed N] [--pitchover FILE] [--out FOLDER]

  --for TIME        all of it: 24h (default), 90m, 600s
  --stage TIME      one run (default 30m)
  --seed N          of the first run; the next ones count on from it (default 1)
  --pitchover FILE  our program (default: built with cargo, release profile)
  --out FOLDER      for runs and report (default target/chaos-release)

Needs root. Ctrl-C ends it early, with a report about what was seen.";

/// As `pitchover chaos run` says that a run proves nothing.
const EXIT_INVALID: u8 = 3;

const LENGTH: Duration = Duration::from_secs(24 * 3_600);

const STAGE: Duration = Duration::from_secs(30 * 60);

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What one round is made of: the list of faults, and the number of controllers.
const ROUND: [(&str, u8); 4] = [("all", 3), ("all", 5), ("pairs", 3), ("pairs", 5)];

#[derive(Debug, PartialEq, Eq)]
struct Options {
    length: Duration,
    stage: Duration,
    seed: u64,
    pitchover: Option<PathBuf>,
    out: Option<PathBuf>,
}

/// One run of the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    faults: &'static str,
    nodes: u8,
    seed: u64,
    length: Duration,
}

/// The stages that fit: whole rounds of equal stages, at least one round, however short its stages are.
fn stages(length: Duration, stage: Duration, seed: u64) -> Vec<Stage> {
    let per_round = u64::try_from(ROUND.len()).unwrap_or(1);
    let rounds = (length.as_secs() / (stage.as_secs().max(1) * per_round)).max(1);
    let each = Duration::from_secs(length.as_secs() / (rounds * per_round));
    let one = |number: u64| {
        let (faults, nodes) = ROUND[usize::try_from(number % per_round).unwrap_or(0)];
        Stage { faults, nodes, seed: seed.wrapping_add(number), length: each }
    };
    (0..rounds * per_round).map(one).collect()
}

/// Runs; 0: passed, 1: failed, 3: invalid, which a programme is that was cut short.
pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let options = match understood(parse(words), USAGE) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match programme(&options) {
        Ok(summary) => {
            print!("{}", summary.markdown());
            match (summary.has_failed(), summary.is_complete()) {
                (true, _) => ExitCode::FAILURE,
                (false, true) => ExitCode::SUCCESS,
                (false, false) => ExitCode::from(EXIT_INVALID),
            }
        }
        Err(error) => {
            eprintln!("chaos-release: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn programme(options: &Options) -> io::Result<Summary> {
    let root = crate::tree::root();
    let folder = options.out.clone().unwrap_or_else(|| root.join("target").join("chaos-release"));
    fs::create_dir_all(&folder)?;
    let built = || build(root, &folder).map_err(|failure| io::Error::other(failure.to_string()));
    let pitchover = options.pitchover.clone().map_or_else(built, Ok)?;
    let stop = stop_flag();
    let stages = stages(options.length, options.stage, options.seed);
    let mut summary = Summary::default();
    for (number, stage) in stages.iter().enumerate() {
        let at = folder.join(format!("{:03}-{}-{}", number + 1, stage.faults, stage.nodes));
        println!("{} of {}: {stage:?}, {}", number + 1, stages.len(), at.display());
        if at.exists() {
            fs::remove_dir_all(&at)?;
        }
        fs::create_dir_all(&at)?;
        let status = play(&pitchover, *stage, &at, &stop)?;
        summary.add(stage.faults, stage.nodes, &at, &status)?;
        fs::write(folder.join("report.md"), summary.markdown())?;
        if stop.load(Ordering::Acquire) {
            println!("stopped: {} stages were not played", stages.len() - number - 1);
            summary.cut_short(stages.len() - number - 1);
            break;
        }
    }
    fs::write(folder.join("report.md"), summary.markdown())?;
    println!("report: {}", folder.join("report.md").display());
    Ok(summary)
}

/// One run, to its end; a request to stop is passed on, and it then judges what it saw.
fn play(pitchover: &Path, stage: Stage, at: &Path, stop: &AtomicBool) -> io::Result<String> {
    let log = File::create(at.join("run.log"))?;
    let mut command = Command::new(pitchover);
    command.args(["chaos", "run", "--faults", stage.faults]);
    command.args(["--nodes", &stage.nodes.to_string(), "--seed", &stage.seed.to_string()]);
    command.args(["--for", &format!("{}s", stage.length.as_secs()), "--out"]).arg(at);
    let mut run = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let mut is_told = false;
    loop {
        if let Some(status) = run.try_wait()? {
            return Ok(status.to_string());
        }
        if stop.load(Ordering::Acquire) && !is_told {
            is_told = true;
            tell(&run)?;
        }
        std::thread::park_timeout(LOOK);
    }
}

fn tell(run: &Child) -> io::Result<()> {
    let id = i32::try_from(run.id()).ok().and_then(Pid::from_raw);
    // It may have heard of Ctrl-C by itself, and have ended.
    id.map_or(Ok(()), |id| Ok(kill_process(id, Signal::TERM)?))
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { length: LENGTH, stage: STAGE, seed: 1, pitchover: None, out: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--for" => options.length = time(&value()?)?,
            "--stage" => options.stage = time(&value()?)?,
            "--seed" => {
                let text = value()?;
                options.seed = text.parse().map_err(|_wrong| format!("`{text}` is no seed"))?;
            }
            "--pitchover" => options.pitchover = Some(absolute(&value()?)?),
            "--out" => options.out = Some(absolute(&value()?)?),
            _ => return Err(format!("unknown option `{word}`")),
        }
    }
    Ok(options)
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

/// `600s`, `90m`, `24h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write 600s, 90m or 24h");
    let unit = match text.chars().last().ok_or_else(wrong)? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).and_then(|number| number.parse::<u64>().ok());
    let seconds = number.and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds > 0);
    Ok(Duration::from_secs(seconds.ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, Options, ROUND, STAGE, parse, stages, time};
    use std::time::Duration;

    #[test]
    fn a_day_is_twelve_rounds_and_a_minute_is_one() {
        let day = stages(LENGTH, STAGE, 7);
        assert_eq!(day.len(), 12 * ROUND.len());
        assert!(day.iter().all(|stage| stage.length == STAGE));
        assert_eq!((day[0].faults, day[0].nodes, day[0].seed), ("all", 3, 7));
        assert_eq!((day[7].faults, day[7].nodes, day[7].seed), ("pairs", 5, 14));
        let minute = stages(Duration::from_secs(60), STAGE, 1);
        assert_eq!(minute.len(), ROUND.len());
        assert_eq!(minute[0].length, Duration::from_secs(15));
    }

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let read = |line: &str| parse(line.split_whitespace().map(str::to_owned));
        assert_eq!(
            read("--for 90m --stage 600s --seed 5"),
            Ok(Options {
                length: Duration::from_secs(5_400),
                stage: Duration::from_secs(600),
                seed: 5,
                pitchover: None,
                out: None,
            })
        );
        for (line, named) in
            [("--for", "--for"), ("--for 5d", "5d"), ("--seed x", "`x`"), ("--fast", "--fast")]
        {
            assert!(read(line).unwrap_err().contains(named), "{line}");
        }
        for wrong in ["", "h", "0m", "-1s", "99999999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
