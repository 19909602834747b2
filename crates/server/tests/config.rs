//! Configuration at its border: what sources give which values, warnings and errors.

use std::time::Duration;

use server::config::field::LIMIT_NAMES;
use server::config::{Config, ConfigFile, Durability, Exporter, Settings, Sources, Style, print};
use telemetry::{MetricsPlan, MetricsWay, Target};

const THREE: &str = "controllerDLegerGroup = group1\n\
    controllerDLegerPeers = n0-127.0.0.1:9878;n1-127.0.0.1:9868;n2-127.0.0.1:9858\n\
    controllerDLegerSelfId = n0\n";

fn sources(file: &str) -> Sources {
    let file = ConfigFile { path: "c.conf".to_owned(), bytes: file.as_bytes().to_vec() };
    let environment = vec![("HOME".to_owned(), "/home/u".to_owned())];
    Sources { file: Some(file), environment, ..Sources::default() }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn load(file: &str) -> Config {
    Config::load(&sources(file)).expect("valid")
}

/// The errors that `file` gives, one a line.
fn refusal(file: &str) -> String {
    Config::load(&sources(file)).expect_err("refused").to_string()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

/// Names and addresses of the peers that `peers` and `own` give.
fn check_peers(own: &str, peers: &str, expected: &[(&str, &str)]) {
    let file = format!(
        "controllerDLegerGroup=g\ncontrollerDLegerPeers={peers}\ncontrollerDLegerSelfId={own}\n"
    );
    let config = load(&file);
    let found: Vec<(&str, &str)> =
        config.peers.iter().map(|peer| (&*peer.name, &*peer.broker_address)).collect();
    assert_eq!(found, expected, "{own} in {peers}");
    assert_eq!(config.me.name.replace('-', ""), own.replace('-', ""));
}

#[test]
fn upstreams_sample_of_three() {
    let config = load(THREE);
    assert_eq!(config.group, "group1");
    assert_eq!(config.style, Style::OnePort);
    assert_eq!((config.me.name.as_str(), config.me.peer_id), ("n0", 1));
    assert_eq!(config.peers_text, "n0:127.0.0.1:9878;n1:127.0.0.1:9868;n2:127.0.0.1:9858");
    assert_eq!((config.broker_port, config.peer_port), (9878, 9878));
    assert_eq!(config.advertised_address, "127.0.0.1:9878");
    assert_eq!(config.settings.text("controllerStorePath"), "/home/u/PitchoverController");
    assert_eq!(config.data_path.to_str(), Some("/home/u/PitchoverController/pitchover-n0"));
    assert_eq!(config.timing.election_timeout_ms, 1000);
    assert!(config.live.brokers.is_notified);
    assert!(!config.live.brokers.is_unclean_allowed);
    assert_eq!(config.live.idle_secs_max, 120);
    assert_eq!(config.durability, Durability::Fsync);
    assert!(!config.admin.is_explicit);
    assert_eq!(config.settings.text("listenPort"), "9878");
    // On disk for ever: this number must never change.
    assert_eq!(config.cluster_id, 11_513_306_007_685_484_252);
}

#[test]
fn all_peers_of_a_cluster_agree() {
    let one = load(THREE);
    let other = load(
        "controllerDLegerGroup = group1\ncontrollerDLegerSelfId = n2\n\
         controllerDLegerPeers = n2-127.0.0.1:9858;n0-127.0.0.1:9878;n1-127.0.0.1:9868\n",
    );
    assert_eq!(one.cluster_id, other.cluster_id);
    assert_eq!(one.peers, other.peers);
    assert_eq!(other.me.peer_id, 3);
    assert_ne!(one.cluster_id, load(&THREE.replace("group1", "group2")).cluster_id);
}

#[test]
fn two_ports() {
    let config = load(
        "controllerType = jRaft\njRaftGroupId = jg\njRaftServerId = h1:9881\n\
         jRaftInitConf = h0:9880,h1:9881,h2:9882\n\
         jRaftControllerRPCAddr = h0:9770,h1:9771,h2:9772\n",
    );
    assert_eq!((config.group.as_str(), config.style), ("jg", Style::TwoPorts));
    assert_eq!((config.broker_port, config.peer_port), (9771, 9881));
    assert_eq!(config.me.broker_address, "h1:9771");
    assert_eq!(config.me.peer_address, "h1:9881");
    assert_eq!(config.peers_text, "h0:9770;h1:9771;h2:9772");
    assert!(config.data_path.ends_with("pitchover-h1-9881"));
    // The defaults make a cluster on one host, as in Java.
    let defaults = load("controllerType=jRaft");
    assert_eq!(defaults.me.name, "localhost:9880");
    assert_eq!(defaults.peers.len(), 3);
}

#[test]
fn dashes_in_ids_and_hosts() {
    check_peers("n0", "n0-host-a:9878", &[("n0", "host-a:9878")]);
    check_peers("n1", "n1-a:1;n10-b:2", &[("n1", "a:1"), ("n10", "b:2")]);
    check_peers("n10", "n1-a:1;n10-b:2", &[("n1", "a:1"), ("n10", "b:2")]);
    // An id with dashes: the others have as many.
    check_peers("a-1", "a-0-h-0:1;a-1-h-1:2", &[("a-0", "h-0:1"), ("a-1", "h-1:2")]);
    // The operator: ids without dashes, entries with them, and the same names on every peer.
    let operator = "my-ctl0-my-ctl-0.svc:9878;my-ctl1-my-ctl-1.svc:9878;my-ctl2-my-ctl-2.svc:9878";
    let names = [
        ("myctl0", "my-ctl-0.svc:9878"),
        ("myctl1", "my-ctl-1.svc:9878"),
        ("myctl2", "my-ctl-2.svc:9878"),
    ];
    for own in ["myctl0", "myctl1", "myctl2"] {
        check_peers(own, operator, &names);
    }
    check_peers("ctl0", "ctl0-ctl-0.svc:9878", &[("ctl0", "ctl-0.svc:9878")]);
    // Blanks and empty entries, and a literal address of version 6.
    check_peers("n0", " n0-a:1 ; n1-[::1]:2 ;", &[("n0", "a:1"), ("n1", "[::1]:2")]);
}

#[test]
fn missing_keys_in_upstreams_words() {
    let text = |key| format!("Attribute value {key} of ControllerConfig is null or empty");
    let all = ["controllerDLegerPeers", "controllerDLegerSelfId", "controllerDLegerGroup"];
    assert_eq!(refusal(""), all.map(text).join("\n"));
    let without = |key: &str| {
        let lines = THREE.lines().filter(|line| !line.starts_with(key));
        lines.collect::<Vec<_>>().join("\n")
    };
    for key in all {
        assert_eq!(refusal(&without(key)), text(key));
    }
    let raft = |key: &str| refusal(&format!("controllerType=jRaft\n{key}=\n"));
    for key in ["jRaftInitConf", "jRaftServerId", "jRaftGroupId"] {
        assert_eq!(raft(key), text(key));
    }
}

#[test]
fn errors_name_key_value_and_what_is_allowed() {
    let peers = |peers: &str| {
        refusal(&format!(
            "controllerDLegerGroup=g\ncontrollerDLegerPeers={peers}\ncontrollerDLegerSelfId=n0\n"
        ))
    };
    let rows = [
        (
            peers("n0-a:1;n0-b:2"),
            "controllerDLegerPeers=n0 (c.conf:2): the id stands there twice; allowed: each id once",
        ),
        (
            peers("n1-a:1;n2-b:2"),
            "controllerDLegerSelfId=n0 (c.conf:3): not one of the peers; allowed: n1, n2",
        ),
        (
            peers("n0-a:0"),
            "controllerDLegerPeers=a:0 (c.conf:2): not an address; \
             allowed: host:port with a port from 1 to 65535",
        ),
        (
            peers("n0-a:1;b:2"),
            "controllerDLegerPeers=b:2 (c.conf:2): no id before the host; allowed: id-host:port;…",
        ),
        (
            refusal(&format!("{THREE}pitchover.durability=never\npitchover.brokerCloseGraceMs=x")),
            "pitchover.durability=never (c.conf:4): not a value of this key; allowed: fsync, async\n\
             pitchover.brokerCloseGraceMs=x (c.conf:5): not a value of this key; \
             allowed: a whole number from 0 to 60000",
        ),
        (
            refusal(&format!("{THREE}jRaftElectionTimeoutMs=0\n")),
            "jRaftElectionTimeoutMs=0 (c.conf:4): no usable time-out; \
             allowed: 50 to 600000 (ELECTION_TIMEOUT_MS)",
        ),
        (
            refusal(&format!("{THREE}tls.server.mode=enforcing\n")),
            "tls.server.mode=enforcing (c.conf:4): this version has no TLS; \
             allowed: permissive, disabled",
        ),
        (
            refusal("controllerType=jRaft\njRaftServerId=x:1\njRaftControllerRPCAddr=a:1,b:2\n"),
            "jRaftControllerRPCAddr=a:1,b:2 (c.conf:3): 2 addresses, but jRaftInitConf has another \
             number; allowed: 3 addresses in the order of jRaftInitConf\n\
             jRaftServerId=x:1 (c.conf:2): not one of the peers; \
             allowed: localhost:9880, localhost:9881, localhost:9882",
        ),
        (
            refusal("a=\\u12"),
            "c.conf: line 1: malformed \\uxxxx encoding: four hexadecimal digits must follow \\u",
        ),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
    }
}

#[test]
fn what_java_ignores_gives_a_warning() {
    let config = load(&format!(
        "<!--\n  Licensed to the ASF\n-->\n{THREE}listenPort = 9876 \nmappedFileSize=1\n\
         controllerDLedgerPeers=x\nenableElectUncleanMaster=true \nauthenticationEnabled=true\n\
         mappedFileSize=2\nlistenPort=9999\nscanNotActiveBrokerInterval=abc\n"
    ));
    let expected = [
        "c.conf:1: <!-- is not a known key",
        "c.conf:2: Licensed is not a known key",
        "c.conf:3: --> is not a known key",
        "c.conf:7: listenPort: set again further down; the last one counts",
        "c.conf:8: mappedFileSize: set again further down; the last one counts",
        "c.conf:9: controllerDLedgerPeers is not a known key; did you mean controllerDLegerPeers?",
        "c.conf:11: authenticationEnabled is accepted, but this version does not act on it",
        "c.conf:12: mappedFileSize has no effect here",
        "c.conf:13: listenPort: the port of the own peer entry is used",
        "c.conf:14: scanNotActiveBrokerInterval=\"abc\" is not a whole number of 64 bits without \
         blanks; \"5000\" stays in force",
        "c.conf:13: listenPort: overwritten by port 9878 of the own peer entry",
        "default: pitchover.advertisedAddr: brokers on other hosts cannot reach 127.0.0.1:9878",
    ];
    assert_eq!(warnings(&config), expected);
    // `true ` is false, and a number with a blank leaves the default.
    assert!(!config.live.brokers.is_unclean_allowed);
    assert_eq!(config.settings.number("scanNotActiveBrokerInterval"), 5000);
}

#[test]
fn later_layers_win_and_say_who_they_are() {
    let mut sources = sources(&format!("{THREE}jRaftElectionTimeoutMs=1\nmetricsLabel=a:b\n"));
    sources.tls_file =
        Some(ConfigFile { path: "tls".to_owned(), bytes: b"tls.server.mode=disabled\n".to_vec() });
    sources.environment.extend(pairs(&[
        (
            "JAVA_OPT",
            "-Xmx4g -DjRaftElectionTimeoutMs=2 -Dfoo=bar -Drocketmq.serialize.type=ROCKETMQ",
        ),
        ("ROCKETMQ_CONTROLLER_J_RAFT_ELECTION_TIMEOUT_MS", "700"),
        ("ROCKETMQ_CONTROLLER_JRAFT_SNAPSHOT_INTERVAL_SECS", "9"),
        ("ROCKETMQ_CONTROLLER_SERVICE_HOST", "10.0.0.1"),
        ("PITCHOVER_DURABILITY", "async"),
        ("PITCHOVER_LIMITS_SEGMENT_BYTES", "12"),
        ("controllerStorePath", "/store"),
        ("ROCKETMQ_HOME", "/opt/rocketmq"),
    ]));
    sources.arguments =
        pairs(&[("jRaftElectionTimeoutMs", "800"), ("pitchover.adminAddr", "0.0.0.0:1")]);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.timing.election_timeout_ms, 800);
    assert_eq!(config.settings.number("jRaftSnapshotIntervalSecs"), 9);
    assert_eq!(config.durability, Durability::Async);
    assert_eq!(config.limit("segmentBytes"), Some(12));
    assert_eq!(config.data_path.to_str(), Some("/store/pitchover-n0"));
    assert_eq!(config.serialize_type, "ROCKETMQ");
    assert!(config.admin.is_explicit);
    let origin = |key: &str| config.settings.get(key).origin.to_string();
    let rows = [
        ("jRaftElectionTimeoutMs", "command line jRaftElectionTimeoutMs"),
        ("metricsLabel", "c.conf:5"),
        ("controllerStorePath", "environment controllerStorePath"),
        ("rocketmq.serialize.type", "environment JAVA_OPT -Drocketmq.serialize.type"),
        ("tls.server.mode", "tls:1"),
        ("bindAddress", "default"),
        ("listenPort", "from the own peer entry"),
    ];
    for (key, expected) in rows {
        assert_eq!(origin(key), expected, "{key}");
    }
    assert_eq!(config.settings.text("rocketmqHome"), "/opt/rocketmq");
    assert!(print::resolved(&config.settings).contains("\nmetricsLabel=a:b  # c.conf:5\n"));
}

#[test]
fn the_operators_pod_name_gives_the_id() {
    let operator = [
        ("MY_POD_NAME", "my-ctl-1"),
        ("controllerDLegerGroup", "g"),
        ("controllerDLegerPeers", "my-ctl0-my-ctl-0.s:9878;my-ctl1-my-ctl-1.s:9878"),
    ];
    // A pod is called `my-ctl-1`, an entry `my-ctl1-…`: without dashes they are the same.
    for file in ["", THREE] {
        let mut sources = sources(file);
        sources.environment.extend(pairs(&operator));
        let config = Config::load(&sources).unwrap();
        assert_eq!((config.me.name.as_str(), config.group.as_str()), ("myctl1", "g"));
    }
    // A file with its own peers and id is meant; so is an id in the environment.
    let mut with_file = sources(THREE);
    with_file.environment.extend(pairs(&[("MY_POD_NAME", "n-1")]));
    assert_eq!(Config::load(&with_file).unwrap().me.name, "n0");
    with_file.environment.extend(pairs(&[("controllerDLegerSelfId", "n2")]));
    assert_eq!(Config::load(&with_file).unwrap().me.name, "n2");
}

#[test]
fn metrics_settings() {
    let config = load(&format!(
        "{THREE}metricsExporterType=2\nmetricsLabel=instance_id:x, uid : y,odd\n\
         metricsPromExporterHost=127.0.0.1\nmetricsPromExporterPort=1\n"
    ));
    assert_eq!(config.metrics.exporter, Exporter::Prom);
    assert_eq!(config.metrics.prom_address, ("127.0.0.1".to_owned(), 1));
    assert_eq!(config.metrics.labels, pairs(&[("instance_id", "x"), ("uid", "y")]));
}

#[test]
fn exports_by_upstreams_keys() {
    let text = "metricsExporterType=OTLP_GRPC\nmetricsGrpcExporterTarget=http://c:4317\n\
         metricsGrpcExporterHeader=key:secret\nmetricGrpcExporterIntervalInMills=2000\n\
         metricGrpcExporterTimeOutInMills=0\nmetricsInDelta=true\n\
         pitchover.otlp.tracesTarget=http://t\npitchover.otlp.tracesPerMillion=7\n";
    let config = load(&format!("{THREE}{text}"));
    let odd = warnings(&config);
    assert!(odd.iter().all(|odd| odd.contains("pitchover.advertisedAddr")), "{odd:?}");
    let timeout = Duration::from_millis(100);
    let to = Target::read("http://c:4317", "key:secret", timeout).unwrap();
    let interval = Duration::from_secs(2);
    let plan = MetricsPlan { way: MetricsWay::Otlp(to), interval, is_delta: true };
    let exports = &config.metrics.exports;
    assert_eq!(exports.metrics.as_ref(), Some(&plan));
    assert_eq!(exports.traces.as_ref().map(Target::address), Some("t:4317".to_owned()));
    assert_eq!(exports.traces_per_million, 7);

    let log = load(&format!("{THREE}metricsExporterType=LOG\n"));
    let (way, interval) = (MetricsWay::Log, Duration::from_secs(10));
    let plan = MetricsPlan { way, interval, is_delta: false };
    assert_eq!(log.metrics.exports.metrics, Some(plan));
    assert_eq!(load(THREE).metrics.exports.metrics, None);
    assert_eq!(load(THREE).metrics.exports.traces, None);
}

/// As upstream: no reason not to start.
#[test]
fn a_collector_that_will_not_do_is_said() {
    let rows = [
        (
            "metricsGrpcExporterTarget=c:4317\n",
            "c.conf:5: metricsGrpcExporterTarget: nothing is exported: c:4317 asks",
        ),
        (
            "pitchover.otlp.tracesTarget=https://c\n",
            "c.conf:5: pitchover.otlp.tracesTarget: nothing is exported: https",
        ),
        (
            "metricsGrpcExporterTarget=http://c\nmetricsGrpcExporterHeader=a b:secret\n",
            "c.conf:6: metricsGrpcExporterHeader: nothing is exported: a b is not",
        ),
    ];
    for (text, expected) in rows {
        let config = load(&format!("{THREE}metricsExporterType=1\n{text}"));
        let said = warnings(&config);
        let is_said =
            said.iter().any(|said| said.starts_with(expected) && !said.contains("secret"));
        assert!(is_said, "{said:?}");
        assert_eq!(config.metrics.exports.traces, None);
    }
}

#[test]
fn keys_that_do_nothing_say_so() {
    let config = load(&format!(
        "{THREE}scanNotActiveBrokerInterval=1\nelectMasterMaxRetryCount=1\n\
         scanInactiveMasterInterval=1\njRaftScanWaitTimeoutMs=1\nshutdownWaitTimeSeconds=1\n\
         jRaftSnapshotIntervalSecs=1\nmetricsExporterType=OTLP_GRPC\npitchover.limits.nodes=1\n\
         pitchover.limits.frameDeadlineMs=1\nmetricsInDelta=true\npitchover.adminAddr=1.2.3.4:5\n\
         pitchover.advertisedAddr=h:1\n"
    ));
    let limits = LIMIT_NAMES.join(", ");
    let expected = [
        "c.conf:4: scanNotActiveBrokerInterval has no effect here",
        "c.conf:5: electMasterMaxRetryCount has no effect here",
        "c.conf:6: scanInactiveMasterInterval has no effect here",
        "c.conf:7: jRaftScanWaitTimeoutMs has no effect here",
        "c.conf:8: shutdownWaitTimeSeconds has no effect here",
        "c.conf:9: jRaftSnapshotIntervalSecs has no effect here",
        &format!("c.conf:11: pitchover.limits.nodes: no such limit; there are {limits}"),
        "c.conf:10: metricsExporterType: nothing is exported: no collector is named by \
         metricsGrpcExporterTarget",
    ];
    assert_eq!(warnings(&config), expected);
    assert_eq!(config.metrics.exporter, Exporter::OtlpGrpc);
    assert_eq!(config.metrics.exports.metrics, None);
    assert_eq!(config.limit("frameDeadlineMs"), Some(1));
    let refused = refusal(&format!("{THREE}pitchover.limits.segmentBytes=x\n"));
    let expected = "pitchover.limits.segmentBytes=x (c.conf:4): not a value of this key; \
        allowed: a whole number";
    assert_eq!(refused, expected);
}

#[test]
fn print_lists_all_fields_unchecked() {
    let sources = sources("serverWorkerThreads=9\ntls.server.keyPassword=secret\n");
    let settings = Settings::read(&sources).unwrap().settings;
    let items = print::items(&settings);
    let lines: Vec<&str> = items.lines().collect();
    assert_eq!(lines.len(), 27 + 1 + 7 + 18 + 20);
    assert_eq!(lines[0], "rocketmqHome=");
    assert_eq!(lines[1], "configStorePath=/home/u/controller/controller.properties");
    assert!(lines[2].starts_with("jraftConfig=org.apache.rocketmq.common.JraftConfig@"));
    for line in ["controllerDLegerPeers=", "isProcessReadEvent=false", "serverWorkerThreads=9"] {
        assert!(lines.contains(&line), "{line}");
    }
    assert!(!items.contains("secret"));
    assert!(!print::resolved(&settings).contains("secret"));
}

#[test]
fn a_missing_or_endless_file_is_an_error() {
    let missing = ConfigFile::read("/nonexistent/c.conf").unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/c.conf: "), "{missing}");
    let endless = ConfigFile::read("/dev/zero").unwrap_err().to_string();
    assert_eq!(endless, "/dev/zero: longer than CONFIG_FILE_BYTES_MAX = 1048576 bytes");
}

/// Whoever mends one error is not told of the next only then.
#[test]
fn all_errors_are_said_at_once() {
    let refused = refusal(
        "controllerDLegerPeers=n0-127.0.0.1:9878\njRaftElectionTimeoutMs=1\n\
         pitchover.durability=maybe\npitchover.adminAddr=here\npitchover.neverMaster=a\n\
         pitchover.brokerCloseGraceMs=-1\npitchover.limits.segmentBytes=x\n",
    );
    let keys = [
        "controllerDLegerSelfId",
        "controllerDLegerGroup",
        "pitchover.adminAddr=here",
        "pitchover.neverMaster=a",
        "jRaftElectionTimeoutMs=1",
        "pitchover.durability=maybe",
        "pitchover.brokerCloseGraceMs=-1",
        "pitchover.limits.segmentBytes=x",
    ];
    for key in keys {
        assert!(refused.contains(key), "{key}: {refused}");
    }
    assert_eq!(refused.lines().count(), keys.len(), "{refused}");
    // What upstream would report comes first.
    assert!(refused.starts_with("Attribute value controllerDLegerSelfId"), "{refused}");
    // A file that ends in the middle is one error, not one for each key that it may have had.
    let cut = refusal("controllerDLegerGroup=\\u00\npitchover.durability=maybe\n");
    assert_eq!(cut.lines().count(), 1, "{cut}");
}
