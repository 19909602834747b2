//! A ticker that notices when the host itself stood still: figures from such a moment say nothing.

use crate::clock;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(10);

/// A longer gap between two ticks is a stall.
pub(crate) const GAP: u64 = 200 * clock::MILLISECOND;

/// The running ticker.
#[derive(Debug)]
pub(crate) struct Stalls {
    is_over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(u64, u64)>>>,
    thread: JoinHandle<()>,
}

impl Stalls {
    pub(crate) fn watch() -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let (over, found) = (Arc::clone(&is_over), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("stalls".to_owned()).spawn(move || {
            let mut last = clock::now();
            while !over.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                let now = clock::now();
                if now - last > GAP {
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((last, now));
                }
                last = now;
            }
        })?;
        Ok(Self { is_over, seen, thread })
    }

    /// Begins and ends of all stalls.
    pub(crate) fn end(self) -> Vec<(u64, u64)> {
        self.is_over.store(true, Ordering::Relaxed);
        // It panicked if this fails, and has said so.
        drop(self.thread.join());
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
