//! A kill in the middle of a snapshot: a controller's log is filled with commands that are refused, until it begins to
//! write its state; a thread that the kernel tells of that file kills it.
//!
//! Confirmed by the unfinished file that is left. A kill that came behind its end is tried again, some times.

use super::injection::{Done, Injection, text};
use super::rest;
use crate::actors::{PORT, crew};
use crate::stand::Stand;
use client::{Connection, Deadline};
use protocol::{CleanBrokerData, Request, Text};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Kills that may come too late, the last included.
const KILLS_MAX: usize = 6;

/// How long a snapshot may be waited for.
const FILL: Duration = Duration::from_secs(30);

/// Requests under way at once.
const FILLERS: usize = 16;

/// Bytes of log of each: some 260 are the 4 MiB after which a small state is written.
const ENTRY_BYTES: usize = 16_000;

/// How long a connect and an answer may take.
const ANSWER: Duration = Duration::from_secs(3);

/// Pause of a filler whose connection ended.
const AGAIN: Duration = Duration::from_millis(20);

/// How long the watch sleeps between two looks at whether it is over.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Room for events of the kernel.
const EVENT_BYTES: usize = 4_096;

/// How much the watch comes before the other threads of the run: it has until the file is synced.
const NICE: i32 = -10;

/// How long a controller may take to follow a leader again before the next try.
const WHOLE: Duration = Duration::from_secs(30);

/// Whether a file of the journal is a snapshot that is being made. Source: the journal's `layout.rs`.
fn is_unfinished(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".new")
}

/// A thread that waits for a snapshot to begin, and kills; dropping this ends it.
struct Watch {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<bool>>>,
}

impl Watch {
    /// Watches a folder from now on; a snapshot that begins there ends `pid`.
    fn begin(folder: &Path, pid: Pid) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&events, folder, WatchFlags::CREATE)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let body = move || {
            // It then competes like any other.
            rustix::process::setpriority_process(None, NICE).ok();
            let has_killed = kill_at_snapshot(&events, pid, &told);
            told.store(true, Ordering::Relaxed);
            has_killed
        };
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(body)?;
        Ok(Self { is_over, thread: Some(thread) })
    }

    /// Ends it; whether it killed.
    fn end(mut self) -> io::Result<bool> {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or_else(|| Err(io::Error::other("the watch died")))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The run may be interrupted while it waits: whoever has that number next must not be killed.
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, and has said so.
            drop(thread.join());
        }
    }
}

fn kill_at_snapshot(events: &OwnedFd, pid: Pid, is_over: &AtomicBool) -> io::Result<bool> {
    let mut room = [MaybeUninit::uninit(); EVENT_BYTES];
    let mut reader = Reader::new(events, &mut room);
    while !is_over.load(Ordering::Relaxed) {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().and_then(|name| name.to_str().ok());
                if name.is_some_and(is_unfinished) {
                    kill_process(pid, Signal::KILL)?;
                    return Ok(true);
                }
            }
            Err(Errno::WOULDBLOCK) => {
                poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&LOOK))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Fills the log until it is over, or [`FILL`] has passed.
async fn fill_log(is_over: Arc<AtomicBool>) {
    let mut fillers = JoinSet::new();
    for _ in 0..FILLERS {
        fillers.spawn(fill(Arc::clone(&is_over)));
    }
    // Who is left then is given up.
    drop(timeout(FILL, fillers.join_all()).await);
}

/// Asks again and again to forget replicas of a set that nobody has: an entry of the log, and refused by every peer.
async fn fill(is_over: Arc<AtomicBool>) {
    let address = format!("127.0.0.1:{PORT}");
    let request = Request::CleanBrokerData(CleanBrokerData {
        broker_name: Some("nobody's".into()),
        broker_ids_to_clean: Some(Text::copied(&"x".repeat(ENTRY_BYTES))),
        clean_living_broker: true,
        ..CleanBrokerData::default()
    });
    while !is_over.load(Ordering::Relaxed) {
        if let Ok(line) = Connection::connect(&address, Deadline::after(ANSWER)).await {
            while !is_over.load(Ordering::Relaxed)
                && line.call(&request, Deadline::after(ANSWER)).await.is_ok()
            {}
        }
        sleep(AGAIN).await;
    }
}

