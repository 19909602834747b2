//! What `pitchover status` and `pitchover describe` show: JSON, written by hand because the shapes are small and the
//! ground floor has no reflective serializer for its own types.

use crate::controller::{Controller, Stage};
use crate::instant::Instant;
use crate::members::Standing;
use crate::settings::{LeaderNaming, ReadMode};
use alloc::format;
use alloc::string::String;
use consensus::{Driver, PeerId, Role};
use core::fmt::Write as _;

impl Controller {
    /// This peer's view as one JSON object.
    pub(crate) fn status(&self, now: Instant) -> String {
        let overview = self.overview();
        let settings = &self.settings;
        let me = self.peer_settings(settings.me);
        let leader = overview.leader.and_then(|leader| self.peer_settings(leader));
        let mut json = Object::new();
        json.text("name", me.map_or("", |me| &me.name));
        json.number("peerId", settings.me.0);
        json.number("memberId", settings.member.0);
        json.text("member", standing_name(overview.standing));
        json.text("address", me.map_or("", |me| &me.broker_address));
        json.text("group", &settings.group);
        json.text("stage", self.stage_name());
        json.text("role", overview.role.map_or("none", role_name));
        json.number("term", overview.term);
        json.text("leader", leader.map_or("", |leader| &leader.name));
        json.text("leaderAddress", leader.map_or("", |leader| &leader.broker_address));
        json.raw("ready", if overview.is_ready { "true" } else { "false" });
        json.number("commit", overview.commit);
        json.number("applied", overview.applied);
        json.number("last", overview.last);
        json.number("snapshot", self.snapshots.newest_index());
        json.text("stateHash", &format!("{:032x}", self.replicas.state_hash()));
        json.number("sets", overview.sets);
        json.number("masters", overview.masters);
        json.number("brokersAlive", overview.brokers);
        let ends = overview.leader.map(|leader| (settings.me, leader));
        json.number("brokersRelayed", ends.map_or(0, |ends| self.liveness.relayed(now, ends)));
        json.number("heartbeats", overview.counts.heartbeats);
        json.number("readsServed", overview.counts.reads);
        json.number("readsLeased", overview.counts.leased_reads);
        json.number("readBarriers", overview.counts.barriers);
        json.number("barrierWaitP99Micros", self.read_waits.p99(now));
        json.raw("serves", if self.serves(now) { "true" } else { "false" });
        json.text("leaderNaming", naming_name(settings.naming));
        json.text("readMode", self.read_mode_name());
        json.number("proposals", overview.counts.proposals);
        json.number("commands", overview.counts.commands);
        json.number("forwarded", overview.counts.forwarded);
        json.number("taken", overview.counts.taken);
        json.number("refusedMessages", overview.counts.refused_messages);
        json.number("writesWaiting", overview.writes_waiting);
        json.number("readsWaiting", overview.reads_waiting);
        json.number("electionsInFlight", self.elections.in_flight());
        json.number("noticesWaiting", overview.notices_waiting);
        json.number("noticesSent", overview.notices.sent);
        json.number("noticesAcknowledged", overview.notices.acknowledged);
        json.number("noticesRetried", overview.notices.retried);
        json.number("noticesGivenUp", overview.notices.given_up);
        json.text("durability", &settings.durability);
        json.text("version", &settings.version);
        json.number("processId", settings.process_id);
        json.text("adminAddress", &settings.admin_address);
        json.raw("peers", &self.peers_json(now));
        json.end()
    }

    /// One broker set as one JSON object, `None` if it is not known.
    pub(crate) fn describe(&self, now: Instant, name: &str) -> Option<String> {
        let set = self.replicas.broker_set(name)?;
        let cluster = set.cluster().unwrap_or_default();
        let mut replicas = String::from("[");
        for (at, replica) in set.replicas().iter().enumerate() {
            let id = replica.id;
            let slot = self.liveness.slot(cluster, name, id.0);
            let broker = slot.and_then(|slot| self.liveness.get(slot));
            let mut json = Object::new();
            json.number("id", id.0);
            json.text("address", &replica.address);
            json.raw("inSync", if set.is_in_sync(id) { "true" } else { "false" });
            let is_alive = self.liveness.is_alive(now, cluster, name, id.0);
            json.raw("alive", if is_alive { "true" } else { "false" });
            if let Some(broker) = broker {
                json.number("heardMsAgo", now.since_ms(broker.heard));
                json.number("timeoutMs", broker.timeout_ms);
                json.number("epoch", broker.epoch);
                json.number("maxOffset", broker.max_offset);
                json.number("confirmOffset", broker.confirm_offset);
                json.number("priority", broker.priority);
                json.raw("connected", if broker.connection.is_some() { "true" } else { "false" });
            }
            if at > 0 {
                replicas.push(',');
            }
            replicas.push_str(&json.end());
        }
        replicas.push(']');
        let mut json = Object::new();
        json.text("brokerName", name);
        json.text("clusterName", cluster);
        match set.master() {
            Some(master) => json.number("master", master.0),
            None => json.raw("master", "null"),
        }
        json.number("masterEpoch", set.master_epoch().0);
        json.number("syncStateSetEpoch", set.set_epoch().0);
        json.number("nextBrokerId", set.next_id().0);
        json.text("why", self.why(now, name));
        json.raw("replicas", &replicas);
        Some(json.end())
    }

