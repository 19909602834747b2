//! Runs a workload again while its objectives are undecided.
//!
//! Each further run is made as the first one was: the text of its workload, its arm, its commit; only the seed differs,
//! so that the same arrivals are not measured twice.

use crate::bench::run::{Shown, stop_on_signals};
use ::slo::{Ending, Objectives, RUNS_MAX, judge};
use load::Subject;
use load::run::{Setup, Target, run_with};
use load::workload::Workload;
use measure::folder::{self, Found};
use measure::judged::Verdict;
use std::path::{Path, PathBuf};

/// Judges, and runs again while something is undecided, at most three times for each arm of a workload; `target` are
/// running servers, controllers of this program's own are started without. The runs grow by what was measured.
///
/// # Errors
/// A text that says which run could not be made, or why.
pub(super) fn extend(
    objectives: &Objectives,
    runs: &mut Vec<Found>,
    target: &[String],
    today: &str,
) -> Result<Ending, String> {
    let mut made = 0;
    loop {
        let ending = judge(objectives, runs, today);
        let is_open = |found: &&Found| {
            let (name, arm) = (&found.run.name, &found.run.arm);
            let is_his = |it: &&measure::judged::Judged| it.workload == *name && it.arm == *arm;
            let all = runs.iter().filter(|it| it.run.name == *name && it.run.arm == *arm);
            let undecided = |it: &measure::judged::Judged| it.verdict == Verdict::Extended;
            all.count() < RUNS_MAX && ending.judged.iter().filter(is_his).any(undecided)
        };
        let Some(open) = runs.iter().find(is_open) else { return Ok(ending) };
        made += 1;
        let (again, folder) = (again(open, made)?, beside(&open.folder, made));
        let mut setup = Setup::new(
            if target.is_empty() { Target::OfWorkload } else { Target::Addresses(target.to_vec()) },
            &folder,
        );
        setup.subject = Subject {
            arm: Some(open.run.arm.clone()),
            commit: open.run.commit.clone(),
            command: std::env::args().collect(),
            ..Subject::default()
        };
        setup.calibration.clone_from(&open.run.host.calibration);
        stop_on_signals(&setup.stop);
        eprintln!("slo check: {} is undecided: {} runs again", open.run.name, folder.display());
        let mut shown = Shown::new(again.time.window.millis());
        let ran = run_with(&again, setup, |progress| shown.show(&progress));
        let ran = ran.map_err(|error| error.to_string())?;
        if !ran.finished {
            return Err(format!("{}: interrupted", folder.display()));
        }
        runs.push(folder::read(&folder).map_err(|error| error.to_string())?);
    }
}

/// The workload of a run, with another seed.
fn again(found: &Found, number: u64) -> Result<Workload, String> {
    let name = format!("the workload in {}", found.folder.join("run.json").display());
    let mut workload =
        Workload::read(&name, &found.run.workload).map_err(|error| error.to_string())?;
    workload.seed = found.run.seed.wrapping_add(number);
    Ok(workload)
}

/// A folder beside that of a run.
fn beside(folder: &Path, number: u64) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.with_file_name(format!("{name}-again-{number}"))
}

#[cfg(test)]
mod tests {
    use super::{again, beside};
    use load::workload::preset;
    use measure::folder::Found;
    use std::path::Path;

    #[test]
    fn a_run_is_repeated_beside_it_with_another_seed() {
        let mut found = Found::default();
        found.run.workload = preset("smoke-5s").unwrap();
        found.run.seed = 42;
        let workload = again(&found, 2).unwrap();
        assert_eq!((workload.name.as_str(), workload.seed), ("smoke-5s", 44));
        assert_eq!(beside(Path::new("runs/a"), 2), Path::new("runs/a-again-2"));
        found.run.workload = "x".to_owned();
        found.folder = "runs/a".into();
        let error = again(&found, 1).unwrap_err();
        assert!(error.starts_with("the workload in runs/a/run.json:1: "), "{error}");
    }
}
