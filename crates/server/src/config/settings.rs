//! All keys with their current values and where each came from.
//!
//! Layers, later ones winning: defaults, the TLS file, the file of `-c`, the environment, the command
//! line; afterwards 1009. A text that its key's type does not accept leaves the value below it in
//! force, as Java's setters do, and gives a warning; one of our own keys gives an error instead.
//!
//! Invariants: every key of [`FIELDS`] has a value (which may be Java's `null`); a value is the text
//! Java would print, so it can be parsed by its kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::field::{self, Effect, FIELDS, Field, Initial, JRAFT_CONFIG_LINE, Kind};
use super::field::{LIMIT_NAMES, LIMITS_PREFIX};
use super::report::{ConfigError, ConfigErrors, Invalid, Oddity, Origin, Warning};
use super::source::{ConfigFile, Sources};
use super::value;
use crate::properties;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The text Java would print; `None` is Java's `null`.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// All keys with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, Setting>,
    /// Keys of the `-c` file as they stand there, known or not; a repeated key has its last value.
    verbatim: BTreeMap<String, String>,
    limits: BTreeMap<&'static str, u64>,
    home: String,
}

/// What was read, whole or not.
#[derive(Debug)]
pub struct ReadSettings {
    /// Every key.
    pub settings: Settings,
    /// What is odd.
    pub warnings: Vec<Warning>,
    /// What is wrong: values of our own keys. They are said together with what [`super::Config::resolve`] finds.
    pub errors: Vec<ConfigError>,
}

