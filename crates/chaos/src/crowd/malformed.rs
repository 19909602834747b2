//! Requests to alter a sync-state set (1001) that are well framed and lack something: the same that `RELIABILITY.md`
//! names B22 and B25. None of them may change anything.
//!
//! Upstream's controllers over `JRaft` make an entry of one that a null pointer hides in, and no peer ever applies
//! what comes behind it (U17): one stranger ends the group. So what counts here is that each was heard, by an answer or
//! by the end of its connection; what became of the group is for the judges of the run.

use super::Felt;
use crate::actors::PORT;
use bytes::Bytes;
use client::{CallError, Connection, Deadline};
use protocol::{ExtFields, Frame, Header, HeaderEncoding, code, response_code};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long one may wait for its answer: upstream's controllers wait 5 s for their own, and say so then.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(1);

/// Between two requests of one shape: what is tested is what they say, not how many they are.
const PAUSE: Duration = Duration::from_millis(50);

/// The fields of a whole request. The set is one of the run's.
const FIELDS: [(&str, &str); 3] =
    [("brokerName", "set-0"), ("masterBrokerId", "1"), ("masterEpoch", "1")];

const BODY: &str = r#"{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}"#;

/// One way to be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    name: &'static str,
    /// Fields of [`FIELDS`] that it lacks.
    lacks: &'static [&'static str],
    body: &'static str,
}

const fn with_body(name: &'static str, body: &'static str) -> Shape {
    Shape { name, lacks: &[], body }
}

