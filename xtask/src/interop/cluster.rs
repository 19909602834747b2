//! The processes of a round: one name server, three controllers, three to six brokers, by index; and the relays
//! between them.

use super::ports::BROKERS_MAX;
use super::process::Process;
use super::relay::Relay;
use super::report::{Failure, Outcome};
use super::setup::{CLUSTER, Play, Setup};
use std::net::SocketAddr;
use std::time::Duration;

/// A broker that is asked to end says goodbye to everybody first.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Controllers have the number of their rank, from 1, in the hello of their links.
const FIRST_PEER: u64 = 1;

/// What the suite starts and kills.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) setup: Setup,
    namesrv: Option<Process>,
    controllers: [Option<Process>; 3],
    /// Controllers that stand still or are cut off, and so are not asked how things are.
    absent: [bool; 3],
    brokers: [Option<Process>; BROKERS_MAX],
    /// What the first brokers send to others passes here, where that is wanted.
    outgoing: Vec<Relay>,
    /// Each controller's links from the others, if they are to be cut.
    links: Vec<Relay>,
}

impl Cluster {
    /// Nothing runs yet but the relays; the first `relayed` brokers have one each.
    ///
    /// # Errors
    /// A relay finds no port.
    pub(super) fn new(mut setup: Setup, relayed: usize) -> Outcome<Self> {
        let outgoing: Vec<Relay> = (0..relayed).map(|_| Relay::socks()).collect::<Outcome<_>>()?;
        setup.relays = outgoing.iter().map(Relay::port).collect();
        let mut links = Vec::new();
        if setup.play == Play::Spread {
            let host = setup.controller_host();
            for port in setup.ports.links {
                links.push(Relay::link(port, SocketAddr::from((host, port)))?);
            }
        }
        Ok(Self {
            setup,
            namesrv: None,
            controllers: [const { None }; 3],
            absent: [false; 3],
            brokers: [const { None }; BROKERS_MAX],
            outgoing,
            links,
        })
    }

    pub(super) fn start_namesrv(&mut self) -> Outcome<()> {
        let home = self.setup.home("namesrv")?;
        let command = self.setup.namesrv(&home)?;
        self.namesrv = Some(Process::start("namesrv", command, &home.join("out.log"))?);
        Ok(())
    }

    pub(super) fn start_controller(&mut self, index: usize) -> Outcome<()> {
        let name = format!("controller-{index}");
        let home = self.setup.home(&name)?;
        let command = self.setup.controller(index, &home)?;
        let process = Process::start(&name, command, &home.join("out.log"))?;
        *slot(&mut self.controllers, index)? = Some(process);
        Ok(())
    }

    pub(super) fn start_broker(&mut self, index: usize) -> Outcome<()> {
        let name = format!("broker-{index}");
        let home = self.setup.home(&name)?;
        let command = self.setup.broker(index, &home)?;
        let process = Process::start(&name, command, &home.join("out.log"))?;
        *slot(&mut self.brokers, index)? = Some(process);
        Ok(())
    }

    pub(super) fn kill_controller(&mut self, index: usize) -> Outcome<()> {
        slot(&mut self.controllers, index)?.take().into_iter().for_each(Process::kill);
        Ok(())
    }

    pub(super) fn kill_broker(&mut self, index: usize) -> Outcome<()> {
        slot(&mut self.brokers, index)?.take().into_iter().for_each(Process::kill);
        Ok(())
    }

    /// Asks a controller to end and waits until it has.
    pub(super) fn stop_controller(&mut self, index: usize) -> Outcome<()> {
        let Some(process) = slot(&mut self.controllers, index)?.take() else { return Ok(()) };
        process.terminate()?;
        process.end_of(END_LIMIT)
    }

    /// Asks a broker to end; gives the process, which goes on until it has.
    pub(super) fn ask_broker_to_end(&mut self, index: usize) -> Outcome<Process> {
        let process = slot(&mut self.brokers, index)?.take();
        let process = process.ok_or_else(|| Failure(format!("broker {index} does not run")))?;
        process.terminate()?;
        Ok(process)
    }

    /// Lets a controller stand still, or go on.
    pub(super) fn freeze_controller(&mut self, index: usize, is_frozen: bool) -> Outcome<()> {
        let Some(process) = slot(&mut self.controllers, index)? else {
            return Err(Failure(format!("controller {index} does not run")));
        };
        process.freeze(is_frozen)?;
        self.set_absent(index, is_frozen);
        Ok(())
    }

