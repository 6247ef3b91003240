//! The engine that plans and deploys the stack of the paper pipeline, and its commands.
//!
//! What is deployed is the crate `annapurna-stack`. Here it is got there: `engine` drives change sets, `instances` those
//! of the second stack, `assets` builds what is deployed, `local` runs an environment on this machine, `preflight` looks
//! at an account. Only `commands` and what they call reach AWS, and only `ui` writes to the terminal. Public is what
//! the program and the tests use.

pub mod assets;
pub mod cloud;
pub mod commands;
pub mod engine;
pub mod error;

mod images;
mod index;
mod instances;
mod local;
mod preflight;
mod test_outputs;
mod ui;

pub use local::BACKEND_VARIABLE;
