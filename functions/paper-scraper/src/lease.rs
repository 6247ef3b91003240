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
//! A run that waits notes itself in the object, and nobody but it takes the lease next: its holder
//! gives it up instead of renewing it, and whoever finds it free leaves it. So runs that wait take
//! turns, and none waits for the end of another. A note that is not renewed is of a run that died.
//!
//! Times are of the machines' own clocks, which Lambda keeps within milliseconds of each other.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use annapurna_cloud::{Found, Object, Written};
use annapurna_contract::keys;
use annapurna_paper_sources::http::{Grant, LeaseError, Leases, now_ms};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::store::{Store, StoreError};

/// Leases as objects of a [`Store`]: the real thing. One client has one of its own: two with the same
/// would take each other's requests for their own.
pub struct StoreLeases {
    store: Store,
    holder: String,
}

impl fmt::Debug for StoreLeases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("StoreLeases");
        debug.field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// What the object says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    holder: String,
    until_ms: i64,
    next_ms: i64,
    /// Who is to hold it next; empty when nobody waits.
    #[serde(default)]
    waiter: String,
    /// When the waiter noted itself last.
    #[serde(default)]
    waiter_ms: i64,
}

/// What a run does about a lease it has read.
#[derive(Debug, PartialEq, Eq)]
enum Move {
    /// Takes or renews it.
    Take(Lease),
    /// Gives up what it holds, for another that waits.
    GiveWay(Lease),
    /// Notes that it waits.
    Note(Lease),
    /// Leaves it as it is and reads it again later.
    Wait,
}

impl Lease {
    /// What `me` does who wants it for `period` from `now` on.
    fn next_move(&self, me: &str, period: Duration, now: i64) -> Move {
        let is_ours = self.holder == me && self.until_ms > now;
        let is_free = self.until_ms <= now;
        let is_noted = !self.waiter.is_empty() && now.abs_diff(self.waiter_ms) < NOTE_LASTS_MS;
        if is_noted && self.waiter != me {
            return if is_ours {
                Move::GiveWay(self.given_back(now.saturating_add(1), now))
            } else {
                Move::Wait
            };
        }
        if is_ours || is_free {
            return Move::Take(Self {
                holder: me.to_owned(),
                until_ms: now.saturating_add(millis(period)),
                next_ms: self.next_ms,
                ..Self::default()
            });
        }
        if is_noted && now.abs_diff(self.waiter_ms) < NOTE_LASTS_MS / 3 {
            return Move::Wait;
        }
        Move::Note(Self {
            waiter: me.to_owned(),
            waiter_ms: now,
            ..self.clone()
        })
    }

    /// The lease without a holder. Who waits goes on waiting.
    fn given_back(&self, next_ms: i64, now: i64) -> Self {
        Self {
            holder: String::new(),
            until_ms: now,
            next_ms: next_ms.max(self.next_ms),
            ..self.clone()
        }
    }

    /// The lease as `me` leaves it at its end; `None` when it has no part in it.
    fn left_by(&self, me: &str, next_ms: i64, now: i64) -> Option<Self> {
        let mut left = if self.holder == me {
            self.given_back(next_ms, now)
        } else {
            self.clone()
        };
        if left.waiter == me {
            left.waiter.clear();
            left.waiter_ms = 0;
        }
        (left != *self).then_some(left)
    }
}

/// For how long a note counts; a run that still waits renews it in time.
const NOTE_LASTS_MS: u64 = 30_000;
/// No honest lease reaches further into the future: what does is damaged, and must not stop every
/// run for good.
const FURTHEST: Duration = Duration::from_secs(15 * 60);
/// How often a waiting run reads a lease in the period of one, which may end early.
const READS_PER_PERIOD: u32 = 30;
/// How often a lease is tried to be given back that others write their notes to.
const RELEASE_ATTEMPTS: u32 = 10;

impl From<StoreError> for LeaseError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

impl StoreLeases {
    /// Leases under a name that no other process has.
    pub fn new(store: Store) -> Self {
        // The standard library's hasher is keyed from the system's randomness.
        let random = || RandomState::new().build_hasher().finish();
        let holder = format!("{:016x}{:016x}", random(), random());
        Self { store, holder }
    }

    async fn read(&self, key: &str) -> Result<Option<(Lease, Found)>, LeaseError> {
        let Some(tagged) = self.store.read(key).await? else {
            return Ok(None);
        };
        Ok(Some((lease_of(&tagged.body), tagged)))
    }

