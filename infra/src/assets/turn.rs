//! Whose turn it is to deploy a protected stack.
//!
//! The stack's policy opens before CloudFormation hears of the update that needs it open, so its own word that nothing is
//! under way does not say that nobody minds when the policy is closed. Whoever touches it has a mark in the bucket of assets
//! from before the first touch until after the last, and renews it all the while; everybody else waits. A mark that nobody
//! renews is that of a deploy that was killed, and goes to who waits: by the waiter's own watch, so no two clocks are
//! compared. S3 decides each step, since a mark is written only where none is, or over the one that was read. Source: S3
//! User Guide, "Prevent object overwrites with conditional writes".

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::AssetsBucket;
use crate::engine::by_whom;
use crate::error::CommandError;

/// Between two renewals.
const RENEWAL: Duration = Duration::from_secs(8);
/// How long a mark stays the same until its owner counts as dead: a renewal, the half minute in which one is tried again,
/// and some.
const DEATH: Duration = Duration::from_secs(45);
/// Between two looks of who waits.
const LOOK: Duration = Duration::from_secs(2);
/// How long a turn is waited for: two stack operations of an hour.
const LIMIT: Duration = Duration::from_secs(7_200);

type ReadError = SdkError<GetObjectError, HttpResponse>;

/// What the mark says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Whose turn it is, as an operation of theirs calls itself; `None` when it is nobody's.
    by: Option<String>,
    /// Makes each renewal another object.
    renewal: u64,
}

/// A mark as it was read.
struct Found {
    mark: Mark,
    etag: String,
}

/// Where a mark is.
#[derive(Debug, Clone)]
struct Place {
    bucket: AssetsBucket,
    key: String,
}

/// A turn, until it is [given back](Turn::give_back). One that is dropped is over in [`DEATH`].
#[derive(Debug)]
pub(crate) struct Turn {
    place: Place,
    /// The mark as this turn wrote it last, with its ETag; `None` when somebody else has taken it over.
    mine: Arc<Mutex<Option<(Mark, String)>>>,
    renewals: AbortHandle,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.renewals.abort();
    }
}

impl AssetsBucket {
    /// Waits for the turn to deploy `stack`; `token` is what the deploy calls itself, and `say` hears whom it waits for.
    /// `None` where there is no bucket yet, and so nobody has a turn.
    ///
    /// # Errors
    ///
    /// When S3 cannot be asked, or somebody else is at it for two hours.
    pub(crate) async fn turn(
        &self,
        stack: &str,
        token: String,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Option<Turn>, CommandError> {
        let place = Place {
            bucket: self.clone(),
            key: format!("turns/{stack}.json"),
        };
        let mark = Mark {
            by: Some(token),
            renewal: 0,
        };
        let begun = Instant::now();
        // The mark of somebody else, since when it is the same.
        let mut seen: Option<(String, Instant)> = None;
        while begun.elapsed() < LIMIT {
            let found = match place.read().await {
                Ok(found) => found,
                Err(error) if error.code() == Some("NoSuchBucket") => return Ok(None),
                Err(error) => return Err(CommandError::aws(place.doing("read"))(error)),
            };
            if let Some(Found { mark, etag }) = &found
                && let Some(other) = &mark.by
            {
                if seen.is_none() {
                    say(format!(
                        "stack `{stack}` is being deployed {}; waiting for the end of that",
                        by_whom(other)
                    ));
                }
                if lives(&mut seen, etag) {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
            }
            let over = found.as_ref().map(|it| it.etag.as_str());
            if let Some(etag) = place.write(over, &mark).await? {
                return Ok(Some(Turn::begin(place, mark, etag)));
            }
        }
        Err(CommandError::TimedOut {
            what: format!("the turn to deploy `{stack}`"),
            limit_secs: LIMIT.as_secs(),
        })
    }
}

/// Whether the owner of the mark with this ETag renews it, as far as was `seen`.
fn lives(seen: &mut Option<(String, Instant)>, etag: &str) -> bool {
    let since = match seen {
        Some((same, since)) if same == etag => *since,
        _ => Instant::now(),
    };
    *seen = Some((etag.to_owned(), since));
    since.elapsed() < DEATH
}

impl Place {
    fn doing(&self, what: &str) -> String {
        format!("{what} s3://{}/{}", self.bucket.name, self.key)
    }

    /// The mark; `None` where none was ever written.
    async fn read(&self) -> Result<Option<Found>, ReadError> {
        let request = self
            .bucket
            .s3
            .get_object()
            .bucket(&self.bucket.name)
            .expected_bucket_owner(&self.bucket.account)
            .key(&self.key);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(error),
        };
        let etag = answer.e_tag;
        let etag = etag.ok_or_else(|| ReadError::construction_failure("the answer has no ETag"))?;
        let body = answer.body.collect().await;
        let body = body.map_err(ReadError::construction_failure)?.into_bytes();
        let mark = serde_json::from_slice(&body).map_err(ReadError::construction_failure)?;
        Ok(Some(Found { mark, etag }))
    }

    /// Writes a mark over the one with this ETag, or where there is none; the ETag of what was written, or `None` where
    /// somebody else was faster.
    async fn write(&self, over: Option<&str>, mark: &Mark) -> Result<Option<String>, CommandError> {
        let request = self
            .bucket
            .s3
            .put_object()
            .bucket(&self.bucket.name)
            .expected_bucket_owner(&self.bucket.account)
            .key(&self.key)
            .body(serde_json::to_vec(mark)?.into());
        let request = match over {
            None => request.if_none_match("*"),
            Some(etag) => request.if_match(etag),
        };
        let error = match request.send().await {
            Ok(answer) => return Ok(answer.e_tag),
            Err(error) => error,
        };
        // 412: it is another by now. 409: another write is under way.
        if !matches!(
            error.raw_response().map(|it| it.status().as_u16()),
            Some(409 | 412)
        ) {
            return Err(CommandError::aws(self.doing("write"))(error));
        }
        // An earlier try of this request may have been the one that was faster.
        let found = self
            .read()
            .await
            .map_err(CommandError::aws(self.doing("read")))?;
        Ok(found.filter(|it| it.mark == *mark).map(|it| it.etag))
    }
}

impl Turn {
    fn begin(place: Place, mark: Mark, etag: String) -> Self {
        let mine = Arc::new(Mutex::new(Some((mark, etag))));
        let renewing = renew(place.clone(), Arc::clone(&mine));
        Self {
            place,
            mine,
            renewals: tokio::spawn(renewing).abort_handle(),
        }
    }

