//! Real controller processes under faults, and the judgement of what their clients saw.
//!
//! ```text
//!                      ┌──────────── fabric (one thread: the network) ───────────┐
//!   controllers n0…n4  │   brokers (a thread)      clients (a thread)            │
//!   one process, one   │   actors, 3 a set         writers, readers, operator, … │
//!   network and one    └─────────────────────────────────────────────────────────┘
//!   PID namespace each            │ history (JSON lines), states, masters
//!        ▲                        ▼
//!   faults: kill, stop, starve,  judge: linearizable? lost? needless failover? equal at the end?
//!   break disks, cut, delay, …, each confirmed
//! ```
//!
//! | Module | What |
//! |---|---|
//! | [`run`] | one run from its first check to its verdict |
//! | [`course`] | what is wanted of a run, and what was seen of it |
//! | [`faults`] | the catalogue, from a name to deeds, deeds done and undone |
//! | [`fabric`] | the network |
//! | [`disk`] | a disk that fails, hangs, and forgets what was not synced |
//! | [`ground`] | namespaces, processes, cgroups, probes, leftovers |
//! | `actors` | brokers, clients, operator, observer; the recorder |
//! | [`crowd`] | strangers that ask too much, or what nobody may ask |
//! | `stand` | one cluster under test |
//! | [`brokers`] | Java brokers, producer and consumer instead of the actors that are brokers |
//! | [`judge`], [`recovery`] | the verdict; how long faults were felt |
//! | [`target`] | which controllers are under test: ours, or upstream's |
//! | `report`, [`compare`] | the page of a run; runs of several targets side by side |
//!
//! What is *absent*: groups that change their size. The catalogue names every fault that is not here, and why.
#![deny(unsafe_code)]

mod actors;
pub mod brokers;
pub mod clock;
pub mod compare;
pub mod course;
pub mod crowd;
pub mod disk;
pub mod draw;
pub mod fabric;
pub mod faults;
pub mod ground;
pub mod judge;
pub mod recovery;
mod report;
pub mod run;
mod stalls;
mod stand;
pub mod target;
