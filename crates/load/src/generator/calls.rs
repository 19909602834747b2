//! Two-way requests without an answer yet, found again by their opaques.
//!
//! Opaques count up, and all requests have the same time to be answered: so the oldest stands in
//! front, and neither an answer nor a time-out searches.

use std::collections::VecDeque;

use crate::generator::slot::OPAQUE_FIRST;

/// Opaques of ten digits that fit an `i32`; they are used in turn.
const OPAQUES: u64 = 1_000_000_000;

/// Requests that may be unanswered at once; one more is not sent, and counted as skipped.
pub(crate) const CALLS_MAX: usize = 200_000;

/// One request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Call<K> {
    /// What was asked.
    pub(crate) kind: K,
    /// The connection on which it was sent.
    pub(crate) line: usize,
    /// When it was due, in nanoseconds.
    pub(crate) due_ns: u64,
    /// When it was sent.
    pub(crate) sent_ns: u64,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Calls<K> {
    /// Number of the call in front.
    first: u64,
    ring: VecDeque<Option<Call<K>>>,
}

impl<K: Copy> Calls<K> {
    pub(crate) fn new() -> Self {
        Self { first: 0, ring: VecDeque::new() }
    }

    /// Remembers a call and gives it an opaque; `None` if [`CALLS_MAX`] are waiting.
    pub(crate) fn open(&mut self, call: Call<K>) -> Option<i32> {
        if self.ring.len() >= CALLS_MAX {
            return None;
        }
        let number = self.first + u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        self.ring.push_back(Some(call));
        let offset = i32::try_from(number % OPAQUES).unwrap_or_default();
        Some(OPAQUE_FIRST + offset)
    }

    /// The call that an answer on `line` belongs to; `None` if it was answered or given up, or went
    /// elsewhere.
    pub(crate) fn answered(&mut self, opaque: i32, line: usize) -> Option<Call<K>> {
        let offset = u64::try_from(opaque.checked_sub(OPAQUE_FIRST)?).ok()?;
        // The distance from the one in front, in the circle of opaques.
        let behind = (offset + OPAQUES - self.first % OPAQUES) % OPAQUES;
        let place = self.ring.get_mut(usize::try_from(behind).ok()?)?;
        let call = place.take_if(|call| call.line == line);
        self.shrink();
        call
    }

    /// Takes the next call that was sent before `limit_ns` and has no answer.
    pub(crate) fn expired(&mut self, limit_ns: u64) -> Option<Call<K>> {
        self.shrink();
        let oldest = self.ring.front()?.as_ref()?;
        if oldest.sent_ns >= limit_ns {
            return None;
        }
        let call = self.ring.pop_front().flatten();
        self.first += 1;
        call
    }

    /// Takes every call that waits on `line`, which has broken.
    pub(crate) fn lost_with(&mut self, line: usize) -> Vec<Call<K>> {
        let on_line = |place: &mut Option<Call<K>>| place.take_if(|call| call.line == line);
        let lost = self.ring.iter_mut().filter_map(on_line).collect();
        self.shrink();
        lost
    }

    fn shrink(&mut self) {
        while matches!(self.ring.front(), Some(None)) {
            self.ring.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLS_MAX, Call, Calls};

    fn call(kind: char, line: usize, sent_ns: u64) -> Call<char> {
        Call { kind, line, due_ns: 0, sent_ns }
    }

    #[test]
    fn answers_find_their_calls_in_any_order() {
        let mut calls = Calls::new();
        let opaques: Vec<i32> = (0..4).map(|n| calls.open(call('a', n, 10)).unwrap()).collect();
        assert_eq!(opaques, [1_000_000_000, 1_000_000_001, 1_000_000_002, 1_000_000_003]);
        assert_eq!(calls.answered(opaques[2], 2), Some(call('a', 2, 10)));
        assert_eq!(calls.answered(opaques[2], 2), None, "once");
        assert_eq!(calls.answered(opaques[1], 9), None, "not from elsewhere");
        assert_eq!(calls.answered(7, 0), None);
        assert_eq!(calls.answered(opaques[0], 0), Some(call('a', 0, 10)));
        assert_eq!(calls.answered(opaques[3], 3), Some(call('a', 3, 10)));
        assert_eq!(calls.answered(opaques[1], 1), Some(call('a', 1, 10)));
        assert_eq!(calls.open(call('b', 0, 11)), Some(1_000_000_004));
    }

    #[test]
    fn the_oldest_expire_first_and_a_line_takes_its_own() {
        let mut calls = Calls::new();
        for (line, sent_ns) in [(0, 10), (1, 20), (0, 30), (1, 40)] {
            calls.open(call('x', line, sent_ns)).unwrap();
        }
        assert_eq!(calls.expired(20), Some(call('x', 0, 10)));
        assert_eq!(calls.expired(20), None);
        assert_eq!(calls.lost_with(1), [call('x', 1, 20), call('x', 1, 40)]);
        assert_eq!(calls.expired(100), Some(call('x', 0, 30)));
        assert_eq!((calls.expired(100), calls.ring.len()), (None, 0));
    }

    #[test]
    fn opaques_begin_again_and_the_number_is_limited() {
        let mut calls = Calls::new();
        calls.first = 999_999_999;
        let opaques = [calls.open(call('x', 0, 0)), calls.open(call('x', 0, 0))];
        assert_eq!(opaques, [Some(1_999_999_999), Some(1_000_000_000)]);
        assert!(calls.answered(1_000_000_000, 0).is_some());
        assert!(calls.answered(1_999_999_999, 0).is_some());
        while calls.open(call('x', 0, 0)).is_some() {}
        assert_eq!(calls.ring.len(), CALLS_MAX);
    }
}
