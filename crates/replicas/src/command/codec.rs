//! A command as bytes of the log: our own fixed layout, versioned by its first byte.
//!
//! Fields are those of `fields.rs`. An *id list* is a list of `i64`; *evidence* is a list of 24
//! bytes each: `i64` id, `i32` epoch, `i64` max offset, `i32` priority, ids ascending.
//!
//! | Offset | Field | Value |
//! |---|---|---|
//! | 0 | `u8` version | 1, or 2 for kind 3 with the fields that layout 2 adds |
//! | 1 | `u8` kind | 1 to 5, as below |
//! | 2 | text | the broker set's name |
//! | | the rest | by kind |
//!
//! | Kind | Command | The rest |
//! |---|---|---|
//! | 1 | apply broker id | optional text cluster, optional `i64` id, optional text check code |
//! | 2 | register broker | optional `i64` id, optional text address, evidence |
//! | 3 | elect master | optional `i64` broker, flag designate, flag unclean, evidence; layout 2 adds: flag and `i32` seen master epoch, id list preferred, id list never, both ascending |
//! | 4 | alter sync-state set | optional `i64` master, optional `i32` master epoch, optional id list new set, `i32` set epoch, evidence |
//! | 5 | clean broker data | optional text ids, flag clean living, evidence |
//!
//! A command that needs no field of layout 2 is written in layout 1, so each has one encoding, and logs of before
//! layout 2 are read as they are.
//!
//! Decoding is total: any bytes give a command within limits, or an error.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{
    AlterSyncStateSet, ApplyBrokerId, CleanBrokerData, Command, ElectMaster, Policy, RegisterBroker,
};
use crate::evidence::{Alive, Evidence};
use crate::fields::{FieldError, Reader, Sink};
use crate::ids::{BrokerId, MasterEpoch, SetEpoch};
use crate::limits::{
    ADDRESS_BYTES_MAX, CHECK_CODE_BYTES_MAX, CLUSTER_BYTES_MAX, EVIDENCE_COUNT_MAX,
    ID_LIST_BYTES_MAX, NAME_BYTES_MAX, REPLICAS_COUNT_MAX, SYNC_STATE_SET_COUNT_MAX,
};

const VERSION: u8 = 1;

/// The layout of an election with [`ElectMaster::seen`] or a [`Policy`].
const VERSION_WITH_POLICY: u8 = 2;

const APPLY_BROKER_ID: u8 = 1;
const REGISTER_BROKER: u8 = 2;
const ELECT_MASTER: u8 = 3;
const ALTER_SYNC_STATE_SET: u8 = 4;
const CLEAN_BROKER_DATA: u8 = 5;

/// Bytes of everything but names and evidence, to allocate once.
const FIXED_BYTES_ESTIMATE: usize = 128;
const ALIVE_BYTES: usize = 24;

/// Why bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte names a layout that this version does not know.
    #[error("command layout {version} is not known, this version knows 1 and 2")]
    Version {
        /// The first byte.
        version: u8,
    },
    /// The second byte names no command.
    #[error("command kind {kind} is not known")]
    Kind {
        /// The second byte.
        kind: u8,
    },
    /// The ids of the evidence do not ascend.
    #[error("the evidence does not ascend by id")]
    EvidenceOrder,
    /// The ids of a policy do not ascend.
    #[error("the ids of a policy do not ascend")]
    PolicyOrder,
    /// Layout 2, though nothing of what it adds is there: not the one encoding of its command.
    #[error("command layout 2 without anything that layout 1 lacks")]
    NotCanonical,
    /// A field cannot be read.
    #[error("command: {0}")]
    Field(#[source] Malformed),
}

/// A field that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Malformed(FieldError);

impl From<FieldError> for DecodeError {
    fn from(error: FieldError) -> Self {
        Self::Field(Malformed(error))
    }
}

impl From<FieldError> for Malformed {
    fn from(error: FieldError) -> Self {
        Self(error)
    }
}

