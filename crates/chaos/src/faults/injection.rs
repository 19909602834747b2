//! Deeds done, confirmed, and undone.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | kill, term, crash loop, rolling | the exit status says the signal; a new process afterwards |
//! | suspend | the process is in state `T`, and not after healing |
//! | kill at start, freeze, throttle | see `processes.rs` |
//! | kill in a snapshot | see `snapshots.rs` |
//! | rules of the network | packets that those of each fault touched, see `network.rs` |
//! | quota | `nr_throttled` grew |
//! | full disk | no block is free |
//! | no descriptors | the limit as the kernel reports it |
//! | clock ahead | `timens_offsets` of the new process |
//! | clocks | readings that the library counts, and by how much the last one was off |
//! | upgrade | the file that the new process executes |
//! | memory | the kernel counts whom it killed |
//! | a broker's end | its thread says that its sockets are closed; of a process, its exit status |
//! | a broker that stands still | its process is in state `T`, and not after healing |
//! | crowds | see `crowds.rs` |
//! | a setting | see `settings.rs` |
//! | disks and files | see `storage.rs` |
//!
//! What one of two faults at once did does not stand for the other.
//!
//! A deed that is not confirmed makes the run INVALID: nobody knows what was tested.

use super::crowds::{are_one_crowd, unfelt};
use super::network::{self, Felt as Packets, Way};
use super::plan::{Deed, Plan, Scene};
use super::processes::Throttled;
use super::storage::{self, Backup, Damaged, Troubled};
use crate::actors::recorder::View;
use crate::crowd::{Crowd, Manner};
use crate::disk::Order;
use crate::ground::cgroup::Limit;
use crate::ground::controller::{Controller, is_killed};
use crate::ground::freezer::Freezer;
use crate::ground::skew::{Felt, Skewed};
use crate::stand::Stand;
use rustix::fs::statvfs;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a process may take to end: by TERM it hands its leadership over first.
const END: Duration = Duration::from_secs(15);

/// How long a controller may take to follow a leader again between two of a rolling restart.
const ROLL: Duration = Duration::from_secs(15);

