//! What is run in which order: legs of workloads, each leg on every arm in turn.
//!
//! ```text
//! leg 1  capacity            A B C D E      every arm: fresh controllers, warm-up, the leg's workloads
//! leg 2  everything else     C D E A B      the order of the arms is rotated from leg to leg
//! ```
//!
//! Capacity comes first, since the rates of later workloads are parts of it. A full run has one leg for
//! each workload, a quick one two.

use super::arms::Arm;
use std::time::Duration;

/// One kind of measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Workload {
    /// Closed loops: writes, reads on the leader and on a follower, two-way heartbeats.
    Capacity,
    /// Open loops at the rate that all arms carry, and at a share of each one's own capacity.
    Tails,
    /// One-way heartbeats, many more than a fleet sends.
    Heartbeats,
    /// A fleet of so many brokers at Java's cadences.
    Fleet(usize),
    /// So many masters die at once.
    Failover(usize),
    /// The leader is killed, and frozen.
    Leader,
}

impl Workload {
    pub(super) const ALL: [Self; 11] = [
        Self::Capacity,
        Self::Tails,
        Self::Heartbeats,
        Self::Fleet(300),
        Self::Fleet(1_000),
        Self::Fleet(3_000),
        Self::Fleet(10_000),
        Self::Failover(10),
        Self::Failover(200),
        Self::Failover(1_000),
        Self::Leader,
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Capacity => "capacity".to_owned(),
            Self::Tails => "tails".to_owned(),
            Self::Heartbeats => "heartbeats".to_owned(),
            Self::Fleet(brokers) => format!("fleet-{brokers}"),
            Self::Failover(sets) => format!("failover-{sets}"),
            Self::Leader => "leader".to_owned(),
        }
    }

    /// Whether a run of this name is part of it.
    pub(super) fn has_run(self, name: &str) -> bool {
        match self {
            Self::Capacity => name.ends_with("-saturated"),
            Self::Tails => name == "common-rate" || name.ends_with("-share"),
            Self::Leader => name.starts_with("leader-"),
            Self::Heartbeats | Self::Fleet(_) | Self::Failover(_) => name == self.name(),
        }
    }

    fn is_quick(self) -> bool {
        match self {
            Self::Fleet(brokers) => brokers <= 1_000,
            Self::Failover(sets) => sets <= 200,
            Self::Capacity | Self::Tails | Self::Heartbeats | Self::Leader => true,
        }
    }

    /// The workloads that a list names, in the order of [`Self::ALL`]; a text if one is unknown.
    pub(super) fn list(text: &str) -> Result<Vec<Self>, String> {
        let names: Vec<&str> = text.split(',').collect();
        if let Some(unknown) =
            names.iter().find(|name| !Self::ALL.iter().any(|it| it.name() == **name))
        {
            let known: Vec<String> = Self::ALL.iter().map(|it| it.name()).collect();
            return Err(format!("there is no workload {unknown:?}: {}", known.join(", ")));
        }
        let mut chosen: Vec<Self> =
            Self::ALL.into_iter().filter(|it| names.contains(&it.name().as_str())).collect();
        if chosen.contains(&Self::Tails) && !chosen.contains(&Self::Capacity) {
            // Its rates are parts of capacities.
            chosen.insert(0, Self::Capacity);
        }
        Ok(chosen)
    }

    /// The workloads of a run of this size.
    pub(super) fn of_size(size: Size) -> Vec<Self> {
        Self::ALL.into_iter().filter(|it| size == Size::Full || it.is_quick()).collect()
    }
}

/// How large a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Size {
    /// All arms in 16 minutes.
    Quick,
    /// Hours.
    Full,
}

impl Size {
    /// Measured seconds of a closed loop.
    pub(super) fn closed_seconds(self) -> u64 {
        self.of(6, 20)
    }

    /// The same load before each closed loop. 60 s warm a JVM up whatever it does.
    pub(super) fn closed_warm_up(self) -> Duration {
        Duration::from_secs(self.of(3, 60))
    }

    /// Closed loops before any other workload, on each of writes, reads and heartbeats.
    pub(super) fn warm_up_seconds(self) -> u64 {
        self.of(2, 20)
    }

    /// Measured seconds of an open loop.
    pub(super) fn open_seconds(self) -> u64 {
        self.of(6, 60)
    }

    /// Its load before it is measured.
    pub(super) fn open_warm_up_seconds(self) -> u64 {
        self.of(2, 10)
    }

    /// From the death of masters to the end of the run: who has not been told by then counts as never told.
    pub(super) fn patience_seconds(self, sets: usize) -> u64 {
        let least = if sets > 200 { 20 } else { 8 };
        self.of(least, 30)
    }

