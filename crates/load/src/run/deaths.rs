//! Brokers that controllers take for dead while nobody lets them die.
//!
//! Controllers of ours count them. A soak asks for the counters again and again, since a controller that is started again
//! begins at nought; what one counted between the last question and its own end is not seen. Any other run asks before its
//! load and after it, so that no page of metrics is asked for while anything is measured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use super::aside::aside;
use super::target::Stage;
use crate::inspect::{self, Status};
use crate::workload::{FaultKind, Workload};

/// What controllers had counted before the load, where nobody asks them while it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before(Option<u64>);

impl Before {
    /// Asks controllers that live through the whole run, under brokers that end only when the run kills them.
    pub(super) fn ask(workload: &Workload, counts_meanwhile: bool, stage: &Stage) -> Self {
        let is_asked = !counts_meanwhile && can_be_told(workload);
        Self(is_asked.then(|| stage.expired()).flatten())
    }

    /// What they have counted since; nothing if one of them does not say, or began anew.
    pub(super) fn since(self, stage: &Stage) -> Option<u64> {
        self.0.and_then(|before| stage.expired()?.checked_sub(before))
    }
}

/// Whether two questions are enough: a controller that is started again counts from nought, and a broker that connects
/// again was rightly taken for gone.
fn can_be_told(workload: &Workload) -> bool {
    let mut faults = workload.faults();
    workload.fleet.is_some() && faults.all(|fault| fault.kind == FaultKind::BrokerKill)
}

/// Pause between two questions: a page of metrics is work for a controller.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Findings that may wait to be looked at.
const FINDINGS_MAX: usize = 64;

/// Brokers that one controller took for dead since it was asked before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Deaths {
    pub(super) node: usize,
    pub(super) brokers: u64,
    /// As the controller says it.
    pub(super) reason: String,
}

/// Counters of one controller, which fall when it begins anew.
#[derive(Debug, Default)]
struct Counters(Option<BTreeMap<String, u64>>);

impl Counters {
    /// What was added since the last look; the first one only remembers.
    fn grown(&mut self, now: BTreeMap<String, u64>) -> Vec<(String, u64)> {
        let before = self.0.replace(now.clone());
        let Some(before) = before else { return Vec::new() };
        let total = |counters: &BTreeMap<String, u64>| counters.values().sum::<u64>();
        let is_anew = total(&now) < total(&before);
        let grown = now.into_iter().map(|(reason, count)| {
            let known = before.get(&reason).copied().filter(|_| !is_anew).unwrap_or_default();
            (reason, count.saturating_sub(known))
        });
        grown.filter(|(_, count)| *count > 0).collect()
    }
}

/// Asks all controllers again and again until `stop` is set, and says what they counted.
pub(super) fn watch(addresses: &[String], stop: &Arc<AtomicBool>) -> Receiver<Deaths> {
    let (addresses, stop) = (addresses.to_vec(), Arc::clone(stop));
    // Where nobody counts the channel is closed, and the run says so.
    aside("deaths watch", FINDINGS_MAX, move |findings| ask(addresses, stop, findings))
}

async fn ask(addresses: Vec<String>, stop: Arc<AtomicBool>, findings: SyncSender<Deaths>) {
    let mut counters: Vec<Counters> = addresses.iter().map(|_| Counters::default()).collect();
    while !stop.load(Ordering::Acquire) {
        for (node, (address, counters)) in addresses.iter().zip(&mut counters).enumerate() {
            // One that is away says nothing; its next life begins at nought.
            let Some(status) = Status::of(address).await else { continue };
            let Some(page) = inspect::metrics(&status).await else { continue };
            for (reason, brokers) in counters.grown(inspect::expired_in(&page)) {
                if findings.send(Deaths { node, brokers, reason }).is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Counters, can_be_told};
    use crate::workload::{Workload, preset};

    #[test]
    fn two_questions_are_enough_where_no_controller_begins_anew_and_no_broker_connects_again() {
        let rows = [
            ("fleet-3k-steady", true),
            ("mass-failover-10", true),
            ("restart-storm", false),
            ("controller-rolling", false),
            ("redis", false),
        ];
        for (name, can_be) in rows {
            let workload = Workload::read(name, &preset(name).unwrap()).unwrap();
            assert_eq!(can_be_told(&workload), can_be, "{name}");
        }
    }

    #[test]
    fn what_was_counted_before_and_lives_that_ended_do_not_count_twice() {
        let page = |silent: u64, refused: u64| {
            let all = [("silent", silent), ("refused", refused)];
            all.into_iter()
                .filter(|it| it.1 > 0)
                .map(|(why, many)| (why.to_owned(), many))
                .collect()
        };
        let mut counters = Counters::default();
        assert_eq!(counters.grown(page(3, 0)), [], "before the run");
        assert_eq!(counters.grown(page(3, 0)), []);
        assert_eq!(
            counters.grown(page(4, 2)),
            [("refused".to_owned(), 2), ("silent".to_owned(), 1)]
        );
        assert_eq!(counters.grown(page(0, 0)), [], "it began anew");
        assert_eq!(counters.grown(page(1, 0)), [("silent".to_owned(), 1)]);
    }
}
