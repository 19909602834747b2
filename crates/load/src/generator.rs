//! A simulated fleet of brokers, as far as controllers can see one.
//!
//! ```text
//! plan ──► founding   ids, registrations                       client
//!      ──► driver     connections, heartbeats, polls, notices   one thread, epoll, absolute plan
//!      ──► founding   elections, sync-state sets                client
//!
//! crew  ──► worker × n     a fleet in n processes: a process may have only so many descriptors
//! ```
//!
//! Each broker has an address of its own on loopback, `127.64.0.1` and on, all with one port; it
//! connects from there and listens there. A broker that dies closes its listener and resets its
//! connections, so its address refuses, as a dead process's does.
//!
//! Each set has three brokers with the ids 1, 2, 3, of which 1 is the first master.

pub(crate) mod broker;
pub(crate) mod cadence;
pub(crate) mod calls;
pub(crate) mod crew;
pub(crate) mod driver;
pub(crate) mod founding;
pub(crate) mod line;
pub(crate) mod measures;
pub(crate) mod notices;
pub(crate) mod plan;
pub(crate) mod poller;
pub(crate) mod slot;
pub mod worker;

pub use founding::FoundingError;
