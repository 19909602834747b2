//! A thread that sleeps until something is due, and says so; sending is done elsewhere.
//!
//! It sleeps by the kernel's absolute sleep: an asynchronous timer would make every request a millisecond late, which is
//! more than many of them take.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock::mono_ns;
use crate::generator::pacer::{sharpen_timers, sleep_until};

/// Longest sleep, so that an end is noticed.
const SLEEP_NS: u64 = 100_000_000;

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(super) struct Pacer {
    is_over: Arc<AtomicBool>,
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}

/// Says everything of a plan, which is in the order of time, at its moment. What nobody can take is counted as skipped.
///
/// # Errors
/// If there is no thread for it.
pub(super) fn start<T: Send + 'static>(
    plan: impl Iterator<Item = (u64, T)> + Send + 'static,
    sender: Sender<(u64, T)>,
    skipped: &Arc<AtomicU64>,
) -> io::Result<Pacer> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, skipped) = (Arc::clone(&is_over), Arc::clone(skipped));
    let pace = move || {
        sharpen_timers();
        for (due_ns, what) in plan {
            loop {
                let now_ns = mono_ns();
                if over.load(Ordering::Acquire) {
                    return;
                }
                if now_ns >= due_ns {
                    break;
                }
                sleep_until(due_ns.min(now_ns + SLEEP_NS));
            }
            match sender.try_send((due_ns, what)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    skipped.fetch_add(1, Ordering::AcqRel);
                }
                Err(TrySendError::Closed(_)) => return,
            }
        }
    };
    std::thread::Builder::new().name("canary pacer".to_owned()).spawn(pace)?;
    Ok(Pacer { is_over })
}
