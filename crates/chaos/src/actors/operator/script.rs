//! What an operator does, step by step, given what it knows: pure, so that each step is tested by itself.
//!
//! | Step | Asked | Must be |
//! |---|---|---|
//! | `Come` | ids and registrations until three live | |
//! | `ElectStranger`, `DesignateStranger` | a master whom nobody knows | refused |
//! | `Elect`, `Designate` | a master: one that asks for itself; one that the operator names | |
//! | `Everybody` | all that live are in sync | |
//! | `WithoutMaster`, `WithStranger` | a sync-state set without its master; with somebody whom nobody knows | refused |
//! | `CleanLiving` | the clean of one that lives | refused |
//! | `Bury` | one ends, and is cleaned once it is dead | |
//! | `CleanMaster` | the clean of the living master, allowed | it alone goes |
//! | `CleanSet`, `CleanSetLiving` | everybody goes: with living ones protected, and not | the first refused while a master is recorded, which the search judges |

use super::super::CLUSTER;
use crate::draw::Draw;
use protocol::{AlterBody, AlterSyncStateSet, CleanBrokerData, ElectMaster, Request, Text};

/// An id that no broker set gives in one run.
const STRANGER: i64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Come,
    ElectStranger,
    Elect,
    DesignateStranger,
    Designate,
    Everybody,
    WithoutMaster,
    WithStranger,
    CleanLiving,
    Bury,
    CleanMaster,
    CleanSet,
    CleanSetLiving,
}

/// One round with a broker set that is not there, or was cleaned.
pub(super) const ROUND: [Step; 20] = [
    Step::Come,
    Step::ElectStranger,
    Step::Elect,
    Step::Everybody,
    Step::WithoutMaster,
    Step::WithStranger,
    Step::CleanLiving,
    Step::DesignateStranger,
    Step::Designate,
    Step::Everybody,
    Step::Bury,
    Step::Elect,
    Step::Come,
    Step::Everybody,
    Step::CleanMaster,
    Step::Elect,
    Step::Everybody,
    Step::WithoutMaster,
    Step::CleanSet,
    Step::CleanSetLiving,
];

/// A broker set as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) master: Option<i64>,
    pub(super) master_epoch: i32,
    pub(super) set_epoch: i32,
    pub(super) in_sync: Vec<i64>,
}

/// What is known before a step.
pub(super) struct Known<'a> {
    pub(super) set: &'a str,
    /// None if the broker set is unknown.
    pub(super) view: Option<View>,
    /// The brokers that live, ascending.
    pub(super) living: &'a [i64],
}

/// What a step comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// There is nobody to do it to.
    Nothing,
    /// Brokers come.
    Come,
    /// Ask this.
    Ask(Request),
    /// End this broker, then clean it.
    Bury { id: i64, clean: Request },
    /// Clean these; if that is carried out they are gone.
    Remove { ids: Vec<i64>, clean: Request },
}

