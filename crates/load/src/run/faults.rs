//! What breaks in a run, at moments fixed beforehand, and how long it took to be mended.

use std::collections::BTreeMap;

use measure::Histogram;
use measure::folder::{BrokerSet, Failover, Goal, Milestone};
use measure::histogram::micros;

use super::target::Stage;
use super::watch::Watch;
use super::{LEAD_NS, RunError};
use crate::generator::crew::Crew;
use crate::generator::plan::{Command, Plan, REPLICAS, Report};
use crate::ground;
use crate::workload::{Fault, FaultKind, Select, Workload};

/// A controller that is to be brought back.
#[derive(Clone, Copy, Debug)]
struct Return {
    at_ns: u64,
    node: usize,
    /// It was frozen, not killed.
    is_frozen: bool,
}

/// Faults that are still to strike.
pub(super) struct Faults {
    due: Vec<(u64, Fault)>,
    returns: Vec<Return>,
    sets: usize,
    /// Sets whose masters died already.
    struck: usize,
    /// Counts controllers that were struck in turn.
    turn: usize,
}

/// What is to be noted: a kind of event, and its text.
type Noted = (&'static str, String);

impl Faults {
    pub(super) fn new(workload: &Workload, measure_from_ns: u64) -> Self {
        let strikes = workload.strikes().into_iter();
        let due = strikes.map(|(at, fault)| (measure_from_ns + at.nanos(), fault.clone()));
        let sets = workload.fleet.as_ref().map_or(0, |fleet| fleet.broker_sets);
        Self { due: due.collect(), returns: Vec::new(), sets, struck: 0, turn: 0 }
    }

    /// Nothing strikes from now on; who is away comes back all the same.
    pub(super) fn cease(&mut self) {
        self.due.clear();
    }

    /// Whether somebody is away who is to come back.
    pub(super) fn has_returns(&self) -> bool {
        !self.returns.is_empty()
    }

    /// Lets strike what is due.
    pub(super) fn strike(
        &mut self,
        now_ns: u64,
        crew: &mut Crew,
        stage: &mut Stage,
        watch: &mut Watch,
    ) -> Result<Vec<Noted>, RunError> {
        let mut noted = Vec::new();
        // Generators are told early and strike by the shared clock.
        let is_due = |(at_ns, fault): &(u64, Fault)| match fault.kind {
            FaultKind::BrokerKill | FaultKind::BrokerReconnect => *at_ns <= now_ns + LEAD_NS,
            FaultKind::ControllerKill
            | FaultKind::ControllerRestart
            | FaultKind::ControllerStop => *at_ns <= now_ns,
        };
        let (due, later): (Vec<_>, Vec<_>) = self.due.drain(..).partition(is_due);
        self.due = later;
        for (at_ns, fault) in due {
            noted.push(match fault.kind {
                FaultKind::BrokerKill => self.kill_brokers(at_ns, &fault, crew)?,
                FaultKind::BrokerReconnect => reconnect_brokers(at_ns, &fault, crew)?,
                FaultKind::ControllerKill
                | FaultKind::ControllerRestart
                | FaultKind::ControllerStop => {
                    self.strike_controller(at_ns, &fault, stage, watch)?
                }
            });
        }
        let (back, later): (Vec<_>, Vec<_>) =
            self.returns.drain(..).partition(|it| it.at_ns <= now_ns);
        self.returns = later;
        for Return { node, is_frozen, .. } in back {
            let Some(own) = &mut stage.own else { continue };
            let failed = ground::io("bringing a controller back");
            if is_frozen {
                own.thaw(node).map_err(failed)?;
            } else {
                own.restart(node).map_err(failed)?;
            }
            noted.push(("note", format!("n{node} is back")));
            watch.find_processes(stage);
        }
        Ok(noted)
    }

    fn kill_brokers(
        &mut self,
        at_ns: u64,
        fault: &Fault,
        crew: &mut Crew,
    ) -> Result<Noted, RunError> {
        let part = match fault.select {
            Select::Masters(part) | Select::Brokers(part) => part,
            Select::Leader | Select::Follower | Select::Next | Select::Node(_) => 0.0,
        };
        let count = part_of(self.sets, part).min(self.sets - self.struck);
        let sets: Vec<usize> = (self.struck..self.struck + count).collect();
        self.struck += count;
        crew.strike(at_ns, &sets)?;
        Ok(("fault", format!("the masters of {count} broker sets die")))
    }

    fn strike_controller(
        &mut self,
        at_ns: u64,
        fault: &Fault,
        stage: &mut Stage,
        watch: &Watch,
    ) -> Result<Noted, RunError> {
        let nodes = stage.addresses.len();
        let (Some(own), Some(leader)) = (&mut stage.own, watch.leader()) else {
            return Ok(("note", "no leader to strike".to_owned()));
        };
        let (node, whom) = self.whom(fault.select, leader, nodes);
        if self.returns.iter().any(|it| it.node == node) {
            return Ok(("note", format!("n{node} is away already: not struck again")));
        }
        let failed = ground::io("striking a controller");
        let what = match fault.kind {
            FaultKind::ControllerStop => {
                own.freeze(node).map_err(failed)?;
                "frozen"
            }
            FaultKind::ControllerRestart => {
                own.terminate(node).map_err(failed)?;
                "asked to end"
            }
            FaultKind::ControllerKill | FaultKind::BrokerKill | FaultKind::BrokerReconnect => {
                own.kill(node);
                "killed"
            }
        };
        if let Some(after) = fault.restart_after {
            let is_frozen = fault.kind == FaultKind::ControllerStop;
            self.returns.push(Return { at_ns: at_ns + after.nanos(), node, is_frozen });
        }
        Ok(("fault", format!("n{node}, {whom}, is {what}")))
    }

    /// Which of so many nodes a fault strikes, and what it is.
    fn whom(&mut self, select: Select, leader: usize, nodes: usize) -> (usize, &'static str) {
        let node = match select {
            Select::Leader | Select::Masters(_) | Select::Brokers(_) => leader,
            Select::Node(node) => node % nodes,
            Select::Next => {
                self.turn += 1;
                (self.turn - 1) % nodes
            }
            Select::Follower => {
                self.turn += 1;
                // A group of one has no other.
                (leader + 1 + (self.turn - 1) % (nodes - 1).max(1)) % nodes
            }
        };
        (node, if node == leader { "the leader" } else { "a follower" })
    }
}

fn reconnect_brokers(at_ns: u64, fault: &Fault, crew: &mut Crew) -> Result<Noted, RunError> {
    let part = match fault.select {
        Select::Brokers(part) => part,
        Select::Masters(_) | Select::Leader | Select::Follower | Select::Next | Select::Node(_) => {
            0.0
        }
    };
    crew.tell(&Command::Reconnect { at_ns, part })?;
    Ok(("fault", format!("the brokers of {:.0} % of the sets reconnect", part * 100.0)))
}

/// How many of all a part is, one at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sets are far fewer than 2^53, and a part is 0 to 1"
)]
pub(crate) fn part_of(sets: usize, part: f64) -> usize {
    ((sets as f64 * part).round() as usize).max(1)
}

