//! What a round of one version and one serialization proves, in order.
//!
//! | Step | Done | Proved |
//! |---|---|---|
//! | 1 | three controllers start | they agree on a leader |
//! | 2 | a broker starts | it registers as 1 and is elected |
//! | 3 | producer and consumer start | messages flow, and do so until the end |
//! | 4 | two more brokers start | ids 2 and 3; the sync-state set grows to 3 |
//! | 4b | the master's connections to the controllers are reset each second for 10 s | it stays master |
//! | 5 | mqadmin's commands ([`commands`]) | they print what was recorded |
//! | 6 | `kill -9` of the master; it starts again | a new master; it comes back as slave |
//! | 7 | `kill -9` of the controllers' leader | the set goes on; another fail-over works |
//! | 8 | it starts again, and the next leader dies | it counts in the majority, with the same state |
//! | 9 | the producer stops | no acknowledged message was lost |

use super::super::commands;
use super::super::report::{Failure, Outcome, Report, Stop};
use super::super::setup::{Serialization, Target};
use super::super::stage::Stage;
use super::{first_broker, grow, liveness, relayed, tell};
use std::time::Duration;

/// A minute of it is in the round `liveness`.
const SHORT_RESETS: Duration = Duration::from_secs(10);

pub(super) fn steps(stage: &mut Stage, report: &mut Report) -> Result<(), Stop> {
    let leader = stage.leader().map(|leader| format!("n{leader}"));
    report.prove("three controllers agree on a leader", leader)?;
    report.prove("the first broker registers and is elected", first_broker(stage))?;
    let status = stage.start_traffic();
    let status = status.map(|status| format!("{} messages so far", status.acknowledged));
    report.prove("producer and consumer run", status)?;
    report.prove("the sync-state set grows to 3", grow(stage))?;
    if relayed(stage.setup()) > 0 && stage.setup().target == Target::Pitchover {
        // Upstream's own controllers elect at each reset, and what mqadmin shows then is not what was recorded.
        let what = "resets of its connections to the controllers do not cost a master its place";
        report.prove(what, liveness::resets(stage, SHORT_RESETS))?;
    }
    // The outputs of mqadmin do not depend on how brokers write their headers.
    if stage.setup().serialization == Serialization::Json {
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
