//! The programme's plan and words, and a programme whose programs are scripts.

use super::{LENGTH, Options, Programs, ROUND, STAGE, Work, parse, play_all, stages, time};
use crate::interop::clock::until;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[test]
fn a_day_is_eight_rounds_and_openchaos_and_a_minute_is_one() {
    let day = stages(LENGTH, STAGE, 7);
    assert_eq!(day.len(), 8 * ROUND.len() + 1);
    let (theirs, ours) = day.split_last().unwrap();
    assert!(ours.iter().all(|stage| stage.length >= STAGE && stage.work != Work::OpenChaos));
    assert_eq!((theirs.work, theirs.length.as_secs()), (Work::OpenChaos, 3 * 3_600));
    assert_eq!((&*day[0].name(), day[0].seed), ("001-all-3", 7));
    assert_eq!((&*day[8].name(), day[8].seed), ("009-pairs-5", 15));
    assert_eq!(day[9].name(), "010-java-brokers-3");
    assert_eq!(theirs.name(), "041-openchaos");
    let minute = stages(Duration::from_secs(60), STAGE, 1);
    assert_eq!(minute.len(), ROUND.len() + 1);
    let lengths: Vec<u64> = minute.iter().map(|stage| stage.length.as_secs()).collect();
    assert_eq!(lengths, [10, 10, 10, 10, 10, 7]);
}

#[test]
fn options_are_read_and_mistakes_are_named() {
    let read = |line: &str| parse(line.split_whitespace().map(str::to_owned));
    let root = Some(PathBuf::from("/"));
    assert_eq!(
        read("--for 90m --stage 600s --seed 5 --other-binary / --jars / --openchaos /"),
        Ok(Options {
            length: Duration::from_secs(5_400),
            stage: Duration::from_secs(600),
            seed: 5,
            pitchover: None,
            other_binary: root.clone(),
            jars: root.clone(),
            openchaos: root,
            out: None,
        })
    );
    for (line, named) in [
        ("--for", "--for"),
        ("--for 5d", "5d"),
        ("--seed x", "`x`"),
        ("--fast", "--fast"),
        ("--other-binary /nowhere/at/all", "/nowhere/at/all: No such file"),
    ] {
        assert!(read(line).unwrap_err().contains(named), "{line}");
    }
    for wrong in ["", "h", "0m", "-1s", "99999999999999999999h"] {
        assert!(time(wrong).is_err(), "{wrong}");
    }
}

/// Says with which words it was called, and has a verdict unless it is asked for Java.
const PITCHOVER: &str = r#"#!/bin/sh
echo "$@"
case "$*" in *"--brokers java"*) echo "chaos: no java in PATH" >&2; exit 2 ;; esac
while [ "$1" != --out ]; do shift; done
echo '{"verdict":"PASSED","seed":1,"faults":"x","violations":[],"doubts":[],"events":[],"skipped":[]}' > "$2/verdict.json"
"#;

/// One fault passes; then it waits for a child that hangs.
const XTASK: &str =
    "#!/bin/sh\necho \"$@\"\necho 'PASSED   noop  9 9 0'\nsleep 600 &\necho child $!\nwait\n";

struct Scripts(PathBuf);

impl Scripts {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pitchover-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in [("pitchover", PITCHOVER), ("xtask", XTASK)] {
            let file = folder.join(file);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    fn programs(&self) -> Programs {
        Programs {
            pitchover: self.0.join("pitchover"),
            xtask: self.0.join("xtask"),
            other_binary: Some("/other".into()),
            jars: "/jars".into(),
            openchaos: Some("/sources".into()),
        }
    }

    fn log(&self, stage: &str) -> String {
        fs::read_to_string(self.0.join(stage).join("run.log")).unwrap()
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_programme_plays_every_part_and_names_what_it_could_not_do() {
    let scripts = Scripts::new("programme");
    let all = stages(Duration::from_secs(8), STAGE, 1);
    let summary = play_all(&all, &scripts.programs(), &scripts.0, &AtomicBool::new(false)).unwrap();
    assert!(!summary.is_complete() && !summary.has_failed());
    let at = |stage: &str| scripts.0.join(stage).display().to_string();
    for (stage, words) in [
        ("001-all-3", format!("--nodes 3 --seed 1 --for 1s --out {}", at("001-all-3"))),
        ("004-pairs-5", "--other-binary /other --faults pairs".to_owned()),
        ("005-java-brokers-3", "--brokers java --jars /jars".to_owned()),
        ("006-openchaos", "openchaos --pitchover ".to_owned()),
        ("006-openchaos", "--source /sources".to_owned()),
    ] {
        let log = scripts.log(stage);
        assert!(log.contains(&words), "{stage}: {words} is not in {log}");
    }
    let log = scripts.log("006-openchaos");
    let child = log.lines().find_map(|line| line.strip_prefix("child ")).unwrap();
    let is_gone = || {
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        Ok((state.is_empty() || state.contains(" Z ")).then_some(()))
    };
    until("the child of a stage that was told to stop to end", Duration::from_secs(60), is_gone)
        .unwrap();
    let report = read(&scripts.0);
    for line in [
        "# Chaos before a release: INVALID",
        "- 005-java-brokers-3: no java in PATH\n",
        "- 006-openchaos: leader-kill, leader-suspend, ",
        "(its time was over; signal: 15 (SIGTERM); see its run.log)\n",
        "| 004-pairs-5 | x | 5 | 1 | 0 | PASSED |",
        "PASSED   noop  9 9 0",
    ] {
        assert!(report.contains(line), "{line} is not in {report}");
    }
}

#[test]
fn a_programme_that_is_stopped_names_every_stage_that_it_never_began() {
    let scripts = Scripts::new("stopped");
    let all = stages(Duration::from_secs(8), STAGE, 1);
    let summary = play_all(&all, &scripts.programs(), &scripts.0, &AtomicBool::new(true)).unwrap();
    assert!(!summary.is_complete());
    let report = read(&scripts.0);
    for stage in &all {
        assert!(report.contains(&format!("- {}\n", stage.name())), "{report}");
    }
}

fn read(folder: &Path) -> String {
    fs::read_to_string(folder.join("report.md")).unwrap()
}
