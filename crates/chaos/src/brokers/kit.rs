//! What Java brokers need from outside, and what they are told.

use crate::actors::{BROKER_PORT, CLUSTER, PORT};
use crate::target::{LOGBACK, TargetError, found, java};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The port of the name server.
pub(super) const NAMES_PORT: u16 = 9876;

/// Brokers refuse to store when so many per cent of their disk are used, whatever they are told: upstream cuts
/// larger values down to this. Source: upstream `DefaultMessageStore.CleanCommitLogService`.
const USED_PER_CENT_MAX: u64 = 90;

/// Heap of a broker, in MB; mapped files come on top.
const BROKER_HEAP_MB: u32 = 512;

/// Heap of everything else, in MB.
const SMALL_HEAP_MB: u32 = 192;

/// A broker that is not heard for so long is dead. Upstream's default is 10 s; a fault of 8 s and more shall be long.
const HEARTBEAT_TIMEOUT_MS: u32 = 5_000;

/// A replica that is behind for so long leaves the sync-state set. Upstream's default is 15 s.
const BEHIND_MS_MAX: u32 = 5_000;

/// Milliseconds between two rounds of a duty; upstream's defaults are 1 to 10 s.
const PERIODS: [&str; 4] = [
    "brokerHeartbeatInterval",
    "checkSyncStateSetPeriod",
    "syncBrokerMetadataPeriod",
    "syncControllerMetadataPeriod",
];

/// Brokers release mapped files through what newer JDKs keep to themselves; upstream's start script does the same.
const OPENS: [&str; 3] = [
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
];

/// What must be among the jars, without version and `.jar`, and among the drivers.
const JARS: [&str; 3] = ["rocketmq-broker-", "rocketmq-namesrv-", "rocketmq-tools-"];
const DRIVERS: [&str; 2] = ["Traffic.class", "Watch.class"];

/// Java, upstream's jars, and the drivers of `interop/`.
#[derive(Clone, Debug)]
pub struct Kit {
    pub(super) java: PathBuf,
    class_path: OsString,
}

/// Why Java brokers cannot be started here.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// No `java`.
    #[error(transparent)]
    Java(#[from] TargetError),
    /// A jar or a driver is missing.
    #[error(
        "{folder} lacks {what}; `cargo xtask interop --fetch` leaves all jars in target/interop/maven-5.5.0/jars and the drivers beside them"
    )]
    Missing {
        /// Where it should be.
        folder: String,
        /// A part of its name.
        what: &'static str,
    },
    /// A folder could not be asked.
    #[error("{0}: {1}")]
    Folder(String, io::Error),
    /// Brokers would refuse every message.
    #[error(
        "the disk of {folder} is {used} % full and brokers refuse messages from {USED_PER_CENT_MAX} %; free some, or name another place with --out"
    )]
    DiskFull {
        /// The run's folder.
        folder: String,
        /// As upstream counts it.
        used: u64,
    },
}

/// Where everybody is.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) controllers: Vec<Ipv4Addr>,
    pub(crate) set: String,
    pub(crate) brokers: Vec<Ipv4Addr>,
    pub(crate) names: Ipv4Addr,
}

impl Places {
    pub(super) fn names(&self) -> String {
        format!("{}:{NAMES_PORT}", self.names)
    }

    pub(super) fn broker(&self, place: usize) -> String {
        format!("{}:{BROKER_PORT}", self.brokers[place])
    }
}

