//! Raft without IO; the engine stays inside.
#![no_std]
#![forbid(unsafe_code)]
