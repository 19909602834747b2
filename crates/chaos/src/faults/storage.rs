//! Deeds that are about disks and files.
//!
//! | Deed | Confirmed by | Expected of the controller |
//! |---|---|---|
//! | the disk fails | operations that failed | it ends with the exit code of a failed journal, and refuses to start before it is healed |
//! | the disk hangs or is slow | operations that were held or delayed | it goes on afterwards |
//! | power loss | bytes or names that are gone | it starts from what is left |
//! | damage at rest | the hash of its files, before and after | it refuses, naming the damage; wiped, it is taken back |
//! | a restored backup | the hash; the leader is still the one that knows better | it says so and stops serving; wiped, it is taken back |
//! | wiped, replaced | the files are gone; another member sits there at the end | it is taken back without a person |
//!
//! What a controller must not do — go on over a disk that failed, start from damage — is an *accident*, which fails the
//! run; what was not confirmed is a *doubt*, which makes it INVALID.

use super::injection::{Done, Injection, text};
use super::plan::{Deed, Farewell, Plan, Scene};
use super::rest::{self, Rest};
use crate::actors::recorder::View;
use crate::clock;
use crate::disk::{Answer, Loss, Lost, Operations, Order, Trouble};
use crate::draw::Draw;
use crate::ground::cgroup::Limit;
use crate::ground::controller::is_killed;
use crate::stand::Stand;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// How long a controller may take to use its disk, to end after it failed, or to be killed for its memory. A follower
/// that hears nothing uses its disk again when it campaigns.
const FELT: Duration = Duration::from_secs(8);

/// How long the process of a failed journal may take to end.
const ENDS: Duration = Duration::from_secs(2);

/// How long a restored peer may take to hear from the leader that it forgot something.
const NOTICED: Duration = Duration::from_secs(10);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// What a controller says of a disk that is older than what it acknowledged. Source: `crates/server/src/notes.rs`.
const FORGOT: &str = "lost data that it had acknowledged";

/// What every text of a damaged journal ends with. Source: `crates/journal/src/error.rs`.
const REFUSES: &str = "must not vote from it again";

/// A disk in trouble.
#[derive(Debug)]
pub(super) struct Troubled {
    node: usize,
    trouble: Trouble,
    fault: &'static str,
}

/// A copy of the files of a controller, and who led with which term when they were copied.
#[derive(Debug)]
pub(super) struct Backup {
    node: usize,
    copy: PathBuf,
    leader: (usize, u64),
}

/// A controller whose files were damaged.
#[derive(Debug)]
pub(super) struct Damaged {
    node: usize,
    rest: Rest,
}

fn order(stand: &mut Stand, node: usize, order: Order) -> Result<Answer, String> {
    stand.disks.get_mut(node).ok_or("no disk of ours")?.order(order).map_err(text)
}

fn view(stand: &Stand, node: usize) -> Option<View> {
    stand.recorder.latest().into_iter().nth(node).flatten()
}

/// Who leads, with which term.
fn leadership(stand: &Stand) -> Option<(usize, u64)> {
    let leader = stand.leader()?;
    Some((leader, view(stand, leader)?.term))
}

/// Whether a failing disk ends a controller.
fn is_deadly(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::Fail(_) | Trouble::ReadOnly)
}

/// Puts the trouble of all `deeds` in force at the same moment.
pub(super) fn begin_troubles(stand: &mut Stand, deeds: &[Deed]) -> Vec<String> {
    let mut doubts = Vec::new();
    for deed in deeds {
        let trouble = match deed {
            Deed::Disk(node, trouble) => Some((*node, *trouble)),
            // Between a write and its sync there is something to be lost.
            Deed::PowerLoss(node, ..) => Some((*node, Trouble::Hang(Operations::Syncs))),
            _ => None,
        };
        if let Some((node, trouble)) = trouble {
            doubts.extend(order(stand, node, Order::Begin(trouble)).err());
        }
    }
    doubts
}