    /// Writes on the condition that the object is still `before`; false when it is not.
    async fn write(
        &self,
        key: &str,
        lease: &Lease,
        before: Option<&Found>,
    ) -> Result<bool, LeaseError> {
        let body = serde_json::to_vec(lease).map_err(|source| StoreError::Json {
            what: key.to_owned(),
            source,
        })?;
        let object = Object::new(body, "application/json");
        Ok(match before {
            Some(before) => {
                let replaced = self.store.replace_if(key, object, &before.etag).await?;
                replaced == Written::Done
            }
            None => self.store.create(key, object).await? == Written::Done,
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
            // A host that nobody has asked yet is free.
            let known = known.unwrap_or_default();
            let wanted = known.next_move(&self.holder, period, now_ms());
            if !is_told && !matches!(wanted, Move::Take(_)) {
                is_told = true;
                tell(host, &known, &wanted);
            }
            match wanted {
                Move::Take(lease) => {
                    if self.write(&key, &lease, before.as_ref()).await? {
                        return Ok(Grant {
                            until_ms: lease.until_ms,
                            next_ms: lease.next_ms,
                        });
                    }
                }
                // Where another write came first, the next read finds out what is to be done.
                Move::GiveWay(lease) | Move::Note(lease) => {
                    self.write(&key, &lease, before.as_ref()).await?;
                }
                Move::Wait => {}
            }
            // Jitter keeps waiting runs from meeting at the same object again.
            sleep((period / READS_PER_PERIOD).mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    async fn release(&self, host: &str, next_ms: i64) -> Result<(), LeaseError> {
        let key = keys::host_lease(host);
        for _ in 0..RELEASE_ATTEMPTS {
            let Some((known, before)) = self.read(&key).await? else {
                return Ok(());
            };
            let Some(left) = known.left_by(&self.holder, next_ms, now_ms()) else {
                return Ok(());
            };
            if self.write(&key, &left, Some(&before)).await? {
                return Ok(());
            }
        }
        // It runs out by itself.
        tracing::warn!(
            host,
            attempts = RELEASE_ATTEMPTS,
            "a lease was written to all the time and not given back"
        );
        Ok(())
    }
}

/// Tells, once per wait, why a run stands still.
fn tell(host: &str, known: &Lease, wanted: &Move) {
    let until = chrono::DateTime::from_timestamp_millis(known.until_ms).map_or_else(
        || format!("millisecond {}", known.until_ms),
        |until| until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    );
    match wanted {
        Move::GiveWay(_) => tracing::info!("another run waits for {host}; it has its turn first"),
        _ if known.holder.is_empty() => {
            tracing::info!("another run is next to ask {host}; waiting")
        }
        _ => tracing::info!("another run holds {host} until {until}; waiting"),
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

    const PERIOD: Duration = Duration::from_secs(90);
    const NOW: i64 = 1_000_000_000;

    fn held(holder: &str, until_ms: i64) -> Lease {
        Lease {
            holder: holder.to_owned(),
            until_ms,
            next_ms: 7,
            ..Lease::default()
        }
    }

    fn waited_for(lease: &Lease, waiter: &str, waiter_ms: i64) -> Lease {
        Lease {
            waiter: waiter.to_owned(),
            waiter_ms,
            ..lease.clone()
        }
    }

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

    #[test]
    fn only_a_lease_that_is_free_or_ours_is_taken() {
        let taken = held("me", NOW + 90_000);
        let take = |lease: &Lease| lease.next_move("me", PERIOD, NOW);
        for lease in [held("me", NOW + 1), held("you", NOW), held("", 0)] {
            assert_eq!(take(&lease), Move::Take(taken.clone()), "{lease:?}");
        }
        let yours = held("you", NOW + 1);
        assert_eq!(take(&yours), Move::Note(waited_for(&yours, "me", NOW)));
        // Whatever the notes say, nobody takes what another holds.
        for (waiter, at) in [("me", NOW), ("me", 0), ("she", NOW), ("she", i64::MIN)] {
            let moved = take(&waited_for(&yours, waiter, at));
            assert!(
                !matches!(moved, Move::Take(_) | Move::GiveWay(_)),
                "{moved:?}"
            );
        }
    }

    #[test]
    fn who_waits_is_next() {
        let noted =
            |holder: &str, until_ms| waited_for(&held(holder, until_ms), "she", NOW - 29_000);
        let wanted = |lease: &Lease, me: &str| lease.next_move(me, PERIOD, NOW);
        // Found free, it is hers, even if it was ours the moment before.
        assert_eq!(wanted(&noted("", NOW), "me"), Move::Wait);
        assert_eq!(wanted(&noted("me", NOW), "me"), Move::Wait);
        assert_eq!(
            wanted(&noted("", NOW), "she"),
            Move::Take(held("she", NOW + 90_000))
        );
        // Ours, it is given up, and asked again no sooner than we might.
        let Move::GiveWay(given) = wanted(&noted("me", NOW + 9_000), "me") else {
            panic!("it was kept");
        };
        assert_eq!((given.until_ms, given.next_ms), (NOW, NOW + 1));
        assert_eq!((given.holder.as_str(), given.waiter.as_str()), ("", "she"));
        // The note of one who died lasts half a minute, and the clock of one who is ahead is no reason.
        for at in [NOW - 30_000, NOW + 30_000, i64::MIN, i64::MAX] {
            let stale = waited_for(&held("", NOW), "she", at);
            assert!(matches!(wanted(&stale, "me"), Move::Take(_)), "{at}");
        }
    }

    #[test]
    fn a_run_that_waits_renews_its_note_and_takes_it_along() {
        let yours = held("you", NOW + 50_000);
        let noted = waited_for(&yours, "me", NOW);
        let wanted = |now| noted.next_move("me", PERIOD, now);
        assert_eq!(wanted(NOW + 9_000), Move::Wait);
        let renewed = waited_for(&yours, "me", NOW + 10_000);
        assert_eq!(wanted(NOW + 10_000), Move::Note(renewed));
        assert_eq!(noted.left_by("me", 99, NOW), Some(yours.clone()));
        assert_eq!(yours.left_by("me", 99, NOW), None);
        let free = waited_for(
            &Lease {
                next_ms: 99,
                ..held("", NOW)
            },
            "me",
            NOW,
        );
        assert_eq!(noted.left_by("you", 99, NOW), Some(free), "the note stays");
    }
}