impl Command {
    /// The command as bytes for the log.
    ///
    /// # Panics
    /// If a text or list is longer than 4 GiB; [`Command::check_limits`] refuses far shorter ones.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let alive = self.evidence().map_or(0, |evidence| evidence.alive().len());
        let estimate = FIXED_BYTES_ESTIMATE
            .saturating_add(self.set().len())
            .saturating_add(alive.saturating_mul(ALIVE_BYTES));
        let mut out = Vec::with_capacity(estimate);
        out.u8(self.layout());
        match self {
            Self::ApplyBrokerId(command) => {
                out.u8(APPLY_BROKER_ID);
                out.text(&command.set);
                out.optional_text(command.cluster.as_deref());
                out.optional_i64(command.id.map(|id| id.0));
                out.optional_text(command.check_code.as_deref());
            }
            Self::RegisterBroker(command) => {
                out.u8(REGISTER_BROKER);
                out.text(&command.set);
                out.optional_i64(command.id.map(|id| id.0));
                out.optional_text(command.address.as_deref());
                evidence(&mut out, &command.evidence);
            }
            Self::ElectMaster(command) => {
                out.u8(ELECT_MASTER);
                out.text(&command.set);
                out.optional_i64(command.broker.map(|id| id.0));
                out.flag(command.designate);
                out.flag(command.unclean);
                evidence(&mut out, &command.evidence);
                if self.layout() == VERSION_WITH_POLICY {
                    out.flag(command.seen.is_some());
                    if let Some(seen) = command.seen {
                        out.i32(seen.0);
                    }
                    ids(&mut out, &command.policy.preferred);
                    ids(&mut out, &command.policy.never);
                }
            }
            Self::AlterSyncStateSet(command) => {
                out.u8(ALTER_SYNC_STATE_SET);
                alter(&mut out, command);
            }
            Self::CleanBrokerData(command) => {
                out.u8(CLEAN_BROKER_DATA);
                out.text(&command.set);
                out.optional_text(command.ids.as_deref());
                out.flag(command.clean_living);
                evidence(&mut out, &command.evidence);
            }
        }
        Bytes::from(out)
    }

    /// Reads what [`Command::encode`] wrote.
    ///
    /// # Errors
    /// - [`DecodeError::Version`]: the layout is of a version that is not known.
    /// - [`DecodeError::Kind`]: no such command.
    /// - [`DecodeError::EvidenceOrder`], [`DecodeError::PolicyOrder`]: ids do not ascend.
    /// - [`DecodeError::NotCanonical`]: layout 2 where layout 1 would do.
    /// - [`DecodeError::Field`]: cut, too long, over a limit, not UTF-8, or a flag of 2.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        let has_policy = version == VERSION_WITH_POLICY;
        if version != VERSION && !has_policy {
            return Err(DecodeError::Version { version });
        }
        let kind = reader.u8()?;
        if has_policy && kind != ELECT_MASTER {
            return Err(DecodeError::Kind { kind });
        }
        let command = match kind {
            APPLY_BROKER_ID => Self::ApplyBrokerId(ApplyBrokerId {
                set: reader.text(NAME_BYTES_MAX)?,
                cluster: reader.optional_text(CLUSTER_BYTES_MAX)?,
                id: reader.optional_i64()?.map(BrokerId),
                check_code: reader.optional_text(CHECK_CODE_BYTES_MAX)?,
            }),
            REGISTER_BROKER => Self::RegisterBroker(RegisterBroker {
                set: reader.text(NAME_BYTES_MAX)?,
                id: reader.optional_i64()?.map(BrokerId),
                address: reader.optional_text(ADDRESS_BYTES_MAX)?,
                evidence: read_evidence(&mut reader)?,
            }),
            ELECT_MASTER => Self::ElectMaster(read_elect(&mut reader, has_policy)?),
            ALTER_SYNC_STATE_SET => Self::AlterSyncStateSet(read_alter(&mut reader)?),
            CLEAN_BROKER_DATA => Self::CleanBrokerData(CleanBrokerData {
                set: reader.text(NAME_BYTES_MAX)?,
                ids: reader.optional_text(ID_LIST_BYTES_MAX)?,
                clean_living: reader.flag()?,
                evidence: read_evidence(&mut reader)?,
            }),
            kind => return Err(DecodeError::Kind { kind }),
        };
        reader.end()?;
        Ok(command)
    }

    fn layout(&self) -> u8 {
        match self {
            Self::ElectMaster(command)
                if command.seen.is_some() || command.policy != Policy::default() =>
            {
                VERSION_WITH_POLICY
            }
            Self::ApplyBrokerId(_)
            | Self::RegisterBroker(_)
            | Self::ElectMaster(_)
            | Self::AlterSyncStateSet(_)
            | Self::CleanBrokerData(_) => VERSION,
        }
    }
}

