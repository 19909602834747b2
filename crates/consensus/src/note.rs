//! Events for operators; the ground floor returns them, the server logs and counts them.

use crate::{LogIndex, Membership, PeerId, Role, Term};

/// Something that changed, or went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Term, role or known leader changed.
    Leadership {
        /// The term now.
        term: Term,
        /// The role now.
        role: Role,
        /// The leader now, if one is known.
        leader: Option<PeerId>,
    },
    /// A leader committed the first entry of its own term: reads are served from here on.
    LeaderReady {
        /// The leader's term.
        term: Term,
    },
    /// A transfer of leadership did not happen in time; this peer goes on leading.
    TransferAborted {
        /// Who was meant to lead.
        target: PeerId,
    },
    /// A read round got no answer in time and is asked again with a new context.
    ReadRoundRepeated {
        /// How many rounds this batch has lost.
        attempts: u32,
    },
    /// A change of the membership was applied.
    Membership {
        /// The change's entry.
        index: LogIndex,
        /// Who belongs to the cluster from there on.
        membership: Membership,
    },
    /// This peer's disk lost data that it had acknowledged. It neither votes nor serves any more
    /// and must be replaced (D21).
    DataLost {
        /// Who showed it.
        by: PeerId,
        /// The entry that should be here.
        index: LogIndex,
        /// This peer's last entry.
        last: LogIndex,
    },
}
