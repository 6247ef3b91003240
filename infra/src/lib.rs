//! The stack of the paper pipeline as typed constructs, and the engine that plans and deploys it.
//!
//! `cloudformation` is what CloudFormation knows (L1), `constructs` what we mean (L2), `pipeline` what
//! exists. Everything below them is about getting it there: `plan` compares, `engine` drives change
//! sets, `assets` builds what is deployed, `local` runs an environment on this machine.
//! Only `ui` writes to the terminal.

pub mod assets;
pub mod cloud;
pub mod cloudformation;
pub mod commands;
pub mod constructs;
pub mod engine;
pub mod environment;
pub mod error;
pub mod index;
pub mod local;
pub mod pipeline;
pub mod plan;
pub mod scrape_machine;
pub mod ui;
pub mod validate;
