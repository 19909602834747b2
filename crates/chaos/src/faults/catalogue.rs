//! Every fault by name: the 40 of `OpenChaos`, and ours.
//!
//! Words: *minor* is a random choice of fewer than half, *major* of at least a majority, *random* of 1 to
//! all, *fixed* the node that is named, *leader* the one that leads when the fault begins.
//!
//! What has no injection here stands in the table all the same, with the reason, and is reported `SKIPPED`.

use crate::ground::probe::Means;

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One of the 40 types of `OpenChaos`.
    OpenChaos,
    /// One of this program's own.
    Ours,
}

/// Which controllers are hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Fewer than half.
    Minor,
    /// At least a majority.
    Major,
    /// One to all.
    Random,
    /// The named one.
    Fixed,
    /// The leader.
    Leader,
    /// All.
    All,
}

/// How the network is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// These controllers, with up to half, from everything else: other controllers, brokers, clients.
    Apart(Choice),
    /// Each of more than three reaches its two neighbours only.
    Ring,
    /// Two halves of five, joined by one node.
    Bridge,
    /// The leader hears nobody.
    LeaderIn,
    /// Nobody hears the leader.
    LeaderOut,
    /// The leader from the other controllers, not from brokers and clients.
    LeaderFromFollowers,
    /// The leader from brokers, not from controllers.
    LeaderFromBrokers,
    /// Every client from every controller.
    Clients,
    /// The leader from its followers, on and off.
    Flapping,
    /// Controllers one by one, healed in another order.
    Swizzle,
}

/// What the links of the chosen controllers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// 100 ms ± 50 ms.
    Delay,
    /// A few ms, and 1 packet of 100 up to 3 s.
    LongTail,
    /// 80 % of packets are lost.
    Loss,
    /// All packets are lost, in bursts of 50 ms.
    Bursts,
    /// 30 % come twice.
    Duplicate,
    /// 20 % are overtaken.
    Reorder,
    /// Bits of controllers' messages to each other are flipped under a right TCP checksum.
    Corrupt,
    /// 20,000 bytes a second.
    Bandwidth,
    /// No new connections.
    DropSyn,
    /// Ends of connections are not heard.
    HalfOpen,
    /// Connections end at random.
    Reset,
    /// Packets over 500 bytes vanish.
    MtuHole,
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the calm that others are compared with.
    Noop,
    /// `kill -9`, and a start afterwards.
    Kill(Choice),
    /// SIGTERM, and a start afterwards.
    Term(Choice),
    /// `kill -9` and an immediate start, again and again.
    CrashLoop(Choice),
    /// SIGTERM and a start, one controller after the other.
    Rolling,
    /// SIGSTOP, SIGCONT afterwards; `tenths` of the campaign time-out, 0 to draw the length.
    Suspend {
        /// Whom.
        choice: Choice,
        /// Tenths of the campaign time-out.
        tenths: u64,
    },
    /// Packets between some and others are dropped.
    Partition(Cut),
    /// The links of some behave badly.
    Links(Choice, Link),
    /// 5 to 20 % of one processor, shared with a process that never sleeps.
    Cpu(Choice),
    /// No byte is free.
    DiskFull(Choice),
    /// No descriptor is free.
    NoDescriptors(Choice),
    /// Killed, and started with a monotonic clock that is up to an hour ahead.
    ClockAhead(Choice),
    /// The master of one broker set ends: its connections close and its address refuses.
    MasterKill,
    /// A replica that is not master ends.
    ReplicaKill,
    /// The master of one broker set is cut from every controller, in silence.
    MasterCut,
    /// The master of one broker set is cut from the leader only: no reason to replace it.
    MasterFromLeader,
    /// The master of the one set of Java brokers stands still, its connections open.
    MasterSuspend,
    /// It is cut from its replicas, not from controllers and clients.
    MasterFromReplicas,
    /// It is cut from replicas and controllers, not from clients and name server, who go on to use it.
    MasterApart,
    /// Not here yet, and why.
    NotYet(&'static str),
}

impl Kind {
    /// Whether it makes sense only where brokers are processes that store messages.
    #[must_use]
    pub const fn needs_java_brokers(self) -> bool {
        matches!(self, Self::MasterSuspend | Self::MasterFromReplicas | Self::MasterApart)
    }
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Where the name comes from.
    pub origin: Origin,
    /// The family it is counted in.
    pub family: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What it needs beyond namespaces and the fabric.
    pub means: Option<Means>,
    /// How many controllers it needs.
    pub nodes_min: usize,
}

