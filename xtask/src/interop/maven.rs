//! What the suite needs from outside: Java, Maven, and RocketMQ's jars through Maven.

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
