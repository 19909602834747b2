//! The replicated rules: broker sets, masters, epochs, sync-state sets.
#![no_std]
#![forbid(unsafe_code)]
