//! The agent: pulls batches of generated programs, runs each in a sandbox, writes what they did to S3.
//!
//! In: messages of `code-testing.fifo` (and the same batches over HTTP), programs and data sets from
//! S3. Out: `{paper_id}/outputs/…` in the outputs bucket, the result last, because its arrival is what
//! tells the collector that a test has finished. The agent never touches the index and keeps nothing
//! between runs but a cache of data sets. A program sees no network, no credentials and no other
//! program; see [`sandbox`].

mod capture;
pub mod check;
pub mod classify;
pub mod datasets;
pub mod executor;
pub mod http;
pub mod launch;
mod mark;
mod metrics;
mod mounts;
pub mod options;
pub mod plots;
pub mod probe;
mod processes;
pub mod program;
pub mod python;
pub mod run_dir;
pub mod runner;
pub mod sandbox;
pub mod service;
pub mod shutdown;
pub mod slots;
pub mod store;
pub mod users;
pub mod worker;
