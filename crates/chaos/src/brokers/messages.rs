//! What became of the messages, from what producer, consumer and brokers wrote down. No IO.
//!
//! | Question | Evidence |
//! |---|---|
//! | is an acknowledged message lost? | at the end the topic is read from its start: what is not there is lost, consumed or not |
//! | did two masters take messages in one epoch? | the controllers name one master of an epoch (`recorder.rs`); whoever says of itself through upstream's admin, twice in a row, that it is master with this newest epoch was elected in it or later; so was whoever stored an acknowledged message |
//! | how long was nothing accepted? | every send with its begin and end |
//!
//! One kind of loss is not the controllers': an upstream master that is alive and was replaced takes a follower whose
//! connection breaks out of its own set before any controller agreed, and goes on to acknowledge what its
//! successor does not have (interop/README.md). It can do so only behind the election, and only alive. Such a
//! loss is told as a note, with the epoch by which it is known, and is no violation.

use crate::actors::recorder::{Mastership, Result as Ended, Sample};
use crate::clock::{MILLISECOND, SECOND};
use crate::course::Course;
use crate::recovery::{self, Row};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// How much later than it was made an election may be seen by a reader: they ask every 20 to 60 ms, and the
/// machine may be busy.
const SIGHT: u64 = 500 * MILLISECOND;

/// A broker that answers so soon after another was seen as master was not killed before: a JVM takes longer to start.
const ALIVE: u64 = 2 * SECOND;

/// One send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Send {
    id: u64,
    began: u64,
    ended: u64,
    said: Box<str>,
    /// Which broker stored it, and where in its log.
    stored: Option<(Ipv4Addr, u64)>,
}

/// What a broker said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    at: u64,
    broker: Ipv4Addr,
    is_master: bool,
    epoch: i32,
}

/// All that was written down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    sends: Vec<Send>,
    claims: Vec<Claim>,
    lost: BTreeSet<u64>,
    /// What the consumer did not get, lost or not; none if nobody told how it ended.
    undelivered: Option<u64>,
}

/// One master as its messages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) epoch: i32,
    pub(crate) broker: Ipv4Addr,
    /// When it was first seen.
    pub(crate) at: u64,
    /// Messages that it acknowledged before the next master was seen, and after.
    pub(crate) acknowledged: usize,
    pub(crate) afterwards: usize,
}

/// What it proves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) lost: Vec<String>,
    pub(crate) split: Vec<String>,
    /// What is told and no violation.
    pub(crate) notes: Vec<String>,
    pub(crate) acknowledged: usize,
    pub(crate) failed: usize,
    pub(crate) undelivered: Option<u64>,
    pub(crate) reigns: Vec<Reign>,
    /// How long each fault was felt by the producer.
    pub(crate) recovery: Vec<Row>,
}

impl Judged {
    /// One line for people.
    pub(crate) fn sum(&self) -> String {
        let undelivered = self.undelivered.map_or("?".to_owned(), |count| count.to_string());
        format!(
            "messages: {} acknowledged under {} masters, {} not; {} lost, {} more lost by masters that were replaced \
             alive (upstream's own), {undelivered} not delivered",
            self.acknowledged,
            self.reigns.len(),
            self.failed,
            self.lost.len(),
            self.notes.len()
        )
    }

