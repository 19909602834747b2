//! What may be asked of the replicated state, one struct per command.
//!
//! Fields that a request may lack are optional here, because upstream answers a missing field only
//! when it comes to use it: an earlier check may answer first. The broker set's name is never
//! optional: every command needs it before anything else.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::evidence::Evidence;
use crate::ids::{BrokerId, MasterEpoch, SetEpoch};
use crate::limits::{
    ADDRESS_BYTES_MAX, CHECK_CODE_BYTES_MAX, CLUSTER_BYTES_MAX, EVIDENCE_COUNT_MAX,
    ID_LIST_BYTES_MAX, NAME_BYTES_MAX, REPLICAS_COUNT_MAX, SYNC_STATE_SET_COUNT_MAX,
};
use crate::outcome::Rejection;

pub(crate) mod codec;

/// A change that is asked of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A broker takes an id.
    ApplyBrokerId(ApplyBrokerId),
    /// A broker with an id comes (again), perhaps at a new address.
    RegisterBroker(RegisterBroker),
    /// A master is to be chosen.
    ElectMaster(ElectMaster),
    /// A master replaces its sync-state set.
    AlterSyncStateSet(AlterSyncStateSet),
    /// An operator removes brokers or a whole broker set.
    CleanBrokerData(CleanBrokerData),
}

/// A broker takes an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyBrokerId {
    /// The cluster's name; stored if this creates the broker set, not compared otherwise.
    pub cluster: Option<Box<str>>,
    /// The broker set's name.
    pub set: Box<str>,
    /// The id it wants; needed.
    pub id: Option<BrokerId>,
    /// `<address>;<milliseconds>`, by which a repeat is known; needed.
    pub check_code: Option<Box<str>>,
}

/// A broker with an id comes (again), perhaps at a new address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    /// The broker set's name.
    pub set: Box<str>,
    /// Its id; needed.
    pub id: Option<BrokerId>,
    /// Where it can be reached; needed.
    pub address: Option<Box<str>>,
    /// Who is alive under the cluster name *of the request*: a broker that comes with a wrong
    /// cluster name is not told of a master, as upstream has it.
    pub evidence: Evidence,
}

/// A master is to be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectMaster {
    /// The broker set's name.
    pub set: Box<str>,
    /// The broker that asks for itself, or that an operator names; none or -1: the controller asks.
    pub broker: Option<BrokerId>,
    /// Whether `broker` and nobody else is wanted.
    pub designate: bool,
    /// Whether a broker outside the sync-state set may be chosen when nobody inside it can.
    pub unclean: bool,
    /// Who is alive under the stored cluster name.
    pub evidence: Evidence,
    /// The master epoch that the leader knew when it took the evidence; none: not said, as before layout 2.
    pub seen: Option<MasterEpoch>,
    /// What the leader's configuration says of members of this broker set.
    pub policy: Policy,
}

/// Members of one broker set that the operator wants as masters, and that he does not.
///
/// The lists are in the leader's configuration, and peers may differ in theirs, so they travel in the command.
/// Both ascend, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// They go before others that have come equally far.
    pub preferred: Vec<BrokerId>,
    /// They are not elected unless an operator names one.
    pub never: Vec<BrokerId>,
}

impl Policy {
    /// Takes the ids in any order.
    #[must_use]
    pub fn new(mut preferred: Vec<BrokerId>, mut never: Vec<BrokerId>) -> Self {
        for ids in [&mut preferred, &mut never] {
            ids.sort_unstable();
            ids.dedup();
        }
        Self { preferred, never }
    }

    pub(crate) fn prefers(&self, id: BrokerId) -> bool {
        self.preferred.binary_search(&id).is_ok()
    }

    pub(crate) fn forbids(&self, id: BrokerId) -> bool {
        self.never.binary_search(&id).is_ok()
    }
}

/// A master replaces its sync-state set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterSyncStateSet {
    /// The broker set's name.
    pub set: Box<str>,
    /// The id of the broker that asks and believes to be the master.
    pub master: Option<BrokerId>,
    /// The master epoch it believes to be current; needed.
    pub master_epoch: Option<MasterEpoch>,
    /// The wanted set, in any order, duplicates collapse; needed.
    pub new_set: Option<Vec<BrokerId>>,
    /// The set epoch it believes to be current.
    pub set_epoch: SetEpoch,
    /// Who is alive under the stored cluster name.
    pub evidence: Evidence,
}

