//! One arm while it is up: its controllers, its fleet, and what they were seen to use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use measure::folder::Durability;

use super::{Arm, CompareError};
use crate::generator::crew::Crew;
use crate::generator::measures::Tally;
use crate::generator::plan::{Command, Plan, Report, Times};
use crate::host;
use crate::process::Process;
use crate::run::planning;
use crate::run::target::Stage;
use crate::run::{Setup, Target};
use crate::subject::arm;
use crate::workload::Workload;

pub(super) struct Stand {
    stage: Stage,
    crew: Crew,
    plan: Plan,
    processes: Vec<Process>,
    /// Windows that not all processes of the fleet have told yet.
    half_done: BTreeMap<u64, (usize, Tally)>,
    windows: BTreeMap<u64, Tally>,
}

/// Who plays the fleets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Players<'a> {
    /// The program: the same one for all arms, whatever is measured.
    pub(super) generator: &'a Path,
    /// Set when they are to end.
    pub(super) stop: &'a AtomicBool,
}

/// What the servers of an arm have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) cpu: Option<Duration>,
    pub(super) disk_written_bytes: Option<u64>,
}

impl Stand {
    /// Starts controllers, unless they run already, and the fleet with its load in `phases`.
    pub(super) fn start(
        workload: &Workload,
        arm: &Arm,
        phases: Vec<(Duration, f64)>,
        players: Players<'_>,
        progress: &mut impl FnMut(&str),
    ) -> Result<Self, CompareError> {
        let mut setup = Setup::new(Target::OfWorkload, Path::new(""));
        match arm {
            Arm::Program(program) => {
                setup.program = Some(program.clone());
                setup.target = Target::Spawn(workload.target.spawn.map_or(3, |spawn| spawn.peers));
            }
            Arm::Addresses(addresses) => setup.target = Target::Addresses(addresses.clone()),
        }
        let stage = Stage::begin(workload, &setup, &mut |_progress| {})?;
        let mut plan = planning::plan(workload, stage.addresses.clone())?;
        plan.phases = phases;
        plan.window = Duration::from_millis(super::turns::WINDOW_MS);
        let begun = Crew::start(players.generator, &plan, players.stop, |text| progress(text));
        if begun.is_err() {
            stage.leave(&plan, |text| progress(text));
        }
        let (crew, _views) = begun?;
        let processes = stage.processes().into_iter().flatten().collect();
        let (half_done, windows) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { stage, crew, plan, processes, half_done, windows })
    }

    /// What tables call it.
    pub(super) fn name(&self) -> String {
        let version = self.stage.said.version.as_deref().map(|version| format!(" {version}"));
        arm(self.stage.said.kind, self.stage.said.durability) + &version.unwrap_or_default()
    }

    pub(super) fn durability(&self) -> Durability {
        self.stage.said.durability
    }

    pub(super) fn measure(&mut self, times: Times, end_ns: u64) -> Result<(), CompareError> {
        self.crew.tell(&Command::Measure { has_load: true, times })?;
        Ok(self.crew.tell(&Command::Ease { at_ns: end_ns })?)
    }

    /// Takes the windows that are over, so that nobody waits with them.
    pub(super) fn take_windows(&mut self) -> Result<(), CompareError> {
        let mut whole = Vec::new();
        self.crew.windows(&mut self.half_done, &mut whole)?;
        self.windows.extend(whole);
        Ok(())
    }

    /// What all servers have used together; nothing where one cannot be looked into.
    pub(super) fn used(&self) -> Used {
        if self.processes.is_empty() {
            return Used::default();
        }
        Used {
            cpu: self.processes.iter().map(|process| process.cpu()).sum(),
            disk_written_bytes: host::disk_written_bytes(),
        }
    }

    /// Every window, and what else the fleet has seen.
    pub(super) fn report(&mut self) -> Result<(BTreeMap<u64, Tally>, Report), CompareError> {
        let mut seen = self.crew.whole_report()?;
        let late = std::mem::take(&mut seen.windows).into_iter();
        let half_done = std::mem::take(&mut self.half_done).into_iter();
        for (number, tally) in late.chain(half_done.map(|(number, (_, tally))| (number, tally))) {
            self.windows.entry(number).or_default().add(&tally);
        }
        Ok((std::mem::take(&mut self.windows), seen))
    }

    /// Ends the fleet, then its controllers if they are ours; others keep nothing of it.
    pub(super) fn leave(self, progress: &mut impl FnMut(&str)) {
        let Self { stage, crew, plan, .. } = self;
        drop(crew);
        stage.leave(&plan, |text| progress(text));
    }
}
