//! The two threads of actors, each in its own network namespace, and the orders that the run gives them.

use super::broker::{self, Broker, Identity};
use super::clients;
use super::lines::Lines;
use super::observer;
use super::operator::{self, Operator};
use super::recorder::Recorder;
use crate::draw::Draw;
use crate::ground::namespace;
use crate::target::Kind;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// Orders that may wait for the thread that carries them out.
const ORDERS_MAX: usize = 64;

/// The first client number of brokers; clients have smaller ones.
pub(crate) const BROKERS_FROM: u32 = 100;

/// Who takes part.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    /// Of the controllers: what may be asked of them.
    pub(crate) kind: Kind,
    pub(crate) controllers: Vec<SocketAddr>,
    /// Broker sets with the addresses of their brokers.
    pub(crate) sets: Vec<(String, Vec<Ipv4Addr>)>,
    pub(crate) writers: Vec<Ipv4Addr>,
    pub(crate) readers: Vec<Ipv4Addr>,
    pub(crate) operator: Ipv4Addr,
    pub(crate) observer: Ipv4Addr,
    /// Where brokers that are actors live; none if the brokers are processes.
    pub(crate) brokers_namespace: Option<String>,
    pub(crate) clients_namespace: String,
}

impl Cast {
    /// Whether the operator takes part: see [`operator`].
    fn is_operated(&self) -> bool {
        self.kind.is_ours() && self.brokers_namespace.is_some()
    }

    /// All whom a fault of the network may name as clients: everybody who is neither controller, broker nor observer.
    pub(crate) fn clients(&self) -> Vec<Ipv4Addr> {
        let operator = self.is_operated().then_some(&self.operator);
        self.writers.iter().chain(&self.readers).chain(operator).copied().collect()
    }
}

/// What the run may ask for.
enum Order {
    /// Start this broker (set, place).
    Start(usize, usize),
    /// End it; told when its sockets are closed.
    End(usize, usize, oneshot::Sender<()>),
    /// End all of this thread's actors; told when they ended.
    Stop(oneshot::Sender<()>),
}

/// All actors.
#[derive(Debug)]
pub(crate) struct Crew {
    brokers: mpsc::Sender<Order>,
    clients: mpsc::Sender<Order>,
    identities: Vec<Arc<[Identity]>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Starts all actors.
    pub(crate) fn start(
        cast: &Cast,
        recorder: &Arc<Recorder>,
        draw: &mut Draw,
    ) -> io::Result<Self> {
        let sets: &[_] = if cast.brokers_namespace.is_some() { &cast.sets } else { &[] };
        let identities: Vec<Arc<[Identity]>> = (sets.iter())
            .map(|(_, addresses)| addresses.iter().map(|_| Identity::default()).collect())
            .collect();
        let (brokers, broker_orders) = mpsc::channel(ORDERS_MAX);
        let (clients, client_orders) = mpsc::channel(ORDERS_MAX);
        let stage = BrokerStage {
            cast: Cast { sets: sets.to_vec(), ..cast.clone() },
            recorder: Arc::clone(recorder),
            identities: identities.clone(),
            draw: draw.fork(),
            living: BTreeMap::new(),
        };
        let brokers_namespace = cast.brokers_namespace.as_ref().unwrap_or(&cast.clients_namespace);
        let of_brokers = thread("brokers", brokers_namespace, move || stage.run(broker_orders))?;
        let (cast, recorder, draw) = (cast.clone(), Arc::clone(recorder), draw.fork());
        let namespace = cast.clients_namespace.clone();
        let of_clients = thread("clients", &namespace, move || {
            run_clients(cast, recorder, draw, client_orders)
        })?;
        Ok(Self { brokers, clients, identities, threads: vec![of_brokers, of_clients] })
    }

    /// The place of the broker with this id in its set.
    pub(crate) fn place(&self, set: usize, id: i64) -> Option<usize> {
        let of_set = self.identities.get(set)?;
        of_set.iter().position(|one| id != 0 && one.id.load(Ordering::Relaxed) == id)
    }

