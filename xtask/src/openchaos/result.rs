//! What `OpenChaos` wrote, read; and the verdict on one run.
//!
//! | File of `OpenChaos` | Read for |
//! |---|---|
//! | `…-chaos-history-file` | injections; the longest time without a success; when clients asked |
//! | `…-chaos-kv-result-file` | puts, acknowledged values, lost values: its verdict |
//! | `…-chaos-rto-result-file` | its recovery times, which count from the first failed request |
//! | its log | errors: a failed injection shows nowhere else |
//!
//! `isValid` is always true there, and is not looked at.

use super::presence::{Absent, Asked};
use super::watch::Injection;

/// What `OpenChaos` counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) puts: u64,
    pub(super) acknowledged: u64,
    pub(super) lost: u64,
}

/// What one run showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) fault: String,
    pub(super) nodes: u8,
    pub(super) counts: Counts,
    /// Injections that `OpenChaos` recorded, and those that were seen to work.
    pub(super) injections: usize,
    pub(super) confirmed: usize,
    /// Whose controllers were not there when all had to be.
    pub(super) absent: Absent,
    /// Packets that a program of ours held, if the fault was emulated.
    pub(super) held: Option<u64>,
    /// Longest time without an acknowledged put while clients ran.
    pub(super) outage_ms: u64,
    /// `OpenChaos`' own recovery times.
    pub(super) rto_ms: Vec<u64>,
    /// Violations that the driver's own check counted.
    pub(super) violations: u64,
    /// What `pitchover check` says.
    pub(super) second: Second,
    /// Whether the read at the very end had an answer: without one nothing is known to be lost.
    pub(super) was_read: bool,
    /// Errors in `OpenChaos`' log.
    pub(super) errors: Vec<String>,
}

/// The second opinion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Second {
    Linearizable,
    Wrong,
    /// The search gave up; no contradiction was found.
    Undecided,
    #[default]
    Unreadable,
}

impl Second {
    /// By the exit code of `pitchover check`.
    pub(super) fn of(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Linearizable,
            Some(1) => Self::Wrong,
            Some(2) => Self::Undecided,
            _ => Self::Unreadable,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Wrong => "wrong",
            Self::Undecided => "undecided",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What is to be thought of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// Something was lost, no order explains what was seen, or a controller ended by itself; what the figures do not show.
    Failed(String),
    /// What was tested is not known, or it was too little.
    Invalid(String),
}

impl Shown {
    /// Judges; `writes` is how many puts there must be.
    pub(super) fn verdict(&self, writes: u64) -> Verdict {
        let invalid = |text: String| Verdict::Invalid(text);
        let is_wrong = self.violations > 0 || self.second == Second::Wrong;
        if let Some(why) = &self.absent.later {
            return Verdict::Failed(why.clone());
        }
        if !self.was_read && !is_wrong {
            return invalid(
                "nobody answered the last read, so OpenChaos counts all as lost".to_owned(),
            );
        }
        if self.counts.lost > 0 || is_wrong {
            return Verdict::Failed(String::new());
        }
        if let Some(why) = &self.absent.before {
            return invalid(why.clone());
        }
        if let Some(error) = self.errors.iter().find(|error| !is_known(&self.fault, error)) {
            return invalid(format!("OpenChaos logged: {error}"));
        }
        if self.confirmed < self.injections || (self.injections == 0 && self.fault != "noop") {
            let (seen, all) = (self.confirmed, self.injections);
            return invalid(format!("{seen} of {all} injections were seen to work"));
        }
        if self.counts.puts < writes {
            return invalid(format!("{} puts, {writes} are wanted", self.counts.puts));
        }
        if self.second != Second::Linearizable {
            return invalid(format!("`pitchover check`: {}", self.second.word()));
        }
        Verdict::Passed
    }
}

/// The one error that `OpenChaos` always logs: it does not know its own name of `leader-partition` when it heals.
fn is_known(fault: &str, error: &str) -> bool {
    fault == "leader-partition" && error.ends_with("No such fault")
}

/// Reads the counts; none if the file lacks one.
pub(super) fn counts(text: &str) -> Option<Counts> {
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().parse().ok()
    };
    Some(Counts {
        puts: number("putInvokeCount")?,
        acknowledged: number("putSuccessCount")?,
        lost: number("lostValueCount")?,
    })
}

