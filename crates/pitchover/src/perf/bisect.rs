//! Search for the first commit that is slower: each candidate is built and compared with the good end in turns.
//!
//! ```text
//! good ─ ? ─ ? ─ ? ─ ? ─ bad      compare the middle: not slower ► it is good, slower ► it is bad, else look beside it
//! ```
//!
//! The bad end is compared first: a change that a comparison cannot see is not searched for. Builds and comparisons stay
//! in the work folder, so that a search that was interrupted goes on where it was.

use clap::Parser;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Most commits of a range; the search takes one comparison for each doubling.
const COMMITS_MAX: usize = 100_000;

/// Options of `perf bisect`.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// A commit that is not slower.
    #[arg(long, value_name = "REVISION")]
    good: String,
    /// A later one that is.
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    bad: String,
    /// Workload of the comparisons.
    #[arg(short = 'f', long = "workload", value_name = "FILE", default_value = "reads-leader")]
    workload: String,
    /// How a commit is built, by the shell, in a checkout of it.
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "cargo build --release --locked --package pitchover"
    )]
    build: String,
    /// What the build makes, from the top of the checkout.
    #[arg(long, value_name = "PATH", default_value = "target/release/pitchover")]
    program: PathBuf,
    /// Where the checkout, programs and comparisons are kept.
    #[arg(long, value_name = "FOLDER", default_value = "pitchover-bisect")]
    work: PathBuf,
    /// What compares, called as this program's `bench compare` is.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    comparer: Option<PathBuf>,
    /// Further words for `bench compare`, after `--`.
    #[arg(last = true)]
    words: Vec<String>,
}

/// What a comparison says of a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// Not slower than the good end.
    Good,
    /// Slower.
    Bad,
    /// It cannot be built, or nobody can tell.
    Unknown,
}

/// Commits between a good and a bad one, both included, the oldest first.
#[derive(Clone, Debug)]
struct Bisection {
    count: usize,
    good: usize,
    bad: usize,
    unknown: BTreeSet<usize>,
}

/// Where a search stands.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Next {
    /// Judge this one.
    Judge(usize),
    /// This one did it.
    Found(usize),
    /// One of these did it, and none but the last can be judged.
    OneOf(Vec<usize>),
}

impl Bisection {
    fn new(count: usize) -> Self {
        Self { count, good: 0, bad: count - 1, unknown: BTreeSet::new() }
    }

    fn next(&self) -> Next {
        let open: Vec<usize> =
            (self.good + 1..self.bad).filter(|it| !self.unknown.contains(it)).collect();
        let middle = usize::midpoint(self.good, self.bad);
        match open.into_iter().min_by_key(|it| it.abs_diff(middle)) {
            Some(one) => Next::Judge(one),
            None if self.bad == self.good + 1 => Next::Found(self.bad),
            None => Next::OneOf((self.good + 1..=self.bad).collect()),
        }
    }

    fn told(&mut self, commit: usize, verdict: Verdict) {
        assert!(commit < self.count, "{commit} is one of {} commits", self.count);
        match verdict {
            Verdict::Good => self.good = self.good.max(commit),
            Verdict::Bad => self.bad = self.bad.min(commit),
            Verdict::Unknown => {
                self.unknown.insert(commit);
            }
        }
    }
}

/// A folder with a checkout, and programs by commit.
struct Workshop<'a> {
    arguments: &'a Arguments,
    work: PathBuf,
    good: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let commits = range(&arguments.good, &arguments.bad)?;
    fs::create_dir_all(&arguments.work)
        .map_err(|error| format!("{}: {error}", arguments.work.display()))?;
    let work = arguments.work.canonicalize().map_err(|error| error.to_string())?;
    let mut workshop = Workshop { arguments, work, good: PathBuf::new() };
    workshop.good = workshop
        .built(&commits[0])?
        .ok_or_else(|| format!("the good end {} cannot be built", short(&commits[0])))?;
    let mut search = Bisection::new(commits.len());
    match workshop.judge(&commits[search.bad])? {
        Verdict::Bad => {}
        Verdict::Good => {
            println!("{} is not slower than {}", short(&commits[search.bad]), short(&commits[0]));
            return Ok(0);
        }
        Verdict::Unknown => {
            println!("nobody can tell whether {} is slower", short(&commits[search.bad]));
            return Ok(2);
        }
    }
    loop {
        match search.next() {
            Next::Judge(one) => {
                let left = search.bad - search.good - 1;
                eprintln!("perf bisect: {left} commits left, {}", title(&commits[one]));
                search.told(one, workshop.judge(&commits[one])?);
            }
            Next::Found(one) => {
                println!("first slower commit: {}", title(&commits[one]));
                return Ok(super::WORSE);
            }
            Next::OneOf(all) => {
                println!("one of these, of which only the last could be judged:");
                all.iter().for_each(|one| println!("  {}", title(&commits[*one])));
                return Ok(2);
            }
        }
    }
}

