//! Which controllers are under test, and what may be expected of each.
//!
//! | | Ours | Upstream's, DLedger or `JRaft` |
//! |---|---|---|
//! | role | status, every 100 ms | 1005: who leads; no term, no index, no state hash |
//! | the end | state hashes are equal; every controller is asked for every set | the leader is asked (1004, 1012) |
//! | SIGTERM | exit code 0 | 143, the JVM's |
//! | a full or failing disk | exit code 74; 255 to a start | any end, or none |
//!
//! The verdict of a Java target is a finding about it, by the same rules.

use crate::actors::PORT;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Port by which `JRaft` controllers talk to each other.
const RAFT_PORT: u16 = 9880;

/// A controller of ours ends with this when its journal fails. Source: `pitchover serve`.
const EXIT_JOURNAL: i32 = 74;

/// A controller of ours that cannot start ends with this, as Java's do. Source: `pitchover serve`.
const EXIT_NOT_STARTED: i32 = 255;

/// A JVM ends with this after SIGTERM: 128 and the signal's number.
const EXIT_JVM_TERM: i32 = 143;

/// One log file beside the data; upstream's default would be read from its home.
pub(crate) const LOGBACK: &str = include_str!("../../../interop/logback.xml");

/// The jar by which a folder of jars is known, without version and `.jar`.
const CONTROLLER_JAR: &str = "rocketmq-controller-";

/// The kind of controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This program, or another build of it.
    Pitchover,
    /// Upstream's, over its `DLedger`.
    JavaDledger,
    /// Upstream's, over `JRaft`.
    JavaJraft,
}

/// What is started.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// The file that is executed, without links: how a process is known for a controller.
    pub program: PathBuf,
    /// The folder of upstream's jars; none for ours.
    jars: Option<PathBuf>,
    /// Version of upstream's jars.
    version: String,
}

/// Why there is no such target here.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The program is not there.
    #[error("{0}: {1}")]
    Program(String, io::Error),
    /// The folder has no controller.
    #[error(
        "{0} holds no {CONTROLLER_JAR}VERSION.jar; `cargo xtask interop` leaves one with all jars in target/interop/maven-5.5.0/jars"
    )]
    Jars(String),
}

impl Kind {
    /// As the command line names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pitchover => "pitchover",
            Self::JavaDledger => "java-dledger",
            Self::JavaJraft => "java-jraft",
        }
    }

    /// Whether it is ours, and answers our private questions.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Pitchover)
    }

    /// Whether a controller that was told to end did so in its own way.
    pub(crate) fn ends_politely(self, status: ExitStatus) -> bool {
        status.success() || (!self.is_ours() && status.code() == Some(EXIT_JVM_TERM))
    }

    /// Whether a controller may end like this when its disk is full or fails.
    pub(crate) fn may_end_when_disk_fails(self, status: ExitStatus) -> bool {
        !self.is_ours() || status.code() == Some(EXIT_JOURNAL)
    }

    /// Whether a controller ended like this because it may not start.
    pub(crate) fn refuses_to_start(self, status: ExitStatus) -> bool {
        !self.is_ours() || status.code() == Some(EXIT_NOT_STARTED)
    }
}

impl Target {
    /// A build of ours.
    ///
    /// # Errors
    /// [`TargetError::Program`]: it is not there.
    pub fn ours(program: &Path) -> Result<Self, TargetError> {
        let found = found(program)?;
        Ok(Self { kind: Kind::Pitchover, program: found, jars: None, version: String::new() })
    }

    /// Upstream's controllers, from a folder with the jar of `rocketmq-controller` and all that it needs.
    ///
    /// # Errors
    /// - [`TargetError::Program`]: no `java` in `JAVA_HOME` or `PATH`.
    /// - [`TargetError::Jars`]: the folder has no such jar.
    pub fn java(kind: Kind, jars: &Path) -> Result<Self, TargetError> {
        let program = found(&java())?;
        let none = || TargetError::Jars(jars.display().to_string());
        let names = fs::read_dir(jars).map_err(|_unreadable| none())?;
        let mut names = names.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let version = names.find_map(|name| {
            Some(name.strip_prefix(CONTROLLER_JAR)?.strip_suffix(".jar")?.to_owned())
        });
        let jars = std::path::absolute(jars).map_err(|_empty| none())?;
        Ok(Self { kind, program, jars: Some(jars), version: version.ok_or_else(none)? })
    }

