//! How busy this host was between two moments: generator, controllers, and others.

use std::time::{Duration, Instant};

use crate::failover::Generator;
use crate::process::Process;
use crate::{clock, host};

/// What was busy, from [`Load::begin`] on.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    generators: Vec<Process>,
    servers: Vec<Process>,
    began: Instant,
    at_begin: [Option<Duration>; 3],
    /// Cores: generator, servers, everybody.
    cores: [Option<f64>; 3],
}

impl Load {
    /// Begins to watch. This process counts as a generator.
    pub(crate) fn begin(generators: &[Process], servers: &[Process]) -> Self {
        let mut load = Self {
            generators: [&[Process::own()], generators].concat(),
            servers: servers.to_vec(),
            began: clock::now(),
            at_begin: [None; 3],
            cores: [None; 3],
        };
        load.at_begin = load.used();
        load
    }

    /// Ends watching.
    pub(crate) fn end(mut self) -> Self {
        let seconds = clock::now().saturating_duration_since(self.began).as_secs_f64();
        let used = self.used();
        for ((cores, before), after) in self.cores.iter_mut().zip(self.at_begin).zip(used) {
            let spent = before.zip(after).map(|(before, after)| after.saturating_sub(before));
            *cores = spent.map(|spent| spent.as_secs_f64() / seconds.max(f64::MIN_POSITIVE));
        }
        self
    }

    /// Cores that the controllers kept busy.
    pub(crate) fn server_cores(&self) -> Option<f64> {
        self.cores[1]
    }

    /// Cores that neither generators nor controllers kept busy, but somebody did.
    pub(crate) fn other_cores(&self) -> Option<f64> {
        let [own, servers, all] = self.cores;
        let known = own.unwrap_or_default() + servers.unwrap_or_default();
        all.map(|all| (all - known).max(0.0))
    }

    /// Writes what was seen into a report.
    pub(crate) fn fill(&self, generator: &mut Generator) {
        generator.cores = self.cores[0];
        generator.other_cores = self.other_cores();
    }

    fn used(&self) -> [Option<Duration>; 3] {
        let sum = |processes: &[Process]| processes.iter().map(|process| process.cpu()).sum();
        let servers = sum(&self.servers);
        [sum(&self.generators), servers.filter(|_| !self.servers.is_empty()), host::cpu()]
    }
}
