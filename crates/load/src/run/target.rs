//! What a run asks: controllers of our own, or whoever answers at an address.
//!
//! An address is asked before anything is sent to it: whoever does not answer as it should is named,
//! with what it said.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::{Cluster, Deadline};
use measure::folder::{Durability, TargetKind};
use protocol::Request;

use super::{Progress, RunError, Setup, kills_controllers};
use crate::generator::broker::Stencil;
use crate::generator::founding;
use crate::generator::plan::{Plan, View};
use crate::generator::slot::OPAQUE_FIRST;
use crate::generator::wire::{answer_bytes, append_get};
use crate::ground::{self, LEADER};
use crate::inspect::{self, Status};
use crate::own_cluster::{self, OwnCluster};
use crate::process::Process;
use crate::subject::Said;
use crate::workload::{Class, Wire, Workload};

/// How long an address may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// How long the sets may take to be looked at when the load is over; longer than a group takes to replace its leader.
const LAST_LOOK: Duration = Duration::from_secs(20);

/// How much of an answer is read, and how much of it is repeated.
const ANSWER_BYTES: usize = 4_096;
const REPEATED_CHARS: usize = 60;

/// What a run asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// What the workload names; three controllers of our own if it names nothing.
    OfWorkload,
    /// These addresses, `host:port`.
    Addresses(Vec<String>),
    /// So many controllers of our own, ended with the run.
    Spawn(usize),
}

/// An address that does not answer as it should.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{address} is not a {expected}: {why}")]
pub struct NotATarget {
    /// Which address.
    pub address: String,
    /// What it should be.
    pub expected: &'static str,
    /// What it did instead.
    pub why: String,
}

