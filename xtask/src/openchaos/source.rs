//! `OpenChaos` itself: its sources, and how they become `ChaosControl.jar`. Nothing of it is copied into this repository.

use super::ORIGIN;
use crate::interop::process::run;
use crate::interop::report::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A first build fetches a few hundred libraries of all drivers.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// The root pom lacks this module, which the framework depends on.
const MISSING_MODULE: &str = "<module>driver-elasticsearch</module>";
const MODULES_END: &str = "</modules>";

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Its Git repository.
    Origin,
    /// A folder that holds it; it is copied, and itself not touched.
    Folder(PathBuf),
    /// A tar archive with one folder.
    Archive(PathBuf),
}

/// Builds it below `folder`, unless that was done before from the same source; gives the jar.
///
/// # Errors
/// It could not be fetched, unpacked or built; the log is named.
pub(super) fn jar(source: &Source, folder: &Path) -> Outcome<PathBuf> {
    let sources = folder.join("openchaos");
    let jar = sources.join("chaos-framework").join("target").join("ChaosControl.jar");
    let mark = folder.join("source.txt");
    let wanted = format!("{source:?}");
    if jar.is_file() && fs::read_to_string(&mark).is_ok_and(|built| built == wanted) {
        return Ok(jar);
    }
    if sources.exists() {
        fs::remove_dir_all(&sources).map_err(Failure::while_doing(sources.display()))?;
    }
    fetch(source, &sources, folder)?;
    complete(&sources.join("pom.xml"))?;
    let mut maven = Command::new("mvn");
    // `package`: later phases run checkstyle and a test that wants a live host.
    maven.current_dir(&sources).args(["-B", "-q", "-DskipTests", "package"]);
    call("Maven, for OpenChaos", maven, &folder.join("openchaos-build.log"), BUILD_LIMIT)?;
    if !jar.is_file() {
        return Err(Failure(format!("Maven built no {}", jar.display())));
    }
    fs::write(&mark, wanted).map_err(Failure::while_doing(mark.display()))?;
    Ok(jar)
}

fn fetch(source: &Source, sources: &Path, folder: &Path) -> Outcome<()> {
    let log = folder.join("openchaos-fetch.log");
    match source {
        Source::Origin => {
            let mut clone = Command::new("git");
            clone.args(["clone", "--quiet", ORIGIN.repository]).arg(sources);
            call("git clone", clone, &log, FETCH_LIMIT)?;
            let mut checkout = Command::new("git");
            checkout.current_dir(sources).args(["checkout", "--quiet", ORIGIN.commit]);
            call("git checkout", checkout, &log, FETCH_LIMIT)
        }
        Source::Folder(given) => {
            let mut copy = Command::new("cp");
            copy.arg("-r").arg(given).arg(sources);
            call("cp", copy, &log, FETCH_LIMIT)
        }
        Source::Archive(given) => {
            fs::create_dir_all(sources).map_err(Failure::while_doing(sources.display()))?;
            let mut unpack = Command::new("tar");
            unpack.args(["--strip-components=1", "-xf"]).arg(given).arg("-C").arg(sources);
            call("tar", unpack, &log, FETCH_LIMIT)
        }
    }
}

/// Adds the module that the root pom lacks.
fn complete(pom: &Path) -> Outcome<()> {
    let text = fs::read_to_string(pom).map_err(Failure::while_doing(pom.display()))?;
    let completed = completed(&text)
        .ok_or_else(|| Failure(format!("{} lists no modules: not OpenChaos?", pom.display())))?;
    fs::write(pom, completed).map_err(Failure::while_doing(pom.display()))
}

fn completed(pom: &str) -> Option<String> {
    if pom.contains(MISSING_MODULE) {
        return Some(pom.to_owned());
    }
    let (before, after) = pom.split_once(MODULES_END)?;
    Some(format!("{before}{MISSING_MODULE}{MODULES_END}{after}"))
}

/// Compiles the driver against the jar; gives the folder of its classes.
///
/// # Errors
/// Maven failed; the log is named.
pub(super) fn driver(root: &Path, jar: &Path, folder: &Path) -> Outcome<PathBuf> {
    let output = folder.join("driver");
    let mut maven = Command::new("mvn");
    maven.current_dir(root.join("interop").join("openchaos")).args(["-B", "-q"]);
    maven.arg(format!("-Dopenchaos.output={}", output.display()));
    maven.arg(format!("-Dopenchaos.jar={}", jar.display())).arg("compile");
    call("Maven, for the driver", maven, &folder.join("driver-build.log"), BUILD_LIMIT)?;
    Ok(output.join("classes"))
}

fn call(what: &str, command: Command, log: &Path, limit: Duration) -> Outcome<()> {
    let (status, _) = run(what, command, log, limit)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure(format!("{what} ended with {status}; see {}", log.display())))
}

#[cfg(test)]
mod tests {
    use super::completed;

    #[test]
    fn the_missing_module_is_added_once() {
        let pom = "<modules>\n<module>driver-api</module>\n</modules>\n<parent/>";
        let whole = completed(pom).expect("it lists modules");
        assert!(whole.contains("<module>driver-elasticsearch</module></modules>"), "{whole}");
        assert_eq!(completed(&whole).as_deref(), Some(&*whole));
        assert_eq!(completed("<project/>"), None);
    }
}