impl Known<'_> {
    pub(super) fn act(&self, step: Step, draw: &mut Draw) -> Act {
        let ask = |request: Option<Request>| request.map_or(Act::Nothing, Act::Ask);
        match step {
            Step::Come => Act::Come,
            Step::ElectStranger => Act::Ask(self.elect(STRANGER, false)),
            Step::DesignateStranger => Act::Ask(self.elect(STRANGER, true)),
            Step::Elect => ask(self.in_sync_first().map(|id| self.elect(id, false))),
            Step::Designate => {
                let others: Vec<i64> = self.others();
                let named = (!others.is_empty()).then(|| others[draw.index(others.len())]);
                ask(named.map(|id| self.elect(id, true)))
            }
            Step::Everybody => ask(self.alter(|master| {
                let others = self.living.iter().copied().filter(|id| *id != master);
                others.chain([master]).collect()
            })),
            Step::WithoutMaster => ask(self.alter(|_| self.others())),
            Step::WithStranger => ask(self.alter(|master| vec![master, STRANGER])),
            Step::CleanLiving => ask(self.living.first().map(|id| self.clean(&[*id], false))),
            Step::Bury => match self.living {
                // Somebody must stay, or the whole set goes with it.
                [] | [_] => Act::Nothing,
                living => {
                    let id = living[draw.index(living.len())];
                    Act::Bury { id, clean: self.clean(&[id], false) }
                }
            },
            Step::CleanMaster => match self.view.as_ref().and_then(|view| view.master) {
                Some(id) => Act::Remove { ids: vec![id], clean: self.clean(&[id], true) },
                None => Act::Nothing,
            },
            Step::CleanSet => self.clean_set(false),
            Step::CleanSetLiving => self.clean_set(true),
        }
    }

    /// Everybody who lives but the master.
    fn others(&self) -> Vec<i64> {
        let master = self.view.as_ref().and_then(|view| view.master);
        self.living.iter().copied().filter(|id| Some(*id) != master).collect()
    }

    /// Who can be master: a living member of the sync-state set, if there is one.
    fn in_sync_first(&self) -> Option<i64> {
        let in_sync = self.view.as_ref().map_or(&[][..], |view| &view.in_sync);
        let living = || self.living.iter().copied();
        living().find(|id| in_sync.contains(id)).or_else(|| living().next())
    }

    fn elect(&self, id: i64, designate_elect: bool) -> Request {
        Request::ElectMaster(ElectMaster {
            cluster_name: CLUSTER.into(),
            broker_name: Text::copied(self.set),
            broker_id: id,
            designate_elect,
            ..ElectMaster::default()
        })
    }

    /// A change of the sync-state set in the name of the master, if there is one.
    fn alter(&self, wanted: impl Fn(i64) -> Vec<i64>) -> Option<Request> {
        let view = self.view.as_ref()?;
        let master = view.master?;
        let mut wanted = wanted(master);
        wanted.sort_unstable();
        Some(Request::AlterSyncStateSet(AlterSyncStateSet {
            broker_name: Some(Text::copied(self.set)),
            master_broker_id: Some(master),
            master_epoch: Some(view.master_epoch),
            invoke_time_ms: None,
            body: Some(AlterBody {
                sync_state_set: Some(wanted),
                sync_state_set_epoch: view.set_epoch,
            }),
        }))
    }

    fn clean_set(&self, clean_living: bool) -> Act {
        Act::Remove { ids: self.living.to_vec(), clean: self.clean(&[], clean_living) }
    }

    /// No ids: the whole set.
    fn clean(&self, ids: &[i64], clean_living_broker: bool) -> Request {
        let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let list = (!list.is_empty()).then(|| Text::from(list.join(";")));
        Request::CleanBrokerData(CleanBrokerData {
            cluster_name: Some(CLUSTER.into()),
            broker_name: Some(Text::copied(self.set)),
            broker_ids_to_clean: list,
            clean_living_broker,
            invoke_time_ms: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Known, ROUND, STRANGER, Step, View};
    use crate::draw::Draw;
    use workload::history::Call;
    use workload::record::calls;

    fn view(master: Option<i64>) -> Option<View> {
        Some(View { master, master_epoch: 3, set_epoch: 5, in_sync: vec![2, 4] })
    }

    fn act(step: Step, view: Option<View>, living: &[i64]) -> Act {
        Known { set: "op", view, living }.act(step, &mut Draw::new(1))
    }

    /// What one step asks, as the history has it.
    fn asked(step: Step, view: Option<View>, living: &[i64]) -> Option<Call> {
        let request = match act(step, view, living) {
            Act::Ask(request) => request,
            Act::Bury { clean, .. } | Act::Remove { clean, .. } => clean,
            Act::Nothing | Act::Come => return None,
        };
        let mut calls = calls(&request);
        assert_eq!((calls.len(), &*calls[0].0), (1, "op"), "{step:?}");
        Some(calls.remove(0).1)
    }

    #[test]
    fn each_step_asks_what_it_is_called() {
        let alter = |new_set: &[i64]| Call::Alter {
            master: 2,
            master_epoch: 3,
            set_epoch: 5,
            new_set: new_set.to_vec(),
        };
        let clean = |ids: &[i64], living| Call::Clean { ids: ids.to_vec(), living };
        let elect = |id, designate| Call::Elect { id, designate };
        let rows = [
            (Step::ElectStranger, elect(STRANGER, false)),
            (Step::DesignateStranger, elect(STRANGER, true)),
            (Step::Elect, elect(2, false)),
            (Step::Designate, elect(4, true)),
            (Step::Everybody, alter(&[2, 4])),
            (Step::WithoutMaster, alter(&[4])),
            (Step::WithStranger, alter(&[2, STRANGER])),
            (Step::CleanLiving, clean(&[2], false)),
            (Step::CleanMaster, clean(&[2], true)),
            (Step::CleanSet, clean(&[], false)),
            (Step::CleanSetLiving, clean(&[], true)),
        ];
        for (step, call) in rows {
            assert_eq!(asked(step, view(Some(2)), &[2, 4]), Some(call), "{step:?}");
            assert!(ROUND.contains(&step), "{step:?} is in no round");
        }
        let Act::Bury { id, clean } = act(Step::Bury, view(Some(2)), &[2, 4]) else {
            panic!("nobody is buried");
        };
        assert_eq!(calls(&clean)[0].1, Call::Clean { ids: vec![id], living: false });
    }

    #[test]
    fn a_master_that_is_dead_stays_in_its_own_set() {
        let Some(Call::Alter { new_set, .. }) = asked(Step::Everybody, view(Some(2)), &[4, 7])
        else {
            panic!("nothing is asked");
        };
        assert_eq!(new_set, [2, 4, 7]);
    }

    #[test]
    fn who_asks_to_be_master_is_in_sync_if_anybody_is() {
        let elected = |living: &[i64]| asked(Step::Elect, view(None), living);
        assert_eq!(elected(&[1, 4]), Some(Call::Elect { id: 4, designate: false }));
        assert_eq!(elected(&[1, 3]), Some(Call::Elect { id: 1, designate: false }));
        assert_eq!(elected(&[]), None);
    }

    #[test]
    fn nothing_is_asked_where_there_is_nobody() {
        for step in [Step::Everybody, Step::WithoutMaster, Step::WithStranger, Step::CleanMaster] {
            assert_eq!(act(step, view(None), &[2, 4]), Act::Nothing, "{step:?} without a master");
            assert_eq!(act(step, None, &[2, 4]), Act::Nothing, "{step:?} of an unknown set");
        }
        assert_eq!(act(Step::Bury, view(Some(2)), &[2]), Act::Nothing, "the last one");
        assert_eq!(act(Step::Designate, view(Some(2)), &[2]), Act::Nothing, "no other");
        assert_eq!(act(Step::CleanLiving, view(Some(2)), &[]), Act::Nothing);
    }

    #[test]
    fn a_set_that_is_cleaned_whole_comes_again() {
        let last = ROUND.last();
        assert_eq!((ROUND.first(), last), (Some(&Step::Come), Some(&Step::CleanSetLiving)));
        let Act::Remove { ids, .. } = act(Step::CleanSetLiving, view(Some(2)), &[2, 4]) else {
            panic!("nobody is removed");
        };
        assert_eq!(ids, [2, 4]);
    }
}
