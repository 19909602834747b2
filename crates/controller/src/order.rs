//! `pitchover elect`: an operator orders an election, or asks what one would come to, and hears why each member was
//! chosen or not.
//!
//! It is an election like any other: a command in the log, with the leader's evidence, decided when it is applied.
//! What is told besides is the judgement by which it was decided (`replicas/src/judge.rs`).
//!
//! | Field of the request | Means | Absent |
//! |---|---|---|
//! | `brokerName` | the broker set | refused |
//! | `brokerId` | who is to be master | whoever the controller itself would choose now |
//! | `unclean` | `true`: a replica that is not in sync may be chosen, messages may be lost | as configured |
//! | `dryRun` | `true`: nothing is changed | it is |

use crate::controller::Controller;
use crate::effect::Effect;
use crate::event::Caller;
use crate::instant::Instant;
use crate::respond;
use crate::route::{Draft, EvidenceOf};
use crate::status::Object;
use crate::waiting::{EchoedNames, Query, Waiter};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use protocol::{Frame, Response, Text, private};
use replicas::{
    BrokerId, BrokerSet, Command, Criterion, ElectMaster, Evidence, Judgement, Outcome, Policy,
    Rejection, Verdict, limits,
};

/// What an operator orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionOrder {
    /// Name of the broker set.
    pub set: Text,
    /// Who is to be master; none: whoever the controller itself would choose.
    pub to: Option<i64>,
    /// Whether a replica outside the sync-state set may be chosen.
    pub is_unclean: bool,
    /// Whether nothing is to be changed.
    pub is_dry_run: bool,
}

impl ElectionOrder {
    /// Reads an order; `None` if the frame is none, or names no broker set or a broker by no number.
    pub fn decode(frame: &Frame) -> Option<Self> {
        if frame.header.code != private::ELECT {
            return None;
        }
        let ext = &frame.header.ext;
        let set =
            ext.text("brokerName").filter(|set| set.as_bytes().len() <= limits::NAME_BYTES_MAX)?;
        let to = match ext.get("brokerId") {
            Some(_) => Some(ext.long("brokerId").filter(|id| *id > 0)?),
            None => None,
        };
        let is_true = |key| ext.get(key) == Some("true");
        let (is_unclean, is_dry_run) = (is_true("unclean"), is_true("dryRun"));
        Some(Self { set, to, is_unclean, is_dry_run })
    }

    fn draft(&self) -> Draft {
        let command = Command::ElectMaster(ElectMaster {
            set: self.set.as_str().into(),
            broker: self.to.map(BrokerId),
            designate: self.to.is_some(),
            unclean: self.is_unclean,
            evidence: Evidence::default(),
            seen: None,
            policy: Policy::default(),
        });
        let echo = EchoedNames { cluster: None, set: Some(self.set.clone()) };
        Draft { command, echo, evidence: EvidenceOf::StoredCluster, is_order: true }
    }
}

impl Controller {
    /// An order from a client of this process: carried out by the settled leader.
    pub(crate) fn ordered(
        &mut self,
        now: Instant,
        caller: Caller,
        (order, frame): (&ElectionOrder, Bytes),
        effects: &mut Vec<Effect>,
    ) {
        if self.leads() {
            self.order(now, Waiter::Client(caller), order, effects);
        } else {
            self.forward(now, caller, frame, effects);
        }
    }

    /// Carries an order out, as leader.
    pub(crate) fn order(
        &mut self,
        now: Instant,
        waiter: Waiter,
        order: &ElectionOrder,
        effects: &mut Vec<Effect>,
    ) {
        let draft = order.draft();
        if order.is_dry_run {
            return self.read(now, waiter, Query::DryRun(Box::new(draft)), effects);
        }
        self.propose(now, waiter, draft, effects);
    }

    /// What an election would come to now.
    pub(crate) fn dry_run(&self, now: Instant, mut draft: Draft) -> Response {
        self.add_evidence(now, &mut draft);
        let judged = self.judge(&draft.command);
        let result = self.replicas.decide(&draft.command).map(|decision| decision.outcome);
        explained(draft.command.set(), judged, &result)
    }

