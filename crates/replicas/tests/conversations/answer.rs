//! Outcomes, rejections and reads as the answers that the Java controller gave.

use std::collections::BTreeMap;

use replicas::{
    BrokerId, BrokerSet, Outcome, RecordedMaster, Rejection, Replica, Replicas, upstream_order,
};
use serde_json::{Value, json};

use crate::liveness::Liveness;

type Fields = BTreeMap<String, String>;

/// What is compared of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    code: i64,
    remark: Option<String>,
    ext: Fields,
    body: Option<Value>,
}

impl Answer {
    /// Reads a recorded answer; of code 1 only the code counts.
    pub(crate) fn read(record: &Value) -> Self {
        let code = record["code"].as_i64().unwrap();
        if code == 1 {
            return Self::code_1();
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let ext = record.get("ext").and_then(Value::as_object);
        let ext = ext.into_iter().flatten().map(|(key, value)| (key.clone(), text(value).unwrap()));
        let body = text(&record["body"]).map(|body| quote_integer_keys(&body));
        Self {
            code,
            remark: text(&record["remark"]),
            ext: ext.collect(),
            body: body.map(|body| serde_json::from_str(&body).unwrap()),
        }
    }

    pub(crate) fn code_1() -> Self {
        Self { code: 1, ..Self::default() }
    }

    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.ext.insert(key.to_owned(), value.to_string());
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn refused(mut self, code: i64, remark: String) -> Self {
        self.code = code;
        self.remark = Some(remark);
        self
    }

    fn master(self, master: &RecordedMaster) -> Self {
        self.with("masterBrokerId", master.id)
            .with("masterAddress", &master.address)
            .with("masterEpoch", master.master_epoch)
            .with("syncStateSetEpoch", master.set_epoch)
    }
}

/// The cluster and broker set of the request, as some answers repeat them.
pub(crate) fn echo(field: impl Fn(&str) -> Option<String>) -> Answer {
    let names = ["clusterName", "brokerName"];
    let ext = names.iter().filter_map(|name| Some(((*name).to_owned(), field(name)?)));
    Answer { ext: ext.collect(), ..Answer::default() }
}

/// The answer to a write.
pub(crate) fn of(
    code: i64,
    field: impl Fn(&str) -> Option<String>,
    result: &Result<Outcome, Rejection>,
) -> Answer {
    let base = match code {
        1001 => Answer::default().with("newSyncStateSetEpoch", 0),
        1003 | 1013 => echo(&field),
        _ => Answer::default(),
    };
    match result {
        Ok(outcome) => succeeded(base, &field("brokerName").unwrap_or_default(), outcome),
        Err(rejection) => refused(base, rejection),
    }
}

fn succeeded(base: Answer, name: &str, outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::BrokerIdApplied { .. } | Outcome::BrokersCleaned { .. } => base,
        Outcome::BrokerRegistered { master, sync_state_set, set_epoch, .. } => {
            let base = master.iter().fold(base, Answer::master);
            base.body(set_body(sync_state_set, set_epoch.0))
        }
        Outcome::MasterElected { master, cluster, members, .. } => {
            let addresses = members.iter().map(|member| (member.id.to_string(), &*member.address));
            let addresses: BTreeMap<_, _> = addresses.collect();
            let group = json!({"brokerAddrs": addresses, "brokerName": name, "cluster": cluster.as_deref()});
            let set = ids(&master.sync_state_set);
            base.master(master).body(json!({"brokerMemberGroup": group, "syncStateSet": set}))
        }
        Outcome::NoMaster { .. } => {
            base.refused(2004, "Old master has down and failed to elect a new broker master".into())
        }
        Outcome::SyncStateSetAltered { sync_state_set, set_epoch } => {
            base.with("newSyncStateSetEpoch", set_epoch).body(set_body(sync_state_set, set_epoch.0))
        }
    }
}

fn refused(base: Answer, rejection: &Rejection) -> Answer {
    if let Rejection::MasterStillExists { set, master } = rejection {
        let remark = format!(
            "The old master {} is still alive, not need to elect new master for broker {set}",
            master.id
        );
        let body = json!({"syncStateSet": ids(&master.sync_state_set)});
        return base.master(master).refused(2011, remark).body(body);
    }
    match remark(rejection) {
        Some((code, remark)) => base.refused(code, remark),
        None => Answer::code_1(),
    }
}

