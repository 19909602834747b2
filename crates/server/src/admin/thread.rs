//! The thread of the admin pages. A scrape of ten thousand broker sets takes milliseconds, which no broker should wait
//! for; and a probe must be answered also when the core does not turn, to say so.

use std::future::pending;
use std::io;
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Admin;

/// How much less than the core's thread this one gets where all processors are busy: a page of ten thousand broker sets
/// takes a tenth of a second of one, and two controllers may be scraped at once.
const NICE: i32 = 5;

/// Serves pages until it is dropped; then their addresses are free again.
#[derive(Debug)]
pub(crate) struct AdminThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminThread {
    /// Starts to serve each address its pages.
    ///
    /// # Errors
    /// No runtime or no thread can be had.
    pub(crate) fn start(pages: Vec<(Admin, Router)>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("admin".to_owned());
        let thread = thread.spawn(move || {
            // Where the system has no such thing, the pages get as much as the core.
            rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE).ok();
            runtime.block_on(async {
                let mut serving = JoinSet::new();
                for (page, router) in pages {
                    serving.spawn(serve(page, router));
                }
                // An error means that the other end was dropped, which is as good.
                drop(stopped.await);
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

async fn serve(page: Admin, router: Router) {
    if let Err(error) = page.serve(router, pending()).await {
        tracing::error!(%error, "admin pages ended");
    }
}

impl Drop for AdminThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the admin pages panicked");
        }
    }
}
