//! What can go wrong: when a journal is opened, and later.
//!
//! An [`OpenError`] is read by an operator: it names the file, the offset where there is one, and
//! says what to do. A [`JournalError`] after the opening ends the process (J4), with the one
//! exception that [`JournalError::is_survivable`] names.

use std::io;

use consensus::{LogIndex, PeerId, Term};
use thiserror::Error;

/// What to do with a journal that lost or may have lost durable data (M4).
const REPLACE: &str = "this peer must not vote from it again: move the folder away and start the \
                       peer with an empty one, so that it rejoins as a learner under a new id";

/// A failed disk operation.
#[derive(Debug, Error)]
#[error("cannot {action} {place}/{file}: {source}")]
pub struct DiskError {
    /// The folder.
    pub place: String,
    /// The file in it; empty if it is about the folder itself.
    pub file: String,
    /// What was tried, as a verb.
    pub action: &'static str,
    /// What the disk said.
    pub source: io::Error,
}

impl DiskError {
    pub(crate) fn new(place: &str, file: &str, action: &'static str, source: io::Error) -> Self {
        Self { place: place.to_owned(), file: file.to_owned(), action, source }
    }

    /// Whether the disk, or the quota of its user, is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What is wrong with bytes on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Damage {
    /// The file is shorter or longer than it can be.
    #[error("the file has {bytes} bytes, which it never has")]
    Length {
        /// Its length.
        bytes: u64,
    },
    /// The first block of a segment is not what a segment starts with.
    #[error("the header is damaged")]
    Header,
    /// The header is intact and says something else than the file's name or its neighbours.
    #[error("the header says {field} {found}, expected {expected}")]
    HeaderMismatch {
        /// Which field.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What it must say.
        expected: u64,
    },
    /// A record is bad, and intact records of later writes follow it, or a later segment.
    #[error("a record of write {write} is damaged, and later writes follow it")]
    Record {
        /// The write that the bad record belongs to.
        write: u64,
    },
    /// Intact records that contradict each other.
    #[error("intact records contradict each other: {0}")]
    Contradiction(#[from] Violation),
    /// An intact record whose group or write number does not follow.
    #[error("an intact record of write {write}, group {group} stands where it cannot")]
    Order {
        /// Its write number.
        write: u64,
        /// Its group number.
        group: u16,
    },
    /// The checksum of a file's content is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// A field has a value that is never written.
    #[error("the field {field} has a value that is never written")]
    Field {
        /// Which field.
        field: &'static str,
    },
}

/// What a journal never says: rule J7, checked when it is written and when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// An entry does not follow the last one.
    #[error("entry {found} does not follow entry {last}")]
    EntryGap {
        /// The last entry.
        last: LogIndex,
        /// The one that came.
        found: LogIndex,
    },
    /// An entry's term is below the one before it.
    #[error("entry {index} has term {found}, the entry before it {before}")]
    EntryTermFell {
        /// The entry.
        index: LogIndex,
        /// The term before it.
        before: Term,
        /// Its term.
        found: Term,
    },
    /// The last entry's term is above the hard state's.
    #[error("the last entry has term {last}, above the hard state's {hard_state}")]
    TermAboveHardState {
        /// The last entry's term.
        last: Term,
        /// The hard state's term.
        hard_state: Term,
    },
    /// The hard state's term fell.
    #[error("the term fell from {before} to {found}")]
    TermFell {
        /// The term before.
        before: Term,
        /// The term now.
        found: Term,
    },
    /// A second vote in one term.
    #[error("the vote of term {term} changed")]
    VoteChanged {
        /// The term.
        term: Term,
    },
    /// The commit index fell.
    #[error("the commit index fell from {before} to {found}")]
    CommitFell {
        /// The commit index before.
        before: LogIndex,
        /// The commit index now.
        found: LogIndex,
    },
    /// The commit index is beyond the log.
    #[error("the commit index {commit} is beyond the last entry {last}")]
    CommitBeyondLog {
        /// The commit index.
        commit: LogIndex,
        /// The last entry.
        last: LogIndex,
    },
    /// A committed entry was to be cut, or one that is not there.
    #[error("the log cannot be cut from {found}: committed {commit}, last entry {last}")]
    CutOutOfRange {
        /// The first entry to be cut.
        found: LogIndex,
        /// The commit index.
        commit: LogIndex,
        /// The last entry.
        last: LogIndex,
    },
    /// A snapshot that the log does not contain, or not with that term.
    #[error("the snapshot at {index}, term {term}, does not fit the log")]
    SnapshotUnfit {
        /// Its index.
        index: LogIndex,
        /// Its term.
        term: Term,
    },
    /// A snapshot was to be installed that [`crate::Journal::save_snapshot`] never saved.
    #[error("the snapshot at {index}, term {term}, was never saved")]
    SnapshotNotSaved {
        /// Its index.
        index: LogIndex,
        /// Its term.
        term: Term,
    },
}

