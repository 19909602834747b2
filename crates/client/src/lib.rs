//! Asynchronous client of the wire protocol.