/// Takes the power of all controllers whose disks hold a write that nobody synced.
pub(super) async fn cut_power(stand: &mut Stand, deeds: &[Deed]) -> Vec<String> {
    let mut doubts = Vec::new();
    let nodes = deeds.iter().filter_map(|deed| match deed {
        Deed::PowerLoss(node, ..) => Some(*node),
        _ => None,
    });
    let nodes: Vec<usize> = nodes.collect();
    if nodes.is_empty() {
        return doubts;
    }
    let began = clock::now();
    loop {
        let mut are_held = true;
        for node in &nodes {
            are_held &= order(stand, *node, Order::Count).is_ok_and(|said| said.counts.held > 0);
        }
        if are_held || clock::now() - began > nanos(FELT) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    for node in &nodes {
        doubts.extend(stand.controllers[*node].signal(Signal::KILL).map_err(text).err());
    }
    doubts
}

/// Whether each disk in trouble is certainly used: nothing else is done, and a leader with a sound disk and a majority goes
/// on to send entries to all. Otherwise one may be still for longer than the fault lasts.
pub(super) fn is_each_used(scene: &Scene, plan: &Plan) -> bool {
    let mut nodes = Vec::new();
    for deed in &plan.deeds {
        match deed {
            Deed::Disk(node, _) | Deed::PowerLoss(node, ..) => nodes.push(*node),
            _ => return false,
        }
    }
    nodes.len() <= (scene.controllers.len() - 1) / 2 && !nodes.contains(&scene.leader)
}

/// A doubt for each fault of disks of which no disk was used, or not each that is certainly used.
pub(super) fn unfelt(felt: &BTreeMap<&'static str, Vec<u64>>, is_each_used: bool) -> Vec<String> {
    let mut doubts = Vec::new();
    for (fault, disks) in felt {
        let unused = disks.iter().filter(|times| **times == 0).count();
        if unused == disks.len() {
            doubts.push(format!("{fault}: no disk was used"));
        } else if unused > 0 && is_each_used {
            doubts.push(format!("{fault}: {unused} of {} disks were not used", disks.len()));
        }
    }
    doubts
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Injection {
    pub(super) async fn trouble(
        &mut self,
        stand: &mut Stand,
        (node, trouble, fault): (usize, Trouble, &'static str),
    ) -> Result<Done, String> {
        if is_deadly(trouble) {
            match stand.controllers[node].await_end(FELT).await {
                Some(status) => self.judge_end(stand, node, status),
                None => self.evidence.push(format!("n{node} did not use its disk at first")),
            }
        }
        Ok(Done::Troubled(Troubled { node, trouble, fault }))
    }

    fn judge_end(&mut self, stand: &Stand, node: usize, status: ExitStatus) {
        let controller = &stand.controllers[node];
        let said = format!("n{node} ended: {status}, {}", controller.last_words());
        if controller.plan.kind.may_end_when_disk_fails(status) {
            self.evidence.push(said);
        } else {
            self.accidents.push(said);
        }
    }

    pub(super) async fn heal_disk(
        &mut self,
        stand: &mut Stand,
        troubled: Troubled,
    ) -> Result<(), String> {
        let Troubled { node, trouble, fault } = troubled;
        if let Some(status) = stand.controllers[node].ended() {
            self.judge_end(stand, node, status);
        }
        let has_ended = stand.controllers[node].pid().is_none();
        if has_ended && is_deadly(trouble) {
            self.expect_refusal(stand, node, "with a failing disk").await?;
        }
        let counts = order(stand, node, Order::Heal)?.counts;
        let (felt, how) = match trouble {
            Trouble::Fail(_) | Trouble::ReadOnly => (counts.failed, "failed"),
            Trouble::Delay(..) => (counts.delayed, "were delayed"),
            Trouble::Hang(_) => (counts.held, "did not return"),
        };
        self.evidence.push(format!("n{node}: {felt} operations {how}"));
        self.feel(fault, felt);
        if !has_ended && counts.failed > 0 {
            match stand.controllers[node].await_end(ENDS).await {
                Some(status) => self.judge_end(stand, node, status),
                None => {
                    self.accidents
                        .push(format!("n{node} goes on although its disk failed (rule J4)"));
                }
            }
        }
        if stand.controllers[node].pid().is_none() { self.start(stand, node).await } else { Ok(()) }
    }

    /// What was felt of one disk's trouble.
    fn feel(&mut self, fault: &'static str, times: u64) {
        self.disks_felt.entry(fault).or_default().push(times);
    }

    /// A controller that cannot use its disk must not serve.
    async fn expect_refusal(
        &mut self,
        stand: &mut Stand,
        node: usize,
        what: &str,
    ) -> Result<bool, String> {
        let controller = &mut stand.controllers[node];
        match controller.attempt().await.map_err(text)? {
            None => {
                self.accidents.push(format!("n{node} starts {what}"));
                controller.signal(Signal::KILL).map_err(text)?;
                self.await_end(stand, node, Signal::KILL).await?;
                Ok(false)
            }
            Some(status) => {
                let said = format!("n{node} refuses: {}", controller.last_words());
                let is_right = controller.plan.kind.refuses_to_start(status);
                let list = if is_right { &mut self.evidence } else { &mut self.accidents };
                list.push(said);
                Ok(true)
            }
        }
    }

    pub(super) async fn lose(
        &mut self,
        stand: &mut Stand,
        (node, loss, seed): (usize, Loss, u64),
        fault: &'static str,
    ) -> Result<Done, String> {
        self.await_end(stand, node, Signal::KILL).await?;
        let lost = order(stand, node, Order::Power(loss, seed))?.lost;
        order(stand, node, Order::Heal)?;
        let Lost { at_stake, bytes, names } = lost;
        self.evidence.push(format!(
            "n{node} lost {bytes} bytes and {names} changes of names, with {at_stake} sectors or names not synced"
        ));
        // What is torn may turn out whole.
        let felt = match loss {
            Loss::Drop => bytes + names,
            Loss::Tear => at_stake,
        };
        self.feel(fault, felt as u64);
        Ok(Done::Down(node))
    }

    pub(super) async fn damage(
        &mut self,
        stand: &mut Stand,
        (node, rest, seed): (usize, Rest, u64),
    ) -> Result<Done, String> {
        self.end_by(stand, node, Signal::KILL).await?;
        self.spoil(stand, node, |store| rest::damage(rest, store, &mut Draw::new(seed)))?;
        Ok(Done::Damaged(Damaged { node, rest }))
    }

    /// Starts from damaged files: that must be refused, and the way back is an empty disk.
    pub(super) async fn start_damaged(
        &mut self,
        stand: &mut Stand,
        damaged: Damaged,
    ) -> Result<(), String> {
        let Damaged { node, rest } = damaged;
        if !self.expect_refusal(stand, node, "from damaged files").await? {
            return self.start(stand, node).await;
        }
        let said = stand.controllers[node].last_words();
        if !said.contains(REFUSES) {
            self.accidents.push(format!("n{node} does not say what to do about {rest:?}: {said}"));
        }
        self.wipe(stand, node)?;
        self.start(stand, node).await
    }

    pub(super) async fn end_and_wipe(
        &mut self,
        stand: &mut Stand,
        (node, farewell): (usize, Farewell),
    ) -> Result<Done, String> {
        let by = match farewell {
            Farewell::Killed => Signal::KILL,
            Farewell::Polite => Signal::TERM,
        };
        self.end_by(stand, node, by).await?;
        self.wipe(stand, node)?;
        Ok(Done::Down(node))
    }

    /// Removes the files of a controller that does not run; another member must sit there at the end.
    fn wipe(&mut self, stand: &Stand, node: usize) -> Result<(), String> {
        let member = self.members.get(node).copied().ok_or("it is not known who sat there")?;
        self.spoil(stand, node, |store| rest::damage(Rest::Wipe, store, &mut Draw::new(0)))?;
        self.replaced.push((node, member));
        Ok(())
    }

    /// Changes files; they must be others afterwards.
    fn spoil(
        &mut self,
        stand: &Stand,
        node: usize,
        change: impl FnOnce(&std::path::Path) -> std::io::Result<String>,
    ) -> Result<(), String> {
        let store = stand.store(node);
        let before = rest::digest(&store).map_err(text)?;
        let said = change(&store).map_err(text)?;
        // What is gone must not come back when the power goes later.
        File::open(&store).and_then(|store| store.sync_all()).map_err(text)?;
        let after = rest::digest(&store).map_err(text)?;
        self.evidence.push(format!("n{node}: {said}, files {before:016x} are {after:016x}"));
        if before == after { Err(format!("n{node}: no file changed")) } else { Ok(()) }
    }

    pub(super) async fn back_up(&mut self, stand: &mut Stand, node: usize) -> Result<Done, String> {
        let leader = leadership(stand).ok_or("nobody leads")?;
        self.end_by(stand, node, Signal::KILL).await?;
        let copy = stand.folder.join(format!("n{node}")).join("backup");
        rest::copy(&stand.store(node), &copy).map_err(text)?;
        stand.controllers[node].start().await.map_err(text)?;
        Ok(Done::BackedUp(Backup { node, copy, leader }))
    }

    /// Starts from the copy: the leader tells it what it forgot, and the way back is an empty disk.
    pub(super) async fn restore(
        &mut self,
        stand: &mut Stand,
        backup: Backup,
    ) -> Result<(), String> {
        let Backup { node, copy, leader } = backup;
        if leadership(stand) != Some(leader) {
            // Nobody knows any more what it acknowledged: restoring would lose it, which is no finding.
            fs::remove_dir_all(&copy).map_err(text)?;
            return Err("leadership changed between the copy and its restoring".to_owned());
        }
        self.end_by(stand, node, Signal::KILL).await?;
        self.spoil(stand, node, |store| {
            rest::copy(&copy, store).map(|()| "its backup was restored".to_owned())
        })?;
        fs::remove_dir_all(&copy).map_err(text)?;
        let log = &stand.controllers[node].plan.log;
        let said = fs::metadata(log).map_err(text)?.len();
        stand.controllers[node].start().await.map_err(text)?;
        let began = clock::now();
        let mut has_noticed = false;
        while !has_noticed && clock::now() - began < nanos(NOTICED) {
            tokio::time::sleep(LOOK).await;
            has_noticed = stand.controllers[node].said(said).map_err(text)?.contains(FORGOT);
        }
        if has_noticed {
            self.evidence.push(format!("n{node} says that it forgot what it acknowledged"));
        } else {
            self.accidents.push(format!("n{node} serves from a restored backup (rule D21)"));
        }
        self.end_by(stand, node, Signal::KILL).await?;
        self.wipe(stand, node)?;
        self.start(stand, node).await
    }

    pub(super) async fn starve(&mut self, stand: &mut Stand, node: usize) -> Result<Done, String> {
        let pid = super::injection::pid(stand, node)?;
        let limit = Limit::memory(stand.run, &format!("n{node}"), pid).map_err(text)?;
        let status = stand.controllers[node].await_end(FELT).await;
        let killed = limit.killed();
        self.evidence.push(format!("the kernel killed {killed} for the memory of n{node}"));
        match status {
            Some(status) if is_killed(status) && killed > 0 => Ok(Done::Down(node)),
            Some(status) => Err(format!("n{node} ended otherwise: {status}")),
            None => {
                limit.lift().map_err(text)?;
                Err(format!("n{node} was not killed"))
            }
        }
    }

    /// Once all is well again: who lost its disk must be another member.
    pub(crate) fn confirm_members(&mut self, stand: &Stand) {
        for (node, before) in std::mem::take(&mut self.replaced) {
            match view(stand, node).map(|view| view.member) {
                Some(now) if now != before => {
                    self.evidence.push(format!("n{node} is member {now}, before {before}"));
                }
                Some(_) => self.accidents.push(format!(
                    "n{node} is member {before} as before, though its disk was wiped (rule M4)"
                )),
                None => self.doubts.push(format!("n{node} does not say which member it is")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_each_used, unfelt};
    use crate::draw::Draw;
    use crate::faults::parse;
    use crate::faults::plan::{Scene, plan};
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::Ipv4Addr;

    #[test]
    fn each_fault_of_disks_is_felt_by_itself() {
        let check = |felt: &[(&'static str, &[u64])], is_each_used, expected: &[&str]| {
            let felt: BTreeMap<_, _> = felt.iter().map(|(name, of)| (*name, of.to_vec())).collect();
            assert_eq!(unfelt(&felt, is_each_used), expected);
        };
        check(&[], true, &[]);
        check(&[("io-hang", &[3]), ("power-loss", &[4096])], false, &[]);
        check(&[("io-hang", &[3]), ("power-loss", &[0])], false, &["power-loss: no disk was used"]);
        check(&[("io-hang", &[3, 0])], false, &[]);
        check(&[("io-hang", &[3, 0])], true, &["io-hang: 1 of 2 disks were not used"]);
    }

    #[test]
    fn each_disk_of_a_minority_without_the_leader_is_used() {
        let host = |node| Ipv4Addr::new(10, 77, 0, node);
        let mut scene = Scene {
            controllers: (1..=5).map(host).collect(),
            leader: 4,
            brokers: vec![vec![host(9)]],
            masters: vec![Some(0)],
            clients: Vec::new(),
            fixed: 0,
            taken: BTreeSet::new(),
            to_come: 0,
            each: None,
        };
        let is_used = |name: &str, scene: &Scene| {
            is_each_used(scene, &plan(&parse(name, 5).unwrap()[0], scene, &mut Draw::new(1)))
        };
        assert!(is_used("fixed-io-hang", &scene));
        assert!(!is_used("fixed-io-hang+master-kill", &scene), "something else is done");
        assert!(!is_used("major-io-hang", &scene), "nobody goes on");
        scene.leader = 0;
        assert!(!is_used("fixed-io-hang", &scene), "the leader itself");
    }
}
