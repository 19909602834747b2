//! Where the time of requests goes: what the core's loop and the journal's thread tell becomes the histograms of
//! [`Stage`].
//!
//! What is on its way (entries that are being written, or that a peer has not acknowledged) is remembered with the
//! moment of its order. The tables are bounded: what finds no room is done all the same, and not timed.

use crate::metrics::{Batch, Metrics, Stage};
use controller::{Event, Instant, LogIndex, PeerId, PeerMessage, seat};
use std::collections::{BTreeMap, VecDeque};

/// Groups of entries that are ordered and not durable: what the disk may owe, twice.
const ORDERED_MAX: usize = 8_192;

/// Messages with entries that one peer has not acknowledged.
const SENT_MAX: usize = 4_096;

/// What is remembered of each kind after it ended, for traces: some turns of a busy second.
const RECENT_MAX: usize = 256;

/// What the journal's thread did at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Number of its newest group.
    pub(crate) number: u64,
    /// When it was done.
    pub(crate) ended: Instant,
    /// Microseconds of its sync, if there was one.
    pub(crate) sync_micros: Option<u64>,
    /// Groups in it.
    pub(crate) groups: usize,
    /// Whether anything was written: a commit index alone rides along later.
    pub(crate) is_written: bool,
}

/// What is on its way, and what the present turn answers.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    /// Number and moment of every group that the journal was handed.
    ordered: VecDeque<(u64, Instant)>,
    /// Last entry and moment of every message, by the seat that it went to.
    sent: BTreeMap<PeerId, VecDeque<(LogIndex, Instant)>>,
    /// When what was ordered lately was durable, and when what was sent lately was acknowledged first.
    written: Recent,
    acknowledged: Recent,
    decided: Instant,
    answers: u64,
}

impl Stages {
    /// A turn begins: what peers acknowledge is durable there.
    pub(crate) fn begin(&mut self, now: Instant, events: &[Event], metrics: &Metrics) {
        for event in events {
            if let Event::Peer { peer, message } = event
                && let Some(acknowledged) = message.acknowledged()
            {
                self.acknowledged(now, *peer, acknowledged, metrics);
            }
        }
    }

    fn acknowledged(&mut self, now: Instant, peer: PeerId, until: LogIndex, metrics: &Metrics) {
        let Some(sent) = self.sent.get_mut(&seat(peer)) else { return };
        while let Some((_, at)) = sent.pop_front_if(|(last, _)| *last <= until) {
            metrics.stage(Stage::Replicate, now.since_micros(at), 1);
            self.acknowledged.add(at, now);
        }
    }

    /// A message leaves for a peer.
    pub(crate) fn sent(&mut self, now: Instant, peer: PeerId, message: &PeerMessage) {
        let Some(last) = message.last_entry() else { return };
        let sent = self.sent.entry(seat(peer)).or_default();
        // Sent again, from further back: what was sent later is not on its way any more.
        while sent.pop_back_if(|(later, _)| *later > last).is_some() {}
        if sent.len() < SENT_MAX {
            sent.push_back((last, now));
        }
    }

    /// Nobody acknowledges to this peer any more what it sent before.
    pub(crate) fn leadership_changed(&mut self) {
        self.sent.clear();
    }

    /// Entries are handed to the journal.
    pub(crate) fn ordered(&mut self, now: Instant, number: u64) {
        if self.ordered.len() < ORDERED_MAX {
            self.ordered.push_back((number, now));
        }
    }

    /// The journal is done with a round.
    pub(crate) fn written(&mut self, round: Round, metrics: &Metrics) {
        let sync_micros = round.sync_micros.unwrap_or(0);
        while let Some((_, at)) = self.ordered.pop_front_if(|(number, _)| *number <= round.number) {
            if round.is_written {
                self.written.add(at, round.ended);
                let whole = round.ended.since_micros(at);
                metrics.stage(Stage::Append, whole.saturating_sub(sync_micros), 1);
            }
        }
        if let Some(micros) = round.sync_micros {
            metrics.stage(Stage::Sync, micros, 1);
            metrics.batch(Batch::Groups, u64::try_from(round.groups).unwrap_or(u64::MAX));
        }
    }

    /// When entries that were ordered and sent at `moment` were durable here, and at the first other peer; for lately.
    pub(crate) fn lately(&self, moment: Instant) -> (Option<Instant>, Option<Instant>) {
        (self.written.ended(moment), self.acknowledged.ended(moment))
    }

