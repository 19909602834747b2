//! What answers say: whether they are right, what they change, and how slow they were.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use protocol::Response;

use super::Reader;
use crate::generator::calls::Call;
use crate::generator::founding::view;
use crate::generator::measures::{Ending, Kind, Moments};
use crate::generator::plan::{CONTRADICTIONS_MAX, Slow, Times, View};
use crate::generator::shared::epochs;

impl Reader {
    /// A change was acknowledged with this set epoch.
    pub(super) fn changed(&mut self, set: usize, set_epoch: Option<u32>) {
        let Some(state) = self.shared.sets.get(set) else { return };
        let Some(set_epoch) = set_epoch else { return self.shared.to_ask().push(set) };
        if let Some(change) = &mut *state.change.lock().unwrap_or_else(PoisonError::into_inner) {
            change.advance(Some(set_epoch));
        }
        let master_epoch = state.acked.load(Ordering::Acquire) >> 32;
        let acked = (master_epoch << 32) | u64::from(set_epoch);
        state.acked.fetch_max(acked, Ordering::AcqRel);
        state.is_busy.store(false, Ordering::Release);
    }

    /// A read must not say less than what was acknowledged before it was sent; and while nobody dies
    /// no master is replaced.
    pub(super) fn check(&mut self, call: &Call, answer: &Response) {
        let set = call.subject;
        let Some(known) = self.views.get(set) else { return };
        let seen = view(answer);
        let is_stale = {
            let (floor, seen) = (call.floor, epochs(&seen));
            seen >> 32 < floor >> 32 || seen & u64::from(u32::MAX) < floor & u64::from(u32::MAX)
        };
        let is_moved = (seen.master, seen.master_epoch) != (known.master, known.master_epoch)
            && self.report.closings.is_empty();
        let name = self.shared.plan.set_name(set);
        let why = match (is_stale, is_moved) {
            (true, _) => {
                let (master_epoch, set_epoch) = (call.floor >> 32, call.floor & 0xffff_ffff);
                Some(format!(
                    "{name}: master epoch {master_epoch} and set epoch {set_epoch} were \
                     acknowledged, and a later read says {seen:?}"
                ))
            }
            (false, true) => Some(format!("{name} was {known:?}, and an answer says {seen:?}")),
            (false, false) => None,
        };
        if let Some(why) = why {
            let window = self.shared.window_of(call.due_ns);
            let wrong = window.filter(|_| self.shared.sources[call.source].is_counted);
            wrong.into_iter().for_each(|window| {
                let kind = Kind::GetReplicaInfo;
                self.shared.answered.with(window, kind, |measures| measures.wrong += 1);
            });
            self.violation(why);
        }
        self.see_master(set, &seen);
        if call.source == self.shared.own_questions() {
            self.shared.know(set, &seen);
            let is_known = !self.shared.sets[set].is_busy.load(Ordering::Acquire);
            if !is_known {
                self.shared.to_ask().push(set);
            }
        }
    }

    pub(super) fn see_master(&mut self, set: usize, seen: &View) {
        let (Some(master), Some(masters)) = (seen.master, self.masters.get_mut(set)) else {
            return;
        };
        let epoch = seen.master_epoch;
        let first = *masters.entry(epoch).or_insert(master);
        if first != master {
            let name = self.shared.plan.set_name(set);
            self.violation(format!("{name}: epoch {epoch} has two masters, {first} and {master}"));
        }
    }

    pub(super) fn violation(&mut self, why: String) {
        self.report.violations += 1;
        if self.report.contradictions.len() < CONTRADICTIONS_MAX {
            self.report.contradictions.push(why);
        }
    }

    pub(super) fn keep_slow(&mut self, call: &Call, ending: Ending, done_ns: u64) {
        let source = &self.shared.sources[call.source];
        let Some(Times { measure_from_ns, measure_to_ns, .. }) = self.times else { return };
        let is_measured = (measure_from_ns..measure_to_ns).contains(&call.due_ns);
        let kept = self.shared.plan.slowest;
        if !is_measured || !source.is_counted || kept == 0 {
            return;
        }
        let Call { due_ns, sent_ns, .. } = *call;
        let moments = Moments { due_ns, sent_ns, done_ns, timeout_ns: source.timeout_ns };
        let (latency_ns, service_ns) = moments.times(ending);
        let slowest = &mut self.report.slowest;
        if slowest.len() == kept && slowest.last().is_some_and(|it| it.latency_ns >= latency_ns) {
            return;
        }
        let outcome = match ending {
            Ending::Answered(0) => "ok".to_owned(),
            Ending::Answered(code) => format!("code {code}"),
            Ending::TimedOut => "timeout".to_owned(),
            Ending::Lost => "lost".to_owned(),
            Ending::Skipped => "skipped".to_owned(),
            Ending::Abandoned => "abandoned".to_owned(),
        };
        let (kind, lag_ns) = (source.plan.kind, sent_ns.saturating_sub(due_ns));
        let at = slowest.partition_point(|it| it.latency_ns >= latency_ns);
        slowest.insert(at, Slow { kind, due_ns, latency_ns, service_ns, lag_ns, outcome });
        slowest.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use protocol::Response;

    use super::Reader;
    use crate::generator::calls::Call;
    use crate::generator::plan::{Command, Listening, Plan, Report, View};

    fn known(master: i64, master_epoch: i32, set_epoch: i32) -> View {
        View { master: Some(master), master_epoch, members: vec![1, 2, 3], set_epoch }
    }

    /// A reader of one set that was founded with master 1, epoch 3 and set epoch 7.
    fn reader() -> Reader {
        let mut plan = Plan::as_java(vec!["127.0.0.1:1".to_owned()], "set".to_owned(), 1);
        plan.listening = Listening::Shared;
        let mut reader = Reader::new(plan).unwrap();
        reader.command(Command::Know(vec![known(1, 3, 7)]));
        reader
    }

    /// What is found when a read says this that was sent after this was acknowledged.
    fn judged(answers: &[View], (master_epoch, set_epoch): (u64, u64)) -> Report {
        let mut reader = reader();
        let floor = (master_epoch << 32) | set_epoch;
        for seen in answers {
            let mut answer = Response::new(0);
            answer.ext.push("masterBrokerId", seen.master.unwrap().to_string());
            answer.ext.push("masterEpoch", seen.master_epoch.to_string());
            let set_epoch = seen.set_epoch;
            let body = format!("{{\"syncStateSet\":[1,2,3],\"syncStateSetEpoch\":{set_epoch}}}");
            answer.body = body.into();
            reader.check(&Call { source: 1, floor, ..Call::default() }, &answer);
        }
        reader.take_report()
    }

    #[test]
    fn reads_that_say_what_was_acknowledged_or_more_are_right() {
        let report = judged(&[known(1, 3, 7), known(1, 3, 8)], (3, 7));
        assert_eq!((report.violations, report.contradictions), (0, Vec::new()));
    }

    #[test]
    fn each_wrong_answer_is_found_and_named() {
        let rows = [
            (vec![known(1, 3, 7)], (3, 8), "set epoch 8 were acknowledged"),
            (vec![known(1, 2, 9)], (3, 7), "master epoch 3 and"),
            (vec![known(2, 4, 8)], (3, 7), "set-0 was View"),
            (vec![known(1, 3, 7), known(2, 3, 7)], (3, 7), "epoch 3 has two masters, 1 and 2"),
        ];
        for (answers, floor, part) in rows {
            let report = judged(&answers, floor);
            assert!(report.violations > 0, "{answers:?}");
            let said = report.contradictions.join("; ");
            assert!(said.contains(part), "{said}");
        }
    }
}
