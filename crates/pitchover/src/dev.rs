//! `pitchover dev`: three controllers on loopback, and a small simulated fleet, so that elections can be seen.
//!
//! Every controller is a process of its own. Kill one by its pid: another leads within half a second, and the
//! killed one is started again after [`RESTART_AFTER`]. Ctrl-C stops everything.

mod broker;
mod fleet;
mod nodes;

use crate::clock::Stopwatch;
use crate::targets::{self, DEV_PORTS};
use bytes::Bytes;
use clap::Parser;
use client::{Cluster, Deadline};
use nodes::Nodes;
use protocol::private;
use serde_json::Value;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long the controllers may take to elect a leader.
const LEADER: Duration = Duration::from_secs(30);

/// How often processes and leader are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Pause before a controller that ended is started again.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// Most simulated broker sets: each broker of the fleet holds a port and a connection to every controller.
const FLEET_MAX: u16 = 500;

/// Run three controllers on loopback, with a small simulated broker fleet.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Controllers, 1 to 7.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    nodes: u16,
    /// Their ports; by default 9878, 9868, 9858 and downwards by ten.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    /// Folder for their data, kept; by default a temporary one, removed at the end.
    #[arg(long)]
    data: Option<std::path::PathBuf>,
    /// Simulated broker sets of three brokers each; 0 for none.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=i64::from(FLEET_MAX)))]
    fleet: u16,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let ports = match ports(arguments) {
        Ok(ports) => ports,
        Err(error) => {
            eprintln!("dev: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ran = Nodes::start(&ports, arguments.data.clone())
        .map_err(|error| error.to_string())
        .and_then(|nodes| {
            let watching = watch(nodes, arguments.fleet);
            targets::block_on(watching).map_err(|error| error.to_string())?
        });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dev: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ports(arguments: &Arguments) -> Result<Vec<u16>, String> {
    let wanted = usize::from(arguments.nodes);
    let ports = if arguments.ports.is_empty() {
        (0..arguments.nodes).map(|node| DEV_PORTS[0] - 10 * node).collect()
    } else {
        arguments.ports.clone()
    };
    if ports.len() != wanted {
        return Err(format!("--ports names {} ports for {wanted} nodes", ports.len()));
    }
    Ok(ports)
}

/// Says what happens until Ctrl-C.
async fn watch(mut nodes: Nodes, sets: u16) -> Result<(), String> {
    let cluster = Arc::new(Cluster::new(nodes.addresses().iter().cloned()));
    for (name, address, pid) in nodes.list() {
        println!("controller {name}  {address}  pid {pid}");
    }
    let leader = tokio::select! {
        leader = cluster.leader(Deadline::after(LEADER)) => leader,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    let leader = leader.map_err(|error| format!("{error}\n{}", nodes.logs()))?;
    let mut leader = leader.address().to_owned();
    for (name, admin) in admin_pages(&nodes.addresses()).await {
        println!("admin {name}  http://{admin}  (status page, /metrics)");
    }
    println!("ready leader={leader} controllers={}", nodes.addresses().join(","));
    let fleet = (sets > 0).then(|| tokio::spawn(fleet::run(Arc::clone(&cluster), sets)));
    let mut lost: Option<Stopwatch> = None;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        for event in nodes.look(RESTART_AFTER) {
            println!("{event}");
            lost = Some(Stopwatch::start());
        }
        let named = named_leader(&cluster).await;
        if let Some(named) = named.filter(|named| *named != leader) {
            let after = lost.take().map_or(0, |lost| lost.elapsed().as_millis());
            println!("leader is now {named}, seen {after} ms after a controller ended");
            leader = named;
        }
    }
    if let Some(fleet) = fleet {
        fleet.abort();
    }
    println!("stopping");
    drop(nodes);
    Ok(())
}

/// Where each controller shows its pages, as far as it says so.
async fn admin_pages(nodes: &[String]) -> Vec<(String, String)> {
    let mut pages = Vec::with_capacity(nodes.len());
    for (node, address) in nodes.iter().enumerate() {
        let answer = targets::ask(address, private::STATUS, Bytes::new()).await;
        let Ok(view) = targets::object(answer) else { continue };
        let Some(admin) = view.get("adminAddress").and_then(Value::as_str) else { continue };
        pages.push((format!("n{node}"), admin.to_owned()));
    }
    pages
}

async fn named_leader(cluster: &Cluster) -> Option<String> {
    let answers = cluster.metadata(Deadline::after(Duration::from_millis(500))).await;
    let mut leaders = answers.into_iter().flatten().filter(|node| node.is_leader);
    leaders.next().and_then(|node| node.leader_address)
}
