//! What every function shares: AWS clients, the model, search, PDF text, queues and telemetry.
//!
//! Everything here works the same in AWS and in the local environment; endpoints come from the
//! environment. What a single function decides is deliberately absent.

pub mod aws;
pub mod batch;
pub mod model;
pub mod objects;
pub mod pdf;
pub mod queues;
pub mod search;
pub mod telemetry;

pub use batch::process_batch;
pub use model::{Model, ModelError, Tool};
pub use objects::{Objects, ObjectsError};
pub use queues::{QueueError, Queues};
pub use search::{Search, SearchError};
