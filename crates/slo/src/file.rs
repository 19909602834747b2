//! `slo.toml`, read strictly: an unknown key, a bar that is none, an objective twice are refused with file and line.
//!
//! ```toml
//! schema = "pitchover.slo/v1"
//! waiver = []
//!
//! [ratchet]
//! promote_after = 5
//!
//! [[slo]]
//! id = "write-p99"
//! component = "metadata write"
//! workload = "canonical"
//! sli = { of = "latency", op = "alter_sync_state_set", q = 0.99 }
//! minimum = { value = 24.0, floor = "fsync.p99", times = 3.0 }
//! aspire = [{ name = "M1", value = 16.0, times = 2.0 }]
//! prod = { type = "CONTROLLER_ALTER_SYNC_STATE_SET", seconds = 0.03, ratio = 0.999 }
//! ```

use std::collections::BTreeSet;

use measure::judged::Better;
use serde::Deserialize;
use toml::Spanned;

use crate::soak::SoakLimits;

/// What `schema` says.
pub const SCHEMA: &str = "pitchover.slo/v1";

/// Most objectives of one file.
const OBJECTIVES_MAX: usize = 500;

/// Most characters of an id.
const ID_CHARS_MAX: usize = 64;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objectives {
    schema: Spanned<String>,
    /// Objectives that may fail for a while.
    #[serde(default)]
    pub waiver: Vec<Waiver>,
    /// When a bar moves.
    #[serde(default)]
    pub ratchet: Ratchet,
    /// How soaks are judged.
    #[serde(default)]
    pub soak: SoakLimits,
    /// All objectives.
    #[serde(default)]
    slo: Vec<Spanned<Objective>>,
}

/// One objective.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Names it: `write-p99`.
    pub id: String,
    /// Which part of the system it is about.
    pub component: String,
    /// Who is asked when it fails.
    #[serde(default)]
    pub owner: String,
    /// The workload that it is judged on.
    pub workload: String,
    /// What is measured.
    pub sli: Sli,
    /// The bar.
    pub minimum: Minimum,
    /// Hopes, from the nearest to the farthest.
    #[serde(default)]
    pub aspire: Vec<Aspire>,
    /// How the bar moved, the oldest first.
    #[serde(default)]
    pub history: Vec<History>,
    /// The same promise where real traffic is.
    #[serde(default)]
    pub prod: Option<Production>,
}

/// What is measured of runs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sli {
    /// Which figure.
    pub of: SliKind,
    /// Of which operation, or which milestone of a failover.
    #[serde(default)]
    pub op: String,
    /// Which quantile, 0 to 1.
    #[serde(default)]
    pub q: Option<f64>,
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliKind {
    /// From due to done, in milliseconds: needs `op` and `q`.
    Latency,
    /// Answers of success a second: needs `op`.
    Answered,
    /// From the fault to a milestone, in milliseconds: `op` names the milestone, needs `q`; 1.0 is the last of all.
    Milestone,
    /// Survivors of a failover that were never told.
    Untold,
    /// CPU time of all servers for each success, in microseconds.
    Cpu,
    /// Bytes written to disks for each success.
    Bytes,
    /// The most resident memory of any server, in MiB.
    Memory,
    /// Growth of the memory of the server that grows fastest, in MiB an hour.
    MemoryGrowth,
    /// Wrong answers.
    Violations,
    /// Living brokers that controllers took for dead.
    WronglyDead,
}

impl SliKind {
    /// Unit of its figures, bars and hopes; empty for counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Latency | Self::Milestone => "ms",
            Self::Answered => "1/s",
            Self::Cpu => "us",
            Self::Bytes => "bytes",
            Self::Memory => "MiB",
            Self::MemoryGrowth => "MiB/h",
            Self::Violations | Self::WronglyDead | Self::Untold => "",
        }
    }

    /// Which way is better.
    #[must_use]
    pub fn better(self) -> Better {
        if self == Self::Answered { Better::Higher } else { Better::Lower }
    }

    fn needs_op(self) -> bool {
        matches!(self, Self::Latency | Self::Answered | Self::Milestone)
    }

    fn needs_quantile(self) -> bool {
        matches!(self, Self::Latency | Self::Milestone)
    }
}

impl Sli {
    /// In words: `get_replica_info latency p99`.
    #[must_use]
    pub fn words(&self) -> String {
        let q = self.q.map(|q| {
            if q >= 1.0 { " max".to_owned() } else { format!(" p{}", (q * 1e6).round() / 1e4) }
        });
        let what = match self.of {
            SliKind::Latency => "latency",
            SliKind::Answered => "answered",
            SliKind::Milestone => "after the fault",
            SliKind::Untold => "survivors never told",
            SliKind::Cpu => "CPU per operation",
            SliKind::Bytes => "bytes on disks per operation",
            SliKind::Memory => "memory of a node",
            SliKind::MemoryGrowth => "growth of memory",
            SliKind::Violations => "wrong answers",
            SliKind::WronglyDead => "living brokers taken for dead",
        };
        format!("{} {what}{}", self.op, q.unwrap_or_default()).trim_start().to_owned()
    }
}

