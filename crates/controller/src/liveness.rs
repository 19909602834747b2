//! Which brokers this peer believes to be alive.
//!
//! ```text
//! heartbeat ──► heard() ── O(1): moves the deadline, leaves the alarm where it is
//! alarm due ──► ring() ─── past the deadline: dead; not heard for 3 s: silent, to a leader; else: set the alarm anew
//! ```
//!
//! Every broker has one alarm in a heap. A heartbeat only moves the broker's *deadline*; the alarm is looked at
//! when it rings, about every [`SILENCE_MS`] for each broker on the leader, and once in its time-out elsewhere. So a
//! heartbeat costs no heap operation, nothing ever scans all brokers, and expiry is exact to the microsecond at which
//! the core is woken.
//!
//! Invariants: a listed broker stands in `by_set` once, in `by_connection` at most once, and has an alarm that
//! rings at its deadline or before. The table is soft state: never replicated, never in the log (decision 0004).
//! What a death means is decided elsewhere (`elections.rs`); whether a closed connection is one, in `inquiry.rs`.
//!
//! Source: upstream `DefaultBrokerHeartbeatManager`; deviations L1-L7 in `docs/COMPATIBILITY.md`.

use crate::event::ConnectionId;
use crate::instant::Instant;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use alloc::vec::Vec;
use consensus::PeerId;
use core::cmp::Reverse;
use core::ops::Bound;
use protocol::BrokerHeartbeat;
use replicas::{Alive, BrokerId};

/// Brokers in the table; a heartbeat of one more is refused as busy. Three times the largest fleet planned for.
pub const LIVE_BROKERS_MAX: usize = 100_000;

/// Longest time-out a broker may ask for, in ms: one day. More is taken as this.
pub(crate) const HEARTBEAT_TIMEOUT_MS_MAX: i64 = 86_400_000;

/// Time-out of a broker that names none, in ms.
/// Source: upstream `BrokerHeartbeatManager#DEFAULT_BROKER_CHANNEL_EXPIRED_TIME`.
pub(crate) const HEARTBEAT_TIMEOUT_MS_DEFAULT: i64 = 10_000;

/// A broker on an open connection that was not heard for this long, in ms, is asked at its own address.
pub(crate) const SILENCE_MS: u64 = 3_000;

/// Pause before such a broker is asked again, in ms.
pub(crate) const SILENCE_AGAIN_MS: u64 = 1_000;

/// How often a follower tells the leader that it hears a broker, in ms, if the leader asked for it lately or the
/// broker's time-out is too short to wait for a question.
pub(crate) const PASS_ON_MS: u64 = 2_000;

/// The same for all other brokers, in ms: those that the leader hears itself, nearly always.
pub(crate) const PASS_ON_UNASKED_MS: u64 = 10_000;

/// A question of the leader counts so long, in ms. Then silence makes it ask again.
pub(crate) const ASKED_MS: u64 = 60_000;

/// From this time-out on, in ms, the leader notices silence and asks in time.
const ASKABLE_TIMEOUT_MS: i64 = 9_000;

/// What another peer heard counts only if this peer did not hear the broker itself for so long, in ms: half a heartbeat
/// period. So the last sign of a broker is not heard a second time, later, by a detour; the one after it is heard: else a
/// deadline that was shortened meanwhile would pass before the next. For the same reason what came by a detour before
/// does not count here.
pub(crate) const OWN_EAR_MS: u64 = 500;

/// Brokers of one connection that are looked through for the one that was heard; among more, its names find it.
const CONNECTION_SCAN_MAX: usize = 4;

/// Closed connections that are remembered: no heartbeat is so late that so many others close before it.
pub(crate) const CLOSED_MAX: usize = 65_536;

/// Who a broker is, to a controller: names alone, whatever its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerIdentity {
    /// Name of the cluster, empty if the broker named none.
    pub cluster: Box<str>,
    /// Name of the broker set.
    pub set: Box<str>,
    /// Controller id of the broker.
    pub id: i64,
}

/// Place of a broker in the table, good until that broker is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    index: usize,
    generation: u64,
}

