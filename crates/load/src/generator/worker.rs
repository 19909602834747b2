//! One process of a fleet: told by lines on standard input, tells by lines on standard output.
//!
//! ```text
//! stdin   plan, then commands     stdout  events            each one line of JSON
//! main    founding, then events ──► stdout
//! thread  stdin ──► commands ──► thread "fleet" (reader) ──► orders ──► thread "pacer"
//! ```
//!
//! The end of standard input is heard at any time, also while the fleet is founded: whoever started it may be gone, and
//! nobody would remove what is founded after that.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use client::Cluster;
use tokio::sync::oneshot;

use super::founding::{FoundingError, crown, preload, register};
use super::plan::{Command, Event, Plan};
use super::reader::Reader;

/// Commands or events that may wait.
const QUEUE_MAX: usize = 64;

/// Plays the fleet that the first line of standard input plans, until standard input ends.
///
/// # Errors
/// A text for the operator; it was told on standard output, too.
pub fn run() -> Result<(), String> {
    let mut first = String::new();
    io::stdin().lock().read_line(&mut first).map_err(|error| error.to_string())?;
    let plan = serde_json::from_str(&first).map_err(|error| format!("the plan: {error}"))?;
    let played = play(plan);
    if let Err(error) = &played {
        tell(&Event::Failed(error.clone()))?;
    }
    played
}

fn play(plan: Plan) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("building a runtime: {error}"))?;
    let cluster = Arc::new(Cluster::new(plan.controllers.iter().cloned()));
    let (to_fleet, commands) = sync_channel(QUEUE_MAX);
    let (is_wanted, mut unwanted) = oneshot::channel();
    let to_reader = to_fleet.clone();
    spawn("commands", move || read_commands(&to_reader, is_wanted))?;
    runtime.block_on(unless(&mut unwanted, register(&plan, &cluster)))?;
    preload(&plan)?;
    let brokers = plan.brokers();
    if brokers > 0 {
        tell(&Event::Progress(format!("{brokers} brokers registered, now they connect")))?;
    }

    let (to_us, events) = sync_channel(QUEUE_MAX);
    let reader = Reader::new(plan.clone())?;
    spawn("fleet", move || {
        if let Err(error) = reader.run(&commands, &to_us) {
            // Nobody waits for it only when everything ends.
            drop(to_us.send(Event::Failed(format!("the fleet: {error}"))));
        }
    })?;
    match events.recv() {
        Ok(Event::Beating) => {}
        Ok(other) => return Err(format!("expected heartbeats, but: {other:?}")),
        Err(_ended) => return Err("the fleet's thread ended".to_owned()),
    }
    if brokers > 0 {
        tell(&Event::Progress(format!("{brokers} brokers heartbeat, now masters are elected")))?;
    }
    let views = runtime.block_on(unless(&mut unwanted, crown(&plan, &cluster)))?;
    // Its connection would only be one more that a killed controller breaks.
    drop((runtime, cluster));
    let known = to_fleet.send(Command::Know(views.clone()));
    known.map_err(|_ended| "the fleet's thread ended".to_owned())?;
    // With it commands would seem to come when they cannot any more.
    drop(to_fleet);
    tell(&Event::Founded(views))?;
    tell_all(&events)
}

/// What `work` comes to, unless standard input ends before.
async fn unless<T>(
    unwanted: &mut oneshot::Receiver<()>,
    work: impl Future<Output = Result<T, FoundingError>>,
) -> Result<T, String> {
    tokio::select! {
        done = work => done.map_err(|error| error.to_string()),
        _dropped = unwanted => Err("standard input ended before the fleet lived".to_owned()),
    }
}

/// Hands commands on until standard input ends, which ends the fleet; `_is_wanted` is dropped with it.
fn read_commands(to_fleet: &SyncSender<Command>, _is_wanted: oneshot::Sender<()>) {
    for line in io::stdin().lock().lines() {
        let command = line.map_err(|error| error.to_string());
        let command =
            command.and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
        let Ok(command) = command else { return };
        if to_fleet.send(command).is_err() {
            return;
        }
    }
}

fn tell_all(events: &Receiver<Event>) -> Result<(), String> {
    for event in events {
        let failed = match &event {
            Event::Failed(error) => Some(error.clone()),
            _ => None,
        };
        match failed {
            Some(error) => return Err(error),
            None => tell(&event)?,
        }
    }
    Ok(())
}

fn tell(event: &Event) -> Result<(), String> {
    let line = serde_json::to_string(event).map_err(|error| error.to_string())?;
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| format!("standard output: {error}"))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| format!("starting the thread {name}: {error}"))
}
