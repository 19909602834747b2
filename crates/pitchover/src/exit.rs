//! Exit codes of whatever measures or judges: one table for `bench`, `report`, `slo`, `soak`, `canary`, `perf` and `chaos`.
//!
//! | Code | Means |
//! |---|---|
//! | 0 | done; whatever was judged passed |
//! | 1 | failed: wrong answers, a goal missed, a bar broken, slower, something that must hold did not |
//! | 2 | undecided: too little was measured; of `chaos`: this host cannot begin a run, and the reason |
//! | 3 | invalid: generator, host or an interruption spoilt it, and nothing follows about the server |
//! | 64 | wrong usage: an option, a file or a target that is none; nothing was begun |
//!
//! `serve` has Java's instead; the tools that ask or simulate (`status`, `elect`, `sim`, …) have 0, 1 and clap's 2.

/// A goal was missed, an answer was wrong, a bar was broken.
pub(crate) const FAILED: u8 = 1;

/// Nobody can tell, or this host cannot even try.
pub(crate) const UNDECIDED: u8 = 2;

/// Nothing follows about the server.
pub(crate) const INVALID: u8 = 3;

/// Wrong usage, as `sysexits.h` has it.
pub(crate) const USAGE: u8 = 64;

/// Whether a command has the codes of this table, so that clap's 2 for wrong usage would mean that nobody can tell.
pub(crate) fn is_of_table(word: Option<&std::ffi::OsString>) -> bool {
    const OF_TABLE: [&str; 7] = ["bench", "canary", "chaos", "perf", "report", "slo", "soak"];
    word.and_then(|word| word.to_str()).is_some_and(|word| OF_TABLE.contains(&word))
}