/// A bar: its value, or a multiple of what the host can do at best, whichever is larger.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// In the unit of its figure.
    pub value: f64,
    /// What of the host.
    #[serde(default)]
    pub floor: Option<Floor>,
    /// How many times it.
    #[serde(default)]
    pub times: Option<f64>,
}

/// What a host can do at best, from the host card of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
pub enum Floor {
    /// 99 % of its syncs take at most this.
    #[serde(rename = "fsync.p99")]
    Fsync,
    /// 99 % of its round trips take at most this.
    #[serde(rename = "round_trip.p99")]
    RoundTrip,
}

impl Floor {
    /// As files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync.p99",
            Self::RoundTrip => "round_trip.p99",
        }
    }
}

/// A hope.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aspire {
    /// `M1`, …
    pub name: String,
    /// In the unit of its figure.
    pub value: f64,
    /// How many times the floor of the bar.
    #[serde(default)]
    pub times: Option<f64>,
}

/// One move of a bar.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// The day, `2026-12-01`.
    pub at: String,
    /// The commit that was measured, if it is known.
    pub commit: String,
    /// From and to: `60 -> 24`.
    pub minimum: String,
    /// The runs that showed it.
    pub runs: Vec<String>,
}

/// A promise about real traffic.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Production {
    /// Label `type` of `pitchover_request_seconds`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A good answer takes at most so many seconds; a bound of the metric's buckets.
    pub seconds: f64,
    /// Part (0 to 1) of all answers that must be good.
    pub ratio: f64,
    /// Requests a second below which nothing is alerted.
    #[serde(default = "Production::few")]
    pub min_rps: f64,
}

impl Production {
    fn few() -> f64 {
        0.1
    }
}

/// An objective that may fail until a day.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Which objective.
    pub id: String,
    /// The last day, `2027-01-15`.
    pub until: String,
    /// Why.
    pub reason: String,
    /// By whom.
    pub approved_by: String,
}

/// When a bar moves.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ratchet {
    /// Valid runs in a row that kept the hope.
    pub promote_after: usize,
    /// On at least so many days.
    pub days: usize,
    /// The new bar is the hope, or the worst that was seen times this, whichever is looser.
    pub headroom: f64,
}

impl Default for Ratchet {
    fn default() -> Self {
        Self { promote_after: 5, days: 3, headroom: 1.10 }
    }
}

/// Why a file is no file of objectives.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}:{line}: {why}")]
pub struct FileError {
    /// Which file.
    pub file: String,
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub why: String,
}

impl FileError {
    /// At this byte of the text.
    pub(crate) fn at(file: &str, text: &str, at: usize, why: String) -> Self {
        let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        Self { file: file.to_owned(), line, why }
    }
}

impl Objectives {
    /// Reads the text of `file`.
    ///
    /// # Errors
    /// - [`FileError`]: what is wrong, where, and what is allowed.
    pub fn read(file: &str, text: &str) -> Result<Self, FileError> {
        let failed = |at: usize, why: String| FileError::at(file, text, at, why);
        let read: Self = toml::from_str(text).map_err(|error| {
            failed(error.span().map_or(0, |span| span.start), error.message().to_owned())
        })?;
        read.check().map_err(|(at, why)| failed(at, why))?;
        Ok(read)
    }

    /// All objectives, in the order of the file.
    pub fn all(&self) -> impl Iterator<Item = &Objective> {
        self.slo.iter().map(Spanned::get_ref)
    }

