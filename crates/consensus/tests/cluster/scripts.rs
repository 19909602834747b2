//! Scripts: scenarios that a person can read, and the effects they lead to.
//!
//! Every file under `tests/scripts/` is one. Lines that begin with `#` are remarks, with `>` are
//! commands; all others are the effects, and must come out as they stand there. To write them
//! anew after a change: `UPDATE_EXPECT=1 cargo test -p consensus scripts`, and read the difference.
//!
//! ```text
//! cluster 1 2 3 [learners 4]  new peers, all running      tick P [N]      so many ticks, one turn each
//! propose P TEXT...           one turn                    read P          one reader
//! deliver A B [N]             N or all messages           drop A B [N]    lose them
//! copy A B                    keep the next message       inject A B      deliver what was kept
//! write P [N]                 N or all groups durable     settle          deliver and write all
//! crash P [N]                 N waiting groups written    start P         with what is durable
//! cut A B, heal               lose what they send         unreachable P Q
//! campaign P                  clock run forward           transfer P Q
//! join P                      a new, empty peer           lose P          with its disk, for good
//! change P learn:Q vote:Q remove:Q, change P leave        changes of the membership
//! snapshot P, fetched P ok    taken, fetched (or failed)  status P
//! backup P, restore P         keep the disk, put it back while the peer is down
//! ```
//!
//! A command ends its peer's turn unless it begins with `+`. One that begins with `-` shows no
//! message and no group, and neither does `settle`, whose turns end in the order of the peers.

use crate::cluster::Cluster;
use crate::disk::Disk;
use bytes::Bytes;
use consensus::{ChangeStep, Membership, MembershipChange, PeerId};
use expect_test::expect_file;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Default)]
struct Interpreter {
    cluster: Option<Cluster>,
    founders: Membership,
    kept: BTreeMap<(PeerId, PeerId), Bytes>,
    backups: BTreeMap<PeerId, Disk>,
    is_quiet: bool,
    out: String,
}

