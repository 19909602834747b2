//! What pages are drawn with: their frame, pictures, axes, and figures as people read them.
//!
//! It knows nothing of runs; the chaos runner draws its page with it too, so that the project has one look.

pub mod numbers;
pub mod page;
pub mod plot;
pub mod scale;
pub mod svg;
pub mod timeline;
