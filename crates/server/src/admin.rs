//! The admin address: health for probes, metrics for scrapes, status for tools, a page for people.
//!
//! | Path | Answer |
//! |---|---|
//! | `/livez` | 200 while the core turns |
//! | `/startupz` | 200 once the journal is recovered and the listener is open |
//! | `/readyz` | 200 for a member of a quorum that has applied what was committed at its start |
//! | `/metrics` | both sets of metrics |
//! | `/api/v1/status` | the status as JSON |
//! | `/` | the same as a page: no scripts, nothing from other hosts, nothing that changes anything |
//!
//! A probe that fails answers 503 and says why. Everything is read only, and the address is loopback
//! unless somebody asks for more.
//!
//! Limits: [`CONNECTIONS_MAX`] connections at once, each closed after [`IDLE_SECS_MAX`] without a
//! byte either way; requests have no body.
//!
//! Not here: what healthy means, and what the status says; both are asked of the [`Source`].

mod limited;
mod page;
mod thread;

use core::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use crate::config::AdminAddress;
use crate::metrics::{CONTENT_TYPE, Metrics};
use limited::Limited;
pub use limited::{CONNECTIONS_MAX, IDLE_SECS_MAX};
pub(crate) use thread::AdminThread;

/// Which of the three health questions is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Does the core turn?
    Live,
    /// Is the start over?
    Started,
    /// May callers be sent here?
    Ready,
}

/// `Ok`, or the reason why not.
pub type Verdict = Result<(), String>;

/// Where the answers come from. Both functions are called on the thread of the pages and must not wait.
#[derive(Clone)]
pub struct Source {
    /// The metrics.
    pub metrics: Metrics,
    /// Judges one health question.
    pub probe: Arc<dyn Fn(Probe) -> Verdict + Send + Sync>,
    /// The status, as an object.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// A bound address that does not serve yet.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Binds the admin address; if it is busy and nobody asked for it, any free port of its host.
    ///
    /// # Errors
    /// The address was asked for and is busy, or its host is not ours.
    pub fn bind(wanted: AdminAddress) -> io::Result<Self> {
        let listener = match TcpListener::bind(wanted.address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !wanted.is_explicit => {
                TcpListener::bind((wanted.address.ip(), 0))?
            }
            bound => bound?,
        };
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Binds the page of the exporter `PROM`.
    ///
    /// # Errors
    /// The address is busy or unknown.
    pub fn bind_host(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` is ready and open requests are answered.
    ///
    /// # Errors
    /// The socket cannot be made non-blocking, or is not taken by the runtime; accepting goes on after an error.
    pub async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        axum::serve(Limited::new(listener), router).with_graceful_shutdown(stop).await
    }
}

/// All paths of the admin address.
pub fn router(source: Source) -> Router {
    let metrics = metrics_router(source.metrics.clone());
    Router::new()
        .route("/", get(status_page))
        .route("/api/v1/status", get(status))
        .route("/livez", get(|source| probe(source, Probe::Live)))
        .route("/startupz", get(|source| probe(source, Probe::Started)))
        .route("/readyz", get(|source| probe(source, Probe::Ready)))
        .with_state(source)
        .merge(metrics)
}

/// `/metrics` alone, for the exporter `PROM`.
pub fn metrics_router(metrics: Metrics) -> Router {
    let page = |State(metrics): State<Metrics>| async move {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text())
    };
    Router::new().route("/metrics", get(page)).with_state(metrics)
}

async fn probe(State(source): State<Source>, probe: Probe) -> (StatusCode, String) {
    match (source.probe)(probe) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn status(State(source): State<Source>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json((source.status)())).into_response()
}

async fn status_page(State(source): State<Source>) -> Response {
    let ready = (source.probe)(Probe::Ready);
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, page::render(&(source.status)(), &ready)).into_response()
}
