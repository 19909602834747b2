//! `pitchover perf` on files and in a repository of its own: a history that is appended to, and a search among commits.

use std::process::Command;

use measure::Quantiles;
use measure::folder::{Operation, Run, SCHEMA, Time, Validity, Writer};

#[path = "processes/scene.rs"]
mod scene;
use scene::{Scene, said};

fn perf(scene: &Scene, words: &[&str]) -> (Option<i32>, String) {
    said(&scene.run(&[&["perf"], words].concat()))
}

/// A run folder whose p99 is known.
fn run(scene: &Scene, name: &str, number: u32, p99_us: f64) -> String {
    let latency_us = Quantiles { p99: Some(p99_us), ..Quantiles::default() };
    let read = Operation { op: "read".into(), ok: 10, latency_us, ..Operation::default() };
    let run = Run {
        schema: SCHEMA.into(),
        id: format!("{name}-{number}"),
        name: "w".into(),
        arm: "a".into(),
        finished: true,
        started_unix_ms: u64::from(number) * 86_400_000,
        commit: Some(format!("commit{number}")),
        time: Time { measure_ms: 1_000, ..Time::default() },
        validity: Validity { valid: true, ..Validity::default() },
        operations: vec![read],
        ..Run::default()
    };
    let folder = format!("{name}-{number}");
    let mut writer = Writer::create(&scene.folder().join(&folder), &run).expect("a run folder");
    writer.finish(&run).expect("a run folder");
    folder
}

#[test]
fn a_planted_regression_is_found_between_its_commits() {
    let scene = Scene::new("perf-log");
    let (code, said) = perf(&scene, &["changes"]);
    assert!(code == Some(64) && said.contains("has no runs: `perf log add RUN`"), "{said}");
    for number in 0..24 {
        // The host wanders by half, the program becomes a third slower at 14.
        let host = 1.0 + f64::from(number % 5) / 10.0;
        let own = if number < 14 { 1.0 } else { 1.33 };
        let noise = 1.0 + f64::from(number * 7 % 11) / 300.0;
        let anchor = run(&scene, "anchor", number, 400.0 * host);
        let found = run(&scene, "run", number, 400.0 * host * own * noise);
        let (code, said) = perf(&scene, &["log", "add", &found, "--anchor", &anchor]);
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = perf(&scene, &["changes"]);
    assert!(code == Some(1), "{said}");
    assert!(said.contains("w a read.p99: WORSE") && said.contains("commit13..commit14"), "{said}");
    assert!(said.contains("24 runs, 1 changes"), "{said}");
    let (code, said) = perf(&scene, &["changes", "--figure", "cpu"]);
    assert!(code == Some(0) && said.contains("24 runs, 0 changes"), "{said}");
    let (code, said) = perf(&scene, &["log", "add", "run-3"]);
    assert!(
        code == Some(64) && said.contains("run-3: it is in perf-history.ndjson already"),
        "{said}"
    );
    let (code, said) = perf(&scene, &["log", "add", "nowhere"]);
    assert!(code == Some(64) && said.contains("this is no run folder"), "{said}");
    let (code, said) = perf(&scene, &["changes", "--figures", "x"]);
    assert!(code == Some(64) && said.contains("unexpected argument"), "{said}");
}

/// Git, as nobody in particular; nothing where there is none.
fn git(scene: &Scene, words: &[&str]) -> Option<()> {
    let ran = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"])
        .args(words)
        .current_dir(scene.folder())
        .output();
    let ran = ran.ok()?;
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    Some(())
}

/// A program that compares: slower if the second program is a larger file, and cannot tell if its name is told so.
const COMPARER: &str = "#!/bin/sh\n\
    while [ $# -gt 0 ]; do case $1 in --a) a=$2;; --b) b=$2;; esac; shift; done\n\
    grep -q unknown \"$b\" && exit 2\n\
    [ $(wc -c < \"$b\") -gt $(wc -c < \"$a\") ] && exit 1\n\
    exit 0\n";

#[test]
fn the_commit_that_made_it_slower_is_found() {
    let scene = Scene::new("perf-bisect");
    if git(&scene, &["init", "--quiet", "."]).is_none() {
        eprintln!("skipped: there is no git");
        return;
    }
    scene.write("comparer", COMPARER);
    let script = scene.folder().join("comparer");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("our own file");
    for number in 0..12 {
        // Slower from the eighth on; the fifth does not build, nobody can judge the sixth.
        let text = match number {
            5 => "broken".to_owned(),
            6 => "unknown".to_owned(),
            0..8 => "fast".to_owned(),
            _ => "slower by far".to_owned(),
        };
        scene.write("source", &format!("{text}\n"));
        scene.write("number", &number.to_string());
        git(&scene, &["add", "source", "number"]);
        git(&scene, &["commit", "--quiet", "-m", &format!("change {number}")]);
    }
    let build = "! grep -q broken source && cp source made";
    let words = ["bisect", "--good", "HEAD~11", "--build", build, "--program", "made"];
    let comparer = ["--comparer", "./comparer"];
    let (code, said) = perf(&scene, &[&words[..], &comparer].concat());
    assert!(code == Some(1) && said.contains("first slower commit: "), "{code:?} {said}");
    assert!(said.contains(" change 8\n"), "{said}");
    // What was built is not built again, and a good end that is not slower is said to be.
    let early = ["bisect", "--good", "HEAD~11", "--bad", "HEAD~9", "--build", "false"];
    let (code, said) = perf(&scene, &[&early[..], &["--program", "made"], &comparer].concat());
    assert!(code == Some(2) || said.contains("is not slower than"), "{code:?} {said}");
    let (code, said) = perf(&scene, &["bisect", "--good", "HEAD"]);
    assert!(code == Some(64) && said.contains("has no commits behind"), "{said}");
    let (code, said) = perf(&scene, &["bisect", "--good", "no-such-revision"]);
    assert!(code == Some(64) && said.contains("git rev-parse"), "{said}");
}