    /// Whether the command is an election that would find a master.
    pub(crate) fn elects_anybody(&self, command: &Command) -> bool {
        let Command::ElectMaster(election) = command else { return false };
        self.replicas.judge(election).is_some_and(|judgement| judgement.choice.is_some())
    }

    /// Why each member would be chosen or not, if the command is an election of a known broker set.
    pub(crate) fn judge(&self, command: &Command) -> Option<Judged> {
        let Command::ElectMaster(election) = command else { return None };
        let judgement = self.replicas.judge(election)?;
        let set = self.replicas.broker_set(command.set())?;
        let named = election.broker.filter(|_| election.designate);
        let unknown = named.filter(|id| set.replica(*id).is_none());
        Some(Judged { judgement, addresses: addresses(set), unknown })
    }
}

/// A judgement with what is needed to show it after the state has changed.
#[derive(Debug)]
pub(crate) struct Judged {
    judgement: Judgement,
    addresses: Vec<Box<str>>,
    /// The broker that was named, if it is not registered.
    unknown: Option<BrokerId>,
}

fn addresses(set: &BrokerSet) -> Vec<Box<str>> {
    set.replicas().iter().map(|replica| replica.address.clone()).collect()
}

/// The answer to an order.
pub(crate) fn explained(
    set: &str,
    judged: Option<Judged>,
    result: &Result<Outcome, Rejection>,
) -> Response {
    let Some(Judged { judgement, addresses, unknown }) = judged else {
        return respond::set_unknown(set);
    };
    let (word, master) = match result {
        Ok(Outcome::MasterElected { master, .. }) => ("elected", Some(master)),
        Err(Rejection::MasterStillExists { master, .. }) => ("stays", Some(master)),
        Ok(Outcome::NoMaster { .. }) | Err(Rejection::ElectionFailed) => ("nobody", None),
        // A limit of the state, as an epoch at its end: said in the words of any election.
        Ok(_) | Err(_) => return respond::decided(&EchoedNames::default(), result),
    };
    let mut members = String::from("[");
    for ((id, verdict), address) in judgement.members.iter().zip(&addresses) {
        let mut json = Object::new();
        json.number("id", id.0);
        json.text("address", address);
        json.raw("chosen", if judgement.choice == Some(*id) { "true" } else { "false" });
        json.text("why", why(*verdict));
        if members.len() > 1 {
            members.push(',');
        }
        members.push_str(&json.end());
    }
    members.push(']');
    let mut json = Object::new();
    json.text("brokerName", set);
    json.text("result", word);
    if let Some(master) = master {
        json.number("master", master.id.0);
        json.number("masterEpoch", master.master_epoch.0);
    }
    if let Some(unknown) = unknown {
        json.number("notRegistered", unknown.0);
    }
    json.raw("members", &members);
    respond::json(json.end())
}

/// A verdict in one sentence for an operator.
fn why(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Chosen => "chosen",
        Verdict::ChosenUnclean => {
            "chosen although it is not in the sync-state set: messages may be lost"
        }
        Verdict::Stays => "it is master, it is alive, and it stays",
        Verdict::MasterStays => "the master is alive and stays",
        Verdict::Behind(Criterion::Epoch) => "the log of the chosen one has a larger epoch",
        Verdict::Behind(Criterion::Preferred) => {
            "the chosen one is listed in pitchover.preferredMasters"
        }
        Verdict::Behind(Criterion::Offset) => "the log of the chosen one goes further",
        Verdict::Behind(Criterion::Priority) => "the chosen one has a smaller electionPriority",
        Verdict::Behind(Criterion::Id) => "all else is equal, and the chosen one has a smaller id",
        Verdict::NotAlive => "no controller heard it within its time-out",
        Verdict::NotInSync => {
            "it is not in the sync-state set; an unclean election could take it, and messages \
             may be lost"
        }
        Verdict::InSyncFirst => {
            "it is not in the sync-state set, and a member of that can be master"
        }
        Verdict::Never => "it is listed in pitchover.neverMaster",
        Verdict::NotNamed => "another one was named",
        Verdict::FirstIsAsked => "the first master is the broker that asks or is named",
    }
}
