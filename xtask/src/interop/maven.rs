//! What the suite needs from outside: Java, Maven, RocketMQ's jars through Maven, and a disk with room.

use super::process::run;
use super::report::{Failure, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A first run fetches about 100 MB.
const FETCH_LIMIT: Duration = Duration::from_secs(900);
const OFFLINE_LIMIT: Duration = Duration::from_secs(180);
const VERSION_LIMIT: Duration = Duration::from_secs(60);

/// Says which of Java and Maven are missing.
///
/// # Errors
/// One is missing or does not run; the text says what to install.
pub(crate) fn check_tools(folder: &Path) -> Outcome<()> {
    let is_there = |program: &str, question: &str| {
        let mut command = Command::new(program);
        command.arg(question);
        let log = folder.join(format!("{program}-version.log"));
        run(program, command, &log, VERSION_LIMIT).is_ok_and(|(status, _)| status.success())
    };
    let tools = [("java", "-version"), ("javac", "-version"), ("mvn", "-version")];
    let missing: Vec<&str> = tools
        .iter()
        .filter(|(program, question)| !is_there(program, question))
        .map(|(program, _)| *program)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure(format!(
        "the interop suite needs a JDK (java, javac; version 8 or newer) and Maven (mvn), and nothing else. \
         Not found or not running: {}",
        missing.join(", ")
    )))
}

/// Brokers refuse to store when so many per cent of their disk are used, whatever they are told: upstream cuts
/// larger values down to this. Source: upstream `DefaultMessageStore.CleanCommitLogService`.
const USED_PER_CENT_MAX: u64 = 90;

/// Says if brokers with their data in `folder` would refuse every message.
///
/// # Errors
/// The disk is too full, or cannot be asked.
pub(crate) fn check_disk(folder: &Path) -> Outcome<()> {
    let disk = rustix::fs::statvfs(folder).map_err(Failure::while_doing(folder.display()))?;
    let used = used_per_cent(disk.f_blocks, disk.f_bfree, disk.f_bavail);
    if used < USED_PER_CENT_MAX {
        return Ok(());
    }
    Err(Failure(format!(
        "the disk of {} is {used} % full, and brokers refuse messages from {USED_PER_CENT_MAX} %: free some",
        folder.display()
    )))
}

/// As upstream counts: what is kept for root is not there, and a part of a per cent is one. Source: upstream
/// `UtilAll#getDiskPartitionSpaceUsedPercent`.
fn used_per_cent(blocks: u64, free: u64, available: u64) -> u64 {
    let used = blocks.saturating_sub(free);
    (used * 100).div_ceil((used + available).max(1))
}

/// Fetches one version of RocketMQ, builds the drivers of interop/ against it, and gives the class path.
///
/// Without the network first: when everything is there already, Maven has nothing to ask for.
///
/// # Errors
/// Maven failed; its output is in the log the text names.
pub(crate) fn class_path(root: &Path, version: &str, folder: &Path) -> Outcome<String> {
    let output = folder.join(format!("maven-{version}"));
    let build = |offline: bool| {
        let mut command = Command::new("mvn");
        command.current_dir(root.join("interop")).args(["-B", "-q", "-P"]);
        command.arg(format!("rocketmq-{version}"));
        command.arg(format!("-Dinterop.output={}", output.display()));
        if offline {
            command.arg("--offline");
        }
        command.arg("process-classes");
        let (mode, limit) =
            if offline { ("offline", OFFLINE_LIMIT) } else { ("online", FETCH_LIMIT) };
        let log = folder.join(format!("maven-{version}-{mode}.log"));
        let (status, _) = run(&format!("Maven ({mode})"), command, &log, limit)?;
        if status.success() {
            return Ok(());
        }
        Err(Failure(format!("Maven ended with {status}; see {}", log.display())))
    };
    if build(true).is_err() {
        build(false)?;
    }
    let paths: [PathBuf; 2] = [output.join("classes"), output.join("jars").join("*")];
    let joined = std::env::join_paths(paths).map_err(Failure::while_doing("class path"))?;
    Ok(joined.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::used_per_cent;

    #[test]
    fn a_part_of_a_per_cent_is_one() {
        assert_eq!(used_per_cent(1_000, 1_000, 900), 0);
        assert_eq!(used_per_cent(1_000, 500, 400), 56);
        assert_eq!(used_per_cent(1_000, 100, 100), 90);
    }
}
