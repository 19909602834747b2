//! A recorded request, turned into a command or a read and played.

use replicas::{
    AlterSyncStateSet, ApplyBrokerId, BrokerId, CleanBrokerData, Command, ElectMaster, MasterEpoch,
    Policy, RegisterBroker, Replicas, SetEpoch,
};
use serde_json::Value;

use crate::answer::{self, Answer};
use crate::liveness::Liveness;

/// One recorded step.
pub(crate) struct Step<'a> {
    pub(crate) code: i64,
    pub(crate) wait_ms: i64,
    ext: &'a Value,
    body: Option<Value>,
}

impl<'a> Step<'a> {
    pub(crate) fn read(record: &'a Value) -> Self {
        let wait_s = record.get("wait").and_then(Value::as_f64).unwrap_or_default();
        let whole_ms = std::time::Duration::from_secs_f64(wait_s).as_millis();
        Self {
            code: record["code"].as_i64().unwrap(),
            wait_ms: i64::try_from(whole_ms).unwrap(),
            ext: &record["ext"],
            body: record["body"].as_str().and_then(|body| serde_json::from_str(body).ok()),
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.ext.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn boxed(&self, name: &str) -> Option<Box<str>> {
        self.field(name).map(Into::into)
    }

    fn id(&self, name: &str) -> Option<BrokerId> {
        self.field(name)?.parse().ok().map(BrokerId)
    }

    fn is_true(&self, name: &str) -> bool {
        self.field(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// The answer of this step; none for what `replicas` does not answer.
pub(crate) fn play(
    step: &Step<'_>,
    replicas: &mut Replicas,
    liveness: &mut Liveness,
) -> Option<Answer> {
    match step.code {
        904 => {
            liveness.heard(|name| step.field(name));
            None
        }
        1006 => Some(answer::sync_state_data(step.body.as_ref(), replicas, liveness)),
        1001 | 1003 | 1004 | 1011 | 1012 | 1013 if step.field("brokerName").is_none() => {
            Some(Answer::code_1())
        }
        1004 => Some(answer::replica_info(replicas, &step.field("brokerName")?)),
        1012 => {
            let next = replicas.next_broker_id(&step.field("brokerName")?);
            Some(answer::echo(|name| step.field(name)).with("nextBrokerId", next.0))
        }
        1001 if step.body.is_none() => Some(Answer::code_1()),
        1001 | 1002 | 1003 | 1011 | 1013 => {
            let command = command(step, replicas, liveness);
            let bytes = command.encode();
            assert_eq!(Command::decode(&bytes).as_ref(), Ok(&command));
            let result = replicas.apply(&command);
            Some(answer::of(step.code, |name| step.field(name), &result))
        }
        _ => None,
    }
}

fn command(step: &Step<'_>, replicas: &Replicas, liveness: &Liveness) -> Command {
    let name = step.field("brokerName").unwrap_or_default();
    let evidence = liveness.stored_evidence(replicas, &name);
    let set: Box<str> = name.as_str().into();
    match step.code {
        1001 => {
            let body = step.body.as_ref().unwrap();
            let ids =
                |list: &Vec<Value>| list.iter().map(|id| BrokerId(id.as_i64().unwrap())).collect();
            let epoch = body["syncStateSetEpoch"].as_i64().unwrap_or_default();
            Command::AlterSyncStateSet(AlterSyncStateSet {
                set,
                master: step.id("masterBrokerId"),
                master_epoch: step
                    .field("masterEpoch")
                    .and_then(|text| text.parse().ok())
                    .map(MasterEpoch),
                new_set: body["syncStateSet"].as_array().map(ids),
                set_epoch: SetEpoch(i32::try_from(epoch).unwrap()),
                evidence,
            })
        }
        1002 => Command::ElectMaster(ElectMaster {
            set,
            broker: step.id("brokerId"),
            designate: step.is_true("designateElect"),
            unclean: false,
            evidence,
            seen: None,
            policy: Policy::default(),
        }),
        1003 => Command::RegisterBroker(RegisterBroker {
            set,
            id: step.id("brokerId"),
            address: step.boxed("brokerAddress"),
            evidence: liveness.evidence(step.field("clusterName").as_deref(), &name),
        }),
        1011 => Command::CleanBrokerData(CleanBrokerData {
            set,
            ids: step.boxed("brokerControllerIdsToClean"),
            clean_living: step.is_true("isCleanLivingBroker"),
            evidence,
        }),
        1013 => Command::ApplyBrokerId(ApplyBrokerId {
            cluster: step.boxed("clusterName"),
            set,
            id: step.id("appliedBrokerId"),
            check_code: step.boxed("registerCheckCode"),
        }),
        code => panic!("{code} is no command"),
    }
}