/// The unfinished snapshot in a folder.
fn unfinished(folder: &Path) -> io::Result<Option<String>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.find(|name| is_unfinished(name)))
}

impl Injection {
    pub(super) async fn kill_in_snapshot(
        &mut self,
        stand: &mut Stand,
        node: usize,
    ) -> Result<Done, String> {
        let data = rest::data(&stand.store(node)).map_err(text)?;
        for kill in 1..=KILLS_MAX {
            let controller = &stand.controllers[node];
            let pid = controller.pid().ok_or_else(|| format!("n{node} does not run"))?;
            let watch = Watch::begin(&data, pid).map_err(text)?;
            let filling = fill_log(Arc::clone(&watch.is_over));
            let filled = crew::inside(&controller.plan.namespace, filling).await;
            let has_killed = watch.end().map_err(text)?;
            filled.map_err(text)?;
            if !has_killed {
                return Err(format!("n{node} wrote no snapshot in {} s", FILL.as_secs()));
            }
            self.await_end(stand, node, Signal::KILL).await?;
            if let Some(name) = unfinished(&data).map_err(text)? {
                self.evidence.push(format!("n{node} left {name} unfinished, by kill {kill}"));
                return Ok(Done::Down(node));
            }
            self.start(stand, node).await?;
            if !stand.becomes_whole(WHOLE).await {
                return Err(format!(
                    "the cluster was not whole again after kill {kill} of n{node}"
                ));
            }
        }
        Err(format!("n{node} was killed {KILLS_MAX} times, each time behind its snapshot"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Signal, Watch, is_unfinished, unfinished};
    use rustix::process::Pid;
    use std::fs;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;
    use std::sync::Arc;

    #[test]
    fn only_a_snapshot_that_is_being_made_is_unfinished() {
        let rows = [
            ("snapshot-00000000000000000007-00000000000000000002.new", true),
            ("snapshot-00000000000000000007-00000000000000000002", false),
            ("segment-00000000000000000007.new", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_unfinished(name), expected, "{name}");
        }
    }

    #[test]
    fn who_begins_a_snapshot_is_killed_and_nobody_else() {
        let folder = std::env::temp_dir().join(format!("pitchover-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let check = |file: &str, expected: bool| {
            let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
            let pid = Pid::from_raw(i32::try_from(sleeper.id()).unwrap()).unwrap();
            let watch = Watch::begin(&folder, pid).unwrap();
            fs::write(folder.join(file), "").unwrap();
            let status = expected.then(|| sleeper.wait().unwrap());
            assert_eq!(watch.end().unwrap(), expected, "{file}");
            match status {
                Some(status) => assert_eq!(status.signal(), Some(Signal::KILL.as_raw())),
                None => {
                    sleeper.kill().unwrap();
                    sleeper.wait().unwrap();
                }
            }
        };
        check("segment-1.new", false);
        assert_eq!(unfinished(&folder).unwrap(), None);
        check("snapshot-1-1.new", true);
        assert_eq!(unfinished(&folder).unwrap().as_deref(), Some("snapshot-1-1.new"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_watch_that_is_dropped_kills_nobody() {
        let folder = std::env::temp_dir().join(format!("pitchover-drop-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(sleeper.id()).unwrap()).unwrap();
        let watch = Watch::begin(&folder, pid).unwrap();
        let is_over = Arc::clone(&watch.is_over);
        drop(watch);
        // The other owner was the thread, which is gone.
        assert_eq!(Arc::strong_count(&is_over), 1);
        fs::write(folder.join("snapshot-1-1.new"), "").unwrap();
        assert!(sleeper.try_wait().unwrap().is_none());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
