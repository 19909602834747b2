//! Holds what hosts send as netem would: what `cargo xtask openchaos` builds where the kernel has no netem.
//!
//! `delay NAMESPACE=ADDRESS...` makes a device `tun0` in each namespace. What a host sends into its own comes out of that of
//! the addressee 100 ms ± 50 ms later, in any order. What is sent there is for others to say, by a route.
//!
//! It prints `ready`; then, for each line of its input, `delivered COUNT lost COUNT`, of packets. It ends with its input.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use chaos::clock::MILLISECOND;
use chaos::draw::Draw;
use chaos::fabric::{Effect, Fabric, Home, Hosts, Rule};
use std::process::ExitCode;

/// `netem delay 100ms 50ms`, the only order that `OpenChaos` gives. Source: its `NetUtil`.
const DELAY: Effect = Effect::Scatter { mean: 100 * MILLISECOND, spread: 50 * MILLISECOND };

/// Nothing is repeated by it: which packet is held how long is up to the time at which each comes.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let homes: Option<Vec<Home>> = std::env::args().skip(1).map(|word| home(&word)).collect();
    let Some(homes) = homes.filter(|homes| !homes.is_empty()) else {
        eprintln!("usage: delay NAMESPACE=ADDRESS...");
        return ExitCode::from(64);
    };
    let fabric = match Fabric::start(&homes, Draw::new(SEED)) {
        Ok(fabric) => fabric,
        Err(error) => {
            eprintln!("no device {} in every namespace: {error}", chaos::fabric::TUN);
            return ExitCode::FAILURE;
        }
    };
    let hosts: Hosts = homes.into_iter().flat_map(|home| home.addresses).collect();
    fabric.add(Rule::new(&hosts, &hosts, DELAY));
    println!("ready");
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        let traffic = fabric.traffic();
        println!("delivered {} lost {}", traffic.delivered, traffic.overflowed + traffic.untaken);
    }
    ExitCode::SUCCESS
}

fn home(word: &str) -> Option<Home> {
    let (namespace, address) = word.split_once('=')?;
    Some(Home { namespace: namespace.to_owned(), addresses: vec![address.parse().ok()?] })
}
