//! The whole state as canonical bytes: equal states give equal bytes, and only such bytes are read.
//!
//! Fields are those of `fields.rs`.
//!
//! | Offset | Field | Value |
//! |---|---|---|
//! | 0 | 4 bytes | `RPLC` |
//! | 4 | `u32` version | 1 |
//! | 8 | `u32` count | how many records follow |
//! | 12 | records | ascending by name, one for each broker set and tombstone |
//!
//! | Record | Field | Value |
//! |---|---|---|
//! | all | text | the name |
//! | all | `u8` kind | 1 broker set, 2 tombstone |
//! | all | `i32` | master epoch |
//! | all | `i32` | set epoch |
//! | all | `i64` | next id |
//! | 1 | optional text | cluster |
//! | 1 | flag | was elected |
//! | 1 | optional `i64` | master |
//! | 1 | list of `i64` | sync-state set, ascending |
//! | 1 | list | replicas, ascending by id: `i64` id, text address, text check code |
//!
//! A checksum is not part of it: whoever stores or sends the bytes adds one.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::broker_set::{BrokerSet, Replica, Tombstone};
use crate::command::codec::Malformed;
use crate::fields::{FieldError, Reader, Sink};
use crate::ids::{BrokerId, MasterEpoch, SetEpoch};
use crate::limits::{
    ADDRESS_BYTES_MAX, BROKER_SETS_COUNT_MAX, CHECK_CODE_BYTES_MAX, CLUSTER_BYTES_MAX,
    NAME_BYTES_MAX, REPLICAS_COUNT_MAX,
};
use crate::state::Slot;

const MAGIC: [u8; 4] = *b"RPLC";
const VERSION: u32 = 1;

const BROKER_SET: u8 = 1;
const TOMBSTONE: u8 = 2;

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The bytes do not begin as a snapshot does.
    #[error("not a snapshot of broker sets: it does not begin with RPLC")]
    Magic,
    /// The layout is of a version that is not known.
    #[error("snapshot layout {version} is not known, this version knows 1")]
    Version {
        /// The version it names.
        version: u32,
    },
    /// A record is neither a broker set nor a tombstone.
    #[error("record kind {kind} before byte {offset} is not known")]
    Kind {
        /// The kind it names.
        kind: u8,
        /// Where reading stands.
        offset: usize,
    },
    /// Names do not ascend, so the bytes are not canonical.
    #[error("the name of the record before byte {offset} does not follow the one before it")]
    Order {
        /// Where reading stands.
        offset: usize,
    },
    /// A record breaks an invariant of [`BrokerSet`] or [`Tombstone`].
    #[error("broker set {set:?} breaks an invariant: {invariant}")]
    Invariant {
        /// The broker set.
        set: Box<str>,
        /// Which one.
        invariant: &'static str,
    },
    /// A field cannot be read: cut, over a limit, not UTF-8, or bytes follow the end.
    #[error("snapshot: {0}")]
    Field(#[source] Malformed),
}

impl From<FieldError> for RestoreError {
    fn from(error: FieldError) -> Self {
        Self::Field(error.into())
    }
}

pub(crate) fn encode(slots: &BTreeMap<Box<str>, Slot>) -> Vec<u8> {
    let mut out = Vec::new();
    out.raw(&MAGIC);
    out.u32(VERSION);
    out.count(slots.len());
    for (name, slot) in slots {
        encode_slot(name, slot, &mut out);
    }
    out
}

pub(crate) fn encode_slot(name: &str, slot: &Slot, out: &mut impl Sink) {
    out.text(name);
    match slot {
        Slot::Known(set) => {
            out.u8(BROKER_SET);
            out.i32(set.master_epoch.0);
            out.i32(set.set_epoch.0);
            out.i64(set.next_id.0);
            out.optional_text(set.cluster.as_deref());
            out.flag(set.was_elected);
            out.optional_i64(set.master.map(|id| id.0));
            out.count(set.sync_state_set.len());
            for id in &set.sync_state_set {
                out.i64(id.0);
            }
            out.count(set.replicas.len());
            for replica in &set.replicas {
                out.i64(replica.id.0);
                out.text(&replica.address);
                out.text(&replica.check_code);
            }
        }
        Slot::Cleaned(tombstone) => {
            out.u8(TOMBSTONE);
            out.i32(tombstone.master_epoch.0);
            out.i32(tombstone.set_epoch.0);
            out.i64(tombstone.next_id.0);
        }
    }
}

pub(crate) fn decode(bytes: &[u8]) -> Result<BTreeMap<Box<str>, Slot>, RestoreError> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != MAGIC {
        return Err(RestoreError::Magic);
    }
    let version = reader.u32()?;
    if version != VERSION {
        return Err(RestoreError::Version { version });
    }
    let count = reader.count(BROKER_SETS_COUNT_MAX)?;
    let mut slots = BTreeMap::new();
    for _ in 0..count {
        let name = reader.text(NAME_BYTES_MAX)?;
        let slot = decode_slot(&name, &mut reader)?;
        let follows = slots.last_key_value().is_none_or(|(last, _)| *last < name);
        if !follows {
            return Err(RestoreError::Order { offset: reader.offset() });
        }
        slots.insert(name, slot);
    }
    reader.end()?;
    Ok(slots)
}

fn decode_slot(name: &str, reader: &mut Reader<'_>) -> Result<Slot, RestoreError> {
    let kind = reader.u8()?;
    let master_epoch = MasterEpoch(reader.i32()?);
    let set_epoch = SetEpoch(reader.i32()?);
    let next_id = BrokerId(reader.i64()?);
    let (slot, broken) = match kind {
        BROKER_SET => {
            let set = BrokerSet {
                cluster: reader.optional_text(CLUSTER_BYTES_MAX)?,
                master_epoch,
                set_epoch,
                next_id,
                was_elected: reader.flag()?,
                master: reader.optional_i64()?.map(BrokerId),
                sync_state_set: reader
                    .list(REPLICAS_COUNT_MAX, |reader| reader.i64().map(BrokerId))?,
                replicas: reader.list(REPLICAS_COUNT_MAX, decode_replica)?,
            };
            let broken = set.broken_invariant();
            (Slot::Known(set), broken)
        }
        TOMBSTONE => {
            let tombstone = Tombstone { master_epoch, set_epoch, next_id };
            (Slot::Cleaned(tombstone), tombstone.broken_invariant())
        }
        kind => return Err(RestoreError::Kind { kind, offset: reader.offset() }),
    };
    match broken {
        Some(invariant) => Err(RestoreError::Invariant { set: name.into(), invariant }),
        None => Ok(slot),
    }
}

fn decode_replica(reader: &mut Reader<'_>) -> Result<Replica, FieldError> {
    Ok(Replica {
        id: BrokerId(reader.i64()?),
        address: reader.text(ADDRESS_BYTES_MAX)?,
        check_code: reader.text(CHECK_CODE_BYTES_MAX)?,
    })
}
