//! One cluster under test: namespaces, fabric, controllers, actors. Dropping it removes all of it.

use crate::actors::PORT;
use crate::actors::crew::{Cast, Crew};
use crate::actors::recorder::{Recorder, View};
use crate::brokers::Kit;
use crate::brokers::troupe::{self, Troupe};
use crate::clock;
use crate::draw::Draw;
use crate::fabric::{Fabric, Home};
use crate::faults::plan::Scene;
use crate::ground::controller::{Controller, Plan, is_killed};
use crate::ground::disk::Disk;
use crate::ground::namespace::{self, Namespaces};
use crate::ground::skew::{self, Skew};
use crate::ground::{PREFIX, tool};
use crate::target::Target;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Broker sets if nothing else is wanted.
pub const SETS: u8 = 3;

/// Most broker sets: their brokers have the addresses 10.77.1.1 to 10.77.1.240.
pub const SETS_MAX: u8 = 80;

/// Brokers in each set.
pub(crate) const BROKERS: u8 = 3;

/// Clients.
const WRITERS: u8 = 2;
const READERS: u8 = 2;

/// Size of a disk that can be full or faulty, in bytes.
const DISK_BYTES: usize = 96 * 1_024 * 1_024;

/// Entries by which a controller may be behind the leader and count as back: those of a second or two.
const BEHIND_MAX: u64 = 200;

/// After this nothing is left of what the observer saw before a restart.
const STALE: Duration = Duration::from_millis(500);

/// How often we look while we wait.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Why a cluster is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// They do not all vote, serve and follow one leader.
    Controllers,
    /// Not all live; or, if they are processes, not all are in sync.
    Brokers,
    /// All is there, and the living brokers of this set follow no common master (rule L2).
    Master(String),
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) nodes: u8,
    pub(crate) sets: u8,
    pub(crate) target: Target,
    pub(crate) folder: PathBuf,
    pub(crate) disks: Disks,
    /// Whether the clocks of controllers are to go wrong while they run.
    pub(crate) has_skew: bool,
    /// Another build of the controllers, to be put in their place while the run goes on.
    pub(crate) other_program: Option<PathBuf>,
    /// For Java brokers; without it brokers are actors.
    pub(crate) kit: Option<Kit>,
}

/// What the controllers' data lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disks {
    /// The folder of the run.
    Plain,
    /// A tmpfs that can be full.
    Small,
    /// A disk of ours, which can be full, too.
    Faulty,
}

/// Places where a disk of limited size is mounted; dropping this unmounts them.
#[derive(Debug, Default)]
struct Mounts(Vec<PathBuf>);

impl Drop for Mounts {
    fn drop(&mut self) {
        for place in &self.0 {
            // The next start removes what could not be removed.
            drop(tool(&["umount", &place.display().to_string()]));
        }
    }
}

/// The cluster. The order of the fields is the order in which they go.
#[derive(Debug)]
pub(crate) struct Stand {
    /// Of each controller, if they are ours. First: a controller that hangs cannot end.
    pub(crate) disks: Vec<Disk>,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) crew: Option<Crew>,
    /// The brokers, if they are processes, and their clients.
    pub(crate) troupe: Option<Troupe>,
    pub(crate) fabric: Fabric,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) cast: Cast,
    pub(crate) run: u32,
    pub(crate) folder: PathBuf,
    pub(crate) nodes: Vec<Ipv4Addr>,
    pub(crate) other_program: Option<PathBuf>,
    kit: Option<Kit>,
    _mounts: Mounts,
    _namespaces: Namespaces,
}

impl Stand {
    /// Makes everything and starts the controllers; the actors come later.
    pub(crate) async fn build(
        wanted: &Wanted,
        recorder: Arc<Recorder>,
        draw: &mut Draw,
    ) -> io::Result<Self> {
        let run = std::process::id();
        let nodes: Vec<Ipv4Addr> =
            (1..=wanted.nodes).map(|node| Ipv4Addr::new(10, 77, 0, node)).collect();
        let mut cast = cast(run, &nodes, wanted);
        if wanted.kit.is_some() {
            cast = Cast { sets: vec![troupe::set()], brokers_namespace: None, ..cast };
        }
        let homes = homes(run, &nodes, &cast);
        let mut namespaces = Namespaces::default();
        for home in &homes {
            namespaces.add(&home.namespace)?;
        }
        let fabric = Fabric::start(&homes, draw.fork())?;
        for home in &homes {
            namespace::furnish(home)?;
        }
        let library = wanted.has_skew.then(|| skew::library(&wanted.folder)).transpose()?;
        let (mut mounts, mut disks) = (Mounts::default(), Vec::new());
        let mut controllers = Vec::new();
        for (node, home) in homes.iter().take(nodes.len()).enumerate() {
            let name = format!("n{node}");
            let folder = wanted.folder.join(&name);
            let store = folder.join("store");
            fs::create_dir_all(&store)?;
            match wanted.disks {
                Disks::Plain => {}
                Disks::Small => {
                    let (source, place) = (format!("{PREFIX}{run}"), store.display().to_string());
                    let size = format!("size={DISK_BYTES}");
                    tool(&["mount", "-t", "tmpfs", "-o", &size, &source, &place])?;
                    mounts.0.push(store);
                }
                Disks::Faulty => disks.push(Disk::mount(run, &store, DISK_BYTES)?),
            }
            let arguments = wanted.target.furnish(node, &nodes, &folder)?;
            let skew = library.as_ref().map(|made| Skew::create(made, &folder.join("clock")));
            let mut controller = Controller::new(Plan {
                log: wanted.folder.join(format!("{name}.log")),
                name,
                namespace: home.namespace.clone(),
                kind: wanted.target.kind,
                program: wanted.target.program.clone(),
                arguments,
                home: folder,
            });
            controller.skew = skew.transpose()?;
            controllers.push(controller);
        }
        for controller in &mut controllers {
            controller.start().await?;
        }
        let (_mounts, _namespaces) = (mounts, namespaces);
        Ok(Self {
            disks,
            controllers,
            crew: None,
            troupe: None,
            fabric,
            recorder,
            cast,
            run,
            folder: wanted.folder.clone(),
            nodes,
            other_program: wanted.other_program.clone(),
            kit: wanted.kit.clone(),
            _mounts,
            _namespaces,
        })
    }

