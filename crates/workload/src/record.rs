//! From a request and its answer to operations, the same for every recorder.
//!
//! | Answer | Outcome |
//! |---|---|
//! | code 0 | carried out |
//! | code 1, and codes that only a relay or upstream's Raft layer sends (1500, 2015) | unknown |
//! | 2004 after an election for nobody in particular | unknown: such a refusal may have taken a master away |
//! | every other code | refused, without effect |
//! | no answer | unknown; a read without an answer says nothing, and is recorded all the same |
//!
//! Requests about no broker set's state (904, 1005, 1009, 1010) and requests that lack what makes
//! them a question (no name, no id) make no operation.

use crate::history::{Call, NOBODY, Outcome, Seen};
use protocol::response_code as code;
use protocol::{ElectMasterBody, ReplicasInfo, Request, Response, SyncStateSetBody};

/// The operations that a request is: one, or one for each broker set of a 1006.
#[must_use]
pub fn calls(request: &Request) -> Vec<(Box<str>, Call)> {
    let one = |set: &str, call| vec![(Box::from(set), call)];
    let parts = match request {
        Request::GetReplicaInfo(request) => {
            request.broker_name.as_deref().map(|set| one(set, Call::Read))
        }
        Request::GetSyncStateData(request) => request
            .broker_names
            .as_ref()
            .map(|names| names.iter().map(|set| (Box::from(&**set), Call::Read)).collect()),
        Request::GetNextBrokerId(request) => {
            request.broker_name.as_deref().map(|set| one(set, Call::ReadNextId))
        }
        Request::ApplyBrokerId(request) => {
            let fields = (&request.broker_name, request.applied_broker_id);
            match (fields, &request.register_check_code) {
                ((Some(set), Some(id)), Some(check_code)) => {
                    Some(one(set, Call::ApplyId { id, check_code: Box::from(&**check_code) }))
                }
                _ => None,
            }
        }
        Request::RegisterBroker(request) => match (&request.broker_name, request.broker_id) {
            (Some(set), Some(id)) => Some(one(set, Call::Register { id })),
            _ => None,
        },
        Request::ElectMaster(request) => {
            let call = Call::Elect { id: request.broker_id, designate: request.designate_elect };
            Some(one(&request.broker_name, call))
        }
        Request::AlterSyncStateSet(request) => alter(request),
        Request::CleanBrokerData(request) => request.broker_name.as_deref().map(|set| {
            let list = request.broker_ids_to_clean.as_deref().unwrap_or_default();
            let ids = list.split(';').filter_map(|id| id.parse().ok()).collect();
            one(set, Call::Clean { ids, living: request.clean_living_broker })
        }),
        Request::Heartbeat(_)
        | Request::GetMetadataInfo
        | Request::UpdateControllerConfig(_)
        | Request::GetControllerConfig => None,
    };
    parts.unwrap_or_default()
}

fn alter(request: &protocol::AlterSyncStateSet) -> Option<Vec<(Box<str>, Call)>> {
    let body = request.body.as_ref()?;
    let call = Call::Alter {
        master: request.master_broker_id.unwrap_or(NOBODY),
        master_epoch: request.master_epoch?,
        set_epoch: body.sync_state_set_epoch,
        new_set: body.sync_state_set.clone()?,
    };
    Some(vec![(Box::from(&**request.broker_name.as_ref()?), call)])
}

/// What an answer says about one operation of its request.
#[must_use]
pub fn outcome(set: &str, call: &Call, response: &Response) -> Outcome {
    let is_for_nobody = matches!(call, Call::Elect { id: NOBODY, designate: false });
    match response.code {
        code::SUCCESS => success(set, call, response),
        code::SYSTEM_ERROR | code::GO_AWAY | code::CONTROLLER_JRAFT_INTERNAL_ERROR => {
            Outcome::Unknown
        }
        code::CONTROLLER_MASTER_NOT_AVAILABLE if is_for_nobody => Outcome::Unknown,
        refusal => Outcome::Refused {
            code: refusal,
            seen: match refusal {
                code::CONTROLLER_MASTER_STILL_EXIST => elected(response),
                _ => Seen::default(),
            },
        },
    }
}

fn success(set: &str, call: &Call, response: &Response) -> Outcome {
    let seen = match call {
        Call::Read => match read(set, response) {
            Some(seen) => seen,
            // 1006 leaves out what it does not know, where 1004 answers 2008.
            None => {
                let code = code::CONTROLLER_BROKER_METADATA_NOT_EXIST;
                return Outcome::Refused { code, seen: Seen::default() };
            }
        },
        Call::ReadNextId => Seen { next_id: response.ext.long("nextBrokerId"), ..Seen::default() },
        // The id is above all that were given before, so this one makes the next.
        Call::ApplyId { .. } | Call::Clean { .. } => Seen::default(),
        Call::Register { .. } => registered(response),
        Call::Elect { .. } => elected(response),
        Call::Alter { master, master_epoch, .. } => {
            let body = SyncStateSetBody::decode(&response.body);
            Seen {
                master_epoch: Some(*master_epoch),
                set_epoch: body.as_ref().map(|body| body.epoch),
                master: Some(*master),
                sync_state_set: body.map(|body| body.sync_state_set),
                next_id: None,
            }
        }
    };
    Outcome::Ok(seen)
}

