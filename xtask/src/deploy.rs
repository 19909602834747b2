//! `cargo xtask deploy-check`: whether the files of `deploy/` are right.
//!
//! ```text
//! agree    what can be told by reading: YAML, images, ports, names, versions      always
//! linters  each tool's own word on its own format                                 where the tool is there
//! tools    where the linters are, and how each is had                             --install
//! ```
//!
//! A linter that is not there is SKIPPED with the reason and fails nothing: most machines have no network when this runs.
//! What the controllers are configured with is judged by the binary's own reader, in `crates/server/tests/deploy.rs`; that
//! rules and dashboard are what `pitchover slo` generates, in `crates/slo/tests/deploy.rs`.
//!
//! Not here: starting anything. It takes a Docker daemon or a cluster; `deploy/README.md` says how.

mod agree;
mod linters;
mod tools;

use self::agree::Files;
use self::linters::{LINTERS, Stop};
use self::tools::Tools;
use crate::interop::clock::Stopwatch;
use crate::interop::report::Outcome;
use crate::tree::root;
use crate::words::understood;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: cargo xtask deploy-check [--install] [--install-for SECONDS]

  --install              get linters that are not there: Go modules, a Debian and a Python package; minutes, with a network
  --install-for SECONDS  the same, but no longer than so; what is had by then is used

They are kept in PITCHOVER_DEPLOY_TOOLS, by default in ~/.cache/pitchover/deploy-tools.";

/// How long `--install` may take without another word.
const INSTALL: Duration = Duration::from_secs(3_600);

pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let install = match understood(parse(words), USAGE) {
        Ok(install) => install,
        Err(code) => return code,
    };
    match check(install) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("deploy-check: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// How long linters may be installed; `None` for not at all.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Duration>, String> {
    let mut install = None;
    while let Some(word) = words.next() {
        install = match word.as_str() {
            "--install" => Some(INSTALL),
            "--install-for" => {
                let text = words.next().unwrap_or_default();
                let seconds = text.parse().map_err(|_error| {
                    format!("--install-for: {text:?} is no whole number of seconds")
                })?;
                Some(Duration::from_secs(seconds))
            }
            other => return Err(format!("unknown word {other:?}")),
        };
    }
    Ok(install)
}

/// Checks everything and prints a line for each check; how many failed.
fn check(install: Option<Duration>) -> Outcome<usize> {
    let files = Files::read(root())?;
    let problems = agree::check(&files);
    problems.iter().for_each(|problem| println!("FAILED  {problem}"));
    let mut failed = problems.len();
    if problems.is_empty() {
        println!("ok      {} files agree with each other and with the binary", files.len());
    }
    let tools = Tools::new(root())?;
    if let Some(limit) = install {
        tools.install(limit);
    }
    let (mut passed, mut skipped) = (usize::from(problems.is_empty()), 0);
    for (name, lint) in LINTERS {
        let watch = Stopwatch::start();
        match lint(&tools) {
            Ok(detail) => {
                println!("ok      {name}: {detail} ({})", watch.shown());
                passed += 1;
            }
            Err(Stop::Wrong(output)) => {
                println!("FAILED  {name}:\n{output}");
                failed += 1;
            }
            Err(Stop::Skipped(reason)) => {
                println!("SKIPPED {name}: {reason}");
                skipped += 1;
            }
            Err(Stop::Broken(failure)) => return Err(failure),
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::{INSTALL, parse};
    use std::time::Duration;

    #[test]
    fn words_say_whether_and_how_long() {
        let parse = |text: &str| parse(text.split_whitespace().map(ToOwned::to_owned));
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("--install"), Ok(Some(INSTALL)));
        assert_eq!(parse("--install-for 90"), Ok(Some(Duration::from_secs(90))));
        assert!(parse("--install-for soon").unwrap_err().contains("\"soon\""));
        assert!(parse("--quick").unwrap_err().contains("--quick"));
    }
}
