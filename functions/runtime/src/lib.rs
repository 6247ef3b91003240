//! What every function shares: AWS clients, the model, search, PDF text and telemetry.

pub mod aws;
pub mod telemetry;
