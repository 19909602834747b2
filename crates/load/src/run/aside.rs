//! Questions that are asked beside the load, again and again, by a thread of their own.

use std::future::Future;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Runs `ask` on a thread of that name, with a runtime of its own; what it finds, of which so many may wait to be looked at.
/// Where there is no thread or no runtime to be had, nobody asks, and the channel is closed.
pub(super) fn aside<T, F>(
    name: &str,
    waiting_max: usize,
    ask: impl FnOnce(SyncSender<T>) -> F + Send + 'static,
) -> Receiver<T>
where
    T: Send + 'static,
    F: Future<Output = ()>,
{
    let (findings, receiver) = sync_channel(waiting_max);
    let asking = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(ask(findings));
        }
    };
    drop(std::thread::Builder::new().name(name.to_owned()).spawn(asking));
    receiver
}
