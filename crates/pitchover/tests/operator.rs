//! What a clumsy operator does: wrong command lines, wrong files, wrong folders, and processes ended at any time.
//!
//! | What | Test |
//! |---|---|
//! | command lines and property files that cannot start (B46) | `operator/command_line.rs` |
//! | ports, folders and journals that are somebody else's, or damaged (B44, B48) | `operator/refusals.rs` |
//! | `elect`: who is chosen, why, with which exit code | `operator/elect.rs` |
//! | `chaos`: what cannot begin | `operator/chaos.rs` |
//! | `chaos`: what is left of a run that is interrupted, killed or not allowed | `operator/chaos_left.rs` |
//! | stop, kill and start again, links called `mqcontroller`, `status` and `describe` | `operator/life.rs` |
//!
//! Every exit code is one that Java's start script gives in the same case (DROP-IN, section 2), and what refuses to
//! start says why in one line and leaves the disk as it was.

#[path = "processes/broker_set.rs"]
mod broker_set;
#[path = "operator/chaos.rs"]
mod chaos;
#[path = "operator/chaos_left.rs"]
mod chaos_left;
#[path = "processes/checksum.rs"]
mod checksum;
#[path = "processes/cluster.rs"]
mod cluster;
#[path = "operator/command_line.rs"]
mod command_line;
#[path = "operator/elect.rs"]
mod elect;
#[path = "operator/life.rs"]
mod life;
#[path = "processes/node.rs"]
mod node;
#[path = "processes/patience.rs"]
mod patience;
#[path = "operator/refusals.rs"]
mod refusals;
#[path = "operator/run.rs"]
mod run;
#[path = "processes/wire.rs"]
mod wire;
