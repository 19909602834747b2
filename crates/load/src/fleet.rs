//! `bench fleet`: one run whose generators are on several hosts.
//!
//! ```text
//! coordinator (bench fleet)                         worker (bench worker), one on each host
//! run ──► crew ──► link  ══ frames over TCP ══►  session ──► fleet-worker, as bench run starts it on its own host
//!                    ◄══ windows, report ════            ◄──
//! ```
//!
//! A part of the load is played by the very process that `bench run` starts; a worker only passes on what it is told and
//! what it says ([`worker`]), and a link (`fleet/link.rs`) stands in the crew beside local processes. So splitting, merging (bucket by
//! bucket) and judging are those of `bench run`.
//!
//! | Frame | From | Holds |
//! |---|---|---|
//! | hello | coordinator | format, version, token |
//! | welcome, or refused with the reason | worker | – |
//! | ping, pong | both | a moment of the coordinator's clock; with it one of the worker's |
//! | plan, command | coordinator | lines for the generator, times by the worker's clock |
//! | event | worker | a line of the generator, passed on as it is |
//! | usage | worker | how busy its host was, before the report |
//!
//! *Clocks.* Monotonic clocks of two hosts have nothing to do with each other. Each pong gives an offset that is wrong by half
//! its round trip at most; the best of many is taken just before the start (`fleet/clocks.rs`), and every moment that crosses
//! the link is translated on the coordinator's side. Latencies are differences of one clock and need none of this.
//!
//! *Trust.* A worker starts load against whatever it is told, so it listens on loopback unless it has a token. Everything
//! travels in plain text: keep it inside a network of your own. The token is looked at before anything else is read, and
//! what is read has limits (`fleet/frame.rs`).
//!
//! Not here: starting workers, which `deploy/` does; any encryption.

pub(crate) mod clocks;
mod frame;
pub(crate) mod link;
mod shown;
pub mod worker;

use std::net::Ipv6Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a hello begins with; raised whenever plans, commands, events or frames change their form.
const FORMAT: &str = "pitchover.fleet/2";

/// Port of a worker unless told otherwise.
pub const PORT: u16 = 9700;

/// Characters of a token at least.
pub const TOKEN_CHARS_MIN: usize = 16;

/// Bytes of a token at most, so that a hello has its place in a frame.
pub const TOKEN_BYTES_MAX: usize = 1_024;

/// Between two pings, which also say that the other side is there.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Whoever says nothing for so long, or cannot be told anything, is gone. A frame takes no longer, either.
const SILENCE: Duration = Duration::from_secs(15);

/// How long a connection may take to be made, and to say who it is.
const HELLO: Duration = Duration::from_secs(5);

/// A worker's address with its port: [`PORT`] where none is named.
#[must_use]
pub fn with_port(worker: &str) -> String {
    if worker.parse::<Ipv6Addr>().is_ok() {
        return format!("[{worker}]:{PORT}");
    }
    let has_port = worker.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port { worker.to_owned() } else { format!("{worker}:{PORT}") }
}

/// Who gives load to whom.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// `host:port` of each worker.
    pub workers: Vec<String>,
    /// What they ask for.
    pub token: Option<String>,
    /// Of this program; workers must have the same.
    pub version: String,
}

/// The first frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    format: String,
    version: String,
    token: Option<String>,
}

/// How busy a worker's host was in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Part of one core that the generator's busiest thread used.
    pub(crate) busiest_thread: Option<f64>,
    /// Share of the time in which somebody waited for a processor, in percent.
    pub(crate) psi_cpu_some_pct: Option<f64>,
}

/// A thread that panicked leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, with_port};
    use crate::generator::measures::Measures;
    use crate::generator::plan::{Plan, Report};

    /// Names of the members of something as it travels, sorted.
    fn members(it: &impl serde::Serialize) -> Vec<String> {
        let value = serde_json::to_value(it).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_worker_without_a_port_has_the_usual_one() {
        let rows = [
            ("w1", "w1:9700"),
            ("w1:9701", "w1:9701"),
            ("10.0.0.9", "10.0.0.9:9700"),
            ("::1", "[::1]:9700"),
            ("[::1]", "[::1]:9700"),
            ("[::1]:9701", "[::1]:9701"),
        ];
        for (given, meant) in rows {
            assert_eq!(with_port(given), meant);
        }
    }

    #[test]
    fn what_travels_has_the_form_that_the_format_stands_for() {
        let plan = Plan::as_java(Vec::new(), String::new(), 0);
        let travels =
            [members(&plan), members(&Report::default()), members(&Measures::default())].concat();
        let known = "brokers_per_connection controllers first_set heartbeat_every host \
            is_synchronized listening phases port prefix reads seed sets slowest sources timeout \
            two_way_every window wire acknowledged closings connections_lost contradictions \
            reported slowest told violations windows abandoned lag latency lost offered ok refused \
            service skipped timed_out wrong";
        // Whoever changes what travels raises FORMAT with it: workers of before must be refused.
        assert_eq!((FORMAT, travels.join(" ").as_str()), ("pitchover.fleet/2", known));
    }
}
