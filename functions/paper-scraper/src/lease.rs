//! Which run may ask a host that all runs together may ask only one request at a time.
//!
//! arXiv allows one connection and one request per three seconds over all machines, and runs are
//! Lambda functions that know nothing of each other. They agree by one S3 object per host, which is
//! only ever written on a condition: that it is not there yet, or that it is still what was read
//! (source: S3 User Guide, "How to prevent object overwrites with conditional writes"). It names its
//! holder, until when it is held, and when the host may be asked next. A holder asks as often as its
//! pace allows while the lease lasts, renews it before a request could outlive it, and gives it back
//! at the end of its run. A holder that died is waited out.
//!
//! Times are of the machines' own clocks, which Lambda keeps within milliseconds of each other.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use annapurna_contract::keys;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::store::{Created, Metadata, Object, Replaced, Store, StoreError, Tagged};

/// Lets one run at a time ask a host.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// Takes a host's lease for `period` from now, or renews it. Waits for as long as another run
    /// holds it: the caller's deadline ends the wait.
    async fn hold(&self, host: &str, period: Duration) -> Result<Grant, LeaseError>;

    /// Gives the lease back, if it is still ours. The host may be asked again at `next_ms`, or when
    /// the holder before us has said, whichever is later.
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

/// Why nothing is known of a lease.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LeaseError(#[from] StoreError);

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Leases as objects of a [`Store`]: the real thing. One client has one of its own: two with the same
/// would take each other's requests for their own.
pub struct StoreLeases {
    store: Arc<dyn Store>,
    holder: String,
}

impl fmt::Debug for StoreLeases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("StoreLeases");
        debug.field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// What the object says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    holder: String,
    until_ms: i64,
    next_ms: i64,
}

/// No honest lease reaches further into the future: what does is damaged, and must not stop every
/// run for good.
const FURTHEST: Duration = Duration::from_secs(15 * 60);
/// Looks a waiting run takes per period of a lease, which may end early.
const LOOKS: u32 = 30;

impl StoreLeases {
    /// Leases under a name that no other process has.
    pub fn new(store: Arc<dyn Store>) -> Self {
        // The standard library's hasher is keyed from the system's randomness.
        let random = || RandomState::new().build_hasher().finish();
        let holder = format!("{:016x}{:016x}", random(), random());
        Self { store, holder }
    }

    async fn read(&self, key: &str) -> Result<Option<(Lease, Tagged)>, LeaseError> {
        let Some(tagged) = self.store.read_tagged(key).await? else {
            return Ok(None);
        };
        Ok(Some((lease_of(&tagged.body), tagged)))
    }

    /// Writes on the condition that the object is still `before`; false when it is not.
    async fn write(
        &self,
        key: &str,
        lease: &Lease,
        before: Option<&Tagged>,
    ) -> Result<bool, LeaseError> {
        let body = serde_json::to_vec(lease).map_err(|error| StoreError {
            operation: "PutObject",
            target: key.to_owned(),
            reason: error.to_string(),
        })?;
        let object = Object {
            body,
            content_type: "application/json",
            metadata: Metadata::new(),
        };
        Ok(match before {
            Some(before) => {
                let replaced = self.store.replace_if(key, object, &before.etag).await?;
                replaced == Replaced::Done
            }
            None => self.store.create(key, object).await? == Created::New,
        })
    }
}

#[async_trait]
impl Leases for StoreLeases {
    async fn hold(&self, host: &str, period: Duration) -> Result<Grant, LeaseError> {
        let key = keys::host_lease(host);
        let mut is_told = false;
        loop {
            let (known, before) = self.read(&key).await?.unzip();
            let known = known.unwrap_or_default();
            let now = now_ms();
            let is_free = known.holder == self.holder || known.until_ms <= now;
            if is_free {
                let lease = Lease {
                    holder: self.holder.clone(),
                    until_ms: now.saturating_add(millis(period)),
                    next_ms: known.next_ms,
                };
                if self.write(&key, &lease, before.as_ref()).await? {
                    return Ok(Grant {
                        until_ms: lease.until_ms,
                        next_ms: lease.next_ms,
                    });
                }
            } else if !is_told {
                is_told = true;
                tracing::info!(
                    host,
                    until_ms = known.until_ms,
                    "another run asks this host"
                );
            }
            // Jitter keeps waiting runs from meeting at the same object again.
            sleep((period / LOOKS).mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    async fn release(&self, host: &str, next_ms: i64) -> Result<(), LeaseError> {
        let key = keys::host_lease(host);
        let Some((known, before)) = self.read(&key).await? else {
            return Ok(());
        };
        if known.holder != self.holder {
            return Ok(());
        }
        let lease = Lease {
            holder: String::new(),
            until_ms: now_ms(),
            next_ms: next_ms.max(known.next_ms),
        };
        // When it has changed since, it was not ours any more.
        self.write(&key, &lease, Some(&before)).await.map(drop)
    }
}

/// Reads a lease; a damaged one is nobody's.
fn lease_of(body: &[u8]) -> Lease {
    let lease: Option<Lease> = serde_json::from_slice(body).ok();
    let furthest = now_ms().saturating_add(millis(FURTHEST));
    let is_honest = |lease: &Lease| lease.until_ms.max(lease.next_ms) <= furthest;
    lease.filter(is_honest).unwrap_or_else(|| {
        tracing::warn!("a lease is damaged and taken over");
        Lease::default()
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_lease_is_nobodys() {
        let far = format!(r#"{{"holder":"x","until_ms":{},"next_ms":0}}"#, i64::MAX);
        for damaged in ["", "{}", "[1]", far.as_str()] {
            assert_eq!(lease_of(damaged.as_bytes()), Lease::default(), "{damaged}");
        }
        let held = format!(r#"{{"holder":"x","until_ms":{},"next_ms":7}}"#, now_ms());
        let lease = lease_of(held.as_bytes());
        assert_eq!((lease.holder.as_str(), lease.next_ms), ("x", 7));
    }
}
