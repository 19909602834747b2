//! What a journal held when it was opened, and what of it a consensus driver starts from.

use bytes::Bytes;
use consensus::{Entry, HardState, Membership, Restored, SnapshotDescriptor};

use crate::identity::{Founding, Identity};
use crate::recover::RecoveryNote;

/// What the journal held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Whose it is; `None` if it is empty: a new peer, or a wiped one (M5).
    pub identity: Option<Identity>,
    /// The newest hard state, with the commit index that the snapshots prove.
    pub hard_state: HardState,
    /// The state to start from.
    pub snapshot: Option<(SnapshotDescriptor, Bytes)>,
    /// The log after the snapshot, without gap.
    pub entries: Vec<Entry>,
    /// What recovery did, for operators.
    pub notes: Vec<RecoveryNote>,
}

impl Recovered {
    /// The log, and the bytes of the snapshot that it begins after; `None` before the cluster is founded. Until a
    /// snapshot says otherwise the founders are the members, whoever this peer is.
    #[must_use]
    pub fn into_restored(self) -> Option<(Restored, Option<Bytes>)> {
        let identity = self.identity.filter(|identity| identity.state == Founding::Founded)?;
        let (snapshot, bytes) = self.snapshot.unzip();
        let membership = match &snapshot {
            Some(descriptor) => descriptor.membership.clone(),
            None => Membership::of_voters(identity.voters),
        };
        let Self { hard_state, entries, .. } = self;
        Some((Restored { hard_state, membership, snapshot, entries }, bytes))
    }
}