    /// Starts brokers, clients and the observer.
    pub(crate) async fn enter_actors(&mut self, draw: &mut Draw) -> io::Result<()> {
        self.crew = Some(Crew::start(&self.cast, &self.recorder, draw)?);
        if let Some(kit) = &self.kit {
            let clients = &self.cast.clients_namespace;
            let troupe = Troupe::start(kit, &self.nodes, self.run, clients, &self.folder);
            self.troupe = Some(troupe.await?);
        }
        Ok(())
    }

    /// Ends a broker at once; whether it ended in time.
    pub(crate) async fn end_broker(&mut self, at: (usize, usize), patience: Duration) -> bool {
        let (set, place) = at;
        match (&mut self.troupe, &self.crew) {
            (Some(troupe), _) => match troupe.brokers.get_mut(place) {
                Some(broker) if broker.signal(Signal::KILL).is_ok() => {
                    broker.await_end(patience).await.is_some_and(is_killed)
                }
                Some(_) | None => false,
            },
            (None, Some(crew)) => crew.end_broker(set, place).await,
            (None, None) => false,
        }
    }

    /// Starts a broker that was ended.
    pub(crate) async fn start_broker(&mut self, (set, place): (usize, usize)) -> io::Result<()> {
        if let Some(broker) = self.troupe.as_mut().and_then(|troupe| troupe.brokers.get_mut(place))
        {
            broker.start().await?;
        } else if let Some(crew) = &self.crew {
            crew.start_broker(set, place).await;
        }
        Ok(())
    }

    /// Where each broker lives, by the name of its set and its id.
    pub(crate) fn addresses(&self) -> BTreeMap<(Box<str>, i64), Ipv4Addr> {
        match (&self.troupe, &self.crew) {
            (Some(troupe), _) => troupe.addresses(),
            (None, Some(crew)) => crew.addresses(&self.cast),
            (None, None) => BTreeMap::new(),
        }
    }

    /// The place of the broker with this id in its set, if it lives.
    fn place(&self, set: usize, id: i64) -> Option<usize> {
        if let Some(troupe) = &self.troupe {
            return troupe.place(id).filter(|place| troupe.lives(*place));
        }
        let crew = self.crew.as_ref()?;
        crew.place(set, id).filter(|place| crew.lives(set, *place))
    }

    /// Whether every broker lives, and, if it is a process, is in sync.
    fn all_brokers_live(&self) -> bool {
        let is_whole = |troupe: &Troupe| {
            self.cast.sets.iter().all(|(set, _)| troupe.is_whole(&self.recorder.members(set)))
        };
        self.crew.as_ref().is_some_and(Crew::all_live) && self.troupe.as_ref().is_none_or(is_whole)
    }

