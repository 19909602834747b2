//! How controllers end and start again.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | kill, term, crash loop, rolling | the exit status says the signal; a new process afterwards |
//! | clock ahead | `timens_offsets` of the new process |
//! | upgrade | the file that the new process executes |

use super::injection::{Done, Injection, text};
use crate::disk::Order;
use crate::ground::controller::{Controller, is_killed};
use crate::stand::Stand;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a process may take to end: by TERM it hands its leadership over first.
pub(super) const END: Duration = Duration::from_secs(15);

/// How long a controller may take to follow a leader again between two of a rolling restart.
const ROLL: Duration = Duration::from_secs(15);

impl Injection {
    pub(super) async fn end_by(
        &mut self,
        stand: &mut Stand,
        node: usize,
        by: Signal,
    ) -> Result<(), String> {
        stand.controllers[node].signal(by).map_err(text)?;
        self.await_end(stand, node, by).await
    }

    pub(super) async fn await_end(
        &mut self,
        stand: &mut Stand,
        node: usize,
        by: Signal,
    ) -> Result<(), String> {
        // A killed process cannot end while its disk hangs; it never learns what its call returned.
        if let Some(disk) = stand.disks.get_mut(node).filter(|_| by == Signal::KILL) {
            disk.order(Order::Release).map_err(text)?;
        }
        let Some(status) = stand.controllers[node].await_end(END).await else {
            self.overdue.insert(node);
            return Err(format!("n{node} did not end"));
        };
        self.evidence.push(format!("n{node} ended: {status}"));
        let kind = stand.controllers[node].plan.kind;
        let is_right =
            if by == Signal::TERM { kind.ends_politely(status) } else { is_killed(status) };
        if is_right { Ok(()) } else { Err(format!("n{node} ended otherwise: {status}")) }
    }

    pub(super) async fn crash_again(
        &mut self,
        stand: &mut Stand,
        (node, loops): (usize, u64),
    ) -> Result<Done, String> {
        for _ in 0..loops {
            self.end_by(stand, node, Signal::KILL).await?;
            stand.controllers[node].start().await.map_err(text)?;
        }
        Ok(Done::Over)
    }

    /// Restarts one controller after the other, with another program if one is given.
    pub(super) async fn roll(
        &mut self,
        stand: &mut Stand,
        program: Option<&Path>,
    ) -> Result<(), String> {
        for node in 0..stand.controllers.len() {
            stand.controllers[node].signal(Signal::TERM).map_err(text)?;
            self.await_end(stand, node, Signal::TERM).await?;
            if let Some(program) = program {
                program.clone_into(&mut stand.controllers[node].plan.program);
            }
            stand.controllers[node].start().await.map_err(text)?;
            if let Some(program) = program {
                self.confirm_program(&stand.controllers[node], program)?;
            }
            if !stand.becomes_whole(ROLL).await {
                return Err(format!(
                    "the cluster was not whole again after the restart of n{node}"
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn upgrade(&mut self, stand: &mut Stand) -> Result<Done, String> {
        let before = stand.controllers[0].plan.program.clone();
        let after = stand.other_program.clone().ok_or("there is no other build")?;
        if after == before {
            self.evidence.push("the same program again: a replacement".to_owned());
        }
        self.roll(stand, Some(&after)).await?;
        Ok(Done::Upgraded(before))
    }

    fn confirm_program(&mut self, controller: &Controller, wanted: &Path) -> Result<(), String> {
        let name = &controller.plan.name;
        let link = controller.of_process("exe").ok_or_else(|| format!("{name} does not run"))?;
        let runs = fs::read_link(link).map_err(text)?;
        self.evidence.push(format!("{name} runs {}", runs.display()));
        let is_right = runs == wanted;
        is_right.then_some(()).ok_or_else(|| format!("{name} runs not {}", wanted.display()))
    }

    pub(super) async fn start(&mut self, stand: &mut Stand, node: usize) -> Result<(), String> {
        let pid = stand.controllers[node].start().await.map_err(text)?;
        self.evidence.push(format!("n{node} runs again, process {}", pid.as_raw_nonzero()));
        Ok(())
    }

    pub(super) async fn start_ahead(
        &mut self,
        stand: &mut Stand,
        (node, seconds): (usize, u64),
    ) -> Result<(), String> {
        stand.controllers[node].ahead = seconds;
        self.start(stand, node).await?;
        let file = stand.controllers[node].of_process("timens_offsets").ok_or("it ended")?;
        let offsets = fs::read_to_string(file).map_err(text)?;
        let is_ahead = offsets.split_whitespace().any(|word| word == seconds.to_string());
        self.evidence.push(format!("n{node} is {seconds} s ahead"));
        if is_ahead { Ok(()) } else { Err(format!("no clock of its own: {offsets}")) }
    }

    /// Starts whom a deed ended that was then in doubt, and of whom nothing that was done speaks: a run with a doubt is
    /// INVALID, and must not FAIL for a controller that nobody started.
    pub(super) async fn start_the_rest(&mut self, controllers: &mut [Controller]) {
        for node in std::mem::take(&mut self.overdue) {
            // Told again, now that nothing holds it: TERM may have been all that it heard.
            self.note(controllers[node].signal(Signal::KILL).map_err(text).err());
            controllers[node].await_end(END).await;
        }
        let down = controllers.iter_mut().filter(|controller| controller.pid().is_none());
        for controller in down {
            let name = &controller.plan.name;
            self.doubts.push(format!("{name} was down, and nobody was to start it"));
            self.note(controller.start().await.map_err(text).err());
        }
    }
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;
