//! The scrapers against local sites that answer well, badly and not at all, with a store in memory or the
//! emulator's, and the steps that the state machine calls.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod emulator;
mod held_back;
mod identity;
mod leases;
mod lists;
mod misbehaviour;
mod pdfs;
mod repeats;
mod sample_site;
mod steps;
mod support;
