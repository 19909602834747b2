//! One controller as a process, ours or upstream's, alone in a session, a network and a PID namespace.
//!
//! ```text
//! setsid ──► ip netns exec ──► setpriv --pdeathsig KILL ──► unshare --pid --fork --kill-child ──fork──► the controller
//! (its own share)              (the chain dies with us)                                         (pid 1 of its namespace)
//! ```
//! Every arrow is an exec, the last a fork.
//!
//! The session is for its share of the processors: Linux shares them out among sessions before it does among threads
//! (`sched_autogroup_enabled`, sched(7)), so that a controller is not one more thread beside the network, the actors and
//! the crowds of the run. Nor does it hear the Ctrl-C that is meant for the run.
//!
//! Signals go to the controller itself, by its process id as we see it. The chain ends as the controller
//! ended, so its exit status is the controller's.

use super::skew::{self, Skew};
use crate::clock;
use crate::target::Kind;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a controller may take to appear below its chain.
const APPEAR: u64 = 10 * clock::SECOND;

/// How long it may take to serve then: a JVM on a busy machine takes ten seconds and more.
const SERVICE: u64 = 30 * clock::SECOND;

/// What a controller says once its port is open. Source: upstream `ControllerStartup`; `pitchover serve`.
pub(crate) const SERVES: &str = "boot success";

/// How often we look.
const LOOK: Duration = Duration::from_millis(5);

/// Looks at a killed controller at the end of a run, until it is left to the kernel: two seconds.
const GOES_LOOKS_MAX: usize = 400;

/// What is fixed about one controller.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// `n0`, `n1`, …
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) kind: Kind,
    /// The file that is executed, without links.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Its own folder, which is home to it.
    pub(crate) home: PathBuf,
    pub(crate) log: PathBuf,
}

/// A running controller.
#[derive(Debug)]
struct Running {
    chain: Child,
    pid: Pid,
}

/// A controller that runs or not.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) plan: Plan,
    running: Option<Running>,
    /// Seconds by which its monotonic clock is ahead of ours from its next start on.
    pub(crate) ahead: u64,
    /// What its clocks are told to do, if a fault of the run needs that.
    pub(crate) skew: Option<Skew>,
}