/// Reads the recovery times; those that did not end count as nothing. They are taken from when each began and ended:
/// `rtoTime` itself is a time of day where the first request after an injection failed only after the next one.
pub(super) fn recovery_times(text: &str) -> Vec<u64> {
    let value = |line: &str, name: &str| -> Option<u64> {
        line.trim().trim_start_matches("- ").strip_prefix(name)?.trim().parse().ok()
    };
    let (mut times, mut began) = (Vec::new(), 0);
    for line in text.lines() {
        began = value(line, "startTimestamp:").unwrap_or(began);
        let ended = value(line, "endTimestamp:").filter(|ended| *ended > began && began > 0);
        times.extend(ended.map(|ended| ended - began));
    }
    times
}

/// What `OpenChaos` logs when the run is over and its checks begin.
const CHECKS_BEGIN: &str = "Start check...";

/// Errors in the log, without the time and the thread; only while it ran: its checks log one where no `gnuplot` is there
/// to draw their picture.
pub(super) fn errors(log: &str) -> Vec<String> {
    let error = |line: &str| {
        let (_, error) = line.split_once("] ERROR - ")?;
        Some(error.trim().to_owned())
    };
    log.lines().take_while(|line| !line.ends_with(CHECKS_BEGIN)).filter_map(error).collect()
}

/// Whether `OpenChaos`' history has an answer to the read at the very end.
pub(super) fn was_read(text: &str) -> bool {
    let is_answer = |line: &str| line.contains("\tgetAll\tRESPONSE\tSUCCESS\t");
    text.lines().any(is_answer)
}

/// Injections, and the longest time without an acknowledged put, of `OpenChaos`' history.
///
/// An injection that is not ended lasts to the last line.
pub(super) fn history(text: &str) -> (Vec<Injection>, u64) {
    let mut injections: Vec<Injection> = Vec::new();
    let (mut last_success, mut outage, mut end) = (None, 0, 0);
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        match words.as_slice() {
            ["fault", _, "start", _] => {
                let from_ms = number(3).unwrap_or_default();
                injections.push(Injection { from_ms, to_ms: u64::MAX });
            }
            ["fault", _, "end", _] => {
                let to_ms = number(3).unwrap_or(u64::MAX);
                injections.iter_mut().rev().take(1).for_each(|injection| injection.to_ms = to_ms);
            }
            [_, "put", "REQUEST", ..] => end = number(5).unwrap_or(end).max(end),
            [_, "put", "RESPONSE", "SUCCESS", ..] => {
                let at = number(6).unwrap_or_default();
                outage = last_success.map_or(outage, |last| at.saturating_sub(last).max(outage));
                last_success = Some(at.max(last_success.unwrap_or_default()));
            }
            _ => {}
        }
    }
    let tail = last_success.map_or(0, |last| end.saturating_sub(last));
    (injections, outage.max(tail))
}

