//! Gathers what the settings are read from: one or two property files, the environment, the command
//! line.
//!
//! | Name in the environment | Meaning |
//! |---|---|
//! | `JAVA_OPT`, `JAVA_OPT_EXT` | `-Dkey=value` pairs whose key we know; the rest is for a JVM |
//! | `controllerDLegerGroup`, `…Peers`, `…SelfId`, `controllerStorePath` | the operator's bare names |
//! | `ROCKETMQ_SERIALIZE_TYPE` | key `rocketmq.serialize.type` |
//! | `ROCKETMQ_CONTROLLER_<KEY>` | every key; case and underscores do not count |
//! | `PITCHOVER_<KEY>` | our own keys, without their prefix |
//! | `MY_POD_NAME` | the self id, without dashes, when nothing better names it |
//! | `ROCKETMQ_HOME`, `HOME` | defaults |
//!
//! Later rows win over earlier ones. Kubernetes puts `<SERVICE>_PORT…` and `<SERVICE>_SERVICE_…` into
//! every container, and a service may well be called `rocketmq-controller`: such names are skipped.
//!
//! Source: `bin/mqcontroller` and `runserver.sh` of upstream, the operator's controller image.

use std::io::Read;
use std::path::Path;

use super::field::{self, FIELDS, Field, LIMITS_PREFIX};
use super::report::ConfigError;

/// Bytes of a property file. The largest known is below 10 KiB.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;

const TLS_CONFIG_FILE: &str = "tls.config.file";
const TLS_CONFIG_FILE_DEFAULT: &str = "/etc/rocketmq/tls.properties";
const BARE_NAMES: [&str; 4] = [
    "controllerDLegerGroup",
    "controllerDLegerPeers",
    "controllerDLegerSelfId",
    "controllerStorePath",
];

/// One property file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// The path as it was given; it appears in messages.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl ConfigFile {
    /// Reads a property file.
    ///
    /// # Errors
    /// - [`ConfigError::File`]: it cannot be read.
    /// - [`ConfigError::FileTooLong`]: it has more than [`CONFIG_FILE_BYTES_MAX`] bytes.
    pub fn read(path: &str) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::File { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CONFIG_FILE_BYTES_MAX {
            let limit = CONFIG_FILE_BYTES_MAX;
            return Err(ConfigError::FileTooLong { path: path.to_owned(), limit });
        }
        Ok(Self { path: path.to_owned(), bytes })
    }
}

/// Everything settings are read from; a value, so that tests need no process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The file of `-c`.
    pub file: Option<ConfigFile>,
    /// The file of `tls.config.file`, which ranks below the other.
    pub tls_file: Option<ConfigFile>,
    /// All environment variables.
    pub environment: Vec<(String, String)>,
    /// `-Dkey=value` and `--key=value` of the command line, in order.
    pub arguments: Vec<(String, String)>,
}

impl Sources {
    /// Reads the files and takes the environment of this process.
    ///
    /// The TLS file may be missing, as in Java; the other may not.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn of_process(
        config_file: Option<&str>,
        arguments: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let file = config_file.map(ConfigFile::read).transpose()?;
        let named = arguments.iter().rev().find(|(key, _)| key == TLS_CONFIG_FILE);
        let tls_path = named.map_or(TLS_CONFIG_FILE_DEFAULT, |(_, path)| path.as_str());
        let tls_file =
            Path::new(tls_path).exists().then(|| ConfigFile::read(tls_path)).transpose()?;
        let text = |name: std::ffi::OsString| name.into_string().ok();
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Ok(Self { file, tls_file, environment: environment.collect(), arguments })
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// What the environment sets, later ones winning.
    pub(super) fn variables_that_set(&self) -> Vec<Variable> {
        let mut found = Vec::new();
        for name in ["JAVA_OPT", "JAVA_OPT_EXT"] {
            let pairs = self.variable(name).map(java_options).unwrap_or_default();
            found.extend(pairs.into_iter().map(|(key, value)| Variable {
                name: format!("{name} -D{key}"),
                key: Some(key),
                value,
            }));
        }
        let bare = BARE_NAMES.into_iter().map(|key| (key, key));
        for (name, key) in bare.chain([("ROCKETMQ_SERIALIZE_TYPE", "rocketmq.serialize.type")]) {
            if let Some(value) = self.variable(name) {
                found.push(Variable {
                    name: name.to_owned(),
                    key: Some(key.to_owned()),
                    value: value.to_owned(),
                });
            }
        }
        for (name, value) in &self.environment {
            if let Some(key) = key_of_variable(name) {
                found.push(Variable { name: name.clone(), key, value: value.clone() });
            }
        }
        found
    }
}

