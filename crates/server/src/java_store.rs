//! Data of a Java controller beside ours.
//!
//! Whoever starts this controller in a Java controller's place, with its property file, expects it to know the broker
//! sets. It does not: nothing is taken over from Java's files, and brokers that were registered there would hear that
//! they are unknown until somebody removes their identity files. So the very first start beside such data is refused,
//! with what to do; `pitchover.javaStore=ignore` says that it is meant. Later starts have data of their own.
//!
//! Source: upstream `DLedgerController` (`dledger-<self id>` with `data` and `index`), `JRaftController` (`log`,
//! `raft_meta`, `snapshot`).

use std::fs;
use std::path::{Path, PathBuf};

/// What is found in the folder that Java calls `controllerStorePath`, `None` if nothing of Java's is. A folder that
/// cannot be read holds nothing as far as this goes: what is wrong with it shows when our own is made.
pub(crate) fn found(store_path: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(store_path).ok()?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let is_dledger = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("dledger-") && path.join("data").is_dir()
    };
    let is_jraft = |path: &PathBuf| path.ends_with("raft_meta") && store_path.join("log").is_dir();
    folders.into_iter().find(|path| is_dledger(path) || is_jraft(path))
}

#[cfg(test)]
mod tests {
    use super::found;
    use std::fs;

    #[test]
    fn javas_folders_are_known_by_their_insides() {
        let store = std::env::temp_dir().join(format!("pitchover-java-{}", std::process::id()));
        let make = |name: &str| fs::create_dir_all(store.join(name)).unwrap();
        assert_eq!(found(&store), None, "there is no folder");
        make("dledger-n0");
        make("pitchover-n0/dledger-n1/data");
        make("raft_meta");
        make("snapshot");
        assert_eq!(found(&store), None, "names alone are nobody's data");
        make("log");
        assert_eq!(found(&store), Some(store.join("raft_meta")));
        make("dledger-n0/data");
        assert_eq!(found(&store), Some(store.join("dledger-n0")));
        fs::remove_dir_all(&store).unwrap();
    }
}
