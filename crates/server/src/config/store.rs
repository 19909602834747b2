//! Requests 1010 (list) and 1009 (change): node local, never replicated.
//!
//! **The listing** is upstream's merged view: every key of the `-c` file as it stands there, then over
//! it the fields of `ControllerConfig` and `NettyServerConfig` by their Java field names with their
//! current values (`null` left out), sorted. Our own keys appear when somebody set them. Secrets show
//! as asterisks, where Java shows them: whoever reaches the port may ask.
//!
//! **A change**, in upstream's order: no body → 0; malformed → 1; one black-listed key → 16 for the
//! whole request; else 0, whatever the keys and values are. A key of the merged view gets the new
//! text; a setter of the two objects is called, and a text that does not convert changes nothing.
//!
//! | Differs from Java | Why |
//! |---|---|
//! | more than [`UPDATE_KEYS_MAX`] keys are refused with 1 | the core waits while they are read, and there are not that many keys |
//! | peer and identity keys are always black-listed | changing them under a running quorum is never meant |
//! | the stored file is escaped, written aside, synced and renamed | it reads back, and a crash leaves one whole file |
//!
//! The stored file is not read at start unless `-c` names it.
//!
//! Source: upstream `Configuration#update`, `#getAllConfigsFormatString`, `#persist`,
//! `ControllerRequestProcessor#handleUpdateControllerConfig`, `MixAll#string2File`.

use bytes::Bytes;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Config;
use super::field::{self, FIELDS, JRAFT_CONFIG_LINE, Kind, Owner};
use super::live::{Live, LiveChange};
use super::print::{SECRET, shown_value};
use super::report::{Oddity, Origin, Warning};
use super::settings::{Settings, oddity_of};
use super::value;
use crate::properties;

/// Upstream's three, which its configuration cannot take off the list.
const BLACK_LIST_FIXED: [&str; 3] = ["configBlackList", "configStorePath", "rocketmqHome"];

/// Ours: who this peer is and who the others are.
const BLACK_LIST_IDENTITY: [&str; 9] = [
    "controllerType",
    "controllerDLegerGroup",
    "controllerDLegerPeers",
    "controllerDLegerSelfId",
    "jRaftGroupId",
    "jRaftServerId",
    "jRaftInitConf",
    "jRaftControllerRPCAddr",
    "pitchover.advertisedAddr",
];

/// Keys of one change. All that there are, several times; tools send one.
pub const UPDATE_KEYS_MAX: usize = 1_000;

/// What became of a request 1009; `refuse.rs` turns it into a code and a remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// Taken, whatever the keys and values are.
    Done,
    /// The body is no property file; nothing changed.
    Malformed,
    /// A key of the body is on the black list; nothing changed.
    BlackListed,
    /// The body has more than [`UPDATE_KEYS_MAX`] keys; nothing changed.
    TooManyKeys,
}

/// The outcome of 1009 and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateAnswer {
    /// What became of it.
    pub outcome: UpdateOutcome,
    /// What changed for the running server.
    pub changes: Vec<LiveChange>,
    /// What the caller should log.
    pub warnings: Vec<Warning>,
    /// The file to write now, if anything was taken.
    pub file: Option<StoredFile>,
}

/// What the file at `configStorePath` is to hold. Writing it waits for the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    path: PathBuf,
    text: String,
}

impl StoredFile {
    /// Keeps the previous file as `.bak`, then replaces it as a whole.
    ///
    /// # Errors
    /// What the disk says, as the warning that it is to the caller.
    pub fn write(&self) -> Result<(), Warning> {
        self.replace().map_err(|error| Warning {
            origin: Origin::Update,
            key: "configStorePath".to_owned(),
            oddity: Oddity::Note(format!("{} could not be written: {error}", self.path.display())),
        })
    }

    fn replace(&self) -> io::Result<()> {
        let Self { path, text } = self;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        match fs::read(path) {
            Ok(previous) => replace(&with_suffix(path, ".bak"), &previous)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        replace(path, text.as_bytes())?;
        File::open(folder)?.sync_all()
    }
}

/// The configuration as 1010 shows and 1009 changes it.
#[derive(Debug)]
pub struct ConfigStore {
    settings: Settings,
    black_list: Vec<String>,
    /// What [`Self::listing`] answered since the last change: anybody may ask, as often as he likes.
    listing: OnceCell<Bytes>,
}

impl ConfigStore {
    /// Starts from the configuration in force. The black list is taken once, as in Java.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let settings = config.settings.clone();
        let configured = settings.text("configBlackList").split(';');
        let fixed = BLACK_LIST_FIXED.into_iter().chain(BLACK_LIST_IDENTITY);
        let black_list = fixed.chain(configured).map(ToOwned::to_owned).collect();
        Self { settings, black_list, listing: OnceCell::new() }
    }

