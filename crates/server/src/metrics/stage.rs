//! What is timed on the way of a request, beside the request itself.
//!
//! ```text
//!  read ─propose─► proposed ────────────────commit────────────────► decided ─reply─► with the kernel
//!                     ├─ append ─► written ─ sync ─► durable here ──┤
//!                     └─ replicate ────────────────► durable there ─┘
//! ```
//!
//! `propose` and `commit` of one write add up to what `request_seconds` counts for it; `append`, `sync` and
//! `replicate` lie inside of `commit`, and so does most of `apply`.
//!
//! Cost: three looks at the clock for each turn of the core and a few additions for each event, none of them locked.

/// One part of a request's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the reading of a client's write to its proposal: it waits for the core. Leader; once for each write.
    Propose,
    /// From the order to write entries to the begin of their sync: they wait for the sync before. Every peer; once
    /// for each group of entries.
    Append,
    /// The sync of the disk. Every peer; once for each sync.
    Sync,
    /// From the sending of entries until the follower said that they are durable there. Leader; once for each
    /// message with entries.
    Replicate,
    /// From a proposal until it is committed and decided. Leader; once for each write, its own elections included.
    Commit,
    /// The end of a turn in which commands were committed: the engine, and the rules. Every peer; once for each
    /// command.
    Apply,
    /// From the end of the turn that decided to its answers being with the kernel, or in the connection's buffer if
    /// the kernel takes no more. Every peer; once for each answer of the core.
    Reply,
}

impl Stage {
    /// All stages, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Propose,
        Self::Append,
        Self::Sync,
        Self::Replicate,
        Self::Commit,
        Self::Apply,
        Self::Reply,
    ];

    /// Its label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Propose => "propose",
            Self::Append => "append",
            Self::Sync => "sync",
            Self::Replicate => "replicate",
            Self::Commit => "commit",
            Self::Apply => "apply",
            Self::Reply => "reply",
        }
    }
}

/// What the journal's thread does now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A snapshot is made durable, without what follows.
    Snapshot,
    /// The log below it is given up.
    Compaction,
}

/// What comes in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Commands applied in one turn.
    Commands,
    /// Groups of entries that shared a write of the journal.
    Groups,
}
