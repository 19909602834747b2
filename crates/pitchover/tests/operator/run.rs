//! Runs the program to its end, and looks at what it left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::node::{PROGRAM, command};
use crate::patience::until;

/// What a run to the end said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Exit code, and what both streams together must hold.
    pub(crate) fn must_be(&self, row: &str, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{row}: {self:?}");
        for text in texts {
            let is_there = self.out.contains(text) || self.err.contains(text);
            assert!(is_there, "{row}: no {text:?} in {self:?}");
        }
    }

    /// What an operator reads last is the reason, not the state of a program that fell over.
    pub(crate) fn must_not_panic(&self, row: &str) {
        let is_panic = self.err.contains("panicked") || self.err.contains("RUST_BACKTRACE");
        assert!(!is_panic, "{row}: {self:?}");
    }
}

/// Runs the program with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_as(Path::new(PROGRAM), arguments)
}

/// Runs `program`, which may be a link to the one under test. One that does not end is ended, and the test fails.
pub(crate) fn run_as(program: &Path, arguments: &[&str]) -> Ended {
    let mut command = command(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Guard(command.spawn().expect("the program can be started"));
    // The pipes hold more than any of these runs says.
    let what = format!("{arguments:?} ends by itself");
    let status = until(&what, || child.0.try_wait().ok()?);
    let read = |pipe: Option<&mut dyn std::io::Read>| {
        let mut text = String::new();
        pipe.expect("the pipe is ours").read_to_string(&mut text).expect("it says text");
        text
    };
    let out = read(child.0.stdout.as_mut().map(|pipe| pipe as &mut dyn std::io::Read));
    let err = read(child.0.stderr.as_mut().map(|pipe| pipe as &mut dyn std::io::Read));
    Ended { code: status.code(), out, err }
}

/// A child that does not outlive its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Every file below `folder` with its content: what must not change.
pub(crate) fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap_or_default();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Copies a folder of plain files.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for (path, bytes) in content(from) {
        let name = path.file_name().expect("a file has a name");
        fs::write(to.join(name), bytes).expect("a file can be written");
    }
}
