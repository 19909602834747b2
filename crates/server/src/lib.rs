//! Sockets, threads, clock, configuration, metrics, admin pages.

pub mod admin;
pub mod config;
pub mod metrics;
pub mod properties;