/// When clients asked, from their first put to the last read.
pub(super) fn asked(text: &str) -> Asked {
    let requests = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            [_, _, "REQUEST", _, _, at_ms, ..] => at_ms.parse().ok(),
            _ => None,
        }
    });
    let times: Vec<u64> = requests.collect();
    let (from_ms, to_ms) = (times.iter().min(), times.iter().max());
    Asked { from_ms: from_ms.copied().unwrap_or(0), to_ms: to_ms.copied().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::{
        Counts, Second, Shown, Verdict, asked, counts, errors, history, recovery_times, was_read,
    };
    use crate::openchaos::presence::{Absent, Asked};
    use crate::openchaos::watch::Injection;

    #[test]
    fn counts_are_read() {
        let text = "---\nname: \"KVTestResult\"\nisValid: true\nputInvokeCount: 1620\nputSuccessCount: 1600\n\
                    getSuccessCount: 1599\nlostValueCount: 1\nlostValues:\n- \"17\"\n";
        let expected = Counts { puts: 1_620, acknowledged: 1_600, lost: 1 };
        assert_eq!(counts(text), Some(expected));
        assert_eq!(counts("---\nname: \"KVTestResult\"\n"), None);
    }

    #[test]
    fn recovery_times_are_read() {
        let one = |rto, began, ended| {
            let times = format!("  startTimestamp: {began}\n  endTimestamp: {ended}\n");
            format!("- isUnavailableInFaultInterval: true\n  rtoTime: {rto}\n{times}")
        };
        let never_ended = one(0, 80_322, 0);
        let text = ["results:\n", &one(731, 5, 736), &never_ended, &one(116_705, 113_668, 116_705)];
        assert_eq!(recovery_times(&text.concat()), [731, 3_037]);
    }

    #[test]
    fn a_last_read_without_an_answer_is_noticed() {
        assert!(was_read("0\tgetAll\tRESPONSE\tSUCCESS\t[1]\tnull\t9\t1\tnull\t0\n"));
        assert!(!was_read("0\tgetAll\tRESPONSE\tFAILURE\tnull\tnull\t9\t1\tnull\t0\n"));
    }

    #[test]
    fn errors_are_found_in_a_log() {
        let log = "2026-01-01 00:00:00.000 [main] INFO - client0 request put, data is 1\n\
                   2026-01-01 00:00:01.000 [Fault worker] ERROR - No such fault\n\tat io.openchaos.X\n\
                   2026-01-01 00:00:09.000 [main] INFO - Start check...\n\
                   2026-01-01 00:00:09.100 [main] ERROR - \n";
        assert_eq!(errors(log), ["No such fault"]);
    }

    #[test]
    fn a_history_gives_injections_and_the_longest_outage() {
        let response = |result: &str, at: u64| {
            format!("0\tput\tRESPONSE\t{result}\t1\tnull\t{at}\t3\tnull\t0\n")
        };
        let text = [
            response("SUCCESS", 100),
            "fault\tleader-kill\tstart\t120\n".to_owned(),
            response("UNKNOWN", 130),
            response("SUCCESS", 400),
            "fault\tleader-kill\tend\t450\n".to_owned(),
            response("SUCCESS", 460),
            "fault\tleader-kill\tstart\t500\n".to_owned(),
            "0\tput\tREQUEST\t9\tnull\t600\tnull\n".to_owned(),
        ];
        let (injections, outage) = history(&text.concat());
        let ended = Injection { from_ms: 120, to_ms: 450 };
        assert_eq!(injections, [ended, Injection { from_ms: 500, to_ms: u64::MAX }]);
        assert_eq!(outage, 300);
        let read = "0\tgetAll\tREQUEST\tnull\tnull\t900\tnull\n";
        assert_eq!(asked(&[&text.concat(), read].concat()), Asked { from_ms: 600, to_ms: 900 });
    }

    #[test]
    fn a_run_passes_only_if_all_was_seen() {
        let good = Shown {
            fault: "leader-kill".into(),
            counts: Counts { puts: 2_000, acknowledged: 1_900, lost: 0 },
            injections: 2,
            confirmed: 2,
            was_read: true,
            second: Second::Linearizable,
            ..Shown::default()
        };
        assert_eq!(good.verdict(1_500), Verdict::Passed);
        let ended = || Some("n1 ended by itself".to_owned());
        let absent = |before, later| Shown { absent: Absent { before, later }, ..good.clone() };
        assert_eq!(absent(None, ended()).verdict(1_500), Verdict::Failed(ended().unwrap()));
        assert_eq!(absent(ended(), None).verdict(1_500), Verdict::Invalid(ended().unwrap()));
        let is_invalid = |shown: Shown| matches!(shown.verdict(1_500), Verdict::Invalid(_));
        assert!(is_invalid(Shown { confirmed: 1, ..good.clone() }));
        assert!(is_invalid(Shown { injections: 0, confirmed: 0, ..good.clone() }));
        assert!(is_invalid(Shown {
            counts: Counts { puts: 1_499, ..good.counts },
            ..good.clone()
        }));
        assert!(is_invalid(Shown { second: Second::Undecided, ..good.clone() }));
        let errors = vec!["No such fault".to_owned()];
        assert!(is_invalid(Shown { errors: errors.clone(), ..good.clone() }));
        let cut = Shown { fault: "leader-partition".into(), errors, ..good.clone() };
        assert_eq!(cut.verdict(1_500), Verdict::Passed);
        let counts = Counts { lost: 1_900, ..good.counts };
        let wrong = Verdict::Failed(String::new());
        assert!(is_invalid(Shown { counts, was_read: false, ..good.clone() }));
        assert_eq!(Shown { counts, ..good.clone() }.verdict(1_500), wrong);
        assert_eq!(Shown { violations: 1, ..good }.verdict(1_500), wrong);
    }
}
