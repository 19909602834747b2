//! Two-way requests without an answer yet, found again by their numbers.
//!
//! ```text
//! pacer   open()  ──► slot number % SLOTS ──► end()   reader: an answer, a time-out, a lost connection
//! ```
//!
//! One thread opens calls and another ends them, so a slot is a few atomics and nobody waits for a
//! lock. A slot is taken while its number is not 0; whoever sets it to 0 has ended that call, once.
//! Numbers count up and are never used again, so what was read of a slot belongs to its number if the
//! number is still there afterwards.

use std::sync::atomic::{AtomicU64, Ordering};

use super::slot::OPAQUE_FIRST;

/// Requests that may be unanswered at once; one more is not sent, and counted as skipped.
pub(crate) const CALLS_MAX: usize = 1 << 18;

/// Opaques that are used in turn: all have ten digits and fit an `i32`.
const OPAQUES: u64 = 1 << 29;

/// One request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Call {
    /// Which source sent it.
    pub(crate) source: usize,
    /// What it is about: a broker, a broker set or a key, as the source has it.
    pub(crate) subject: usize,
    /// The connection on which it was sent.
    pub(crate) line: usize,
    /// When it was due, in nanoseconds.
    pub(crate) due_ns: u64,
    /// When it was sent.
    pub(crate) sent_ns: u64,
    /// The least that a right answer may say, as the source has it.
    pub(crate) floor: u64,
}

#[derive(Debug, Default)]
struct Slot {
    /// The call's number plus 1; 0 if it is free.
    number: AtomicU64,
    source: AtomicU64,
    subject: AtomicU64,
    line: AtomicU64,
    due_ns: AtomicU64,
    sent_ns: AtomicU64,
    floor: AtomicU64,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Calls {
    slots: Vec<Slot>,
    /// The number of the next one.
    next: AtomicU64,
    /// No call below this number is open.
    oldest: AtomicU64,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let slots = std::iter::repeat_with(Slot::default).take(CALLS_MAX).collect();
        Self { slots, next: AtomicU64::new(0), oldest: AtomicU64::new(0) }
    }

    /// Remembers a call and gives it a number; `None` if its place is still taken by an older one.
    /// Only one thread may open calls.
    pub(crate) fn open(&self, call: Call) -> Option<u64> {
        let number = self.next.load(Ordering::Relaxed);
        let slot = self.slot(number);
        if slot.number.load(Ordering::Acquire) != 0 {
            return None;
        }
        let wide = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        slot.source.store(wide(call.source), Ordering::Release);
        slot.subject.store(wide(call.subject), Ordering::Release);
        slot.line.store(wide(call.line), Ordering::Release);
        slot.due_ns.store(call.due_ns, Ordering::Release);
        slot.sent_ns.store(call.sent_ns, Ordering::Release);
        slot.floor.store(call.floor, Ordering::Release);
        slot.number.store(number + 1, Ordering::Release);
        self.next.store(number + 1, Ordering::Release);
        Some(number)
    }