impl Entry {
    /// The name with its origin in front, if it is one of `OpenChaos`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.origin {
            Origin::OpenChaos => format!("openchaos:{}", self.name),
            Origin::Ours => self.name.to_owned(),
        }
    }

    const fn needs(self, means: Means) -> Self {
        Self { means: Some(means), ..self }
    }

    const fn with_nodes(self, nodes_min: usize) -> Self {
        Self { nodes_min, ..self }
    }
}

const fn theirs(name: &'static str, family: &'static str, kind: Kind) -> Entry {
    Entry { name, origin: Origin::OpenChaos, family, kind, means: None, nodes_min: 1 }
}

const fn ours(name: &'static str, family: &'static str, kind: Kind) -> Entry {
    Entry { name, origin: Origin::Ours, family, kind, means: None, nodes_min: 1 }
}

const fn suspend(choice: Choice) -> Kind {
    Kind::Suspend { choice, tenths: 0 }
}

const fn pause(tenths: u64) -> Kind {
    Kind::Suspend { choice: Leader, tenths }
}

const MEMORY: Kind = Kind::NotYet("memory limits until the kernel kills are not written yet");
const DISK: Kind = Kind::NotYet("needs a file system of our own (FUSE), which is not written yet");
const MEMBERSHIP: Kind =
    Kind::NotYet("groups do not change their size; replacing a peer is wiped-disk");
const REST: Kind = Kind::NotYet("damage of a stopped peer's files is not written yet");
const TLS: Kind = Kind::NotYet("the controllers have no TLS yet");
const LOAD: Kind = Kind::NotYet("overload belongs to the load harness; not driven from here yet");
const VERSIONS: Kind = Kind::NotYet("there is one version of the program");

use Choice::{All, Fixed, Leader, Major, Minor, Random};
use Kind::{
    ClockAhead, Cpu, CrashLoop, DiskFull, Kill, Links, NoDescriptors, Noop, Partition, Term,
};

