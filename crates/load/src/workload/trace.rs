//! Operations with time stamps, replayed: `arrival = "trace:FILE"`.
//!
//! ```text
//! # time since the start of measuring, and what was asked; without it every stream replays the line
//! 0ms    get_replica_info
//! 12.5ms alter_sync_state_set
//! 1.2s   get_replica_info
//! ```

use std::time::Duration;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::{Arrival, Op, Span};

/// Most lines of a trace.
pub const TRACE_LINES_MAX: usize = 1_000_000;

/// When a stream's requests are due.
#[derive(Clone, Debug, PartialEq)]
pub enum Timing {
    /// At a rate.
    At(Arrival),
    /// As a file says.
    Trace(String),
}

impl Default for Timing {
    fn default() -> Self {
        Self::At(Arrival::default())
    }
}

impl<'de> Deserialize<'de> for Timing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Timing;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"constant\", \"poisson\", \"trace:FILE\", a burst or a sine")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Timing, E> {
                if let Some(file) = text.strip_prefix("trace:") {
                    return Ok(Timing::Trace(file.to_owned()));
                }
                Arrival::deserialize(StrDeserializer::<E>::new(text)).map(Timing::At)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Timing, A::Error> {
                Arrival::deserialize(MapAccessDeserializer::new(map)).map(Timing::At)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Moments at which a file asks for an operation, from the start of measuring, rising.
///
/// # Errors
/// A text with file, line and what is allowed.
pub(crate) fn moments(file: &str, op: Op) -> Result<Vec<Duration>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    parse(&text, op).map_err(|(line, why)| format!("{file}:{line}: {why}"))
}

fn parse(text: &str, op: Op) -> Result<Vec<Duration>, (usize, String)> {
    let mut moments: Vec<Duration> = Vec::new();
    let mut last = Duration::ZERO;
    for (number, line) in text.lines().enumerate() {
        let failed = |why: &str| (number + 1, format!("{line:?}: {why}"));
        let mut words = line.split_ascii_whitespace();
        let Some(time) = words.next().filter(|word| !word.starts_with('#')) else { continue };
        let at =
            Span::parse(time).ok_or_else(|| failed("a time such as 12.5ms, and an operation"))?.0;
        if at < last {
            return Err(failed("it lies before the line above; lines are in the order of time"));
        }
        last = at;
        let asked = words.next().map(|word| {
            let known = Op::ALL.into_iter().find(|op| op.name() == word);
            known.ok_or_else(|| {
                let names = Op::ALL.map(Op::name).join(", ");
                failed(&format!("{word:?} is no operation; there are {names}"))
            })
        });
        if asked.transpose()?.is_none_or(|asked| asked == op) {
            moments.push(at);
        }
        if moments.len() > TRACE_LINES_MAX {
            return Err(failed(&format!("more than {TRACE_LINES_MAX} lines (TRACE_LINES_MAX)")));
        }
    }
    if moments.is_empty() {
        return Err((0, format!("no line asks for {}", op.name())));
    }
    Ok(moments)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Op, parse};

    #[test]
    fn each_stream_replays_its_own_lines() {
        let text = "# a trace\n0ms get_replica_info\n\n12.5ms alter_sync_state_set\n1s\n1.5s get_replica_info\n";
        let ms = |op| -> Vec<u128> {
            parse(text, op).unwrap().iter().map(Duration::as_micros).collect()
        };
        assert_eq!(ms(Op::GetReplicaInfo), [0, 1_000_000, 1_500_000]);
        assert_eq!(ms(Op::AlterSyncStateSet), [12_500, 1_000_000]);
    }

    #[test]
    fn what_is_no_trace_is_named_with_its_line() {
        let rows = [
            ("1s\n2 get\n", 2, "a time such as 12.5ms"),
            ("1s\n999ms\n", 2, "in the order of time"),
            ("1s read\n", 1, "no operation; there are get_replica_info, "),
            ("1s heartbeat\n", 0, "no line asks for get_replica_info"),
        ];
        for (text, line, says) in rows {
            let (at, why) = parse(text, Op::GetReplicaInfo).unwrap_err();
            assert!(at == line && why.contains(says), "{at}: {why}");
        }
    }
}
