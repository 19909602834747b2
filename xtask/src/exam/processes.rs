//! `cargo xtask exam --on processes`: the same planted bugs in the real program, under `pitchover chaos run`.
//!
//! ```text
//! cargo xtask exam --on processes [P01 ...] [--seconds N] [--seed N] [--jobs J] [--write]
//! ```
//!
//! | Word | Means |
//! |---|---|
//! | `P01 ...` | these bugs; all that are planted without |
//! | `--seconds N` | faults are injected for so long (75) |
//! | `--seed N` | draws whom they hit and when (1) |
//! | `--jobs J` | so many bugs at a time (1), each with a tree and a build of its own |
//! | `--write` | puts the rows of these bugs into their own table in `docs/RELIABILITY.md` |
//!
//! Needs root and what `pitchover chaos probe` asks for. The sound program is the harness and breaks the one with the
//! bug (`--program`). A bug counts as found only under faults and a seed that the sound program itself passed: so
//! nothing is found that is there without the bug. Exit code 0: all that were asked were found.

use super::catalogue::{self, Bug};
use super::jobs::Jobs;
use super::scratch::{Scratch, succeed};
use super::table;
use crate::words::understood;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

pub(super) const USAGE: &str = "usage: cargo xtask exam --on processes [P01 ...] [--seconds N] [--seed N] \
     [--jobs J] [--write]";

/// Where the scratch copies, their builds and the folders of the runs are.
const FOLDER: &str = "target/exam-processes";

/// A build takes its part of the processors as if so many worked at least, and leaves the rest to others.
const WORKERS_MIN: u64 = 2;

const BEGIN: &str =
    "<!-- exam on processes: written by `cargo xtask exam --on processes --write` -->";
const END: &str = "<!-- end of the exam on processes -->";

/// Faults that a bug is looked for under. What this machine cannot inject is skipped by the run itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Faults {
    /// As the table calls them.
    name: &'static str,
    list: &'static str,
}

/// What comes of a bug in the core: who leads, who follows, what is answered.
const CORE: Faults = Faults {
    name: "core",
    list: "leader-kill,kill-all,crash-loop,leader-suspend,leader-partition,one-way-out,flapping,\
           leader-from-followers,master-kill,master-from-leader,master-cut",
};

/// What comes of a bug in what is durable.
const DURABLE: Faults = Faults {
    name: "durable",
    list: "kill-all,major-kill,power-loss-all,power-loss,torn-writes,sync-error,bit-flips,cut-tail,disk-full",
};

/// What comes of a bug in who is alive, who is elected, and who is told.
const BROKERS: Faults = Faults {
    name: "brokers",
    list: "master-kill,replica-kill,master-cut,master-from-leader,leader-from-brokers,leader-kill+master-kill,\
           leader-suspend,leader-kill,reset",
};

/// The bugs of writing, syncing and recovering.
const OF_DURABLE: [u32; 11] = [1, 2, 3, 4, 10, 21, 22, 23, 24, 73, 74];

/// The bugs of broker sets, of liveness and of notices.
const OF_BROKERS: RangeInclusive<u32> = 33..=62;
const ALSO_OF_BROKERS: [u32; 3] = [75, 78, 79];

/// How kinds of violations are called in the table, in the order of `judge::KINDS` of the crate `chaos`.
const KINDS: [&str; 5] = [
    "answers that no order explains",
    "two masters in one epoch",
    "acknowledged changes lost",
    "healthy masters replaced",
    "accidents",
];

/// Violations that only say that nobody answered, or late.
const SILENCE: [&str; 2] = ["had no answer at the end", "did not heal within"];

/// Most characters of a violation in the table.
const SHOWN_MAX: usize = 110;

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    numbers: Vec<u32>,
    seconds: u64,
    seed: u64,
    jobs: u64,
    writes: bool,
}

/// What a run said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Passed,
    /// What did not hold, in words.
    Found(String),
    /// Nobody knows what was tested.
    Nothing(String),
}