/// How long survivors waited to be told who is master now; `None` if no master died.
pub(super) fn outcome(
    seen: &Report,
    plan: &Plan,
    measure_from_ns: u64,
) -> Option<(Failover, Vec<BrokerSet>)> {
    if seen.closings.is_empty() {
        return None;
    }
    let mut told: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    seen.told.iter().for_each(|it| told.entry(it.set).or_default().push(it.at_ns));
    let (mut histogram, mut samples_us) = (Histogram::default(), Vec::new());
    let (mut reports, mut reports_us) = (Histogram::default(), Vec::new());
    let (mut sets, mut untold) = (Vec::new(), 0);
    for closing in &seen.closings {
        let moments = told.remove(&closing.set).unwrap_or_default();
        untold += (REPLICAS - 1).saturating_sub(moments.len());
        let mut milestones_us = BTreeMap::new();
        for at_ns in moments {
            let waited_ns = at_ns.saturating_sub(closing.at_ns);
            histogram.record(waited_ns);
            samples_us.push(micros(waited_ns));
            // The set has been told when its last survivor has.
            let last = milestones_us.entry("told".to_owned()).or_insert(0.0_f64);
            *last = last.max(micros(waited_ns));
        }
        if let Some(at_ns) = seen.reported.get(&closing.set) {
            let waited_ns = at_ns.saturating_sub(closing.at_ns);
            reports.record(waited_ns);
            reports_us.push(micros(waited_ns));
            milestones_us.insert("reported".to_owned(), micros(waited_ns));
        }
        let since_ns = closing.at_ns.saturating_sub(measure_from_ns);
        sets.push(BrokerSet {
            set: format!("{}-{}", plan.prefix, closing.set),
            at_ms: i64::try_from(since_ns / 1_000_000).unwrap_or(i64::MAX),
            milestones_us,
        });
    }
    let untold = Goal {
        what: "survivors never told".to_owned(),
        limit: 0.0,
        reached: f64::from(u32::try_from(untold).unwrap_or(u32::MAX)),
        unit: "brokers".to_owned(),
    };
    let latency_us = histogram.quantiles();
    let mut milestones = vec![Milestone { name: "told".to_owned(), latency_us, samples_us }];
    if !reports_us.is_empty() {
        let (latency_us, samples_us) = (reports.quantiles(), reports_us);
        milestones.push(Milestone { name: "reported".to_owned(), latency_us, samples_us });
    }
    let failover = Failover { what: "masters".to_owned(), goals: vec![untold], milestones };
    Some((failover, sets))
}

