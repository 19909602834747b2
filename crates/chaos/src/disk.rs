//! A disk that fails, hangs, and forgets what was not synced: a file system of our own, in memory, over FUSE.
//!
//! ```text
//!  controller ──write, sync──► kernel ──/dev/fuse──► mount.rs ── trouble.rs: fail? wait? hang?
//!                                                       └────── image.rs: names and bytes, seen and durable
//!  chaos run  ──orders on standard input──► serve.rs        ◄── answers with counts on standard output
//! ```
//!
//! Each controller's data lies on one of these, served by a process of its own (`pitchover chaos disk`), so that a disk
//! that hangs can hang nothing else. It ends when its standard input ends, however the run ended: then it answers
//! what hangs, unmounts itself, and leaves the files in the folder that it covered.
//!
//! | File | Holds |
//! |---|---|
//! | `content.rs` | one file: dirty and durable sectors |
//! | `image.rs` | names and files |
//! | `trouble.rs` | what is in force, and how often it was felt |
//! | `order.rs` | orders and answers as lines of text |
//! | `mount.rs` | what the kernel asks |
//! | `serve.rs` | the process |
//!
//! All of it is in memory: a sync costs what a call to another process costs. Everything goes past the kernel's cache
//! (direct IO), so what this holds is what processes see; maps of files into memory that are shared are refused.

mod content;
mod image;
mod mount;
mod order;
mod serve;
mod trouble;

pub(crate) use serve::READY;
pub use serve::{Place, serve};

pub(crate) use order::{Answer, Order};
pub(crate) use trouble::{Operations, Trouble};

/// Where the kernel's side of it is.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// What a power loss does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it is gone.
    Drop,
    /// Each sector is old, new, or a mixture; names go by their order.
    Tear,
}

/// What a power loss found, and what was not there any more afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Sectors and changes of names that were not durable.
    pub(crate) at_stake: usize,
    pub(crate) bytes: usize,
    /// Changes of names.
    pub(crate) names: usize,
}