    /// The end of the turn took from `began` to `ended`, and applied so many commands.
    pub(crate) fn decided(
        &mut self,
        commands: u64,
        began: Instant,
        ended: Instant,
        metrics: &Metrics,
    ) {
        self.decided = ended;
        if commands > 0 {
            metrics.stage(Stage::Apply, ended.since_micros(began), commands);
            metrics.batch(Batch::Commands, commands);
        }
    }

    /// The turn answers one request more.
    pub(crate) fn answer(&mut self) {
        self.answers += 1;
    }

    /// Whether the turn answered anything.
    pub(crate) fn has_answers(&self) -> bool {
        self.answers > 0
    }

    /// All answers of the turn have left.
    pub(crate) fn answered(&mut self, now: Instant, metrics: &Metrics) {
        let micros = now.since_micros(self.decided);
        metrics.stage(Stage::Reply, micros, std::mem::take(&mut self.answers));
    }
}

/// Begins and ends of what happened last.
#[derive(Debug, Default)]
struct Recent(VecDeque<(Instant, Instant)>);

impl Recent {
    fn add(&mut self, began: Instant, ended: Instant) {
        if self.0.len() == RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((began, ended));
    }

    /// The first end of what began at this moment.
    fn ended(&self, began: Instant) -> Option<Instant> {
        self.0.iter().find(|(at, _)| *at == began).map(|(_, ended)| *ended)
    }
}

#[cfg(test)]
mod tests {
    use super::{ORDERED_MAX, Round, Stages};
    use crate::config::{Config, Sources};
    use crate::metrics::{Metrics, Stage};
    use controller::Instant;

    fn metrics() -> Metrics {
        let arguments = [
            ("controllerDLegerGroup", "g"),
            ("controllerDLegerPeers", "n0-127.0.0.1:9877"),
            ("controllerDLegerSelfId", "n0"),
        ];
        let arguments = arguments.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let config = Config::load(&Sources { arguments, ..Sources::default() }).expect("valid");
        Metrics::new(&config)
    }

    /// Count and sum of a stage, as the page says.
    fn stage(metrics: &Metrics, stage: Stage) -> (f64, f64) {
        let page = metrics.text();
        let of = |part: &str| {
            let series = format!("pitchover_stage_seconds_{part}{{stage=\"{}\"}} ", stage.label());
            let found = page.lines().find_map(|line| line.strip_prefix(&*series));
            found.map_or(0.0, |value| value.parse().expect("a number"))
        };
        (of("count"), of("sum"))
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_round_ends_its_groups_and_no_later_ones() {
        let (metrics, mut stages) = (metrics(), Stages::default());
        for (number, micros) in [(1, 1_000), (2, 2_000), (3, 9_000)] {
            stages.ordered(at(micros), number);
        }
        let round = Round {
            number: 2,
            ended: at(8_000),
            sync_micros: Some(3_000),
            groups: 2,
            is_written: true,
        };
        stages.written(round, &metrics);
        assert_eq!(stage(&metrics, Stage::Append), (2.0, 0.007), "7 and 6 ms, less 3 of the sync");
        assert_eq!(stage(&metrics, Stage::Sync), (1.0, 0.003));
        // A commit index alone: neither written nor synced.
        let rides = Round { number: 3, sync_micros: None, is_written: false, ..round };
        stages.written(rides, &metrics);
        assert_eq!(stage(&metrics, Stage::Append).0, 2.0);
        assert!(stages.ordered.is_empty());
    }

    /// A journal that never says that it is done makes nothing grow.
    #[test]
    fn what_is_ordered_is_bounded() {
        let mut stages = Stages::default();
        for number in 0..3 * ORDERED_MAX as u64 {
            stages.ordered(at(number), number);
        }
        assert_eq!(stages.ordered.len(), ORDERED_MAX);
    }

    #[test]
    fn answers_and_commands_of_a_turn_share_its_time() {
        let (metrics, mut stages) = (metrics(), Stages::default());
        stages.decided(0, at(0), at(500), &metrics);
        stages.decided(10, at(1_000), at(1_400), &metrics);
        assert!(!stages.has_answers());
        stages.answer();
        stages.answer();
        assert!(stages.has_answers());
        stages.answered(at(1_500), &metrics);
        assert!(!stages.has_answers());
        assert_eq!(stage(&metrics, Stage::Apply), (10.0, 0.004));
        assert_eq!(stage(&metrics, Stage::Reply), (2.0, 0.0002));
    }
}
