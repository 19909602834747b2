//! What applying a command gives: an outcome, or a rejection that changed nothing.
//!
//! Both carry the values that the answer needs, and no text: codes and remarks belong to the
//! controller. Each rejection maps to one code and one remark; where upstream says the same thing
//! ("broker set unknown") in different words per request, there is one variant per request.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::ids::{BrokerId, MasterEpoch, SetEpoch};

/// A recorded master and all that brokers are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedMaster {
    /// Its id.
    pub id: BrokerId,
    /// Its registered address.
    pub address: Box<str>,
    /// The master epoch that began with it.
    pub master_epoch: MasterEpoch,
    /// The epoch of `sync_state_set`.
    pub set_epoch: SetEpoch,
    /// The sync-state set, ascending; the master is in it.
    pub sync_state_set: Vec<BrokerId>,
}

/// One registered broker of a broker set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: BrokerId,
    /// Its registered address.
    pub address: Box<str>,
}

/// A command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 1013: the broker has the id, now or since an equal request before.
    BrokerIdApplied {
        /// The cluster name of the request.
        cluster: Option<Box<str>>,
        /// The id it has.
        id: BrokerId,
    },
    /// 1003: the broker is known and its address is stored.
    BrokerRegistered {
        /// The recorded master, if the evidence holds it alive.
        master: Option<RecordedMaster>,
        /// The sync-state set, ascending.
        sync_state_set: Vec<BrokerId>,
        /// Its epoch.
        set_epoch: SetEpoch,
        /// Whether the address was another before.
        address_changed: bool,
    },
    /// 1002: a new master, alone in its sync-state set.
    MasterElected {
        /// The new master, with the raised epochs.
        master: RecordedMaster,
        /// Who was master before.
        previous: Option<BrokerId>,
        /// The stored cluster name.
        cluster: Option<Box<str>>,
        /// All registered brokers, ascending by id; the notices go to the living among them.
        members: Vec<Member>,
    },
    /// 2004: the controller, or nobody in particular, asked, and nobody can be master.
    NoMaster {
        /// The master that was recorded and is no longer, if this election took it away.
        taken_away: Option<BrokerId>,
        /// The master epoch now: raised if a master was taken away, else as before.
        master_epoch: MasterEpoch,
    },
    /// 1001: the sync-state set was replaced.
    SyncStateSetAltered {
        /// The stored set, ascending.
        sync_state_set: Vec<BrokerId>,
        /// Its new epoch.
        set_epoch: SetEpoch,
    },
    /// 1011: the named brokers are gone, or were not there.
    BrokersCleaned {
        /// The ids that were registered and are no longer, ascending.
        removed: Vec<BrokerId>,
        /// The master, if it was among them.
        master: Option<BrokerId>,
        /// Whether the whole broker set is gone; a tombstone keeps its epochs and next id.
        whole_set: bool,
    },
}

/// A command that was refused and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A field that is needed is absent (code 1; upstream throws).
    MissingField {
        /// Its name on the wire.
        field: &'static str,
    },
    /// A text, a list or the state would exceed a limit (code 1; upstream has none).
    LimitExceeded {
        /// The field's name on the wire, or what would grow too large.
        field: &'static str,
        /// The limit's name in [`crate::limits`].
        limit: &'static str,
        /// The limit.
        maximum: usize,
    },
    /// A name that would be stored holds a control character (code 1; upstream accepts it).
    ControlCharacter {
        /// The field's name on the wire.
        field: &'static str,
    },
    /// An epoch is at its maximum, so no change that raises it is possible (code 1; upstream wraps).
    EpochExhausted {
        /// The broker set.
        set: Box<str>,
    },

    /// 1013, 2014: the broker set is unknown and the id is not the first.
    ApplySetUnknown {
        /// The broker set.
        set: Box<str>,
        /// The id of the request.
        id: BrokerId,
    },
    /// 1013, 2014: the id is taken by another, was given before, or is no id.
    BrokerIdRefused {
        /// The broker set.
        set: Box<str>,
        /// The id of the request.
        id: BrokerId,
    },

    /// 1003, 2010: the broker set is unknown.
    RegisterSetUnknown {
        /// The broker set.
        set: Box<str>,
    },
    /// 1003, 2010: the broker set has no such id.
    RegisterIdUnknown {
        /// The broker set.
        set: Box<str>,
        /// The id of the request.
        id: BrokerId,
    },

    /// 1002, 2010: the broker set is unknown.
    ElectSetUnknown,
    /// 1002, 2011: the recorded master is alive and stays.
    MasterStillExists {
        /// The broker set.
        set: Box<str>,
        /// The recorded master.
        master: RecordedMaster,
    },
    /// 1002, 2012: nobody can be master, or not the one that was asked for.
    ElectionFailed,

    /// 1001, 2013: the broker set is unknown.
    AlterSetUnknown,
    /// 1001, 2013: the wanted set equals the stored one, epochs aside.
    SetUnchanged,
    /// 1001, 2002: the asking broker is not the recorded master.
    NotMaster {
        /// The recorded master.
        current: Option<BrokerId>,
        /// Who asks.
        given: Option<BrokerId>,
    },
    /// 1001, 2000: the master epoch differs.
    FencedMasterEpoch {
        /// The stored epoch.
        current: MasterEpoch,
        /// The epoch of the request.
        given: MasterEpoch,
    },
    /// 1001, 2001: the set epoch differs.
    FencedSetEpoch {
        /// The stored epoch.
        current: SetEpoch,
        /// The epoch of the request.
        given: SetEpoch,
    },
    /// 1001, 2003: a member of the wanted set is not registered.
    ReplicaUnknown {
        /// That member.
        id: BrokerId,
    },
    /// 1001, 2006: a member of the wanted set is not alive, going by the evidence.
    ReplicaNotAlive {
        /// That member.
        id: BrokerId,
    },
    /// 1001, 2013: the wanted set lacks the master.
    MasterNotInSet {
        /// The recorded master.
        master: BrokerId,
    },

    /// 1011, 2009: the whole broker set is to go, but a master is recorded (alive or not).
    CleanMasterRecorded {
        /// The broker set.
        set: Box<str>,
    },
    /// 1011, 2009: an id in the list is not a number.
    CleanIdMalformed {
        /// That part of the list, as written.
        part: Box<str>,
    },
    /// 1011, 2009: a named broker is alive.
    CleanBrokerAlive {
        /// The broker set.
        set: Box<str>,
        /// The living broker.
        id: BrokerId,
    },
    /// 1011, 2009: the broker set is unknown.
    CleanSetUnknown {
        /// The broker set.
        set: Box<str>,
    },
}