/// What this peer knows of one broker.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    pub(crate) identity: BrokerIdentity,
    pub(crate) address: Box<str>,
    pub(crate) epoch: i32,
    pub(crate) max_offset: i64,
    pub(crate) confirm_offset: i64,
    pub(crate) priority: i32,
    pub(crate) timeout_ms: i64,
    /// When it was heard last, here or through another peer.
    pub(crate) heard: Instant,
    /// When this peer itself heard it last.
    pub(crate) heard_here: Option<Instant>,
    /// Alive up to and including this moment.
    pub(crate) deadline: Instant,
    /// The newest connection it was heard on; none once that closed, or if only other peers hear it.
    pub(crate) connection: Option<ConnectionId>,
    /// The leader that was told last that this peer hears the broker, and when.
    passed_on: Option<(PeerId, Instant)>,
    /// When a leader asked last whether this peer hears the broker.
    asked: Option<Instant>,
    alarm: Instant,
    generation: u64,
}

impl Broker {
    /// Whether the leader does not hear it itself, as far as this peer knows.
    fn is_asked(&self, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now.since_ms(asked) < ASKED_MS)
    }
}

/// What a heartbeat changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) slot: Slot,
    /// The broker was not in the table, or its address there was another one.
    pub(crate) is_new_address: bool,
    /// The broker was not in the table.
    pub(crate) is_new: bool,
}

/// What the alarms that rang have to say.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Past their deadlines, earliest first; no longer in the table.
    pub(crate) dead: Vec<Broker>,
    /// Not heard for [`SILENCE_MS`], though not past their deadlines.
    pub(crate) silent: Vec<Slot>,
}

/// The table is at [`LIVE_BROKERS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableFull;

/// The table of live brokers of one peer.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    brokers: Vec<Option<Broker>>,
    free: Vec<usize>,
    by_set: BTreeMap<Box<str>, Vec<usize>>,
    by_connection: BTreeMap<ConnectionId, Vec<usize>>,
    /// Connections that closed, the last [`CLOSED_MAX`] of them.
    closed: BTreeSet<ConnectionId>,
    closed_in_order: VecDeque<ConnectionId>,
    alarms: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    generations: u64,
    /// Nobody expires before this: set after this process was paused itself.
    not_before: Instant,
    /// What is read before this may be as old as that pause.
    stale_until: Instant,
}

