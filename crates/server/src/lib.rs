//! Sockets, threads, clock, configuration, metrics, admin pages.
