//! The crate as its callers see it: readers are processes.

mod bombs;
mod files;
mod make;
mod mutations;
