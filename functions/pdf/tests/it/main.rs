//! The crate as its callers see it: readers are processes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test, which says what each file took"
)]

mod bombs;
mod files;
mod make;
mod mutations;