    /// Why a broker set is as it is, in one sentence for an operator.
    fn why(&self, now: Instant, name: &str) -> &'static str {
        let Some(set) = self.replicas.broker_set(name) else { return "not known" };
        let cluster = set.cluster().unwrap_or_default();
        let is_alive = |id: i64| self.liveness.is_alive(now, cluster, name, id);
        let in_sync = set.sync_state_set().iter().any(|id| is_alive(id.0));
        match set.master() {
            Some(master) if is_alive(master.0) => "the master is alive",
            Some(_) if in_sync => "the master is not heard; an in-sync member is being elected",
            Some(_) => "the master is not heard, and no in-sync member is alive",
            None if !set.was_elected() => {
                "never elected: a broker of the set asks for the first election when it starts"
            }
            None if in_sync => "no master; an in-sync member is alive and is being elected",
            None if set.sync_state_set().is_empty() => {
                "no master and nobody in sync: `pitchover elect SET --to ID --unclean` gives it \
                 one, and may lose messages"
            }
            None => {
                "no master: no in-sync member is alive or may be master; bring one back, or \
                 `pitchover elect SET --to ID --unclean`, which may lose messages"
            }
        }
    }

    fn stage_name(&self) -> &'static str {
        match &self.stage {
            Stage::Founding { .. } => "founding",
            Stage::Wiped => "wiped",
            Stage::Member(_) => "member",
        }
    }

    fn peers_json(&self, now: Instant) -> String {
        let progress = self.driver().map(Driver::peers).unwrap_or_default();
        let mut all = String::from("[");
        for peer in &self.settings.peers {
            let mut json = Object::new();
            json.text("name", &peer.name);
            json.number("peerId", peer.id.0);
            json.text("address", &peer.broker_address);
            let is_me = peer.id == self.settings.me;
            let is_up = is_me || self.is_reachable(peer.id);
            json.raw("reachable", if is_up { "true" } else { "false" });
            let serves =
                if is_me { self.serves(now) } else { self.health.other_serves(now, peer.id) };
            json.raw("serves", if serves { "true" } else { "false" });
            let members = self.members_on(peer.id);
            let listener = self.links.get(peer.id).and_then(|link| link.listener);
            let sits = if is_me { Some(self.settings.member) } else { listener };
            let sits = sits.filter(|member| members.contains(member));
            let member = sits.or_else(|| members.first().copied());
            if let Some(member) = member {
                json.number("memberId", member.0);
            }
            // Only a leader knows how far the others are.
            let progress = progress.iter().find(|progress| Some(progress.peer) == member);
            if let Some(progress) = progress {
                json.number("matched", progress.matched.0);
            }
            if all.len() > 1 {
                all.push(',');
            }
            all.push_str(&json.end());
        }
        all.push(']');
        all
    }

    /// A lease that cannot be used is worth a word: the others may be configured otherwise.
    fn read_mode_name(&self) -> &'static str {
        match self.settings.read_mode {
            ReadMode::Index => "readindex",
            ReadMode::Lease if self.are_leases_kept() => "lease",
            ReadMode::Lease => "lease (not used: not every peer said that it has readMode=lease)",
        }
    }

    fn is_reachable(&self, peer: PeerId) -> bool {
        self.links.get(peer).is_some_and(|link| link.is_reachable)
    }
}

fn naming_name(naming: LeaderNaming) -> &'static str {
    match naming {
        LeaderNaming::Leader => "leader",
        LeaderNaming::Spread => "spread",
    }
}

fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::None => "none",
        Standing::Stranger => "stranger",
        Standing::Learner => "learner",
        Standing::Voter => "voter",
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate | Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// A JSON object that is being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.string(key);
        self.0.push(':');
    }

    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.push_str(value);
    }

    pub(crate) fn number(&mut self, key: &str, value: impl core::fmt::Display) {
        self.key(key);
        write!(self.0, "{value}").expect("writing to a string cannot fail");
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.string(value);
    }

    fn string(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                control if control.is_control() => {
                    write!(self.0, "\\u{:04x}", u32::from(control))
                        .expect("writing to a string cannot fail");
                }
                plain => self.0.push(plain),
            }
        }
        self.0.push('"');
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
