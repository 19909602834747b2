//! Clocks of one running process that go faster or slower, or jump; nobody else's.
//!
//! The kernel offers no such thing for a process that runs, so a library of some lines (`skew.c`, made by `cc` at the start of
//! a run that needs it) stands between the process and the C library, which both of Rust's clocks come from. It tells what a
//! page of memory says that both sides see, and counts how often it was asked.
//!
//! | Word, 8 bytes each, native order | Written by | Holds |
//! |---|---|---|
//! | 0 | us | odd while 1 to 4 change |
//! | 1, 2 | us | a moment of the true monotonic clock, and what is told then, in ns |
//! | 3 | us | how much faster it goes, in millionths; negative: slower |
//! | 4 | us | by how much civil time is ahead on top of it, in ns |
//! | 5 | the library | how often a clock was read |
//! | 6, 7 | the library | by how much the last reading was ahead, in ns; the jump in it |
//!
//! A process starts with true clocks. Healed, a rate leaves what it gained: a monotonic clock never goes back.

use super::tool;
use crate::clock;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The compiler that makes the library. Whoever built this program has it: Rust links by it.
pub(super) const COMPILER: &str = "cc";

/// How the library finds its page. Source: `skew.c`.
pub(super) const PAGE: &str = "PITCHOVER_CHAOS_CLOCK";

const SOURCE: &str = include_str!("skew.c");

const WORD_BYTES: usize = 8;
const WORDS: usize = 8;

/// The first word that the library writes.
const FIRST_OF_LIBRARY: usize = 5;

/// What the clocks of a process do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skewed {
    /// How much faster they go, in millionths.
    pub(crate) rate_ppm: i64,
    /// By how many seconds civil time is ahead.
    pub(crate) jump_s: i64,
}

/// What the library says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Felt {
    /// How often a clock was read.
    pub(crate) reads: i64,
    /// By how much the last reading of a clock was ahead, in ns, without the jump.
    pub(crate) ahead: i64,
    /// The jump in it, in ns.
    pub(crate) jumped: i64,
}

/// The library, made below a run's folder.
pub(crate) fn library(folder: &Path) -> io::Result<PathBuf> {
    let (source, made) = (folder.join("skew.c"), folder.join("skew.so"));
    fs::write(&source, SOURCE)?;
    let (from, to) = (source.display().to_string(), made.display().to_string());
    tool(&[COMPILER, "-shared", "-fPIC", "-O2", "-o", &to, &from, "-ldl"])?;
    std::path::absolute(made)
}

/// The page of one process.
#[derive(Debug)]
pub(crate) struct Skew {
    pub(super) library: PathBuf,
    pub(super) page: PathBuf,
    file: File,
}

impl Skew {
    /// Makes a page that says the truth.
    pub(crate) fn create(library: &Path, page: &Path) -> io::Result<Self> {
        let page = std::path::absolute(page)?;
        let file =
            File::options().create(true).truncate(true).read(true).write(true).open(&page)?;
        let skew = Self { library: library.to_owned(), page, file };
        skew.write(0, &[0; WORDS])?;
        Ok(skew)
    }

    /// A process is about to start: its clocks are true, and its monotonic one is so many seconds ahead of ours.
    pub(super) fn reset(&self, ahead_s: u64) -> io::Result<()> {
        let now = now(ahead_s);
        self.say([now, now, 0, 0])
    }

    /// From now on its clocks do this. What the page says of the past stays.
    pub(crate) fn set(&self, skewed: Skewed, ahead_s: u64) -> io::Result<()> {
        let [_, base_true, base_told, rate_ppm, ..] = self.read()?;
        let now = now(ahead_s);
        let told = base_told + scaled(now - base_true, rate_ppm);
        let second = i64::try_from(clock::SECOND).unwrap_or(i64::MAX);
        self.say([now, told, skewed.rate_ppm, skewed.jump_s * second])
    }

