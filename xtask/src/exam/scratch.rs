//! The tree in which bugs are planted, and what is run there.
//!
//! `target/exam/0/tree` is a copy of the committed files, `target/exam/0/build` its warm build; `1` and so on are those of
//! further workers. Only files that changed are written again, so a bug costs the build of the crate it lies in and of
//! those above it. Builds are incremental, and crates in which bugs are planted lightly optimised: seeds take longer, but
//! most bugs need few, and building is what takes time. The very first build is short if `target/exam/0/build/sim` starts
//! as a copy of `target/sim`.

use super::CONTEXT;
use super::catalogue::Bug;
use crate::tree::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What is built again for a bug, so it has to be built quickly.
const BUILT_AGAIN: [&str; 5] = ["consensus", "controller", "journal", "replicas", "sim"];

/// What runs seeds, in the folder of a build.
const SEEDS: &str = "sim/examples/seeds";

/// What the seeds said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Who found it, after how many seeds.
    Found {
        by: String,
        runs: u64,
    },
    Missed,
    /// The patch no longer fits what it is planted in.
    NotBuilt {
        problem: String,
    },
}

#[derive(Debug)]
pub(super) struct Scratch {
    tree: PathBuf,
    build: PathBuf,
    commit: String,
    /// Processes of one build.
    processes: String,
}

