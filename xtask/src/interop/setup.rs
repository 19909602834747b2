//! One round's cluster on paper: folders, ports, property files and command lines.
//!
//! ```text
//! target/interop/<target>-<version>-<serialization>/
//!   namesrv/  controller-0/ …  broker-0/ …     configuration, data and log of each process
//!   mqadmin/                                   what each mqadmin command printed
//!   traffic/                                   every send, log of the producer and the consumer
//! ```
//!
//! Brokers get short periods (but in the round `spread`, which measures upstream's own), so that a change is seen within a second or two, and `allAckInSyncStateSet`, so
//! that an acknowledged message is on every member of the sync-state set.

use super::ports::{BROKERS_MAX, Ports, address};
use super::report::{Failure, Outcome};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const CLUSTER: &str = "DefaultCluster";
pub(super) const BROKER_SET: &str = "broker-a";

/// The broker sets of the round `spread`, of two brokers each. By their names (and the rendezvous hashing of
/// `crates/controller/src/naming.rs`) the first brokers of the three belong to three different controllers.
pub(super) const SPREAD_SETS: [&str; 3] = ["broker-a", "broker-d", "broker-c"];
pub(super) const TOPIC: &str = "interop";

/// Heap of the large processes; everything else gets [`SMALL_HEAP_MB`].
const BROKER_HEAP_MB: u32 = 384;
const SMALL_HEAP_MB: u32 = 192;

/// Brokers release mapped files through what newer JDKs keep to themselves; upstream's start script does the same.
const MODULE_OPTIONS: &str = "--add-opens=java.base/java.nio=ALL-UNNAMED \
     --add-opens=java.base/sun.nio.ch=ALL-UNNAMED \
     --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED";

/// Who the controllers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Ours.
    Pitchover,
    /// Upstream's own, of the same version as the brokers: tells whether the suite asks for the right things.
    Java,
}

/// What is played, and so which processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    /// One broker set, mqadmin, and processes that die.
    Base,
    /// One broker set, and processes that stand still, restart, or lose their connections.
    Liveness,
    /// Three broker sets whose brokers are spread over the controllers; the controllers' links to each other can be cut.
    Spread,
}

/// How brokers write their frame headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serialization {
    Json,
    RocketMq,
}

impl Serialization {
    /// Upstream's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::RocketMq => "ROCKETMQ",
        }
    }
}

/// Everything that is fixed before the first process of a round starts.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// The round's own folder, empty at the start.
    pub(super) folder: PathBuf,
    /// Of the brokers, name server, clients and mqadmin.
    pub(super) version: &'static str,
    pub(super) target: Target,
    pub(super) serialization: Serialization,
    pub(super) play: Play,
    pub(super) ports: Ports,
    /// Ports of the relays through which goes what the first brokers send to others.
    pub(super) relays: Vec<u16>,
    /// Of the jars and the drivers.
    pub(super) class_path: String,
    /// Our program; not looked at for [`Target::Java`].
    pub(super) pitchover: PathBuf,
    /// `interop/logback.xml`.
    pub(super) logback: PathBuf,
}

impl Setup {
    /// The folder of one process, made if it is not there.
    pub(super) fn home(&self, name: &str) -> Outcome<PathBuf> {
        let home = self.folder.join(name);
        std::fs::create_dir_all(&home).map_err(Failure::while_doing(home.display()))?;
        Ok(home)
    }

    pub(super) fn namesrv_address(&self) -> String {
        address(self.ports.namesrv)
    }

    pub(super) fn controller_addresses(&self) -> [String; 3] {
        let host = self.controller_host();
        self.ports.controllers.map(|port| format!("{host}:{port}"))
    }

    /// Where their links can be cut, controllers listen at a loopback address of their own, and relays at the usual one.
    pub(super) fn controller_host(&self) -> Ipv4Addr {
        match self.play {
            Play::Base | Play::Liveness => Ipv4Addr::LOCALHOST,
            Play::Spread => Ipv4Addr::new(127, 0, 0, 2),
        }
    }

    pub(super) fn broker_addresses(&self) -> [String; BROKERS_MAX] {
        self.ports.brokers.map(address)
    }

