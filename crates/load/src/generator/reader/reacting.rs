//! What a broker does when it is told that it is the master now: it reports its sync-state set, as a real one does.

use std::sync::atomic::Ordering;

use protocol::RoleNotice;

use super::Reader;
use crate::clock::mono_ns;
use crate::generator::calls::Call;
use crate::generator::plan::{By, REPLICAS, View};

impl Reader {
    /// A broker of a set was told that it is the master: its change is due after the delay of the plan.
    pub(super) fn promoted(&mut self, set: usize, notice: &RoleNotice, at_ns: u64) {
        let Some((_, delay_ns)) = self.reaction() else { return };
        let mut members = notice.sync_state_set.clone();
        members.sort_unstable();
        let view = View {
            master: Some(notice.master_broker_id),
            master_epoch: notice.master_epoch,
            members,
            set_epoch: notice.sync_state_set_epoch,
        };
        // What the notice says is what the change starts from; nobody else changes the set until it is answered.
        self.shared.know(set, &view);
        if let Some(state) = self.shared.sets.get(set) {
            state.is_busy.store(true, Ordering::Release);
            self.reactions.push_back((at_ns + delay_ns, set));
        }
    }

    /// Sends the changes that are due.
    pub(super) fn react_due(&mut self) {
        let now_ns = mono_ns();
        while let Some((due_ns, set)) = self.reactions.pop_front_if(|it| it.0 <= now_ns) {
            let Some((source, _)) = self.reaction() else { return };
            let shared = &self.shared;
            let master = shared.sets[set].master.load(Ordering::Acquire);
            let broker = &shared.brokers[set * REPLICAS + master];
            let line = broker.line + shared.leader.load(Ordering::Acquire);
            let call = Call { source, subject: set, line, due_ns, ..Call::default() };
            if !shared.ask(&shared.answered, call) {
                // Its state is asked for, and what changes it then is nobody's report.
                shared.to_ask().push(set);
            }
        }
    }

    /// A change was acknowledged; if it was a new master's report, that is remembered.
    pub(super) fn reacted(&mut self, call: &Call, at_ns: u64) {
        if self.reaction().is_some_and(|(source, _)| source == call.source) {
            let set = self.shared.plan.first_set + call.subject;
            self.report.reported.entry(set).or_insert(at_ns);
        }
    }

    /// The source of reports and their delay, if the plan has one.
    fn reaction(&self) -> Option<(usize, u64)> {
        let by = |by: &By| match by {
            By::Reaction { delay } => Some(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)),
            By::Brokers { .. } | By::Masters { .. } | By::Stream { .. } => None,
        };
        let mut sources = self.shared.plan.sources.iter().enumerate();
        sources.find_map(|(number, source)| Some((number, by(&source.by)?)))
    }
}
