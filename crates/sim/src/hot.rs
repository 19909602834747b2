//! Four loops over the straight line, with fixed counts: `bench hot` counts what they cost.
//!
//! | Loop | One turn of it |
//! |---|---|
//! | `decode` | the bytes of an ALTER to a typed request |
//! | `apply` | an ALTER that is accepted, on the replicated state |
//! | `step` | the same through a whole controller of one seat: route, evidence, propose, persist, commit, apply, answer |
//! | `encode` | its answer to bytes |
//!
//! There is no clock, disk or socket in them, so the same build executes the same instructions every time but for
//! hash seeds and addresses. What one turn costs is for the caller to find out.

use bytes::{Bytes, BytesMut};
use controller::{
    Caller, ConnectionId, Controller, Effect, Event, Instant, LeaderNaming, LiveSettings,
    NoticeResult, PeerId, PeerSettings, ReadMode, Retention, Role, Settings, Start,
};
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, ElectMaster, Frame,
    HeaderEncoding, RegisterBroker, Request, Response,
};
use replicas::{Alive, BrokerId, Command, Evidence, MasterEpoch, Policy, Replicas, SetEpoch};

/// Name of the only broker set.
const SET: &str = "hot";

/// Name of its cluster.
const CLUSTER: &str = "bench";

/// Its brokers; the first is master.
const BROKERS: [i64; 3] = [1, 2, 3];

/// Turns until a controller of one seat must lead.
const FOUNDING_TURNS_MAX: usize = 1_000;

/// One loop: its name, how many turns a measurement has, and what does so many of them.
pub struct Loop {
    /// As reports name it.
    pub name: &'static str,
    /// Turns of one measurement.
    pub turns: u32,
    /// Does so many turns and returns a number that depends on all of them, so that none is left out.
    pub run: Box<dyn FnMut(u32) -> u64>,
}

impl std::fmt::Debug for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loop({}, {} turns)", self.name, self.turns)
    }
}

/// All loops, ready to run.
#[must_use]
pub fn loops() -> Vec<Loop> {
    vec![decode(), apply(), step(), encode()]
}

fn decode() -> Loop {
    let frame = bytes_of(&alter(&BROKERS, 7));
    let run = move |turns| {
        let mut sum = 0;
        for _ in 0..turns {
            let frame = Frame::decode(frame.clone()).expect("our own frame");
            let request = Request::decode(&frame).expect("our own request");
            sum += u64::from(matches!(request, Request::AlterSyncStateSet(_)));
        }
        sum
    };
    Loop { name: "decode", turns: 200_000, run: Box::new(run) }
}

fn apply() -> Loop {
    let alive = |id| Alive { id: BrokerId(id), epoch: 1, max_offset: 0, priority: 0 };
    let evidence = Evidence::new(BROKERS.into_iter().map(alive).collect());
    let mut state = Replicas::new();
    for id in BROKERS {
        let applied = replicas::ApplyBrokerId {
            cluster: Some(CLUSTER.into()),
            set: SET.into(),
            id: Some(BrokerId(id)),
            check_code: Some(id.to_string().into()),
        };
        state.apply(&Command::ApplyBrokerId(applied)).expect("an id that is free");
    }
    let elect = replicas::ElectMaster {
        set: SET.into(),
        broker: Some(BrokerId(BROKERS[0])),
        designate: false,
        unclean: false,
        evidence: evidence.clone(),
        seen: None,
        policy: Policy::default(),
    };
    state.apply(&Command::ElectMaster(elect)).expect("a first master");
    let mut epoch = state.broker_set(SET).map_or(SetEpoch(0), |set| set.set_epoch());
    let mut turn = 0_usize;
    let run = move |turns| {
        for _ in 0..turns {
            turn += 1;
            // All three, then two of them, and so on.
            let members = &BROKERS[..2 + turn % 2];
            let alter = replicas::AlterSyncStateSet {
                set: SET.into(),
                master: Some(BrokerId(BROKERS[0])),
                master_epoch: Some(MasterEpoch(1)),
                new_set: Some(members.iter().copied().map(BrokerId).collect()),
                set_epoch: epoch,
                evidence: evidence.clone(),
            };
            state.apply(&Command::AlterSyncStateSet(alter)).expect("the state that it names");
            epoch = SetEpoch(epoch.0 + 1);
        }
        u64::from(epoch.0.unsigned_abs())
    };
    Loop { name: "apply", turns: 100_000, run: Box::new(run) }
}

fn step() -> Loop {
    let mut seat = Seat::founded();
    let epochs = seat.first_master();
    let (mut set_epoch, mut turn) = (epochs, 0_usize);
    let run = move |turns| {
        for _ in 0..turns {
            turn += 1;
            let answer = seat.ask(alter(&BROKERS[..2 + turn % 2], set_epoch));
            assert_eq!(answer.code, 0, "the set is as it was left: {:?}", answer.remark);
            set_epoch += 1;
        }
        u64::from(set_epoch.unsigned_abs())
    };
    Loop { name: "step", turns: 20_000, run: Box::new(run) }
}

fn encode() -> Loop {
    let mut seat = Seat::founded();
    let epoch = seat.first_master();
    let answer = seat.ask(alter(&BROKERS, epoch));
    let mut out = BytesMut::new();
    let run = move |turns| {
        let mut sum = 0;
        for _ in 0..turns {
            out.clear();
            answer.encode(7, HeaderEncoding::Json, &mut out);
            sum += out.len() as u64;
        }
        sum
    };
    Loop { name: "encode", turns: 200_000, run: Box::new(run) }
}

fn bytes_of(request: &Request) -> Bytes {
    let mut out = BytesMut::new();
    request.encode(7, 0, HeaderEncoding::Json, &mut out);
    out.freeze()
}