    /// For a reader: the name, and upstream's version.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            Kind::Pitchover => self.kind.name().to_owned(),
            Kind::JavaDledger | Kind::JavaJraft => {
                format!("{}, RocketMQ {}", self.kind.name(), self.version)
            }
        }
    }

    /// Writes the files of one controller into its folder; gives its command line.
    pub(crate) fn furnish(
        &self,
        node: usize,
        nodes: &[Ipv4Addr],
        home: &Path,
    ) -> io::Result<Vec<OsString>> {
        let settings = home.join("controller.conf");
        fs::write(&settings, self.properties(node, nodes, &home.join("store")))?;
        let mut words: Vec<OsString> = Vec::new();
        match &self.jars {
            None => words.extend(["serve".into(), "-c".into()]),
            Some(jars) => {
                let logback = home.join("logback.xml");
                fs::write(&logback, LOGBACK)?;
                let options = ["-Xms256m", "-Xmx256m", "-XX:+UseSerialGC"];
                words.extend(options.map(OsString::from));
                words.push(format!("-Duser.home={}", home.display()).into());
                let logback = logback.display();
                words.push(format!("-Drmq.logback.configurationFile={logback}").into());
                words.extend(["-cp".into(), jars.join("*").into_os_string()]);
                words.extend(
                    ["org.apache.rocketmq.controller.ControllerStartup", "-c"].map(OsString::from),
                );
            }
        }
        words.push(settings.into_os_string());
        Ok(words)
    }

    fn properties(&self, node: usize, nodes: &[Ipv4Addr], store: &Path) -> String {
        let listed = |port: u16, separator: &str| {
            let one = |address: &Ipv4Addr| format!("{address}:{port}");
            nodes.iter().map(one).collect::<Vec<_>>().join(separator)
        };
        let named = || {
            let one = |(id, address): (usize, &Ipv4Addr)| format!("n{id}-{address}:{PORT}");
            nodes.iter().enumerate().map(one).collect::<Vec<_>>().join(";")
        };
        let group = match self.kind {
            Kind::Pitchover | Kind::JavaDledger => format!(
                "controllerDLegerGroup = chaos\n\
                 controllerDLegerPeers = {}\n\
                 controllerDLegerSelfId = n{node}\n",
                named()
            ),
            Kind::JavaJraft => format!(
                "controllerType = jRaft\n\
                 jRaftGroupId = chaos\n\
                 jRaftInitConf = {}\n\
                 jRaftServerId = {}:{RAFT_PORT}\n\
                 jRaftControllerRPCAddr = {}\n",
                listed(RAFT_PORT, ","),
                nodes[node],
                listed(PORT, ",")
            ),
        };
        let own =
            if self.kind.is_ours() { "pitchover.limits.segmentBytes = 4194304\n" } else { "" };
        let store = store.display();
        format!(
            "{group}controllerStorePath = {store}\nconfigStorePath = {store}/stored.properties\n{own}"
        )
    }
}

/// A program's file, without links.
pub(crate) fn found(program: &Path) -> Result<PathBuf, TargetError> {
    let name = || program.display().to_string();
    program.canonicalize().map_err(|error| TargetError::Program(name(), error))
}

/// `java` of `JAVA_HOME`, else the first in `PATH`, else its bare name.
pub(crate) fn java() -> PathBuf {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = home.into_iter().chain(std::env::split_paths(&path));
    let mut files = folders.map(|folder| folder.join("java"));
    files.find(|file| file.is_file()).unwrap_or_else(|| PathBuf::from("java"))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Target, TargetError};
    use std::fs;
    use std::net::Ipv4Addr;
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::{Path, PathBuf};
    use std::process::ExitStatus;

    const NODES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];

    #[test]
    fn each_kind_is_told_its_peers_in_its_own_style() {
        let check = |kind, line: &str| {
            let program = PathBuf::new();
            let target = Target { kind, program, jars: None, version: String::new() };
            let text = target.properties(1, &NODES, Path::new("/x/store"));
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
            assert!(text.contains("controllerStorePath = /x/store\n"), "{text}");
        };
        for kind in [Kind::Pitchover, Kind::JavaDledger] {
            check(kind, "controllerDLegerPeers = n0-10.77.0.1:9878;n1-10.77.0.2:9878");
            check(kind, "controllerDLegerSelfId = n1");
        }
        check(Kind::JavaJraft, "jRaftServerId = 10.77.0.2:9880");
        check(Kind::JavaJraft, "jRaftControllerRPCAddr = 10.77.0.1:9878,10.77.0.2:9878");
        check(Kind::Pitchover, "pitchover.limits.segmentBytes = 4194304");
    }

    #[test]
    fn a_folder_without_a_controller_is_refused() {
        let folder = std::env::temp_dir().join(format!("pitchover-jars-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let ours = std::env::current_exe().unwrap();
        assert_eq!(Target::ours(&ours).unwrap().label(), "pitchover");
        let refused = Target::java(Kind::JavaJraft, &folder).unwrap_err();
        // Where there is no Java, that is said first.
        assert!(matches!(refused, TargetError::Jars(_) | TargetError::Program(..)), "{refused}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn ends_are_judged_by_kind() {
        let code = |code: i32| ExitStatus::from_raw(code << 8);
        assert!(
            Kind::Pitchover.ends_politely(code(0)) && !Kind::Pitchover.ends_politely(code(143))
        );
        assert!(
            Kind::JavaJraft.ends_politely(code(143)) && !Kind::JavaJraft.ends_politely(code(1))
        );
        assert!(Kind::Pitchover.may_end_when_disk_fails(code(74)));
        assert!(!Kind::Pitchover.may_end_when_disk_fails(code(1)));
        assert!(Kind::Pitchover.refuses_to_start(code(255)));
        assert!(!Kind::Pitchover.refuses_to_start(code(74)));
        assert!(Kind::JavaDledger.may_end_when_disk_fails(code(1)));
    }
}
