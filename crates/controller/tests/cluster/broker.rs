//! Brokers as controllers see them: heartbeats over connections, an address that accepts or not, notices.

use controller::ConnectionId;
use protocol::{BrokerHeartbeat, RoleNotice};
use std::collections::{BTreeMap, BTreeSet};

use crate::request::{CLUSTER, text};

/// What happens to whoever connects to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Accepts,
    Refuses,
    /// The host does not answer.
    Silent,
}

/// One broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) set: String,
    pub(crate) id: i64,
    pub(crate) address: String,
    pub(crate) epoch: i32,
    pub(crate) max_offset: i64,
    pub(crate) timeout_ms: i64,
    pub(crate) priority: i32,
    pub(crate) is_running: bool,
    pub(crate) door: Door,
    /// Does not acknowledge notices.
    pub(crate) is_deaf: bool,
    /// The nodes that it cannot reach.
    pub(crate) cut_from: BTreeSet<u64>,
    pub(crate) connections: BTreeMap<u64, ConnectionId>,
    /// What it was told, newest last, with the moment.
    pub(crate) told: Vec<(u64, RoleNotice)>,
    /// Counts its starts; an event of an earlier life is void.
    pub(crate) life: u64,
}

impl Broker {
    pub(crate) fn new(set: &str, id: i64) -> Self {
        Self {
            set: set.to_owned(),
            id,
            address: address(set, id),
            epoch: 0,
            max_offset: 0,
            timeout_ms: 10_000,
            priority: i32::MAX,
            is_running: true,
            door: Door::Accepts,
            is_deaf: false,
            cut_from: BTreeSet::new(),
            connections: BTreeMap::new(),
            told: Vec::new(),
            life: 0,
        }
    }

    pub(crate) fn heartbeat(&self) -> BrokerHeartbeat {
        BrokerHeartbeat {
            cluster_name: Some(text(CLUSTER)),
            broker_address: Some(text(&self.address)),
            broker_name: Some(text(&self.set)),
            broker_id: Some(self.id),
            epoch: self.epoch,
            max_offset: self.max_offset,
            confirm_offset: self.max_offset,
            heartbeat_timeout_ms: Some(self.timeout_ms),
            election_priority: self.priority,
        }
    }

    /// The newest notice it heard.
    pub(crate) fn newest_notice(&self) -> Option<&RoleNotice> {
        self.told.iter().map(|(_, notice)| notice).max_by_key(|notice| notice.master_epoch)
    }
}

/// Where broker `id` of `set` listens.
pub(crate) fn address(set: &str, id: i64) -> String {
    format!("{set}.{id}:30911")
}
