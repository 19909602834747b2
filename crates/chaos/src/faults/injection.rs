//! Deeds done, confirmed, and undone.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | kills, restarts, upgrades | see `ends.rs` |
//! | suspend, freeze, throttle, kill at start | see `processes.rs` |
//! | kill in a snapshot | see `snapshots.rs` |
//! | rules of the network | packets that those of each fault touched, see `network.rs` |
//! | quota, full disk, no descriptors | see `limits.rs` |
//! | clocks | see `clocks.rs` |
//! | a broker's end | its thread says that its sockets are closed; of a process, its exit status |
//! | crowds | see `crowds.rs` |
//! | a setting | see `settings.rs` |
//! | disks, files, memory | see `storage.rs` |
//!
//! What one of two faults at once did does not stand for the other.
//!
//! A deed that is not confirmed makes the run INVALID: nobody knows what was tested.

use super::crowds::{are_one_crowd, unfelt};
use super::ends::END;
use super::limits::end_limit;
use super::network::{self, Felt as Packets, Way};
use super::plan::{Deed, Plan, Scene};
use super::processes::{Throttled, broker, resume};
use super::storage::{self, Backup, Damaged, Troubled};
use crate::actors::recorder::View;
use crate::crowd::{Crowd, Manner};
use crate::ground::cgroup::Limit;
use crate::ground::controller::Controller;
use crate::ground::freezer::Freezer;
use crate::ground::skew::{Felt, Skewed};
use crate::stand::Stand;
use rustix::process::{Pid, Rlimit, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What was done, and must be undone.
#[derive(Debug)]
pub(super) enum Done {
    /// These controllers are down.
    Down(usize),
    /// Down, and to be started with this clock.
    DownAhead(usize, u64),
    Suspended(usize),
    Frozen(usize, Freezer),
    Rule(u64, &'static str),
    Quota(usize, Limit),
    Throttled(Throttled),
    Full(usize, PathBuf),
    Limited(usize, Rlimit),
    /// The clocks of this controller, what its library said before, and whose clocks they were.
    Skewed(usize, Skewed, Felt, Option<Pid>),
    /// Controllers run another build than this.
    Upgraded(PathBuf),
    Broker(usize, usize),
    SuspendedBroker(usize),
    /// This controller has another setting than this.
    Reloaded(usize, String),
    Crowded(usize, Manner, Crowd),
    Troubled(Troubled),
    Damaged(Damaged),
    BackedUp(Backup),
    /// Nothing is left to be undone.
    Over,
}

/// A fault that is in force.
#[derive(Debug, Default)]
pub(crate) struct Injection {
    pub(super) done: Vec<Done>,
    /// What was seen of it, in words.
    pub(crate) evidence: Vec<String>,
    /// What was not seen.
    pub(crate) doubts: Vec<String>,
    /// What must not happen, whatever is done.
    pub(crate) accidents: Vec<String>,
    /// How often each disk in trouble was felt, or what it lost, by fault.
    pub(super) disks_felt: BTreeMap<&'static str, Vec<u64>>,
    /// Whether each of those disks must be felt, and not one of them only.
    pub(super) is_each_disk_used: bool,
    /// On which ways something is certainly sent.
    ways: Vec<Way>,
    /// How often wrong clocks were read; `None` if none is.
    pub(super) clocks_read: Option<i64>,
    /// Controllers that felt their crowds of each manner that was sent.
    pub(super) crowds_felt: BTreeMap<Manner, usize>,
    /// Whether crowds of one manner are all there is, so that each must be felt.
    pub(super) is_crowds_only: bool,
    /// Controllers that a deed ends, stops or slows.
    pub(super) hindered: BTreeSet<usize>,
    /// Who sat at each node when it began.
    pub(super) members: Vec<u64>,
    /// Controllers that were told to end and did not in time.
    pub(super) overdue: BTreeSet<usize>,
    /// Whose disk was wiped, and who sat there before.
    pub(super) replaced: Vec<(usize, u64)>,
}

impl Injection {
    /// Does all deeds of a plan that was made for this scene.
    pub(crate) async fn begin(stand: &mut Stand, plan: &Plan, scene: &Scene) -> Self {
        let deeds = &*plan.deeds;
        let sits = |view: Option<View>| view.map_or(0, |view| view.member);
        let members = stand.recorder.latest().into_iter().map(sits).collect();
        let is_crowds_only = are_one_crowd(deeds);
        let is_each_disk_used = storage::is_each_used(scene, plan);
        let ways = network::ways(scene, deeds);
        let hosts = network::hindered(scene, deeds);
        let all = scene.controllers.iter().enumerate();
        let hindered =
            all.filter(|(_, host)| hosts.contains(*host)).map(|(node, _)| node).collect();
        let mut injection =
            Self { members, is_crowds_only, is_each_disk_used, ways, hindered, ..Self::default() };
        // First what happens at once, so that many are hit at the same moment.
        injection.doubts.extend(storage::begin_troubles(stand, deeds));
        for deed in deeds {
            if let Deed::Kill(node) | Deed::Ahead(node, _) = deed {
                injection.note(stand.controllers[*node].signal(Signal::KILL).map_err(text).err());
            }
        }
        // Other deeds may take seconds, and by then somebody else may lead than whom the rules were made for.
        let of_fault = || deeds.iter().zip(plan.of.iter().copied());
        for (deed, fault) in of_fault() {
            if let Deed::Rule(rule) = deed {
                injection.done.push(Done::Rule(stand.fabric.add(rule.clone()), fault));
            }
        }
        injection.doubts.extend(storage::cut_power(stand, deeds).await);
        for (deed, fault) in of_fault().filter(|(deed, _)| !matches!(deed, Deed::Rule(_))) {
            match injection.carry_out(stand, (deed, fault)).await {
                Ok(done) => injection.done.push(done),
                Err(why) => injection.doubts.push(why),
            }
        }
        injection.await_crowds().await;
        injection
    }

    pub(super) fn note(&mut self, doubt: Option<String>) {
        self.doubts.extend(doubt);
    }

    async fn carry_out(
        &mut self,
        stand: &mut Stand,
        (deed, fault): (&Deed, &'static str),
    ) -> Result<Done, String> {
        match deed {
            Deed::Kill(node) => {
                self.await_end(stand, *node, Signal::KILL).await?;
                Ok(Done::Down(*node))
            }
            Deed::Ahead(node, seconds) => {
                self.await_end(stand, *node, Signal::KILL).await?;
                Ok(Done::DownAhead(*node, *seconds))
            }
            Deed::Term(node) => {
                self.end_by(stand, *node, Signal::TERM).await?;
                Ok(Done::Down(*node))
            }
            Deed::CrashLoop(node, loops) => self.crash_again(stand, (*node, *loops)).await,
            Deed::KillAtStart(node, after_ms) => self.kill_at_start(stand, (*node, after_ms)).await,
            Deed::KillInSnapshot(node) => self.kill_in_snapshot(stand, *node).await,
            Deed::Rolling => self.roll(stand, None).await.map(|()| Done::Over),
            Deed::Skew(node, skewed) => self.skew(stand, *node, *skewed),
            Deed::Upgrade => self.upgrade(stand).await,
            Deed::Suspend(node) => self.suspend(stand, *node).await,
            Deed::Freeze(node) => self.freeze(stand, *node).await,
            Deed::Rule(rule) => Ok(Done::Rule(stand.fabric.add(rule.clone()), fault)),
            Deed::Quota(node, per_cent) => self.limit_processor(stand, (*node, *per_cent)),
            Deed::Throttle(node, writes) => self.throttle(stand, (*node, *writes)),
            Deed::Fill(node) => self.fill(stand, *node),
            Deed::Disk(node, trouble) => self.trouble(stand, (*node, *trouble, fault)).await,
            Deed::PowerLoss(node, loss, seed) => {
                self.lose(stand, (*node, *loss, *seed), fault).await
            }
            Deed::Damage(node, rest, seed) => self.damage(stand, (*node, *rest, *seed)).await,
            Deed::Backup(node) => self.back_up(stand, *node).await,
            Deed::Wipe(node, farewell) => self.end_and_wipe(stand, (*node, *farewell)).await,
            Deed::Memory(node) => self.starve(stand, *node).await,
            Deed::NoDescriptors(node) => self.limit_descriptors(stand, *node),
            Deed::Crowd(node, manner) => self.crowd(stand, (*node, *manner)),
            Deed::Reload(node, seconds) => self.reload(stand, (*node, *seconds)).await,
            Deed::KillBroker(set, place) => {
                if !stand.end_broker((*set, *place), END).await {
                    return Err(format!("broker {place} of set {set} did not end"));
                }
                self.evidence.push(format!("broker {place} of set {set} ended"));
                Ok(Done::Broker(*set, *place))
            }
            Deed::SuspendBroker(set, place) => self.suspend_broker(stand, (*set, *place)).await,
        }
    }

    /// Undoes all deeds, and asks for what confirms them.
    pub(crate) async fn end(&mut self, stand: &mut Stand) {
        let mut packets = Vec::new();
        self.stop_crowds();
        for done in std::mem::take(&mut self.done) {
            if let Done::Rule(id, fault) = done {
                let lifted = stand.fabric.remove(id);
                packets.extend(lifted.map(|lifted| Packets { fault, lifted }));
            } else if let Err(why) = self.undo(stand, done).await {
                self.doubts.push(why);
            }
        }
        self.start_the_rest(&mut stand.controllers).await;
        self.evidence.extend(network::evidence(&packets));
        self.doubts.extend(network::unfelt(&packets, &self.ways));
        self.doubts.extend(storage::unfelt(&self.disks_felt, self.is_each_disk_used));
        self.doubts.extend(unfelt(&self.crowds_felt));
        self.note((self.clocks_read == Some(0)).then(|| "nobody read a wrong clock".to_owned()));
    }

    async fn undo(&mut self, stand: &mut Stand, done: Done) -> Result<(), String> {
        match done {
            Done::Over => Ok(()),
            Done::Rule(id, _) => {
                stand.fabric.remove(id);
                Ok(())
            }
            Done::Down(node) => self.start(stand, node).await,
            Done::DownAhead(node, seconds) => self.start_ahead(stand, (node, seconds)).await,
            Done::Skewed(node, skewed, before, whose) => {
                self.end_skew(stand, (node, skewed, before, whose))
            }
            Done::Upgraded(before) => self.roll(stand, Some(&before)).await,
            Done::Suspended(node) => resume(&stand.controllers[node]).await,
            Done::Frozen(node, freezer) => self.thaw(node, freezer).await,
            Done::SuspendedBroker(place) => resume(broker(stand, place)?).await,
            Done::Reloaded(node, before) => self.reload_back(stand, (node, &before)).await,
            Done::Crowded(node, manner, crowd) => self.disperse((node, manner), crowd).await,
            Done::Quota(node, quota) => self.end_quota((node, quota)),
            Done::Throttled(throttled) => self.end_throttle(throttled),
            Done::Full(node, ballast) => self.free(stand, (node, &ballast)).await,
            Done::Troubled(troubled) => self.heal_disk(stand, troubled).await,
            Done::Damaged(damaged) => self.start_damaged(stand, damaged).await,
            Done::BackedUp(backup) => self.restore(stand, backup).await,
            Done::Limited(node, before) => end_limit(stand, (node, before)),
            Done::Broker(set, place) => stand.start_broker((set, place)).await.map_err(text),
        }
    }
}

/// A process that ended though no fault ended it, in words.
pub(crate) fn unexpected_end(stand: &mut Stand) -> Option<String> {
    let ended = |controller: &mut Controller| {
        let status = controller.ended()?;
        Some(format!("{} ended by itself: {status}", controller.plan.name))
    };
    let of_brokers = || stand.troupe.as_mut()?.unexpected_end();
    stand.controllers.iter_mut().find_map(ended).or_else(of_brokers)
}

pub(super) fn pid(stand: &Stand, node: usize) -> Result<i32, String> {
    let pid = stand.controllers[node].pid().ok_or_else(|| format!("n{node} does not run"))?;
    Ok(pid.as_raw_nonzero().get())
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