fn remark(rejection: &Rejection) -> Option<(i64, String)> {
    use Rejection as R;
    const ALTER: &str = "Rejecting alter syncStateSet request because the";
    let null = |id: &Option<BrokerId>| id.map_or("null".to_owned(), |id| id.to_string());
    Some(match rejection {
        R::MissingField { .. }
        | R::LimitExceeded { .. }
        | R::ControlCharacter { .. }
        | R::EpochExhausted { .. } => return None,
        R::MasterStillExists { .. } => unreachable!("handled by the caller"),
        R::ApplySetUnknown { set, id } => (
            2014,
            format!(
                "Broker-set: {set} hasn't been registered in controller, but broker try to apply brokerId: {id}"
            ),
        ),
        R::BrokerIdRefused { set, id } => {
            (2014, format!("Fail to apply brokerId: {id} in broker-set: {set}"))
        }
        R::RegisterSetUnknown { set } => {
            (2010, format!("Broker-set: {set} hasn't been registered in controller"))
        }
        R::RegisterIdUnknown { set, id } => {
            (2010, format!("BrokerId: {id} hasn't been registered in broker-set: {set}"))
        }
        R::ElectSetUnknown => (2010, "Broker hasn't been registered".into()),
        R::ElectionFailed => (2012, "Failed to elect a new master".into()),
        R::AlterSetUnknown => (2013, "Broker metadata is not existed".into()),
        R::SetUnchanged => (
            2013,
            "The newSyncStateSet is equal with oldSyncStateSet, no needed to update syncStateSet"
                .into(),
        ),
        R::NotMaster { current, given } => (
            2002,
            format!("{ALTER} current leader is:{{{}}}, not {{{}}}", null(current), null(given)),
        ),
        R::FencedMasterEpoch { current, given } => {
            (2000, format!("{ALTER} current master epoch is:{{{current}}}, not {{{given}}}"))
        }
        R::FencedSetEpoch { current, given } => {
            (2001, format!("{ALTER} current syncStateSet epoch is:{{{current}}}, not {{{given}}}"))
        }
        R::ReplicaUnknown { id } => (2003, format!("{ALTER} replicas {{{id}}} don't exist")),
        R::ReplicaNotAlive { id } => (2006, format!("{ALTER} replicas {{{id}}} don't alive")),
        R::MasterNotInSet { master } => {
            (2013, format!("{ALTER} newSyncStateSet don't contains origin leader {{{master}}}"))
        }
        R::CleanMasterRecorded { set } => {
            (2009, format!("Broker {set} is still alive, clean up failure"))
        }
        R::CleanIdMalformed { part } => (
            2009,
            format!(
                "Please set the option <brokerControllerIdsToClean> according to the format, exception: java.lang.NumberFormatException: For input string: \"{part}\""
            ),
        ),
        R::CleanBrokerAlive { set, id } => {
            (2009, format!("Broker [{set},  {id}] is still alive, clean up failure"))
        }
        R::CleanSetUnknown { set } => {
            (2009, format!("Broker {set} is not existed,clean broker data failure."))
        }
    })
}

/// The answer to 1004.
pub(crate) fn replica_info(replicas: &Replicas, set: &str) -> Answer {
    let Some(info) = replicas.replica_info(set) else {
        return Answer::default().refused(2008, "Broker metadata is not existed".into());
    };
    let answer = Answer::default()
        .with("masterEpoch", info.master_epoch)
        .body(set_body(info.sync_state_set, info.set_epoch.0));
    info.master.iter().fold(answer, |answer, (id, address)| {
        answer.with("masterBrokerId", id).with("masterAddress", address)
    })
}

/// The answer to 1006.
pub(crate) fn sync_state_data(
    names: Option<&Value>,
    replicas: &Replicas,
    liveness: &Liveness,
) -> Answer {
    let names = names.and_then(Value::as_array).filter(|names| !names.is_empty());
    let Some(names) = names else {
        return Answer::code_1();
    };
    let mut table = BTreeMap::new();
    for name in names.iter().filter_map(Value::as_str) {
        if let Some(set) = replicas.broker_set(name) {
            table.insert(name, replicas_body(name, set, liveness));
        }
    }
    Answer::default().body(json!({"replicasInfoTable": table}))
}

fn replicas_body(name: &str, set: &BrokerSet, liveness: &Liveness) -> Value {
    let evidence = liveness.evidence(set.cluster(), name);
    let identity = |replica: &Replica| {
        json!({
            "alive": evidence.is_alive(replica.id),
            "brokerAddress": &*replica.address,
            "brokerId": replica.id.0,
            "brokerName": name,
        })
    };
    let replicas = upstream_order::of_replicas(set.replicas());
    let (in_sync, not_in_sync): (Vec<&Replica>, Vec<&Replica>) =
        replicas.iter().partition(|replica| set.is_in_sync(replica.id));
    let all = |replicas: Vec<&Replica>| replicas.into_iter().map(identity).collect::<Vec<_>>();
    let mut body = json!({
        "inSyncReplicas": all(in_sync),
        "masterEpoch": set.master_epoch().0,
        "notInSyncReplicas": all(not_in_sync),
        "syncStateSetEpoch": set.set_epoch().0,
    });
    if let Some((id, address)) = set.master().zip(set.master_address()) {
        body["masterAddress"] = address.into();
        body["masterBrokerId"] = id.0.into();
    }
    body
}

fn set_body(sync_state_set: &[BrokerId], epoch: i32) -> Value {
    json!({"syncStateSet": ids(sync_state_set), "syncStateSetEpoch": epoch})
}

fn ids(ids: &[BrokerId]) -> Vec<i64> {
    upstream_order::of_set(ids.to_vec()).iter().map(|id| id.0).collect()
}

/// Java writes the keys of `brokerAddrs` without quotes, which is no JSON.
fn quote_integer_keys(body: &str) -> String {
    let mut quoted = String::new();
    let (mut in_text, mut is_escaped, mut in_key) = (false, false, false);
    let mut before = ' ';
    for char in body.chars() {
        let starts_key = !in_text && char.is_ascii_digit() && matches!(before, '{' | ',');
        // A number after a comma may be an element of a list: only a colon makes it a key.
        if starts_key {
            in_key = true;
            quoted.push('\u{0}');
        }
        if in_key && !char.is_ascii_digit() {
            in_key = false;
            let start = quoted.rfind('\u{0}').unwrap();
            if char == ':' {
                quoted.replace_range(start..=start, "\"");
                quoted.push('"');
            } else {
                quoted.remove(start);
            }
        }
        if char == '"' && !is_escaped {
            in_text = !in_text;
        }
        is_escaped = char == '\\' && !is_escaped;
        quoted.push(char);
        before = char;
    }
    quoted
}
