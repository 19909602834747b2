//! Who uses the controllers during a run: brokers, clients, and an observer that no fault touches.
//!
//! | Actor | Address | Does |
//! |---|---|---|
//! | broker | `10.77.1.x` | what `docs/spec/broker-side.md` says a broker does; as master shrinks and expands its set |
//! | writer | `10.77.2.x` | registers ids (1012, 1013) at every controller at once |
//! | reader | `10.77.2.x` | reads (1004, 1006, 1012) at every controller at once |
//! | operator | `10.77.2.x` | elects, designates, cleans (1002, 1011) and asks for what must be refused, at every controller at once, in broker sets of its own; not where controllers or brokers are upstream's |
//! | observer | `10.77.2.250` | asks each controller for its status every 100 ms; no rule names it |
//!
//! Brokers and clients are tasks of two threads, each in a network namespace of its own: a fault hits them
//! through the network, or by ending them; they are not what is tested.
//!
//! All that is asked about broker sets goes through [`lines::Lines`], which records it.

pub(crate) mod broker;
pub(crate) mod clients;
pub(crate) mod crew;
pub(crate) mod lines;
pub(crate) mod observer;
pub(crate) mod operator;
pub(crate) mod recorder;

/// Name of the cluster of brokers.
pub(crate) const CLUSTER: &str = "chaos";

/// The port of every controller.
pub(crate) const PORT: u16 = 9878;

/// The port of every broker.
pub(crate) const BROKER_PORT: u16 = 10_911;
