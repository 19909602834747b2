//! What the caller knows of a target that the target does not say: options of all commands that make runs.

use clap::{Args, ValueEnum};
use load::Subject;
use measure::folder::{Durability, TargetKind};

/// Options about the target, for the record. The name is unlike those of the commands, since clap names a group by it.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubjectArguments {
    /// What tables call the target; by default its kind and durability.
    #[arg(long)]
    arm: Option<String>,
    /// What the target is, if it does not say so itself.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Its version, if it does not say so itself.
    #[arg(long, value_name = "VERSION")]
    target_version: Option<String>,
    /// What an acknowledged write of it survives, if it does not say so itself; refused if it says otherwise.
    #[arg(long, value_enum)]
    durability: Option<Class>,
    /// Commit of the program under measurement.
    #[arg(long)]
    commit: Option<String>,
}

/// Kinds of controllers.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Ours.
    Pitchover,
    /// Upstream's with DLedger.
    JavaDledger,
    /// Upstream's with JRaft.
    JavaJraft,
}

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    /// The loss of power.
    Fsync,
    /// The end of processes.
    Async,
}

impl SubjectArguments {
    /// The same for the crate that measures.
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            arm: self.arm.clone(),
            kind: self.kind.map(|kind| match kind {
                Kind::Pitchover => TargetKind::Pitchover,
                Kind::JavaDledger => TargetKind::JavaDledger,
                Kind::JavaJraft => TargetKind::JavaJraft,
            }),
            version: self.target_version.clone(),
            durability: self.durability.map(|class| match class {
                Class::Fsync => Durability::Fsync,
                Class::Async => Durability::Async,
            }),
            commit: self.commit.clone(),
            command: std::env::args().collect(),
        }
    }
}
