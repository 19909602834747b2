//! Linearizable reads from every node, and a fleet spread over them: `pitchover.leaderNaming=spread`.
//!
//! Three broker sets of two brokers with upstream's own periods (a broker polls each 5 s and asks for the leader each
//! 10 s). The controllers have one port for brokers and another for each other; relays lead to the latter.
//!
//! | Step | Done | Proved |
//! |---|---|---|
//! | 1 | one broker of each set starts | the three are named three different controllers |
//! | 2 | the second brokers start | each controller answered changes of sync-state sets; the followers sent theirs on |
//! | 3 | 12 s pass | polls are answered by all three, from their own state |
//! | 4 | a follower is stopped (SIGTERM), and starts again | its brokers move on, and back; no master changes |
//! | 5 | a follower is cut from the leader | it names nobody and refuses polls; its brokers move on; no master changes |
//! | 6 | a sync-state set changes meanwhile | the cut follower never shows the old one |
//! | 7 | the cut heals | it answers with the new one, and has its brokers again |

use super::super::clock::{Stopwatch, pause, until};
use super::super::counters::{self, Counts};
use super::super::report::{Failure, Outcome, Report, Stop};
use super::super::setup::SPREAD_SETS;
use super::super::stage::{START_LIMIT, Stage};
use std::time::Duration;

const BROKERS: usize = 6;

/// Upstream's metadata period is 10 s; an address that does not answer costs a broker 3 s more.
const MOVE_LIMIT: Duration = Duration::from_secs(45);

/// More than two polls of each broker.
const POLLS: Duration = Duration::from_secs(12);

/// A controller renews its page each second.
const PAGE_LIMIT: Duration = Duration::from_secs(10);

/// A follower that is cut off refuses within a second; the limit is for a busy machine.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

/// How long the cut follower is asked for what it must not know.
const STALE: Duration = Duration::from_secs(3);

/// The second broker of the first set: it dies while the follower is cut off.
const LOST: usize = 1;

/// `NOT_LEADER`.
const REFUSED: i64 = 2007;

pub(super) fn steps(stage: &mut Stage, report: &mut Report) -> Result<(), Stop> {
    let leader = stage.leader().map(|leader| format!("n{leader}, each with a port for its peers"));
    report.prove("three controllers agree on a leader", leader)?;
    report.prove("masters of three sets are named three controllers", masters(stage))?;
    report.prove("changes of sync-state sets reach the leader through all three", alters(stage))?;
    report.prove("polls are answered by all three, from their own state", polls(stage))?;
    report.note("SIGTERM of a follower");
    report.prove("brokers of a stopped follower move on", stop_follower(stage))?;
    report.note("a follower is cut from the leader");
    cut_follower(stage, report)
}

/// What is the same before and after a step in which no master changes: master and epoch of each set.
type Masters = Vec<(Option<i64>, i64)>;

fn all_masters(stage: &mut Stage) -> Outcome<Masters> {
    let mut all = Vec::new();
    for set in SPREAD_SETS {
        let state = stage.state_of(set, set, START_LIMIT, |_| true)?;
        all.push((state.master, state.master_epoch));
    }
    Ok(all)
}

fn check_masters(stage: &mut Stage, before: &Masters) -> Outcome<()> {
    let after = all_masters(stage)?;
    let is_same = *before == after && after.iter().all(|(master, _)| master.is_some());
    is_same
        .then_some(())
        .ok_or_else(|| Failure(format!("masters and epochs changed: {before:?}, then {after:?}")))
}

/// The index of the controller that each broker was named last.
fn named(stage: &Stage) -> Outcome<Vec<Option<usize>>> {
    let addresses = stage.setup().controller_addresses();
    let mut all = Vec::new();
    for broker in 0..BROKERS {
        let home = stage.setup().home(&format!("broker-{broker}"))?;
        let name = counters::named(&home.join("rocketmq.log"))?;
        all.push(addresses.iter().position(|address| Some(address) == name.as_ref()));
    }
    Ok(all)
}

/// The brokers that were named `controller`.
fn brokers_of(stage: &Stage, controller: usize) -> Outcome<Vec<usize>> {
    let all = named(stage)?.into_iter().enumerate();
    Ok(all.filter(|(_, named)| *named == Some(controller)).map(|(broker, _)| broker).collect())
}

/// `n0: 0, 3; n1: 1`: which brokers each controller has.
fn shown(named: &[Option<usize>]) -> String {
    let of = |controller: usize| {
        let all = named.iter().enumerate().filter(|(_, named)| **named == Some(controller));
        all.map(|(broker, _)| broker.to_string()).collect::<Vec<_>>().join(" ")
    };
    format!("n0 has brokers [{}], n1 [{}], n2 [{}]", of(0), of(1), of(2))
}

