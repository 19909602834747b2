//! What configuration has to say: where a value came from, what is odd, what is wrong.
//!
//! A [`Warning`] is what Java passes over in silence; the caller logs it once. A [`ConfigError`]
//! ends the start with exit code 255. All errors are collected, so that one run shows them all.

use core::fmt;
use std::sync::Arc;

use crate::properties::PropertiesError;

/// Where a value came from. Later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table of keys.
    Default,
    /// A property file and the line of the key, counted from 1.
    File {
        /// The path as it was given.
        path: Arc<str>,
        /// The line on which the key begins.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The command line, by key.
    CommandLine(String),
    /// A request 1009.
    Update,
    /// Worked out from another key.
    Derived(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine(key) => write!(f, "command line {key}"),
            Self::Update => f.write_str("request 1009"),
            Self::Derived(key) => write!(f, "from {key}"),
        }
    }
}

/// Something that has no effect, or not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it was set.
    pub origin: Origin,
    /// The key as it was written.
    pub key: String,
    /// What is odd about it.
    pub oddity: Oddity,
}

/// What is odd about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// Nobody knows the key; perhaps this one was meant.
    Unknown(Option<&'static str>),
    /// The text is no value of the key's type, so the value stays as it was.
    Unparsable {
        /// The text.
        value: String,
        /// What the type accepts.
        allowed: &'static str,
        /// The value that stays.
        kept: String,
    },
    /// A Java key that means nothing here.
    NoEffect,
    /// A key of a feature that this version does not have.
    NotYet,
    /// Anything else, said in full.
    Note(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, oddity } = self;
        match oddity {
            Oddity::Unknown(None) => write!(f, "{origin}: {key} is not a known key"),
            Oddity::Unknown(Some(near)) => {
                write!(f, "{origin}: {key} is not a known key; did you mean {near}?")
            }
            Oddity::Unparsable { value, allowed, kept } => {
                write!(f, "{origin}: {key}={value:?} is not {allowed}; {kept:?} stays in force")
            }
            Oddity::NoEffect => write!(f, "{origin}: {key} has no effect here"),
            Oddity::NotYet => {
                write!(f, "{origin}: {key} is accepted, but this version does not act on it")
            }
            Oddity::Note(text) => write!(f, "{origin}: {key}: {text}"),
        }
    }
}

/// Why the controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key without which there is no controller. The text is upstream's, for every owner.
    #[error("Attribute value {key} of ControllerConfig is null or empty")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value that cannot be used.
    #[error(transparent)]
    Invalid(Box<Invalid>),
    /// A property file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The path as it was given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A property file is longer than any property file should be.
    #[error("{path}: longer than CONFIG_FILE_BYTES_MAX = {limit} bytes")]
    FileTooLong {
        /// The path as it was given.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// A property file is malformed.
    #[error("{path}: {source}")]
    Malformed {
        /// The path as it was given.
        path: String,
        /// Where and why.
        source: PropertiesError,
    },
}

/// A value that cannot be used, and what could.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value} ({origin}): {problem}; allowed: {allowed}")]
pub struct Invalid {
    /// The key.
    pub key: String,
    /// The value, or the part of it that is wrong.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub allowed: String,
}

impl From<Invalid> for ConfigError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(Box::new(invalid))
    }
}

/// One error or more, in the order in which upstream would meet them.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}
