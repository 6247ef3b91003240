//! The lease of a host that all runs together may ask only one request at a time.
//!
//! What the client asks of whoever keeps the leases. There is none here: it takes a place that every
//! run can write to.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// Lets one run at a time ask a host.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// Takes a host's lease for `period` from now, or renews it, unless another run waits for it: then
    /// that one has it first. So the caller has no request under way and, were it alone, might begin
    /// one now. Waits for as long as another run holds the lease: the caller's deadline ends the wait.
    async fn hold(&self, host: &str, period: Duration) -> Result<Grant, LeaseError>;

    /// Gives the lease back, if it is still ours, and waits for it no longer. The host may be asked
    /// again at `next_ms`, or when the holder before us has said, whichever is later.
    async fn release(&self, host: &str, next_ms: i64) -> Result<(), LeaseError>;
}

/// A lease that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Until when, ms since 1970.
    pub until_ms: i64,
    /// The host may not be asked before: what the last holder left, ms since 1970.
    pub next_ms: i64,
}

/// Why nothing is known of a lease, in the words of the place where leases are kept.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LeaseError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
