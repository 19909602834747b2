//! `{"brokerMemberGroup":{"brokerAddrs":{"1":".."},"brokerName":"..","cluster":".."},
//! "syncStateSet":[2]}`: the answer to an election, the group only if there is a new master.

use super::{ids, long, whole};
use crate::Text;
use crate::json::{JsonError, Scanner, Value, write_list, write_number, write_string};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};

/// The members of a broker set and its new sync-state set.
///
/// Source: upstream `ElectMasterResponseBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElectMasterBody {
    /// `brokerMemberGroup`
    pub broker_member_group: Option<MemberGroup>,
    /// `syncStateSet`: broker ids
    pub sync_state_set: Vec<i64>,
}

/// The replicas of a broker set and their addresses.
///
/// Source: upstream `BrokerMemberGroup`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberGroup {
    /// `cluster`; left out if the set was made without one
    pub cluster: Option<Text>,
    /// `brokerName`, the name of the broker set
    pub broker_name: Text,
    /// `brokerAddrs`: address by broker id
    pub broker_addrs: Vec<(i64, Text)>,
}

impl ElectMasterBody {
    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(b'{');
        if let Some(group) = &self.broker_member_group {
            out.extend_from_slice(b"\"brokerMemberGroup\":");
            group.encode(out);
            out.put_u8(b',');
        }
        out.extend_from_slice(b"\"syncStateSet\":");
        write_list(out, &self.sync_state_set, |out, &id| write_number(out, id));
        out.put_u8(b'}');
    }

    /// The body by itself.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        // Room for the names and for three members.
        let mut out = BytesMut::with_capacity(256);
        self.encode(&mut out);
        out.freeze()
    }

    /// Reads a body; a missing or null member is empty.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        whole(body, |scanner| {
            let mut read = Self::default();
            scanner.members(|scanner, key| {
                if key.is("brokerMemberGroup") {
                    read.broker_member_group = MemberGroup::read(scanner)?;
                } else if key.is("syncStateSet") {
                    read.sync_state_set = ids(scanner)?;
                } else {
                    scanner.value()?;
                }
                Ok(())
            })?;
            Ok(read)
        })
    }
}

impl MemberGroup {
    fn encode(&self, out: &mut BytesMut) {
        let mut separator: &[u8] = b"{\"brokerAddrs\":{";
        for (id, address) in &self.broker_addrs {
            out.extend_from_slice(separator);
            out.put_u8(b'"');
            write_number(out, *id);
            out.extend_from_slice(b"\":");
            write_string(out, address.as_bytes());
            separator = b",";
        }
        if self.broker_addrs.is_empty() {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(b"},\"brokerName\":");
        write_string(out, self.broker_name.as_bytes());
        if let Some(cluster) = &self.cluster {
            out.extend_from_slice(b",\"cluster\":");
            write_string(out, cluster.as_bytes());
        }
        out.put_u8(b'}');
    }

    fn read(scanner: &mut Scanner<'_>) -> Result<Option<Self>, JsonError> {
        if scanner.is_null()? {
            return Ok(None);
        }
        let mut group = Self::default();
        scanner.members(|scanner, key| {
            if key.is("brokerAddrs") {
                scanner.members(|scanner, key| {
                    let id = long(Value::String(key))?;
                    group.broker_addrs.push((id, scanner.value()?.to_text()));
                    Ok(())
                })?;
            } else if key.is("brokerName") {
                group.broker_name = scanner.value()?.to_text();
            } else if key.is("cluster") {
                let cluster = scanner.value()?;
                group.cluster = (cluster != Value::Null).then(|| cluster.to_text());
            } else {
                scanner.value()?;
            }
            Ok(())
        })?;
        Ok(Some(group))
    }
}
