//! What is measured, as far as whoever starts a measurement knows more than the target says.
//!
//! Controllers of ours say what they are and what their acknowledged writes survive; nobody else does.

use std::path::Path;

use measure::folder::{Durability, Run, SCHEMA, Target, TargetKind};

use crate::inspect::Status;
use crate::{clock, host};

/// What the caller knows of a target.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// What tables call it; by default its kind and its durability.
    pub arm: Option<String>,
    /// Its kind; wins over what the target says.
    pub kind: Option<TargetKind>,
    /// Its version, where it says none.
    pub version: Option<String>,
    /// What its acknowledged writes survive, where it says nothing.
    pub durability: Option<Durability>,
    /// Commit of the program under measurement.
    pub commit: Option<String>,
    /// The command that repeats the run.
    pub command: Vec<String>,
}

/// What a target says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) kind: TargetKind,
    pub(crate) version: Option<String>,
    pub(crate) durability: Durability,
}

impl Said {
    /// By the status of one of its nodes; nothing at all without one.
    pub(crate) fn by(status: Option<&Status>) -> Self {
        let Some(status) = status else { return Self::default() };
        let durability = match status.text("durability") {
            "fsync" => Durability::Fsync,
            "async" => Durability::Async,
            _ => Durability::Unknown,
        };
        let version = Some(status.text("version").to_owned());
        Self { kind: TargetKind::Pitchover, version, durability }
    }
}

impl Subject {
    /// What is known of a run before its first request. `data` is where the servers' data is.
    pub(crate) fn begin(
        &self,
        name: &str,
        said: &Said,
        nodes: &[String],
        data: Option<&Path>,
    ) -> Run {
        let started_unix_ms = clock::unix_ms();
        let kind = self.kind.unwrap_or(said.kind);
        let durability = match said.durability {
            Durability::Unknown => self.durability.unwrap_or_default(),
            known => known,
        };
        Run {
            schema: SCHEMA.to_owned(),
            id: format!("{name}-{started_unix_ms}-{}", std::process::id()),
            name: name.to_owned(),
            arm: self.arm.clone().unwrap_or_else(|| arm(kind, durability)),
            started_unix_ms,
            commit: self.commit.clone(),
            command: self.command.clone(),
            durability,
            target: Target {
                kind,
                version: said.version.clone().or_else(|| self.version.clone()),
                controllers: nodes.to_vec(),
                reads: String::new(),
            },
            host: host::card(data),
            ..Run::default()
        }
    }
}

/// What tables call a target.
pub(crate) fn arm(kind: TargetKind, durability: Durability) -> String {
    let kind = match kind {
        TargetKind::Pitchover => "pitchover",
        TargetKind::JavaDledger => "java-dledger",
        TargetKind::JavaJraft => "java-jraft",
        TargetKind::Redis => "redis",
        TargetKind::Memcached => "memcached",
        TargetKind::Etcd => "etcd",
        TargetKind::SelfTest => "self-test",
        TargetKind::Unknown => "controller",
    };
    match durability {
        Durability::Fsync => format!("{kind}-fsync"),
        Durability::Async => format!("{kind}-async"),
        Durability::Unknown => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use measure::folder::{Durability, TargetKind};

    use super::{Said, Subject};

    #[test]
    fn what_the_target_says_of_its_durability_wins() {
        let told = Subject {
            kind: Some(TargetKind::JavaJraft),
            version: Some("5.5.0".to_owned()),
            durability: Some(Durability::Fsync),
            ..Subject::default()
        };
        let nodes = ["127.0.0.1:1".to_owned()];
        let silent = told.begin("w", &Said::default(), &nodes, None);
        assert_eq!(
            (silent.arm.as_str(), silent.durability),
            ("java-jraft-fsync", Durability::Fsync)
        );
        assert_eq!(silent.target.version.as_deref(), Some("5.5.0"));
        let said = Said {
            kind: TargetKind::Pitchover,
            version: Some("1".to_owned()),
            durability: Durability::Async,
        };
        let own = Subject { durability: Some(Durability::Fsync), ..Subject::default() };
        let own = own.begin("w", &said, &nodes, None);
        assert_eq!(
            (own.arm.as_str(), own.target.version.as_deref()),
            ("pitchover-async", Some("1"))
        );
    }
}