/// What became of one pair.
enum Applied {
    Set(&'static Field),
    Limit,
    UnknownLimit,
    UnparsableLimit,
    Unparsable(&'static Field),
    Unknown,
}

impl Settings {
    /// Reads all sources.
    ///
    /// # Errors
    /// All that is wrong, if among it is [`ConfigError::Malformed`]: a file has a malformed `\u`.
    pub fn read(sources: &Sources) -> Result<ReadSettings, ConfigErrors> {
        let mut settings = Self::defaults(sources);
        let mut reader = Reader { settings: &mut settings, warnings: vec![], errors: vec![] };
        if let Some(file) = &sources.tls_file {
            reader.file(file);
        }
        if let Some(file) = &sources.file {
            for (key, value) in reader.file(file) {
                reader.settings.verbatim.insert(key, value);
            }
        }
        for variable in sources.variables_that_set() {
            let origin = Origin::Environment(variable.name.clone());
            match &variable.key {
                Some(key) => reader.apply(key, &variable.value, origin),
                None => reader.warn(origin, &variable.name, Oddity::Unknown(None)),
            }
        }
        for (key, value) in &sources.arguments {
            reader.apply(key, value, Origin::CommandLine(key.clone()));
        }
        let Reader { warnings, errors, .. } = reader;
        settings.take_pod_name(sources);
        // What a file that cannot be read leaves out would be missed in vain.
        if errors.iter().any(|error| matches!(error, ConfigError::Malformed { .. })) {
            return Err(ConfigErrors(errors));
        }
        Ok(ReadSettings { settings, warnings, errors })
    }

    fn defaults(sources: &Sources) -> Self {
        let home = sources.variable("HOME").unwrap_or("/root");
        let initial = |field: &Field| match (field.key, field.initial) {
            ("rocketmqHome", _) => sources.variable("ROCKETMQ_HOME").map(ToOwned::to_owned),
            (_, Initial::Null) => None,
            (_, Initial::Value(text)) => Some(text.to_owned()),
            (_, Initial::Home(path)) => Some(format!("{home}/{path}")),
            (_, Initial::Processors) => {
                let count = std::thread::available_parallelism();
                Some(count.map_or(1, std::num::NonZero::get).to_string())
            }
        };
        let setting = |field: &'static Field| {
            (field.key, Setting { value: initial(field), origin: Origin::Default })
        };
        let values = FIELDS.iter().map(setting).collect();
        let home = home.to_owned();
        Self { values, verbatim: BTreeMap::new(), limits: BTreeMap::new(), home }
    }

    /// The operator names a pod and no id; its image takes the pod's name without dashes. The id of
    /// a file stays unless the peers came from the environment too: then the file is a sample.
    fn take_pod_name(&mut self, sources: &Sources) {
        let Some(pod) = sources.variable("MY_POD_NAME") else { return };
        let is_outside =
            |origin: &Origin| matches!(origin, Origin::Environment(_) | Origin::CommandLine(_));
        let peers = self.get("controllerDLegerPeers");
        let own = self.get("controllerDLegerSelfId");
        let is_named = own.value.as_deref().is_some_and(|id| !id.is_empty());
        if is_outside(&own.origin) || (is_named && !is_outside(&peers.origin)) {
            return;
        }
        let origin = Origin::Environment("MY_POD_NAME".to_owned());
        self.set("controllerDLegerSelfId", Some(pod.replace('-', "")), origin);
    }

    /// The setting of `key`.
    ///
    /// # Panics
    /// If `key` is not in [`FIELDS`]: keys are written in this crate, never taken from outside.
    #[must_use]
    pub fn get(&self, key: &str) -> &Setting {
        let setting = self.values.get(key);
        setting.unwrap_or_else(|| panic!("key is in FIELDS: {key}"))
    }

    /// The text of `key`, empty for Java's `null`.
    ///
    /// # Panics
    /// As [`Settings::get`].
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).value.as_deref().unwrap_or_default()
    }

    /// The number of `key`.
    ///
    /// # Panics
    /// As [`Settings::get`], and if the key's kind is no number.
    #[must_use]
    pub fn number(&self, key: &str) -> i64 {
        let number = self.text(key).parse();
        number.unwrap_or_else(|_| panic!("values parse by their kind: {key} is no number"))
    }

    /// The number of `key`, with 0 for a negative one.
    ///
    /// # Panics
    /// As [`Settings::number`].
    #[must_use]
    pub fn amount(&self, key: &str) -> u64 {
        u64::try_from(self.number(key)).unwrap_or(0)
    }

    /// Whether `key` is true.
    ///
    /// # Panics
    /// As [`Settings::get`].
    #[must_use]
    pub fn is_true(&self, key: &str) -> bool {
        self.text(key) == "true"
    }

    /// Whether `key` was set by anybody.
    ///
    /// # Panics
    /// As [`Settings::get`].
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.get(key).origin != Origin::Default
    }

    /// All keys in the order of the table, keys with two rows once.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Field, &Setting)> {
        let first_row = |field: &&Field| field::find(field.key).is_some_and(|row| row == *field);
        FIELDS.iter().filter(first_row).map(|field| (field, self.get(field.key)))
    }

    /// Where the data goes when nobody says: a folder of our own, never Java's.
    pub(super) fn default_store_path(&self) -> String {
        format!("{}/PitchoverController", self.home)
    }

    /// Limits by name, without their prefix.
    #[must_use]
    pub fn limits(&self) -> &BTreeMap<&'static str, u64> {
        &self.limits
    }

    /// Keys of the `-c` file as they stand there.
    #[must_use]
    pub fn verbatim(&self) -> &BTreeMap<String, String> {
        &self.verbatim
    }

    pub(super) fn verbatim_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.verbatim
    }

    pub(super) fn set(&mut self, key: &'static str, value: Option<String>, origin: Origin) {
        let before = self.values.insert(key, Setting { value, origin });
        assert!(before.is_some(), "key is in FIELDS: {key}");
    }

    /// Sets `field` as Java's setter would; `false` if the text does not convert.
    pub(super) fn convert(&mut self, field: &'static Field, raw: &str, origin: Origin) -> bool {
        let value = value::convert(field.kind, raw);
        let is_value = value.is_some();
        if is_value {
            self.set(field.key, value, origin);
        }
        is_value
    }

    fn apply(&mut self, key: &str, raw: &str, origin: Origin) -> Applied {
        if let Some(name) = key.strip_prefix(LIMITS_PREFIX) {
            let Some(known) = LIMIT_NAMES.into_iter().find(|known| *known == name) else {
                return Applied::UnknownLimit;
            };
            let Ok(number) = raw.trim().parse() else { return Applied::UnparsableLimit };
            self.limits.insert(known, number);
            return Applied::Limit;
        }
        let Some(field) = field::find(key) else { return Applied::Unknown };
        if self.convert(field, raw, origin) {
            Applied::Set(field)
        } else {
            Applied::Unparsable(field)
        }
    }
}

