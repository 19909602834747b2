//! Damage to the files of a controller that does not run.
//!
//! What a peer must make of it stands in the journal's decision table (`crates/journal/src/recover.rs`): damage in front of a
//! later write is proven, and refused. So flips and cuts stay away from the newest writes, of which one peer alone
//! cannot tell damage from a write that was torn.

use crate::draw::Draw;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

/// How the name of our data folder begins, within the store.
const DATA: &str = "pitchover-";

const SEGMENT: &str = "segment-";
const SPARE: &str = "spare-";

/// Most bits that are flipped.
const FLIPS_MAX: u64 = 8;

/// What is done to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Some bits of the newest segment's older half.
    Flips,
    /// The newest segment ends in its older half.
    Tail,
    /// Two files have each other's bytes.
    Swap,
    /// All files are gone.
    Wipe,
}

/// A hash of all names and bytes below a folder.
pub(super) fn digest(folder: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        hasher.write(name.as_bytes());
        if path.is_dir() {
            hasher.write_u64(digest(&path)?);
        } else {
            hasher.write(&fs::read(path)?);
        }
    }
    Ok(hasher.finish())
}

/// Does it to the store of a controller; says what was done.
pub(super) fn damage(rest: Rest, store: &Path, draw: &mut Draw) -> io::Result<String> {
    match rest {
        Rest::Wipe => {
            clear(store)?;
            Ok("its folder is empty".to_owned())
        }
        Rest::Flips => {
            let (path, mut bytes, used) = newest(store)?;
            let written: Vec<usize> = (0..used / 2).filter(|at| bytes[*at] != 0).collect();
            let flips = draw.between(1, FLIPS_MAX);
            for _ in 0..flips {
                let at = written[draw.index(written.len())];
                bytes[at] ^= 1 << draw.below(8);
            }
            fs::write(&path, bytes)?;
            Ok(format!("{flips} bits of {} were flipped", name_of(&path)))
        }
        Rest::Tail => {
            let (path, _, used) = newest(store)?;
            // Odd, which no segment's length is.
            let left = (used / 2) | 1;
            File::options().write(true).open(&path)?.set_len(left as u64)?;
            Ok(format!("{} was cut to {left} bytes", name_of(&path)))
        }
        Rest::Swap => {
            let data = data(store)?;
            let files = names(&data)?;
            let begin =
                |start: &'static str| files.iter().filter(move |name| name.starts_with(start));
            // The oldest segment, and the next or a spare: each is at a place where the other cannot be.
            let two: Vec<&String> = begin(SEGMENT).chain(begin(SPARE)).take(2).collect();
            let [one, other] = two[..] else {
                return Err(io::Error::other("there are no two files to be swapped"));
            };
            let aside = data.join("aside");
            fs::rename(data.join(one), &aside)?;
            fs::rename(data.join(other), data.join(one))?;
            fs::rename(aside, data.join(other))?;
            Ok(format!("{one} and {other} have each other's bytes"))
        }
    }
}

/// Removes all that is in a folder.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    for name in names(folder)? {
        let path = folder.join(name);
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// Makes `to` hold what `from` holds, and nothing else.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    clear(to)?;
    for name in names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() { copy(&from, &to)? } else { fs::copy(from, to).map(drop)? }
    }
    Ok(())
}

/// The newest segment, its bytes, and how many of them come before nothing but zeros.
fn newest(store: &Path) -> io::Result<(PathBuf, Vec<u8>, usize)> {
    let data = data(store)?;
    let newest = names(&data)?.into_iter().rfind(|name| name.starts_with(SEGMENT));
    let path = data.join(newest.ok_or_else(|| io::Error::other("there is no segment"))?);
    let bytes = fs::read(&path)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if used < 2 {
        return Err(io::Error::other(format!("{} is empty", path.display())));
    }
    Ok((path, bytes, used))
}

pub(super) fn data(store: &Path) -> io::Result<PathBuf> {
    let found = names(store)?.into_iter().find(|name| name.starts_with(DATA));
    Ok(store.join(found.ok_or_else(|| io::Error::other("there is no data folder"))?))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.into_iter().map(name).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{Rest, clear, copy, damage, digest};
    use crate::draw::Draw;
    use std::fs;
    use std::path::PathBuf;

    /// A store with two segments, the newer one half used, and a spare.
    fn store(name: &str) -> PathBuf {
        let folder = format!("pitchover-rest-{name}-{}", std::process::id());
        let store = std::env::temp_dir().join(folder);
        let data = store.join("pitchover-n0");
        fs::create_dir_all(&data).unwrap();
        fs::write(store.join("stored.properties"), "a = b").unwrap();
        fs::write(data.join("segment-1"), [1; 8_192]).unwrap();
        fs::write(data.join("segment-2"), [[2; 4_096], [0; 4_096]].concat()).unwrap();
        fs::write(data.join("spare-1"), [0; 8_192]).unwrap();
        store
    }

    fn after(rest: Rest, name: &str) -> (PathBuf, String) {
        let store = store(name);
        let before = digest(&store).unwrap();
        let said = damage(rest, &store, &mut Draw::new(3)).unwrap();
        assert_ne!(digest(&store).unwrap(), before, "{said}");
        (store, said)
    }

    #[test]
    fn flips_and_cuts_stay_in_the_older_half_of_the_newest_segment() {
        let (store, said) = after(Rest::Flips, "flips");
        let bytes = fs::read(store.join("pitchover-n0/segment-2")).unwrap();
        assert!(bytes[..2_048].iter().any(|byte| *byte != 2), "{said}");
        assert!(bytes[2_048..4_096].iter().all(|byte| *byte == 2), "{said}");
        fs::remove_dir_all(store).unwrap();
        let (store, said) = after(Rest::Tail, "tail");
        let left = fs::metadata(store.join("pitchover-n0/segment-2")).unwrap().len();
        assert_eq!(left, 2_049, "{said}");
        fs::remove_dir_all(store).unwrap();
    }

    #[test]
    fn swapped_files_have_each_others_bytes() {
        let (store, _) = after(Rest::Swap, "swap");
        let first = |name: &str| fs::read(store.join("pitchover-n0").join(name)).unwrap()[0];
        assert_eq!((first("segment-1"), first("segment-2"), first("spare-1")), (2, 1, 0));
        fs::remove_dir_all(store).unwrap();
    }

    #[test]
    fn a_backup_is_restored_whole_and_a_wiped_folder_is_empty() {
        let (store, _) = after(Rest::Wipe, "wipe");
        assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
        let backup = store.with_extension("backup");
        fs::create_dir_all(store.join("pitchover-n0")).unwrap();
        fs::write(store.join("pitchover-n0/segment-1"), "old").unwrap();
        let before = digest(&store).unwrap();
        copy(&store, &backup).unwrap();
        fs::write(store.join("pitchover-n0/segment-2"), "new").unwrap();
        copy(&backup, &store).unwrap();
        assert_eq!(digest(&store).unwrap(), before);
        clear(&backup).unwrap();
        fs::remove_dir_all(backup).unwrap();
        fs::remove_dir_all(store).unwrap();
    }
}