    /// The current settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The body of 1010: one `key=value` a line, ascending, values not escaped.
    #[must_use]
    pub fn listing(&self) -> Bytes {
        let listing = self.listing.get_or_init(|| {
            let lines = self.view(Secrets::Hidden).into_iter();
            lines.map(|(key, value)| format!("{key}={value}\n")).collect::<String>().into()
        });
        listing.clone()
    }

    /// Applies the body of 1009, which is a property file. The answer holds what is to be stored.
    pub fn update(&mut self, body: &[u8]) -> UpdateAnswer {
        let mut answer = UpdateAnswer {
            outcome: UpdateOutcome::Done,
            changes: vec![],
            warnings: vec![],
            file: None,
        };
        if body.is_empty() {
            return answer;
        }
        // Java decodes UTF-8, encodes again and then reads the bytes as ISO-8859-1.
        let Ok(pairs) = properties::load(String::from_utf8_lossy(body).as_bytes()) else {
            answer.outcome = UpdateOutcome::Malformed;
            return answer;
        };
        if pairs.iter().any(|pair| self.black_list.contains(&pair.key)) {
            answer.outcome = UpdateOutcome::BlackListed;
            return answer;
        }
        if pairs.len() > UPDATE_KEYS_MAX {
            answer.outcome = UpdateOutcome::TooManyKeys;
            return answer;
        }
        self.listing.take();
        let before = Live::of(&self.settings);
        for pair in &pairs {
            let oddity = self.apply(&pair.key, &pair.value);
            let warn = |oddity| Warning { origin: Origin::Update, key: pair.key.clone(), oddity };
            answer.warnings.extend(oddity.map(warn));
        }
        answer.changes = before.changes_to(&Live::of(&self.settings));
        answer.file = Some(self.file());
        answer
    }

    fn apply(&mut self, key: &str, raw: &str) -> Option<Oddity> {
        let stored = self.settings.verbatim_mut().get_mut(key);
        let is_stored = stored.is_some();
        if let Some(stored) = stored {
            raw.clone_into(stored);
        }
        // The setter's name counts, so `isProcessReadEvent` finds no field here.
        let updatable = |owner| matches!(owner, Owner::Controller | Owner::Server);
        match FIELDS.iter().find(|field| field.key == key && updatable(field.owner)) {
            Some(field) if self.settings.convert(field, raw, Origin::Update) => {
                oddity_of(field.effect)
            }
            Some(field) => Some(Oddity::Unparsable {
                value: raw.to_owned(),
                allowed: value::allowed(field.kind),
                kept: self.settings.text(key).to_owned(),
            }),
            None if is_stored => Some(Oddity::Note("stored; acts at the next start".to_owned())),
            None => match field::find(key) {
                Some(_) => Some(Oddity::NoEffect),
                None => Some(Oddity::Unknown(super::settings::nearest(key))),
            },
        }
    }

    /// The merged view.
    fn view(&self, secrets: Secrets) -> BTreeMap<String, String> {
        let mut view = self.settings.verbatim().clone();
        if secrets == Secrets::Hidden {
            for (key, value) in &mut view {
                let is_secret = field::find(key).is_some_and(|field| field.kind == Kind::Secret);
                if is_secret && !value.is_empty() {
                    SECRET.clone_into(value);
                }
            }
        }
        for field in FIELDS {
            let is_listed = match field.owner {
                Owner::Controller | Owner::Server => true,
                Owner::Pitchover => {
                    self.settings.is_set(field.key) && !view.contains_key(field.key)
                }
                Owner::Jraft | Owner::Client | Owner::Remoting | Owner::Access => false,
            };
            let value = shown_value(&self.settings, field).filter(|_| is_listed);
            view.extend(value.map(|value| (field.shown.to_owned(), value.to_owned())));
        }
        view.insert(JRAFT_CONFIG_LINE.to_owned(), jraft_config_text(&self.settings));
        view
    }

    fn file(&self) -> StoredFile {
        let mut text = String::new();
        for (key, value) in self.view(Secrets::Shown) {
            properties::write(&key, &value, &mut text);
        }
        StoredFile { path: PathBuf::from(self.settings.text("configStorePath")), text }
    }
}

/// Whether secrets are part of a view: the stored file needs them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Hidden,
    Shown,
}

/// What Java prints for the field `jraftConfig`: a class name and a hash that means nothing.
pub(super) fn jraft_config_text(settings: &Settings) -> String {
    let values = FIELDS.iter().filter(|field| field.owner == Owner::Jraft);
    let bytes = values.flat_map(|field| settings.text(field.key).bytes());
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("org.apache.rocketmq.common.JraftConfig@{hash:x}")
}

/// Writes aside, syncs and renames. Others may not read it: it may hold credentials.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = with_suffix(path, ".tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