/// Applies pairs and remembers what was odd or wrong.
struct Reader<'a> {
    settings: &'a mut Settings,
    warnings: Vec<Warning>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    /// Applies a file and returns its pairs as they stand.
    fn file(&mut self, file: &ConfigFile) -> Vec<(String, String)> {
        let path: Arc<str> = Arc::from(file.path.as_str());
        let loaded = match properties::load(&file.bytes) {
            Ok(loaded) => loaded,
            Err(source) => {
                self.errors.push(ConfigError::Malformed { path: file.path.clone(), source });
                return Vec::new();
            }
        };
        // `Properties` is a table: a repeated key has one value, the last.
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (position, property) in loaded.iter().enumerate() {
            last.insert(&property.key, position);
        }
        for (position, property) in loaded.iter().enumerate() {
            let origin = Origin::File { path: Arc::clone(&path), line: property.line };
            if last.get(property.key.as_str()) == Some(&position) {
                self.apply(&property.key, &property.value, origin);
            } else {
                let text = "set again further down; the last one counts".to_owned();
                self.warn(origin, &property.key, Oddity::Note(text));
            }
        }
        loaded.into_iter().map(|property| (property.key, property.value)).collect()
    }

    fn apply(&mut self, key: &str, raw: &str, origin: Origin) {
        match self.settings.apply(key, raw, origin.clone()) {
            Applied::Set(field) => {
                if let Some(oddity) = oddity_of(field.effect) {
                    self.warn(origin, key, oddity);
                }
            }
            Applied::Limit => {}
            Applied::Unparsable(field) => self.unparsable(field, raw, origin),
            Applied::Unknown if key == JRAFT_CONFIG_LINE => {}
            Applied::UnparsableLimit => {
                self.invalid(key, raw, origin, "a whole number".to_owned());
            }
            Applied::UnknownLimit => {
                let names = LIMIT_NAMES.join(", ");
                self.warn(origin, key, Oddity::Note(format!("no such limit; there are {names}")));
            }
            Applied::Unknown if field::is_known(key) => self.warn(origin, key, Oddity::NotYet),
            Applied::Unknown => self.warn(origin, key, Oddity::Unknown(nearest(key))),
        }
    }

    fn unparsable(&mut self, field: &'static Field, raw: &str, origin: Origin) {
        if matches!(field.kind, Kind::Choice(_) | Kind::Within(_, _)) {
            self.invalid(field.key, raw, origin, value::allowed_exactly(field.kind));
            return;
        }
        let kept = self.settings.text(field.key).to_owned();
        let allowed = value::allowed(field.kind);
        let oddity = Oddity::Unparsable { value: raw.to_owned(), allowed, kept };
        self.warn(origin, field.key, oddity);
    }

    fn invalid(&mut self, key: &str, raw: &str, origin: Origin, allowed: String) {
        let (key, value) = (key.to_owned(), raw.to_owned());
        let problem = "not a value of this key".to_owned();
        self.errors.push(Invalid { key, value, origin, problem, allowed }.into());
    }

    fn warn(&mut self, origin: Origin, key: &str, oddity: Oddity) {
        self.warnings.push(Warning { origin, key: key.to_owned(), oddity });
    }
}

/// What there is to say about a key with this effect that was set to a good value.
pub(super) fn oddity_of(effect: Effect) -> Option<Oddity> {
    match effect {
        Effect::Acts => None,
        Effect::Differs(how) => Some(Oddity::Note(how.to_owned())),
        Effect::Ignored => Some(Oddity::NoEffect),
        Effect::Planned => Some(Oddity::NotYet),
    }
}

/// The known key that differs least from `key`, if it is near enough to be meant.
#[must_use]
pub fn nearest(key: &str) -> Option<&'static str> {
    /// Keys longer than this are no misspelling of ours; it bounds the work on foreign files.
    const KEY_BYTES_MAX: usize = 80;
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let wanted = key.to_ascii_lowercase();
    let limit = (key.len() / 5).min(3);
    // Each letter too many or too few is an edit: most keys are out of the question by their length.
    let alike = FIELDS.iter().filter(|field| field.key.len().abs_diff(key.len()) <= limit);
    let scored = alike.map(|field| {
        (edits(wanted.as_bytes(), field.key.to_ascii_lowercase().as_bytes()), field.key)
    });
    scored.min().filter(|(distance, _)| *distance <= limit).map(|(_, near)| near)
}

/// How many letters must be inserted, removed or replaced to turn one word into the other.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, letter) in from.iter().enumerate() {
        let mut diagonal = deleted;
        let mut left = deleted + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(to) {
            let above = *cell;
            let replaced = diagonal + usize::from(letter != other);
            left = replaced.min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = deleted + 1;
        }
    }
    row.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn distances() {
        for (from, to, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(edits(from.as_bytes(), to.as_bytes()), expected, "{from} {to}");
        }
    }

    #[test]
    fn misspelled_keys_find_their_neighbour() {
        assert_eq!(nearest("controllerDLedgerPeers"), Some("controllerDLegerPeers"));
        assert_eq!(nearest("pitchover.adminaddr"), Some("pitchover.adminAddr"));
        assert_eq!(nearest("kvConfigPath"), None);
        assert_eq!(nearest("<!--"), None);
    }
}
