//! `pitchover describe`: one broker set and why it is as it is.

use crate::targets::{self, Targets, ask};
use bytes::Bytes;
use clap::Parser;
use protocol::private;
use serde_json::Value;
use std::process::ExitCode;

/// Show one broker set and why it is as it is.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Name of the broker set (brokerName).
    broker_name: String,
    #[command(flatten)]
    targets: Targets,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let described = arguments.targets.addresses().and_then(|addresses| {
        let asked = targets::block_on(first_answer(&addresses, &arguments.broker_name));
        asked.map_err(|error| error.to_string())?
    });
    match described {
        Ok(set) if arguments.json => println!("{set:#}"),
        Ok(set) => print_set(&set),
        Err(error) => {
            eprintln!("describe: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Any controller can answer, since each reads through a barrier; the first that does is enough.
async fn first_answer(addresses: &[String], set: &str) -> Result<Value, String> {
    let mut errors = Vec::new();
    for address in addresses {
        let body = Bytes::copy_from_slice(set.as_bytes());
        match targets::object(ask(address, private::DESCRIBE, body).await) {
            Ok(found) => return Ok(found),
            Err(error) => errors.push(format!("{address}: {error}")),
        }
    }
    Err(errors.join("\n          "))
}

fn print_set(set: &Value) {
    let show = |member: &str| match set.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "none".to_owned(),
        Some(other) => other.to_string(),
    };
    println!("broker set          {} (cluster {})", show("brokerName"), show("clusterName"));
    println!("master              {}", show("master"));
    println!("master epoch        {}", show("masterEpoch"));
    println!("sync-state epoch    {}", show("syncStateSetEpoch"));
    println!("next broker id      {}", show("nextBrokerId"));
    println!("why                 {}", show("why"));
    let replicas = set.get("replicas").and_then(Value::as_array);
    for replica in replicas.into_iter().flatten() {
        let is = |member: &str| replica.get(member).and_then(Value::as_bool) == Some(true);
        let number =
            |member: &str| replica.get(member).map_or_else(|| "-".to_owned(), ToString::to_string);
        println!(
            "  replica {:<4} {:<22} {:<11} {:<5} heard {} ms ago, epoch {}, offset {}, priority {}",
            number("id"),
            replica.get("address").and_then(Value::as_str).unwrap_or("-"),
            if is("inSync") { "in sync" } else { "not in sync" },
            if is("alive") { "alive" } else { "dead" },
            number("heardMsAgo"),
            number("epoch"),
            number("maxOffset"),
            number("priority"),
        );
    }
}
