//! Bugs that several workers examine, and the page to which they add their rows.

use super::catalogue::Bug;
use std::slice::Iter;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bugs that nobody examines yet, and the page that takes the rows.
pub(super) struct Jobs<'a> {
    waiting: Mutex<Iter<'a, &'a Bug>>,
    page: Mutex<()>,
}

impl<'a> Jobs<'a> {
    pub(super) fn new(asked: &'a [&'a Bug]) -> Self {
        Self { waiting: Mutex::new(asked.iter()), page: Mutex::new(()) }
    }

    /// Lets so many workers do `work`, each with its number; the sum of what they return.
    pub(super) fn share(
        workers: u64,
        work: impl Fn(u64) -> Result<usize, String> + Sync,
    ) -> Result<usize, String> {
        let work = &work;
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..workers).map(|number| scope.spawn(move || work(number))).collect();
            let panicked = |_| Err("a worker panicked".to_owned());
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).sum()
        })
    }

    pub(super) fn next(&self) -> Option<&'a Bug> {
        self.waiting.lock().ok()?.next().copied()
    }

    /// Held while a row is written: one at a time, and each at once, since a run of all takes hours.
    pub(super) fn page(&self) -> MutexGuard<'_, ()> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Jobs;
    use crate::exam::catalogue;

    #[test]
    fn each_bug_is_examined_once_and_one_failure_is_told() {
        let bugs = catalogue::read().expect("the folder `exam` lies at the root");
        let asked: Vec<_> = bugs.iter().collect();
        let jobs = Jobs::new(&asked);
        let done = Jobs::share(3, |_| Ok(std::iter::from_fn(|| jobs.next()).count()));
        assert_eq!(done, Ok(asked.len()));
        let failed =
            Jobs::share(2, |worker| if worker == 1 { Err("no".to_owned()) } else { Ok(1) });
        assert_eq!(failed, Err("no".to_owned()));
    }
}
