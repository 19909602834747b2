//! What breaks, and when: in a workload file, or in a file of its own that several workloads share.
//!
//! ```toml
//! schema = "pitchover.faults/v1"
//! fault = [
//!   { at = "5m", every = "20m", kind = "controller-kill", select = "leader", restart_after = "10s" },
//!   { at = "15m", every = "20m", kind = "controller-restart", select = "next", restart_after = "2s" },
//! ]
//! ```

use serde::Deserialize;
use toml::Spanned;

use super::{Select, Span, Workload, WorkloadError};

/// What `schema` of a file of faults says.
pub const FAULTS_SCHEMA: &str = "pitchover.faults/v1";

/// Most strikes of one run, repeated ones counted one by one.
pub const STRIKES_MAX: usize = 10_000;

/// Something that breaks at a moment fixed beforehand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// From the start of measuring.
    pub at: Span,
    /// Again and again after so much time; once if absent.
    #[serde(default)]
    pub every: Option<Span>,
    /// What.
    pub kind: FaultKind,
    /// Masters of so many sets of all (`masters:20%`), or which controller.
    pub select: Select,
    /// After which a controller is started again or goes on; never if absent.
    #[serde(default)]
    pub restart_after: Option<Span>,
}

/// What breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Brokers vanish: their listeners close, their connections are reset.
    BrokerKill,
    /// Brokers' connections are reset, and opened again within a second; their listeners stay.
    BrokerReconnect,
    /// A controller that this run has started is killed.
    ControllerKill,
    /// It is asked to end, as by an operator: a leader hands over first. It is started again after `restart_after`.
    ControllerRestart,
    /// It is frozen, and goes on after `restart_after`.
    ControllerStop,
}

/// A file of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: Spanned<String>,
    fault: Vec<Spanned<Fault>>,
}

impl FaultKind {
    /// Whether it strikes controllers, which the run must have started.
    #[must_use]
    pub fn is_of_controllers(self) -> bool {
        match self {
            Self::BrokerKill | Self::BrokerReconnect => false,
            Self::ControllerKill | Self::ControllerRestart | Self::ControllerStop => true,
        }
    }
}

impl Fault {
    /// What is wrong with it, whatever the rest of the workload is.
    pub(super) fn check(&self, has_fleet: bool) -> Result<(), String> {
        let Self { kind, select, every, restart_after, .. } = self;
        let is_controller = kind.is_of_controllers();
        let why = match (kind, select) {
            (FaultKind::BrokerKill, Select::Masters(_))
            | (FaultKind::BrokerReconnect, Select::Brokers(_))
                if has_fleet =>
            {
                ""
            }
            (FaultKind::BrokerKill, _) => {
                "broker-kill strikes a [fleet], with select = \"masters:20%\""
            }
            (FaultKind::BrokerReconnect, _) => {
                "broker-reconnect strikes a [fleet], with select = \"brokers:100%\""
            }
            (_, Select::Masters(_) | Select::Brokers(_)) => {
                "a controller is selected by select = \"leader\", \"follower\", \"next\" or \"node:1\""
            }
            (_, Select::Leader | Select::Follower | Select::Next | Select::Node(_)) => "",
        };
        if !why.is_empty() {
            return Err(why.to_owned());
        }
        if every.is_some_and(|every| every.0.is_zero()) {
            return Err("every: longer than nothing".to_owned());
        }
        if *kind == FaultKind::ControllerRestart && restart_after.is_none() {
            return Err("controller-restart needs restart_after = \"2s\", for one".to_owned());
        }
        let is_back = restart_after.zip(*every).is_some_and(|(after, every)| after < every);
        if is_controller && every.is_some() && !is_back {
            let why =
                "a controller that is struck again and again needs a restart_after below `every`";
            return Err(why.to_owned());
        }
        Ok(())
    }
}