fn masters(stage: &mut Stage) -> Outcome<String> {
    for broker in [0, 2, 4] {
        stage.cluster.start_broker(broker)?;
    }
    for broker in [0, 2, 4] {
        stage.joined(broker, 1)?;
    }
    let watch = Stopwatch::start();
    let named = until("three controllers named to three masters", MOVE_LIMIT, || {
        stage.cluster.check()?;
        let named = named(stage)?;
        let is_all = (0..3).all(|controller| named.contains(&Some(controller)));
        Ok(is_all.then_some(named))
    })?;
    Ok(format!("{}, {} after the last election", shown(&named), watch.shown()))
}

fn counts(stage: &Stage) -> Outcome<Vec<Counts>> {
    stage.setup().ports.admin.into_iter().map(Counts::read).collect()
}

/// What each controller did since `before`, once `is_so` holds for all of them. Their pages are renewed now and then.
fn rose(
    stage: &Stage,
    before: &[Counts],
    is_so: impl Fn(usize, &Counts) -> bool,
) -> Outcome<Vec<Counts>> {
    let mut last = Vec::new();
    let seen = until("the controllers' counters", PAGE_LIMIT, || {
        let after = counts(stage)?;
        last = before.iter().zip(after).map(|(before, after)| after.since(before)).collect();
        let is_all = last.iter().enumerate().all(|(index, counts)| is_so(index, counts));
        Ok(is_all.then_some(()))
    });
    seen.map_err(|failure| Failure(format!("{failure}; last seen: {last:?}")))?;
    Ok(last)
}

fn alters(stage: &mut Stage) -> Outcome<String> {
    let leader = stage.leader()?;
    let before = counts(stage)?;
    for broker in [1, 3, 5] {
        stage.cluster.start_broker(broker)?;
    }
    for broker in [1, 3, 5] {
        stage.joined(broker, 2)?;
    }
    let rose = rose(stage, &before, |index, counts| {
        counts.alters > 0 && (index == leader || counts.forwarded >= counts.alters)
    })?;
    let all = rose.iter().enumerate().map(|(index, counts)| {
        let Counts { alters, forwarded, .. } = counts;
        if index == leader {
            format!("n{index} {alters} (it leads)")
        } else {
            format!("n{index} {alters} ({forwarded} writes sent on)")
        }
    });
    Ok(format!("answered with code 0: {}", all.collect::<Vec<_>>().join(", ")))
}

fn polls(stage: &mut Stage) -> Outcome<String> {
    let before = counts(stage)?;
    pause(POLLS);
    let rose = rose(stage, &before, |_, counts| counts.polls > 0 && counts.reads > 0)?;
    let all = rose.iter().enumerate().map(|(index, counts)| {
        format!("n{index} {} polls ({} reads served)", counts.polls, counts.reads)
    });
    let (all, named) = (all.collect::<Vec<_>>().join(", "), shown(&named(stage)?));
    Ok(format!("{all} in {} s; {named}", POLLS.as_secs()))
}

/// A controller that follows and has brokers.
fn follower(stage: &mut Stage) -> Outcome<(usize, usize, Vec<usize>)> {
    let leader = stage.leader()?;
    for controller in [(leader + 1) % 3, (leader + 2) % 3] {
        let brokers = brokers_of(stage, controller)?;
        if !brokers.is_empty() {
            return Ok((controller, leader, brokers));
        }
    }
    Err(Failure(format!("no follower has a broker: {:?}", named(stage)?)))
}

/// Waits until each of `brokers` was named `controller`, or another one; gives when the first and the last was.
fn moved(stage: &mut Stage, brokers: &[usize], to: (usize, bool)) -> Outcome<String> {
    let (controller, is_back) = to;
    let watch = Stopwatch::start();
    let mut first = None;
    let what = format!("brokers {brokers:?} to move");
    until(&what, MOVE_LIMIT, || {
        stage.cluster.check()?;
        let named = named(stage)?;
        let is_there =
            |broker: &&usize| (named.get(**broker) == Some(&Some(controller))) == is_back;
        let count = brokers.iter().filter(is_there).count();
        if count > 0 && first.is_none() {
            first = Some(watch.shown());
        }
        Ok((count == brokers.len()).then_some(()))
    })?;
    Ok(format!("{} to {}", first.unwrap_or_default(), watch.shown()))
}

fn stop_follower(stage: &mut Stage) -> Outcome<String> {
    let before = all_masters(stage)?;
    let (stopped, _, brokers) = follower(stage)?;
    stage.cluster.stop_controller(stopped)?;
    let away = moved(stage, &brokers, (stopped, false))?;
    check_masters(stage, &before)?;
    stage.cluster.start_controller(stopped)?;
    let back = moved(stage, &brokers, (stopped, true))?;
    stage.leader()?;
    check_masters(stage, &before)?;
    Ok(format!(
        "n{stopped} stopped: brokers {brokers:?} were named others {away} later (metadata period \
         10 s), and n{stopped} again {back} after its start; no master changed"
    ))
}

