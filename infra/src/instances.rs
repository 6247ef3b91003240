//! The instances that run programs.

mod seen;

pub use seen::{Seen, seen};
