//! Requests 1010 and 1009, compared with what Java 5.5.0 listed and answered.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use server::config::{
    Config, ConfigFile, ConfigStore, LiveChange, Sources, UPDATE_KEYS_MAX, UpdateAnswer,
    UpdateOutcome,
};
use server::properties;

const FILE: &str = "controllerDLegerGroup = group1\n\
    controllerDLegerPeers = n0-127.0.0.1:9878;n1-127.0.0.1:9868;n2-127.0.0.1:9858\n\
    controllerDLegerSelfId = n1\n";

/// A store whose file lies in a folder of its own, which goes away with it.
struct Case {
    store: ConfigStore,
    folder: PathBuf,
}

impl Case {
    fn new(name: &str, file: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pitchover-{name}-{}", std::process::id()));
        let path = folder.join("deep/controller.properties");
        let bytes = format!("{file}configStorePath={}\n", path.display()).into_bytes();
        let environment = [("HOME", "/home/u"), ("ROCKETMQ_HOME", "/opt/rocketmq")];
        let environment =
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let file = Some(ConfigFile { path: "c.conf".to_owned(), bytes });
        let sources = Sources { file, environment, ..Sources::default() };
        Self { store: ConfigStore::new(&Config::load(&sources).expect("valid")), folder }
    }

    /// Applies a body, and writes the file as the server does.
    fn update(&mut self, body: &[u8]) -> UpdateAnswer {
        let mut answer = self.store.update(body);
        if let Some(file) = &answer.file {
            answer.warnings.extend(file.write().err());
        }
        answer
    }

    fn listing(&self) -> String {
        String::from_utf8(self.store.listing().to_vec()).expect("text")
    }

    fn value(&self, key: &str) -> Option<String> {
        let listing = self.listing();
        let mut lines = listing.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
    }

    fn file(&self, suffix: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(format!("deep/controller.properties{suffix}"))).ok()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // A folder that was never made is no error.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn plain(outcome: UpdateOutcome) -> UpdateAnswer {
    UpdateAnswer { outcome, changes: vec![], warnings: vec![], file: None }
}

#[test]
fn the_listing_has_javas_keys_and_defaults() {
    let recorded = include_str!("../../../vectors/mqadmin/05-getControllerConfig.txt");
    let first = recorded.split("============").nth(2).unwrap();
    let java: Vec<(&str, &str)> = first
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let case = Case::new("keys", FILE);
    let listing = case.listing();
    let ours: Vec<(&str, &str)> =
        listing.lines().map(|line| line.split_once('=').unwrap()).collect();
    assert!(ours.windows(2).all(|pair| pair[0].0 < pair[1].0), "ascending, each key once");
    let keys = |list: &[(&str, &str)]| -> BTreeSet<String> {
        list.iter().map(|(key, _)| (*key).to_owned()).collect()
    };
    assert_eq!(keys(&ours), keys(&java));
    assert_eq!(java.len(), 46);
    let elsewhere = ["configStorePath", "controllerStorePath", "jraftConfig"];
    for (key, value) in java {
        if !elsewhere.contains(&key) {
            assert_eq!(case.value(key).as_deref(), Some(value), "{key}");
        }
    }
}

#[test]
fn keys_of_the_file_stand_there_verbatim() {
    let case = Case::new(
        "verbatim",
        &format!(
            "{FILE}unknown = a \\\\ b \nlistenPort = 9876 \njRaftGroupId=x\nprocessReadEvent=true\n\
             pitchover.durability=async\ninitAuthenticationUser={{\"password\":\"p\"}}\n"
        ),
    );
    let rows = [
        ("unknown", Some("a \\ b ")),
        // The field wins over the file.
        ("listenPort", Some("9868")),
        ("jRaftGroupId", Some("x")),
        ("processReadEvent", Some("true")),
        ("isProcessReadEvent", Some("true")),
        ("pitchover.durability", Some("async")),
        // Not set by anybody.
        ("pitchover.readMode", None),
        ("clientWorkerThreads", None),
        // Java would show it.
        ("initAuthenticationUser", Some("******")),
    ];
    for (key, expected) in rows {
        assert_eq!(case.value(key).as_deref(), expected, "{key}");
    }
}