fn alter(members: &[i64], set_epoch: i32) -> Request {
    let body =
        AlterBody { sync_state_set: Some(members.to_vec()), sync_state_set_epoch: set_epoch };
    Request::AlterSyncStateSet(AlterSyncStateSet {
        broker_name: Some(SET.into()),
        master_broker_id: Some(BROKERS[0]),
        master_epoch: Some(1),
        invoke_time_ms: None,
        body: Some(body),
    })
}

/// A controller of one seat whose disk is always ready.
struct Seat {
    controller: Controller,
    now: Instant,
    effects: Vec<Effect>,
}

impl Seat {
    fn founded() -> Self {
        let me = PeerId(1);
        let peer = PeerSettings { id: me, name: "n0".into(), broker_address: "127.0.0.1:1".into() };
        let settings = Settings {
            me,
            member: me,
            peers: vec![peer],
            group: "hot".into(),
            peers_text: "n0:127.0.0.1:1;".into(),
            leader_id_is_address: false,
            election_timeout_ms: 1_000,
            naming: LeaderNaming::default(),
            read_mode: ReadMode::default(),
            boot_nonce: 1,
            seed: 1,
            live: LiveSettings::default(),
            retention: Retention::default(),
            version: "hot".into(),
            durability: "fsync".into(),
            process_id: 1,
            admin_address: "".into(),
        };
        let now = Instant::from_micros(1);
        let controller = Controller::new(now, settings, Start::Empty);
        let controller = controller.expect("an empty disk can be read");
        let mut seat = Self { controller, now, effects: Vec::new() };
        for _ in 0..FOUNDING_TURNS_MAX {
            let overview = seat.controller.overview();
            if overview.is_ready && overview.role == Some(Role::Leader) {
                return seat;
            }
            seat.turn(Event::Wake);
        }
        panic!("a controller of one seat leads after {FOUNDING_TURNS_MAX} turns");
    }

    /// Registers the brokers and elects the first; the set's epoch.
    fn first_master(&mut self) -> i32 {
        for id in BROKERS {
            let (cluster_name, broker_name) = (Some(CLUSTER.into()), Some(SET.into()));
            let address = format!("127.0.0.{id}:1");
            let apply = ApplyBrokerId {
                cluster_name,
                broker_name,
                applied_broker_id: Some(id),
                register_check_code: Some(address.clone().into()),
            };
            let register = RegisterBroker {
                cluster_name: Some(CLUSTER.into()),
                broker_name: Some(SET.into()),
                broker_id: Some(id),
                broker_address: Some(address.clone().into()),
                invoke_time_ms: 0,
            };
            let beat = BrokerHeartbeat {
                cluster_name: Some(CLUSTER.into()),
                broker_address: Some(address.into()),
                broker_name: Some(SET.into()),
                broker_id: Some(id),
                epoch: 1,
                max_offset: 0,
                confirm_offset: 0,
                heartbeat_timeout_ms: Some(600_000),
                ..BrokerHeartbeat::default()
            };
            let requests = [
                Request::ApplyBrokerId(apply),
                Request::RegisterBroker(register),
                Request::Heartbeat(beat),
            ];
            for request in requests {
                assert_eq!(self.ask(request).code, 0, "a broker that nobody knew");
            }
        }
        let elect = ElectMaster {
            cluster_name: CLUSTER.into(),
            broker_name: SET.into(),
            broker_id: BROKERS[0],
            ..ElectMaster::default()
        };
        let elected = self.ask(Request::ElectMaster(elect));
        elected.ext.int("syncStateSetEpoch").unwrap_or(1)
    }

    /// Asks and runs until it is answered.
    fn ask(&mut self, request: Request) -> Response {
        let caller = Caller {
            connection: ConnectionId(1),
            opaque: 7,
            encoding: HeaderEncoding::Json,
            is_one_way: false,
            code: 1001,
            received: self.now,
        };
        // The frame is kept for forwarding, which a controller that leads does not.
        let answer = self.turn(Event::Request { caller, request, frame: Bytes::new() });
        answer.expect("one seat is a quorum, so every request is answered at once")
    }

    /// One event, and whatever follows from it; the answer, if there was one.
    fn turn(&mut self, event: Event) -> Option<Response> {
        let mut events = vec![event];
        let mut answer = None;
        while !events.is_empty() {
            for event in events.drain(..) {
                self.controller.handle(self.now, event, &mut self.effects);
            }
            self.controller.handle(self.now, Event::EndOfTurn, &mut self.effects);
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Reply { response, .. } => answer = Some(response),
                    Effect::Persist(group) => {
                        events.push(Event::Persisted { number: group.number });
                    }
                    Effect::WriteIdentity { .. } => events.push(Event::IdentityWritten),
                    Effect::SaveSnapshot { descriptor, .. } => {
                        events.push(Event::SnapshotSaved { descriptor });
                    }
                    Effect::Notify { attempt, .. } => {
                        let result = NoticeResult::Acknowledged;
                        events.push(Event::Noticed { attempt, result });
                    }
                    // Only while it is founded time goes on: then everybody stays alive.
                    Effect::WakeAt(at) if !self.controller.overview().is_ready => self.now = at,
                    Effect::WakeAt(_)
                    | Effect::Send { .. }
                    | Effect::Probe { .. }
                    | Effect::Note(_)
                    | Effect::Restart
                    | Effect::Stopped => {}
                }
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::loops;

    #[test]
    fn every_loop_goes_on_from_where_it_stopped() {
        for mut it in loops() {
            let first = (it.run)(10);
            let second = (it.run)(10);
            assert!(first > 0 && second >= first, "{}: {first}, {second}", it.name);
        }
    }
}
