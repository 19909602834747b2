//! Where log lines go: standard error, as text or JSON, filtered by `RUST_LOG` or `pitchover.log.level`.

use server::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// Installs the subscriber of this process. A second call does nothing.
pub(crate) fn start(config: &Config) {
    let default =
        EnvFilter::try_new(&config.log_level).unwrap_or_else(|_bad| EnvFilter::new("info"));
    let filter = EnvFilter::try_from_default_env().unwrap_or(default);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a subscriber is installed already, which is as good.
    drop(match config.log_format {
        LogFormat::Text => lines.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    });
}