/// One variable that sets a key, or looks as if it were meant to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `None`: the name has our prefix, but no key is called so.
    pub(super) key: Option<String>,
    pub(super) value: String,
}

/// The variable that sets `field`, as documentation writes it.
#[must_use]
pub fn variable_name(field: &Field) -> String {
    let (prefix, key) = match field.key.strip_prefix("pitchover.") {
        Some(key) => ("PITCHOVER", key),
        None => ("ROCKETMQ_CONTROLLER", field.key),
    };
    let mut name = format!("{prefix}_");
    let mut before = '_';
    for character in key.chars() {
        if character.is_ascii_uppercase() && (before.is_ascii_lowercase() || before == '.') {
            name.push('_');
        }
        name.push(if character == '.' { '_' } else { character.to_ascii_uppercase() });
        before = character;
    }
    name
}

/// `None`: not our business. `Some(None)`: our prefix and no such key.
fn key_of_variable(name: &str) -> Option<Option<String>> {
    let (rest, is_ours) = match name.strip_prefix("ROCKETMQ_CONTROLLER_") {
        Some(rest) => (rest, false),
        None => (name.strip_prefix("PITCHOVER_")?, true),
    };
    let plain = plain(rest);
    let is_same = |field: &&Field| match field.key.strip_prefix("pitchover.") {
        Some(key) => is_ours && self::plain(key) == plain,
        None => !is_ours && self::plain(field.key) == plain,
    };
    if let Some(field) = FIELDS.iter().find(is_same) {
        return Some(Some(field.key.to_owned()));
    }
    if let Some(limit) = rest.strip_prefix("LIMITS_").filter(|_| is_ours) {
        return Some(Some(format!("{LIMITS_PREFIX}{}", camel(limit))));
    }
    let is_service = rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_");
    (!is_service).then_some(None)
}

/// A name without case, dots and underscores: `D_LEGER` and `DLEGER` are the same.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|character| !matches!(character, '.' | '_'));
    letters.map(|character| character.to_ascii_lowercase()).collect()
}

/// `CONNECTIONS_MAX` as `connectionsMax`.
fn camel(upper_snake: &str) -> String {
    let mut name = String::with_capacity(upper_snake.len());
    let mut is_start = false;
    for character in upper_snake.chars() {
        match character {
            '_' => is_start = true,
            _ if is_start => {
                name.push(character.to_ascii_uppercase());
                is_start = false;
            }
            _ => name.push(character.to_ascii_lowercase()),
        }
    }
    name
}

/// The `-Dkey=value` pairs of a JVM command line whose key we know; quotes around a pair go.
fn java_options(options: &str) -> Vec<(String, String)> {
    let words = options.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let pairs = words.filter_map(|word| word.strip_prefix("-D")?.split_once('='));
    let known = pairs.filter(|(key, _)| field::is_known(key));
    known.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, key_of_variable, plain, variable_name};

    #[test]
    fn every_key_has_a_variable_of_its_own() {
        for field in FIELDS {
            let name = variable_name(field);
            assert_eq!(key_of_variable(&name), Some(Some(field.key.to_owned())), "{name}");
            let alike = FIELDS.iter().filter(|other| plain(other.key) == plain(field.key));
            assert!(alike.into_iter().all(|other| other.key == field.key), "{}", field.key);
        }
    }

    #[test]
    fn case_and_underscores_do_not_count() {
        let peers = Some(Some("controllerDLegerPeers".to_owned()));
        assert_eq!(key_of_variable("ROCKETMQ_CONTROLLER_CONTROLLER_DLEGER_PEERS"), peers);
        assert_eq!(key_of_variable("ROCKETMQ_CONTROLLER_CONTROLLER_D_LEGER_PEERS"), peers);
        let limit = Some(Some("pitchover.limits.connectionsMax".to_owned()));
        assert_eq!(key_of_variable("PITCHOVER_LIMITS_CONNECTIONS_MAX"), limit);
    }

    #[test]
    fn variables_of_kubernetes_are_skipped() {
        for name in ["SERVICE_HOST", "SERVICE_PORT_MAIN", "PORT", "PORT_9878_TCP_ADDR"] {
            assert_eq!(key_of_variable(&format!("ROCKETMQ_CONTROLLER_{name}")), None);
            assert_eq!(key_of_variable(&format!("PITCHOVER_{name}")), None);
        }
        assert_eq!(key_of_variable("ROCKETMQ_CONTROLLER_LISTENPROT"), Some(None));
        assert_eq!(key_of_variable("PATH"), None);
    }
}
