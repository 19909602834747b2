//! Draws what was measured: pages that need nothing from elsewhere.

pub mod draw;
