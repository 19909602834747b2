//! Every fault by name: the 40 of `OpenChaos`, and ours.
//!
//! Words: *minor* is a random choice of fewer than half, *major* of at least a majority, *random* of 1 to
//! all, *fixed* the node that is named, *leader* the one that leads when the fault begins.
//!
//! What has no injection here stands in the table all the same, with the reason, and is reported `SKIPPED`.

use super::rest::Rest;
use crate::crowd::Manner;
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

/// What is wrong with the disks of the chosen controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Reads, writes and syncs fail.
    Fails,
    /// Syncs fail.
    SyncFails,
    /// Writes fail, as on a disk that was remounted after an error.
    ReadOnly,
    /// Reads, writes and syncs do not return.
    Hangs,
    /// Syncs do not return.
    SyncHangs,
    /// Each sync takes 0.1 to 2 s longer.
    SyncSlow,
    /// The power goes between a write and its sync: all that was not synced is gone.
    PowerLoss,
    /// The same, but each sector that was not synced is old, new, or a mixture.
    TornWrites,
}

/// What the clocks of the chosen controllers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// They go up to a fifth faster or slower.
    Rate,
    /// Civil time is set up to an hour forth or back, and set right again.
    Jump,
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
    /// `kill -9`, and again at each of its next starts, before it serves or soon after.
    KillAtStart(Choice),
    /// `kill -9` while it writes a snapshot.
    KillInSnapshot(Choice),
    /// SIGTERM and a start, one controller after the other.
    Rolling,
    /// SIGSTOP, SIGCONT afterwards; `tenths` of the campaign time-out, 0 to draw the length.
    Suspend {
        /// Whom.
        choice: Choice,
        /// Tenths of the campaign time-out.
        tenths: u64,
    },
    /// The kernel lets it not run at all, and it hears no signal; let go afterwards.
    Freeze(Choice),
    /// Packets between some and others are dropped.
    Partition(Cut),
    /// The links of some behave badly.
    Links(Choice, Link),
    /// 5 to 20 % of one processor, shared with a process that never sleeps.
    Cpu(Choice),
    /// Few writes a second reach the device below its data.
    Throttle(Choice),
    /// No byte is free.
    DiskFull(Choice),
    /// The disk does not do what it should.
    Disk(Choice, DiskFault),
    /// Killed, and started from damaged files: it refuses, which is right, loses its disk, and is taken back.
    Damage(Rest),
    /// Killed, and started from files of some seconds before: it stops serving, loses its disk, and is taken back.
    Backup,
    /// Killed, its disk wiped: it is taken back as another member.
    Wiped,
    /// Ended politely, and another with an empty disk starts at its address: taken back as another member.
    Replace,
    /// Memory is taken until the kernel kills it.
    Memory(Choice),
    /// No descriptor is free.
    NoDescriptors(Choice),
    /// Killed, and started with a monotonic clock that is up to an hour ahead.
    ClockAhead(Choice),
    /// Clocks of running controllers go wrong.
    Clock(Choice, ClockFault),
    /// One controller after the other ends politely and another build starts in its place; then the other way round.
    Upgrade,
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
    /// A crowd of strangers at every controller asks too much, or what nobody may ask.
    Crowd(Manner),
    /// A setting of every controller is changed while it runs, and set back.
    Reload,
    /// The product has nothing that it could be done to, and what that is.
    Cannot(&'static str),
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
    /// Why no other fault may happen beside it, if none may.
    pub alone: Option<&'static str>,
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

    const fn alone(self, why: &'static str) -> Self {
        Self { alone: Some(why), ..self }
    }

    /// Why this fault and another cannot happen at once, whoever is named first; `None` if they can.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<&'static str> {
        let either = |is_so: fn(&Self, &Self) -> bool| is_so(self, other) || is_so(other, self);
        let writes_nothing = |one: &Self, other: &Self| {
            matches!(one.kind, Kind::Throttle(_)) && other.may_stop_commits()
        };
        if either(writes_nothing) {
            return Some(
                "no majority is certain to be left, and without commits nobody writes to a slow device",
            );
        }
        if either(Self::kills_whom) {
            return Some("the one kills the process that the other needs alive");
        }
        self.alone.or(other.alone)
    }

    /// Whether it may take away, for as long as it lasts, the majority that every commit needs.
    fn may_stop_commits(&self) -> bool {
        match self.kind {
            Kill(choice)
            | Term(choice)
            | Kind::Suspend { choice, .. }
            | Kind::Freeze(choice)
            | Memory(choice)
            | Links(choice, Link::Loss) => matches!(choice, Major | Random | All),
            _ => false,
        }
    }

    /// Whether it kills, before anything else is done, a controller that the other certainly acts on.
    fn kills_whom(&self, other: &Self) -> bool {
        let Kill(killed) = self.kind else { return false };
        let (Term(needed)
        | CrashLoop(needed)
        | Kind::KillAtStart(needed)
        | Kind::Suspend { choice: needed, .. }
        | Kind::Freeze(needed)
        | Cpu(needed)
        | Memory(needed)
        | NoDescriptors(needed)
        | ClockAhead(needed)
        | Kind::Clock(needed, _)) = other.kind
        else {
            return false;
        };
        killed == All || (killed == needed && matches!(killed, Leader | Fixed))
    }

    /// Whether it hits fewer than half of the controllers.
    #[must_use]
    pub fn is_minor(&self) -> bool {
        match self.kind {
            Kill(choice)
            | Kind::Suspend { choice, tenths: 0 }
            | Partition(Cut::Apart(choice))
            | Links(choice, _)
            | Cpu(choice)
            | Disk(choice, _)
            | Memory(choice) => choice == Minor,
            _ => false,
        }
    }

    /// Whether it can be done to our own program only: the shim of the clocks knows the waits of Rust, not those of a JVM,
    /// there is no second build of upstream's controllers, they do not say what they answered, and name their files otherwise.
    #[must_use]
    pub fn is_of_our_program(&self) -> bool {
        matches!(
            self.kind,
            Kind::Clock(..)
                | Kind::Upgrade
                | Kind::KillInSnapshot(_)
                | Kind::Crowd(Manner::Overload)
        )
    }

    /// Whether it is about our own journal and the way back of a peer that lost it, so that upstream's controllers have
    /// nothing of the kind.
    #[must_use]
    pub fn is_of_our_journal(&self) -> bool {
        matches!(self.kind, Damage(_) | Kind::Backup | Kind::Wiped | Kind::Replace)
            || matches!(self.means, Some(Means::FaultyDisk | Means::DeviceLimit))
    }
}

