//! How busy a worker's process and its host are.

use std::collections::BTreeMap;
use std::time::Duration;

use measure::histogram::as_f64;

use crate::fleet::Usage;
use crate::generator::plan::Times;
use crate::host;
use crate::process::Process;

/// How busy the process and its host are while the load is measured.
pub(super) struct Watch {
    process: Process,
    times: Option<Times>,
    beginning: Option<Counters>,
    usage: Option<Usage>,
}

/// What has been used up to a moment.
struct Counters {
    at_ns: u64,
    threads: BTreeMap<u32, Duration>,
    psi_us: Option<u64>,
}

impl Watch {
    pub(super) fn of(process: Process) -> Self {
        Self { process, times: None, beginning: None, usage: None }
    }

    pub(super) fn measure(&mut self, times: Times) {
        (self.times, self.beginning, self.usage) = (Some(times), None, None);
    }

    /// Looked at with every frame, which is every `PING_EVERY` at least.
    pub(super) fn look(&mut self, now_ns: u64) {
        let Some(times) = self.times else { return };
        if self.beginning.is_none() && now_ns >= times.measure_from_ns {
            self.beginning = Some(Counters {
                at_ns: now_ns,
                threads: self.process.cpu_of_threads(),
                psi_us: host::psi_cpu_some_us(),
            });
        }
        if self.usage.is_none() && now_ns >= times.measure_to_ns {
            self.usage = Some(self.since_beginning(now_ns));
        }
    }

    pub(super) fn usage(&mut self, now_ns: u64) -> Usage {
        self.usage.unwrap_or_else(|| self.since_beginning(now_ns))
    }

    fn since_beginning(&self, now_ns: u64) -> Usage {
        let Some(beginning) = &self.beginning else { return Usage::default() };
        let elapsed_us = as_f64((now_ns.saturating_sub(beginning.at_ns) / 1_000).max(1));
        let part = |us: u64| as_f64(us) / elapsed_us;
        let spent = self.process.cpu_of_threads().into_iter().map(|(thread, cpu)| {
            cpu.saturating_sub(beginning.threads.get(&thread).copied().unwrap_or_default())
        });
        let busiest = spent.max().and_then(|cpu| u64::try_from(cpu.as_micros()).ok());
        let psi = host::psi_cpu_some_us().zip(beginning.psi_us);
        Usage {
            busiest_thread: busiest.map(part),
            psi_cpu_some_pct: psi.map(|(now, before)| part(now.saturating_sub(before)) * 100.0),
        }
    }
}