impl Kit {
    /// From a folder with upstream's jars; the drivers lie in `classes` beside it.
    ///
    /// # Errors
    /// - [`KitError::Java`]: no `java` in `JAVA_HOME` or `PATH`.
    /// - [`KitError::Missing`]: a jar or a driver is not there.
    pub fn find(jars: &Path) -> Result<Self, KitError> {
        let java = found(&java())?;
        let missing =
            |folder: &Path, what| KitError::Missing { folder: folder.display().to_string(), what };
        let jars = std::path::absolute(jars).map_err(|_empty| missing(jars, JARS[0]))?;
        let names = fs::read_dir(&jars).map_err(|_unreadable| missing(&jars, JARS[0]))?;
        let names: Vec<String> =
            names.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let lacks = |jar: &&&str| !names.iter().any(|name| name.starts_with(**jar));
        if let Some(what) = JARS.iter().find(lacks) {
            return Err(missing(&jars, what));
        }
        let classes = jars.with_file_name("classes");
        let drivers = classes.join("pitchover").join("interop");
        if let Some(what) = DRIVERS.iter().find(|driver| !drivers.join(driver).is_file()) {
            return Err(missing(&drivers, what));
        }
        let mut class_path = classes.into_os_string();
        class_path.push(":");
        class_path.push(jars.join("*"));
        Ok(Self { java, class_path })
    }

    /// Whether brokers whose data is in `folder`, or would be, accept messages.
    ///
    /// # Errors
    /// - [`KitError::DiskFull`]: they would not.
    /// - [`KitError::Folder`]: nobody knows.
    pub fn check_disk(folder: &Path) -> Result<(), KitError> {
        let name = || folder.display().to_string();
        let there = folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("."));
        let disk =
            rustix::fs::statvfs(there).map_err(|error| KitError::Folder(name(), error.into()))?;
        let used = used_per_cent(disk.f_blocks, disk.f_bfree, disk.f_bavail);
        if used < USED_PER_CENT_MAX {
            Ok(())
        } else {
            Err(KitError::DiskFull { folder: name(), used })
        }
    }

    /// Words behind `java` that start the name server.
    pub(super) fn names(&self, home: &Path, places: &Places) -> io::Result<Vec<OsString>> {
        let settings = home.join("namesrv.properties");
        fs::write(&settings, format!("listenPort={NAMES_PORT}\n"))?;
        let class = "org.apache.rocketmq.namesrv.NamesrvStartup";
        let own = ["-c".into(), settings.into_os_string()];
        self.words(home, places, SMALL_HEAP_MB, (class, &own))
    }

    /// Words that start a broker.
    pub(super) fn broker(
        &self,
        home: &Path,
        places: &Places,
        place: usize,
    ) -> io::Result<Vec<OsString>> {
        let settings = home.join("broker.properties");
        fs::write(&settings, properties(places, place, &home.join("store")))?;
        let class = "org.apache.rocketmq.broker.BrokerStartup";
        let own = ["-c".into(), settings.into_os_string()];
        self.words(home, places, BROKER_HEAP_MB, (class, &own))
    }

    /// Words that start a client, a driver or a tool.
    pub(super) fn client(
        &self,
        home: &Path,
        places: &Places,
        class: &str,
        own: &[OsString],
    ) -> io::Result<Vec<OsString>> {
        self.words(home, places, SMALL_HEAP_MB, (class, own))
    }

    fn words(
        &self,
        home: &Path,
        places: &Places,
        heap_mb: u32,
        (class, own): (&str, &[OsString]),
    ) -> io::Result<Vec<OsString>> {
        let logback = home.join("logback.xml");
        fs::write(&logback, LOGBACK)?;
        // Short runs of many processes: compile little, collect with one thread.
        let options =
            ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xms64m"];
        let mut words: Vec<OsString> = options.map(OsString::from).into();
        words.push(format!("-Xmx{heap_mb}m").into());
        words.extend(OPENS.map(OsString::from));
        words.push(format!("-Duser.home={}", home.display()).into());
        words.push(format!("-Drmq.logback.configurationFile={}", logback.display()).into());
        // Without it tools look a name server up outside.
        words.push(format!("-Drocketmq.namesrv.addr={}", places.names()).into());
        words.push("-Drocketmq.client.rebalance.waitInterval=1000".into());
        words.extend(["-cp".into(), self.class_path.clone(), class.into()]);
        words.extend(own.iter().cloned());
        Ok(words)
    }
}

