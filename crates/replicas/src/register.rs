//! A broker with an id comes (again) (1003).
//!
//! | # | Check | Rejection |
//! |---|---|---|
//! | 1 | set known | [`Rejection::RegisterSetUnknown`] |
//! | 2 | an id | [`Rejection::MissingField`] |
//! | 3 | the id is registered | [`Rejection::RegisterIdUnknown`] |
//! | 4 | an address | [`Rejection::MissingField`] |
//!
//! The master is told only if the evidence holds it alive. A new address is stored. Registering is
//! no heartbeat: it makes nobody alive.
//!
//! Not as upstream: an empty address is answered like an absent one.
//!
//! Source: upstream `ReplicasInfoManager#registerBroker`.

use crate::command::RegisterBroker;
use crate::outcome::{Outcome, Rejection};
use crate::state::{Change, Decision, Replicas};

pub(crate) fn decide(state: &Replicas, command: &RegisterBroker) -> Result<Decision, Rejection> {
    let Some(set) = state.broker_set(&command.set) else {
        return Err(Rejection::RegisterSetUnknown { set: command.set.clone() });
    };
    let id = command.id.ok_or(Rejection::MissingField { field: "brokerId" })?;
    let Some(replica) = set.replica(id) else {
        return Err(Rejection::RegisterIdUnknown { set: command.set.clone(), id });
    };
    let address = command.address.as_deref().unwrap_or_default();
    if address.is_empty() {
        return Err(Rejection::MissingField { field: "brokerAddress" });
    }

    let address_changed = *replica.address != *address;
    let is_alive = |master| command.evidence.is_alive(master);
    // A broker that registers itself as the recorded master from a new address hears the old one
    // in this answer, as upstream has it: the change comes after the look.
    let master = set.master().filter(|master| is_alive(*master)).and(set.recorded_master());
    let outcome = Outcome::BrokerRegistered {
        master,
        sync_state_set: set.sync_state_set().to_vec(),
        set_epoch: set.set_epoch(),
        address_changed,
    };
    let change = if address_changed {
        Change::MoveTo { id, address: address.into() }
    } else {
        Change::Nothing
    };
    Ok(Decision { outcome, change })
}
