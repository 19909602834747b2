//! `random-delay` where the kernel has no netem: a program of ours holds the packets, and the run says EMULATED.
//!
//! ```text
//! node    `tc` is a script ── ip rule add iif lo lookup 78 ──► what the node sends goes into tun0, not eth0
//!                                                                 │
//! delay   (crates/chaos/examples/delay.rs, a fabric)  holds it 100 ms ± 50 ms, at most `PACKETS_MAX` packets
//!                                                                 │
//! others  what comes out of their tun0 is for them                ▼
//! ```
//!
//! As with netem on `eth0`, all is held that a node sends, ssh too, nothing that it hears, and packets overtake each other.
//! Unlike netem, ARP is not held, and what is on its way when the delay ends still comes.
//!
//! The script knows the two orders of `OpenChaos`. Another about netem fails, so that `OpenChaos` logs an error and the run
//! is invalid; so does a delay when the program is gone, whose devices, and with them the routes, went with it.

use super::faults::Means;
use super::ground::{PREFIX, tool};
use crate::interop::cargo;
use crate::interop::process::Dialogue;
use crate::interop::report::{Failure, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The device of each host, as `chaos::fabric::TUN` names it.
const DEVICE: &str = "tun0";

/// The routing table that leads there; no other program here has one.
const TABLE: &str = "78";

/// All hosts of a run.
const NETWORK: &str = "10.78.0.0/24";

/// Within which the program makes its devices, and counts.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// The two orders. Source: `NetUtil#delay`, `NetUtil#healDelay`.
const ADD: &str = "qdisc add dev eth0 root netem delay 100ms 50ms";
const DEL: &str = "qdisc del dev eth0 root netem delay 100ms 50ms";

/// Packets come out of the device from hosts that are behind `eth0` by the routes. Of both settings the stricter counts.
const LOOSE: &str =
    "for device in all tun0; do echo 0 > /proc/sys/net/ipv4/conf/$device/rp_filter; done";

/// A host: its namespace and its address.
pub(super) type Host<'a> = (&'a str, &'a str);

/// The program, which was seen to work on this machine.
#[derive(Debug)]
pub(super) struct Emulation {
    program: PathBuf,
}

impl Emulation {
    /// Makes one if netem is lacking; then netem is lacking no longer. Where that fails, the reason gets longer.
    pub(super) fn instead(
        lacking: &mut Vec<(Means, Failure)>,
        run: u32,
        folder: &Path,
    ) -> Option<Self> {
        let place = lacking.iter().position(|(means, _)| *means == Means::Netem)?;
        let netem = &lacking[place].1;
        println!("building what delays packets, since the kernel does not: {netem}");
        match Self::prepare(run, folder) {
            Ok(emulation) => {
                lacking.remove(place);
                Some(emulation)
            }
            Err(failure) => {
                let both = format!("{netem}; nor can it be emulated: {failure}");
                // A row of a table is one line.
                lacking[place].1 = Failure(both.replace('\n', " "));
                None
            }
        }
    }

    /// Builds the program and tries all that a node needs in a namespace of its own.
    fn prepare(run: u32, folder: &Path) -> Outcome<Self> {
        // As unoptimised as this program: it carries a few thousand packets a second.
        let words = ["build", "--package", "chaos", "--example", "delay"];
        let target = cargo(crate::tree::root(), &words, &folder.join("build-delay.log"))?;
        let program = target.join("debug").join("examples").join("delay");
        let emulation = Self { program };
        let name = format!("{PREFIX}{run}-delay");
        tool(&["ip", "netns", "add", &name])?;
        tool(&["ip", "-n", &name, "addr", "add", "10.78.0.1/24", "dev", "lo"])?;
        tool(&["ip", "-n", &name, "link", "set", "lo", "up"])?;
        let mut carrier = emulation.start(&[(&name, "10.78.0.1")], &folder.join("delay.log"))?;
        let script = script("tc");
        for order in [ADD, DEL] {
            let inside = ["ip", "netns", "exec", &name, "sh", "-c", &script, "tc"];
            tool(&inside.into_iter().chain(order.split(' ')).collect::<Vec<_>>())?;
        }
        carrier.held()?;
        drop(carrier);
        tool(&["ip", "netns", "del", &name])?;
        Ok(emulation)
    }

    /// Begins to hold what is sent into the devices of these hosts, and lays routes there, which no rule leads to as yet.
    ///
    /// # Errors
    /// The program has ended, or a device did not take what a host needs.
    pub(super) fn start(&self, hosts: &[Host<'_>], log: &Path) -> Outcome<Carrier> {
        let mut command = Command::new(&self.program);
        command.args(hosts.iter().map(|(name, address)| format!("{name}={address}")));
        let mut program = Dialogue::start("delay", command, log)?;
        let said = program.hear(ANSWER_LIMIT)?;
        if said != "ready" {
            return Err(Failure(format!("delay said {said}, not that it is ready")));
        }
        for (name, address) in hosts {
            tool(&["ip", "netns", "exec", name, "sh", "-ec", LOOSE])?;
            // No IPv6: its neighbour discovery is for nobody.
            tool(&["ip", "-n", name, "link", "set", DEVICE, "addrgenmode", "none"])?;
            tool(&["ip", "-n", name, "link", "set", DEVICE, "up"])?;
            let route = ["route", "add", NETWORK, "dev", DEVICE, "src", address, "table", TABLE];
            tool(&[&["ip", "-n", name], &route[..]].concat())?;
        }
        Ok(Carrier(program))
    }
}

/// The program at work; it ends with this.
#[derive(Debug)]
pub(super) struct Carrier(Dialogue);

impl Carrier {
    /// Packets that were held so far.
    ///
    /// # Errors
    /// The program has ended, or it lost packets: that is another fault than the one that was asked for.
    pub(super) fn held(&mut self) -> Outcome<u64> {
        self.0.say("")?;
        let said = self.0.hear(ANSWER_LIMIT)?;
        match counts(&said) {
            Some((held, 0)) => Ok(held),
            Some((_, lost)) => {
                Err(Failure(format!("delay lost {lost} packets; it should hold them")))
            }
            None => Err(Failure(format!("delay said {said}, not what it counted"))),
        }
    }
}

/// Packets that came through, and that did not.
fn counts(said: &str) -> Option<(u64, u64)> {
    let (delivered, lost) = said.strip_prefix("delivered ")?.split_once(" lost ")?;
    Some((delivered.parse().ok()?, lost.parse().ok()?))
}

/// What stands in place of `tc`; `kept` is where the machine's own is.
pub(super) fn script(kept: &str) -> String {
    format!(
        "#!/bin/sh\n\
         # In place of tc, since this kernel has no netem: what the rule leads to {DEVICE} is held there.\n\
         case \"$*\" in\n\
         \"{ADD}\")\n\
         \tif [ -z \"$(ip route show table {TABLE})\" ]; then echo 'tc: nothing holds packets any more' >&2; exit 1; fi\n\
         \texec ip rule add iif lo lookup {TABLE} ;;\n\
         \"{DEL}\") exec ip rule del iif lo lookup {TABLE} ;;\n\
         *netem*) echo \"tc: netem is emulated, and this is not: $*\" >&2; exit 1 ;;\n\
         *) exec {kept} \"$@\" ;;\n\
         esac\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{ADD, DEL, counts, script};
    use std::process::Command;

    /// What the script does with an order: exit code, and what it called. `route` is what `ip route` shows.
    fn check(order: &str, route: &str) -> (Option<i32>, String) {
        let around = format!(
            "ip() {{ [ \"$1\" = route ] && echo '{route}' || echo \"ip $*\"; }}\n\
             kept() {{ echo \"kept $*\"; }}\n{}",
            // Functions stand for the programs, so they are called where programs are executed.
            script("kept").replace("exec ", "")
        );
        let output = Command::new("sh").args(["-c", &around, "tc"]).args(order.split(' ')).output();
        let output = output.expect("there is a shell");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    #[test]
    fn the_script_knows_two_orders_and_refuses_others_about_netem() {
        let route = "10.78.0.0/24 dev tun0";
        assert_eq!(check(ADD, route), (Some(0), "ip rule add iif lo lookup 78".to_owned()));
        assert_eq!(check(DEL, route), (Some(0), "ip rule del iif lo lookup 78".to_owned()));
        assert_eq!(check(ADD, ""), (Some(1), String::new()), "the program is gone");
        for other in [
            "qdisc add dev eth0 root netem delay 200ms 50ms",
            "qdisc add dev eth1 root netem delay 100ms 50ms",
            "qdisc add dev eth0 root netem loss 5%",
        ] {
            assert_eq!(check(other, route), (Some(1), String::new()), "{other}");
        }
        let show = "qdisc show dev eth0";
        assert_eq!(check(show, route), (Some(0), format!("kept {show}")));
    }

    #[test]
    fn counts_are_read() {
        assert_eq!(counts("delivered 12 lost 3"), Some((12, 3)));
        assert_eq!(counts("delivered 12"), None);
    }
}