#[test]
fn refusals_in_upstreams_order() {
    let mut case = Case::new("refusals", &format!("{FILE}configBlackList=a;metricsLabel\n"));
    let before = case.listing();
    let black = plain(UpdateOutcome::BlackListed);
    assert_eq!(case.update(b""), plain(UpdateOutcome::Done));
    let malformed = plain(UpdateOutcome::Malformed);
    assert_eq!(case.update(b"configStorePath=\\u1"), malformed);
    for key in [
        "configStorePath",
        "configBlackList",
        "rocketmqHome",
        "metricsLabel",
        "a",
        "controllerDLegerPeers",
        "jRaftInitConf",
    ] {
        let body = format!("notifyBrokerRoleChanged=false\n{key}=/x\n");
        assert_eq!(case.update(body.as_bytes()), black, "{key}");
    }
    let many: String = (0..=UPDATE_KEYS_MAX).map(|at| format!("key{at}=1\n")).collect();
    assert_eq!(case.update(many.as_bytes()), plain(UpdateOutcome::TooManyKeys));
    assert_eq!(case.update(format!("{many}configStorePath=/x").as_bytes()), black);
    assert_eq!(case.listing(), before);
    assert!(case.file("").is_none(), "a refusal stores nothing");
}

#[test]
fn setters_convert_in_silence() {
    let mut case = Case::new("setters", &format!("{FILE}unknown=1\n"));
    let body = "enableElectUncleanMaster=yes\nnotifyBrokerRoleChanged=FALSE\n\
        electMasterMaxRetryCount=4 \nscanInactiveMasterInterval=+7\nserverWorkerThreads=12\n\
        metricsPromExporterHost=  h \nunknown=2 \nnever=3\nisProcessReadEvent=true\n\
        connectTimeoutMillis=1\nserverChannelMaxIdleTimeSeconds=60\nmetricsExporterType=2\n";
    let answer = case.update(body.as_bytes());
    assert_eq!(answer.outcome, UpdateOutcome::Done);
    let changes = [LiveChange::NotifyBrokers(false), LiveChange::IdleSecsMax(60)];
    assert_eq!(answer.changes, changes);
    let rows = [
        ("enableElectUncleanMaster", Some("false")),
        ("notifyBrokerRoleChanged", Some("false")),
        ("electMasterMaxRetryCount", Some("3")),
        ("scanInactiveMasterInterval", Some("7")),
        ("serverWorkerThreads", Some("12")),
        ("metricsPromExporterHost", Some("h")),
        ("metricsExporterType", Some("PROM")),
        ("unknown", Some("2 ")),
        ("never", None),
        ("isProcessReadEvent", Some("false")),
        ("connectTimeoutMillis", None),
    ];
    for (key, expected) in rows {
        assert_eq!(case.value(key).as_deref(), expected, "{key}");
    }
    let warned: Vec<&str> = answer.warnings.iter().map(|warning| &*warning.key).collect();
    let expected = [
        "electMasterMaxRetryCount",
        // Taken, but without effect.
        "scanInactiveMasterInterval",
        "serverWorkerThreads",
        "unknown",
        "never",
        "isProcessReadEvent",
        "connectTimeoutMillis",
    ];
    assert_eq!(warned, expected);
}

#[test]
fn the_file_is_replaced_and_the_previous_one_kept() {
    let file = format!("{FILE}odd key\\=\\:= \\\\ b\ninitAuthenticationUser=secret\n");
    let mut case = Case::new("file", &file);
    case.update(b"metricsLabel=a:b\n");
    assert!(case.file(".bak").is_none());
    let first = case.file("").unwrap();
    case.update(b"metricsLabel=c:d\n");
    assert_eq!(case.file(".bak"), Some(first));
    assert!(case.file(".tmp").is_none());
    // It reads back as what was listed, secrets included.
    let stored = properties::load(&case.file("").unwrap()).unwrap();
    for pair in &stored {
        let expected = if pair.value == "secret" { "******" } else { &*pair.value };
        assert_eq!(case.value(&pair.key).as_deref(), Some(expected), "{}", pair.key);
    }
    assert_eq!(stored.len(), case.listing().lines().count());
    let bytes = case.file("").unwrap();
    let again = ConfigFile { path: "stored".to_owned(), bytes };
    let environment = vec![("HOME".to_owned(), "/home/u".to_owned())];
    let sources = Sources { file: Some(again), environment, ..Sources::default() };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.settings.text("metricsLabel"), "c:d");
    let texts: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(!texts.iter().any(|text| text.contains("jraftConfig")), "{texts:?}");
}

#[test]
fn a_broken_disk_is_only_a_warning() {
    let mut case = Case::new("disk", FILE);
    // A file where the folder should be.
    fs::write(&case.folder, b"").unwrap();
    let answer = case.update(b"notifyBrokerRoleChanged=false\n");
    fs::remove_file(&case.folder).unwrap();
    assert_eq!((answer.outcome, answer.changes.len()), (UpdateOutcome::Done, 1));
    assert!(answer.warnings[0].to_string().contains("could not be written"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut case = Case::new("any", FILE);
        let before = case.listing();
        let answer = case.update(&body);
        prop_assert!(answer.outcome == UpdateOutcome::Done || case.listing() == before);
    }
}