/// Why a journal was not opened. Nothing in the folder was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The path is something else than a folder.
    #[error("{place} is not a folder: name a folder that is the journal's own")]
    NotAFolder {
        /// The path.
        place: String,
    },
    /// The operating system refused.
    #[error("{0}: give the user of this process the right to read and write the folder")]
    Permission(DiskError),
    /// Another process has it open.
    #[error("{place} is in use by another process: end that one first, or name another folder")]
    Locked {
        /// The folder.
        place: String,
    },
    /// The folder holds something else.
    #[error(
        "{place} holds {file}, which is not the journal's{}: name an empty folder",
        if *.is_java { " but the data of a Java controller" } else { "" }
    )]
    NotAJournal {
        /// The folder.
        place: String,
        /// The first file that is not ours.
        file: String,
        /// Whether a Java controller leaves files of that name.
        is_java: bool,
    },
    /// The journal of another cluster.
    #[error(
        "{place}/{file} belongs to cluster {found:016x}, this is cluster {expected:016x}: \
         check the folder and the list of peers"
    )]
    OtherCluster {
        /// The folder.
        place: String,
        /// The file that says so.
        file: String,
        /// The cluster found.
        found: u64,
        /// The cluster that was to be opened.
        expected: u64,
    },
    /// The journal of another peer.
    #[error(
        "{place}/{file} belongs to peer {found}, this is peer {expected}: \
         check the folder and this peer's id"
    )]
    OtherPeer {
        /// The folder.
        place: String,
        /// The file that says so.
        file: String,
        /// The peer found.
        found: PeerId,
        /// The peer that was to be opened.
        expected: PeerId,
    },
    /// Written by a newer program.
    #[error(
        "{place}/{file} has format {found}, this program reads up to {supported}: \
         start the program version that wrote it, or a later one"
    )]
    NewerFormat {
        /// The folder.
        place: String,
        /// The file.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// Segments or snapshots without the file that says whose they are.
    #[error("{place}/identity is missing although {place}/{file} is there: {REPLACE}")]
    IdentityMissing {
        /// The folder.
        place: String,
        /// A file that only exists beside an identity.
        file: String,
    },
    /// A segment is missing.
    #[error("{place}/{file} is missing: {REPLACE}")]
    SegmentMissing {
        /// The folder.
        place: String,
        /// The missing file.
        file: String,
    },
    /// The disk returned bytes that were never written there.
    #[error("{place}/{file} is damaged at offset {offset}: {damage}; {REPLACE}")]
    Damaged {
        /// The folder.
        place: String,
        /// The file.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// No snapshot is left from which the log goes on.
    #[error(
        "{place}: the log starts at entry {first}, and no intact snapshot reaches it \
         ({reasons}): {REPLACE}"
    )]
    NoSnapshot {
        /// The folder.
        place: String,
        /// The first entry of the log.
        first: LogIndex,
        /// What is wrong with each recorded snapshot.
        reasons: String,
    },
    /// The options are impossible.
    #[error("impossible journal options: {0}")]
    Options(&'static str),
    /// Any other failure of the disk.
    #[error("{0}: check the disk, then start again")]
    Disk(DiskError),
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        match error.source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission(error)
            }
            _ => Self::Disk(error),
        }
    }
}

/// Why an open journal failed.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk failed. Nothing is known of what was written; it is never tried again (J4).
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What was to be written contradicts what was written before: a fault of the caller.
    #[error("refused to write a contradiction: {0}")]
    Contradiction(#[from] Violation),
    /// The group is above [`crate::GROUP_BYTES_MAX`].
    #[error("a group of {bytes} bytes is above GROUP_BYTES_MAX ({})", crate::GROUP_BYTES_MAX)]
    GroupTooLarge {
        /// Its size as records.
        bytes: u64,
    },
    /// A group came before an identity: it is not known whose journal this is (M5).
    #[error("the journal has no identity yet")]
    NoIdentity,
    /// An identity of another cluster or peer, or one with too many voters.
    #[error("the identity cannot be written: {0}")]
    Identity(&'static str),
    /// The snapshot's descriptor does not describe its bytes, or it is above its limit.
    #[error("the snapshot cannot be saved: {0}")]
    Snapshot(&'static str),
    /// A snapshot file was damaged after it was written.
    #[error("{place}/{file} is damaged at offset {offset}: {damage}")]
    SnapshotDamaged {
        /// The folder.
        place: String,
        /// The file.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// An earlier call failed; the journal does nothing more.
    #[error("the journal failed before and does nothing more")]
    Failed,
}

impl JournalError {
    /// Whether the journal is unharmed and goes on: nothing durable was touched.
    ///
    /// True of a snapshot that found the disk full (J5), was refused, or cannot be read back.
    /// Every other error ends the process.
    #[must_use]
    pub fn is_survivable(&self) -> bool {
        match self {
            Self::Disk(error) => error.action == SAVE_SNAPSHOT && error.is_disk_full(),
            Self::Snapshot(_) | Self::SnapshotDamaged { .. } => true,
            Self::Contradiction(_)
            | Self::GroupTooLarge { .. }
            | Self::NoIdentity
            | Self::Identity(_)
            | Self::Failed => false,
        }
    }
}

/// The action of a [`DiskError`] that only concerned a snapshot made aside.
pub(crate) const SAVE_SNAPSHOT: &str = "save the snapshot in";
