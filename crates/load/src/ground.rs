//! What every measurement begins with: this program's file, controllers of our own, a runtime, connections to all.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{CallError, Cluster, Connection, Deadline};

use crate::own_cluster::{OwnCluster, Setup};

/// How long a group may take to have a leader.
pub(crate) const LEADER: Duration = Duration::from_secs(30);

/// Why a measurement stands on nothing.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// A process, file or socket of our own could not be had.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The group named no leader in time, or a controller is not reachable.
    #[error("{error}\n{logs}")]
    Unreachable {
        /// Why.
        error: CallError,
        /// The last lines that controllers of our own printed; empty for targets.
        logs: String,
    },
}

/// The error of something that the system refused.
pub(crate) fn io(doing: &'static str) -> impl Fn(io::Error) -> GroundError + Copy {
    move |error| GroundError::Io { doing, error }
}

/// The error of a controller that does not answer, with what controllers of our own printed.
pub(crate) fn unreachable(own: Option<&OwnCluster>) -> impl Fn(CallError) -> GroundError + Copy {
    move |error| {
        let logs = own.map(OwnCluster::logs).unwrap_or_default();
        GroundError::Unreachable { error, logs }
    }
}

/// `given`, or this program's own file.
pub(crate) fn program(given: Option<&Path>) -> Result<PathBuf, GroundError> {
    let given = given.map(Path::to_path_buf);
    given.map_or_else(std::env::current_exe, Ok).map_err(io("finding this program's file"))
}

pub(crate) fn start(setup: &Setup) -> Result<OwnCluster, GroundError> {
    OwnCluster::start(setup).map_err(io("starting controllers"))
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, GroundError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(io("building a runtime"))
}

/// Connections to the leader, and to every controller. `own` are the controllers, if they are ours.
pub(crate) async fn connect(
    addresses: &[String],
    own: Option<&OwnCluster>,
) -> Result<(Connection, Vec<Connection>), GroundError> {
    let found = Cluster::new(addresses.iter().cloned()).leader(Deadline::after(LEADER)).await;
    let leader = found.map_err(unreachable(own))?;
    let mut all = Vec::new();
    for address in addresses {
        let connection = Connection::connect(address, Deadline::after(LEADER)).await;
        all.push(connection.map_err(unreachable(own))?);
    }
    Ok((leader, all))
}