impl Controller {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, running: None, ahead: 0, skew: None }
    }

    /// Its process id, as we see it, while it runs.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.running.as_ref().map(|running| running.pid)
    }

    /// Starts it and waits until the process is there; it runs already if it was started before.
    pub(crate) async fn start(&mut self) -> io::Result<Pid> {
        if let Some(pid) = self.pid() {
            return Ok(pid);
        }
        self.appear().await?.map_err(|status| {
            io::Error::other(format!("{} ended at once: {status}", self.plan.name))
        })
    }

    /// Starts it and waits until it serves; gives how it ended if it ended instead.
    pub(crate) async fn attempt(&mut self) -> io::Result<Option<ExitStatus>> {
        let said = self.said_bytes();
        match self.appear().await? {
            Err(status) => Ok(Some(status)),
            Ok(_pid) => self.await_service(said).await,
        }
    }

    /// Waits until its log says, from this byte on, that it serves; gives how it ended if it ended instead.
    pub(crate) async fn await_service(&mut self, said: u64) -> io::Result<Option<ExitStatus>> {
        let began = clock::now();
        while clock::now() - began < SERVICE {
            if let Some(status) = self.ended() {
                return Ok(Some(status));
            }
            if self.said(said)?.contains(SERVES) {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(io::Error::other(format!("{} neither serves nor ends", self.plan.name)))
    }

    /// Bytes of its log so far.
    pub(crate) fn said_bytes(&self) -> u64 {
        fs::metadata(&self.plan.log).map_or(0, |log| log.len())
    }

    /// What its log holds from this byte on.
    pub(crate) fn said(&self, from: u64) -> io::Result<String> {
        let mut log = File::open(&self.plan.log)?;
        log.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last line of its log, which says why it ended.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said(0).unwrap_or_default();
        said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
    }

    /// Starts the chain, and waits for the controller at its end; gives how it ended if it ended before it was seen.
    async fn appear(&mut self) -> io::Result<Result<Pid, ExitStatus>> {
        let log = File::options().create(true).append(true).open(&self.plan.log)?;
        let ahead = self.ahead.to_string();
        let mut command = apart("ip");
        command.args(["netns", "exec", &self.plan.namespace]);
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        command.args(["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]);
        if self.ahead > 0 {
            command.args(["--time", "--monotonic", &ahead]);
        }
        if let Some(skew) = &self.skew {
            skew.reset(self.ahead)?;
            // Not around the tools above: only the controller's clocks are meant.
            command.arg("env");
            command.arg(format!("LD_PRELOAD={}", skew.library.display()));
            command.arg(format!("{}={}", skew::PAGE, skew.page.display()));
        }
        command.arg(&self.plan.program).args(&self.plan.arguments);
        command.current_dir(&self.plan.home).env("ROCKETMQ_HOME", &self.plan.home);
        let mut chain =
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let began = clock::now();
        loop {
            if let Some(pid) = below(chain.id(), &self.plan.program) {
                self.running = Some(Running { chain, pid });
                return Ok(Ok(pid));
            }
            if let Some(status) = chain.try_wait()? {
                return Ok(Err(status));
            }
            if clock::now() - began > APPEAR {
                chain.kill()?;
                return Err(io::Error::other(format!("{} did not appear", self.plan.name)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sends a signal; nothing happens if it does not run.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.running {
            Some(running) => Ok(kill_process(running.pid, signal)?),
            None => Ok(()),
        }
    }

    /// How it ended, if it ended since the last look.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let running = self.running.as_mut()?;
        let status = running.chain.try_wait().ok()??;
        self.running = None;
        Some(status)
    }

    /// Waits for its end.
    pub(crate) async fn await_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let began = clock::now();
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        while self.running.is_some() && clock::now() - began < patience {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// The letter of its state in `/proc`: `T` is stopped by a signal.
    pub(crate) fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(self.of_process("stat")?).ok()?;
        // The name before it may hold anything, blanks and brackets included.
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    }

    /// A file that `/proc` has about it.
    pub(crate) fn of_process(&self, file: &str) -> Option<PathBuf> {
        let pid = self.pid()?.as_raw_nonzero();
        Some(Path::new("/proc").join(pid.to_string()).join(file))
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // It has ended already if these fail; a stopped process ends by KILL too.
            kill_process(running.pid, Signal::KILL).ok();
            // The chain ends behind it. Killed at once, it would leave a process that still gives its memory back.
            for _ in 0..GOES_LOOKS_MAX {
                if !matches!(running.chain.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::park_timeout(LOOK);
            }
            drop(running.chain.kill());
            drop(running.chain.wait());
        }
    }
}

/// A program in a session of its own, under the process id that it was given: `setsid` forks only where it leads a group
/// of processes, which no child of ours does.
fn apart(program: &str) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// What `unshare` ends with when its child was ended by a signal that it cannot repeat, which KILL is. No end
/// of a controller that started has this code. Source: util-linux `unshare.c`; `pitchover serve`.
const EXIT_NOT_REPEATED: i32 = 1;

/// Whether a status says that KILL ended it.
pub(crate) fn is_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw()) || status.code() == Some(EXIT_NOT_REPEATED)
}

/// The child of `chain` once it runs `program`.
fn below(chain: u32, program: &Path) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{chain}/task/{chain}/children")).ok()?;
    let child: i32 = children.split_whitespace().next()?.parse().ok()?;
    let runs = fs::read_link(format!("/proc/{child}/exe")).ok()?;
    (runs == program).then(|| Pid::from_raw(child)).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Stdio, apart};

    #[test]
    fn a_chain_leads_a_session_of_its_own_under_its_process_id() {
        let mut reader = apart("cat");
        let reader = reader.arg("/proc/self/stat").stdout(Stdio::piped()).spawn().unwrap();
        let id = reader.id().to_string();
        let stat = reader.wait_with_output().unwrap().stdout;
        // Process, name, state, parent, group, session.
        let stat = String::from_utf8(stat).unwrap();
        let words: Vec<&str> = stat.split_whitespace().collect();
        assert_eq!((words[0], words[5]), (&*id, &*id), "{stat}");
    }
}