    /// Broker sets of a fleet in which so many masters die.
    pub(super) fn sets_of_failover(self, masters: usize) -> usize {
        match (self, masters) {
            (Self::Quick, ..=10) => 40,
            (Self::Full, ..=10) => 100,
            (Self::Full, 11..=200) => 1_000,
            (_, masters) => masters,
        }
    }

    /// Kills and freezes of the leader.
    pub(super) fn strikes(self) -> (usize, usize) {
        match self {
            Self::Quick => (1, 1),
            Self::Full => (20, 5),
        }
    }

    fn of(self, quick: u64, full: u64) -> u64 {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// Workloads that one start of an arm's controllers serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Leg {
    pub(super) workloads: Vec<Workload>,
    /// In which order.
    pub(super) arms: Vec<Arm>,
}

/// All legs of a run.
pub(super) fn legs(size: Size, workloads: &[Workload], arms: &[Arm]) -> Vec<Leg> {
    let (capacity, others): (Vec<Workload>, Vec<Workload>) =
        workloads.iter().partition(|it| **it == Workload::Capacity);
    let mut all = vec![capacity];
    match size {
        Size::Quick => all.push(others),
        Size::Full => all.extend(others.into_iter().map(|one| vec![one])),
    }
    all.retain(|workloads| !workloads.is_empty());
    let leg = |(number, workloads): (usize, Vec<Workload>)| {
        let mut arms = arms.to_vec();
        let by = (2 * number) % arms.len().max(1);
        arms.rotate_left(by);
        Leg { workloads, arms }
    };
    all.into_iter().enumerate().map(leg).collect()
}

/// Seconds that a workload on an arm is expected to take, for the progress that is shown; a Java controller
/// founds sets at the rate of its commits.
pub(super) fn expected_seconds(size: Size, workload: Workload, arm: Arm) -> u64 {
    let founding = |sets: usize| {
        let sets = u64::try_from(sets).unwrap_or(u64::MAX);
        match arm {
            Arm::JavaDledger | Arm::JavaDledgerConfirmed => sets / 14,
            Arm::JavaJraft => sets / 60,
            Arm::OursFsync | Arm::OursAsync => sets / 400,
        }
    };
    let open = 2 + size.open_warm_up_seconds() + size.open_seconds();
    match workload {
        Workload::Capacity => {
            let row = size.closed_warm_up().as_secs() + size.closed_seconds();
            6 + 3 * row + if arm.is_java() { founding(64) } else { row }
        }
        Workload::Tails => 3 * (open + founding(64)),
        Workload::Heartbeats => open + founding(34),
        Workload::Fleet(brokers) => open + founding(brokers / 3),
        Workload::Failover(masters) => {
            3 + founding(size.sets_of_failover(masters)) + size.patience_seconds(masters)
        }
        Workload::Leader => {
            let (kills, freezes) = size.strikes();
            let strikes = u64::try_from(kills + freezes).unwrap_or(u64::MAX);
            3 + strikes * if arm.is_java() { 20 } else { 6 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Leg, Size, Workload, legs};
    use crate::versus::arms::Arm;

    #[test]
    fn capacity_comes_first_and_the_order_of_the_arms_is_rotated() {
        let all = Workload::of_size(Size::Quick);
        let legs = legs(Size::Quick, &all, &Arm::ALL);
        assert_eq!(legs.len(), 2);
        assert_eq!(legs[0], Leg { workloads: vec![Workload::Capacity], arms: Arm::ALL.to_vec() });
        assert_eq!(legs[1].arms[0], Arm::JavaJraft);
        assert_eq!(legs[1].workloads.len(), 7, "{:?}", legs[1].workloads);
    }

    #[test]
    fn a_full_run_starts_every_arm_anew_for_every_workload() {
        let all = Workload::of_size(Size::Full);
        let legs = legs(Size::Full, &all, &Arm::ALL[..2]);
        assert_eq!(legs.len(), Workload::ALL.len());
        assert!(legs.iter().all(|leg| leg.workloads.len() == 1 && leg.arms.len() == 2));
    }

    #[test]
    fn a_run_belongs_to_one_workload() {
        let names = ["writes-saturated", "common-rate", "heartbeats", "fleet-300", "leader-lost"];
        for name in names {
            assert_eq!(
                Workload::ALL.into_iter().filter(|it| it.has_run(name)).count(),
                1,
                "{name}"
            );
        }
        assert!(!Workload::Fleet(1_000).has_run("fleet-10000"));
    }

    #[test]
    fn tails_bring_the_capacities_that_they_are_parts_of() {
        assert_eq!(Workload::list("tails"), Ok(vec![Workload::Capacity, Workload::Tails]));
        assert_eq!(Workload::list("failover-10"), Ok(vec![Workload::Failover(10)]));
        let error = Workload::list("fleet-7").expect_err("there is none");
        assert!(error.contains("fleet-10000"), "{error}");
    }
}
