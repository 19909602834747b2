//! What is compared: Java's controllers three ways, ours two ways.
//!
//! | Arm | An acknowledged write survives | A read |
//! |---|---|---|
//! | `java-dledger` | the end of processes (flushed in the background) | unconfirmed: what the leader remembers |
//! | `java-dledger-confirmed` | the same | an entry of the log (`processReadEvent=true`) |
//! | `java-jraft` | the loss of power | an entry of the log, as is each heartbeat |
//! | `ours-fsync` | the loss of power | linearizable, on any peer |
//! | `ours-async` | the end of processes; for comparison only | linearizable, on any peer |
//!
//! All five are configured by upstream's own property files.

use std::path::Path;

/// Controllers of an arm.
pub(super) const NODES: u16 = 3;

/// Ports that each arm has to itself: for brokers, for the peers' links, for admin pages.
const PORTS_OF_ARM: u16 = 3 * NODES;

/// The first port unless told otherwise: below the range from which the system takes ports for outgoing
/// connections, and above the suite `interop`.
pub(super) const FIRST_PORT: u16 = 30_100;

/// One of the things that are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arm {
    JavaDledger,
    JavaDledgerConfirmed,
    JavaJraft,
    OursFsync,
    OursAsync,
}

impl Arm {
    pub(super) const ALL: [Self; 5] = [
        Self::JavaDledger,
        Self::JavaDledgerConfirmed,
        Self::JavaJraft,
        Self::OursFsync,
        Self::OursAsync,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::JavaDledger => "java-dledger",
            Self::JavaDledgerConfirmed => "java-dledger-confirmed",
            Self::JavaJraft => "java-jraft",
            Self::OursFsync => "ours-fsync",
            Self::OursAsync => "ours-async",
        }
    }

    /// As `pitchover bench` calls it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::JavaDledger | Self::JavaDledgerConfirmed => "java-dledger",
            Self::JavaJraft => "java-jraft",
            Self::OursFsync | Self::OursAsync => "pitchover",
        }
    }

    pub(super) fn durability(self) -> &'static str {
        match self {
            Self::JavaDledger | Self::JavaDledgerConfirmed | Self::OursAsync => "async",
            Self::JavaJraft | Self::OursFsync => "fsync",
        }
    }

    /// What a read of the leader is.
    pub(super) fn reads(self) -> &'static str {
        match self {
            Self::JavaDledger => "unconfirmed",
            Self::JavaDledgerConfirmed | Self::JavaJraft => "each an entry of the log",
            Self::OursFsync | Self::OursAsync => "linearizable, on any peer",
        }
    }

    pub(super) fn is_java(self) -> bool {
        !matches!(self, Self::OursFsync | Self::OursAsync)
    }

    /// The arms that a list names, in the order of [`Self::ALL`]; a text if one is unknown.
    pub(super) fn list(text: &str) -> Result<Vec<Self>, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        for name in text.split(',') {
            if !Self::ALL.iter().any(|arm| arm.name() == name) {
                return Err(format!("there is no arm {name:?}: {}", known()));
            }
        }
        Ok(Self::ALL.into_iter().filter(|arm| text.split(',').any(|it| it == arm.name())).collect())
    }

    /// All its ports; the first three are for brokers.
    pub(super) fn ports(self, first: u16) -> Vec<u16> {
        let place = Self::ALL.iter().position(|arm| *arm == self).unwrap_or_default();
        let begin = first + u16::try_from(place).unwrap_or_default() * PORTS_OF_ARM;
        (begin..begin + PORTS_OF_ARM).collect()
    }

    /// `host:port` for brokers, of each node.
    pub(super) fn addresses(self, first: u16) -> Vec<String> {
        self.ports(first).into_iter().take(usize::from(NODES)).map(address).collect()
    }

    /// The property file of one node, whose data lie in `home`.
    pub(super) fn properties(self, first: u16, node: usize, home: &Path) -> String {
        let ports = self.ports(first);
        let third = |number: usize| -> Vec<String> {
            let from = number * usize::from(NODES);
            ports.iter().copied().skip(from).take(usize::from(NODES)).map(address).collect()
        };
        let (clients, links, admin) = (third(0), third(1), third(2));
        let home = home.to_string_lossy();
        let mut lines = vec![
            ("bindAddress", "127.0.0.1".to_owned()),
            ("controllerStorePath", format!("{home}/store")),
            ("configStorePath", format!("{home}/stored.properties")),
        ];
        if self == Self::JavaJraft {
            lines.extend([
                ("controllerType", "jRaft".to_owned()),
                ("jRaftGroupId", "versus".to_owned()),
                ("jRaftInitConf", links.join(",")),
                ("jRaftServerId", links[node].clone()),
                ("jRaftControllerRPCAddr", clients.join(",")),
            ]);
        } else {
            let peers = clients.iter().enumerate().map(|(id, address)| format!("n{id}-{address}"));
            lines.extend([
                ("controllerDLegerGroup", "versus".to_owned()),
                ("controllerDLegerPeers", peers.collect::<Vec<_>>().join(";")),
                ("controllerDLegerSelfId", format!("n{node}")),
            ]);
        }
        match self {
            Self::JavaDledger | Self::JavaJraft => {}
            Self::JavaDledgerConfirmed => lines.push(("processReadEvent", "true".to_owned())),
            Self::OursFsync | Self::OursAsync => lines.extend([
                ("pitchover.durability", self.durability().to_owned()),
                ("pitchover.adminAddr", admin[node].clone()),
            ]),
        }
        lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::{Arm, FIRST_PORT};
    use std::path::Path;

    #[test]
    fn no_port_is_given_twice() {
        let mut all: Vec<u16> = Arm::ALL.iter().flat_map(|arm| arm.ports(FIRST_PORT)).collect();
        let count = all.len();
        all.dedup();
        assert_eq!((all.len(), count), (45, 45));
    }

    #[test]
    fn lists_are_read_in_the_order_of_all() {
        let read = Arm::list("ours-async,java-jraft").expect("both are known");
        assert_eq!(read, [Arm::JavaJraft, Arm::OursAsync]);
        let error = Arm::list("java").expect_err("there is none");
        assert!(error.contains("java-dledger-confirmed"), "{error}");
    }

    #[test]
    fn each_arm_is_told_what_makes_it_that_arm() {
        let text = |arm: Arm| arm.properties(100, 1, Path::new("/d"));
        assert!(text(Arm::JavaDledgerConfirmed).contains("processReadEvent=true\n"));
        assert!(!text(Arm::JavaDledger).contains("processReadEvent"));
        assert!(text(Arm::JavaJraft).contains("jRaftServerId=127.0.0.1:122\n"));
        assert!(
            text(Arm::JavaJraft)
                .contains("jRaftControllerRPCAddr=127.0.0.1:118,127.0.0.1:119,127.0.0.1:120\n")
        );
        assert!(text(Arm::OursAsync).contains("pitchover.durability=async\n"));
        assert!(text(Arm::OursFsync).contains("controllerDLegerSelfId=n1\n"));
    }
}
