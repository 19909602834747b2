//! A process that the kernel freezes by cgroup: it hears no signal, KILL included under version 1, until it is thawed.
//!
//! SIGSTOP is seen by whoever is stopped when it goes on (SIGCONT), and by its parent at once; a freeze by nobody. It is what
//! a paused container and a suspended virtual machine are.

use super::cgroup::{self, Group, Resource, Version};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Looks at a group that is to freeze or to thaw; each of its threads comes to that on its way out of the kernel.
const LOOKS_MAX: usize = 400;

/// Between two of them.
const LOOK: Duration = Duration::from_millis(5);

/// A group with one process in it; dropping it thaws the process, lets it go and removes the group.
#[derive(Debug)]
pub(crate) struct Freezer(Group);

impl Freezer {
    /// Puts the process `pid` into a group of its own and orders that frozen.
    pub(crate) fn freeze(run: u32, part: &str, pid: i32) -> io::Result<Self> {
        // Not the group of a limit, whose neighbour goes on.
        let mut freezer = Self(Group::make(Resource::Freezer, run, &format!("{part}-frozen"))?);
        freezer.0.put(pid)?;
        order(freezer.0.version(), freezer.0.folder(), true)?;
        Ok(freezer)
    }

    /// Orders it thawed.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        order(self.0.version(), self.0.folder(), false)
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

    /// Whether the process is in the group and all its threads stand still; `None` between the two states. A group that the
    /// process left freezes nobody, whatever the kernel says of it.
    pub(crate) fn is_frozen(&self) -> Option<bool> {
        if !self.0.holds_its_process() {
            return Some(false);
        }
        let state = match self.0.version() {
            Version::First => self.0.read("freezer.state"),
            Version::Second => self.0.read("cgroup.events"),
        };
        said_frozen(self.0.version(), &state)
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
    cgroup::write(folder, file, if is_frozen { frozen } else { thawed })
}

/// Thaws a group that a dead run left, so that who was killed in it can end. A group that freezes nobody has no such file.
pub(super) fn thaw_left(folder: &Path) -> io::Result<()> {
    let is_one = |version: &Version| folder.join(words(*version).0).exists();
    let mut versions = [Version::First, Version::Second].into_iter().filter(is_one);
    versions.try_for_each(|version| order(version, folder, false))
}

impl Drop for Freezer {
    fn drop(&mut self) {
        // What fails here is seen at the next start, which thaws the group and removes it.
        self.thaw().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::Tree;
    use super::{Freezer, Resource, Version, said_frozen};
    use std::io::Write as _;
    use std::process::{Child, Command};

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

    /// Somebody to freeze, and his id; none where nobody can be frozen.
    fn sleeper() -> Option<(Child, i32)> {
        if !rustix::process::geteuid().is_root() || Tree::find(Resource::Freezer).is_none() {
            let text = b"SKIPPED: nothing was frozen: not root, or no cgroup for it\n";
            std::io::stderr().write_all(text).unwrap();
            return None;
        }
        let sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        Some((sleeper, pid))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_group_that_its_process_left_freezes_nobody() {
        let Some((mut sleeper, pid)) = sleeper() else { return };
        let freezer = Freezer::freeze(std::process::id(), "left", pid).unwrap();
        let was_frozen = freezer.becomes(true).await;
        // What the kernel says of an empty group of version 2, and what is left when it lets the dead go.
        freezer.thaw().unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        super::order(freezer.0.version(), freezer.0.folder(), true).unwrap();
        assert_eq!((was_frozen, freezer.is_frozen()), (true, Some(false)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_frozen_process_goes_on_when_its_group_is_dropped() {
        let Some((mut sleeper, pid)) = sleeper() else { return };
        let freezer = Freezer::freeze(std::process::id(), "tested", pid).unwrap();
        let was_frozen = freezer.becomes(true).await;
        let thawed = freezer.thaw().is_ok() && freezer.becomes(false).await;
        let folder = freezer.0.folder().to_owned();
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