fn read(set: &str, response: &Response) -> Option<Seen> {
    if response.ext.get("masterEpoch").is_some() {
        let body = SyncStateSetBody::decode(&response.body)?;
        return Some(Seen {
            master_epoch: response.ext.int("masterEpoch"),
            set_epoch: Some(body.epoch),
            master: Some(response.ext.long("masterBrokerId").unwrap_or(NOBODY)),
            sync_state_set: Some(body.sync_state_set),
            next_id: None,
        });
    }
    let info = ReplicasInfo::decode(&response.body)?;
    let (_, of_set) = info.table.into_iter().find(|(name, _)| **name == *set)?;
    Some(Seen {
        master_epoch: Some(of_set.master_epoch),
        set_epoch: Some(of_set.sync_state_set_epoch),
        master: Some(of_set.master_broker_id.unwrap_or(NOBODY)),
        sync_state_set: Some(of_set.in_sync_replicas.iter().map(|r| r.broker_id).collect()),
        next_id: None,
    })
}

/// The master is told only while it lives, so its absence says nothing.
fn registered(response: &Response) -> Seen {
    let body = SyncStateSetBody::decode(&response.body);
    Seen {
        master_epoch: response.ext.int("masterEpoch"),
        set_epoch: body.as_ref().map(|body| body.epoch),
        master: response.ext.long("masterBrokerId"),
        sync_state_set: body.map(|body| body.sync_state_set),
        next_id: None,
    }
}

fn elected(response: &Response) -> Seen {
    let body = ElectMasterBody::decode(&response.body);
    Seen {
        master_epoch: response.ext.int("masterEpoch"),
        set_epoch: response.ext.int("syncStateSetEpoch"),
        master: response.ext.long("masterBrokerId"),
        sync_state_set: body.map(|body| body.sync_state_set),
        next_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{calls, outcome};
    use crate::history::{Call, NOBODY, Outcome, Seen};
    use protocol::response_code as code;
    use protocol::{GetReplicaInfo, GetSyncStateData, Request, Response, SyncStateSetBody};

    fn check(call: &Call, response: &Response, expected: &str) {
        assert_eq!(format!("{:?}", outcome("a", call, response)), expected);
    }

    fn with_set(mut response: Response, fields: &[(&str, i64)]) -> Response {
        for (name, value) in fields {
            response.ext.push(name, *value);
        }
        response.body = SyncStateSetBody { sync_state_set: vec![1, 2], epoch: 6 }.to_bytes();
        response
    }

    #[test]
    fn a_read_shows_everything_and_says_when_nobody_is_master() {
        let fields = [("masterEpoch", 3), ("masterBrokerId", 1)];
        let mut seen = Seen {
            master_epoch: Some(3),
            set_epoch: Some(6),
            master: Some(1),
            sync_state_set: Some(vec![1, 2]),
            next_id: None,
        };
        let answer = with_set(Response::new(code::SUCCESS), &fields);
        assert_eq!(outcome("a", &Call::Read, &answer), Outcome::Ok(seen.clone()));
        let answer = with_set(Response::new(code::SUCCESS), &fields[..1]);
        seen.master = Some(NOBODY);
        assert_eq!(outcome("a", &Call::Read, &answer), Outcome::Ok(seen));
    }

    #[test]
    fn a_time_out_and_code_1_are_unknown_and_refusals_are_not() {
        let elect = Call::Elect { id: 1, designate: false };
        let for_nobody = Call::Elect { id: NOBODY, designate: false };
        check(&elect, &Response::new(code::SYSTEM_ERROR), "Unknown");
        check(&for_nobody, &Response::new(code::CONTROLLER_MASTER_NOT_AVAILABLE), "Unknown");
        let refused = |code| {
            let seen = Seen::default();
            format!("{:?}", Outcome::Refused { code, seen })
        };
        for code in [code::CONTROLLER_NOT_LEADER, code::SYSTEM_BUSY, 2012] {
            check(&elect, &Response::new(code), &refused(code));
        }
        check(&Call::Read, &Response::new(code::SUCCESS), &refused(2008));
    }

    #[test]
    fn a_refusal_that_names_the_master_is_a_look() {
        let fields = [("masterEpoch", 3), ("syncStateSetEpoch", 6), ("masterBrokerId", 1)];
        let mut answer = Response::new(code::CONTROLLER_MASTER_STILL_EXIST);
        for (name, value) in fields {
            answer.ext.push(name, value);
        }
        let call = Call::Elect { id: 2, designate: false };
        let outcome = outcome("a", &call, &answer);
        let seen = outcome.seen().unwrap();
        assert_eq!((seen.master_epoch, seen.set_epoch, seen.master), (Some(3), Some(6), Some(1)));
    }

    #[test]
    fn a_request_for_many_sets_is_many_operations() {
        let names = Some(vec!["a".into(), "b".into()]);
        let many = calls(&Request::GetSyncStateData(GetSyncStateData { broker_names: names }));
        assert_eq!(many, [("a".into(), Call::Read), ("b".into(), Call::Read)]);
        let one = Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some("a".into()) });
        assert_eq!(calls(&one), [("a".into(), Call::Read)]);
        assert_eq!(calls(&Request::GetMetadataInfo), []);
    }
}
