//! The readers of the paper sites on fixtures of our own and on recorded answers, and the polite client
//! against local servers.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod openreview;
mod pages;
mod parsers;
mod politeness;
mod public_names;
mod recorded_lists;
mod support;