const fn without(name: &'static str, lacks: &'static [&'static str]) -> Shape {
    Shape { name, lacks, body: BODY }
}

const SHAPES: [Shape; 8] = [
    with_body("no body", ""),
    with_body("{}", "{}"),
    with_body("null", "null"),
    with_body("no JSON", "syncStateSet=1,2,3"),
    without("no name", &["brokerName"]),
    without("no master", &["masterBrokerId"]),
    without("no epoch", &["masterEpoch"]),
    Shape { name: "nothing", lacks: &["brokerName", "masterBrokerId", "masterEpoch"], body: "" },
];

impl Shape {
    fn frame(self) -> Frame {
        let mut ext = ExtFields::new();
        for (key, value) in FIELDS.into_iter().filter(|(key, _)| !self.lacks.contains(key)) {
            ext.push(key, value);
        }
        let alter = code::CONTROLLER_ALTER_SYNC_STATE_SET;
        let header = Header::request(alter, 0, 0, ext, HeaderEncoding::Json);
        Frame { header, body: Bytes::from_static(self.body.as_bytes()) }
    }
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// This code was answered.
    Answered(i32),
    /// The connection ended.
    Closed,
    /// Nothing came in time.
    Silence,
}

/// How often each shape came to each end.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(&'static str, End), u64>);

/// Malformed requests that are being sent.
#[derive(Debug)]
pub(super) struct Sending {
    is_over: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    senders: JoinSet<()>,
}

impl Sending {
    /// Begins; dropping what this returns ends all connections at once.
    pub(super) fn begin() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut senders = JoinSet::new();
        for shape in SHAPES {
            senders.spawn(send(shape, Arc::clone(&is_over), Arc::clone(&tally)));
        }
        Self { is_over, tally, senders }
    }

    /// Sends no more, and waits for what is under way.
    pub(super) async fn finish(self) -> Tally {
        self.is_over.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends one shape again and again, over a connection of its own, so that one that is never answered holds up no
/// other.
async fn send(shape: Shape, is_over: Arc<AtomicBool>, tally: Arc<Mutex<Tally>>) {
    let address = format!("127.0.0.1:{PORT}");
    let mut line: Option<Connection> = None;
    while !is_over.load(Ordering::Relaxed) {
        let open = match line.take().filter(|line| !line.is_closed()) {
            Some(open) => Ok(open),
            None => Connection::connect(&address, Deadline::after(CONNECT)).await,
        };
        if let Ok(open) = open {
            let answer = open.exchange(shape.frame(), Deadline::after(PATIENCE)).await;
            if let Some(end) = end_of(answer.map(|frame| frame.header.code)) {
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                *tally.0.entry((shape.name, end)).or_insert(0) += 1;
                line = matches!(end, End::Answered(_)).then_some(open);
            }
        }
        sleep(PAUSE).await;
    }
}

/// None if it was not sent.
fn end_of(answer: Result<i32, CallError>) -> Option<End> {
    match answer {
        Ok(code) => Some(End::Answered(code)),
        Err(CallError::Timeout { .. }) => Some(End::Silence),
        Err(error) => error.is_unknown().then_some(End::Closed),
    }
}

impl Tally {
    pub(super) fn judge(&self) -> Felt {
        let count = |is_wanted: &dyn Fn(&str, End) -> bool| -> u64 {
            let of = self.0.iter().filter(|((shape, end), _)| is_wanted(shape, *end));
            of.map(|(_, times)| times).sum()
        };
        let silence = count(&|_, end| end == End::Silence);
        let is_heard =
            |shape: &&Shape| count(&|name, end| name == shape.name && end != End::Silence) > 0;
        let unheard: Vec<&str> =
            SHAPES.iter().filter(|shape| !is_heard(shape)).map(|shape| shape.name).collect();
        let mut codes: BTreeMap<i32, u64> = BTreeMap::new();
        for ((_, end), times) in &self.0 {
            if let End::Answered(code) = end {
                *codes.entry(*code).or_insert(0) += times;
            }
        }
        let codes: Vec<String> =
            codes.into_iter().map(|(code, times)| format!("{code} {times} times")).collect();
        let (sent, closed) = (count(&|_, _| true), count(&|_, end| end == End::Closed));
        let mut words = format!(
            "heard {sent} malformed requests: answered {}, closed {closed} connections, left {silence} without an answer",
            if codes.is_empty() { "none".to_owned() } else { codes.join(", ") }
        );
        if !unheard.is_empty() {
            words.push_str(&format!(", did not hear: {}", unheard.join(", ")));
        }
        let obeyed = |shape: &&Shape| {
            self.0.contains_key(&(shape.name, End::Answered(response_code::SUCCESS)))
        };
        let obeyed: Vec<&str> = SHAPES.iter().filter(obeyed).map(|shape| shape.name).collect();
        let accident = (!obeyed.is_empty())
            .then(|| format!("answered success to malformed requests: {}", obeyed.join(", ")));
        Felt { words, is_enough: unheard.is_empty() && silence == 0, accident }
    }
}

#[cfg(test)]
mod tests {
    use super::{CallError, End, SHAPES, Tally, end_of};
    use protocol::Request;

    fn tally(end: End) -> Tally {
        Tally(SHAPES.iter().map(|shape| ((shape.name, end), 3)).collect())
    }

    #[test]
    fn each_shape_lacks_something_and_is_an_alteration() {
        for shape in SHAPES {
            let Some(Request::AlterSyncStateSet(alter)) = Request::decode(&shape.frame()) else {
                panic!("{} is no request to alter a set", shape.name)
            };
            let is_whole = alter.broker_name.is_some()
                && alter.master_broker_id.is_some()
                && alter.master_epoch.is_some()
                && alter.body.is_some_and(|body| body.sync_state_set.is_some());
            assert!(!is_whole, "{}", shape.name);
        }
    }

    #[test]
    fn every_shape_must_be_heard_and_no_request_left() {
        let check = |tally: &Tally, is_enough: bool, words: &str| {
            let felt = tally.judge();
            assert_eq!((felt.is_enough, felt.accident), (is_enough, None), "{}", felt.words);
            assert!(felt.words.contains(words), "{}", felt.words);
        };
        check(&tally(End::Answered(1)), true, "heard 24 malformed requests: answered 1 24 times");
        check(&tally(End::Closed), true, "answered none, closed 24 connections");
        check(&tally(End::Silence), false, "did not hear: no body, {}");
        check(&Tally::default(), false, "did not hear: no body, {}");
        let mut one_left = tally(End::Answered(2007));
        one_left.0.insert(("{}", End::Silence), 1);
        check(&one_left, false, "left 1 without an answer");
        let mut one_unsent = tally(End::Answered(1));
        one_unsent.0.remove(&("null", End::Answered(1)));
        check(&one_unsent, false, "did not hear: null");
    }

    #[test]
    fn success_is_an_accident() {
        let mut obeyed = tally(End::Answered(1));
        obeyed.0.insert(("no epoch", End::Answered(0)), 1);
        let accident = obeyed.judge().accident;
        assert_eq!(accident.as_deref(), Some("answered success to malformed requests: no epoch"));
    }

    #[test]
    fn what_was_not_sent_came_to_no_end() {
        let address = || "a".to_owned();
        assert_eq!(end_of(Ok(1)), Some(End::Answered(1)));
        assert_eq!(end_of(Err(CallError::Timeout { address: address() })), Some(End::Silence));
        let lost = CallError::ConnectionLost { address: address(), reason: address() };
        assert_eq!(end_of(Err(lost)), Some(End::Closed));
        assert_eq!(end_of(Err(CallError::Busy { address: address() })), None);
    }
}
