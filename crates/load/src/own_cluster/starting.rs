//! How a controller is started: beside the generator and not within it, and never to outlive it.
//!
//! ```text
//! setsid ──exec──► setpriv --pdeathsig KILL ──exec──► the controller       one process id all the way
//! ```
//!
//! *Beside it.* Linux shares processors out among sessions before it shares them out among a session's threads
//! (`sched_autogroup_enabled`, sched(7)). As a service a controller competes with its neighbours as one of them; in the
//! session of a generator of ten threads each controller would be one in thirteen.
//!
//! *Never to outlive it.* In a session of its own a controller hears no Ctrl-C of a terminal, so whoever is killed would
//! leave it behind: the kernel ends it instead (`PR_SET_PDEATHSIG`, prctl(2)). That signal comes when the *thread* ends that
//! started the child, and a cluster may be started by one that is soon over. So one thread, which lasts as long as this
//! program, starts them all.
//!
//! Both tools are of util-linux. Where they are missing a controller is started plainly, with neither property.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// What stands before the program.
const APART: [&str; 4] = ["setsid", "setpriv", "--pdeathsig", "KILL"];

/// Orders to start something that may wait.
const STARTS_MAX: usize = 16;

/// A program to be started, and who hears what came of it.
type Order = (Command, SyncSender<io::Result<Child>>);

/// Whether this host has the tools. They are tried, once: there are others of the same names that lack the option.
pub(super) fn is_apart() -> bool {
    static IS_APART: OnceLock<bool> = OnceLock::new();
    *IS_APART.get_or_init(|| {
        let mut trial = apart();
        trial.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    })
}

/// How controllers are started here, for whoever compares figures.
pub(super) fn how() -> &'static str {
    if is_apart() {
        "controllers have sessions of their own (setsid, setpriv)"
    } else {
        "controllers share the generator's session, and each competes as one of its threads: there are no setsid and \
         setpriv of util-linux here"
    }
}

/// The program, started apart if this host can do that.
pub(super) fn command(program: &Path) -> Command {
    if !is_apart() {
        return Command::new(program);
    }
    let mut command = apart();
    command.arg(program);
    command
}

/// Starts it on the thread that lasts.
///
/// # Errors
/// If there is no process for it, or no such thread.
pub(super) fn start(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Option<SyncSender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("there is no thread that starts controllers");
    let starter = STARTER.get_or_init(|| {
        let (orders, taken) = sync_channel::<Order>(STARTS_MAX);
        let thread = thread::Builder::new().name("starter".to_owned());
        let started = thread.spawn(move || {
            for (mut command, to) in taken {
                // Whoever orders waits for it.
                drop(to.send(command.spawn()));
            }
        });
        started.is_ok().then_some(orders)
    });
    let (to_us, started) = sync_channel(1);
    starter.as_ref().ok_or_else(gone)?.send((command, to_us)).map_err(|_ended| gone())?;
    started.recv().map_err(|_ended| gone())?
}

fn apart() -> Command {
    let [first, rest @ ..] = APART;
    let mut command = Command::new(first);
    command.args(rest);
    command
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;
    use std::{fs, io, thread};

    use super::{Child, Command, Path, command, is_apart, start};
    use crate::own_cluster::end;

    /// Looks for what a child has become, and the pause between two.
    const LOOKS_MAX: usize = 3_000;
    const PAUSE: Duration = Duration::from_millis(20);

    /// A child that was wanted by a thread that is over by now.
    fn wanted_by_a_thread(
        start: impl FnOnce(Command) -> io::Result<Child> + Send + 'static,
    ) -> Child {
        let want = move || {
            let mut sleeping = command(Path::new("sleep"));
            sleeping.arg("600");
            let child = start(sleeping).unwrap();
            let name = format!("/proc/{}/comm", child.id());
            // Only then the signal is asked for.
            let sleeps = (0..LOOKS_MAX).any(|_look| {
                thread::park_timeout(PAUSE);
                fs::read_to_string(&name).is_ok_and(|name| name.trim() == "sleep")
            });
            assert!(sleeps, "it runs at last");
            child
        };
        thread::Builder::new().spawn(want).unwrap().join().unwrap()
    }

    #[test]
    fn what_is_started_has_a_session_and_lasts_longer_than_the_thread_that_wanted_it() {
        assert!(is_apart(), "this test needs setsid and setpriv of util-linux");
        let mut lasts = wanted_by_a_thread(start);
        // One that is bound to such a thread shows that it is over, and what that does.
        let mut bound = wanted_by_a_thread(|mut command| command.spawn());
        assert_eq!(bound.wait().unwrap().signal(), Some(9));
        assert!(matches!(lasts.try_wait(), Ok(None)));

        let stat = fs::read_to_string(format!("/proc/{}/stat", lasts.id())).unwrap();
        // State, parent, group, session.
        let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap();
        assert_eq!(session, lasts.id().to_string());
        end(&mut lasts);
    }
}