    /// The broker set of one broker.
    pub(super) fn broker_set(&self, index: usize) -> &'static str {
        match self.play {
            Play::Base | Play::Liveness => BROKER_SET,
            Play::Spread => SPREAD_SETS.get(index / 2).copied().unwrap_or(BROKER_SET),
        }
    }

    /// A Java program in `home`, which is all it can write to; its arguments still to come.
    pub(super) fn java(&self, home: &Path, heap_mb: u32, options: &[&str]) -> Command {
        let mut command = Command::new("java");
        // Short runs of many processes: compile little, collect with one thread.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        command.arg("-Xms64m").arg(format!("-Xmx{heap_mb}m"));
        command.arg(format!("-Duser.home={}", home.display()));
        command.arg(format!("-Drmq.logback.configurationFile={}", self.logback.display()));
        // Without it mqadmin commands that need no name server look one up outside this machine.
        command.arg(format!("-Drocketmq.namesrv.addr={}", self.namesrv_address()));
        command.args(options).arg("-cp").arg(&self.class_path);
        command.current_dir(home).env("ROCKETMQ_HOME", home);
        for quiet in ["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "NAMESRV_ADDR"] {
            command.env_remove(quiet);
        }
        command
    }

    /// One of our own Java programs or mqadmin.
    pub(super) fn client(&self, home: &Path, class: &str) -> Command {
        let options = ["-Drocketmq.client.rebalance.waitInterval=1000"];
        let mut command = self.java(home, SMALL_HEAP_MB, &options);
        command.arg(class);
        command
    }

    pub(super) fn namesrv(&self, home: &Path) -> Outcome<Command> {
        let file = home.join("namesrv.properties");
        let text = format!("listenPort={}\nbindAddress=127.0.0.1\n", self.ports.namesrv);
        write(&file, &text)?;
        let mut command = self.java(home, SMALL_HEAP_MB, &[]);
        command.arg("org.apache.rocketmq.namesrv.NamesrvStartup").arg("-c").arg(file);
        Ok(command)
    }

    /// The same property file for both kinds of controller.
    pub(super) fn controller(&self, index: usize, home: &Path) -> Outcome<Command> {
        let file = home.join("controller.properties");
        write(&file, &self.controller_properties(index, home))?;
        Ok(match self.target {
            Target::Pitchover => {
                let mut command = Command::new(&self.pitchover);
                command.arg("serve").arg("-c").arg(file);
                command.current_dir(home).env("HOME", home).env("ROCKETMQ_HOME", home);
                command
            }
            Target::Java => {
                let mut command = self.java(home, SMALL_HEAP_MB, &[]);
                let class = "org.apache.rocketmq.controller.ControllerStartup";
                command.arg(class).arg("-c").arg(file);
                command
            }
        })
    }

    fn controller_properties(&self, index: usize, home: &Path) -> String {
        let mut text = String::new();
        let mut set = |key: &str, value: &str| property(&mut text, key, value);
        let addresses = self.controller_addresses();
        if self.play == Play::Spread {
            // One port for brokers, another for the other controllers; to these a relay leads.
            let links = self.ports.links.map(address);
            set("controllerType", "jRaft");
            set("jRaftGroupId", "group1");
            set("jRaftInitConf", &links.join(","));
            set("jRaftServerId", links.get(index).map_or("", |own| own));
            set("jRaftControllerRPCAddr", &addresses.join(","));
            set("pitchover.leaderNaming", "spread");
        } else {
            let named = addresses.iter().enumerate();
            let peers: Vec<String> = named.map(|(n, address)| format!("n{n}-{address}")).collect();
            set("controllerDLegerGroup", "group1");
            set("controllerDLegerPeers", &peers.join(";"));
            set("controllerDLegerSelfId", &format!("n{index}"));
        }
        set("controllerStorePath", &home.join("store").to_string_lossy());
        set("bindAddress", &self.controller_host().to_string());
        if self.target == Target::Pitchover && self.play == Play::Spread {
            let admin = self.ports.admin.get(index).copied().unwrap_or_default();
            set("pitchover.adminAddr", &address(admin));
        }
        text
    }

    pub(super) fn broker(&self, index: usize, home: &Path) -> Outcome<Command> {
        let file = home.join("broker.properties");
        write(&file, &self.broker_properties(index, home))?;
        let serialization = format!("-Drocketmq.serialize.type={}", self.serialization.name());
        let options = ["-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99", &serialization];
        let mut command = self.java(home, BROKER_HEAP_MB, &options);
        // By the environment, because a launcher of version 8 refuses these options and knows no such variable.
        command.env("JDK_JAVA_OPTIONS", MODULE_OPTIONS);
        command.arg("org.apache.rocketmq.broker.BrokerStartup").arg("-c").arg(file);
        Ok(command)
    }

    fn broker_properties(&self, index: usize, home: &Path) -> String {
        let store = home.join("store");
        let port = self.ports.brokers.get(index).copied().unwrap_or_default();
        let mut text = String::new();
        let mut set = |key: &str, value: &str| property(&mut text, key, value);
        set("brokerClusterName", CLUSTER);
        set("brokerName", self.broker_set(index));
        set("brokerIP1", "127.0.0.1");
        set("brokerIP2", "127.0.0.1");
        set("bindAddress", "127.0.0.1");
        set("listenPort", &port.to_string());
        set("haListenPort", &(port + 1).to_string());
        set("namesrvAddr", &self.namesrv_address());
        set("enableControllerMode", "true");
        set("controllerAddr", &self.controller_addresses().join(";"));
        set("storePathRootDir", &store.to_string_lossy());
        set("storePathCommitLog", &store.join("commitlog").to_string_lossy());
        set("mappedFileSizeCommitLog", "67108864");
        set("allAckInSyncStateSet", "true");
        set("autoCreateTopicEnable", "false");
        // Not used here, and each would map hundreds of megabytes.
        set("timerWheelEnable", "false");
        set("messageIndexEnable", "false");
        // The shortest that is accepted. Followers learn a new master's replication address by it.
        set("registerNameServerPeriod", "10000");
        if self.play != Play::Spread {
            for period in PERIODS {
                set(period, "1000");
            }
        }
        if let Some(relay) = self.relays.get(index) {
            let everything = format!("{{\"0.0.0.0/0\":{{\"addr\":\"{}\"}}}}", address(*relay));
            set("socksProxyConfig", &everything);
            // Upstream sets the sizes as they are on connections through a proxy, and 0, the default, is refused.
            set("clientSocketSndBufSize", "65536");
            set("clientSocketRcvBufSize", "65536");
        }
        text
    }
}

/// Milliseconds; upstream's defaults are 1 to 10 s.
const PERIODS: [&str; 4] = [
    "brokerHeartbeatInterval",
    "checkSyncStateSetPeriod",
    "syncBrokerMetadataPeriod",
    "syncControllerMetadataPeriod",
];

fn property(text: &mut String, key: &str, value: &str) {
    // A backslash would be read as an escape.
    text.extend([key, "=", &value.replace('\\', "/"), "\n"]);
}

fn write(file: &Path, text: &str) -> Outcome<()> {
    std::fs::write(file, text).map_err(Failure::while_doing(file.display()))
}