impl Liveness {
    /// Takes a heartbeat that came over `connection`, `None` if another peer passed it on.
    ///
    /// On the broker's newest connection it replaces epoch and offsets even by smaller ones, since a truncated
    /// broker must not keep its old rank (upstream defect L7). On an older one only larger values count.
    ///
    /// # Errors
    /// [`TableFull`] if the broker is new and the table full.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        connection: Option<ConnectionId>,
        id: i64,
        beat: &BrokerHeartbeat,
    ) -> Result<Heard, TableFull> {
        let cluster = beat.cluster_name.as_deref().unwrap_or_default();
        let set = beat.broker_name.as_deref().unwrap_or_default();
        let timeout = beat.heartbeat_timeout_ms.unwrap_or(HEARTBEAT_TIMEOUT_MS_DEFAULT);
        let timeout_ms = timeout.min(HEARTBEAT_TIMEOUT_MS_MAX);
        // A time-out of 0 or less means dead at once, as upstream; the moment before `now` is already past.
        let deadline = match u64::try_from(timeout_ms) {
            Ok(timeout_ms) => now.plus_ms(timeout_ms),
            Err(_) => Instant::from_micros(now.as_micros().saturating_sub(1)),
        };
        let here = connection.and_then(|it| self.on_connection(it, cluster, set, id));
        let is_here = connection.is_some();
        // A close may overtake the last heartbeats of its connection. They are heard, but on no connection: it
        // would seem open until the deadline.
        let connection = connection.filter(|it| here.is_some() || !self.closed.contains(it));
        let known = here.or_else(|| self.find(cluster, set, id));
        let is_new = known.is_none();
        let index = match known {
            Some(index) => index,
            None => {
                let identity = BrokerIdentity { cluster: cluster.into(), set: set.into(), id };
                self.insert(now, deadline, identity)?
            }
        };
        let Some(broker) = self.brokers.get_mut(index).and_then(Option::as_mut) else {
            unreachable!("an index from `find` or `insert` is listed")
        };
        let is_newest = is_new || connection >= broker.connection;
        let is_larger = (beat.epoch, beat.max_offset) > (broker.epoch, broker.max_offset);
        if is_newest || is_larger {
            broker.epoch = beat.epoch;
            broker.max_offset = beat.max_offset;
            broker.confirm_offset = beat.confirm_offset;
        }
        broker.priority = beat.election_priority;
        broker.timeout_ms = timeout_ms;
        broker.heard = now;
        if is_here {
            broker.heard_here = Some(now);
        }
        broker.deadline = deadline;
        let address = beat.broker_address.as_deref().unwrap_or_default();
        let is_new_address = is_newest && &*broker.address != address;
        if is_new_address {
            broker.address = address.into();
        }
        let generation = broker.generation;
        let moved = (is_newest && broker.connection != connection).then_some(broker.connection);
        if broker.alarm > deadline {
            broker.alarm = deadline;
            self.alarms.push(Reverse((deadline, index, generation)));
        }
        if let (Some(old), Some(new)) = (moved, connection) {
            self.move_to(index, old, new);
        }
        Ok(Heard { slot: Slot { index, generation }, is_new_address, is_new })
    }

    /// Whether `leader` is to be told that this peer hears the broker.
    ///
    /// A leader hears nearly every broker itself, so it is told rarely, until it asks; but at once if it is new, and
    /// often of a broker whose time-out leaves no time to ask.
    pub(crate) fn must_pass_on(&mut self, now: Instant, slot: Slot, leader: PeerId) -> bool {
        if now < self.stale_until {
            // The leader would take it for what the broker says now.
            return false;
        }
        let Some(broker) = self.brokers.get_mut(slot.index).and_then(Option::as_mut) else {
            return false;
        };
        let pause = if broker.is_asked(now) || broker.timeout_ms < ASKABLE_TIMEOUT_MS {
            u64::try_from(broker.timeout_ms / 3).unwrap_or_default().min(PASS_ON_MS)
        } else {
            PASS_ON_UNASKED_MS
        };
        let is_fresh =
            broker.passed_on.is_some_and(|(told, at)| told == leader && now.since_ms(at) < pause);
        if !is_fresh {
            broker.passed_on = Some((leader, now));
        }
        !is_fresh
    }

    /// The leader asked whether this peer hears the broker: the next heartbeat is passed on however soon it comes, and
    /// for a while those after it now and then.
    pub(crate) fn asked(&mut self, now: Instant, slot: Slot) {
        if let Some(broker) = self.brokers.get_mut(slot.index).and_then(Option::as_mut) {
            broker.passed_on = None;
            broker.asked = Some(now);
        }
    }

    /// The broker that was heard first on `connection`, of those that were heard nowhere else since.
    pub(crate) fn first_on(&self, connection: ConnectionId) -> Option<&BrokerIdentity> {
        let index = self.by_connection.get(&connection)?.first()?;
        let broker = self.brokers.get(*index)?.as_ref()?;
        Some(&broker.identity)
    }

    /// Brokers that reach the leader by way of another peer: on a follower those that the leader asked it for, on the
    /// leader itself those that it hears on no connection of its own.
    pub(crate) fn relayed(&self, now: Instant, (me, leader): (PeerId, PeerId)) -> usize {
        let is_relayed = |broker: &Broker| {
            if me == leader { broker.connection.is_none() } else { broker.is_asked(now) }
        };
        self.iter().filter(|(_, broker)| is_relayed(broker)).count()
    }

    /// Forgets `connection` and returns the brokers whose newest connection it was.
    pub(crate) fn closed(&mut self, connection: ConnectionId) -> Vec<Slot> {
        if self.closed.insert(connection) {
            self.closed_in_order.push_back(connection);
        }
        if self.closed_in_order.len() > CLOSED_MAX
            && let Some(oldest) = self.closed_in_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        let indices = self.by_connection.remove(&connection).unwrap_or_default();
        let mut slots = Vec::with_capacity(indices.len());
        for index in indices {
            if let Some(broker) = self.brokers.get_mut(index).and_then(Option::as_mut) {
                broker.connection = None;
                slots.push(Slot { index, generation: broker.generation });
            }
        }
        slots
    }

    /// Looks at every alarm that is due: removes the brokers whose deadline has passed, and names the silent ones if
    /// somebody asks those (`is_leader`); else their alarms are not looked at before the deadline.
    pub(crate) fn ring(&mut self, now: Instant, is_leader: bool) -> Ring {
        let mut ring = Ring::default();
        if now < self.not_before {
            return ring;
        }
        while let Some(&Reverse((alarm, index, generation))) = self.alarms.peek() {
            if alarm >= now {
                break;
            }
            self.alarms.pop();
            let Some(broker) = self.brokers.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            if broker.generation != generation || broker.alarm != alarm {
                continue;
            }
            if broker.deadline < now {
                ring.dead.extend(self.remove_index(index));
                continue;
            }
            let silence = broker.heard.plus_ms(SILENCE_MS);
            let next = if !is_leader {
                broker.deadline
            } else if silence < now {
                ring.silent.push(Slot { index, generation });
                now.plus_ms(SILENCE_AGAIN_MS)
            } else {
                silence
            };
            broker.alarm = next.min(broker.deadline);
            self.alarms.push(Reverse((broker.alarm, index, generation)));
        }
        ring
    }

    /// This peer leads from now on: silence counts.
    pub(crate) fn begin_leading(&mut self, now: Instant) {
        for (index, broker) in self.brokers.iter_mut().enumerate() {
            let Some(broker) = broker else { continue };
            let alarm = broker.heard.plus_ms(SILENCE_MS).max(now);
            if alarm < broker.alarm {
                broker.alarm = alarm;
                self.alarms.push(Reverse((alarm, index, broker.generation)));
            }
        }
    }

    /// Takes a broker out of the table, since it is known to be dead.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Broker> {
        self.get(slot)?;
        self.remove_index(slot.index)
    }

    /// Brings the deadline of a broker forward to `deadline`, if that is earlier.
    pub(crate) fn shorten(&mut self, slot: Slot, deadline: Instant) {
        let index = slot.index;
        let Some(broker) = self.brokers.get_mut(index).and_then(Option::as_mut) else { return };
        if broker.generation != slot.generation || broker.deadline <= deadline {
            return;
        }
        broker.deadline = deadline;
        if broker.alarm > deadline {
            broker.alarm = deadline;
            self.alarms.push(Reverse((deadline, index, slot.generation)));
        }
    }

    /// Lets nobody expire before `moment`: this process was paused, and what brokers sent is still unread.
    pub(crate) fn forgive_until(&mut self, moment: Instant) {
        self.not_before = self.not_before.max(moment);
    }

    /// Passes nothing on before `moment`: until then this process may read what was sent before it was paused.
    pub(crate) fn mistrust_until(&mut self, moment: Instant) {
        self.stale_until = self.stale_until.max(moment);
    }

    /// The moment at which [`Self::ring`] may find something.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        let Reverse((alarm, _, _)) = self.alarms.peek()?;
        // Alive up to and including its deadline: one microsecond later it is not.
        Some(alarm.plus_micros(1).max(self.not_before))
    }

    /// The broker at `slot`, if it is still the one that `slot` was made for.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Broker> {
        let broker = self.brokers.get(slot.index)?.as_ref()?;
        (broker.generation == slot.generation).then_some(broker)
    }

    /// Where the broker of these names is, if it is in the table.
    pub(crate) fn slot(&self, cluster: &str, set: &str, id: i64) -> Option<Slot> {
        let index = self.find(cluster, set, id)?;
        let broker = self.brokers.get(index)?.as_ref()?;
        Some(Slot { index, generation: broker.generation })
    }

    /// Whether a broker was heard within its time-out.
    pub(crate) fn is_alive(&self, now: Instant, cluster: &str, set: &str, id: i64) -> bool {
        let slot = self.slot(cluster, set, id);
        slot.and_then(|slot| self.get(slot)).is_some_and(|broker| self.counts(broker, now))
    }

    /// The members of one broker set that are alive at `now`, under this name of the cluster or any, in no order
    /// that may be relied on.
    pub(crate) fn evidence(&self, now: Instant, cluster: Option<&str>, set: &str) -> Vec<Alive> {
        let mut alive: Vec<Alive> = Vec::new();
        for &index in self.by_set.get(set).into_iter().flatten() {
            let Some(broker) = self.brokers.get(index).and_then(Option::as_ref) else { continue };
            let is_member = cluster.is_none_or(|cluster| *cluster == *broker.identity.cluster);
            if is_member && self.counts(broker, now) {
                alive.push(Alive {
                    id: BrokerId(broker.identity.id),
                    epoch: broker.epoch,
                    max_offset: broker.max_offset,
                    priority: broker.priority,
                });
            }
        }
        alive
    }

    /// All brokers of the table, in no order that may be relied on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Broker)> {
        self.brokers.iter().enumerate().filter_map(|(index, broker)| {
            let broker = broker.as_ref()?;
            Some((Slot { index, generation: broker.generation }, broker))
        })
    }

    /// How many brokers of each set are in the table, by cluster, of the sets whose name comes after `after`, ascending
    /// by name.
    pub(crate) fn sets_after<'a>(
        &'a self,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, BTreeMap<&'a str, u64>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_set.range::<str, _>((from, Bound::Unbounded)).map(|(name, indices)| {
            let mut alive = BTreeMap::new();
            for broker in indices.iter().filter_map(|&index| self.brokers.get(index)?.as_ref()) {
                *alive.entry(&*broker.identity.cluster).or_default() += 1;
            }
            (&**name, alive)
        })
    }

    /// How many brokers are in the table.
    pub(crate) fn len(&self) -> usize {
        self.brokers.len() - self.free.len()
    }

    fn counts(&self, broker: &Broker, now: Instant) -> bool {
        let is_forgiven = now < self.not_before && broker.timeout_ms > 0;
        broker.deadline >= now || is_forgiven
    }

    /// The usual case, a broker on a connection of its own, without a look at any name table.
    fn on_connection(
        &self,
        connection: ConnectionId,
        cluster: &str,
        set: &str,
        id: i64,
    ) -> Option<usize> {
        let indices = self.by_connection.get(&connection)?;
        if indices.len() <= CONNECTION_SCAN_MAX {
            return indices.iter().copied().find(|&index| self.is_named(index, cluster, set, id));
        }
        // A proxy's connection may carry the whole fleet: each heartbeat would look at every broker of it.
        let index = self.find(cluster, set, id)?;
        let broker = self.brokers.get(index).and_then(Option::as_ref)?;
        (broker.connection == Some(connection)).then_some(index)
    }

    fn find(&self, cluster: &str, set: &str, id: i64) -> Option<usize> {
        let indices = self.by_set.get(set)?;
        indices.iter().copied().find(|&index| self.is_named(index, cluster, set, id))
    }

    fn is_named(&self, index: usize, cluster: &str, set: &str, id: i64) -> bool {
        let broker = self.brokers.get(index).and_then(Option::as_ref);
        broker.is_some_and(|Broker { identity, .. }| {
            identity.id == id && &*identity.set == set && &*identity.cluster == cluster
        })
    }

    fn insert(
        &mut self,
        now: Instant,
        deadline: Instant,
        identity: BrokerIdentity,
    ) -> Result<usize, TableFull> {
        if self.len() >= LIVE_BROKERS_MAX {
            return Err(TableFull);
        }
        self.generations += 1;
        let generation = self.generations;
        let set = identity.set.clone();
        let alarm = deadline.min(now.plus_ms(SILENCE_MS));
        let broker = Broker {
            identity,
            address: Box::default(),
            epoch: -1,
            max_offset: -1,
            confirm_offset: -1,
            priority: i32::MAX,
            timeout_ms: 0,
            heard: now,
            heard_here: None,
            deadline,
            connection: None,
            passed_on: None,
            asked: None,
            alarm,
            generation,
        };
        let index = self.free.pop().unwrap_or(self.brokers.len());
        if index == self.brokers.len() {
            self.brokers.push(Some(broker));
        } else if let Some(place) = self.brokers.get_mut(index) {
            *place = Some(broker);
        }
        self.by_set.entry(set).or_default().push(index);
        self.alarms.push(Reverse((alarm, index, generation)));
        Ok(index)
    }

    fn move_to(&mut self, index: usize, old: Option<ConnectionId>, new: ConnectionId) {
        if let Some(old) = old {
            self.leave_connection(index, old);
        }
        if let Some(broker) = self.brokers.get_mut(index).and_then(Option::as_mut) {
            broker.connection = Some(new);
        }
        self.by_connection.entry(new).or_default().push(index);
    }

    fn leave_connection(&mut self, index: usize, connection: ConnectionId) {
        if let Some(indices) = self.by_connection.get_mut(&connection) {
            indices.retain(|&other| other != index);
            if indices.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    fn remove_index(&mut self, index: usize) -> Option<Broker> {
        let broker = self.brokers.get_mut(index)?.take()?;
        self.free.push(index);
        if let Some(connection) = broker.connection {
            self.leave_connection(index, connection);
        }
        if let Some(indices) = self.by_set.get_mut(&*broker.identity.set) {
            indices.retain(|&other| other != index);
            if indices.is_empty() {
                self.by_set.remove(&*broker.identity.set);
            }
        }
        Some(broker)
    }
}

#[cfg(test)]
mod tests;
