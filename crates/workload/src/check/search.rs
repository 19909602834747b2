//! The classic search: is there an order of all operations that a model allows?
//!
//! ```text
//! list of begins and ends, in time:   b0  b1  e0  b2  e1  e2
//!   at a begin: may this operation come next? then lift it out, go back to the front
//!   at an end:  its operation should have come before: undo the last choice, go on behind it
//!   no end left: every finished operation has its place
//! ```
//!
//! An operation without an end has no duty to come, so unknown outcomes need no branch of their
//! own. States that were reached before with the same operations done are not entered again; what
//! is remembered of the operations is a 128-bit sum of random numbers, one each (a false "seen
//! before" has a chance below 10^-20 in a search of 10^8 steps).
//!
//! A model may allow several states after one operation, where the answer does not say which.
//!
//! There is no time limit, because there is no clock: [`Limit::steps`] counts questions to the
//! model, and a search that reaches it is undecided, not failed.
//!
//! Source: Wing and Gong 1993; Lowe 2017 (memo, linked list).

use std::borrow::Borrow;
use std::collections::BTreeSet;

/// What an object may do, one operation at a time.
pub trait Model {
    /// One operation, with its answer.
    type Operation;
    /// The object between operations.
    type State: Clone + Ord;

    /// The object before the first operation.
    fn initial(&self) -> Self::State;

    /// Adds every state that may follow `operation` in `state`; none if its answer is impossible.
    fn step(&self, state: &Self::State, operation: &Self::Operation, next: &mut Vec<Self::State>);
}

/// One operation on the time line.
#[derive(Clone, Debug)]
pub struct Span<O> {
    /// Its begin.
    pub invoked: u64,
    /// Its end; none if it may take effect at any later time, or never.
    pub finished: Option<u64>,
    /// What it was.
    pub operation: O,
}

/// How long a search may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Questions to the model.
    pub steps: u64,
}

impl Default for Limit {
    /// Some seconds of work.
    fn default() -> Self {
        Self { steps: 5_000_000 }
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An order that the model allows, as places in the list of operations.
    Order(Vec<usize>),
    /// There is none.
    Nothing(Stuck),
    /// The limit was reached first.
    Undecided,
}

/// How far a search without result came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// The longest order that it found.
    pub order: Vec<usize>,
    /// The operation that could not come before its end.
    pub operation: usize,
}

/// Looks for an order of `spans` that `model` allows.
pub fn search<M: Model, O: Borrow<M::Operation>>(
    model: &M,
    spans: &[Span<O>],
    limit: Limit,
) -> Found {
    let mut line = Line::new(spans);
    let mut state = model.initial();
    let mut seen: BTreeSet<(u128, M::State)> = BTreeSet::new();
    let mut done: u128 = 0;
    let mut choices: Vec<Choice<M::State>> = Vec::new();
    let mut best: Option<Stuck> = None;
    let mut steps = 0;
    let mut at = line.first();
    // Of the operation at `at`, the first so many next states were tried.
    let mut tried = 0;
    let mut next = Vec::new();
    while line.ends_left > 0 {
        if let Some(operation) = line.begins(at) {
            steps += 1;
            if steps > limit.steps {
                return Found::Undecided;
            }
            next.clear();
            if let Some(span) = spans.get(operation) {
                model.step(&state, span.operation.borrow(), &mut next);
            }
            let done_then = done ^ mark(operation);
            let mut fresh = next.drain(..).enumerate().skip(tried);
            let entered = fresh.find(|(_, then)| seen.insert((done_then, then.clone())));
            drop(fresh);
            if let Some((option, then)) = entered {
                choices.push(Choice { operation, tried: option + 1, before: state, done });
                (state, done) = (then, done_then);
                line.lift(operation);
                (at, tried) = (line.first(), 0);
            } else {
                (at, tried) = (line.after(at), 0);
            }
            continue;
        }
        if best.as_ref().is_none_or(|best| choices.len() > best.order.len()) {
            let order = choices.iter().map(|choice| choice.operation).collect();
            best = Some(Stuck { order, operation: line.operation_at(at) });
        }
        let Some(choice) = choices.pop() else { return Found::Nothing(best.unwrap_or_default()) };
        line.put_back(choice.operation);
        (state, done, tried) = (choice.before, choice.done, choice.tried);
        at = line.begin_of(choice.operation);
    }
    Found::Order(choices.iter().map(|choice| choice.operation).collect())
}

