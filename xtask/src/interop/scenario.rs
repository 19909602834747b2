//! What one round proves, in order.
//!
//! | Step | Done | Proved |
//! |---|---|---|
//! | 1 | three controllers start | they agree on a leader |
//! | 2 | a broker starts | it registers as 1 and is elected |
//! | 3 | producer and consumer start | messages flow, and do so until the end |
//! | 4 | two more brokers start | ids 2 and 3; the sync-state set grows to 3 |
//! | 5 | mqadmin's commands (`commands.rs`) | they print what was recorded |
//! | 6 | `kill -9` of the master; it starts again | a new master; it comes back as slave |
//! | 7 | `kill -9` of the controllers' leader | the set goes on; another fail-over works |
//! | 8 | it starts again, and the next leader dies | it counts in the majority, with the same state |
//! | 9 | the producer stops | no acknowledged message was lost |

use super::commands;
use super::report::{Failure, Outcome, Report, Stop};
use super::setup::Setup;
use super::stage::Stage;

/// Plays one round.
///
/// # Errors
/// A step failed, and is reported; the rest builds on it and was left out.
pub(super) fn play(setup: Setup, with_commands: bool, report: &mut Report) -> Result<(), Stop> {
    let mut stage = match Stage::open(setup) {
        Ok(stage) => stage,
        Err(failure) => return report.prove("the processes start", Err(failure)),
    };
    let played = steps(&mut stage, with_commands, report);
    // Told even if a step failed: it may be the reason.
    let ended = stage.cluster.check().map(|()| String::new());
    let checked = report.prove("no process ended by itself", ended);
    played.and(checked)
}

fn steps(stage: &mut Stage, with_commands: bool, report: &mut Report) -> Result<(), Stop> {
    let leader = stage.leader().map(|leader| format!("n{leader}"));
    report.prove("three controllers agree on a leader", leader)?;
    report.prove("the first broker registers and is elected", first_broker(stage))?;
    let status = stage.start_traffic();
    let status = status.map(|status| format!("{} messages so far", status.acknowledged));
    report.prove("producer and consumer run", status)?;
    report.prove("the sync-state set grows to 3", grow(stage))?;
    if with_commands {
        commands::play(stage, report)?;
    }

    report.note("kill -9 of the master");
    let dead = tell(report, "a new master follows kill -9 of the old one", stage.fail_over())?;
    report.prove("the old master returns as slave", stage.come_back(dead))?;

    report.note("kill -9 of the controllers' leader");
    let what = "the set works on when the controllers' leader is killed";
    let controller = tell(report, what, stage.lose_leader())?;
    let dead = tell(report, "the new leader fails the set over", stage.fail_over())?;
    report.prove("that master, too, returns as slave", stage.come_back(dead))?;

    report.note("the killed controller starts again");
    report.prove("the killed controller returns", controller_returns(stage, controller))?;
    let what = "it counts in the majority when the next leader is killed";
    tell(report, what, stage.lose_leader())?;
    report.prove("no acknowledged message was lost", stage.end_traffic())
}

/// Reports a step that gives an index and what was seen.
fn tell(report: &mut Report, what: &str, outcome: Outcome<(usize, String)>) -> Result<usize, Stop> {
    match outcome {
        Ok((index, detail)) => report.prove(what, Ok(detail)).map(|()| index),
        Err(failure) => report.prove(what, Err(failure)).map(|()| 0),
    }
}

fn first_broker(stage: &mut Stage) -> Outcome<String> {
    let state = stage.add_broker(0, 1)?;
    let seen = (state.master, state.master_epoch, state.set_epoch, state.ids());
    if seen != (Some(1), 1, 1, vec![1]) {
        return Err(Failure(format!("{state:?}")));
    }
    stage.role(0, true)?;
    Ok("id 1, master epoch 1".to_owned())
}

fn grow(stage: &mut Stage) -> Outcome<String> {
    stage.add_broker(1, 2)?;
    stage.add_broker(2, 3)?;
    let state = stage.complete()?;
    let seen = (state.master, state.master_epoch, state.set_epoch, state.ids());
    if seen != (Some(1), 1, 3, vec![1, 2, 3]) {
        return Err(Failure(format!("{state:?}")));
    }
    // It takes seconds, in which the last broker comes to its greeting.
    stage.spread_topic()?;
    for index in 0..3 {
        stage.cluster.check_serialization(index)?;
    }
    Ok("ids 1, 2, 3, set epoch 3".to_owned())
}

fn controller_returns(stage: &mut Stage, index: usize) -> Outcome<String> {
    let before = stage.complete()?;
    stage.cluster.start_controller(index)?;
    let leader = stage.leader()?;
    let after = stage.complete()?;
    if after != before {
        return Err(Failure(format!("the state changed: {before:?}, then {after:?}")));
    }
    Ok(format!("all three name n{leader}"))
}