/// Bytes written at once to fill a disk.
const FILL_BYTES: usize = 64 * 1024;

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
    clocks_read: Option<i64>,
    /// Controllers that felt their crowds of each manner that was sent.
    pub(super) crowds_felt: BTreeMap<Manner, usize>,
    /// Whether crowds of one manner are all there is, so that each must be felt.
    pub(super) is_crowds_only: bool,
    /// Controllers that a deed ends, stops or slows.
    pub(super) hindered: BTreeSet<usize>,
    /// Who sat at each node when it began.
    pub(super) members: Vec<u64>,
    /// Controllers that were told to end and did not in time.
    overdue: BTreeSet<usize>,
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

    fn note(&mut self, doubt: Option<String>) {
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
                stand.controllers[*node].signal(Signal::TERM).map_err(text)?;
                self.await_end(stand, *node, Signal::TERM).await?;
                Ok(Done::Down(*node))
            }
            Deed::CrashLoop(node, loops) => {
                for _ in 0..*loops {
                    stand.controllers[*node].signal(Signal::KILL).map_err(text)?;
                    self.await_end(stand, *node, Signal::KILL).await?;
                    stand.controllers[*node].start().await.map_err(text)?;
                }
                Ok(Done::Over)
            }
            Deed::KillAtStart(node, after_ms) => self.kill_at_start(stand, (*node, after_ms)).await,
            Deed::KillInSnapshot(node) => self.kill_in_snapshot(stand, *node).await,
            Deed::Rolling => self.roll(stand, None).await.map(|()| Done::Over),
            Deed::Skew(node, skewed) => self.skew(stand, *node, *skewed),
            Deed::Upgrade => self.upgrade(stand).await,
            Deed::Suspend(node) => self.suspend(stand, *node).await,
            Deed::Freeze(node) => self.freeze(stand, *node).await,
            Deed::Rule(rule) => Ok(Done::Rule(stand.fabric.add(rule.clone()), fault)),
            Deed::Quota(node, per_cent) => {
                let pid = pid(stand, *node)?;
                let quota = Limit::processor(stand.run, &format!("n{node}"), pid, *per_cent);
                self.evidence.push(format!("n{node} has {per_cent} % of a processor"));
                Ok(Done::Quota(*node, quota.map_err(text)?))
            }
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
            Deed::SuspendBroker(set, place) => {
                let broker = process(stand, *place)?;
                broker.signal(Signal::STOP).map_err(text)?;
                let state = await_state(broker, true).await;
                self.evidence.push(format!("broker {place} of set {set} is in state {state}"));
                if state == 'T' {
                    Ok(Done::SuspendedBroker(*place))
                } else {
                    Err(format!("broker {place} of set {set} runs on"))
                }
            }
        }
    }

    pub(super) async fn await_end(
        &mut self,
        stand: &mut Stand,
        node: usize,
        by: Signal,
    ) -> Result<(), String> {
        // A killed process cannot end while its disk hangs; it never learns what its call returned.
        if let Some(disk) = stand.disks.get_mut(node).filter(|_| by == Signal::KILL) {
            disk.order(Order::Release).map_err(text)?;
        }
        let Some(status) = stand.controllers[node].await_end(END).await else {
            self.overdue.insert(node);
            return Err(format!("n{node} did not end"));
        };
        self.evidence.push(format!("n{node} ended: {status}"));
        let kind = stand.controllers[node].plan.kind;
        let is_right =
            if by == Signal::TERM { kind.ends_politely(status) } else { is_killed(status) };
        if is_right { Ok(()) } else { Err(format!("n{node} ended otherwise: {status}")) }
    }

    /// Restarts one controller after the other, with another program if one is given.
    async fn roll(&mut self, stand: &mut Stand, program: Option<&Path>) -> Result<(), String> {
        for node in 0..stand.controllers.len() {
            stand.controllers[node].signal(Signal::TERM).map_err(text)?;
            self.await_end(stand, node, Signal::TERM).await?;
            if let Some(program) = program {
                program.clone_into(&mut stand.controllers[node].plan.program);
            }
            stand.controllers[node].start().await.map_err(text)?;
            if let Some(program) = program {
                self.confirm_program(&stand.controllers[node], program)?;
            }
            // What was seen before the restart says nothing: look at what comes after it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            if !stand.until(ROLL, |stand| stand.is_whole()).await {
                return Err(format!(
                    "the cluster was not whole again after the restart of n{node}"
                ));
            }
        }
        Ok(())
    }

    async fn upgrade(&mut self, stand: &mut Stand) -> Result<Done, String> {
        let before = stand.controllers[0].plan.program.clone();
        let after = stand.other_program.clone().ok_or("there is no other build")?;
        if after == before {
            self.evidence.push("the same program again: a replacement".to_owned());
        }
        self.roll(stand, Some(&after)).await?;
        Ok(Done::Upgraded(before))
    }

    async fn suspend(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        stand.controllers[node].signal(Signal::STOP).map_err(text)?;
        let state = await_state(&stand.controllers[node], true).await;
        self.evidence.push(format!("n{node} is in state {state}"));
        let is_stopped = state == 'T';
        is_stopped.then_some(Done::Suspended(node)).ok_or_else(|| format!("n{node} runs on"))
    }

    fn confirm_program(&mut self, controller: &Controller, wanted: &Path) -> Result<(), String> {
        let name = &controller.plan.name;
        let link = controller.of_process("exe").ok_or_else(|| format!("{name} does not run"))?;
        let runs = fs::read_link(link).map_err(text)?;
        self.evidence.push(format!("{name} runs {}", runs.display()));
        let is_right = runs == wanted;
        is_right.then_some(()).ok_or_else(|| format!("{name} runs not {}", wanted.display()))
    }

    fn skew(&mut self, stand: &Stand, node: usize, skewed: Skewed) -> Result<Done, String> {
        let controller = &stand.controllers[node];
        let skew = controller.skew.as_ref().ok_or("its clocks are the kernel's")?;
        let before = skew.felt().map_err(text)?;
        skew.set(skewed, controller.ahead).map_err(text)?;
        self.clocks_read.get_or_insert(0);
        Ok(Done::Skewed(node, skewed, before, controller.pid()))
    }

    fn end_skew(
        &mut self,
        stand: &Stand,
        (node, skewed, before, whose): (usize, Skewed, Felt, Option<Pid>),
    ) -> Result<(), String> {
        let controller = &stand.controllers[node];
        let skew = controller.skew.as_ref().ok_or("its clocks are the kernel's")?;
        let felt = skew.felt().map_err(text)?;
        skew.set(Skewed::default(), controller.ahead).map_err(text)?;
        // Another fault of the same moment ended it; whoever runs there now began with true clocks.
        if controller.pid() != whose {
            self.evidence.push(format!("n{node}, whose clocks were wrong, ended"));
            return Ok(());
        }
        let reads = felt.reads - before.reads;
        *self.clocks_read.get_or_insert(0) += reads;
        let gained_ms = (felt.ahead - before.ahead) / 1_000_000;
        let jumped_s = felt.jumped / 1_000_000_000;
        self.evidence.push(format!(
            "n{node} read clocks {reads} times; they gained {gained_ms} ms, civil time was {jumped_s} s ahead"
        ));
        let is_felt = reads > 0
            && jumped_s == skewed.jump_s
            && gained_ms.signum() == skewed.rate_ppm.signum();
        is_felt.then_some(()).ok_or_else(|| format!("n{node} did not read other clocks"))
    }

    fn fill(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        let folder = stand.store(node);
        let ballast = folder.join("ballast");
        let mut file = File::create(&ballast).map_err(text)?;
        for bytes in [FILL_BYTES, 1] {
            let chunk = vec![0; bytes];
            while file.write_all(&chunk).is_ok() {}
        }
        let free = free_blocks(&folder)?;
        self.evidence.push(format!("n{node} has {free} free blocks"));
        if free == 0 {
            Ok(Done::Full(node, ballast))
        } else {
            Err(format!("{free} blocks are free"))
        }
    }

    async fn free(
        &mut self,
        stand: &mut Stand,
        (node, ballast): (usize, &Path),
    ) -> Result<(), String> {
        fs::remove_file(ballast).map_err(text)?;
        // Only then is it certain that the room is there again.
        File::open(stand.store(node)).and_then(|store| store.sync_all()).map_err(text)?;
        let controller = &mut stand.controllers[node];
        let Some(status) = controller.ended() else { return Ok(()) };
        let is_right = controller.plan.kind.may_end_when_disk_fails(status);
        let list = if is_right { &mut self.evidence } else { &mut self.accidents };
        list.push(format!("n{node} ended: {status}"));
        self.start(stand, node).await
    }

    fn limit_descriptors(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        let controller = &stand.controllers[node];
        let folder = controller.of_process("fd").ok_or("it does not run")?;
        let open = fs::read_dir(folder).map_err(text)?.count() as u64;
        let pid = controller.pid();
        let before = limit(pid, None)?;
        limit(pid, Some(Rlimit { current: Some(open), ..before }))?;
        let now = limit(pid, None)?.current;
        self.evidence.push(format!("n{node} has {open} descriptors open and may have no more"));
        if now == Some(open) { Ok(Done::Limited(node, before)) } else { Err("no limit".to_owned()) }
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
            Done::DownAhead(node, seconds) => {
                stand.controllers[node].ahead = seconds;
                self.start(stand, node).await?;
                let file =
                    stand.controllers[node].of_process("timens_offsets").ok_or("it ended")?;
                let offsets = fs::read_to_string(file).map_err(text)?;
                let is_ahead = offsets.split_whitespace().any(|word| word == seconds.to_string());
                self.evidence.push(format!("n{node} is {seconds} s ahead"));
                if is_ahead { Ok(()) } else { Err(format!("no clock of its own: {offsets}")) }
            }
            Done::Skewed(node, skewed, before, whose) => {
                self.end_skew(stand, (node, skewed, before, whose))
            }
            Done::Upgraded(before) => self.roll(stand, Some(&before)).await,
            Done::Suspended(node) => {
                stand.controllers[node].signal(Signal::CONT).map_err(text)?;
                match await_state(&stand.controllers[node], false).await {
                    'T' => Err(format!("n{node} does not go on")),
                    _ => Ok(()),
                }
            }
            Done::Frozen(node, freezer) => self.thaw(node, freezer).await,
            Done::SuspendedBroker(place) => {
                let broker = process(stand, place)?;
                broker.signal(Signal::CONT).map_err(text)?;
                match await_state(broker, false).await {
                    'T' => Err(format!("broker {place} does not go on")),
                    _ => Ok(()),
                }
            }
            Done::Reloaded(node, before) => self.reload_back(stand, (node, &before)).await,
            Done::Crowded(node, manner, crowd) => self.disperse((node, manner), crowd).await,
            Done::Quota(node, quota) => {
                let times = quota.throttled();
                self.evidence.push(format!("n{node} was throttled {times} times"));
                quota.lift().map_err(text)?;
                if times > 0 { Ok(()) } else { Err(format!("n{node} was never throttled")) }
            }
            Done::Throttled(throttled) => self.end_throttle(throttled),
            Done::Full(node, ballast) => self.free(stand, (node, &ballast)).await,
            Done::Troubled(troubled) => self.heal_disk(stand, troubled).await,
            Done::Damaged(damaged) => self.start_damaged(stand, damaged).await,
            Done::BackedUp(backup) => self.restore(stand, backup).await,
            Done::Limited(node, before) => {
                limit(stand.controllers[node].pid(), Some(before)).map(drop)
            }
            Done::Broker(set, place) => stand.start_broker((set, place)).await.map_err(text),
        }
    }

    /// Starts whom a deed ended that was then in doubt, and of whom nothing that was done speaks: a run with a doubt is
    /// INVALID, and must not FAIL for a controller that nobody started.
    async fn start_the_rest(&mut self, controllers: &mut [Controller]) {
        for node in std::mem::take(&mut self.overdue) {
            // Told again, now that nothing holds it: TERM may have been all that it heard.
            self.note(controllers[node].signal(Signal::KILL).map_err(text).err());
            controllers[node].await_end(END).await;
        }
        let down = controllers.iter_mut().filter(|controller| controller.pid().is_none());
        for controller in down {
            let name = &controller.plan.name;
            self.doubts.push(format!("{name} was down, and nobody was to start it"));
            self.note(controller.start().await.map_err(text).err());
        }
    }

    pub(super) async fn start(&mut self, stand: &mut Stand, node: usize) -> Result<(), String> {
        let pid = stand.controllers[node].start().await.map_err(text)?;
        self.evidence.push(format!("n{node} runs again, process {}", pid.as_raw_nonzero()));
        Ok(())
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

/// A broker that is a process.
fn process(stand: &Stand, place: usize) -> Result<&Controller, String> {
    let brokers = stand.troupe.as_ref().map(|troupe| &troupe.brokers);
    brokers.and_then(|brokers| brokers.get(place)).ok_or("no broker is a process".to_owned())
}

async fn await_state(process: &Controller, is_stopped: bool) -> char {
    let mut state = '?';
    for _ in 0..100 {
        state = process.state().unwrap_or('?');
        if (state == 'T') == is_stopped {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    state
}

pub(super) fn pid(stand: &Stand, node: usize) -> Result<i32, String> {
    let pid = stand.controllers[node].pid().ok_or_else(|| format!("n{node} does not run"))?;
    Ok(pid.as_raw_nonzero().get())
}

/// Sets the limit of descriptors, or only asks for it.
fn limit(pid: Option<Pid>, new: Option<Rlimit>) -> Result<Rlimit, String> {
    let pid = pid.ok_or("it does not run")?;
    match new {
        Some(new) => prlimit(Some(pid), Resource::Nofile, new).map_err(text),
        None => {
            let path = format!("/proc/{}/limits", pid.as_raw_nonzero());
            let limits = fs::read_to_string(path).map_err(text)?;
            let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
            let mut numbers = line.unwrap_or_default().split_whitespace();
            let mut number = || numbers.next().and_then(|word| word.parse().ok());
            Ok(Rlimit { current: number(), maximum: number() })
        }
    }
}

fn free_blocks(folder: &Path) -> Result<u64, String> {
    statvfs(folder).map(|system| system.f_bavail).map_err(text)
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
#[path = "injection_tests.rs"]
mod tests;
