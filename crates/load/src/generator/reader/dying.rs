//! Masters that die, as a crashed process does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Reader;
use crate::clock::mono_ns;
use crate::generator::calls::Call;
use crate::generator::measures::Kind;
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
            self.forget_questions(&closed);
        }
    }

    /// Whoever asked over these lines has died with its questions: nobody waits for those answers, so they are no
    /// time-outs. What became of a change is not known, so that is asked for when its time is out.
    fn forget_questions(&self, lines: &BTreeSet<usize>) {
        let shared = &self.shared;
        let is_question = |call: &Call| {
            let source = &shared.sources[call.source];
            source.is_counted && source.plan.kind != Kind::AlterSyncStateSet
        };
        let is_forgotten = |call: &Call| lines.contains(&call.line) && is_question(call);
        shared.calls.sweep(is_forgotten, |call| {
            shared.sources[call.source].in_flight.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Reader};
    use crate::generator::plan::{Command, Listening, Plan, View};

    #[test]
    fn questions_of_a_dead_master_are_no_time_outs_and_those_of_the_living_are() {
        let mut plan = Plan::as_java(vec!["127.0.0.1:1".to_owned()], "set".to_owned(), 1);
        plan.listening = Listening::Shared;
        let mut reader = Reader::new(plan).unwrap();
        let founded =
            View { master: Some(2), master_epoch: 1, members: vec![1, 2, 3], set_epoch: 1 };
        reader.command(Command::Know(vec![founded]));
        let lines: Vec<usize> = reader.shared.brokers.iter().map(|broker| broker.line).collect();
        for &line in &lines {
            let poll = Call { source: 1, line, due_ns: 1, sent_ns: 1, ..Call::default() };
            reader.shared.calls.open(poll).unwrap();
        }
        reader.command(Command::Kill { at_ns: 0, sets: vec![0] });
        reader.kill_due();

        let mut open = Vec::new();
        reader.shared.calls.sweep(|_| true, |call| open.push(call.line));
        assert_eq!(open, [lines[0], lines[2]], "the master was number 2");
    }
}
