//! The configuration that `deploy/` gives to controllers, read as the binary reads it when it starts.

use server::config::{AdminAddress, Config, ConfigFile, Exporter, Sources};

const CONF: &str = include_str!("../../../deploy/config/controller.conf");

/// A controller with the file of `deploy/`, the peers of one of its `.env` files and this id.
fn load(env_file: &str, own_id: &str) -> Config {
    let file = ConfigFile {
        path: "/etc/pitchover/controller.conf".to_owned(),
        bytes: CONF.as_bytes().to_vec(),
    };
    let lines = env_file.lines().filter(|line| !line.starts_with('#'));
    let mut environment: Vec<(String, String)> = lines
        .map(|line| line.split_once('=').expect("KEY=VALUE"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    environment.push(("controllerDLegerSelfId".to_owned(), own_id.to_owned()));
    let sources = Sources { file: Some(file), environment, ..Sources::default() };
    Config::load(&sources).expect("valid for our binary")
}

/// Three peers with these names and addresses, and nothing that the binary finds odd.
fn check(env_file: &str, peers: [(&str, &str); 3]) {
    for (own_id, address) in peers {
        let config = load(env_file, own_id);
        let found: Vec<(&str, &str)> =
            config.peers.iter().map(|it| (&*it.name, &*it.broker_address)).collect();
        assert_eq!(found, peers);
        assert_eq!((&*config.me.name, &*config.advertised_address), (own_id, address));
        assert_eq!((config.broker_port, config.peer_port), (9878, 9878));
        assert_eq!(
            config.data_path.parent().and_then(|it| it.to_str()),
            Some("/var/lib/pitchover")
        );
        let AdminAddress { address, is_explicit } = config.admin;
        assert_eq!((address.to_string().as_str(), is_explicit), ("0.0.0.0:9557", true));
        assert_eq!(config.metrics.exporter, Exporter::OtlpGrpc);
        // Which keys of exporters act is told elsewhere; here none may be misspelt.
        let odd: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        let odd: Vec<&String> = odd.iter().filter(|it| !it.contains("metric")).collect();
        let is_known = |it: &&String| it.contains("controllerStorePath: default ~/Pitchover");
        assert!(odd.iter().all(is_known), "{odd:?}");
        let unknown = config.warnings.iter().map(ToString::to_string);
        assert_eq!(unknown.filter(|it| it.contains("not a known key")).count(), 0);
    }
}

#[test]
fn peers_of_compose_and_terraform() {
    let peers =
        [("n0", "controller-0:9878"), ("n1", "controller-1:9878"), ("n2", "controller-2:9878")];
    check(include_str!("../../../deploy/config/compose.env"), peers);
}

#[test]
fn peers_of_kubernetes() {
    let peers = [
        ("pitchover-0", "pitchover-0.pitchover-peers.pitchover.svc:9878"),
        ("pitchover-1", "pitchover-1.pitchover-peers.pitchover.svc:9878"),
        ("pitchover-2", "pitchover-2.pitchover-peers.pitchover.svc:9878"),
    ];
    check(include_str!("../../../deploy/config/kubernetes.env"), peers);
}