impl Scratch {
    /// Brings the tree in `folder` of the workspace, which is that of one of so many workers, to the committed state.
    pub(super) fn prepare(folder: &str, workers: u64) -> Result<Self, String> {
        let folder = root().join(folder);
        let fresh = folder.join("fresh");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|error| error.to_string())?;
        }
        fs::create_dir_all(&fresh).map_err(|error| error.to_string())?;
        let archive = folder.join("tree.tar");
        let mut git = Command::new("git");
        git.current_dir(root())
            .args(["archive", "--format=tar", "--output"])
            .arg(&archive)
            .arg("HEAD");
        succeed(&mut git)?;
        succeed(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&fresh))?;
        let tree = folder.join("tree");
        bring(&fresh, &tree).map_err(|error| format!("{}: {error}", tree.display()))?;
        let mut git = Command::new("git");
        let commit = succeed(git.current_dir(root()).args(["rev-parse", "--short", "HEAD"]))?;
        let commit = String::from_utf8_lossy(&commit.stdout).trim().to_owned();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let processes = (cores / workers).max(1).to_string();
        Ok(Self { tree, build: folder.join("build"), commit, processes })
    }

    pub(super) fn commit(&self) -> String {
        self.commit.clone()
    }

    /// Builds the simulator as the tree is now.
    pub(super) fn build(&self) -> Result<(), String> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--quiet", "--profile", "sim", "--package", "sim"]);
        cargo.args(["--example", "seeds", "--jobs", &self.processes]);
        succeed(&mut cargo).map(drop)
    }

    /// Builds the whole program as the tree is now, quickly built rather than fast.
    pub(super) fn program(&self) -> Result<PathBuf, String> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        cargo.args(["build", "--quiet", "--locked", "--package", "pitchover"]);
        succeed(cargo.args(["--jobs", &self.processes]))?;
        Ok(self.build.join("debug").join("pitchover"))
    }

    /// Keeps a program without a bug beside the builds with one.
    pub(super) fn keep_program(&self, program: &Path) -> Result<PathBuf, String> {
        let sound = self.build.with_file_name("pitchover-sound");
        fs::copy(program, &sound).map_err(|error| format!("{}: {error}", sound.display()))?;
        Ok(sound)
    }

    /// Runs tests: a failure of theirs finds the bug, a failure to build is an error of the exam.
    pub(super) fn tests(&self, words: &[String]) -> Result<Verdict, String> {
        let only_build = ["--no-run", "--quiet", "--jobs", &self.processes];
        succeed(self.cargo().args(words).args(only_build))?;
        let output = self.cargo().args(words).arg("--quiet").output();
        let output = output.map_err(|error| format!("cargo: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // Names stand in the last list; what comes before may hold backtraces.
        let listed = text.rsplit("failures:").next().unwrap_or_default();
        let failed = listed.lines().find_map(|line| line.strip_prefix("    "));
        Ok(match failed {
            Some(test) if !output.status.success() => {
                Verdict::Found { by: format!("test `{}`", test.trim()), runs: 1 }
            }
            _ => Verdict::Missed,
        })
    }

    /// Builds the simulator without a bug, and keeps it beside the builds with one.
    pub(super) fn build_sound(&self) -> Result<(), String> {
        self.build()?;
        let sound = self.sound();
        fs::copy(self.build.join(SEEDS), &sound)
            .map_err(|error| format!("{}: {error}", sound.display()))?;
        Ok(())
    }

    fn sound(&self) -> PathBuf {
        self.build.with_file_name("seeds-sound")
    }

    /// Runs seeds until one fails that does not fail without the bug, too.
    pub(super) fn seeds(&self, first: u64, count: u64) -> Result<Verdict, String> {
        let mut from = first;
        loop {
            let left = (first + count).saturating_sub(from);
            let Some((seed, by)) = run(&self.build.join(SEEDS), from, left)? else {
                return Ok(Verdict::Missed);
            };
            if run(&self.sound(), seed, 1)?.is_none() {
                return Ok(Verdict::Found { by, runs: seed - first + 1 });
            }
            println!("seed {seed} fails without a bug, so it is left out");
            from = seed + 1;
        }
    }

    /// Plants a bug, does something, and takes the bug back whatever came of it.
    pub(super) fn with<T>(
        &self,
        bug: &Bug,
        work: impl FnOnce(&Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let named = |error| format!("{}: {error}", bug.name());
        self.apply(bug, &[]).map_err(named)?;
        let result = work(self).map_err(named);
        self.apply(bug, &["--reverse"]).map_err(named)?;
        result
    }

    fn apply(&self, bug: &Bug, more: &[&str]) -> Result<(), String> {
        let mut git = Command::new("git");
        // Else git would look for the repository around the tree, and patch that.
        let ceiling = self.tree.parent().unwrap_or(&self.tree);
        git.env("GIT_CEILING_DIRECTORIES", ceiling).current_dir(&self.tree);
        succeed(git.args(["apply", CONTEXT]).args(more).arg(&bug.path)).map(drop)
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        cargo.env("CARGO_PROFILE_SIM_INCREMENTAL", "true");
        // What is not ours is as in any build of the simulator, and can be taken over from one.
        for name in BUILT_AGAIN {
            for setting in ["opt-level=1", "debug=false"] {
                cargo.args(["--config", &format!("profile.sim.package.{name}.{setting}")]);
            }
        }
        cargo
    }
}

/// The first of these seeds that fails, and by which invariant.
fn run(program: &Path, first: u64, count: u64) -> Result<Option<(u64, String)>, String> {
    let mut seeds = Command::new(program);
    let output = succeed(seeds.args([&first.to_string(), &count.to_string(), "any"]))?;
    let output = String::from_utf8_lossy(&output.stdout);
    let last = output.lines().last().unwrap_or_default();
    let no_result = || format!("the seeds say: {last}");
    match last.splitn(6, ' ').collect::<Vec<&str>>()[..] {
        ["found", seed, _, _, invariant, ..] => {
            let seed = seed.parse().map_err(|_no_number| no_result())?;
            Ok(Some((seed, invariant.to_owned())))
        }
        ["clean", _] => Ok(None),
        _ => Err(no_result()),
    }
}

pub(super) fn succeed(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name} failed: {}", text.trim()))
}

/// Makes `to` equal to `from`, without touching what is equal already.
fn bring(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let path = entry?.path();
        let is_left_over = path.file_name().is_some_and(|name| !from.join(name).exists());
        if is_left_over && path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if is_left_over {
            fs::remove_file(&path)?;
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            bring(&source, &target)?;
        } else if !target.exists() || fs::read(&source)? != fs::read(&target)? {
            fs::write(&target, fs::read(&source)?)?;
        }
    }
    Ok(())
}
