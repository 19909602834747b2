//! One controller as a process, and the folder that its test owns.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::until;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pitchover");

/// A folder that goes with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pitchover-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies among temporary files; nobody can act on it here.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A running controller; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Node {
    /// Starts `program serve -c settings`, or `mqcontroller -c settings` if that is what it is called; what it prints
    /// goes to `log`, behind what is there.
    pub(crate) fn start(program: &Path, settings: &Path, log: &Path) -> Self {
        let is_script = program.file_name().is_some_and(|name| name == "mqcontroller");
        let mut command = command(program);
        command.args((!is_script).then_some("serve")).arg("-c").arg(settings);
        Self::spawn(&mut command, log)
    }

    /// Runs any command that becomes a controller.
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("a log can be made");
        let child =
            command.stdout(out.try_clone().expect("a handle can be copied")).stderr(out).spawn();
        let child = child.expect("the program can be started");
        Self { child, log: log.to_owned() }
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the process ends", || self.ended())
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It fails only if the process has ended already.
        drop(self.child.kill());
        self.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process has an id"), signal).expect("our child can be signalled");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that no variable of the tester's environment can disturb.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}