impl Workload {
    /// Every single strike, in the order of time, from the start of measuring.
    #[must_use]
    pub fn strikes(&self) -> Vec<(Span, &Fault)> {
        let mut all: Vec<(Span, &Fault)> = Vec::new();
        for fault in self.faults() {
            let mut at = fault.at;
            while at < self.time.measure && all.len() <= STRIKES_MAX {
                all.push((at, fault));
                let Some(every) = fault.every else { break };
                at = Span(at.0 + every.0);
            }
        }
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// The same workload with the faults of a file in the place of its own; `file` is what errors call the text.
    ///
    /// # Errors
    /// - [`WorkloadError`]: what is wrong, where, and what is allowed.
    pub fn with_faults(mut self, file: &str, text: &str) -> Result<Self, WorkloadError> {
        let failed = |at: usize, why: String| WorkloadError::at(file, text, at, why);
        let read: File = toml::from_str(text).map_err(|error| {
            failed(error.span().map_or(0, |span| span.start), error.message().to_owned())
        })?;
        if read.schema.get_ref() != FAULTS_SCHEMA {
            let why = format!("schema {:?}: must be {FAULTS_SCHEMA:?}", read.schema.get_ref());
            return Err(failed(read.schema.span().start, why));
        }
        self.fault = read.fault;
        for fault in &self.fault {
            let checked = self.check_fault(fault.get_ref());
            checked.map_err(|why| failed(fault.span().start, why))?;
        }
        self.check().map_err(|(_, why)| failed(0, why))?;
        self.note(&format!("with the faults of {file}:\n{text}"));
        Ok(self)
    }

    /// The same workload measured for so long, in whole windows; faults that would come later are left out.
    ///
    /// # Errors
    /// - [`WorkloadError`]: less than a window, or more windows than a run may have.
    pub fn lasting(mut self, measure: Span) -> Result<Self, WorkloadError> {
        let window = self.time.window.nanos().max(1);
        let whole = measure.nanos().div_ceil(window) * window;
        self.time.measure = Span(std::time::Duration::from_nanos(whole));
        self.fault.retain(|fault| fault.get_ref().at < self.time.measure);
        let refused = |why: String| WorkloadError { file: self.name.clone(), line: 0, why };
        self.check().map_err(|(_, why)| refused(why))?;
        self.note(&format!("measured for {} s", self.time.measure.0.as_secs_f64()));
        Ok(self)
    }

    /// Says in the text, which run folders keep, what was run differently.
    fn note(&mut self, what: &str) {
        let lines: String = what.lines().map(|line| format!("# {line}\n")).collect();
        self.text = format!("{}\n{lines}", self.text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::FaultKind;
    use crate::workload::{Span, Workload};
    use std::time::Duration;

    const WORKLOAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"x\"\ntime = { measure = \"60s\" }\n\
                            fault = [{ at = \"50s\", kind = \"controller-stop\", select = \"leader\" }]\n\
                            [fleet]\nbroker_sets = 3\n";

    fn workload() -> Workload {
        Workload::read("w", WORKLOAD).unwrap()
    }

    fn seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    #[test]
    fn repeated_faults_strike_until_measuring_ends() {
        let text = "schema = \"pitchover.faults/v1\"\nfault = [\n\
                    { at = \"10s\", every = \"20s\", kind = \"controller-kill\", select = \"leader\", restart_after = \"5s\" },\n\
                    { at = \"15s\", kind = \"controller-restart\", select = \"next\", restart_after = \"2s\" }]\n";
        let struck = |workload: &Workload| -> Vec<(u64, FaultKind)> {
            workload.strikes().iter().map(|(at, fault)| (at.0.as_secs(), fault.kind)).collect()
        };
        let own = workload();
        assert_eq!(struck(&own), [(50, FaultKind::ControllerStop)]);
        let faulty = own.with_faults("f.toml", text).unwrap();
        let (kill, restart) = (FaultKind::ControllerKill, FaultKind::ControllerRestart);
        assert_eq!(struck(&faulty), [(10, kill), (15, restart), (30, kill), (50, kill)]);
        assert!(faulty.text.contains("# { at = \"15s\""), "{}", faulty.text);
        let short = faulty.lasting(seconds(12)).unwrap();
        assert_eq!(struck(&short), [(10, kill)]);
        assert!(Workload::read("again", &short.text).is_ok(), "the text is still one");
    }

    #[test]
    fn a_longer_run_is_made_of_whole_windows() {
        let longer = workload().lasting(Span(Duration::from_millis(7_200_300))).unwrap();
        assert_eq!(longer.time.measure, seconds(7_201));
        let error = workload().lasting(seconds(600_000)).unwrap_err().to_string();
        assert!(error.contains("WINDOWS_MAX"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_fault_is_named() {
        let file = |fault: &str| format!("schema = \"pitchover.faults/v1\"\nfault = [\n{fault}]\n");
        let leader = "at = \"1s\", select = \"leader\"";
        let rows = [
            (
                file("{ at = \"1s\", kind = \"arson\", select = \"leader\" }"),
                "f:3: unknown variant `arson`",
            ),
            (
                file(&format!("{{ {leader}, kind = \"broker-kill\" }}")),
                "f:3: broker-kill strikes a [fleet]",
            ),
            (
                file(&format!("{{ {leader}, kind = \"controller-restart\" }}")),
                "needs restart_after",
            ),
            (
                file(&format!("{{ {leader}, kind = \"controller-kill\", every = \"9s\" }}")),
                "a restart_after below",
            ),
            (
                file("{ at = \"1s\", kind = \"controller-kill\", select = \"masters:9%\" }"),
                "\"node:1\"",
            ),
            (file("{ at = \"1s\", kind = \"controller-kill\", select = \"node:x\" }"), "\"next\""),
            (
                file("{ at = \"2m\", kind = \"controller-stop\", select = \"next\" }"),
                "while it is measured",
            ),
            (
                file(&format!(
                    "{{ {leader}, kind = \"controller-stop\", every = \"2ms\", restart_after = \"1ms\" }}"
                )),
                "STRIKES_MAX",
            ),
            ("schema = \"v2\"\nfault = []\n".to_owned(), "f:1: schema \"v2\""),
        ];
        for (text, says) in rows {
            let error = workload().with_faults("f", &text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}\n{error}");
        }
    }
}
