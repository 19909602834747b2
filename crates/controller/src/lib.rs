//! A whole controller node without IO.
#![no_std]
#![forbid(unsafe_code)]