impl Interpreter {
    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a script begins with `cluster`")
    }

    fn line(&mut self, line: &str) {
        let Some(command) = line.strip_prefix("> ") else {
            if line.starts_with('#') || line.is_empty() {
                writeln!(self.out, "{line}").unwrap();
            }
            return;
        };
        writeln!(self.out, "{line}").unwrap();
        let (command, ends_turn) = match command.strip_prefix("+ ") {
            Some(command) => (command, false),
            None => (command, true),
        };
        let quiet = command.strip_prefix("- ");
        self.is_quiet = quiet.is_some() || command == "settle";
        let mut words = quiet.unwrap_or(command).split(' ');
        let verb = words.next().unwrap();
        let words: Vec<_> = words.collect();
        match verb {
            "cluster" => self.found(&words),
            "settle" => self.settle(),
            "heal" => self.cluster().cuts.clear(),
            _ => self.at_peer(verb, &words, ends_turn),
        }
    }

    fn found(&mut self, words: &[&str]) {
        let mut lists = words.split(|word| *word == "learners");
        let mut list = || lists.next().unwrap_or_default().iter().map(|id| peer(id));
        let membership = Membership::of_voters(list());
        let learners = list().collect();
        self.founders = Membership { learners, ..membership };
        self.cluster = Some(Cluster::with_membership(&self.founders));
    }

    fn settle(&mut self) {
        self.cluster().settle();
        let lines = self.cluster().take_lines();
        self.print(&lines);
    }

    fn print(&mut self, lines: &[String]) {
        let is_loud = |line: &&String| line.contains(" send ") || line.contains(" persist ");
        for line in lines.iter().filter(|line| !self.is_quiet || !is_loud(line)) {
            writeln!(self.out, "{line}").unwrap();
        }
    }

    /// Commands of one peer, and of a pair: then the one whose turn it is comes out.
    fn at_peer(&mut self, verb: &str, words: &[&str], ends_turn: bool) {
        let id = peer(words[0]);
        let id = if matches!(verb, "deliver" | "inject") { peer(words[1]) } else { id };
        match verb {
            "tick" => {
                for _ in 0..count(words.get(1), 1) {
                    self.cluster().driver_mut(id).tick();
                    self.cluster().end_of_turn(id);
                }
            }
            "propose" => words[1..].iter().for_each(|text| self.propose(id, text)),
            "read" => match self.cluster().read(id) {
                Ok(barrier) => self.print(&[format!("{id} asks in barrier {barrier}")]),
                Err(error) => self.print(&[format!("{id} cannot read: {error}")]),
            },
            "deliver" => self.deliver(peer(words[0]), id, count(words.get(2), usize::MAX)),
            "inject" => {
                let bytes = self.kept[&(peer(words[0]), id)].clone();
                self.step(peer(words[0]), id, bytes);
            }
            "write" => self.cluster().write(id, count(words.get(1), usize::MAX)),
            "campaign" => self.cluster().driver_mut(id).campaign_now(),
            "transfer" => self.cluster().driver_mut(id).transfer_to(peer(words[1])),
            "change" => {
                let change = change(&words[1..]);
                if let Err(error) = self.cluster().driver_mut(id).change(&change) {
                    self.print(&[format!("{id} does not change: {error}")]);
                }
            }
            "unreachable" => self.cluster().driver_mut(id).unreachable(peer(words[1])),
            "snapshot" => self.cluster().snapshot(id),
            "fetched" => self.cluster().fetched(id, words[1] == "ok"),
            "start" => self.cluster().start(id),
            "join" => {
                let founders = self.founders.clone();
                self.cluster().join(id, &founders);
            }
            _ => return self.around(verb, id, words),
        }
        if ends_turn {
            self.cluster().end_of_turn(id);
        }
        let lines = self.cluster().take_lines();
        self.print(&lines);
    }

    /// Commands after which nobody has a turn.
    fn around(&mut self, verb: &str, id: PeerId, words: &[&str]) {
        let pair = |words: &[&str]| (peer(words[0]), peer(words[1]));
        match verb {
            "drop" => {
                let queue = self.cluster().links.get_mut(&pair(words)).unwrap();
                let count = count(words.get(2), usize::MAX).min(queue.len());
                queue.drain(..count);
            }
            "copy" => {
                let message = self.cluster().links[&pair(words)][0].clone();
                self.kept.insert(pair(words), message);
            }
            "cut" => {
                let (one, other) = pair(words);
                self.cluster().cuts.extend([(one, other), (other, one)]);
            }
            "crash" => {
                self.cluster().crash(id, count(words.get(1), 0));
                self.cluster().links.retain(|(from, to), _| *from != id && *to != id);
            }
            "lose" => self.cluster().lose(id),
            "backup" => {
                let disk = self.cluster().peers[&id].disk.clone();
                self.backups.insert(id, disk);
            }
            "restore" => {
                let disk = self.backups[&id].clone();
                self.cluster().peers.get_mut(&id).unwrap().disk = disk;
            }
            "status" => {
                let driver = self.cluster().driver(id);
                let (role, term, leader) = (driver.role(), driver.term(), driver.leader());
                let (commit, applied) = (driver.commit(), driver.applied());
                let last = driver.last_index();
                let leader = leader.map_or(0, |leader| leader.0);
                let text = format!(
                    "{id} is {role:?} in term {term}, leader {leader}; \
                     commit {commit} applied {applied} last {last}"
                );
                self.print(&[text]);
            }
            _ => panic!("unknown command `{verb}`"),
        }
    }

    fn propose(&mut self, id: PeerId, text: &str) {
        // `x*1000` is a command of so many bytes, `c..9` are nine commands.
        let commands = match (text.split_once('*'), text.split_once("..")) {
            (Some((byte, times)), _) => vec![byte.repeat(times.parse().unwrap())],
            (_, Some((name, end))) => {
                (1..=end.parse::<u64>().unwrap()).map(|number| format!("{name}{number}")).collect()
            }
            (None, None) => vec![text.to_owned()],
        };
        for command in commands {
            if let Err(error) = self.cluster().propose(id, Bytes::from(command)) {
                self.print(&[format!("{id} does not propose: {error}: {error:?}")]);
            }
        }
    }

    fn deliver(&mut self, from: PeerId, to: PeerId, count: usize) {
        for _ in 0..count {
            let queue = self.cluster().links.entry((from, to)).or_default();
            let Some(bytes) = queue.pop_front() else { return };
            self.step(from, to, bytes);
        }
    }

    fn step(&mut self, from: PeerId, to: PeerId, bytes: Bytes) {
        if let Err(refused) = self.cluster().step(from, to, bytes) {
            self.print(&[format!("{to} refuses: {refused}")]);
        }
    }
}

fn change(words: &[&str]) -> MembershipChange {
    let step = |word: &&str| match word.split_once(':').expect("a step names its peer") {
        ("learn", id) => ChangeStep::Learn(peer(id)),
        ("vote", id) => ChangeStep::Vote(peer(id)),
        ("remove", id) => ChangeStep::Remove(peer(id)),
        _ => panic!("unknown step `{word}`"),
    };
    let steps = words.iter().filter(|word| **word != "leave").map(step).collect();
    MembershipChange { steps }
}

fn peer(word: &str) -> PeerId {
    PeerId(word.parse().expect("a peer is a number"))
}

fn count(word: Option<&&str>, default: usize) -> usize {
    word.map_or(default, |word| word.parse().expect("a count is a number"))
}

// covers: overtaken entry
#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the scripts are found");
    for path in paths {
        println!("{}", path.display());
        let mut interpreter = Interpreter::default();
        std::fs::read_to_string(&path).unwrap().lines().for_each(|line| interpreter.line(line));
        expect_file![path].assert_eq(&interpreter.out);
    }
}