/// All faults.
#[rustfmt::skip]
pub const CATALOGUE: &[Entry] = &[
    theirs("noop", "noop", Noop),
    theirs("minor-kill", "kill", Kill(Minor)),
    theirs("major-kill", "kill", Kill(Major)),
    theirs("random-kill", "kill", Kill(Random)),
    theirs("fixed-kill", "kill", Kill(Fixed)),
    theirs("leader-kill", "kill", Kill(Leader)),
    theirs("minor-suspend", "suspend", suspend(Minor)),
    theirs("major-suspend", "suspend", suspend(Major)),
    theirs("random-suspend", "suspend", suspend(Random)),
    theirs("fixed-suspend", "suspend", suspend(Fixed)),
    theirs("leader-suspend", "suspend", suspend(Leader)),
    theirs("random-partition", "partition", Partition(Cut::Apart(Random))),
    theirs("fixed-partition", "partition", Partition(Cut::Apart(Fixed))),
    theirs("leader-partition", "partition", Partition(Cut::Apart(Leader))),
    theirs("partition-majorities-ring", "partition", Partition(Cut::Ring)).with_nodes(4),
    theirs("bridge", "partition", Partition(Cut::Bridge)).with_nodes(5),
    theirs("random-delay", "delay", Links(Random, Link::Delay)),
    theirs("minor-delay", "delay", Links(Minor, Link::Delay)),
    theirs("major-delay", "delay", Links(Major, Link::Delay)),
    theirs("fixed-delay", "delay", Links(Fixed, Link::Delay)),
    theirs("random-loss", "loss", Links(Random, Link::Loss)),
    theirs("minor-loss", "loss", Links(Minor, Link::Loss)),
    theirs("major-loss", "loss", Links(Major, Link::Loss)),
    theirs("fixed-loss", "loss", Links(Fixed, Link::Loss)),
    theirs("minor-cpu-high", "cpu", Cpu(Minor)).needs(Means::Quota),
    theirs("major-cpu-high", "cpu", Cpu(Major)).needs(Means::Quota),
    theirs("random-cpu-high", "cpu", Cpu(Random)).needs(Means::Quota),
    theirs("fixed-cpu-high", "cpu", Cpu(Fixed)).needs(Means::Quota),
    theirs("minor-mem-high", "memory", MEMORY),
    theirs("major-mem-high", "memory", MEMORY),
    theirs("random-mem-high", "memory", MEMORY),
    theirs("fixed-mem-high", "memory", MEMORY),
    theirs("minor-disk-error", "disk", DISK),
    theirs("major-disk-error", "disk", DISK),
    theirs("random-disk-error", "disk", DISK),
    theirs("fixed-disk-error", "disk", DISK),
    theirs("minor-io-hang", "disk", DISK),
    theirs("major-io-hang", "disk", DISK),
    theirs("random-io-hang", "disk", DISK),
    theirs("fixed-io-hang", "disk", DISK),

    ours("leader-term", "kill", Term(Leader)),
    ours("random-term", "kill", Term(Random)),
    ours("crash-loop", "kill", CrashLoop(Random)),
    ours("kill-all", "kill", Kill(All)),
    ours("rolling-restart", "kill", Kind::Rolling),
    ours("pause-half", "suspend", pause(5)),
    ours("pause-1", "suspend", pause(10)),
    ours("pause-2", "suspend", pause(20)),
    ours("pause-10", "suspend", pause(100)),
    ours("suspend-all", "suspend", suspend(All)),
    ours("minor-partition", "partition", Partition(Cut::Apart(Minor))),
    ours("one-way-in", "partition", Partition(Cut::LeaderIn)),
    ours("one-way-out", "partition", Partition(Cut::LeaderOut)),
    ours("leader-from-followers", "partition", Partition(Cut::LeaderFromFollowers)),
    ours("leader-from-brokers", "partition", Partition(Cut::LeaderFromBrokers)),
    ours("clients-cut", "partition", Partition(Cut::Clients)),
    ours("flapping", "partition", Partition(Cut::Flapping)),
    ours("swizzle", "partition", Partition(Cut::Swizzle)),
    ours("leader-delay", "delay", Links(Leader, Link::Delay)),
    ours("long-tail", "delay", Links(Random, Link::LongTail)),
    ours("leader-loss", "loss", Links(Leader, Link::Loss)),
    ours("bursts", "loss", Links(All, Link::Bursts)),
    ours("duplicate", "network", Links(All, Link::Duplicate)),
    ours("reorder", "network", Links(All, Link::Reorder)),
    ours("corrupt", "network", Links(All, Link::Corrupt)),
    ours("bandwidth", "network", Links(Random, Link::Bandwidth)),
    ours("syn-drop", "network", Links(Random, Link::DropSyn)),
    ours("half-open", "network", Links(All, Link::HalfOpen)),
    ours("reset", "network", Links(All, Link::Reset)),
    ours("mtu-hole", "network", Links(Random, Link::MtuHole)),
    ours("leader-cpu", "cpu", Cpu(Leader)).needs(Means::Quota),
    ours("disk-full", "disk", DiskFull(Random)).needs(Means::SizedTmpfs),
    ours("leader-disk-full", "disk", DiskFull(Leader)).needs(Means::SizedTmpfs),
    ours("no-descriptors", "descriptors", NoDescriptors(Random)),
    ours("clock-ahead", "clock", ClockAhead(Random)).needs(Means::TimeNamespace),
    ours("master-kill", "broker", Kind::MasterKill),
    ours("replica-kill", "broker", Kind::ReplicaKill),
    ours("master-cut", "broker", Kind::MasterCut),
    ours("master-from-leader", "broker", Kind::MasterFromLeader),
    ours("master-suspend", "broker", Kind::MasterSuspend),
    ours("master-from-replicas", "broker", Kind::MasterFromReplicas),
    ours("master-apart", "broker", Kind::MasterApart),

    ours("out-of-memory", "memory", MEMORY),
    ours("sync-error", "disk", DISK),
    ours("sync-slow", "disk", DISK),
    ours("sync-hang", "disk", DISK),
    ours("read-only", "disk", DISK),
    ours("power-loss", "power", DISK),
    ours("power-loss-all", "power", DISK),
    ours("torn-writes", "power", DISK),
    ours("bit-flips", "rest", REST),
    ours("cut-tail", "rest", REST),
    ours("swapped-files", "rest", REST),
    ours("restored-backup", "rest", REST),
    ours("wiped-disk", "rest", REST),
    ours("clock-rate", "clock", Kind::NotYet("no means to change one process's clock rate")),
    ours("clock-jump", "clock", Kind::NotYet("no means to move a running process's clock")),
    ours("add-peer", "membership", MEMBERSHIP),
    ours("remove-peer", "membership", MEMBERSHIP),
    ours("replace-peer", "membership", MEMBERSHIP),
    ours("rolling-upgrade", "upgrade", VERSIONS),
    ours("overload", "load", LOAD),
    ours("connection-storm", "load", LOAD),
    ours("slow-readers", "load", LOAD),
    ours("tls-expired", "tls", TLS),
    ours("tls-unknown-authority", "tls", TLS),
];
