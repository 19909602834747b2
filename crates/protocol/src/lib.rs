//! Bytes to typed requests and responses and back, exactly as upstream writes them.
#![no_std]
#![forbid(unsafe_code)]