fn cut_follower(stage: &mut Stage, report: &mut Report) -> Result<(), Stop> {
    let found = follower(stage).and_then(|found| Ok((found, all_masters(stage)?)));
    let ((cut, leader, brokers), before) = match found {
        Ok(found) => found,
        Err(failure) => return report.prove("a follower has brokers", Err(failure)),
    };
    let refused = refuses(stage, cut, leader);
    report.prove("a follower cut from the leader refuses and names nobody", refused)?;
    let away = moved(stage, &brokers, (cut, false));
    let away = away.and_then(|away| {
        check_masters(stage, &before)?;
        Ok(format!(
            "brokers {brokers:?} of n{cut} were named others {away} later (metadata period 10 s); \
             no master changed"
        ))
    });
    report.prove("its brokers move on", away)?;
    let changed = change(stage);
    let epoch = changed.as_ref().map_or(0, |(epoch, _)| *epoch);
    report.prove("a sync-state set changes meanwhile", changed.map(|(_, seen)| seen))?;
    report.prove("the cut follower shows nothing stale", nothing_stale(stage, cut))?;
    stage.cluster.cut(cut, leader, false);
    let brokers: Vec<usize> = brokers.into_iter().filter(|broker| *broker != LOST).collect();
    let healed = serves_again(stage, cut, epoch).and_then(|seen| {
        let back = moved(stage, &brokers, (cut, true))?;
        check_masters(stage, &before)?;
        Ok(format!("{seen}; its brokers were named it again {back} later; no master changed"))
    });
    report.prove("healed, it serves again, and what is new", healed)
}

/// Cuts and waits until the follower refuses a poll and names nobody.
fn refuses(stage: &mut Stage, cut: usize, leader: usize) -> Outcome<String> {
    let set = SPREAD_SETS[0];
    match stage.poll(cut, set)? {
        Some(polled) if polled.code == 0 => {}
        other => return Err(Failure(format!("n{cut} does not serve: {other:?}"))),
    }
    let links = stage.cluster.cut(cut, leader, true);
    let watch = Stopwatch::start();
    if links < 2 {
        return Err(Failure(format!("nothing was cut: {links} links")));
    }
    // First this alone: a poll may wait for as long as a read may, and would hide the moment.
    until("the cut follower to name nobody", REFUSAL_LIMIT, || {
        Ok(stage.named_by(cut)?.is_none().then_some(()))
    })?;
    let unnamed = watch.shown();
    let answered = until("the cut follower to refuse", REFUSAL_LIMIT, || {
        Ok(stage.poll(cut, set)?.filter(|polled| polled.code != 0))
    })?;
    if answered.code != REFUSED {
        return Err(Failure(format!("n{cut} answered {answered:?}")));
    }
    Ok(format!(
        "n{cut} cut from n{leader} ({links} links held): names nobody after {unnamed}, a poll gets \
         code {REFUSED} after {}",
        watch.shown()
    ))
}

/// The second broker of the first set dies, so that its master takes it out. Gives the new epoch of the set.
fn change(stage: &mut Stage) -> Outcome<(i64, String)> {
    let set = SPREAD_SETS[0];
    let before = stage.state_of(set, "two members", START_LIMIT, |state| state.ids() == [1, 2])?;
    stage.cluster.kill_broker(LOST)?;
    let after = stage.state_of(set, "one member", MOVE_LIMIT, |state| state.ids() == [1])?;
    let (old, new) = (before.set_epoch, after.set_epoch);
    if new <= old {
        return Err(Failure(format!("{before:?}, then {after:?}")));
    }
    Ok((new, format!("{set} lost a member, epoch of the sync-state set {old} -> {new}")))
}

/// Asks the cut follower for a while: it may only refuse.
fn nothing_stale(stage: &mut Stage, cut: usize) -> Outcome<String> {
    let watch = Stopwatch::start();
    let mut refusals = 0;
    while watch.elapsed() < STALE || refusals == 0 {
        match stage.poll(cut, SPREAD_SETS[0])? {
            Some(polled) if polled.code == REFUSED => refusals += 1,
            other => return Err(Failure(format!("n{cut} answered {other:?}"))),
        }
        if let Some(named) = stage.named_by(cut)? {
            return Err(Failure(format!("n{cut} names {named}")));
        }
    }
    Ok(format!(
        "n{cut} refused {refusals} of {refusals} polls and named nobody in {}",
        watch.shown()
    ))
}

/// The first answer after the cut must have what changed during it.
fn serves_again(stage: &mut Stage, healed: usize, epoch: i64) -> Outcome<String> {
    let watch = Stopwatch::start();
    let polled = until("the healed follower to answer", MOVE_LIMIT, || {
        let polled = stage.poll(healed, SPREAD_SETS[0])?;
        Ok(polled.filter(|polled| polled.code != REFUSED))
    })?;
    let after = watch.shown();
    if (polled.code, polled.set_epoch) != (0, epoch) {
        return Err(Failure(format!("wanted epoch {epoch}, got {polled:?}")));
    }
    Ok(format!("n{healed} answers after {after}, epoch {epoch}"))
}