    pub(crate) fn felt(&self) -> io::Result<Felt> {
        let [_, _, _, _, _, reads, ahead, jumped] = self.read()?;
        Ok(Felt { reads, ahead, jumped })
    }

    fn say(&self, words: [i64; FIRST_OF_LIBRARY - 1]) -> io::Result<()> {
        let sequence = self.read()?[0];
        self.write(0, &[sequence + 1])?;
        self.write(1, &words)?;
        self.write(0, &[sequence + 2])
    }

    fn read(&self) -> io::Result<[i64; WORDS]> {
        let mut bytes = [0; WORDS * WORD_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(WORD_BYTES)) {
            *word = i64::from_ne_bytes(bytes.try_into().expect("a chunk has the bytes of a word"));
        }
        Ok(words)
    }

    fn write(&self, at: usize, words: &[i64]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.file.write_all_at(&bytes, (at * WORD_BYTES) as u64)
    }
}

/// What a monotonic clock shows now that is so many seconds ahead of ours.
fn now(ahead_s: u64) -> i64 {
    i64::try_from(clock::now() + ahead_s * clock::SECOND).unwrap_or(i64::MAX)
}

/// How far a clock goes in a time.
fn scaled(passed: i64, rate_ppm: i64) -> i64 {
    let gained = i128::from(passed) * i128::from(rate_ppm) / 1_000_000;
    passed + i64::try_from(gained).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{COMPILER, Felt, PAGE, Skew, Skewed, library};
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    struct Folder(PathBuf);

    impl Folder {
        fn make(name: &str) -> Self {
            let at = std::env::temp_dir().join(format!("pitchover-{name}-{}", std::process::id()));
            fs::create_dir_all(&at).unwrap();
            Self(at)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_rate_keeps_what_it_gained_and_a_jump_is_taken_back() {
        let folder = Folder::make("skew");
        let skew = Skew::create(&folder.0.join("skew.so"), &folder.0.join("clock")).unwrap();
        skew.reset(0).unwrap();
        skew.set(Skewed { rate_ppm: 200_000, jump_s: -7 }, 0).unwrap();
        let [sequence, base_true, base_told, rate_ppm, jump, ..] = skew.read().unwrap();
        assert_eq!((sequence, rate_ppm, jump), (4, 200_000, -7_000_000_000));
        assert_eq!(base_true, base_told, "until now it was true");
        // As if a second had passed since.
        skew.say([base_true - 1_000_000_000, base_told - 1_000_000_000, rate_ppm, jump]).unwrap();
        skew.set(Skewed::default(), 0).unwrap();
        let [_, base_true, base_told, rate_ppm, jump, ..] = skew.read().unwrap();
        assert_eq!((rate_ppm, jump), (0, 0));
        assert!(base_told - base_true >= 200_000_000, "{base_told} - {base_true}");
    }

    #[test]
    fn a_process_is_told_what_the_page_says() {
        let folder = Folder::make("skewed");
        // Rust's own linker is this compiler: where tests are built, it is there.
        let library = library(&folder.0).unwrap_or_else(|error| panic!("{COMPILER}: {error}"));
        let skew = Skew::create(&library, &folder.0.join("clock")).unwrap();
        skew.reset(0).unwrap();
        skew.set(Skewed { rate_ppm: 0, jump_s: 7_200 }, 0).unwrap();
        let asked = |preload: bool| -> u64 {
            let mut date = Command::new("date");
            if preload {
                date.env("LD_PRELOAD", &skew.library).env(PAGE, &skew.page);
            }
            let said = date.arg("+%s").output().unwrap().stdout;
            String::from_utf8(said).unwrap().trim().parse().unwrap()
        };
        let (before, told) = (asked(false), asked(true));
        assert!((7_200..7_260).contains(&(told - before)), "{before}, {told}");
        let felt = skew.felt().unwrap();
        assert!(felt.reads > 0 && felt.jumped == 7_200_000_000_000, "{felt:?}");
        assert_eq!(Felt { reads: 0, jumped: 0, ..felt }, Felt::default());
    }
}
