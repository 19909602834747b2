//! What can be told of `deploy/` by reading it: does everything parse, and does each number and name that stands in several
//! files stand there alike?
//!
//! | Rule | What it asks |
//! |---|---|
//! | `parses` | every YAML and JSON file is one |
//! | `images` | compose, Kubernetes and Terraform name the same images |
//! | `toolchain` | the image is built with the toolchain of `rust-toolchain.toml` |
//! | `ports` | admin port, broker port, worker port and the collector's are the binary's, everywhere |
//! | `peers` | every peer is a service or a pod that is there, and there are three |
//!
//! A rule is a pure function of the [`Files`], so that a test can hand it one that is wrong.

use crate::interop::report::{Failure, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

/// Where the binary's defaults stand.
const FIELDS: &str = "crates/server/src/config/field.rs";
const TOOLCHAIN: &str = "rust-toolchain.toml";

const COMPOSE: &str = "deploy/docker-compose.yml";
const CONTROLLERS: &str = "deploy/kubernetes/controllers.yaml";
const DOCKERFILE: &str = "deploy/Dockerfile";
const VARIABLES: &str = "deploy/terraform/variables.tf";
const CONF: &str = "deploy/config/controller.conf";

/// Port of brokers, tools and peers: upstream's in the sample `controller-n0.conf`.
const BROKER_PORT: &str = "9878";

/// Port of a worker of `bench fleet`.
const WORKER_PORT: &str = "9700";

/// Files that rules read, by their path from the root.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads everything below `deploy/`, and the files it is compared with.
    ///
    /// # Errors
    /// A file cannot be read or is not UTF-8.
    pub(super) fn read(root: &Path) -> Outcome<Self> {
        let mut files = Self::default();
        files.collect(root, &root.join("deploy"))?;
        for path in [FIELDS, TOOLCHAIN] {
            files.add(root, &root.join(path))?;
        }
        Ok(files)
    }

    fn collect(&mut self, root: &Path, folder: &Path) -> Outcome<()> {
        let failed = Failure::while_doing(folder.display());
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(Failure::while_doing(folder.display()))?.path();
            let is_hidden =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if is_hidden {
                // `.env` and what Terraform leaves behind are of one machine.
                continue;
            }
            if path.is_dir() { self.collect(root, &path)? } else { self.add(root, &path)? }
        }
        Ok(())
    }

    fn add(&mut self, root: &Path, path: &Path) -> Outcome<()> {
        let text = std::fs::read_to_string(path).map_err(Failure::while_doing(path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        self.0.insert(path, text);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The text of a file, empty if there is none: then its rule finds that everything is missing.
    fn text(&self, path: &str) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    /// The documents of all YAML files of a folder, or of one file.
    fn documents(&self, under: &str) -> Vec<Yaml> {
        let is_meant = |path: &&String| path.starts_with(under) && is_yaml(path);
        let files = self.0.keys().filter(is_meant);
        files
            .flat_map(|path| YamlLoader::load_from_str(self.text(path)).unwrap_or_default())
            .collect()
    }
}

fn is_yaml(path: &str) -> bool {
    matches!(Path::new(path).extension().and_then(|it| it.to_str()), Some("yml" | "yaml"))
}

/// Problems that one rule finds.
type Rule = fn(&Files) -> Vec<String>;

/// All problems, each a line that names its rule and file.
pub(super) fn check(files: &Files) -> Vec<String> {
    let rules: [Rule; 5] = [parses, images, toolchain, ports, peers];
    rules.iter().flat_map(|rule| rule(files)).collect()
}

fn parses(files: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in &files.0 {
        let wrong = if is_yaml(path) {
            YamlLoader::load_from_str(text).err().map(|error| error.to_string())
        } else if path.ends_with(".json") {
            serde_json::from_str::<serde_json::Value>(text).err().map(|error| error.to_string())
        } else {
            None
        };
        problems.extend(wrong.map(|error| format!("parses: {path}: {error}")));
    }
    problems
}

fn images(files: &Files) -> Vec<String> {
    let of = |under: &str| {
        let mut found = BTreeSet::new();
        files.documents(under).iter().for_each(|it| collect_images(it, &mut found));
        found
    };
    let (compose, kubernetes) = (of(COMPOSE), of("deploy/kubernetes/"));
    let mut terraform = BTreeSet::new();
    let mut is_image = false;
    for line in files.text(VARIABLES).lines() {
        if let Some(name) = line.strip_prefix("variable \"") {
            is_image = name.split('"').next().is_some_and(|name| name.ends_with("image"));
        }
        let default = line.trim().strip_prefix("default").filter(|_| is_image);
        terraform.extend(default.and_then(|it| it.split('"').nth(1)).map(ToOwned::to_owned));
    }
    let others = [("deploy/kubernetes", kubernetes), (VARIABLES, terraform)];
    let differ = others.into_iter().filter(|(_, images)| *images != compose);
    differ
        .map(|(path, images)| {
            format!("images: {path} names {images:?}, but {COMPOSE} names {compose:?}")
        })
        .collect()
}

fn collect_images(yaml: &Yaml, found: &mut BTreeSet<String>) {
    if let Some(hash) = yaml.as_hash() {
        for (key, value) in hash {
            match (key.as_str(), value.as_str()) {
                (Some("image"), Some(image)) => {
                    found.insert(image.to_owned());
                }
                _ => collect_images(value, found),
            }
        }
    }
    yaml.as_vec().into_iter().flatten().for_each(|it| collect_images(it, found));
}

fn toolchain(files: &Files) -> Vec<String> {
    let channel = files.text(TOOLCHAIN).lines().find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.unwrap_or_default().trim_matches('"');
    let wanted = format!("FROM rust:{channel}-");
    if files.text(DOCKERFILE).lines().any(|line| line.starts_with(&wanted)) {
        return Vec::new();
    }
    vec![format!("toolchain: {DOCKERFILE} has no line that begins with {wanted:?} ({TOOLCHAIN})")]
}

fn ports(files: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    let default = files.text(FIELDS).split("\"pitchover.adminAddr\", Text, Value(\"").nth(1);
    let default = default.and_then(|rest| rest.split('"').next());
    let Some((_, admin)) = default.and_then(|address| address.rsplit_once(':')) else {
        return vec![format!("ports: {FIELDS} has no default of pitchover.adminAddr")];
    };
    let otlp = value_of(files.text(CONF), "metricsGrpcExporterTarget");
    let otlp = otlp.and_then(|it| it.rsplit_once(':')).map_or("", |(_, port)| port);
    let terraform = "deploy/terraform/main.tf";
    let collector = "deploy/config/otel-collector.yaml";
    let prometheus = "deploy/config/prometheus.yml";
    let places = [
        (CONF, format!("pitchover.adminAddr=0.0.0.0:{admin}\n")),
        (COMPOSE, format!("\"127.0.0.1:{admin}:{admin}\"")),
        (COMPOSE, format!("/dev/tcp/127.0.0.1/{admin} ")),
        (CONTROLLERS, format!("containerPort: {admin}\n")),
        (CONTROLLERS, format!("containerPort: {BROKER_PORT}\n")),
        (CONTROLLERS, format!("port: {BROKER_PORT}\n")),
        (terraform, format!("internal = {admin}\n")),
        (terraform, format!("/dev/tcp/127.0.0.1/{admin} ")),
        (terraform, format!("\"0.0.0.0:{WORKER_PORT}\"")),
        (COMPOSE, format!("\"0.0.0.0:{WORKER_PORT}\"")),
        ("deploy/kubernetes/workers.yaml", format!("\"0.0.0.0:{WORKER_PORT}\"")),
        ("deploy/kubernetes/workers.yaml", format!("containerPort: {WORKER_PORT}\n")),
        (prometheus, format!("port: {admin}\n")),
        (prometheus, "[otel-collector:8889]".to_owned()),
        (DOCKERFILE, format!("EXPOSE {BROKER_PORT} {admin} {WORKER_PORT}\n")),
        (collector, format!("endpoint: 0.0.0.0:{otlp}\n")),
        (collector, "endpoint: 0.0.0.0:8889\n".to_owned()),
        ("deploy/kubernetes/otel-collector.yaml", format!("containerPort: {otlp}\n")),
    ];
    for (path, wanted) in places {
        if !files.text(path).contains(&wanted) {
            problems.push(format!("ports: {path} lacks {wanted:?}"));
        }
    }
    problems
}

/// The value of `key` in a file of lines `key=value`.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

fn peers(files: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    let compose = files.documents(COMPOSE);
    let services = compose.first().and_then(|it| it["services"].as_hash());
    let services: BTreeSet<String> = services
        .into_iter()
        .flat_map(|services| services.keys().filter_map(|key| key.as_str()))
        .filter(|name| name.starts_with("controller-"))
        .map(|name| format!("{name}:{BROKER_PORT}"))
        .collect();
    let controllers = files.documents(CONTROLLERS);
    let set = controllers.iter().find(|it| it["kind"].as_str() == Some("StatefulSet"));
    let text = |yaml: &Yaml| yaml.as_str().unwrap_or_default().to_owned();
    let name = set.map(|set| text(&set["metadata"]["name"])).unwrap_or_default();
    let service = set.map(|set| text(&set["spec"]["serviceName"])).unwrap_or_default();
    let replicas = set.and_then(|set| set["spec"]["replicas"].as_i64()).unwrap_or_default();
    let kustomization = files.documents("deploy/kustomization.yaml");
    let namespace = kustomization.first().and_then(|it| it["namespace"].as_str());
    let namespace = namespace.unwrap_or_default();
    let pod = |number| format!("{name}-{number}.{service}.{namespace}.svc:{BROKER_PORT}");
    let pods: BTreeSet<String> = (0..replicas).map(pod).collect();
    let rows = [("deploy/config/compose.env", services), ("deploy/config/kubernetes.env", pods)];
    for (path, there) in rows {
        let listed = value_of(files.text(path), "controllerDLegerPeers").unwrap_or_default();
        let is_listed =
            |address: &String| listed.split(';').any(|peer| peer.ends_with(&format!("-{address}")));
        let count = listed.split(';').count();
        if there.len() != 3 || count != 3 || !there.iter().all(is_listed) {
            problems.push(format!("peers: {path} lists {listed:?}, but there are {there:?}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{CONF, CONTROLLERS, DOCKERFILE, Files, VARIABLES, check};
    use crate::tree::root;

    fn files() -> Files {
        Files::read(root()).unwrap()
    }

    #[test]
    fn deploy_files_agree() {
        assert_eq!(check(&files()), Vec::<String>::new());
    }

    #[test]
    fn what_disagrees_is_named() {
        let rows = [
            (CONF, "0.0.0.0:9557", "0.0.0.0:9558", "ports: deploy/config/controller.conf"),
            (CONF, ":4317", ":4319", "ports: deploy/config/otel-collector.yaml"),
            (CONTROLLERS, "replicas: 3", "replicas: 5", "peers: deploy/config/kubernetes.env"),
            (CONTROLLERS, "pitchover:dev", "pitchover:1", "images: deploy/kubernetes"),
            (CONTROLLERS, "kind: Service", "kind: [", "parses: deploy/kubernetes/controllers.yaml"),
            (VARIABLES, "grafana:12.1.0", "grafana:12", "images: deploy/terraform/variables.tf"),
            (DOCKERFILE, "FROM rust:", "FROM rust:1", "toolchain: deploy/Dockerfile"),
        ];
        for (path, right, wrong, found) in rows {
            let mut files = files();
            let text = files.0.get_mut(path).unwrap();
            assert!(text.contains(right), "{path} has {right}");
            *text = text.replace(right, wrong);
            let problems = check(&files);
            assert!(problems.iter().any(|it| it.starts_with(found)), "{found}: {problems:?}");
        }
    }
}
