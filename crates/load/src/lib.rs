//! Load generation and measurement.
//!
//! ```text
//! quick ──► own_cluster      three controllers, if no target is named
//!       ──► broker_sets      what the requests are about
//!       ──► closed_loop      one thread, many connections ──► requester, answer, slot
//!       ──► canned           the ceiling, in a process of its own
//!       ──► process, host    CPU time, memory, file system
//!       ──► report           a table and JSON
//!
//! failover ──► own_cluster, inspect     controllers that die, and what they say of themselves
//!          ──► generator                a simulated fleet in several processes, open loop
//!                 ──► poller, cadence, calls, measures
//!
//! run      ──► workload                 a plan of load as text, read strictly
//!          ──► generator                the same, by that plan
//!          ──► measure::folder          everything it found
//!
//!   fleet                                several hosts: workers pass on what the same generators are told and say
//!
//! counted  ──► own_cluster, broker_sets, inspect   one request at a time, by the nodes' own counters
//!
//! canary   ──► client                   a low load that is always known, in production; its own set, and nothing else
//!
//! compare  ──► run::target, generator   two arms, each with its own fleet, in turns
//!          ──► measure::statistics      what their blocks come to
//! ```
//!
//! The first command is `bench quick`: [`quick::run`]. Its ceiling is [`canned::run`], which the
//! program offers as a hidden subcommand, because the run starts itself again for it.
//!
//! `bench failover` starts the program as `fleet-worker` in the same way: [`generator::worker::run`].
//!
//! What is *absent*: a command line, and any opinion about the figures of a run.
#![forbid(unsafe_code)]

mod answer;
mod broker_sets;
pub mod calibrate;
pub mod canary;
pub mod canned;
mod clock;
mod closed_loop;
pub mod compare;
pub mod counted;
pub mod failover;
pub mod fleet;
pub mod generator;
mod ground;
mod host;
mod inspect;
mod load_seen;
mod own_cluster;
mod process;
pub mod quick;
pub mod ramp;
mod report;
mod requester;
pub mod run;
pub mod selftest;
mod subject;
pub mod workload;

pub use answer::BadAnswer;
pub use broker_sets::PrepareError;
pub use closed_loop::LaneError;
pub use ground::GroundError;
pub use own_cluster::{OwnCluster, Setup, free_ports};
pub use report::{Figures, Node, Reads, Report, Row, Workload};
pub use requester::NotPatchable;
pub use subject::Subject;