    /// Where the broker with an id lives.
    pub(crate) fn addresses(&self, cast: &Cast) -> BTreeMap<(Box<str>, i64), Ipv4Addr> {
        let mut known = BTreeMap::new();
        for (of_set, (name, addresses)) in self.identities.iter().zip(&cast.sets) {
            for (one, address) in of_set.iter().zip(addresses) {
                let id = one.id.load(Ordering::Relaxed);
                known.insert((Box::from(name.as_str()), id), *address);
            }
        }
        known
    }

    /// Whether a broker has registered and lives.
    pub(crate) fn lives(&self, set: usize, place: usize) -> bool {
        self.identities[set][place].is_alive.load(Ordering::Relaxed)
    }

    /// Whether all brokers do.
    pub(crate) fn all_live(&self) -> bool {
        self.identities
            .iter()
            .flat_map(|of_set| of_set.iter())
            .all(|one| one.is_alive.load(Ordering::Relaxed))
    }

    /// The first broker set whose living brokers do not all follow one of them.
    pub(crate) fn without_master(&self) -> Option<usize> {
        self.identities.iter().position(|of_set| !broker::follow_one(of_set, None))
    }

    /// Whether the brokers of a set follow another than the one at this place.
    pub(crate) fn is_led_without(&self, (set, gone): (usize, usize)) -> bool {
        self.identities.get(set).is_some_and(|of_set| broker::follow_one(of_set, Some(gone)))
    }

    pub(crate) async fn start_broker(&self, set: usize, place: usize) {
        // The thread is gone if this fails; then nothing can be asked of it.
        drop(self.brokers.send(Order::Start(set, place)).await);
    }

    /// Ends a broker; returns when its sockets are closed.
    pub(crate) async fn end_broker(&self, set: usize, place: usize) -> bool {
        let (done, is_done) = oneshot::channel();
        self.brokers.send(Order::End(set, place, done)).await.is_ok() && is_done.await.is_ok()
    }

    /// Ends clients and brokers, so that nothing is asked any more. The observer goes on.
    pub(crate) async fn stop(&self) {
        for orders in [&self.clients, &self.brokers] {
            let (done, is_done) = oneshot::channel();
            if orders.send(Order::Stop(done)).await.is_ok() {
                // A thread that ended is silent too.
                drop(is_done.await);
            }
        }
    }

    /// Ends the threads.
    pub(crate) fn end(self) {
        drop((self.brokers, self.clients));
        for thread in self.threads {
            // It panicked if this fails, and has said so.
            drop(thread.join());
        }
    }
}