/// An operator removes brokers or a whole broker set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanBrokerData {
    /// The broker set's name.
    pub set: Box<str>,
    /// The ids to remove, as written: separated by `;`. None or blank: the whole broker set.
    pub ids: Option<Box<str>>,
    /// Whether living brokers may be removed.
    pub clean_living: bool,
    /// Who is alive under the stored cluster name.
    pub evidence: Evidence,
}

impl Command {
    /// The name of the broker set that it concerns; no command concerns two.
    #[must_use]
    pub fn set(&self) -> &str {
        match self {
            Self::ApplyBrokerId(command) => &command.set,
            Self::RegisterBroker(command) => &command.set,
            Self::ElectMaster(command) => &command.set,
            Self::AlterSyncStateSet(command) => &command.set,
            Self::CleanBrokerData(command) => &command.set,
        }
    }

    /// The evidence it carries; applying for an id needs none.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::ApplyBrokerId(_) => None,
            Self::RegisterBroker(command) => Some(&command.evidence),
            Self::ElectMaster(command) => Some(&command.evidence),
            Self::AlterSyncStateSet(command) => Some(&command.evidence),
            Self::CleanBrokerData(command) => Some(&command.evidence),
        }
    }

    /// Refuses what exceeds a limit, from the command alone.
    ///
    /// To be asked before a command is proposed: [`Command::decode`] does not accept what this
    /// refuses. [`crate::Replicas::decide`] asks it first again.
    ///
    /// # Errors
    /// - [`Rejection::LimitExceeded`]: a text or a list is longer than its limit.
    /// - [`Rejection::ControlCharacter`]: a name that would be stored holds one.
    pub fn check_limits(&self) -> Result<(), Rejection> {
        text("brokerName", self.set(), "NAME_BYTES_MAX", NAME_BYTES_MAX)?;
        let alive = self.evidence().map_or(0, |evidence| evidence.alive().len());
        within("evidence", alive, "EVIDENCE_COUNT_MAX", EVIDENCE_COUNT_MAX)?;
        match self {
            Self::ApplyBrokerId(command) => {
                let cluster = command.cluster.as_deref().unwrap_or_default();
                text("clusterName", cluster, "CLUSTER_BYTES_MAX", CLUSTER_BYTES_MAX)?;
                let code = command.check_code.as_deref().unwrap_or_default();
                text("registerCheckCode", code, "CHECK_CODE_BYTES_MAX", CHECK_CODE_BYTES_MAX)?;
                no_control_characters("brokerName", &command.set)?;
                no_control_characters("clusterName", cluster)
            }
            Self::RegisterBroker(command) => {
                let address = command.address.as_deref().unwrap_or_default();
                text("brokerAddress", address, "ADDRESS_BYTES_MAX", ADDRESS_BYTES_MAX)
            }
            Self::ElectMaster(command) => {
                let Policy { preferred, never } = &command.policy;
                let limit = ("REPLICAS_COUNT_MAX", REPLICAS_COUNT_MAX);
                within("preferredMasters", preferred.len(), limit.0, limit.1)?;
                within("neverMaster", never.len(), limit.0, limit.1)
            }
            Self::AlterSyncStateSet(command) => {
                let count = command.new_set.as_ref().map_or(0, Vec::len);
                let limit = ("SYNC_STATE_SET_COUNT_MAX", SYNC_STATE_SET_COUNT_MAX);
                within("syncStateSet", count, limit.0, limit.1)
            }
            Self::CleanBrokerData(command) => {
                let ids = command.ids.as_deref().unwrap_or_default();
                let limit = ("ID_LIST_BYTES_MAX", ID_LIST_BYTES_MAX);
                text("brokerControllerIdsToClean", ids, limit.0, limit.1)
            }
        }
    }
}

fn text(
    field: &'static str,
    value: &str,
    limit: &'static str,
    maximum: usize,
) -> Result<(), Rejection> {
    within(field, value.len(), limit, maximum)
}

fn within(
    field: &'static str,
    size: usize,
    limit: &'static str,
    maximum: usize,
) -> Result<(), Rejection> {
    if size <= maximum {
        return Ok(());
    }
    Err(Rejection::LimitExceeded { field, limit, maximum })
}

/// Names end up in metrics, logs and admin pages, where a line break would forge a line.
fn no_control_characters(field: &'static str, value: &str) -> Result<(), Rejection> {
    if value.chars().any(char::is_control) {
        return Err(Rejection::ControlCharacter { field });
    }
    Ok(())
}
