//! `{"replicasInfoTable":{"broker-a":{"inSyncReplicas":[..],..}}}`: broker sets for administrators.

use super::{int, long, whole};
use crate::Text;
use crate::json::{JsonError, Scanner, Value, write_list, write_number, write_string};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};

/// Broker sets by name.
///
/// Source: upstream `BrokerReplicasInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicasInfo {
    /// `replicasInfoTable`; names are different
    pub table: Vec<(Text, ReplicasOfSet)>,
}

/// One broker set.
///
/// Source: upstream `BrokerReplicasInfo.ReplicasInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicasOfSet {
    /// `inSyncReplicas`
    pub in_sync_replicas: Vec<ReplicaState>,
    /// `masterAddress`; left out if there is no master
    pub master_address: Option<Text>,
    /// `masterBrokerId`; left out if there is no master
    pub master_broker_id: Option<i64>,
    /// `masterEpoch`
    pub master_epoch: i32,
    /// `notInSyncReplicas`
    pub not_in_sync_replicas: Vec<ReplicaState>,
    /// `syncStateSetEpoch`
    pub sync_state_set_epoch: i32,
}

/// One replica.
///
/// Source: upstream `BrokerReplicasInfo.ReplicaIdentity`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaState {
    /// `alive`: it sent a heartbeat in time
    pub alive: bool,
    /// `brokerAddress`
    pub broker_address: Text,
    /// `brokerId`
    pub broker_id: i64,
    /// `brokerName`, the name of the broker set
    pub broker_name: Text,
}

impl ReplicasInfo {
    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut separator: &[u8] = b"{\"replicasInfoTable\":{";
        for (name, set) in &self.table {
            out.extend_from_slice(separator);
            write_string(out, name.as_bytes());
            out.put_u8(b':');
            set.encode(out);
            separator = b",";
        }
        if self.table.is_empty() {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(b"}}");
    }

    /// The body by itself.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }

    /// Reads a body; a missing or null member is empty, 0 or `None`.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        whole(body, |scanner| {
            let mut read = Self::default();
            scanner.members(|scanner, key| {
                if !key.is("replicasInfoTable") {
                    return scanner.value().map(|_| ());
                }
                scanner.members(|scanner, key| {
                    let name = Value::String(key).to_text();
                    read.table.push((name, ReplicasOfSet::read(scanner)?));
                    Ok(())
                })
            })?;
            Ok(read)
        })
    }
}

impl ReplicasOfSet {
    fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"{\"inSyncReplicas\":");
        write_list(out, &self.in_sync_replicas, ReplicaState::encode);
        if let Some(address) = &self.master_address {
            out.extend_from_slice(b",\"masterAddress\":");
            write_string(out, address.as_bytes());
        }
        if let Some(id) = self.master_broker_id {
            out.extend_from_slice(b",\"masterBrokerId\":");
            write_number(out, id);
        }
        out.extend_from_slice(b",\"masterEpoch\":");
        write_number(out, self.master_epoch.into());
        out.extend_from_slice(b",\"notInSyncReplicas\":");
        write_list(out, &self.not_in_sync_replicas, ReplicaState::encode);
        out.extend_from_slice(b",\"syncStateSetEpoch\":");
        write_number(out, self.sync_state_set_epoch.into());
        out.put_u8(b'}');
    }

    fn read(scanner: &mut Scanner<'_>) -> Result<Self, JsonError> {
        let mut set = Self::default();
        scanner.members(|scanner, key| {
            match &*key.bytes() {
                b"inSyncReplicas" => set.in_sync_replicas = replicas(scanner)?,
                b"masterAddress" => {
                    let address = scanner.value()?;
                    set.master_address = (address != Value::Null).then(|| address.to_text());
                }
                b"masterBrokerId" => {
                    let id = scanner.value()?;
                    set.master_broker_id = if id == Value::Null { None } else { Some(long(id)?) };
                }
                b"masterEpoch" => set.master_epoch = int(scanner.value()?)?,
                b"notInSyncReplicas" => set.not_in_sync_replicas = replicas(scanner)?,
                b"syncStateSetEpoch" => set.sync_state_set_epoch = int(scanner.value()?)?,
                _ => {
                    scanner.value()?;
                }
            }
            Ok(())
        })?;
        Ok(set)
    }
}

fn replicas(scanner: &mut Scanner<'_>) -> Result<Vec<ReplicaState>, JsonError> {
    let mut replicas = Vec::new();
    if !scanner.is_null()? {
        scanner.elements(|scanner| {
            replicas.push(ReplicaState::read(scanner)?);
            Ok(())
        })?;
    }
    Ok(replicas)
}

impl ReplicaState {
    fn encode(out: &mut BytesMut, replica: &Self) {
        out.extend_from_slice(b"{\"alive\":");
        out.extend_from_slice(if replica.alive { b"true" } else { b"false" });
        out.extend_from_slice(b",\"brokerAddress\":");
        write_string(out, replica.broker_address.as_bytes());
        out.extend_from_slice(b",\"brokerId\":");
        write_number(out, replica.broker_id);
        out.extend_from_slice(b",\"brokerName\":");
        write_string(out, replica.broker_name.as_bytes());
        out.put_u8(b'}');
    }

    fn read(scanner: &mut Scanner<'_>) -> Result<Self, JsonError> {
        let mut replica = Self::default();
        scanner.members(|scanner, key| {
            let value = scanner.value()?;
            match &*key.bytes() {
                b"alive" => replica.alive = value == Value::Bare(b"true"),
                b"brokerAddress" => replica.broker_address = value.to_text(),
                b"brokerId" => replica.broker_id = long(value)?,
                b"brokerName" => replica.broker_name = value.to_text(),
                _ => {}
            }
            Ok(())
        })?;
        Ok(replica)
    }
}