#[cfg(test)]
mod tests {
    use super::{Faults, outcome, part_of};
    use crate::generator::plan::{Closing, Plan, Report, Told};
    use crate::workload::{Select, Workload, preset};

    #[test]
    fn parts_are_one_set_at_least() {
        assert_eq!(
            [(100, 0.2), (3, 0.01), (1_000, 1.0)].map(|(sets, part)| part_of(sets, part)),
            [20, 1, 1_000]
        );
    }

    #[test]
    fn controllers_are_selected_by_role_turn_or_number() {
        let workload = Workload::read("w", &preset("smoke-5s").unwrap()).unwrap();
        let struck = |select: Select| {
            let mut faults = Faults::new(&workload, 0);
            [0; 4].map(|_| faults.whom(select, 1, 3).0)
        };
        assert_eq!(struck(Select::Leader), [1; 4]);
        assert_eq!(struck(Select::Follower), [2, 0, 2, 0]);
        assert_eq!(struck(Select::Next), [0, 1, 2, 0]);
        assert_eq!(struck(Select::Node(2)), [2; 4]);
        assert_eq!(Faults::new(&workload, 0).whom(Select::Follower, 0, 1).0, 0);
    }

    #[test]
    fn survivors_are_counted_with_those_who_were_never_told() {
        let plan = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), 2);
        let closing = |set| Closing { set, master: 1, at_ns: 2_000_000_000 };
        let told = |broker, at_ns| Told { set: 1, broker, at_ns, master: 2, master_epoch: 2 };
        let closings = vec![closing(0), closing(1)];
        let told = vec![told(2, 2_003_000_000), told(3, 2_005_000_000)];
        let reported = [(1, 2_007_000_000)].into();
        let seen = Report { closings, told, reported, ..Report::default() };
        let (failover, sets) = outcome(&seen, &plan, 1_000_000_000).unwrap();
        assert!((failover.goals[0].reached - 2.0).abs() < 1e-9);
        assert_eq!(failover.milestones[0].samples_us, [3_000.0, 5_000.0]);
        assert_eq!((sets[1].set.as_str(), sets[1].at_ms), ("p-1", 1_000));
        assert!((sets[1].milestones_us["told"] - 5_000.0).abs() < 1e-9);
        assert_eq!(failover.milestones[1].samples_us, [7_000.0]);
        assert!((sets[1].milestones_us["reported"] - 7_000.0).abs() < 1e-9);
        assert!(sets[0].milestones_us.is_empty());
        assert!(outcome(&Report::default(), &plan, 0).is_none());
    }
}