fn read_elect(reader: &mut Reader<'_>, has_policy: bool) -> Result<ElectMaster, DecodeError> {
    let mut command = ElectMaster {
        set: reader.text(NAME_BYTES_MAX)?,
        broker: reader.optional_i64()?.map(BrokerId),
        designate: reader.flag()?,
        unclean: reader.flag()?,
        evidence: read_evidence(reader)?,
        seen: None,
        policy: Policy::default(),
    };
    if has_policy {
        command.seen = reader.flag()?.then(|| reader.i32()).transpose()?.map(MasterEpoch);
        command.policy = Policy { preferred: read_ids(reader)?, never: read_ids(reader)? };
        if command.seen.is_none() && command.policy == Policy::default() {
            return Err(DecodeError::NotCanonical);
        }
    }
    Ok(command)
}

fn ids(out: &mut Vec<u8>, ids: &[BrokerId]) {
    out.count(ids.len());
    for id in ids {
        out.i64(id.0);
    }
}

/// Ids of members, ascending and unique.
fn read_ids(reader: &mut Reader<'_>) -> Result<Vec<BrokerId>, DecodeError> {
    let ids = reader.list(REPLICAS_COUNT_MAX, |reader| reader.i64().map(BrokerId))?;
    if !ids.is_sorted_by(|left, right| left < right) {
        return Err(DecodeError::PolicyOrder);
    }
    Ok(ids)
}

fn alter(out: &mut Vec<u8>, command: &AlterSyncStateSet) {
    out.text(&command.set);
    out.optional_i64(command.master.map(|id| id.0));
    out.flag(command.master_epoch.is_some());
    if let Some(epoch) = command.master_epoch {
        out.i32(epoch.0);
    }
    out.flag(command.new_set.is_some());
    if let Some(new_set) = &command.new_set {
        ids(out, new_set);
    }
    out.i32(command.set_epoch.0);
    evidence(out, &command.evidence);
}

fn read_alter(reader: &mut Reader<'_>) -> Result<AlterSyncStateSet, DecodeError> {
    let id = |reader: &mut Reader<'_>| reader.i64().map(BrokerId);
    let ids = |reader: &mut Reader<'_>| reader.list(SYNC_STATE_SET_COUNT_MAX, id);
    Ok(AlterSyncStateSet {
        set: reader.text(NAME_BYTES_MAX)?,
        master: reader.optional_i64()?.map(BrokerId),
        master_epoch: reader.flag()?.then(|| reader.i32()).transpose()?.map(MasterEpoch),
        new_set: reader.flag()?.then(|| ids(reader)).transpose()?,
        set_epoch: SetEpoch(reader.i32()?),
        evidence: read_evidence(reader)?,
    })
}

fn evidence(out: &mut Vec<u8>, evidence: &Evidence) {
    out.count(evidence.alive().len());
    for broker in evidence.alive() {
        out.i64(broker.id.0);
        out.i32(broker.epoch);
        out.i64(broker.max_offset);
        out.i32(broker.priority);
    }
}

fn read_evidence(reader: &mut Reader<'_>) -> Result<Evidence, DecodeError> {
    let alive = reader.list(EVIDENCE_COUNT_MAX, |reader| {
        Ok(Alive {
            id: BrokerId(reader.i64()?),
            epoch: reader.i32()?,
            max_offset: reader.i64()?,
            priority: reader.i32()?,
        })
    })?;
    if !alive.is_sorted_by(|left, right| left.id < right.id) {
        return Err(DecodeError::EvidenceOrder);
    }
    Ok(Evidence::new(alive))
}
