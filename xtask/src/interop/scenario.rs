//! What the rounds prove: [`base`] for each version and serialization, [`liveness`] and [`spread`] once each.

mod base;
mod liveness;
mod spread;

use super::report::{Failure, Outcome, Report, Stop};
use super::setup::{Play, Serialization, Setup};
use super::stage::Stage;

/// Plays one round.
///
/// # Errors
/// A step failed, and is reported; the rest builds on it and was left out.
pub(super) fn play(setup: Setup, report: &mut Report) -> Result<(), Stop> {
    let (play, relayed) = (setup.play, relayed(&setup));
    let mut stage = match Stage::open(setup, relayed) {
        Ok(stage) => stage,
        Err(failure) => return report.prove("the processes start", Err(failure)),
    };
    let played = match play {
        Play::Base => base::steps(&mut stage, report),
        Play::Liveness => liveness::steps(&mut stage, report),
        Play::Spread => spread::steps(&mut stage, report),
    };
    // Told even if a step failed: it may be the reason.
    let ended = stage.cluster.check().map(|()| String::new());
    let checked = report.prove("no process ended by itself", ended);
    played.and(checked)
}

/// How many brokers' connections can be broken. In the quick round it is the first one, since it takes seconds there.
fn relayed(setup: &Setup) -> usize {
    match setup.play {
        Play::Base => {
            usize::from(setup.version == "5.5.0" && setup.serialization == Serialization::Json)
        }
        Play::Liveness => 3,
        Play::Spread => 0,
    }
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