struct Choice<S> {
    operation: usize,
    tried: usize,
    before: S,
    done: u128,
}

/// A random number for each operation (`SplitMix64`, twice).
fn mark(operation: usize) -> u128 {
    let half = |salt: u64| {
        let mut z = (operation as u64).wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u128::from(z ^ (z >> 31))
    };
    half(0x5EED) << 64 | half(0xF00D_F00D)
}

/// Begins and ends in time, linked, so that an operation can be lifted out and put back in place.
///
/// Node 0 is the front and node `nodes.len()` the end of the line. Lifted operations keep their
/// links, and are put back in the opposite order, so the links are right again by then.
struct Line {
    nodes: Vec<Node>,
    /// Where each operation begins, and where it ends.
    places: Vec<(usize, Option<usize>)>,
    /// Ends that are in the line.
    ends_left: usize,
}

#[derive(Clone, Copy)]
struct Node {
    operation: usize,
    is_begin: bool,
    before: usize,
    after: usize,
}

impl Line {
    fn new<O>(spans: &[Span<O>]) -> Self {
        let begins = spans.iter().enumerate().map(|(at, span)| (span.invoked, true, at));
        let ends =
            spans.iter().enumerate().filter_map(|(at, span)| Some((span.finished?, false, at)));
        let mut events: Vec<(u64, bool, usize)> = begins.chain(ends).collect();
        // At one time begins come first: who touches, overlaps.
        events.sort_unstable_by_key(|(time, is_begin, at)| (*time, !is_begin, *at));
        let mut nodes = vec![Node { operation: usize::MAX, is_begin: false, before: 0, after: 1 }];
        let mut places = vec![(0, None); spans.len()];
        for (index, (_, is_begin, operation)) in events.into_iter().enumerate() {
            let at = index + 1;
            nodes.push(Node { operation, is_begin, before: index, after: at + 1 });
            if let Some(place) = places.get_mut(operation) {
                if is_begin {
                    place.0 = at;
                } else {
                    place.1 = Some(at);
                }
            }
        }
        let ends_left = places.iter().filter(|place| place.1.is_some()).count();
        Self { nodes, places, ends_left }
    }

    fn node(&self, at: usize) -> Node {
        *self.nodes.get(at).expect("the search stops at the last end, before the end of the line")
    }

    fn first(&self) -> usize {
        self.node(0).after
    }

    fn after(&self, at: usize) -> usize {
        self.node(at).after
    }

    /// The operation that begins here, if this is no end.
    fn begins(&self, at: usize) -> Option<usize> {
        let node = self.node(at);
        node.is_begin.then_some(node.operation)
    }

    fn operation_at(&self, at: usize) -> usize {
        self.node(at).operation
    }

    fn place(&self, operation: usize) -> (usize, Option<usize>) {
        *self.places.get(operation).expect("every operation has a place")
    }

    fn begin_of(&self, operation: usize) -> usize {
        self.place(operation).0
    }

    fn link(&mut self, before: usize, after: usize) {
        if let Some(node) = self.nodes.get_mut(before) {
            node.after = after;
        }
        if let Some(node) = self.nodes.get_mut(after) {
            node.before = before;
        }
    }

    fn lift(&mut self, operation: usize) {
        let (begin, end) = self.place(operation);
        let node = self.node(begin);
        self.link(node.before, node.after);
        if let Some(end) = end {
            let node = self.node(end);
            self.link(node.before, node.after);
            self.ends_left -= 1;
        }
    }

    fn put_back(&mut self, operation: usize) {
        let (begin, end) = self.place(operation);
        if let Some(end) = end {
            let node = self.node(end);
            self.link(node.before, end);
            self.link(end, node.after);
            self.ends_left += 1;
        }
        let node = self.node(begin);
        self.link(node.before, begin);
        self.link(begin, node.after);
    }
}
