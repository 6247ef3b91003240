//! The agent against real processes: stand-in programs in the sandbox, the queue loop
//! with queue and bucket in memory, the HTTP API, and the agent's own process. Tests that need something
//! the machine lacks say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "clippy takes the helpers of an integration test for the product"
)]

mod datasets;
mod faults;
mod http;
mod limits;
mod live;
mod loader;
mod outcomes;
mod process;
mod programs;
mod support;
mod worker;