pub(super) fn run(words: &[String]) -> ExitCode {
    let arguments = match understood(Arguments::parse(words), USAGE) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match catalogue::read().and_then(|bugs| examine(&bugs, &arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("exam: {problem}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut arguments =
            Self { numbers: Vec::new(), seconds: 75, seed: 1, jobs: 1, writes: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value.filter(|value| *value > 0).ok_or(format!("{word} needs a number"))
            };
            match word.as_str() {
                "--seconds" => arguments.seconds = number()?,
                "--seed" => arguments.seed = number()?,
                "--jobs" => arguments.jobs = number()?,
                "--write" => arguments.writes = true,
                other => {
                    let bug = other.strip_prefix('P').and_then(|digits| digits.parse().ok());
                    arguments.numbers.push(bug.ok_or(format!("`{other}` is not known"))?);
                }
            }
        }
        Ok(arguments)
    }
}

fn examine(bugs: &[Bug], arguments: &Arguments) -> Result<bool, String> {
    let numbers = &arguments.numbers;
    let unknown = numbers.iter().find(|number| !bugs.iter().any(|bug| bug.number == **number));
    if let Some(number) = unknown {
        return Err(format!("there is no P{number:02} in the folder `exam`"));
    }
    let is_asked = |bug: &&Bug| numbers.is_empty() || numbers.contains(&bug.number);
    let asked: Vec<&Bug> = bugs.iter().filter(is_asked).filter(|bug| bug.is_planted()).collect();
    let list = List { arguments, bugs, jobs: Jobs::new(&asked), sound_said: Mutex::default() };
    let found = Jobs::share(arguments.jobs, |worker| list.work_off(worker))?;
    println!("{found} of {} planted bugs found on real processes", asked.len());
    Ok(found == asked.len())
}

/// What all workers know.
struct List<'a> {
    arguments: &'a Arguments,
    /// All that there are.
    bugs: &'a [Bug],
    jobs: Jobs<'a>,
    /// What the sound program made of each list of faults; who comes second waits for it.
    sound_said: Mutex<BTreeMap<&'static Faults, Said>>,
}

impl List<'_> {
    /// Examines one bug after the other until none is left. Returns how many were found.
    fn work_off(&self, worker: u64) -> Result<usize, String> {
        let workers = self.arguments.jobs.max(WORKERS_MIN);
        let scratch = Scratch::prepare(&format!("{FOLDER}/{worker}"), workers)?;
        println!("{}: building without a bug", scratch.commit());
        let sound = scratch.keep_program(&scratch.program()?)?;
        succeed(Command::new(&sound).args(["chaos", "probe"]))?;
        let stage = Stage { list: self, sound, worker };
        let mut found = 0;
        while let Some(bug) = self.jobs.next() {
            let said = scratch.with(bug, |scratch| {
                let program = scratch.program()?;
                stage.judge(&program, faults_for(bug.number), &bug.name())
            });
            let (said, injected) = said.unwrap_or_else(|problem| {
                let error = problem.lines().find(|line| line.contains("error")).unwrap_or(&problem);
                (Said::Nothing(format!("not built: {}", error.trim())), Vec::new())
            });
            let line = row(bug, &said, &injected, self.arguments, &scratch.commit());
            println!("{line}");
            if self.arguments.writes {
                let _page = self.jobs.page();
                table::put((BEGIN, END), |page| text(page, &line, self.bugs))?;
            }
            found += usize::from(matches!(said, Said::Found(_)));
        }
        Ok(found)
    }
}

fn faults_for(bug: u32) -> &'static Faults {
    if OF_DURABLE.contains(&bug) {
        &DURABLE
    } else if OF_BROKERS.contains(&bug) || ALSO_OF_BROKERS.contains(&bug) {
        &BROKERS
    } else {
        &CORE
    }
}

struct Stage<'l, 'a> {
    list: &'l List<'a>,
    sound: PathBuf,
    worker: u64,
}

impl Stage<'_, '_> {
    /// Breaks `program`; and, once for each list of faults, the sound one.
    fn judge(
        &self,
        program: &Path,
        faults: &'static Faults,
        name: &str,
    ) -> Result<(Said, Vec<String>), String> {
        let sound_failed = self.sound_failed(faults)?;
        let (said, injected) = self.chaos(program, faults, name)?;
        if sound_failed && said != Said::Passed {
            let text = "the program without the bug does not pass these faults either";
            return Ok((Said::Nothing(text.to_owned()), injected));
        }
        Ok((said, injected))
    }

    fn sound_failed(&self, faults: &'static Faults) -> Result<bool, String> {
        let mut sound_said = self.list.sound_said.lock().map_err(|error| error.to_string())?;
        if let Some(said) = sound_said.get(faults) {
            return Ok(*said != Said::Passed);
        }
        let (said, _) = self.chaos(&self.sound, faults, &format!("sound-{}", faults.name))?;
        println!("without a bug: {said:?}");
        let failed = said != Said::Passed;
        sound_said.insert(faults, said);
        Ok(failed)
    }

