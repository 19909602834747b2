//! The disk of one controller: a process of its own (`pitchover chaos disk`) that serves a [`crate::disk`].

use super::PREFIX;
use crate::disk::{Answer, Order, READY};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A mounted disk; dropping it lets go of whoever hangs, unmounts it, and leaves its files in the folder.
#[derive(Debug)]
pub(crate) struct Disk {
    child: Child,
    /// Closed first: by that it learns that it is over.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Disk {
    /// Covers the folder `at` by a disk of so many bytes.
    pub(crate) fn mount(run: u32, at: &Path, bytes: usize) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["chaos", "disk", "--source", &format!("{PREFIX}{run}"), "--bytes"]);
        command.arg(bytes.to_string()).arg(at);
        // Ctrl-C is for the run, which ends this by closing its input.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut disk = Self { child, orders, answers: BufReader::new(answers) };
        match disk.line()?.as_str() {
            READY => Ok(disk),
            other => Err(io::Error::other(format!("the disk said `{other}`"))),
        }
    }

    /// Tells it to do something; it answers at once.
    pub(crate) fn order(&mut self, order: Order) -> io::Result<Answer> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(orders, "{order}")?;
        let line = self.line()?;
        Answer::read(&line).ok_or_else(|| io::Error::other(format!("`{line}` is no answer")))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the process of the disk ended; it says why above"));
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It has ended already if this fails.
        drop(self.child.wait());
    }
}
