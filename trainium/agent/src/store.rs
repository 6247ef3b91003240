//! Patience with S3: a request is made again until it succeeds, can never succeed, or the agent stops.
//!
//! A stop ends a read at once, for nothing is lost by it. A write that is under way is never cut: a result
//! whose write ends is a program that need not run again. How long the whole agent may take to stop is
//! [`crate::service`]'s.

use annapurna_cloud::{ObjectError, Retry};

use crate::shutdown::Shutdown;

/// Why an object could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// S3 refused, could not be reached, or has a larger object than its reader allows.
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the agent is stopping")]
    Interrupted,
}

/// A larger object does not become smaller.
fn is_temporary(error: &ObjectError) -> bool {
    matches!(error, ObjectError::Failed { .. })
}

/// Does `attempt` as often as `retry` allows, and no longer than until the agent stops: a request that is
/// under way then is left.
///
/// # Errors
///
/// The last failure, or [`StoreError::Interrupted`].
pub(crate) async fn read<T, F>(
    retry: Retry,
    shutdown: &Shutdown,
    attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, ObjectError>>,
{
    tokio::select! {
        biased;
        () = shutdown.requested() => Err(StoreError::Interrupted),
        result = retry.run(is_temporary, attempt) => Ok(result?),
    }
}

/// Does `attempt` as often as `retry` allows; once the agent stops, only a try that is under way comes to
/// its end.
///
/// # Errors
///
/// The last failure, or [`StoreError::Interrupted`].
pub(crate) async fn write<F>(
    retry: Retry,
    shutdown: &Shutdown,
    attempt: impl FnMut() -> F,
) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), ObjectError>>,
{
    if shutdown.is_requested() {
        return Err(StoreError::Interrupted);
    }
    let written = retry.run_until(shutdown.requested(), is_temporary, attempt);
    match written.await {
        Err(_) if shutdown.is_requested() => Err(StoreError::Interrupted),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    fn busy() -> ObjectError {
        ObjectError::Failed {
            operation: "GetObject",
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            reason: "503".to_owned(),
        }
    }

    #[tokio::test]
    async fn failures_are_tried_again_and_sizes_are_not() {
        let (_trigger, shutdown) = Shutdown::new();
        let tries = AtomicU32::new(0);
        let result = read(Retry::HASTY, &shutdown, || async {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(busy()),
                _ => Ok(7),
            }
        })
        .await;
        assert_eq!(result.unwrap(), 7);
        let tries = AtomicU32::new(0);
        let result: Result<(), _> = read(Retry::HASTY, &shutdown, || async {
            tries.fetch_add(1, Ordering::Relaxed);
            Err(ObjectError::TooLarge {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
                limit: 1,
            })
        })
        .await;
        assert!(matches!(result, Err(StoreError::Object(_))));
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let slow = Retry {
            first_wait: Duration::from_secs(3600),
            total: Duration::from_secs(7200),
            ..Retry::HASTY
        };
        let (trigger, shutdown) = Shutdown::new();
        let attempt = || async {
            trigger.fire();
            Err(busy())
        };
        let result: Result<(), _> = read(slow, &shutdown, attempt).await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
        let (trigger, shutdown) = Shutdown::new();
        let attempt = || async {
            trigger.fire();
            Err(busy())
        };
        let result = write(slow, &shutdown, attempt).await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
    }

    #[tokio::test]
    async fn a_stop_leaves_a_read_and_lets_a_write_end() {
        let (trigger, shutdown) = Shutdown::new();
        let never_ends = || async {
            trigger.fire();
            std::future::pending::<Result<(), ObjectError>>().await
        };
        let result = read(Retry::HASTY, &shutdown, never_ends).await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
        let (trigger, shutdown) = Shutdown::new();
        let slow = || async {
            trigger.fire();
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        };
        assert!(write(Retry::HASTY, &shutdown, slow).await.is_ok());
    }

    #[tokio::test]
    async fn nothing_is_asked_of_s3_once_the_agent_stops() {
        let (trigger, shutdown) = Shutdown::new();
        trigger.fire();
        let tries = AtomicU32::new(0);
        let attempt = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let result = read(Retry::HASTY, &shutdown, attempt).await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
        let result = write(Retry::HASTY, &shutdown, attempt).await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
        assert_eq!(tries.load(Ordering::Relaxed), 0);
    }
}