    /// One run; its folder stays until the next of this name.
    fn chaos(
        &self,
        program: &Path,
        faults: &Faults,
        name: &str,
    ) -> Result<(Said, Vec<String>), String> {
        let folder = crate::tree::root().join(format!("{FOLDER}/{}/runs/{name}", self.worker));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|it| format!("{}: {it}", folder.display()))?;
        }
        fs::create_dir_all(&folder).map_err(|it| format!("{}: {it}", folder.display()))?;
        let Arguments { seconds, seed, .. } = self.list.arguments;
        let mut command = Command::new(&self.sound);
        command.args(["chaos", "run", "--faults", faults.list, "--for", &format!("{seconds}s")]);
        command.args(["--seed", &seed.to_string(), "--out"]).arg(&folder);
        command.arg("--program").arg(program);
        let output = command.output().map_err(|error| format!("chaos: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        fs::write(folder.join("output.txt"), printed.as_bytes())
            .map_err(|it| format!("{}: {it}", folder.display()))?;
        let verdict = fs::read_to_string(folder.join("verdict.json")).ok();
        let Some(verdict) = verdict.and_then(|text| serde_json::from_str(&text).ok()) else {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Ok((Said::Nothing(format!("no verdict: {}", shortened(&why))), Vec::new()));
        };
        Ok((said(&verdict), injected(&verdict)))
    }
}

/// What a verdict comes to.
fn said(verdict: &Value) -> Said {
    let counts = verdict["counts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kinds = counts.iter().zip(KINDS).filter_map(|(count, kind)| {
        let count = count.as_u64().filter(|count| *count > 0)?;
        Some(format!("{kind} ({count})"))
    });
    let kinds: Vec<String> = kinds.collect();
    let first = |list: &str| shortened(verdict[list][0].as_str().unwrap_or_default());
    let violations = verdict["violations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_silence = |text: &Value| {
        text.as_str().is_some_and(|text| SILENCE.iter().any(|silence| text.contains(silence)))
    };
    match verdict["verdict"].as_str() {
        Some("PASSED") => Said::Passed,
        // A machine that is too busy does that, too.
        Some("FAILED") if violations.iter().all(is_silence) => Said::Nothing(first("violations")),
        Some("FAILED") => Said::Found(format!("{}: {}", kinds.join(", "), first("violations"))),
        _ => Said::Nothing(first("doubts")),
    }
}