fn properties(places: &Places, place: usize, store: &Path) -> String {
    let address = places.brokers[place];
    let controllers: Vec<String> =
        places.controllers.iter().map(|controller| format!("{controller}:{PORT}")).collect();
    let mut text = format!(
        "brokerClusterName={CLUSTER}\n\
         brokerName={}\n\
         brokerIP1={address}\n\
         brokerIP2={address}\n\
         listenPort={BROKER_PORT}\n\
         haListenPort={}\n\
         namesrvAddr={}\n\
         enableControllerMode=true\n\
         controllerAddr={}\n\
         storePathRootDir={}\n\
         storePathCommitLog={}\n\
         mappedFileSizeCommitLog=67108864\n\
         allAckInSyncStateSet=true\n\
         minInSyncReplicas=2\n\
         controllerHeartBeatTimeoutMills={HEARTBEAT_TIMEOUT_MS}\n\
         haMaxTimeSlaveNotCatchup={BEHIND_MS_MAX}\n\
         autoCreateTopicEnable=false\n\
         timerWheelEnable=false\n\
         messageIndexEnable=false\n\
         registerNameServerPeriod=10000\n",
        places.set,
        BROKER_PORT + 1,
        places.names(),
        controllers.join(";"),
        store.display(),
        store.join("commitlog").display(),
    );
    for period in PERIODS {
        text.push_str(&format!("{period}=1000\n"));
    }
    text
}

/// How full a disk is, as upstream counts: what is kept for root is not there, and a part of a per cent is one.
/// Source: upstream `UtilAll#getDiskPartitionSpaceUsedPercent`.
fn used_per_cent(blocks: u64, free: u64, available: u64) -> u64 {
    let used = blocks.saturating_sub(free);
    (used * 100).div_ceil((used + available).max(1))
}

#[cfg(test)]
mod tests {
    use super::{Kit, KitError, Places, properties, used_per_cent};
    use std::fs;
    use std::net::Ipv4Addr;
    use std::path::Path;

    #[test]
    fn a_part_of_a_per_cent_is_one() {
        assert_eq!(used_per_cent(1_000, 1_000, 900), 0);
        assert_eq!(used_per_cent(1_000, 500, 400), 56);
        assert_eq!(used_per_cent(1_000, 100, 100), 90);
        assert_eq!(used_per_cent(0, 0, 0), 0);
    }

    #[test]
    fn an_acknowledgement_is_a_promise_by_these_settings() {
        let host = |net, last| Ipv4Addr::new(10, 77, net, last);
        let places = Places {
            controllers: vec![host(0, 1), host(0, 2)],
            set: "set-0".into(),
            brokers: vec![host(1, 1), host(1, 2)],
            names: host(3, 1),
        };
        let text = properties(&places, 1, Path::new("/x/store"));
        for line in [
            "allAckInSyncStateSet=true",
            "minInSyncReplicas=2",
            "brokerIP1=10.77.1.2",
            "haListenPort=10912",
            "controllerAddr=10.77.0.1:9878;10.77.0.2:9878",
            "namesrvAddr=10.77.3.1:9876",
            "checkSyncStateSetPeriod=1000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = std::env::temp_dir().join(format!("pitchover-kit-{}", std::process::id()));
        let jars = folder.join("jars");
        fs::create_dir_all(&jars).unwrap();
        let lacks = |what: &str| match Kit::find(&jars) {
            Err(KitError::Missing { what: found, .. }) => assert_eq!(found, what),
            // Where there is no Java, that is said first.
            Err(KitError::Java(_)) => {}
            other => panic!("{other:?}"),
        };
        lacks("rocketmq-broker-");
        for jar in super::JARS {
            fs::write(jars.join(format!("{jar}5.5.0.jar")), "").unwrap();
        }
        lacks("Traffic.class");
        fs::remove_dir_all(&folder).unwrap();
    }
}
