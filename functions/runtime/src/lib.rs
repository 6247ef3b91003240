//! What every function shares: the model, search, batches, errors and telemetry.
//!
//! Everything here works the same in AWS and in the local environment; endpoints come from the
//! environment. What a single function decides is deliberately absent.

pub mod aws;
pub mod batch;
mod error;
mod ledger;
pub mod model;
pub mod search;
mod signature;
pub mod telemetry;

pub use batch::{Inbox, process_batch};
pub use error::{FunctionError, error_message};
pub use ledger::{Ledger, OverBudget};
pub use model::{Answer, Ask, Failed, Model, ModelError, Said, Tool};
pub use search::{Search, SearchError};
pub use signature::{SignatureError, Signer};
