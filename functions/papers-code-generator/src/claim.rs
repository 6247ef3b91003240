//! One writer at a time for a paper's program.
//!
//! A claim is an object beside the program that says until when its holder may write; it is taken by a conditional
//! write, so of two requests one has it. The other waits, and then finds the program there. Nobody has to take a claim
//! back: one whose holder was killed is over when the holder's time would have been.

use std::time::Duration;

use annapurna_cloud::{Condition, Object, ObjectError, ObjectStore, S3, Written};
use annapurna_contract::{PaperId, keys};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Largest claim that is read, bytes.
const CLAIM_LIMIT: u64 = 4 << 10;
/// How often one who waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How far the clocks of two machines may be apart.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// What the object says.
#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    /// Then another may take it.
    until: DateTime<Utc>,
}

/// A claim that is held, by the tag of what was written.
#[derive(Debug)]
pub(crate) struct Held {
    key: String,
    until: DateTime<Utc>,
}

/// Takes claims in the bucket of the programs.
#[derive(Debug, Clone)]
pub(crate) struct Claims {
    objects: S3,
    bucket: String,
}

impl Claims {
    pub(crate) fn new(objects: S3, bucket: String) -> Self {
        Self { objects, bucket }
    }

    /// Takes the paper's claim until `deadline`, waiting for it until then; `None` when another has it all that time.
    ///
    /// # Errors
    ///
    /// [`ObjectError`].
    pub(crate) async fn take(
        &self,
        paper: &PaperId,
        deadline: Instant,
    ) -> Result<Option<Held>, ObjectError> {
        let key = keys::code_claim(paper);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let found = self.objects.read(&self.bucket, &key, CLAIM_LIMIT).await?;
            // What cannot be read is nobody's.
            let held = found.as_ref().is_some_and(|found| {
                serde_json::from_slice::<Claim>(&found.body)
                    .is_ok_and(|claim| claim.until > Utc::now())
            });
            if !held {
                let condition = found
                    .as_ref()
                    .map_or(Condition::Absent, |found| Condition::Unchanged(&found.etag));
                let until = Utc::now() + span(left + CLOCKS_APART);
                if self.write(&key, until, condition).await? == Written::Done {
                    return Ok(Some(Held { key, until }));
                }
            }
            if left <= LOOK_EVERY {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives a claim back, unless its time is over and another has it.
    ///
    /// # Errors
    ///
    /// [`ObjectError`].
    pub(crate) async fn give_back(&self, held: Held) -> Result<(), ObjectError> {
        let found = self
            .objects
            .read(&self.bucket, &held.key, CLAIM_LIMIT)
            .await?;
        let Some(found) = found else { return Ok(()) };
        let is_ours = serde_json::from_slice::<Claim>(&found.body)
            .is_ok_and(|claim| claim.until == held.until);
        if is_ours {
            let condition = Condition::Unchanged(&found.etag);
            // Refused: another has taken it in between, since its time was over.
            let _ = self.write(&held.key, Utc::now(), condition).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        key: &str,
        until: DateTime<Utc>,
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError> {
        let json = serde_json::json!(Claim { until }).to_string();
        let object = Object::new(json, "application/json");
        self.objects
            .write(&self.bucket, key, object, condition)
            .await
    }
}

fn span(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::hours(1))
}