    /// The objective with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Objective> {
        self.all().find(|objective| objective.id == id)
    }

    /// The waiver that covers an objective on this day (`2026-12-01`), if there is one.
    #[must_use]
    pub fn waived(&self, id: &str, today: &str) -> Option<&Waiver> {
        // Days in this form are in the order of their texts.
        self.waiver.iter().find(|waiver| waiver.id == id && today <= waiver.until.as_str())
    }

    fn check(&self) -> Result<(), (usize, String)> {
        if self.schema.get_ref() != SCHEMA {
            let why = format!("schema {:?}: must be {SCHEMA:?}", self.schema.get_ref());
            return Err((self.schema.span().start, why));
        }
        if self.slo.is_empty() || self.slo.len() > OBJECTIVES_MAX {
            let why = format!(
                "{} objectives: 1 to {OBJECTIVES_MAX} (OBJECTIVES_MAX) `[[slo]]`",
                self.slo.len()
            );
            return Err((0, why));
        }
        let Ratchet { promote_after, days, headroom } = self.ratchet;
        if promote_after == 0
            || days == 0
            || days > promote_after
            || !(1.0..=2.0).contains(&headroom)
        {
            let why =
                "[ratchet]: promote_after 1 or more, days 1 to promote_after, headroom 1.0 to 2.0";
            return Err((0, why.to_owned()));
        }
        self.soak.check().map_err(|why| (0, why))?;
        let mut ids = BTreeSet::new();
        for slo in &self.slo {
            let (at, objective) = (slo.span().start, slo.get_ref());
            objective
                .check()
                .map_err(|why| (at, format!("objective {:?}: {why}", objective.id)))?;
            if !ids.insert(objective.id.as_str()) {
                return Err((
                    at,
                    format!("objective {:?} stands twice: ids must differ", objective.id),
                ));
            }
        }
        for Waiver { id, until, reason, approved_by } in &self.waiver {
            let why = match () {
                () if !ids.contains(id.as_str()) => "there is no such objective",
                () if !is_day(until) => "`until` is a day such as \"2027-01-15\"",
                () if reason.trim().is_empty() || approved_by.trim().is_empty() => {
                    "it needs a reason and who approved it"
                }
                () => continue,
            };
            return Err((0, format!("waiver of {id:?}: {why}")));
        }
        Ok(())
    }
}

impl Objective {
    fn check(&self) -> Result<(), String> {
        let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        let is_id =
            !self.id.is_empty() && self.id.len() <= ID_CHARS_MAX && self.id.chars().all(plain);
        if !is_id {
            return Err(format!("an id is 1 to {ID_CHARS_MAX} (ID_CHARS_MAX) of a-z, 0-9 and -"));
        }
        let Sli { of, op, q } = &self.sli;
        if of.needs_op() == op.is_empty() {
            let verb = if of.needs_op() { "needs" } else { "has no" };
            return Err(format!("sli of {of:?} {verb} `op`"));
        }
        if of.needs_quantile() != q.is_some() || q.is_some_and(|q| !(0.0..=1.0).contains(&q)) {
            let verb = if of.needs_quantile() { "needs" } else { "has no" };
            return Err(format!("sli of {of:?} {verb} `q` from 0 to 1"));
        }
        let Minimum { value, floor, times } = &self.minimum;
        let is_bar = |value: f64| value.is_finite() && value >= 0.0;
        if !is_bar(*value) || times.is_some_and(|times| !is_bar(times)) {
            return Err("a bar is 0 or more".to_owned());
        }
        if floor.is_some() != times.is_some() || (floor.is_some() && of.unit() != "ms") {
            return Err("`floor` and `times` come together, and only for figures in ms".to_owned());
        }
        self.check_hopes()?;
        if let Some(Production { kind, seconds, ratio, min_rps }) = &self.prod {
            let is_right = *seconds > 0.0
                && (0.5..1.0).contains(ratio)
                && is_bar(*min_rps)
                && !kind.is_empty();
            if !is_right {
                return Err("prod: seconds above 0, ratio from 0.5 up to below 1, min_rps 0 or more, a type".to_owned());
            }
        }
        let days = self.history.iter().all(|moved| is_day(&moved.at));
        if days { Ok(()) } else { Err("history: `at` is a day such as \"2026-12-01\"".to_owned()) }
    }

    /// Each hope is better than the bar and than the hope before it.
    fn check_hopes(&self) -> Result<(), String> {
        let is_lower = self.sli.of.better() == Better::Lower;
        let (mut value, mut times) = (self.minimum.value, self.minimum.times);
        for hope in &self.aspire {
            let is_tighter =
                |before: f64, now: f64| if is_lower { now <= before } else { now >= before };
            if !is_tighter(value, hope.value) || !hope.value.is_finite() || hope.value < 0.0 {
                return Err(format!(
                    "{}: {} is not better than {value} before it",
                    hope.name, hope.value
                ));
            }
            if hope.times.is_some()
                && times.is_none_or(|before| hope.times.is_some_and(|now| now > before))
            {
                return Err(format!(
                    "{}: its `times` is above the one before it, or the bar has none",
                    hope.name
                ));
            }
            (value, times) = (hope.value, hope.times.or(times));
        }
        Ok(())
    }
}

/// Whether a text is a day such as `2027-01-15`.
pub(crate) fn is_day(text: &str) -> bool {
    let shape: Vec<&str> = text.split('-').collect();
    let is_number = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|it| it.is_ascii_digit())
    };
    let within =
        |part: &str, most: u32| part.parse::<u32>().is_ok_and(|it| (1..=most).contains(&it));
    match shape.as_slice() {
        [year, month, day] => {
            is_number(year, 4)
                && is_number(month, 2)
                && is_number(day, 2)
                && within(month, 12)
                && within(day, 31)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
