//! What the words of a command line have in common: how a wrong one is answered, and with which codes a word ends.

use std::process::ExitCode;

/// A wrong command line (`sysexits.h`).
pub(crate) const EXIT_USAGE: u8 = 64;

/// A machine that lacks something (`sysexits.h`).
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;

/// Whether somebody asks how a task is used.
pub(crate) fn is_help(mut words: impl Iterator<Item = String>) -> bool {
    words.any(|word| ["--help", "-h"].contains(&word.as_str()))
}

/// What was parsed.
///
/// # Errors
/// The exit code of a wrong command line; what was wrong, and how it is right, was printed. Whoever only asks how it is
/// right is told that, on standard output, and did nothing wrong.
pub(crate) fn understood<T>(parsed: Result<T, String>, usage: &str) -> Result<T, ExitCode> {
    parsed.map_err(|wrong| {
        if is_help(std::env::args().skip(1)) {
            println!("{usage}");
            return ExitCode::SUCCESS;
        }
        eprintln!("{wrong}\n{usage}");
        ExitCode::from(EXIT_USAGE)
    })
}