    /// Whether it is still this turn: a program that slept for a minute may have lost it.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] when somebody else took it for dead.
    pub(crate) async fn holds(&self) -> Result<(), CommandError> {
        match *self.mine.lock().await {
            Some(_) => Ok(()),
            None => Err(CommandError::Usage {
                problem: "another deploy took over, since this one stood still for a minute"
                    .to_owned(),
                hint: "run it again, it goes on".to_owned(),
            }),
        }
    }

    /// Ends the turn, so that who waits goes on at once.
    ///
    /// # Errors
    ///
    /// When S3 cannot be asked.
    pub(crate) async fn give_back(self) -> Result<(), CommandError> {
        // No renewal is under way while this is locked, and none follows.
        let mut mine = self.mine.lock().await;
        if let Some((mark, etag)) = mine.take() {
            let free = Mark {
                by: None,
                renewal: mark.renewal + 1,
            };
            self.place.write(Some(&etag), &free).await?;
        }
        Ok(())
    }
}

/// Renews a mark until it is somebody else's or nobody's.
async fn renew(place: Place, mine: Arc<Mutex<Option<(Mark, String)>>>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let mut mine = mine.lock().await;
        let Some((mark, etag)) = mine.as_mut() else {
            return;
        };
        let next = Mark {
            renewal: mark.renewal + 1,
            ..mark.clone()
        };
        match place.write(Some(etag.as_str()), &next).await {
            Ok(Some(renewed)) => (*mark, *etag) = (next, renewed),
            Ok(None) => *mine = None,
            // The network may be back for the next one.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use annapurna_local::emulator::{ACCOUNT_ID, EmulatorOptions};
    use annapurna_local_testing::test_emulator;
    use annapurna_stack::environment::Environment;

    use super::*;
    use crate::cloud::Cloud;

    #[tokio::test]
    async fn a_turn_is_one_deploys_until_it_gives_it_back_or_is_killed() {
        let emulator = test_emulator(&EmulatorOptions::default()).await;
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        let local = Environment::load(&files, "local").unwrap();
        let cloud = Cloud::connect(&local, Some(&emulator.endpoint_url)).await;
        let bucket = AssetsBucket::new(&cloud, ACCOUNT_ID, "us-east-1");
        let turn = async |by: &str| bucket.turn("s", by.to_owned(), &|_| {}).await.unwrap();
        assert!(
            turn("by-nobody-1").await.is_none(),
            "there is no bucket yet"
        );
        bucket.ensure(false).await.unwrap();

        let n_at_it = AtomicUsize::new(0);
        let (n_at_it, turn) = (&n_at_it, &turn);
        let deploys = ["by-a-1", "by-b-1", "by-c-1"].map(|by| async move {
            let turn = turn(by).await.unwrap();
            assert_eq!(n_at_it.fetch_add(1, Ordering::SeqCst), 0);
            tokio::time::sleep(Duration::from_millis(300)).await;
            turn.holds().await.unwrap();
            n_at_it.fetch_sub(1, Ordering::SeqCst);
            turn.give_back().await.unwrap();
        });
        futures::future::join_all(deploys).await;

        // Killed, it renews nothing. One that was taken for dead knows it.
        let asleep = turn("by-d-1").await.unwrap();
        asleep.renewals.abort();
        let begun = Instant::now();
        let next = turn("by-e-1").await.unwrap();
        assert!(begun.elapsed() >= DEATH, "{:?}", begun.elapsed());
        tokio::spawn(renew(asleep.place.clone(), Arc::clone(&asleep.mine)));
        tokio::time::sleep(RENEWAL * 2).await;
        let error = asleep.holds().await.unwrap_err().to_string();
        assert!(error.contains("took over"), "{error}");
        next.holds().await.unwrap();
    }
}