impl Workshop<'_> {
    /// The program of a commit; nothing if it cannot be built.
    fn built(&self, commit: &str) -> Result<Option<PathBuf>, String> {
        let program = self.work.join(format!("program-{commit}"));
        if program.is_file() {
            return Ok(Some(program));
        }
        let tree = self.work.join("tree");
        if tree.is_dir() {
            let tree = tree.display().to_string();
            git(&["-C", &tree, "checkout", "--quiet", "--force", "--detach", commit])?;
        } else {
            let tree = tree.display().to_string();
            // What an earlier folder of this name left behind is forgotten.
            git(&["worktree", "prune"])?;
            git(&["worktree", "add", "--quiet", "--detach", &tree, commit])?;
        }
        eprintln!("perf bisect: building {}", title(commit));
        let built = Command::new("sh")
            .args(["-c", &self.arguments.build])
            .current_dir(&tree)
            .env_remove("CARGO_TARGET_DIR")
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("sh -c {:?}: {error}", self.arguments.build))?;
        let made = tree.join(&self.arguments.program);
        if !built.success() {
            eprintln!("perf bisect: {} cannot be built", short(commit));
            return Ok(None);
        }
        fs::copy(&made, &program).map_err(|error| format!("{}: {error}", made.display()))?;
        Ok(Some(program))
    }

    /// Compares a commit with the good end.
    fn judge(&self, commit: &str) -> Result<Verdict, String> {
        let Some(program) = self.built(commit)? else { return Ok(Verdict::Unknown) };
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let comparer = self.arguments.comparer.as_ref().unwrap_or(&own);
        let out = self.work.join(format!("comparison-{commit}.json"));
        let compared = Command::new(comparer)
            .args(["bench", "compare", "-f", &self.arguments.workload])
            .arg("--a")
            .arg(&self.good)
            .arg("--b")
            .arg(&program)
            .arg("--out")
            .arg(&out)
            .args(&self.arguments.words)
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{}: {error}", comparer.display()))?;
        let (verdict, word) = match compared.code() {
            Some(0) => (Verdict::Good, "not slower"),
            Some(1) => (Verdict::Bad, "slower"),
            Some(2 | 3) => (Verdict::Unknown, "nobody can tell"),
            _ => return Err(format!("bench compare ended with {compared}")),
        };
        eprintln!("perf bisect: {}: {word}", short(commit));
        Ok(verdict)
    }
}

/// Commits from the good to the bad end, both included, along first parents.
fn range(good: &str, bad: &str) -> Result<Vec<String>, String> {
    let good = git(&["rev-parse", "--verify", &format!("{good}^{{commit}}")])?;
    let listed =
        git(&["rev-list", "--first-parent", "--reverse", &format!("{good}..{bad}"), "--"])?;
    let mut commits = vec![good.clone()];
    commits.extend(listed.lines().map(str::to_owned));
    if commits.len() < 2 {
        return Err(format!("{bad} has no commits behind {}", short(&good)));
    }
    if commits.len() > COMMITS_MAX {
        return Err(format!("{} commits: at most {COMMITS_MAX} (COMMITS_MAX)", commits.len()));
    }
    if git(&["merge-base", &good, bad])? != good {
        return Err(format!("{} does not lie before {bad}", short(&good)));
    }
    Ok(commits)
}

fn git(words: &[&str]) -> Result<String, String> {
    let ran = Command::new("git").args(words).output();
    let ran = ran.map_err(|error| format!("git {}: {error}", words.join(" ")))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("git {}: {}", words.join(" "), said.trim()));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// A commit with its first line; the commit alone where git does not say more.
fn title(commit: &str) -> String {
    git(&["log", "-1", "--format=%h %s", commit]).unwrap_or_else(|_| short(commit))
}

#[cfg(test)]
mod tests {
    use super::{Bisection, Next, Verdict};
    use std::collections::BTreeSet;

    /// Searches where everything from `guilty` on is slower, and some commits cannot be judged; what comes out, and how
    /// often somebody was asked.
    fn search(count: usize, guilty: usize, unknown: &[usize]) -> (Next, usize) {
        let (mut bisection, mut asked) = (Bisection::new(count), 0);
        let unknown: BTreeSet<usize> = unknown.iter().copied().collect();
        loop {
            match bisection.next() {
                Next::Judge(one) => {
                    asked += 1;
                    let verdict = match () {
                        () if unknown.contains(&one) => Verdict::Unknown,
                        () if one >= guilty => Verdict::Bad,
                        () => Verdict::Good,
                    };
                    bisection.told(one, verdict);
                }
                end => return (end, asked),
            }
        }
    }

    #[test]
    fn every_guilty_commit_is_found_in_as_many_steps_as_doublings() {
        for count in 2..40_usize {
            for guilty in 1..count {
                let (end, asked) = search(count, guilty, &[]);
                assert_eq!(end, Next::Found(guilty), "{guilty} of {count}");
                assert!(asked <= count.ilog2() as usize + 1, "{asked} for {count}");
            }
        }
    }

    #[test]
    fn commits_that_cannot_be_judged_are_walked_around_or_named() {
        assert_eq!(search(20, 7, &[9, 10, 11]).0, Next::Found(7));
        assert_eq!(search(10, 5, &[4]).0, Next::OneOf(vec![4, 5]));
        assert_eq!(search(4, 2, &[1, 2]).0, Next::OneOf(vec![1, 2, 3]));
    }
}