    /// Ends the call with this number; `None` if it has ended.
    pub(crate) fn end(&self, number: u64) -> Option<Call> {
        let call = self.look(number)?;
        let ended = self.slot(number).number.compare_exchange(
            number + 1,
            0,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        ended.is_ok().then_some(call)
    }

    /// Ends the call that an answer on `line` belongs to; `None` if it has ended, or went elsewhere.
    pub(crate) fn answered(&self, opaque: i32, line: usize) -> Option<Call> {
        let offset = u64::try_from(opaque.checked_sub(OPAQUE_FIRST)?).ok()?;
        let number = self.slot(offset).number.load(Ordering::Acquire).checked_sub(1)?;
        let is_it = number % OPAQUES == offset && self.look(number)?.line == line;
        is_it.then(|| self.end(number))?
    }

    /// Ends every open call that `is_over` and gives it to `take`.
    pub(crate) fn sweep(&self, is_over: impl Fn(&Call) -> bool, mut take: impl FnMut(Call)) {
        let next = self.next.load(Ordering::Acquire);
        let mut oldest = None;
        for number in self.oldest.load(Ordering::Relaxed)..next {
            let Some(call) = self.look(number) else { continue };
            if is_over(&call) {
                self.end(number).into_iter().for_each(&mut take);
            } else {
                oldest.get_or_insert(number);
            }
        }
        self.oldest.store(oldest.unwrap_or(next), Ordering::Relaxed);
    }

    fn look(&self, number: u64) -> Option<Call> {
        let slot = self.slot(number);
        let is_open = || slot.number.load(Ordering::Acquire) == number + 1;
        if !is_open() {
            return None;
        }
        let read = |value: &AtomicU64| value.load(Ordering::Acquire);
        let narrow = |value: &AtomicU64| usize::try_from(read(value)).unwrap_or(usize::MAX);
        let call = Call {
            source: narrow(&slot.source),
            subject: narrow(&slot.subject),
            line: narrow(&slot.line),
            due_ns: read(&slot.due_ns),
            sent_ns: read(&slot.sent_ns),
            floor: read(&slot.floor),
        };
        is_open().then_some(call)
    }

    fn slot(&self, number: u64) -> &Slot {
        let at = usize::try_from(number).unwrap_or_default() % CALLS_MAX;
        &self.slots[at]
    }
}

/// The opaque under which the call with this number is sent.
pub(crate) fn opaque(number: u64) -> i32 {
    OPAQUE_FIRST + i32::try_from(number % OPAQUES).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{CALLS_MAX, Call, Calls, OPAQUES, opaque};

    fn call(line: usize, sent_ns: u64) -> Call {
        Call { line, sent_ns, ..Call::default() }
    }

    #[test]
    fn answers_find_their_calls_in_any_order() {
        let calls = Calls::new();
        let numbers: Vec<u64> = (0..4).map(|line| calls.open(call(line, 10)).unwrap()).collect();
        let opaques: Vec<i32> = numbers.iter().map(|number| opaque(*number)).collect();
        assert_eq!(opaques, [1_000_000_000, 1_000_000_001, 1_000_000_002, 1_000_000_003]);
        assert_eq!(calls.answered(opaques[2], 2), Some(call(2, 10)));
        assert_eq!(calls.answered(opaques[2], 2), None, "once");
        assert_eq!(calls.answered(opaques[1], 9), None, "not from elsewhere");
        assert_eq!(calls.answered(7, 0), None);
        assert_eq!((calls.end(numbers[0]), calls.end(numbers[0])), (Some(call(0, 10)), None));
    }

    #[test]
    fn a_sweep_ends_what_is_over_and_leaves_the_rest() {
        let calls = Calls::new();
        for (line, sent_ns) in [(0, 10), (1, 90), (0, 30), (1, 40)] {
            calls.open(call(line, sent_ns)).unwrap();
        }
        let sweep = |limit: u64| {
            let mut over = Vec::new();
            calls.sweep(|call| call.sent_ns < limit, |call| over.push(call.sent_ns));
            over
        };
        assert_eq!((sweep(35), sweep(35)), (vec![10, 30], vec![]));
        assert_eq!((sweep(100), sweep(100)), (vec![90, 40], vec![]));
    }

    #[test]
    fn opaques_begin_again_and_the_number_is_limited() {
        let calls = Calls::new();
        calls.next.store(OPAQUES - 1, Ordering::Relaxed);
        calls.oldest.store(OPAQUES - 1, Ordering::Relaxed);
        let numbers = [calls.open(call(0, 0)).unwrap(), calls.open(call(0, 0)).unwrap()];
        assert_eq!(opaque(numbers[1]), 1_000_000_000);
        assert!(calls.answered(1_000_000_000, 0).is_some());
        assert!(calls.answered(opaque(numbers[0]), 0).is_some());
        let opened = std::iter::from_fn(|| calls.open(call(0, 0))).count();
        assert_eq!(opened, CALLS_MAX);
    }

    #[test]
    fn every_call_is_ended_once_though_two_threads_try() {
        let calls = Arc::new(Calls::new());
        let ender = Arc::clone(&calls);
        let count = 200_000_u64;
        let ends = move || (0..count).filter(|number| ender.end(*number).is_some()).count();
        let other = std::thread::Builder::new().spawn(ends).unwrap();
        let mut ours = 0;
        for number in 0..count {
            while calls.open(Call { due_ns: number, ..Call::default() }).is_none() {
                std::thread::yield_now();
            }
            let ended = calls.end(number);
            assert!(ended.is_none_or(|call| call.due_ns == number), "never another one's fields");
            ours += usize::from(ended.is_some());
        }
        let theirs = other.join().unwrap();
        assert_eq!(u64::try_from(ours + theirs), Ok(count));
    }
}
