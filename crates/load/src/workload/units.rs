//! Values of the workload file that are more than numbers.

use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most requests per second of one stream; a thread cannot send more, one system call for each.
const RATE_MAX: f64 = 1_000_000.0;

/// Fewest: one in eleven days.
const RATE_MIN: f64 = 1e-6;

/// Longest time that a file may name.
const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A length of time, such as `"1.5s"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    pub(super) fn nothing() -> Self {
        Self(Duration::ZERO)
    }

    pub(super) fn one_second() -> Self {
        Self(Duration::from_secs(1))
    }

    pub(super) fn three_seconds() -> Self {
        Self(Duration::from_secs(3))
    }

    pub(super) fn five_seconds() -> Self {
        Self(Duration::from_secs(5))
    }

    /// In nanoseconds.
    #[must_use]
    pub fn nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// In milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// A text such as `1.5s`; nothing if it is no time, or one above 7 days.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let units = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3_600.0),
        ];
        let (number, seconds) =
            units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
        let number: f64 = number.trim_end().parse().ok()?;
        let span = Duration::try_from_secs_f64(number * seconds).ok()?;
        (span <= SPAN_MAX).then_some(Self(span))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let allowed = "a time such as \"200ms\", with one of the units ns, us, ms, s, m, h; at most \
                       7 days";
        text(deserializer, allowed, Self::parse)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ns", self.nanos()))
    }
}

/// Requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl Rate {
    /// A rate that can be sent.
    ///
    /// # Errors
    /// What is allowed, if it cannot.
    pub fn new(per_second: f64) -> Result<Self, String> {
        let is_possible = (RATE_MIN..=RATE_MAX).contains(&per_second);
        is_possible.then_some(Self(per_second)).ok_or_else(|| {
            format!("{per_second} requests per second: from {RATE_MIN} to {RATE_MAX} (RATE_MAX)")
        })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(Error::custom)
    }
}

/// A percentage, such as `"25%"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl Percent {
    fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
        (0.0..=100.0).contains(&number).then_some(Self(number))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a percentage from \"0%\" to \"100%\"", Self::parse)
    }
}

/// When requests of a stream are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Arrival {
    /// Evenly.
    #[default]
    Constant,
    /// Independently of each other.
    Poisson,
    /// Many at one moment, at the same rate on average.
    Burst {
        /// How many.
        size: u32,
    },
    /// Evenly, at a rate that swings about its mean.
    Sine {
        /// By how much: a part (0 to 1) of the rate.
        amplitude: f64,
        /// Length of one swing.
        period: Span,
    },
}

/// About what a stream asks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Key {
    /// Each as often as any other.
    #[default]
    Uniform,
    /// The n-th in proportion to `1 / n^s`.
    Zipf(f64),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| {
            if text == "uniform" {
                return Some(Self::Uniform);
            }
            let exponent: f64 = text.strip_prefix("zipf:")?.parse().ok()?;
            (0.0..=5.0).contains(&exponent).then_some(Self::Zipf(exponent))
        };
        text(deserializer, "\"uniform\" or \"zipf:S\" with S from 0 to 5", parse)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uniform => serializer.serialize_str("uniform"),
            Self::Zipf(exponent) => serializer.serialize_str(&format!("zipf:{exponent}")),
        }
    }
}

/// Where reads go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reads {
    /// To the leader of the moment.
    #[default]
    Leader,
    /// To all in turn.
    Any,
    /// To all but the leader in turn.
    Follower,
    /// To one node, counted from 0.
    Pinned(usize),
}

impl Reads {
    /// As files write it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Leader => "leader".to_owned(),
            Self::Any => "any".to_owned(),
            Self::Follower => "follower".to_owned(),
            Self::Pinned(node) => format!("pinned:{node}"),
        }
    }
}

impl<'de> Deserialize<'de> for Reads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| match text {
            "leader" => Some(Self::Leader),
            "any" => Some(Self::Any),
            "follower" => Some(Self::Follower),
            _ => Some(Self::Pinned(text.strip_prefix("pinned:")?.parse().ok()?)),
        };
        text(deserializer, "\"leader\", \"any\", \"follower\" or \"pinned:1\"", parse)
    }
}

impl Serialize for Reads {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Whether brokers share connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connections {
    /// Brokers on one connection to each controller.
    pub brokers: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self { brokers: 1 }
    }
}

impl<'de> Deserialize<'de> for Connections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| {
            if text == "per-broker" {
                return Some(Self::default());
            }
            let brokers: usize = text.strip_prefix("shared:")?.parse().ok()?;
            (1..=10_000).contains(&brokers).then_some(Self { brokers })
        };
        text(deserializer, "\"per-broker\", or \"shared:N\" with N from 1 to 10000", parse)
    }
}

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Select {
    /// The masters of a part (0 to 1) of all broker sets.
    Masters(f64),
    /// All brokers of a part (0 to 1) of all broker sets.
    Brokers(f64),
    /// The controllers' leader.
    Leader,
    /// One of the others, in turn.
    Follower,
    /// All controllers in turn.
    Next,
    /// One controller, counted from 0.
    Node(usize),
}

impl<'de> Deserialize<'de> for Select {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| match text {
            "leader" => Some(Self::Leader),
            "follower" => Some(Self::Follower),
            "next" => Some(Self::Next),
            _ => {
                let (kind, value) = text.split_once(':')?;
                let part = || Percent::parse(value).map(|it| it.0 / 100.0);
                match kind {
                    "node" => Some(Self::Node(value.parse().ok()?)),
                    "masters" => Some(Self::Masters(part()?)),
                    "brokers" => Some(Self::Brokers(part()?)),
                    _ => None,
                }
            }
        };
        let allowed =
            "\"leader\", \"follower\", \"next\", \"node:1\", \"masters:20%\" or \"brokers:100%\"";
        text(deserializer, allowed, parse)
    }
}

fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Text(&'static str);
    impl serde::de::Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    let text = deserializer.deserialize_str(Text(allowed))?;
    parse(&text).ok_or_else(|| Error::invalid_value(Unexpected::Str(&text), &allowed))
}
