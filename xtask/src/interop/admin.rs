//! Questions to the cluster: through the official administration client that stays (`Admin.java`), and with mqadmin
//! itself.
//!
//! The first is for the many looks at the state, the second for what is compared with recorded output.

use super::process::{Dialogue, Run};
use super::report::{Failure, Outcome};
use super::setup::{CLUSTER, Setup, TOPIC};
use std::time::Duration;

/// A question makes up to four requests, and each may time out after 3 to 5 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// One member of the broker set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) id: i64,
    pub(super) address: String,
    pub(super) is_alive: bool,
}

/// The broker set as the controllers know it.
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

/// One controller's own answer to a broker's poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Polled {
    pub(super) code: i64,
    pub(super) master_epoch: i64,
    pub(super) set_epoch: i64,
}

/// What one broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) address: String,
    pub(super) is_master_at_namesrv: bool,
    pub(super) is_master_itself: bool,
}

/// The administration client.
#[derive(Debug)]
pub(super) struct Admin(Dialogue);

impl Admin {
    pub(super) fn start(setup: &Setup) -> Outcome<Self> {
        let home = setup.home("admin")?;
        let command = setup.client(&home, "pitchover.interop.Admin");
        Dialogue::start("admin", command, &home.join("errors.log")).map(Self)
    }

    /// Asks one question; a refused or failed request is the second kind of error.
    fn ask(&mut self, words: &[&str]) -> Outcome<Result<Vec<String>, Failure>> {
        self.0.say(&words.join("\t"))?;
        let mut lines = Vec::new();
        loop {
            let line = self.0.hear(ANSWER_LIMIT)?;
            if line == "end" {
                return Ok(Ok(lines));
            }
            if let Some(reason) = line.strip_prefix("error\t") {
                let reason = reason.to_owned();
                self.0.hear(ANSWER_LIMIT)?;
                return Ok(Err(Failure(reason)));
            }
            lines.push(line);
        }
    }

    /// The leader's address as one controller tells it; none if it does not answer or knows none.
    pub(super) fn leader(&mut self, controller: &str) -> Outcome<Option<String>> {
        let answer = self.ask(&["leader", controller])?.unwrap_or_default();
        let leader = answer.first().and_then(|line| line.strip_prefix("leader\t"));
        Ok(leader.filter(|leader| !leader.is_empty()).map(str::to_owned))
    }

    /// The state of a broker set; none if it is unknown or cannot be asked for now.
    pub(super) fn state(&mut self, controller: &str, set: &str) -> Outcome<Option<State>> {
        let Ok(answer) = self.ask(&["state", controller, set])? else { return Ok(None) };
        parse_state(&answer).map(Some).ok_or_else(|| Failure(format!("admin answered {answer:?}")))
    }

    /// What one controller itself answers to a broker's poll (1004), good or not; none if it does not answer at all.
    pub(super) fn poll(&mut self, controller: &str, set: &str) -> Outcome<Option<Polled>> {
        let Ok(answer) = self.ask(&["poll", controller, set])? else { return Ok(None) };
        let polled = answer.first().and_then(|line| parse_polled(line));
        polled.map(Some).ok_or_else(|| Failure(format!("admin answered {answer:?}")))
    }

    /// Makes the topic on the master.
    ///
    /// # Errors
    /// The name server knows no master, or the master refused.
    pub(super) fn create_topic(&mut self) -> Outcome<Result<(), Failure>> {
        let answer = self.ask(&["topic", CLUSTER, TOPIC])?;
        Ok(answer.and_then(|lines| match lines.as_slice() {
            [line] if line == "topic\t1" => Ok(()),
            other => Err(Failure(format!("topic: {other:?}"))),
        }))
    }

    /// What each broker is that the name server knows and that answers.
    pub(super) fn roles(&mut self, set: &str) -> Outcome<Vec<Role>> {
        let answer = self.ask(&["roles", set])?.unwrap_or_default();
        Ok(answer.iter().filter_map(|line| parse_role(line)).collect())
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

fn parse_state(lines: &[String]) -> Option<State> {
    let (first, replicas) = lines.split_first()?;
    let mut words = first.strip_prefix("state\t")?.split('\t');
    let mut state = State {
        master: words.next()?.parse().ok(),
        master_address: words
            .next()
            .filter(|address| !matches!(*address, "" | "null"))
            .map(str::to_owned),
        master_epoch: words.next()?.parse().ok()?,
        set_epoch: words.next()?.parse().ok()?,
        ..State::default()
    };
    for line in replicas {
        let words: Vec<&str> = line.split('\t').collect();
        let &[kind, id, address, alive] = words.as_slice() else { return None };
        let (id, address) = (id.parse().ok()?, address.to_owned());
        let replica = Replica { id, address, is_alive: alive == "true" };
        match kind {
            "in" => state.in_sync.push(replica),
            "behind" => state.behind.push(replica),
            _ => return None,
        }
    }
    Some(state)
}

fn parse_polled(line: &str) -> Option<Polled> {
    let words: Vec<&str> = line.split('\t').collect();
    let &["polled", code, master_epoch, set_epoch] = words.as_slice() else { return None };
    let number = |word: &str| word.parse().ok();
    let (master_epoch, set_epoch) = (number(master_epoch)?, number(set_epoch)?);
    Some(Polled { code: number(code)?, master_epoch, set_epoch })
}

fn parse_role(line: &str) -> Option<Role> {
    let words: Vec<&str> = line.split('\t').collect();
    let &["role", address, at_namesrv, itself] = words.as_slice() else { return None };
    let address = address.to_owned();
    Some(Role { address, is_master_at_namesrv: at_namesrv == "0", is_master_itself: itself == "0" })
}

#[cfg(test)]
mod tests {
    use super::{Polled, Replica, Role, parse_polled, parse_role, parse_state};

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.replace(' ', "\t")).collect()
    }

    #[test]
    fn a_state_is_read() {
        let state = parse_state(&lines(
            "state 2 x:1 6 7\nin 2 x:1 true\nin 1 x:2 true\nbehind 3 x:3 false",
        ));
        let state = state.expect("it is complete");
        assert_eq!((state.master, state.master_epoch, state.set_epoch), (Some(2), 6, 7));
        assert_eq!(state.master_address.as_deref(), Some("x:1"));
        assert_eq!(state.ids(), [1, 2]);
        assert_eq!(state.behind, [Replica { id: 3, address: "x:3".to_owned(), is_alive: false }]);
    }

    #[test]
    fn a_set_without_master_is_read() {
        let state = parse_state(&lines("state null null 3 4")).expect("it is complete");
        assert_eq!((state.master, state.master_address), (None, None));
        assert_eq!(parse_state(&lines("other")), None);
        assert_eq!(parse_state(&[]), None);
    }

    #[test]
    fn polls_are_read() {
        let expected = Polled { code: 2007, master_epoch: -1, set_epoch: -1 };
        assert_eq!(parse_polled("polled\t2007\t-1\t-1"), Some(expected));
        assert_eq!(parse_polled("polled\t2007"), None);
    }

    #[test]
    fn roles_are_read() {
        let role = parse_role("role\tx:1\t0\t2");
        let address = "x:1".to_owned();
        let expected = Role { address, is_master_at_namesrv: true, is_master_itself: false };
        assert_eq!(role, Some(expected));
        assert_eq!(parse_role("role\tx:1"), None);
    }
}