/// A thread with a runtime of its own, inside a namespace.
pub(crate) fn thread<F, T>(name: &str, inside: &str, body: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Future<Output = ()>,
{
    let inside = inside.to_owned();
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let entered = namespace::enter(&inside)
            .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
        match entered {
            Ok(runtime) => {
                // The starter waits for this one message.
                drop(ready.send(Ok(())));
                runtime.block_on(body());
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("a thread of actors died")))?;
    Ok(thread)
}

/// The brokers' thread.
struct BrokerStage {
    cast: Cast,
    recorder: Arc<Recorder>,
    identities: Vec<Arc<[Identity]>>,
    draw: Draw,
    living: BTreeMap<(usize, usize), AbortHandle>,
}

impl BrokerStage {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut tasks = JoinSet::new();
        for set in 0..self.cast.sets.len() {
            for place in 0..self.cast.sets[set].1.len() {
                self.begin(set, place, &mut tasks);
            }
        }
        while let Some(order) = orders.recv().await {
            match order {
                Order::Start(set, place) => self.begin(set, place, &mut tasks),
                Order::End(set, place, done) => {
                    self.identities[set][place].is_alive.store(false, Ordering::Relaxed);
                    if let Some(living) = self.living.remove(&(set, place)) {
                        end(&living).await;
                    }
                    // The run has given up waiting if this fails.
                    done.send(()).ok();
                }
                Order::Stop(done) => {
                    tasks.shutdown().await;
                    done.send(()).ok();
                }
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    fn begin(&mut self, set: usize, place: usize, tasks: &mut JoinSet<()>) {
        let (name, addresses) = &self.cast.sets[set];
        let number = u32::try_from(set * 10 + place).unwrap_or_default();
        let who = (BROKERS_FROM + number, addresses[place]);
        let lines = Lines::new(who, &self.cast.controllers, broker::PATIENCE, &self.recorder);
        let broker = Broker {
            set: name.clone(),
            address: addresses[place],
            lines: Arc::new(lines),
            identities: Arc::clone(&self.identities[set]),
            me: place,
            draw: self.draw.fork(),
        };
        self.living.insert((set, place), tasks.spawn(broker::live(broker)));
    }
}

async fn run_clients(
    cast: Cast,
    recorder: Arc<Recorder>,
    mut draw: Draw,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut tasks = JoinSet::new();
    let lines = |who| Arc::new(Lines::new(who, &cast.controllers, clients::PATIENCE, &recorder));
    let sets: Arc<[String]> = cast.sets.iter().map(|(name, _)| name.clone()).collect();
    let mut number = 0;
    for from in &cast.writers {
        tasks.spawn(clients::write(lines((number, *from)), draw.fork()));
        number += 1;
    }
    for from in &cast.readers {
        tasks.spawn(clients::read(lines((number, *from)), Arc::clone(&sets), draw.fork()));
        number += 1;
    }
    if cast.is_operated() {
        let (from, controllers) = (cast.operator, cast.controllers.clone());
        let operator = Operator { from, controllers, recorder: Arc::clone(&recorder) };
        tasks.spawn(operator::operate(operator, draw.fork()));
    }
    let mut observing = JoinSet::new();
    observing.spawn(observer::observe(lines((number, cast.observer)), cast.kind));
    while let Some(order) = orders.recv().await {
        match order {
            Order::Start(..) => {}
            Order::End(_, _, done) | Order::Stop(done) => {
                tasks.shutdown().await;
                done.send(()).ok();
            }
        }
    }
}

/// Ends a task; returns when it has let go of everything.
async fn end(task: &AbortHandle) {
    task.abort();
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}

/// Runs `work` to its end on a thread inside a namespace. Dropping this ends the work, too: an interrupted run waits
/// for nobody.
///
/// # Errors
/// That thread could not be, or died.
pub(crate) async fn inside<T, F>(namespace: &str, work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (done, result) = oneshot::channel();
    let thread = thread("asker", namespace, || while_awaited(done, work))?;
    let result = result.await.map_err(|_closed| io::Error::other("the asker's thread died"));
    drop(thread.join());
    result
}

/// Does the work, and tells; gives it up once nobody waits to be told.
async fn while_awaited<T>(mut done: oneshot::Sender<T>, work: impl Future<Output = T>) {
    let result = tokio::select! {
        result = work => result,
        () = done.closed() => return,
    };
    // Who stops waiting at this very moment misses nothing.
    done.send(result).ok();
}

#[cfg(test)]
mod tests {
    use super::{Cast, inside, while_awaited};
    use crate::target::Kind;
    use std::net::Ipv4Addr;
    use tokio::sync::oneshot;

    #[test]
    fn nobody_operates_what_is_upstreams() {
        let operates = |kind, brokers_namespace: Option<&str>| {
            let somebody = |last| Ipv4Addr::new(10, 77, 2, last);
            let cast = Cast {
                kind,
                controllers: Vec::new(),
                sets: Vec::new(),
                writers: vec![somebody(1)],
                readers: vec![somebody(2)],
                operator: somebody(3),
                observer: somebody(4),
                brokers_namespace: brokers_namespace.map(str::to_owned),
                clients_namespace: String::new(),
            };
            let clients: &[_] = &[somebody(1), somebody(2), somebody(3)];
            assert_eq!(cast.clients(), clients[..2 + usize::from(cast.is_operated())]);
            cast.is_operated()
        };
        assert!(operates(Kind::Pitchover, Some("brokers")));
        assert!(!operates(Kind::Pitchover, None), "Java brokers");
        assert!(!operates(Kind::JavaDledger, Some("brokers")));
        assert!(!operates(Kind::JavaJraft, Some("brokers")));
    }

    #[tokio::test]
    async fn who_cannot_ask_says_so() {
        let refused = inside("pitchover-0-nowhere", async { 7 }).await;
        assert!(refused.is_err(), "{refused:?}");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_given_up() {
        let (done, result) = oneshot::channel();
        while_awaited(done, async { 7 }).await;
        assert_eq!(result.await, Ok(7));
        let (done, result) = oneshot::channel::<()>();
        drop(result);
        while_awaited(done, std::future::pending()).await;
    }
}