    /// For machines.
    pub(crate) fn to_json(&self) -> Value {
        let reigns = self.reigns.iter().map(|reign| {
            json!({
                "epoch": reign.epoch, "broker": reign.broker.to_string(), "at": reign.at,
                "acknowledged": reign.acknowledged, "afterwards": reign.afterwards,
            })
        });
        json!({
            "acknowledged": self.acknowledged, "failed": self.failed, "undelivered": self.undelivered,
            "lost": self.lost, "notes": self.notes, "masters": reigns.collect::<Vec<_>>(),
            "recovery": self.recovery.iter().map(Row::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Send {
    fn is_acknowledged(&self) -> bool {
        &*self.said == "SEND_OK"
    }

    /// For the pictures: what came of it.
    fn result(&self) -> Ended {
        match &*self.said {
            "SEND_OK" => Ended::Ok,
            // The broker answered, and stored nothing.
            "MQBrokerException" => Ended::Refused,
            // No master is known, or it refuses connections.
            "MQClientException" | "RemotingConnectException" => Ended::Unreached,
            _ => Ended::Unknown,
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        let &[id, began, ended, said, host, offset] = words.as_slice() else { return None };
        let stored = address(host).zip(offset.parse().ok());
        let (id, began, ended) = (id.parse().ok()?, began.parse().ok()?, ended.parse().ok()?);
        Some(Self { id, began, ended, said: said.into(), stored })
    }
}

impl Claim {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        let &[_, ended, broker, id, epoch, _] = words.as_slice() else { return None };
        let (at, epoch) = (ended.parse().ok()?, epoch.parse().ok()?);
        Some(Self { at, broker: address(broker)?, is_master: id == "0", epoch })
    }
}

fn address(text: &str) -> Option<Ipv4Addr> {
    text.split(':').next()?.parse().ok()
}

impl Messages {
    /// From the files of `Traffic.java` and `Watch.java`, and the words behind `result`. A last line that was cut off
    /// is left out.
    pub(crate) fn read(sends: &str, roles: &str, lost: &str, ending: &str) -> Self {
        let number = |name: &str| {
            let word = ending.split(' ').find_map(|word| word.strip_prefix(name));
            word.and_then(|word| word.strip_prefix('=')).and_then(|word| word.parse().ok())
        };
        Self {
            sends: sends.lines().filter_map(Send::parse).collect(),
            claims: roles.lines().filter_map(Claim::parse).collect(),
            lost: lost.lines().filter_map(|line| line.parse().ok()).collect(),
            undelivered: number("undelivered"),
        }
    }

    /// The sends as samples of one client.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |send: &Send| Sample {
            client: 0,
            invoked: send.began,
            ended: send.ended,
            result: send.result(),
            is_write: true,
        };
        self.sends.iter().map(sample).collect()
    }

    /// `masters` are what the controllers answered, of the brokers' set and of others.
    pub(crate) fn judge(&self, course: &Course, masters: &[Mastership]) -> Judged {
        let acknowledged = self.sends.iter().filter(|send| send.is_acknowledged()).count();
        let mut judged = Judged {
            acknowledged,
            failed: self.sends.len() - acknowledged,
            undelivered: self.undelivered,
            reigns: reigns(course, masters),
            recovery: recovery::rows(course, &self.samples(), masters),
            ..Judged::default()
        };
        if self.undelivered.is_none() && !course.is_interrupted {
            judged.lost.push("nobody told what became of the acknowledged messages".to_owned());
        }
        for send in self.sends.iter().filter(|send| send.is_acknowledged()) {
            let Some((broker, offset)) = send.stored else { continue };
            let now = judged.reigns.iter().rposition(|reign| reign.at <= send.ended);
            count(&mut judged.reigns, now, broker);
            if self.lost.contains(&send.id) {
                let (text, is_of_brokers) =
                    self.explain(&judged.reigns, course, send, (broker, offset));
                let list = if is_of_brokers { &mut judged.notes } else { &mut judged.lost };
                list.push(text);
            }
        }
        judged.split = self.split(&judged.reigns, course);
        judged
    }

    /// What is known of a lost message; and whether its master had been replaced when it said so, which is the brokers'
    /// own defect.
    fn explain(
        &self,
        reigns: &[Reign],
        course: &Course,
        send: &Send,
        (broker, offset): (Ipv4Addr, u64),
    ) -> (String, bool) {
        let ms = |at: u64| at.saturating_sub(course.began) / MILLISECOND;
        let stored = format!(
            "message {} was acknowledged at {} ms by {broker}, offset {offset}, and is not in the topic",
            send.id,
            ms(send.ended)
        );
        let own = reigns
            .iter()
            .rposition(|reign| reign.broker == broker && reign.at <= send.ended + SIGHT);
        let next = own.and_then(|own| reigns[own..].iter().find(|reign| reign.broker != broker));
        let Some(next) = next else { return (format!("LOST: {stored}"), false) };
        let lived = self
            .claims
            .iter()
            .any(|claim| claim.broker == broker && (next.at..next.at + ALIVE).contains(&claim.at));
        let is_late = send.ended >= next.at || (lived && send.ended + SIGHT >= next.at);
        let text = format!(
            "{stored}; {} was master in epoch {}, seen at {} ms",
            next.broker,
            next.epoch,
            ms(next.at)
        );
        if is_late {
            (format!("{text}, and the old one lived and still acknowledged"), true)
        } else {
            (format!("LOST: {text}"), false)
        }
    }

    /// Brokers that took themselves for masters, or stored what was acknowledged, and whom the controllers had not elected.
    ///
    /// A broker's newest epoch may be older than its mastership, never newer: upstream keeps no entry of an epoch in
    /// which nothing was stored (`EpochFileCache#appendEntry`). So an election in that epoch or a later one is asked for.
    fn split(&self, reigns: &[Reign], course: &Course) -> Vec<String> {
        let is_elected = |broker: Ipv4Addr, epoch: i32, at: u64| {
            let mut reigns = reigns.iter();
            reigns.any(|one| one.broker == broker && one.epoch >= epoch && one.at <= at + SIGHT)
        };
        let ms = |at: u64| at.saturating_sub(course.began) / MILLISECOND;
        let mut before: BTreeMap<Ipv4Addr, &Claim> = BTreeMap::new();
        let mut split = BTreeMap::new();
        for claim in &self.claims {
            let last = before.insert(claim.broker, claim);
            // Id and epoch are not read at one moment by a broker that just changes its role.
            let is_firm = last.is_some_and(|last| last.is_master && last.epoch == claim.epoch);
            let Claim { at, broker, is_master, epoch } = *claim;
            if is_master && is_firm && !is_elected(broker, epoch, at) {
                split.entry((broker, epoch)).or_insert_with(|| {
                    format!("{broker} took itself for master at {} ms, in epoch {epoch} or later, and was not elected", ms(at))
                });
            }
        }
        for send in self.sends.iter().filter(|send| send.is_acknowledged()) {
            let Some((broker, _)) = send.stored else { continue };
            if !is_elected(broker, i32::MIN, send.ended) {
                split.entry((broker, i32::MIN)).or_insert_with(|| {
                    format!(
                        "{broker} acknowledged a message at {} ms and was not elected",
                        ms(send.ended)
                    )
                });
            }
        }
        split.into_values().collect()
    }
}

/// Masters of the brokers' set in order of their epochs, where their addresses are known.
fn reigns(course: &Course, masters: &[Mastership]) -> Vec<Reign> {
    let reign = |one: &Mastership| {
        let broker = *course.addresses.get(&(one.set.clone(), one.master))?;
        let Mastership { at, epoch, .. } = *one;
        Some(Reign { epoch, broker, at, acknowledged: 0, afterwards: 0 })
    };
    let mut reigns: Vec<Reign> = masters.iter().filter_map(reign).collect();
    reigns.sort_by_key(|reign| reign.epoch);
    reigns
}

/// Counts a message for the newest epoch of its broker up to `now`.
fn count(reigns: &mut [Reign], now: Option<usize>, broker: Ipv4Addr) {
    let Some(now) = now else { return };
    let own = reigns.iter().take(now + 1).rposition(|reign| reign.broker == broker);
    match own {
        Some(own) if own == now => reigns[own].acknowledged += 1,
        Some(own) => reigns[own].afterwards += 1,
        // It is master already and no reader has seen it yet.
        None => {
            if let Some(next) = reigns.get_mut(now + 1).filter(|next| next.broker == broker) {
                next.acknowledged += 1;
            }
        }
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
