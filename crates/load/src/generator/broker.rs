//! What one simulated broker asks of controllers.
//!
//! Source: upstream `ReplicasManager` and `BrokerOuterAPI`, as far as a controller can see them.

use std::net::SocketAddrV4;

use bytes::BytesMut;
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, CleanBrokerData, ElectMaster,
    FLAG_ONE_WAY, GetNextBrokerId, GetReplicaInfo, HeaderEncoding, RegisterBroker, Request, Text,
};

use crate::generator::slot::{OPAQUE_DIGITS, OPAQUE_FIRST, find_opaque, write_opaque};
use crate::requester::NotPatchable;

/// Name of the brokers' cluster.
pub(crate) const CLUSTER: &str = "pitchover-fleet";

/// Where a one-way flag stands in a JSON header, and its digit.
const ONE_WAY_FLAG: &[u8] = b"\"flag\":2";

/// Who a broker is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) set: &'a str,
    pub(crate) id: i64,
    pub(crate) address: SocketAddrV4,
}

impl Identity<'_> {
    fn set(&self) -> Option<Text> {
        Some(Text::copied(self.set))
    }

    fn address(&self) -> Text {
        self.address.to_string().into()
    }

    /// Asks for the id, as a broker does at its first start.
    pub(crate) fn apply(&self) -> Request {
        Request::ApplyBrokerId(ApplyBrokerId {
            cluster_name: Some(CLUSTER.into()),
            broker_name: self.set(),
            applied_broker_id: Some(self.id),
            register_check_code: Some(format!("{};{}", self.address, self.id).into()),
        })
    }

    /// Says that it is there.
    pub(crate) fn register(&self) -> Request {
        Request::RegisterBroker(RegisterBroker {
            cluster_name: Some(CLUSTER.into()),
            broker_name: self.set(),
            broker_id: Some(self.id),
            broker_address: Some(self.address()),
            invoke_time_ms: 0,
        })
    }

    /// Asks for an election, as a broker does that knows no master.
    pub(crate) fn elect(&self) -> Request {
        Request::ElectMaster(ElectMaster {
            cluster_name: CLUSTER.into(),
            broker_name: Text::copied(self.set),
            broker_id: self.id,
            ..ElectMaster::default()
        })
    }

    /// As master, asks for `members` as sync-state set.
    pub(crate) fn alter(&self, master_epoch: i32, members: Vec<i64>, set_epoch: i32) -> Request {
        let body = AlterBody { sync_state_set: Some(members), sync_state_set_epoch: set_epoch };
        Request::AlterSyncStateSet(AlterSyncStateSet {
            broker_name: self.set(),
            master_broker_id: Some(self.id),
            master_epoch: Some(master_epoch),
            invoke_time_ms: None,
            body: Some(body),
        })
    }

    /// The heartbeat; all members of a set report the same offsets, so any of them may be elected.
    pub(crate) fn heartbeat(&self, timeout_ms: i64) -> Request {
        Request::Heartbeat(BrokerHeartbeat {
            cluster_name: Some(CLUSTER.into()),
            broker_address: Some(self.address()),
            broker_name: self.set(),
            broker_id: Some(self.id),
            epoch: 1,
            max_offset: 0,
            confirm_offset: 0,
            heartbeat_timeout_ms: Some(timeout_ms),
            ..BrokerHeartbeat::default()
        })
    }
}

/// The poll of a set (1004).
pub(crate) fn poll(set: &str) -> Request {
    Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some(Text::copied(set)) })
}

/// Removes a set with all its brokers, also living ones (1011).
pub(crate) fn clean(set: &str) -> Request {
    Request::CleanBrokerData(CleanBrokerData {
        cluster_name: Some(CLUSTER.into()),
        broker_name: Some(Text::copied(set)),
        clean_living_broker: true,
        ..CleanBrokerData::default()
    })
}

/// The question for the next broker id of a set (1012).
pub(crate) fn next_id(set: &str) -> Request {
    let (cluster_name, broker_name) = (Some(CLUSTER.into()), Some(Text::copied(set)));
    Request::GetNextBrokerId(GetNextBrokerId { cluster_name, broker_name })
}

/// A request as bytes, whose opaque and direction are changed in place.
#[derive(Clone, Debug)]
pub(crate) struct Stencil {
    frame: Vec<u8>,
    opaque_at: usize,
    /// Where the digit of a one-way flag stands, if the request was made with one.
    flag_at: Option<usize>,
}

impl Stencil {
    /// A request that is answered.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the encoder writes another layout than this crate patches.
    pub(crate) fn two_way(request: &Request) -> Result<Self, NotPatchable> {
        Self::new(request, 0)
    }

    /// A request that is not answered, unless a single one is asked to be.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the encoder writes another layout than this crate patches.
    pub(crate) fn one_way(request: &Request) -> Result<Self, NotPatchable> {
        let stencil = Self::new(request, FLAG_ONE_WAY)?;
        stencil.flag_at.ok_or(NotPatchable)?;
        Ok(stencil)
    }

    fn new(request: &Request, flag: i32) -> Result<Self, NotPatchable> {
        let mut out = BytesMut::new();
        request.encode(OPAQUE_FIRST, flag, HeaderEncoding::Json, &mut out);
        let frame = out.to_vec();
        let opaque_at = find_opaque(&frame, 0).ok_or(NotPatchable)?;
        let flag_at = frame.windows(ONE_WAY_FLAG.len()).position(|part| part == ONE_WAY_FLAG);
        let flag_at = flag_at.map(|at| at + ONE_WAY_FLAG.len() - 1);
        Ok(Self { frame, opaque_at, flag_at })
    }

    /// Appends the request under `opaque`, to be answered.
    pub(crate) fn append(&self, opaque: i32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let at = start + self.opaque_at;
        write_opaque(&mut out[at..at + OPAQUE_DIGITS], opaque);
        if let Some(flag_at) = self.flag_at {
            out[start + flag_at] = b'0';
        }
    }

    /// Appends the request as it was made.
    pub(crate) fn append_one_way(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frame);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::{Frame, Request};

    use super::{Identity, Stencil, poll};

    fn decode(bytes: &[u8]) -> (Frame, Request) {
        let frame = Frame::decode(Bytes::copy_from_slice(bytes)).unwrap();
        let request = Request::decode(&frame).unwrap();
        (frame, request)
    }

    #[test]
    fn a_stencil_changes_opaque_and_direction_only() {
        let address = "127.64.0.1:9".parse().unwrap();
        let request = Identity { set: "s", id: 2, address }.heartbeat(10_000);
        let stencil = Stencil::one_way(&request).unwrap();
        let mut out = Vec::new();
        stencil.append_one_way(&mut out);
        let single = out.len();
        stencil.append(1_999_999_990, &mut out);
        let (first, second) = out.split_at(single);
        let ((one, first), (two, second)) = (decode(first), decode(second));
        assert_eq!((&first, &second), (&request, &request));
        assert!(one.header.is_one_way() && !two.header.is_one_way());
        assert_eq!(two.header.opaque, 1_999_999_990);
        let (frame, read) = {
            let mut out = Vec::new();
            Stencil::two_way(&poll("s")).unwrap().append(1_000_000_007, &mut out);
            decode(&out)
        };
        assert_eq!((frame.header.opaque, read), (1_000_000_007, poll("s")));
        assert!(Stencil::one_way(&Request::GetMetadataInfo).is_ok());
    }
}
