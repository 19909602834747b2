//! Several drivers, an in-memory disk for each, and a network between them: scripts and simulation.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks at the few variants it asks about"
)]

mod checks;
mod cluster;
mod disk;
mod print;
mod random;
mod refusals;
mod replacement;
mod scripts;
mod simulation;
