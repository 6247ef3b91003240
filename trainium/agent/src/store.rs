//! Patience with S3: a request is made again until it succeeds, can never succeed, or the agent stops.

use annapurna_cloud::{ObjectError, Retry};

use crate::shutdown::Shutdown;

/// Why an object could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// S3 refused, could not be reached, or has a larger object than its reader allows.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Interrupted,
}

/// Does `attempt` as often as `retry` allows, and no longer than until the agent stops: a request that is
/// under way then is left.
///
/// # Errors
///
/// The last failure, or [`StoreError::Interrupted`].
pub(crate) async fn patiently<T, F>(
    retry: Retry,
    shutdown: &Shutdown,
    attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, ObjectError>>,
{
    // A larger object does not become smaller.
    let is_temporary = |error: &ObjectError| matches!(error, ObjectError::Failed { .. });
    tokio::select! {
        biased;
        () = shutdown.requested() => Err(StoreError::Interrupted),
        result = retry.run(is_temporary, attempt) => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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
        let result = patiently(Retry::HASTY, &shutdown, || async {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(busy()),
                _ => Ok(7),
            }
        })
        .await;
        assert_eq!(result.unwrap(), 7);
        let tries = AtomicU32::new(0);
        let result: Result<(), _> = patiently(Retry::HASTY, &shutdown, || async {
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
        let (trigger, shutdown) = Shutdown::new();
        let result: Result<(), _> = patiently(Retry::HASTY, &shutdown, || async {
            trigger.fire();
            Err(busy())
        })
        .await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
    }

    #[tokio::test]
    async fn nothing_is_asked_of_s3_once_the_agent_stops() {
        let (trigger, shutdown) = Shutdown::new();
        trigger.fire();
        let tries = AtomicU32::new(0);
        let result = patiently(Retry::HASTY, &shutdown, || async {
            tries.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
        assert_eq!(tries.load(Ordering::Relaxed), 0);
    }
}
