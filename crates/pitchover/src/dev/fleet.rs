//! The simulated fleet of `dev`: sets of three brokers, of which a master dies every few seconds and comes back.

use super::broker::{Broker, BrokerError, View, poll};
use crate::clock::Stopwatch;
use client::Cluster;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Brokers of a set.
const BROKERS: usize = 3;

/// Pause between two deaths.
const BETWEEN_DEATHS: Duration = Duration::from_secs(3);

/// How long a dead broker stays away.
const AWAY: Duration = Duration::from_secs(2);

/// How often a set is polled while its new master is awaited.
const POLL: Duration = Duration::from_millis(2);

/// How long a new master is awaited before the fleet goes on with the next set.
const ELECTION: Duration = Duration::from_secs(15);

/// Pause after a request that failed, while the controllers change their leader.
const RETRY: Duration = Duration::from_millis(500);

struct Set {
    name: String,
    brokers: Vec<Broker>,
}

/// Runs for as long as the task lives.
pub(super) async fn run(cluster: Arc<Cluster>, count: u16) {
    let mut sets = Vec::new();
    for number in 0..count {
        let set = begin(&cluster, format!("dev-broker-{number}")).await;
        let brokers: Vec<String> = set
            .brokers
            .iter()
            .map(|broker| format!("{}@{}", broker.id, broker.address()))
            .collect();
        println!("fleet  {:<14} brokers {}", set.name, brokers.join(" "));
        sets.push(set);
    }
    let mut turn = 0;
    loop {
        sleep(BETWEEN_DEATHS).await;
        let at = turn % sets.len();
        turn += 1;
        if let Err(error) = lose_and_regain(&cluster, &mut sets[at]).await {
            println!("fleet  {:<14} {error}", sets[at].name);
            sleep(RETRY).await;
        }
    }
}

/// Starts the brokers of one set; tries until it succeeds.
async fn begin(cluster: &Cluster, name: String) -> Set {
    let mut brokers = Vec::new();
    while brokers.len() < BROKERS {
        match Broker::start(cluster, &name, None).await {
            Ok(broker) => brokers.push(broker),
            Err(error) => {
                println!("fleet  {name:<14} {error}");
                sleep(RETRY).await;
            }
        }
    }
    let mut set = Set { name, brokers };
    while let Err(error) = settle(cluster, &mut set).await {
        println!("fleet  {:<14} {error}", set.name);
        sleep(RETRY).await;
    }
    set
}

/// Gives the set a master and all its living brokers a place in the sync-state set.
async fn settle(cluster: &Cluster, set: &mut Set) -> Result<View, BrokerError> {
    let mut view = poll(cluster, &set.name).await?;
    if view.master.is_none() {
        if let Some(broker) = set.brokers.first() {
            broker.elect(cluster).await?;
        }
        view = poll(cluster, &set.name).await?;
    }
    let mut members: Vec<i64> = set.brokers.iter().map(|broker| broker.id).collect();
    members.sort_unstable();
    let mut present = view.set.clone();
    present.sort_unstable();
    let master = set.brokers.iter().find(|broker| Some(broker.id) == view.master);
    if let (Some(master), true) = (master, present != members) {
        master.alter(cluster, &view, members).await?;
        view = poll(cluster, &set.name).await?;
    }
    Ok(view)
}

/// The master dies, another is elected, the dead one comes back as a slave.
async fn lose_and_regain(cluster: &Cluster, set: &mut Set) -> Result<(), BrokerError> {
    let before = settle(cluster, set).await?;
    let Some(at) = set.brokers.iter().position(|broker| Some(broker.id) == before.master) else {
        return Ok(());
    };
    let dead = set.brokers.swap_remove(at).id;
    let died = Stopwatch::start();
    let name = &set.name;
    println!("fleet  {name:<14} master {dead} dies (epoch {})", before.master_epoch);
    while died.elapsed() < ELECTION {
        let view = poll(cluster, name).await?;
        if let Some(master) = view.master.filter(|&master| master != dead) {
            let millis = died.elapsed().as_secs_f64() * 1_000.0;
            let epoch = view.master_epoch;
            println!(
                "fleet  {name:<14} master {master} elected (epoch {epoch}) {millis:.1} ms later"
            );
            break;
        }
        sleep(POLL).await;
    }
    sleep(AWAY).await;
    let broker = Broker::start(cluster, name, Some(dead)).await?;
    set.brokers.push(broker);
    // Its first heartbeat must have arrived before the master may ask for it.
    sleep(RETRY).await;
    settle(cluster, set).await.map(drop)
}