const fn theirs(name: &'static str, family: &'static str, kind: Kind) -> Entry {
    Entry { name, origin: Origin::OpenChaos, family, kind, means: None, nodes_min: 1, alone: None }
}

const fn ours(name: &'static str, family: &'static str, kind: Kind) -> Entry {
    Entry { name, origin: Origin::Ours, family, kind, means: None, nodes_min: 1, alone: None }
}

const fn suspend(choice: Choice) -> Kind {
    Kind::Suspend { choice, tenths: 0 }
}

const fn pause(tenths: u64) -> Kind {
    Kind::Suspend { choice: Leader, tenths }
}

/// A second fault may take away what the first left.
const ONE_DISK: &str = "a group outlives the loss of one disk, not of what is left";

/// Between two restarts, or two tries.
const WHOLE: &str =
    "it waits in between until the group is whole, which another fault keeps it from being";

const SIZE: Kind =
    Kind::Cannot("groups do not change their size; replace-peer is what there is of membership");
const TLS: Kind = Kind::Cannot("the controllers have no TLS");

use Choice::{All, Fixed, Leader, Major, Minor, Random};
use DiskFault::{Fails, Hangs};
use Kind::{
    ClockAhead, Cpu, CrashLoop, Damage, Disk, DiskFull, Kill, Links, Memory, NoDescriptors, Noop,
    Partition, Term,
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
    theirs("minor-mem-high", "memory", Memory(Minor)).needs(Means::MemoryLimit),
    theirs("major-mem-high", "memory", Memory(Major)).needs(Means::MemoryLimit),
    theirs("random-mem-high", "memory", Memory(Random)).needs(Means::MemoryLimit),
    theirs("fixed-mem-high", "memory", Memory(Fixed)).needs(Means::MemoryLimit),
    theirs("minor-disk-error", "disk error", Disk(Minor, Fails)).needs(Means::FaultyDisk),
    theirs("major-disk-error", "disk error", Disk(Major, Fails)).needs(Means::FaultyDisk),
    theirs("random-disk-error", "disk error", Disk(Random, Fails)).needs(Means::FaultyDisk),
    theirs("fixed-disk-error", "disk error", Disk(Fixed, Fails)).needs(Means::FaultyDisk),
    theirs("minor-io-hang", "io hang", Disk(Minor, Hangs)).needs(Means::FaultyDisk),
    theirs("major-io-hang", "io hang", Disk(Major, Hangs)).needs(Means::FaultyDisk),
    theirs("random-io-hang", "io hang", Disk(Random, Hangs)).needs(Means::FaultyDisk),
    theirs("fixed-io-hang", "io hang", Disk(Fixed, Hangs)).needs(Means::FaultyDisk),

    ours("leader-term", "kill", Term(Leader)),
    ours("random-term", "kill", Term(Random)),
    ours("crash-loop", "kill", CrashLoop(Random)),
    ours("kill-all", "kill", Kill(All)),
    ours("rolling-restart", "kill", Kind::Rolling).alone(WHOLE),
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
    ours("disk-full", "disk full", DiskFull(Random)).needs(Means::SizedTmpfs),
    ours("leader-disk-full", "disk full", DiskFull(Leader)).needs(Means::SizedTmpfs),
    ours("no-descriptors", "descriptors", NoDescriptors(Random)),
    ours("clock-ahead", "clock", ClockAhead(Random)).needs(Means::TimeNamespace),
    ours("master-kill", "broker", Kind::MasterKill),
    ours("replica-kill", "broker", Kind::ReplicaKill),
    ours("master-cut", "broker", Kind::MasterCut),
    ours("master-from-leader", "broker", Kind::MasterFromLeader),
    ours("master-suspend", "broker", Kind::MasterSuspend),
    ours("master-from-replicas", "broker", Kind::MasterFromReplicas),
    ours("master-apart", "broker", Kind::MasterApart),

    ours("out-of-memory", "memory", Memory(Leader)).needs(Means::MemoryLimit),
    ours("sync-error", "disk error", Disk(Random, DiskFault::SyncFails)).needs(Means::FaultyDisk),
    ours("read-only", "disk error", Disk(Minor, DiskFault::ReadOnly)).needs(Means::FaultyDisk),
    ours("sync-slow", "io hang", Disk(Random, DiskFault::SyncSlow)).needs(Means::FaultyDisk),
    ours("sync-hang", "io hang", Disk(Leader, DiskFault::SyncHangs)).needs(Means::FaultyDisk),
    ours("power-loss", "power loss", Disk(Minor, DiskFault::PowerLoss)).needs(Means::FaultyDisk),
    ours("power-loss-all", "power loss", Disk(All, DiskFault::PowerLoss)).needs(Means::FaultyDisk),
    ours("torn-writes", "power loss", Disk(Random, DiskFault::TornWrites)).needs(Means::FaultyDisk),
    ours("bit-flips", "damage at rest", Damage(Rest::Flips)).alone(ONE_DISK),
    ours("cut-tail", "damage at rest", Damage(Rest::Tail)).alone(ONE_DISK),
    ours("swapped-files", "damage at rest", Damage(Rest::Swap)).alone(ONE_DISK),
    ours("restored-backup", "damage at rest", Kind::Backup).alone(ONE_DISK),
    ours("wiped-disk", "damage at rest", Kind::Wiped).alone(ONE_DISK),
    ours("replace-peer", "membership", Kind::Replace).alone(ONE_DISK),

    ours("clock-rate", "clock", Kind::Clock(Random, ClockFault::Rate)).needs(Means::ClockShim),
    ours("clock-jump", "clock", Kind::Clock(Random, ClockFault::Jump)).needs(Means::ClockShim),
    ours("add-peer", "membership", SIZE),
    ours("remove-peer", "membership", SIZE),
    ours("rolling-upgrade", "kill", Kind::Upgrade).alone(WHOLE),
    ours("overload", "load", Kind::Crowd(Manner::Overload)).needs(Means::Descriptors),
    ours("connection-storm", "load", Kind::Crowd(Manner::Storm)).needs(Means::Descriptors),
    ours("slow-readers", "load", Kind::Crowd(Manner::SlowReaders)).needs(Means::Descriptors),
    ours("freeze", "suspend", Kind::Freeze(Leader)).needs(Means::Freezer),
    ours("kill-at-start", "kill", Kind::KillAtStart(Random)),
    ours("kill-in-snapshot", "kill", Kind::KillInSnapshot(Random)).alone(WHOLE),
    ours("io-throttle", "io hang", Kind::Throttle(Random)).needs(Means::DeviceLimit),
    ours("slowloris", "load", Kind::Crowd(Manner::SlowHeaders)).needs(Means::Descriptors),
    ours("config-reload", "configuration", Kind::Reload),
    ours("malformed-alter", "bad input", Kind::Crowd(Manner::Malformed)),
    ours("tls-expired", "tls", TLS),
    ours("tls-unknown-authority", "tls", TLS),
];
