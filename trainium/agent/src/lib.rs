//! The agent: pulls batches of generated programs, runs each in a sandbox, writes what they did to S3.
//!
//! In: messages of `code-testing.fifo` (and the same batches over HTTP), programs and data sets from
//! S3. Out: `{paper_id}/outputs/…` in the outputs bucket, the result last, because its arrival is what
//! tells the collector that a test has finished. The agent never touches the index and keeps nothing
//! between runs but a cache of data sets, what programs compiled (`compile_cache.rs`), and which programs it ended with
//! (`suspects.rs`). A program sees no network,
//! no credentials and no other program; see `sandbox.rs`.

mod batch;
mod capture;
mod check;
mod classify;
mod compile_cache;
mod confine;
mod control;
mod cores;
mod datasets;
mod device;
mod executor;
mod http;
mod job;
mod launch;
mod live;
mod measured;
mod metrics;
mod mounts;
mod options;
mod plots;
mod probe;
mod processes;
mod program;
mod python;
mod records;
mod report;
mod run_dir;
mod runner;
mod sandbox;
mod seccomp;
mod service;
mod shutdown;
mod slots;
mod store;
mod suspects;
mod turns;
mod users;
mod utilization;
mod worker;

// What the binary calls.
pub use annapurna_confinement::enter_own_scope;
pub use check::look;
pub use options::{Cli, Command, Options};
pub use service::{Ended, run};

// What the tests put together, with a bucket and a queue in memory.
pub use classify::classify;
pub use datasets::Datasets;
pub use device::Device;
pub use executor::{AgentHost, Executor};
pub use http::router;
pub use plots::collect as collect_plots;
pub use probe::{IsolationChoice, NoSandbox, find_sandbox};
pub use program::{Limits, Request};
pub use python::Interpreter;
pub use records::Records;
pub use runner::{Captured, End, LimitHit, Run, RunError, Runner};
pub use sandbox::{Parts, Sandbox};
pub use service::prepare_state;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use slots::Slots;
pub use suspects::Suspects;
pub use turns::Turns;
pub use users::ProgramUsers;
pub use worker::Worker;
