//! A process that the kernel freezes by cgroup: it hears no signal, KILL included under version 1, until it is thawed.
//!
//! SIGSTOP is seen by whoever is stopped when it goes on (SIGCONT), and by its parent at once; a freeze by nobody. It is what
//! a paused container and a suspended virtual machine are.

use super::cgroup::{self, Resource, Tree, Version};
use super::namespace::name;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Looks at a group that is to freeze or to thaw; each of its threads comes to that on its way out of the kernel.
const LOOKS_MAX: usize = 400;

/// Between two of them.
const LOOK: Duration = Duration::from_millis(5);

/// A group with one process in it; dropping it thaws the process, lets it go and removes the group.
#[derive(Debug)]
pub(crate) struct Freezer {
    tree: Tree,
    folder: PathBuf,
    pid: i32,
}

impl Freezer {
    /// Puts the process `pid` into a group of its own and orders that frozen.
    pub(crate) fn freeze(run: u32, part: &str, pid: i32) -> io::Result<Self> {
        let missing = || io::Error::other("no cgroup can freeze");
        let tree = Tree::find(Resource::Freezer).ok_or_else(missing)?;
        // Not the group of a limit, whose neighbour goes on.
        let folder = tree.root().join(name(run, &format!("{part}-frozen")));
        fs::create_dir_all(&folder)?;
        let freezer = Self { tree, folder, pid };
        cgroup::put(&freezer.folder, pid)?;
        order(tree.version, &freezer.folder, true)?;
        Ok(freezer)
    }

    /// Orders it thawed.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        order(self.tree.version, &self.folder, false)
    }

    /// Waits until the group is frozen, or thawed; whether that came in time, by the kernel's word.
    pub(crate) async fn becomes(&self, is_wanted: bool) -> bool {
        for _ in 0..LOOKS_MAX {
            if self.is_frozen() == Some(is_wanted) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    /// Whether the process is in the group and all its threads stand still; `None` between the two states.
    pub(crate) fn is_frozen(&self) -> Option<bool> {
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let state = match self.tree.version {
            Version::First => read("freezer.state"),
            Version::Second => read("cgroup.events"),
        };
        said_frozen(self.tree.version, &state)
    }
}

/// What the kernel's file says.
fn said_frozen(version: Version, text: &str) -> Option<bool> {
    let has = |line: &str| text.lines().any(|said| said == line);
    let (frozen, thawed) = match version {
        Version::First => ("FROZEN", "THAWED"),
        Version::Second => ("frozen 1", "frozen 0"),
    };
    match (has(frozen), has(thawed)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (true, true) | (false, false) => None,
    }
}

/// The file that takes orders, and the words for frozen and thawed.
const fn words(version: Version) -> (&'static str, [&'static str; 2]) {
    match version {
        Version::First => ("freezer.state", ["FROZEN", "THAWED"]),
        Version::Second => ("cgroup.freeze", ["1", "0"]),
    }
}

fn order(version: Version, folder: &Path, is_frozen: bool) -> io::Result<()> {
    let (file, [frozen, thawed]) = words(version);
    let path = folder.join(file);
    fs::write(&path, if is_frozen { frozen } else { thawed })
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// Thaws a group that a dead run left, so that who was killed in it can end. A group that freezes nobody has no such file.
pub(super) fn thaw_left(folder: &Path) -> io::Result<()> {
    let is_one = |version: &Version| folder.join(words(*version).0).exists();
    let mut versions = [Version::First, Version::Second].into_iter().filter(is_one);
    versions.try_for_each(|version| order(version, folder, false))
}

impl Drop for Freezer {
    fn drop(&mut self) {
        // What fails here is seen at the next start, which removes the group.
        self.thaw().ok();
        cgroup::let_go(self.tree, &self.folder, self.pid).ok();
        drop(cgroup::remove(&self.folder));
    }
}

#[cfg(test)]
mod tests {
    use super::{Freezer, Resource, Tree, Version, said_frozen};
    use std::io::Write as _;
    use std::process::Command;

    #[test]
    fn the_kernels_files_are_read() {
        let rows = [
            (Version::First, "FROZEN\n", Some(true)),
            (Version::First, "THAWED\n", Some(false)),
            (Version::First, "FREEZING\n", None),
            (Version::Second, "populated 1\nfrozen 1\n", Some(true)),
            (Version::Second, "populated 1\nfrozen 0\n", Some(false)),
            (Version::Second, "", None),
        ];
        for (version, text, expected) in rows {
            assert_eq!(said_frozen(version, text), expected, "{text:?}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_frozen_process_goes_on_when_its_group_is_dropped() {
        if !rustix::process::geteuid().is_root() || Tree::find(Resource::Freezer).is_none() {
            let text = b"SKIPPED: nothing was frozen: not root, or no cgroup for it\n";
            std::io::stderr().write_all(text).unwrap();
            return;
        }
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        let freezer = Freezer::freeze(std::process::id(), "tested", pid).unwrap();
        let was_frozen = freezer.becomes(true).await;
        let thawed = freezer.thaw().is_ok() && freezer.becomes(false).await;
        let folder = freezer.folder.clone();
        drop(freezer);
        // One that is dropped frozen lets it go, too.
        let again = Freezer::freeze(std::process::id(), "tested", pid).unwrap();
        let was_frozen_again = again.becomes(true).await;
        drop(again);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(was_frozen && thawed && was_frozen_again);
        assert!(!folder.exists(), "{} was left", folder.display());
    }
}
