//! Masters that die, as a crashed process does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Reader;
use crate::clock::mono_ns;
use crate::generator::calls::Call;
use crate::generator::measures::{Ending, Kind};
use crate::generator::plan::{Closing, REPLICAS};

impl Reader {
    /// Kills the masters whose moment has come: they close their connections and their listeners.
    pub(super) fn kill_due(&mut self) {
        let now_ns = mono_ns();
        let (due, later): (Vec<_>, Vec<_>) =
            self.kills.drain(..).partition(|(at_ns, _)| *at_ns <= now_ns);
        self.kills = later;
        let (mut dead, mut closed) = (BTreeSet::new(), BTreeSet::new());
        let shared = Arc::clone(&self.shared);
        for set in due.into_iter().flat_map(|(_, sets)| sets) {
            let Some(master) = self.views.get(set).and_then(|view| view.master) else { continue };
            let replica = usize::try_from(master - 1).unwrap_or_default();
            let number = set * REPLICAS + replica;
            let Some(broker) = shared.brokers.get(number) else { continue };
            let at_ns = mono_ns();
            broker.is_alive.store(false, Ordering::Release);
            if let Some(listener) = self.listeners.get_mut(number) {
                *listener = None;
            }
            dead.insert(broker.address);
            // Whoever shares a connection with others dies without closing it.
            if shared.plan.brokers_per_connection == 1 {
                let lines = broker.line..broker.line + shared.nodes();
                lines.clone().for_each(|line| shared.line(line).reset());
                closed.extend(lines);
            }
            // The new master's changes start from what a read says of the set.
            shared.sets[set].is_busy.store(true, Ordering::Release);
            shared.to_ask().push(set);
            let set = shared.plan.first_set + set;
            self.report.closings.push(Closing { set, master, at_ns });
        }
        if !dead.is_empty() {
            self.notices.close(&dead);
            self.abandon_questions(&closed);
        }
    }

    /// Whoever asked over these lines has died with its questions: nobody waits for those answers, so they are no
    /// time-outs, but abandoned. What became of a change is not known, so that is asked for when its time is out.
    fn abandon_questions(&self, lines: &BTreeSet<usize>) {
        let (shared, now_ns) = (&self.shared, mono_ns());
        let is_question = |call: &Call| {
            let source = &shared.sources[call.source];
            source.is_counted && source.plan.kind != Kind::AlterSyncStateSet
        };
        let is_abandoned = |call: &Call| lines.contains(&call.line) && is_question(call);
        shared.calls.sweep(is_abandoned, |call| {
            shared.sources[call.source].in_flight.fetch_sub(1, Ordering::AcqRel);
            shared.record(&shared.answered, &call, Ending::Abandoned, now_ns);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::{Call, Kind, Reader};
    use crate::generator::plan::{By, Command, Listening, Plan, Source, View};
    use crate::workload::Arrival;

    /// Sources of the plan below: polls, and changes of sets.
    const POLLS: usize = 1;
    const CHANGES: usize = 3;

    #[test]
    fn a_dead_masters_questions_are_abandoned_and_its_changes_and_the_livings_questions_are_not() {
        let mut plan = Plan::as_java(vec!["127.0.0.1:1".to_owned()], "set".to_owned(), 1);
        plan.listening = Listening::Shared;
        plan.sources.push(Source {
            kind: Kind::AlterSyncStateSet,
            timeout: Duration::from_secs(3),
            in_flight_max: usize::MAX,
            by: By::Masters { arrival: Arrival::Constant, per_second: 1.0 },
        });
        let mut reader = Reader::new(plan).unwrap();
        let founded =
            View { master: Some(2), master_epoch: 1, members: vec![1, 2, 3], set_epoch: 1 };
        reader.command(Command::Know(vec![founded]));
        reader.shared.start_ns.store(0, Ordering::Release);
        let lines: Vec<usize> = reader.shared.brokers.iter().map(|broker| broker.line).collect();
        for &line in &lines {
            for source in [POLLS, CHANGES] {
                let call = Call { source, line, due_ns: 1, sent_ns: 1, ..Call::default() };
                reader.shared.calls.open(call).unwrap();
                reader.shared.sources[source].in_flight.fetch_add(1, Ordering::AcqRel);
            }
        }
        reader.command(Command::Kill { at_ns: 0, sets: vec![0] });
        reader.kill_due();

        let in_flight =
            |source: usize| reader.shared.sources[source].in_flight.load(Ordering::Acquire);
        assert_eq!((in_flight(POLLS), in_flight(CHANGES)), (2, 3));
        let polls = reader.shared.answered.take(0).of(Kind::GetReplicaInfo);
        assert_eq!((polls.offered, polls.abandoned, polls.timed_out), (1, 1, 0));
        assert_eq!((polls.latency.count(), polls.lag.count()), (0, 1));
        let mut open = Vec::new();
        reader.shared.calls.sweep(|_| true, |call| open.push((call.source, call.line)));
        let [first, master, last] = [lines[0], lines[1], lines[2]];
        let living = |line| [(POLLS, line), (CHANGES, line)];
        assert_eq!(open, [&living(first)[..], &[(CHANGES, master)], &living(last)].concat());
    }
}
