//! The open-loop generator: a simulated fleet of brokers, as far as controllers can see one, and
//! streams of requests beside it.
//!
//! ```text
//! plan ──► founding   ids, registrations                              client
//!      ──► pacer      sends what is due at the very moment it is due   schedule, cadence, line
//!      ──► reader     connections, answers, notices, time-outs         poller, calls, measures
//!      ──► founding   elections, sync-state sets                       client
//!
//! crew  ──► worker × n     a fleet in n processes: a process may have only so many descriptors
//! ```
//!
//! Nothing is sent because something was answered: all due moments are fixed beforehand.
//!
//! Each broker has an address of its own on loopback, `127.64.0.1` and on, all with one port; it
//! connects from there and listens there. A broker that dies closes its listener and resets its
//! connections, so its address refuses, as a dead process's does.
//!
//! Each set has three brokers with the ids 1, 2, 3, of which 1 is the first master.

mod asking;
pub(crate) mod broker;
pub(crate) mod cadence;
pub(crate) mod calls;
pub(crate) mod crew;
pub(crate) mod founding;
pub(crate) mod line;
pub(crate) mod measures;
pub(crate) mod notices;
pub(crate) mod pacer;
pub(crate) mod plan;
pub(crate) mod poller;
mod reader;
pub(crate) mod schedule;
pub(crate) mod shared;
pub(crate) mod slot;
pub(crate) mod wire;
pub mod worker;

pub use founding::FoundingError;
