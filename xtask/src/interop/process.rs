//! Processes of the suite: started with a log of their own, and always ended with it.
//!
//! A [`Process`] is killed (SIGKILL) and reaped when it is dropped, on every path out of the suite. A
//! [`Dialogue`] is a process that answers lines on its standard output to lines on its standard input;
//! it ends by itself when its input closes.

use super::clock::until;
use super::report::{Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Lines of an answer that may wait to be read; the process stands still when there are more.
const LINES_WAITING_MAX: usize = 4096;

/// Lines of a log that are shown with a failure.
const LOG_LINES_SHOWN: usize = 15;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with no input, its output and errors added to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Outcome<Self> {
        let out = append(log)?;
        let err = out.try_clone().map_err(Failure::while_doing(log.display()))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, mut command: Command, log: &Path) -> Outcome<Self> {
        let child =
            command.spawn().map_err(Failure::while_doing(format!("cannot start {name}")))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its id, which is also that of its group if it was started in one of its own.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it as a crash would, at once and without a chance to say goodbye, and reaps it.
    pub(super) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only for a process that has been reaped already.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks it to end, as a service manager does (SIGTERM). It goes on until it has.
    pub(super) fn terminate(&self) -> Outcome<()> {
        self.signal(Signal::TERM)
    }

    /// Lets it stand still, connections open (SIGSTOP), or go on (SIGCONT).
    pub(super) fn freeze(&self, is_frozen: bool) -> Outcome<()> {
        self.signal(if is_frozen { Signal::STOP } else { Signal::CONT })
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        let sent = kill_process(Pid::from_child(&self.child), signal);
        sent.map_err(Failure::while_doing(format!("cannot signal {}", self.name)))
    }

    /// Waits until it has ended by itself.
    pub(super) fn end_of(mut self, limit: Duration) -> Outcome<()> {
        let what = format!("{} to end", self.name);
        until(&what, limit, || self.ended()).map(drop)
    }

    /// How it ended, if it did so by itself.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().map_err(Failure::while_doing(&self.name))
    }

    /// An error if it is no longer running, with the end of its log.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                let (name, end) = (&self.name, tail(&self.log));
                Err(Failure(format!("{name} ended by itself ({status}):\n{end}")))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A program that ends by itself and is judged by what it printed.
#[derive(Debug)]
pub(super) struct Run(Process);

impl Run {
    pub(super) fn start(name: &str, command: Command, log: &Path) -> Outcome<Self> {
        Process::start(name, command, log).map(Self)
    }

    /// Waits for its end and gives what it printed, errors included, in the order it was printed.
    ///
    /// # Errors
    /// `limit` passed; then it is killed.
    pub(super) fn finish(mut self, limit: Duration) -> Outcome<(ExitStatus, String)> {
        let what = format!("{} to end", self.0.name);
        let status = until(&what, limit, || self.0.ended())?;
        let log = &self.0.log;
        let text = std::fs::read(log).map_err(Failure::while_doing(log.display()))?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Runs `command` to its end: [`Run::start`] and [`Run::finish`].
pub(crate) fn run(
    name: &str,
    command: Command,
    log: &Path,
    limit: Duration,
) -> Outcome<(ExitStatus, String)> {
    Run::start(name, command, log)?.finish(limit)
}

/// A running program that is asked in lines and answers in lines.
#[derive(Debug)]
pub(crate) struct Dialogue {
    process: Process,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Dialogue {
    /// Starts `command`; its errors are added to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Outcome<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(append(log)?);
        let mut process = Process::spawn(name, command, log)?;
        let missing = || Failure(format!("{name} has no pipe"));
        let input = process.child.stdin.take().ok_or_else(missing)?;
        let output = process.child.stdout.take().ok_or_else(missing)?;
        let (sender, lines) = sync_channel(LINES_WAITING_MAX);
        let read = move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        let reader = std::thread::Builder::new().name(format!("{name}-reader")).spawn(read);
        reader.map_err(Failure::while_doing(name))?;
        Ok(Self { process, input, lines })
    }

    /// Sends one line.
    pub(crate) fn say(&mut self, line: &str) -> Outcome<()> {
        let sent = writeln!(self.input, "{line}").and_then(|()| self.input.flush());
        sent.map_err(Failure::while_doing(format!("{} does not listen", self.process.name)))
    }

    /// The next line it prints.
    ///
    /// # Errors
    /// It printed nothing within `limit`, or ended.
    pub(crate) fn hear(&mut self, limit: Duration) -> Outcome<String> {
        let name = self.process.name.clone();
        self.lines.recv_timeout(limit).map_err(|error| {
            let end = tail(&self.process.log);
            Failure(format!("{name} gave no answer ({error}):\n{end}"))
        })
    }
}

fn append(log: &Path) -> Outcome<File> {
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.map_err(Failure::while_doing(log.display()))
}

/// The last lines of a log, and where it is.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
    format!("{}\n(log: {})", shown.join("\n"), log.display())
}

#[cfg(test)]
mod tests {
    use super::{Dialogue, Process, run};
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    fn log(name: &str) -> PathBuf {
        let log = std::env::temp_dir().join(format!("interop-{}-{name}.log", std::process::id()));
        drop(std::fs::remove_file(&log));
        log
    }

    #[test]
    fn output_and_errors_keep_their_order() {
        let log = log("order");
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let (status, text) = run("sh", command, &log, LIMIT).expect("sh runs");
        assert_eq!((status.code(), text.as_str()), (Some(3), "one\ntwo\nthree\n"));
        std::fs::remove_file(log).expect("it was written");
    }

    #[test]
    fn an_end_is_noticed_and_explained() {
        let log = log("end");
        let mut command = Command::new("sh");
        command.args(["-c", "echo reason; exit 7"]);
        let mut process = Process::start("short", command, &log).expect("sh starts");
        let ended = super::until("the end", LIMIT, || process.ended()).expect("it ends");
        assert_eq!(ended.code(), Some(7));
        let failure = process.check().expect_err("it has ended").to_string();
        assert!(failure.starts_with("short ended by itself"), "{failure}");
        assert!(failure.contains("reason"), "{failure}");
        std::fs::remove_file(log).expect("it was written");
    }

    #[test]
    fn a_dialogue_answers_line_by_line() {
        let log = log("dialogue");
        let mut cat = Dialogue::start("cat", Command::new("cat"), &log).expect("cat starts");
        for line in ["first", "second"] {
            cat.say(line).expect("cat listens");
            assert_eq!(cat.hear(LIMIT).expect("cat answers"), line);
        }
        drop(cat);
        std::fs::remove_file(log).expect("it was opened");
    }
}
