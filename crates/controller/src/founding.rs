//! The very first start of a cluster (rule M5 of CONSENSUS).
//!
//! ```text
//! empty ──all configured peers are empty or founding──► founding ──all are founding, or any is founded──► founded
//!   │                                                  (on disk)                                        (on disk)
//!   └──somebody is founded──► wiped: takes a new id, which is no voter, and starts anew
//! ```
//!
//! A peer whose disk is empty cannot tell whether it is new or has lost what it promised, so it takes part only
//! when *every* configured peer is known to be as new as itself. Once anybody is founded, everybody was founding
//! and has that on disk; an empty disk was then wiped. What follows then stands in `members.rs`.

use crate::effect::Founding;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use consensus::PeerId;

/// What a peer does next in its first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for more answers.
    Wait,
    /// Record this state, then tell everybody.
    Record(Founding),
    /// This disk was wiped.
    Wiped,
}

/// The first start as one peer sees it.
#[derive(Debug)]
pub(crate) struct FirstStart {
    state: Founding,
    /// A record is being written.
    is_recording: bool,
    answers: BTreeMap<PeerId, Option<Founding>>,
}

impl FirstStart {
    /// `others` are the configured peers but this one; `state` is what the disk says.
    pub(crate) fn new(state: Founding, others: &[PeerId]) -> Self {
        let answers = others.iter().map(|&peer| (peer, None)).collect();
        Self { state, is_recording: false, answers }
    }

    /// What this peer tells others of itself.
    pub(crate) fn state(&self) -> Founding {
        self.state
    }

    /// The configured peers that have not answered yet.
    pub(crate) fn waits_for(&self) -> Vec<PeerId> {
        let silent = self.answers.iter().filter(|(_, answer)| answer.is_none());
        silent.map(|(&peer, _)| peer).collect()
    }

    /// Takes the answer of `peer`; one that is not configured is ignored.
    pub(crate) fn heard(&mut self, peer: PeerId, state: Founding) {
        if let Some(answer) = self.answers.get_mut(&peer) {
            *answer = Some(state);
        }
    }

    /// The record asked for by [`Self::step`] is durable.
    pub(crate) fn recorded(&mut self) {
        self.is_recording = false;
        self.state = match self.state {
            Founding::Empty => Founding::Founding,
            Founding::Founding | Founding::Founded => Founding::Founded,
        };
    }

    /// What to do next, going by the answers so far.
    pub(crate) fn step(&mut self) -> Step {
        if self.is_recording {
            return Step::Wait;
        }
        let all = |fits: fn(Founding) -> bool| self.answers.values().all(|a| a.is_some_and(fits));
        let next = match self.state {
            Founding::Empty => {
                if self.answers.values().any(|answer| *answer == Some(Founding::Founded)) {
                    return Step::Wiped;
                }
                all(|state| state <= Founding::Founding).then_some(Founding::Founding)
            }
            Founding::Founding => {
                let is_founded =
                    self.answers.values().any(|answer| *answer == Some(Founding::Founded));
                let is_complete = all(|state| state >= Founding::Founding);
                (is_founded || is_complete).then_some(Founding::Founded)
            }
            Founding::Founded => None,
        };
        let Some(next) = next else { return Step::Wait };
        self.is_recording = true;
        Step::Record(next)
    }
}

#[cfg(test)]
mod tests {
    use super::{FirstStart, Step};
    use crate::effect::Founding::{self, Empty, Founded, Founding as InFounding};
    use consensus::PeerId;

    const OTHERS: [PeerId; 2] = [PeerId(2), PeerId(3)];

    /// State on disk, the answers of the two others, and the step that must follow.
    fn check(state: Founding, answers: [Option<Founding>; 2], expected: Step) {
        let mut start = FirstStart::new(state, &OTHERS);
        for (peer, answer) in OTHERS.into_iter().zip(answers) {
            if let Some(answer) = answer {
                start.heard(peer, answer);
            }
        }
        assert_eq!(start.step(), expected, "{state:?} {answers:?}");
    }

    #[test]
    fn every_row_of_the_picture() {
        check(Empty, [None, None], Step::Wait);
        check(Empty, [Some(Empty), None], Step::Wait);
        check(Empty, [Some(Empty), Some(Empty)], Step::Record(InFounding));
        check(Empty, [Some(InFounding), Some(Empty)], Step::Record(InFounding));
        check(Empty, [Some(Founded), None], Step::Wiped);
        check(Empty, [Some(Founded), Some(Empty)], Step::Wiped);
        check(InFounding, [Some(InFounding), Some(Empty)], Step::Wait);
        check(InFounding, [Some(InFounding), None], Step::Wait);
        check(InFounding, [Some(InFounding), Some(InFounding)], Step::Record(Founded));
        check(InFounding, [Some(Founded), Some(InFounding)], Step::Record(Founded));
        check(InFounding, [Some(Founded), None], Step::Record(Founded));
        check(InFounding, [Some(Founded), Some(Empty)], Step::Record(Founded));
    }

    #[test]
    fn a_record_is_asked_for_once() {
        let mut start = FirstStart::new(Empty, &[]);
        assert_eq!(start.step(), Step::Record(InFounding));
        assert_eq!(start.step(), Step::Wait);
        start.recorded();
        assert_eq!(start.step(), Step::Record(Founded));
        start.recorded();
        assert_eq!((start.state(), start.step()), (Founded, Step::Wait));
    }
}
