//! A real collector receives metrics and spans: `otelcol`, which `cargo xtask deploy-check --install` builds.
//!
//! Skipped, with the reason, where there is none.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use load::free_ports;

use crate::broker_set::found;
use crate::cluster::Cluster;
use crate::export::settings;
use crate::node::Folder;
use crate::patience::until;
use crate::stages::ask_everything;

/// It writes everything that it gets to its standard error.
const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:PORT
exporters:
  debug:
    verbosity: detailed
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    metrics:
      receivers: [otlp]
      exporters: [debug]
    traces:
      receivers: [otlp]
      exporters: [debug]
";

/// Ends with this value.
struct Collector {
    child: Child,
    log: PathBuf,
}

impl Collector {
    fn start(program: &Path, folder: &Path, port: u16) -> Self {
        let (config, log) = (folder.join("collector.yaml"), folder.join("collector.log"));
        fs::write(&config, CONFIG.replace("PORT", &port.to_string())).expect("it can be written");
        let out = File::create(&log).expect("a log can be made");
        let mut command = Command::new(program);
        command.arg(format!("--config={}", config.display()));
        let child = command.stdout(Stdio::null()).stderr(out).spawn();
        Self { child: child.expect("the collector can be started"), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It fails only if the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where `cargo xtask deploy-check --install` puts it, or in `PATH`.
fn program() -> Option<PathBuf> {
    let own = env::var_os("PITCHOVER_DEPLOY_TOOLS").map(PathBuf::from);
    let home = env::var_os("HOME");
    let home = home.map(|home| PathBuf::from(home).join(".cache/pitchover/deploy-tools"));
    let tools = own.or(home).map(|tools| tools.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = tools.into_iter().chain(env::split_paths(&path).collect::<Vec<_>>());
    folders.map(|folder| folder.join("otelcol")).find(|program| program.is_file())
}

#[test]
fn a_real_collector_receives_both() {
    let Some(program) = program() else {
        println!(
            "SKIPPED: there is no otelcol in PATH or among the tools of deploy-check; \
             `cargo xtask deploy-check --install` builds it"
        );
        return;
    };
    let folder = Folder::new();
    let port = free_ports(1).expect("there is a free port")[0];
    let collector = Collector::start(&program, folder.path(), port);
    until("the collector listens", || {
        collector.log().contains("Everything is ready").then_some(())
    });
    let mut cluster = Cluster::one_port(&settings(&format!("http://127.0.0.1:{port}")));
    let _brokers = found(&cluster);
    let leader = cluster.await_leader();
    ask_everything(&cluster.addresses[leader]);
    let wanted = [
        "Name: request_total",
        "Name: request_latency",
        "Name: pitchover_stage_seconds",
        "Name           : CONTROLLER_ALTER_SYNC_STATE_SET",
        "Name           : propose",
        "Name           : reply",
        "service.instance.id: Str(n",
        "zone: Str(a)",
    ];
    until("metrics and spans at the collector", || {
        let log = collector.log();
        wanted.iter().all(|text| log.contains(text)).then_some(())
    });
    println!("received by {}", program.display());
}
