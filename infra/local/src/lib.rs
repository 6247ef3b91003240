//! The local environment: the cloud emulator, OpenSearch, and what they need, as child processes that
//! outlive the program which starts them.
//!
//! In: the environment's folder ([`Home`]) and a listener for progress. Out: running services, their
//! addresses, and typed errors. Everything a service writes stays in that folder, so removing it removes
//! the environment. There is deliberately no terminal output here and no knowledge of the stack, and
//! nothing for tests: what they share is the crate in `testing/`, which uses this one.

pub mod cargo_lambda;
pub mod doctor;
pub mod emulator;
pub mod error;
pub mod home;
pub mod installation;
pub mod lock;
pub mod model;
pub mod opensearch;
pub mod ours;
pub mod paper_site;
pub mod process;
pub mod python;
pub mod torch;

mod download;
mod tool;

pub use error::LocalError;
pub use home::{Home, Progress, Silent};
pub use tool::find_program;