    fn set_absent(&mut self, index: usize, is_absent: bool) {
        self.absent.iter_mut().skip(index).take(1).for_each(|absent| *absent = is_absent);
    }

    /// Lets a broker stand still, or go on.
    pub(super) fn freeze_broker(&mut self, index: usize, is_frozen: bool) -> Outcome<()> {
        match slot(&mut self.brokers, index)? {
            Some(process) => process.freeze(is_frozen),
            None => Err(Failure(format!("broker {index} does not run"))),
        }
    }

    /// Resets all connections of a broker to the controllers; gives their number.
    pub(super) fn reset_broker(&self, index: usize) -> Outcome<usize> {
        let relay = self.outgoing.get(index);
        let relay = relay.ok_or_else(|| Failure(format!("broker {index} has no relay")))?;
        Ok(relay.reset(&self.setup.ports.controllers))
    }

    /// Cuts a follower off from the leader, in both directions, or heals the cut; gives the number of links that it
    /// concerns.
    pub(super) fn cut(&mut self, follower: usize, leader: usize, is_cut: bool) -> usize {
        self.set_absent(follower, is_cut);
        let ways = [(follower, leader), (leader, follower)];
        let concerned = ways.into_iter().filter_map(|(to, from)| {
            let relay = self.links.get(to)?;
            let from = u64::try_from(from).ok()? + FIRST_PEER;
            if is_cut {
                relay.hold(from);
            } else {
                relay.release(from);
            }
            Some(relay.links_of(from))
        });
        concerned.sum()
    }

    /// Takes all data of a broker that is not running, its identity included.
    pub(super) fn wipe_broker(&mut self, index: usize) -> Outcome<()> {
        let store = self.setup.home(&format!("broker-{index}"))?.join("store");
        std::fs::remove_dir_all(&store).map_err(Failure::while_doing(store.display()))
    }

    /// The id in the broker's own identity file, `cluster#set#id`; none before it was given one.
    pub(super) fn identity(&self, index: usize) -> Outcome<Option<i64>> {
        let file =
            self.setup.home(&format!("broker-{index}"))?.join("store").join("brokerIdentity");
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
        let set = self.setup.broker_set(index);
        let id = text.trim().strip_prefix(&format!("{CLUSTER}#{set}#"));
        let id = id.and_then(|id| id.parse().ok());
        id.map(Some).ok_or_else(|| Failure(format!("{} holds {text:?}", file.display())))
    }

    /// An error if a broker did not say that it writes headers as this round wants.
    pub(super) fn check_serialization(&self, index: usize) -> Outcome<()> {
        let log = self.setup.home(&format!("broker-{index}"))?.join("out.log");
        let text = std::fs::read_to_string(&log).map_err(Failure::while_doing(log.display()))?;
        let wanted = format!("serializeType={}", self.setup.serialization.name());
        let said = text.lines().any(|line| line.contains("boot success") && line.contains(&wanted));
        said.then_some(()).ok_or_else(|| Failure(format!("no {wanted} in {}", log.display())))
    }

    /// Whether a broker has heard of a topic: followers copy the list from their master now and then.
    pub(super) fn knows_topic(&self, index: usize, topic: &str) -> Outcome<bool> {
        let store = self.setup.home(&format!("broker-{index}"))?.join("store");
        let list = std::fs::read_to_string(store.join("config").join("topics.json"));
        Ok(list.is_ok_and(|list| list.contains(&format!("\"{topic}\""))))
    }

    /// Which controllers run, and neither stand still nor are cut off.
    pub(super) fn live_controllers(&self) -> Vec<usize> {
        let all = self.controllers.iter().zip(self.absent).enumerate();
        let live = all.filter(|(_, (process, is_absent))| process.is_some() && !is_absent);
        live.map(|(index, _)| index).collect()
    }

    /// An error if a process that was not killed has ended.
    pub(super) fn check(&mut self) -> Outcome<()> {
        let brokers = self.brokers.iter_mut();
        let mut all =
            self.namesrv.iter_mut().chain(self.controllers.iter_mut().chain(brokers).flatten());
        all.try_for_each(Process::check)
    }
}

fn slot(slots: &mut [Option<Process>], index: usize) -> Outcome<&mut Option<Process>> {
    slots.get_mut(index).ok_or_else(|| Failure(format!("there is no number {index}")))
}