/// The target of a run, ready to be asked.
pub(crate) struct Stage {
    pub(crate) program: PathBuf,
    pub(crate) own: Option<OwnCluster>,
    pub(crate) addresses: Vec<String>,
    pub(crate) wire: Wire,
    /// What the target says of itself, and what the workload claims of it.
    pub(crate) said: Said,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(crate) fn begin(
        workload: &Workload,
        setup: &Setup,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<Self, RunError> {
        let program = ground::program(setup.program.as_deref())?;
        let own = spawned(workload, &setup.target).map(|peers| {
            progress(Progress::Doing(format!("starting {peers} controllers")));
            let mut own = own_cluster::Setup::temporary(program.clone());
            own.data = setup.data.clone();
            own.ports =
                own_cluster::free_ports(peers).map_err(ground::io("starting controllers"))?;
            ground::start(&own)
        });
        let own = own.transpose()?;
        if own.is_none() && kills_controllers(workload) {
            let why = "only controllers that the run started itself are killed: use --spawn";
            return Err(RunError::Options(why.to_owned()));
        }
        let addresses = match (&own, &setup.target) {
            (Some(own), _) => own.addresses().to_vec(),
            (None, Target::Addresses(addresses)) => addresses.clone(),
            (None, Target::OfWorkload | Target::Spawn(_)) => workload.target.controllers.clone(),
        };
        let wire = workload.target.kind;
        if addresses.is_empty() {
            let why = format!("a workload for {} needs --target host:port", wire.name());
            return Err(RunError::Options(why));
        }
        let mut stage = Self {
            program,
            own,
            addresses,
            wire,
            said: Said { kind: kind_of(wire), ..Said::default() },
            runtime: ground::runtime()?,
        };
        stage.look()?;
        stage.judge_durability(workload, setup.subject.durability)?;
        Ok(stage)
    }

    /// Whether everybody answers, and who it is.
    fn look(&mut self) -> Result<(), RunError> {
        if self.wire == Wire::Controller {
            if self.own.is_none() {
                self.addresses.iter().try_for_each(|address| probe(self.wire, address))?;
            }
            let cluster = Cluster::new(self.addresses.iter().cloned());
            let leader = self.runtime.block_on(cluster.leader(Deadline::after(LEADER)));
            leader.map_err(|error| {
                let logs = self.own.as_ref().map(OwnCluster::logs).unwrap_or_default();
                RunError::Options(format!("no leader: {error}\n{logs}"))
            })?;
            if let Some(status) = self.statuses().into_iter().flatten().next() {
                self.said = Said::by(Some(&status));
            }
            return Ok(());
        }
        self.addresses.iter().try_for_each(|address| probe(self.wire, address))?;
        Ok(())
    }

    /// What the target says wins; where it says nothing the file or the caller may; they must not
    /// differ.
    fn judge_durability(
        &mut self,
        workload: &Workload,
        told: Option<Durability>,
    ) -> Result<(), RunError> {
        let claimed = match workload.target.durability {
            Some(Class::Fsync) => Some(Durability::Fsync),
            Some(Class::Async) => Some(Durability::Async),
            None => None,
        };
        for claimed in claimed.into_iter().chain(told) {
            let reported = &mut self.said.durability;
            if *reported == Durability::Unknown {
                *reported = claimed;
            }
            if *reported == claimed {
                continue;
            }
            let why = format!("durability is said to be {claimed:?}, but also {reported:?}");
            return Err(RunError::Options(why));
        }
        Ok(())
    }

    /// What each controller says of itself; nothing from those that are not ours.
    pub(super) fn statuses(&self) -> Vec<Option<Status>> {
        self.runtime.block_on(async {
            let mut all = Vec::with_capacity(self.addresses.len());
            for address in &self.addresses {
                all.push(Status::of(address).await);
            }
            all
        })
    }

    /// Each node's name with its metrics page, as far as it has one.
    pub(crate) fn metrics(&self) -> Vec<(String, String)> {
        if self.said.kind != TargetKind::Pitchover {
            return Vec::new();
        }
        let statuses = self.statuses();
        self.runtime.block_on(async {
            let mut pages = Vec::new();
            for (node, status) in statuses.iter().enumerate() {
                let Some(status) = status else { continue };
                let page = inspect::metrics(status).await;
                pages.extend(page.map(|page| (format!("n{node}"), page)));
            }
            pages
        })
    }

    /// Brokers that all controllers have taken for dead so far, together; nothing if one of them does not say.
    pub(super) fn expired(&self) -> Option<u64> {
        self.runtime.block_on(async {
            let mut all = 0;
            for address in &self.addresses {
                let page = inspect::metrics(&Status::of(address).await?).await?;
                all += inspect::expired_in(&page).into_values().sum::<u64>();
            }
            Some(all)
        })
    }

    /// What all sets of a plan are when the load is over, by the leader. It takes [`LAST_LOOK`] at most.
    ///
    /// # Errors
    /// A text that says who was asked for what, and what came instead.
    pub(super) fn last_views(&self, plan: &Plan) -> Result<Vec<View>, String> {
        let cluster = cluster(&self.addresses);
        let looking = founding::views(plan, &cluster);
        let looked =
            self.runtime.block_on(async { tokio::time::timeout(LAST_LOOK, looking).await });
        let (seconds, sets) = (LAST_LOOK.as_secs(), plan.sets);
        let late = |_elapsed| {
            format!(
                "the target did not say within {seconds} s (LAST_LOOK) what all {sets} broker sets are: has it a leader?"
            )
        };
        looked.map_err(late)?.map_err(|error| error.to_string())
    }

    /// Removes the broker sets of a plan from controllers that are not ours, and says so; nobody may play them any more.
    pub(crate) fn leave(&self, plan: &Plan, mut say: impl FnMut(&str)) {
        if self.own.is_some() || plan.sets == 0 {
            return;
        }
        say("removing the run's broker sets");
        let cluster = cluster(&self.addresses);
        if let Err(error) = self.runtime.block_on(founding::remove_all(plan, &cluster)) {
            say(&format!("some stay behind: {error}"));
        }
    }

    /// Each node's process, as far as it is on this host.
    pub(crate) fn processes(&self) -> Vec<Option<Process>> {
        if let Some(own) = &self.own {
            // A port does not find one that has only just been started.
            return (0..self.addresses.len())
                .map(|node| Some(Process { pid: own.pid(node) }))
                .collect();
        }
        let port = |address: &String| address.rsplit_once(':')?.1.parse().ok();
        let is_here = |address: &&String| {
            let mut found = address.to_socket_addrs().into_iter().flatten();
            found.any(|found| found.ip().is_loopback())
        };
        let process = |address: &String| {
            Some(address).filter(is_here).and_then(port).and_then(Process::listening_on)
        };
        self.addresses.iter().map(process).collect()
    }

    /// Where the servers keep their data, if this run knows.
    pub(super) fn data_folder(&self) -> Option<&Path> {
        self.own.as_ref().map(OwnCluster::folder)
    }
}

/// How many controllers of our own the run starts.
fn spawned(workload: &Workload, target: &Target) -> Option<usize> {
    const PEERS: usize = 3;
    if workload.target.kind != Wire::Controller {
        return None;
    }
    match target {
        Target::Spawn(peers) => Some(*peers),
        Target::Addresses(_) => None,
        Target::OfWorkload => match (workload.target.spawn, workload.target.controllers.len()) {
            (Some(spawn), _) => Some(spawn.peers),
            (None, 0) => Some(PEERS),
            (None, _) => None,
        },
    }
}

fn kind_of(wire: Wire) -> TargetKind {
    match wire {
        Wire::Controller => TargetKind::Unknown,
        Wire::SelfTest => TargetKind::SelfTest,
        Wire::Redis => TargetKind::Redis,
        Wire::Memcached | Wire::MemcachedMeta => TargetKind::Memcached,
        Wire::Etcd => TargetKind::Etcd,
    }
}

/// Asks an address one harmless question.
fn probe(wire: Wire, address: &str) -> Result<(), NotATarget> {
    let expected = match wire {
        Wire::Controller | Wire::SelfTest => "controller",
        Wire::Redis => "Redis server",
        Wire::Memcached | Wire::MemcachedMeta => "Memcached server",
        Wire::Etcd => "etcd server",
    };
    let failed = |why: String| NotATarget { address: address.to_owned(), expected, why };
    let stream = connect(address).map_err(|error| failed(error.to_string()))?;
    let answer = ask(wire, stream).map_err(|error| failed(error.to_string()))?;
    match answer_bytes(wire, &answer) {
        Ok(Some(_)) => Ok(()),
        Ok(None) if answer.is_empty() => {
            Err(failed("it takes connections, but does not answer".to_owned()))
        }
        Ok(None) | Err(_) => {
            let said = String::from_utf8_lossy(&answer);
            let said: String = said.chars().take(REPEATED_CHARS).collect();
            Err(failed(format!("it answers {said:?}")))
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut found = address.to_socket_addrs()?;
    let first = found.next().ok_or(io::ErrorKind::NotFound)?;
    let stream = TcpStream::connect_timeout(&first, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// What comes back, as far as it came in time.
fn ask(wire: Wire, mut stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut question = Vec::new();
    match wire {
        Wire::Controller | Wire::SelfTest => {
            let stencil = Stencil::two_way(&Request::GetMetadataInfo).map_err(io::Error::other)?;
            stencil.append(OPAQUE_FIRST, &mut question);
        }
        Wire::Redis | Wire::Memcached | Wire::MemcachedMeta | Wire::Etcd => {
            append_get(wire, 0, &mut question);
        }
    }
    stream.write_all(&question)?;
    let mut answer = Vec::new();
    let mut buffer = [0; ANSWER_BYTES];
    while answer.len() < ANSWER_BYTES && matches!(answer_bytes(wire, &answer), Ok(None)) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// The cluster, for those who ask beside the generator.
pub(super) fn cluster(addresses: &[String]) -> Arc<Cluster> {
    Arc::new(Cluster::new(addresses.iter().cloned()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::{Wire, probe};

    /// A server that says `answer` to one client, whatever it is asked.
    fn served(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            assert!(stream.read(&mut asked).unwrap() > 0);
            stream.write_all(answer).unwrap();
        };
        std::thread::Builder::new().spawn(serve).unwrap();
        address
    }

    #[test]
    fn who_is_no_controller_is_named_with_what_it_said() {
        let rows: [(&[u8], &str); 3] = [
            (b"-ERR unknown command\r\n", "it answers \"-ERR unknown command"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers \"HTTP/1.1 400"),
            (b"", "it takes connections, but does not answer"),
        ];
        for (answer, part) in rows {
            let address = served(answer);
            let error = probe(Wire::Controller, &address).unwrap_err().to_string();
            assert!(error.contains("is not a controller") && error.contains(part), "{error}");
        }
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let error = probe(Wire::Redis, &gone).unwrap_err().to_string();
        assert!(error.contains("is not a Redis server: Connection refused"), "{error}");
        assert_eq!(probe(Wire::Redis, &served(b"$-1\r\n")), Ok(()));
    }
}