/// Names of the faults that were in force, each once.
fn injected(verdict: &Value) -> Vec<String> {
    let events = verdict["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<String> =
        events.iter().filter_map(|event| event["fault"].as_str().map(str::to_owned)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Which list of faults was in force, and what of it was not.
fn in_force(Faults { name, list }: &Faults, injected: &[String]) -> String {
    let lacks = list.split(',').map(str::trim).filter(|name| !injected.iter().any(|it| it == name));
    let lacks: Vec<String> = lacks.map(|name| format!("`{name}`")).collect();
    if lacks.is_empty() {
        (*name).to_owned()
    } else {
        format!("{name} without {}", lacks.join(", "))
    }
}

/// One line, not too long, without what would end a cell of the table.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().replace('|', "/");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{} …", line.get(..at).unwrap_or_default().trim_end()),
        None => line,
    }
}

fn row(bug: &Bug, said: &Said, injected: &[String], arguments: &Arguments, commit: &str) -> String {
    let found = match said {
        Said::Found(what) => what.clone(),
        Said::Passed => "**not found**".to_owned(),
        Said::Nothing(why) => format!("**no result**: {why}"),
    };
    let faults = in_force(faults_for(bug.number), injected);
    let Arguments { seconds, seed, .. } = arguments;
    format!("| {} | {found} | {faults} | {seconds} s, seed {seed} | {commit} |", bug.name())
}

/// The table with a new row; the others are those of `page`. What was not asked is named below it.
fn text(page: &str, line: &str, bugs: &[Bug]) -> String {
    let old = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let old = old.map_or("", |(old, _)| old).lines().filter(|line| line.starts_with("| P"));
    let name = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut lines: BTreeMap<String, String> =
        old.map(|line| (name(line), line.to_owned())).collect();
    lines.insert(name(line), line.to_owned());
    let count = |word: &str| lines.values().filter(|line| line.contains(word)).count();
    let (missed, open) = (count("| **not found**"), count("| **no result**"));
    let found = lines.len() - missed - open;
    let unasked = bugs.iter().filter(|bug| bug.is_planted() && !lines.contains_key(&bug.name()));
    let unasked: Vec<String> = unasked.map(Bug::name).collect();
    let mut text = format!(
        "{} asked: {found} found, {missed} not found, {open} without a result. *Core* is `{}`; *durable* is \
         `{}`; *brokers* is `{}`.\n\n\
         | Bug | Found by | Faults in force | Run | Commit |\n|---|---|---|---|---|\n",
        lines.len(),
        CORE.list,
        DURABLE.list,
        BROKERS.list
    );
    for line in lines.values() {
        text.push_str(line);
        text.push('\n');
    }
    if !unasked.is_empty() {
        text.push_str(&format!("\nNot asked on real processes: {}.\n", unasked.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        Arguments, BEGIN, CORE, END, Faults, SHOWN_MAX, Said, faults_for, in_force, injected, said,
        shortened, text,
    };
    use crate::exam::catalogue;
    use serde_json::json;

    #[test]
    fn words_are_understood_or_refused() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Arguments::parse(&words)
        };
        let arguments = parse("P07 --seconds 9 P31 --seed 3 --jobs 2 --write").unwrap();
        let numbers = vec![7, 31];
        let expected = Arguments { numbers, seconds: 9, seed: 3, jobs: 2, writes: true };
        assert_eq!(arguments, expected);
        for wrong in ["--seconds", "--seed 0", "Q1", "--seeds 3"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_verdict_is_told_in_words() {
        let passed = json!({ "verdict": "PASSED", "counts": [0, 0, 0, 0, 0] });
        assert_eq!(said(&passed), Said::Passed);
        let failed = json!({
            "verdict": "FAILED", "counts": [2, 0, 1, 0, 0], "violations": ["set a | b\nmore"],
            "events": [{ "fault": "kill-all" }, { "fault": "kill-all" }],
        });
        let words = "answers that no order explains (2), acknowledged changes lost (1): set a / b";
        assert_eq!(said(&failed), Said::Found(words.to_owned()));
        assert_eq!(injected(&failed), ["kill-all"]);
        for silent in [
            "3 questions about broker sets had no answer at the end",
            "kill-all did not heal within 60 s",
        ] {
            let silence =
                json!({ "verdict": "FAILED", "counts": [0, 0, 1], "violations": [silent] });
            assert_eq!(said(&silence), Said::Nothing(silent.to_owned()));
        }
        let invalid = json!({ "verdict": "INVALID", "counts": [0], "doubts": ["n0 did not end"] });
        assert_eq!(said(&invalid), Said::Nothing("n0 did not end".to_owned()));
    }

    #[test]
    fn what_of_a_list_was_not_in_force_is_named() {
        let all: Vec<String> = CORE.list.split(',').map(|name| name.trim().to_owned()).collect();
        assert_eq!(in_force(&CORE, &all), "core");
        assert_eq!(in_force(&CORE, &all[1..]), "core without `leader-kill`");
        let faults = Faults { name: "some", list: "a, b" };
        assert_eq!(in_force(&faults, &["b".to_owned()]), "some without `a`");
        assert_eq!(
            [1, 32, 54, 78].map(|bug| faults_for(bug).name),
            ["durable", "core", "brokers", "brokers"]
        );
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let cut = shortened(&"ä".repeat(SHOWN_MAX + 5));
        assert_eq!(cut.chars().count(), SHOWN_MAX + 2, "{cut}");
    }

    #[test]
    fn rows_that_were_not_asked_for_stay_and_the_rest_is_named() {
        let bugs = catalogue::read().expect("the folder `exam` lies at the root");
        let page = format!("{BEGIN}\n\n| P01 | two masters | `x` | 75 s, seed 1 | old |\n{END}");
        let table = text(&page, "| P04 | **not found** | `y` | 75 s, seed 1 | new |", &bugs);
        assert!(table.starts_with("2 asked: 1 found, 1 not found, 0 without"), "{table}");
        assert!(table.contains("\n| P01 | two masters | `x` | 75 s, seed 1 | old |\n"), "{table}");
        let last = table.lines().last().unwrap_or_default();
        assert!(last.contains("P02, P03, P05") && !last.contains("P13"), "{last}");
    }
}
