//! The processes of a round: one name server, three controllers, three brokers, by index.

use super::process::Process;
use super::report::{Failure, Outcome};
use super::setup::{BROKER_SET, CLUSTER, Setup};

/// What the suite starts and kills.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) setup: Setup,
    namesrv: Option<Process>,
    controllers: [Option<Process>; 3],
    brokers: [Option<Process>; 3],
}

impl Cluster {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            namesrv: None,
            controllers: [const { None }; 3],
            brokers: [const { None }; 3],
        }
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
        let id = text.trim().strip_prefix(&format!("{CLUSTER}#{BROKER_SET}#"));
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

    /// Which running controllers there are.
    pub(super) fn live_controllers(&self) -> Vec<usize> {
        let live = self.controllers.iter().enumerate();
        live.filter(|(_, process)| process.is_some()).map(|(index, _)| index).collect()
    }

    /// An error if a process that was not killed has ended.
    pub(super) fn check(&mut self) -> Outcome<()> {
        let brokers = self.brokers.iter_mut();
        let mut all =
            self.namesrv.iter_mut().chain(self.controllers.iter_mut().chain(brokers).flatten());
        all.try_for_each(Process::check)
    }
}

fn slot(slots: &mut [Option<Process>; 3], index: usize) -> Outcome<&mut Option<Process>> {
    slots.get_mut(index).ok_or_else(|| Failure(format!("there is no number {index}")))
}
