//! `pitchover status`: every controller's own view of the cluster, asked over the broker port.

use crate::targets::{self, Targets, ask};
use bytes::Bytes;
use clap::Parser;
use protocol::private;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Show every controller's view of the cluster.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(flatten)]
    targets: Targets,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One column of a table: its heading and the member of the status it shows.
type Column = (&'static str, &'static str);

/// Who leads, and how far everybody is.
const CLUSTER: [Column; 10] = [
    ("NODE", "name"),
    ("ROLE", "role"),
    ("TERM", "term"),
    ("LEADER", "leader"),
    ("COMMIT", "commit"),
    ("APPLIED", "applied"),
    ("SETS", "sets"),
    ("MASTERS", "masters"),
    ("BROKERS", "brokersAlive"),
    ("PID", "processId"),
];

/// What every node does: reads from its own state, the rounds of questions they took, how long they waited for
/// one; requests sent on to the leader; brokers that reach the leader through another node.
const TRAFFIC: [Column; 9] = [
    ("NODE", "name"),
    ("SERVES", "serves"),
    ("NAMING", "leaderNaming"),
    ("READS", "readsServed"),
    ("ROUNDS", "readBarriers"),
    ("WAIT-P99-US", "barrierWaitP99Micros"),
    ("FORWARDED", "forwarded"),
    ("HEARTBEATS", "heartbeats"),
    ("RELAYED", "brokersRelayed"),
];

/// Exit code 0 if all controllers answered and agree on a leader, else 1.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let views = arguments.targets.addresses().and_then(|addresses| {
        targets::block_on(ask_all(&addresses)).map_err(|error| error.to_string())
    });
    let views = match views {
        Ok(views) => views,
        Err(error) => {
            eprintln!("status: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        let all: Vec<Value> = views
            .iter()
            .map(|(address, view)| match view {
                Ok(view) => view.clone(),
                Err(error) => json!({ "address": address, "error": error }),
            })
            .collect();
        println!("{:#}", Value::Array(all));
    } else {
        print_table(&CLUSTER, &views, true);
        println!();
        print_table(&TRAFFIC, &views, false);
    }
    let leaders: Vec<&str> = views
        .iter()
        .map(|(_, view)| view.as_ref().map_or("", |view| text(view, "leader")))
        .collect();
    let agree = leaders.iter().all(|leader| !leader.is_empty() && *leader == leaders[0]);
    if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type View = (String, Result<Value, String>);

async fn ask_all(addresses: &[String]) -> Vec<View> {
    let mut views = Vec::with_capacity(addresses.len());
    for address in addresses {
        let answer = ask(address, private::STATUS, Bytes::new()).await;
        views.push((address.clone(), targets::object(answer)));
    }
    views
}

fn text<'a>(view: &'a Value, member: &str) -> &'a str {
    view.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn print_table(columns: &[Column], views: &[View], has_addresses: bool) {
    let mut rows: Vec<Vec<String>> =
        vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    if has_addresses {
        rows[0].push("ADDRESS".to_owned());
    }
    for (address, view) in views {
        let mut row: Vec<String> = match view {
            Ok(view) => columns.iter().map(|(_, member)| cell(view.get(*member))).collect(),
            Err(_) => columns.iter().map(|_| "-".to_owned()).collect(),
        };
        if has_addresses {
            row.push(match view {
                Ok(view) if text(view, "stage") == "member" => address.clone(),
                Ok(view) => format!("{address} ({})", text(view, "stage")),
                Err(error) => format!("{address}: {error}"),
            });
        }
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    }
}
