//! What the words of a command line have in common: how a wrong one is answered, and with which codes a word ends.

use std::process::ExitCode;

/// A wrong command line (`sysexits.h`).
pub(crate) const EXIT_USAGE: u8 = 64;

/// A machine that lacks something (`sysexits.h`).
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;

/// What was parsed.
///
/// # Errors
/// The exit code of a wrong command line; what was wrong, and how it is right, was printed.
pub(crate) fn understood<T>(parsed: Result<T, String>, usage: &str) -> Result<T, ExitCode> {
    parsed.map_err(|wrong| {
        eprintln!("{wrong}\n{usage}");
        ExitCode::from(EXIT_USAGE)
    })
}
