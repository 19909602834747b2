//! Questions to the cluster through mqadmin, and mqadmin itself.
//!
//! [`Admin`] keeps one JVM with mqadmin's commands in it (`AdminShell.java`) for the many looks at the state;
//! [`start_mqadmin`] starts the real program, whose output is compared with what was recorded.

use super::process::{Dialogue, Run};
use super::report::{Failure, Outcome};
use super::setup::{BROKER_SET, CLUSTER, Setup, TOPIC};
use std::time::Duration;

/// Some commands make several requests, and each may time out after 3 s (config commands: 5 s).
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// `AdminShell.END`.
const END: &str = "== end of answer ==";

/// One `InSyncReplica` or `NotInSyncReplica` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) id: i64,
    pub(super) address: String,
    pub(super) is_alive: bool,
}

/// What `getSyncStateSet` shows of the one broker set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) master: Option<i64>,
    pub(super) master_address: Option<String>,
    pub(super) master_epoch: i64,
    pub(super) set_epoch: i64,
    pub(super) in_sync: Vec<Replica>,
    pub(super) behind: Vec<Replica>,
}

impl State {
    /// Ids of the sync-state set, in order.
    pub(super) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.in_sync.iter().map(|replica| replica.id).collect();
        ids.sort_unstable();
        ids
    }
}

/// mqadmin, in a JVM that stays.
#[derive(Debug)]
pub(super) struct Admin {
    shell: Dialogue,
    namesrv: String,
}

impl Admin {
    pub(super) fn start(setup: &Setup) -> Outcome<Self> {
        let home = setup.home("admin-shell")?;
        let command = setup.client(&home, "pitchover.interop.AdminShell");
        let shell = Dialogue::start("admin-shell", command, &home.join("errors.log"))?;
        Ok(Self { shell, namesrv: setup.namesrv_address() })
    }

    /// Runs one command and gives what it printed; a command that fails prints its reason.
    fn ask(&mut self, words: &[&str]) -> Outcome<String> {
        self.shell.say(&words.join("\t"))?;
        let mut answer = String::new();
        loop {
            let line = self.shell.hear(ANSWER_LIMIT)?;
            if line == END {
                return Ok(answer);
            }
            answer.push_str(&line);
            answer.push('\n');
        }
    }

    /// The leader's address as one controller tells it; none if it does not answer or knows none.
    pub(super) fn leader(&mut self, controller: &str) -> Outcome<Option<String>> {
        let answer = self.ask(&["getControllerMetaData", "-a", controller])?;
        let leader = value(&answer, "#ControllerLeaderAddress");
        Ok(leader.filter(|leader| !matches!(*leader, "" | "null")).map(str::to_owned))
    }

    /// The state of the broker set; none if it is unknown or cannot be asked for now.
    pub(super) fn state(&mut self, controller: &str) -> Outcome<Option<State>> {
        let answer = self.ask(&["getSyncStateSet", "-a", controller, "-b", BROKER_SET])?;
        Ok(parse_state(&answer))
    }

    /// Makes the topic on the master.
    ///
    /// # Errors
    /// mqadmin said anything but success.
    pub(super) fn create_topic(&mut self) -> Outcome<()> {
        let words = ["updateTopic", "-n", &self.namesrv.clone(), "-c", CLUSTER, "-t", TOPIC];
        let answer = self.ask(&[&words[..], &["-r", "4", "-w", "4"]].concat())?;
        if answer.contains("success") { Ok(()) } else { Err(Failure(answer)) }
    }

    /// Each broker's address and the id it has in the name server: 0 is the master. A broker that cannot be
    /// asked is left out.
    pub(super) fn roles(&mut self) -> Outcome<Vec<(String, i64)>> {
        let words = ["getBrokerEpoch", "-n", &self.namesrv.clone(), "-b", BROKER_SET];
        Ok(parse_roles(&self.ask(&words)?))
    }
}

/// Starts one mqadmin command as its own program; `name` is that of its log.
pub(super) fn start_mqadmin(setup: &Setup, name: &str, words: &[String]) -> Outcome<Run> {
    let home = setup.home("mqadmin")?;
    let mut command = setup.client(&home, "org.apache.rocketmq.tools.command.MQAdminStartup");
    command.args(words);
    Run::start("mqadmin", command, &home.join(format!("{name}.out")))
}

/// What it printed; a command that fails is an answer like any other.
pub(super) fn finish_mqadmin(running: Run) -> Outcome<String> {
    running.finish(ANSWER_LIMIT).map(|(_, printed)| printed)
}

/// The value of the first line `key<TAB>value`.
fn value<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t')).map(str::trim)
}

fn parse_state(answer: &str) -> Option<State> {
    let mut state = State {
        master: value(answer, "#MasterBrokerId").and_then(|id| id.parse().ok()),
        master_address: value(answer, "#MasterAddr").map(str::to_owned),
        master_epoch: value(answer, "#MasterEpoch")?.parse().ok()?,
        set_epoch: value(answer, "#SyncStateSetEpoch")?.parse().ok()?,
        ..State::default()
    };
    for line in answer.lines() {
        if let Some(replica) = line.strip_prefix("InSyncReplica:\t") {
            state.in_sync.push(parse_replica(replica)?);
        } else if let Some(replica) = line.strip_prefix("NotInSyncReplica:\t") {
            state.behind.push(parse_replica(replica)?);
        }
    }
    Some(state)
}

/// `ReplicaIdentity{brokerName='broker-a', brokerId=1, brokerAddress='127.0.0.1:30911', alive=true}`
fn parse_replica(text: &str) -> Option<Replica> {
    let field = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split([',', '}']).next().map(|value| value.trim_matches('\''))
    };
    Some(Replica {
        id: field("brokerId=")?.parse().ok()?,
        address: field("brokerAddress=")?.to_owned(),
        is_alive: field("alive=")? == "true",
    })
}

fn parse_roles(answer: &str) -> Vec<(String, i64)> {
    let mut roles = Vec::new();
    let mut address = None;
    for line in answer.lines() {
        if let Some(told) = value(line, "#brokerAddr") {
            address = Some(told.to_owned());
        } else if let Some(id) = value(line, "#brokerId").and_then(|id| id.parse().ok()) {
            roles.extend(address.take().map(|address| (address, id)));
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::{Replica, parse_roles, parse_state, value};

    fn recorded(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/mqadmin/");
        std::fs::read_to_string(format!("{folder}{name}")).expect("it is recorded")
    }

    #[test]
    fn a_recorded_state_is_read() {
        let state = parse_state(&recorded("10-getSyncStateSet-after.txt")).expect("it is complete");
        assert_eq!((state.master, state.master_epoch, state.set_epoch), (Some(2), 6, 6));
        assert_eq!(state.master_address.as_deref(), Some("127.0.0.1:30921"));
        assert_eq!(state.ids(), [1, 2]);
        let behind = Replica { id: 3, address: "127.0.0.1:30931".to_owned(), is_alive: true };
        assert_eq!(state.behind, [behind]);
        assert_eq!(parse_state(&recorded("04-getSyncStateSet-unknown.txt")), None);
    }

    #[test]
    fn a_recorded_leader_is_read() {
        let answer = recorded("01-getControllerMetaData.txt");
        assert_eq!(value(&answer, "#ControllerLeaderAddress"), Some("127.0.0.1:9878"));
    }

    #[test]
    fn recorded_roles_are_read() {
        let roles = parse_roles(&recorded("14-brokerEpoch.txt"));
        let expected = [("127.0.0.1:30911".to_owned(), 1), ("127.0.0.1:30921".to_owned(), 0)];
        assert_eq!(roles, expected);
    }
}
