//! `pitchover elect`: an operator has a master elected, or sees whom an election would choose, and why.
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | the broker set has the wanted master: it was elected, or it is master and stays (`--dry-run`: it would be) |
//! | 1 | no controller could be asked, the broker set is not known, or nobody knows what became of the request |
//! | 2 | the command line is wrong |
//! | 3 | nobody could be elected, or not the broker that was named |

use crate::targets::{self, Targets, ask_with};
use bytes::Bytes;
use clap::Parser;
use protocol::{ExtFields, private, response_code};
use serde_json::Value;
use std::process::ExitCode;

/// Exit code if nobody could be elected.
const NOBODY: u8 = 3;

/// Elect a master of one broker set, or see whom an election would choose, and why.
///
/// Without --to it is the election that the controller itself would hold now: a living master stays. Any controller
/// may be asked; the leader decides. Exit codes: 0 the set has the wanted master, 1 nobody could be asked or the
/// outcome is unknown, 2 wrong command line, 3 nobody could be elected, or not the broker that was named.
#[expect(clippy::struct_excessive_bools, reason = "the switches of one command line")]
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Name of the broker set (brokerName).
    broker_name: String,
    /// Controller id of the broker that is to be master, even if another one is, or if it is listed in
    /// pitchover.neverMaster.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    to: Option<i64>,
    /// Allow a broker outside the sync-state set: messages that it does not have are lost. With --to, this is what
    /// gives a set with an empty sync-state set a master.
    #[arg(long)]
    unclean: bool,
    /// Only show what the election would come to.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    targets: Targets,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let asked = arguments.targets.addresses().and_then(|addresses| {
        let asked = targets::block_on(first_answer(&addresses, arguments));
        asked.map_err(|error| error.to_string())?
    });
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("elect: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        println!("{answer:#}");
    } else {
        print_answer(&answer, arguments.dry_run);
    }
    match answer.get("result").and_then(Value::as_str) {
        Some("elected" | "stays") => ExitCode::SUCCESS,
        Some(_) | None => ExitCode::from(NOBODY),
    }
}

/// The next controller is asked only if the one before did nothing for certain: an election is not asked for twice.
async fn first_answer(addresses: &[String], arguments: &Arguments) -> Result<Value, String> {
    let mut errors = Vec::new();
    for address in addresses {
        let asked = ask_with(address, private::ELECT, fields(arguments), Bytes::new()).await;
        let is_final = match &asked {
            Ok(response) => response.code != response_code::CONTROLLER_NOT_LEADER,
            Err(error) => error.is_unknown() && !arguments.dry_run,
        };
        match targets::object(asked) {
            Ok(found) => return Ok(found),
            Err(error) => errors.push(format!("{address}: {error}")),
        }
        if is_final {
            break;
        }
    }
    Err(errors.join("\n       "))
}

fn fields(arguments: &Arguments) -> ExtFields {
    let mut fields = ExtFields::new();
    fields.push("brokerName", arguments.broker_name.clone());
    fields.push_some("brokerId", arguments.to);
    fields.push("unclean", arguments.unclean);
    fields.push("dryRun", arguments.dry_run);
    fields
}

fn print_answer(answer: &Value, is_dry_run: bool) {
    let number = |value: &Value, member: &str| {
        value.get(member).map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let text = |value: &Value, member: &str| {
        value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let set = text(answer, "brokerName");
    let master = number(answer, "master");
    let epoch = number(answer, "masterEpoch");
    let would = if is_dry_run { "would be " } else { "" };
    match text(answer, "result").as_str() {
        "elected" => println!("{set}: broker {master} {would}elected, master epoch {epoch}"),
        "stays" => println!("{set}: broker {master} is master already, master epoch {epoch}"),
        _ => println!("{set}: nobody {would}elected"),
    }
    if answer.get("notRegistered").is_some() {
        println!("  broker {} is not registered in this set", number(answer, "notRegistered"));
    }
    for member in answer.get("members").and_then(Value::as_array).into_iter().flatten() {
        let mark = if member.get("chosen") == Some(&Value::Bool(true)) { '*' } else { ' ' };
        let (id, address) = (number(member, "id"), text(member, "address"));
        println!("{mark} broker {id:<4} {address:<22} {}", text(member, "why"));
    }
}