    /// The controller that leads.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.recorder.leader()
    }

    fn controllers_serve(&self) -> bool {
        let all: Option<Vec<View>> = self.recorder.latest().into_iter().collect();
        all.is_some_and(|all| serve(&all))
    }

    /// What is still to come until all is well; `None` if all is.
    pub(crate) fn lacks(&self) -> Option<Lack> {
        if !self.controllers_serve() {
            return Some(Lack::Controllers);
        }
        if !self.all_brokers_live() {
            return Some(Lack::Brokers);
        }
        let set = self.crew.as_ref().and_then(Crew::without_master)?;
        self.cast.sets.get(set).map(|(name, _)| Lack::Master(name.clone()))
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.lacks().is_none()
    }

    /// Where the data of a controller lie.
    pub(crate) fn store(&self, node: usize) -> PathBuf {
        self.folder.join(format!("n{node}")).join("store")
    }

    /// What a plan may know now.
    pub(crate) fn scene(&self, fixed: usize) -> Scene {
        let master = |(set, (name, _)): (usize, &(String, Vec<Ipv4Addr>))| {
            self.place(set, self.recorder.master(name)?)
        };
        Scene {
            controllers: self.nodes.clone(),
            leader: self.leader().unwrap_or(0),
            brokers: self.cast.sets.iter().map(|(_, addresses)| addresses.clone()).collect(),
            masters: self.cast.sets.iter().enumerate().map(master).collect(),
            clients: self.cast.clients(),
            fixed,
            taken: BTreeSet::new(),
            to_come: 0,
            each: None,
        }
    }

    /// Whether these masters, each a set and a place in it, are replaced by others that live.
    pub(crate) fn are_replaced(&self, gone: &[(usize, usize)]) -> bool {
        self.crew.as_ref().is_some_and(|crew| gone.iter().all(|one| crew.is_led_without(*one)))
    }

    /// Waits until all is whole after a restart in the middle of a fault; `false` if it takes longer than `patience`.
    pub(crate) async fn becomes_whole(&mut self, patience: Duration) -> bool {
        tokio::time::sleep(STALE).await;
        self.until(patience, |stand| stand.is_whole()).await
    }

    /// Waits until `is_so`; `false` if it takes longer than `patience`.
    pub(crate) async fn until(
        &mut self,
        patience: Duration,
        mut is_so: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let began = clock::now();
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        while clock::now() - began < patience {
            if is_so(self) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }
}

/// Whether every controller votes, follows one leader, serves, and has what the leader has, but for what is under way:
/// otherwise the next fault would be felt together with the end of this one.
fn serve(all: &[View]) -> bool {
    let mut leaders = all.iter().filter(|view| view.is_leader);
    let (Some(leader), None) = (leaders.next(), leaders.next()) else { return false };
    let serves = |view: &View| {
        view.is_ready
            && view.leader == leader.leader
            && view.applied.saturating_add(BEHIND_MAX) >= leader.applied
    };
    all.iter().all(serves)
}

fn cast(run: u32, nodes: &[Ipv4Addr], wanted: &Wanted) -> Cast {
    let client = |number| Ipv4Addr::new(10, 77, 2, number);
    let set = |set: u8| {
        let broker = |broker| Ipv4Addr::new(10, 77, 1, set * BROKERS + broker + 1);
        (format!("set-{set}"), (0..BROKERS).map(broker).collect())
    };
    Cast {
        kind: wanted.target.kind,
        controllers: nodes.iter().map(|node| SocketAddr::from((*node, PORT))).collect(),
        sets: (0..wanted.sets).map(set).collect(),
        writers: (1..=WRITERS).map(client).collect(),
        readers: (WRITERS + 1..=WRITERS + READERS).map(client).collect(),
        operator: client(249),
        observer: client(250),
        brokers_namespace: Some(namespace::name(run, "brokers")),
        clients_namespace: namespace::name(run, "clients"),
    }
}

/// Controllers first, in their order.
fn homes(run: u32, nodes: &[Ipv4Addr], cast: &Cast) -> Vec<Home> {
    let node = |(number, address): (usize, &Ipv4Addr)| Home {
        namespace: namespace::name(run, &format!("n{number}")),
        addresses: vec![*address],
    };
    let mut homes: Vec<Home> = nodes.iter().enumerate().map(node).collect();
    match cast.brokers_namespace.clone() {
        Some(namespace) => homes.push(Home {
            namespace,
            addresses: cast.sets.iter().flat_map(|(_, addresses)| addresses).copied().collect(),
        }),
        None => homes.extend(troupe::homes(run)),
    }
    let others = [&cast.operator, &cast.observer];
    let clients = cast.writers.iter().chain(&cast.readers).chain(others);
    homes.push(Home {
        namespace: cast.clients_namespace.clone(),
        addresses: clients.copied().collect(),
    });
    homes
}

#[cfg(test)]
mod tests {
    use super::{BEHIND_MAX, serve};
    use crate::actors::recorder::View;

    #[test]
    fn a_controller_that_is_behind_is_not_back() {
        let view = |is_leader, applied| View {
            is_leader,
            is_ready: true,
            leader: "n0".to_owned(),
            applied,
            ..View::default()
        };
        let at = |applied| serve(&[view(true, 1_000), view(false, 1_000), view(false, applied)]);
        assert!(at(1_000 - BEHIND_MAX) && at(1_003), "what is under way");
        assert!(!at(999 - BEHIND_MAX), "it has to catch up");
        assert!(!serve(&[view(false, 1), view(false, 1)]), "nobody leads");
        assert!(!serve(&[view(true, 1), view(true, 1)]), "two lead");
        let elsewhere = View { leader: "n1".to_owned(), ..view(false, 1_000) };
        assert!(!serve(&[view(true, 1_000), elsewhere]), "it follows another");
        // Upstream's do not say what they applied.
        assert!(serve(&[view(true, 0), view(false, 0)]));
    }
}
