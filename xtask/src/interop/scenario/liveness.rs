//! What a living master survives, and what becomes of one that stands still.
//!
//! | Step | Done | Proved |
//! |---|---|---|
//! | 1 | a broker set of three starts, with traffic | as in `base.rs` |
//! | 2 | the master's connections to the controllers are reset each second, for a minute | it stays master; no message fails |
//! | 3 | the controllers' leader stands still for 5 s (SIGSTOP), then goes on | the same |
//! | 4 | a follower of it stands still for 5 s | the same |
//! | 5 | the master is restarted (SIGTERM) under load | a new master; it comes back as slave |
//! | 6 | the master stands still, connections open (silent death) | a new master at its deadline; it goes on as slave |
//! | 7 | the producer stops | no acknowledged message was lost |
//!
//! With `--target java`, what upstream's own controllers make of steps 2 to 4, and whether they lost messages by it, is
//! told and not judged.

use super::super::clock::{Stopwatch, pause};
use super::super::report::{Failure, Outcome, Report, Stop};
use super::super::stage::{Loss, Stage};
use super::{first_broker, grow, tell};
use std::time::Duration;

const RESETS: Duration = Duration::from_secs(60);

/// Between two resets.
const RESET_EVERY: Duration = Duration::from_secs(1);

/// How long a controller stands still.
const FREEZE: Duration = Duration::from_secs(5);

/// A broker that was not heard for 10 s is dead: a wrong verdict shows within this time after its cause.
const VERDICT: Duration = Duration::from_secs(12);

/// Between two looks at who is master.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn steps(stage: &mut Stage, report: &mut Report) -> Result<(), Stop> {
    let target = stage.setup().target;
    let leader = stage.leader().map(|leader| format!("n{leader}"));
    report.prove("three controllers agree on a leader", leader)?;
    report.prove("the first broker registers and is elected", first_broker(stage))?;
    let status = stage.start_traffic();
    let status = status.map(|status| format!("{} messages so far", status.acknowledged));
    report.prove("producer and consumer run", status)?;
    report.prove("the sync-state set grows to 3", grow(stage))?;

    report.note("resets of the master's connections to the controllers");
    let what = "a minute of resets does not cost a master its place";
    report.promise(target, what, resets(stage, RESETS))?;
    report.note("SIGSTOP of the controllers' leader");
    let what = "a leader of the controllers that stands still for 5 s costs no master its place";
    report.promise(target, what, freeze(stage, true))?;
    report.note("SIGSTOP of a follower of the controllers");
    let what = "a follower that stands still for 5 s costs no master its place";
    report.promise(target, what, freeze(stage, false))?;

    report.note("SIGTERM of the master under load");
    let what = "a new master follows when the old one is told to end";
    let old = tell(report, what, stage.lose_master(Loss::Asked))?;
    report.prove("the restarted master returns as slave", stage.return_of(old, Loss::Asked))?;
    report.note("SIGSTOP of the master");
    let what = "a new master follows when the old one stands still";
    let old = tell(report, what, stage.lose_master(Loss::Frozen))?;
    let what = "the old master goes on as slave (SIGCONT)";
    report.prove(what, stage.return_of(old, Loss::Frozen))?;
    report.promise(target, "no acknowledged message was lost", stage.end_traffic())
}

/// Watches who is master while something is done to the cluster.
struct Watch {
    total: Stopwatch,
    epoch: i64,
    masters: Vec<i64>,
    changes: i64,
}

impl Watch {
    /// Begins with a complete set.
    fn begin(stage: &mut Stage) -> Outcome<Self> {
        let state = stage.complete()?;
        stage.traffic()?.mark()?;
        let (total, epoch) = (Stopwatch::start(), state.master_epoch);
        Ok(Self { total, epoch, masters: state.master.into_iter().collect(), changes: 0 })
    }

    /// Looks again and again until `duration` is over.
    fn go_on(&mut self, stage: &mut Stage, duration: Duration) -> Outcome<()> {
        let watch = Stopwatch::start();
        while watch.elapsed() < duration {
            if let Some(state) = stage.look()? {
                // Each election raises the epoch, also one that ended between two looks.
                self.changes += state.master_epoch - self.epoch;
                self.epoch = state.master_epoch;
                let known = self.masters.last().copied();
                self.masters.extend(state.master.filter(|master| Some(*master) != known));
            }
            pause(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends with a complete set and traffic through it.
    fn end(mut self, stage: &mut Stage, failed_before: u64, done: &str) -> Outcome<String> {
        let settled = stage.complete();
        self.go_on(stage, LOOK_EVERY)?;
        let status = stage.traffic()?.status()?;
        let failed = status.failed - failed_before;
        let Self { total, masters, changes, .. } = self;
        let took = total.shown();
        let seen = format!(
            "{done}; {changes} changes of epoch, masters seen {masters:?}, {failed} messages \
             failed, longest pause {} ms, watched {took}",
            status.pause_ms
        );
        match settled {
            Err(failure) => Err(Failure(format!("{seen}; then: {failure}"))),
            Ok(_) if changes == 0 && masters.len() == 1 && failed == 0 => Ok(seen),
            Ok(_) => Err(Failure(seen)),
        }
    }
}

/// Resets all connections of the master to the controllers, each second; of whoever is master then.
pub(super) fn resets(stage: &mut Stage, duration: Duration) -> Outcome<String> {
    let mut watch = Watch::begin(stage)?;
    let failed_before = stage.traffic()?.status()?.failed;
    let (mut rounds, mut connections) = (0, 0);
    let during = Stopwatch::start();
    while during.elapsed() < duration {
        if let Some(state) = stage.look()?.filter(|state| state.master.is_some()) {
            let master = stage.master(&state)?;
            connections += stage.cluster.reset_broker(master)?;
            rounds += 1;
        }
        watch.go_on(stage, RESET_EVERY)?;
    }
    let done = format!("{connections} connections reset in {rounds} rounds");
    if rounds == 0 || connections < rounds {
        return Err(Failure(format!("nothing was tried: {done}")));
    }
    // What the last resets led to shows later.
    watch.go_on(stage, VERDICT)?;
    watch.end(stage, failed_before, &done)
}

/// Lets a controller stand still for a while.
fn freeze(stage: &mut Stage, is_leader: bool) -> Outcome<String> {
    let mut watch = Watch::begin(stage)?;
    let failed_before = stage.traffic()?.status()?.failed;
    let leader = stage.leader()?;
    let frozen = if is_leader { leader } else { (leader + 1) % 3 };
    stage.cluster.freeze_controller(frozen, true)?;
    watch.go_on(stage, FREEZE)?;
    let during = stage.leader()?;
    stage.cluster.freeze_controller(frozen, false)?;
    watch.go_on(stage, VERDICT)?;
    let after = stage.leader()?;
    let done = format!("n{frozen} stood still, leader n{leader} -> n{during} -> n{after}");
    watch.end(stage, failed_before, &done)
}
