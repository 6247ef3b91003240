//! Trying again, for what lasts longer than the SDK's own retries.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits that double from `first` to `longest`, each of them shortened by up to half at random, so that
/// clients which failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits that have not begun.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to wait now; longer with each call.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = wait.saturating_mul(2);
        wait.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Begins anew: what was waited for has come.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// How often and how long to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// Longest wait after the first failure; doubled after each further one.
    pub first_wait: Duration,
    /// No try begins later than this after the first one. A try that is under way is not ended by it.
    pub total: Duration,
}

impl Retry {
    /// About a minute, on top of the SDK's own retries.
    pub const PATIENT: Self = Self {
        attempts: 7,
        first_wait: Duration::from_secs(1),
        total: Duration::from_secs(120),
    };

    /// The same number of tries within a moment: what tests of patience wait with.
    pub const HASTY: Self = Self {
        attempts: Self::PATIENT.attempts,
        first_wait: Duration::from_millis(1),
        total: Duration::from_secs(10),
    };

    /// Does `attempt` until it succeeds, fails for good, or tries or time are used up.
    ///
    /// # Errors
    ///
    /// The last failure: one that `is_temporary` says no to, or one that nothing is left for.
    pub async fn run<T, E, F>(
        &self,
        is_temporary: impl Fn(&E) -> bool,
        attempt: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        E: fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let never = std::future::pending();
        self.run_until(never, is_temporary, attempt).await
    }

    /// [`Retry::run`] that waits no longer once `stop` is there. A try that is under way then is not
    /// ended by it.
    ///
    /// # Errors
    ///
    /// As [`Retry::run`]; after `stop` the last failure whatever it is.
    pub async fn run_until<T, E, F>(
        &self,
        stop: impl Future<Output = ()>,
        is_temporary: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        E: fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let last_start = Instant::now() + self.total;
        let mut backoff = Backoff::new(self.first_wait, self.total);
        let mut remaining = self.attempts.saturating_sub(1);
        let mut stop = pin!(stop);
        loop {
            let error = match attempt().await {
                Err(error) if remaining > 0 && is_temporary(&error) => error,
                result => return result,
            };
            let wait = backoff.next_wait();
            if Instant::now() + wait > last_start {
                return Err(error);
            }
            tracing::warn!(%error, wait_ms = wait.as_millis(), "trying again");
            remaining -= 1;
            tokio::select! {
                biased;
                () = &mut stop => return Err(error),
                () = sleep(wait) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How many tries it takes when each fails alike; `None` when one succeeds.
    async fn tries(
        retry: Retry,
        error: &'static str,
        n_failures: u32,
    ) -> (u32, Option<&'static str>) {
        let n_tries = Cell::new(0);
        let result = retry
            .run(
                |error| *error == "temporary",
                || async {
                    n_tries.set(n_tries.get() + 1);
                    if n_tries.get() > n_failures {
                        Ok(())
                    } else {
                        Err(error)
                    }
                },
            )
            .await;
        (n_tries.get(), result.err())
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_and_what_does_not_is_not() {
        assert_eq!(tries(Retry::HASTY, "temporary", 2).await, (3, None));
        assert_eq!(
            tries(Retry::HASTY, "for good", 2).await,
            (1, Some("for good"))
        );
        assert_eq!(
            tries(Retry::HASTY, "temporary", 99).await,
            (7, Some("temporary"))
        );
    }

    #[tokio::test]
    async fn time_ends_the_tries_too() {
        let endless = Retry {
            attempts: u32::MAX,
            first_wait: Duration::from_millis(10),
            total: Duration::from_millis(200),
        };
        let (n_tries, error) = tries(endless, "temporary", u32::MAX).await;
        assert_eq!(error, Some("temporary"));
        // Waits of at least 5, 10, 20, 40 and 80 ms leave no room for a seventh try; that it came to an end
        // at all is the time's doing.
        assert!((1..=6).contains(&n_tries), "{n_tries}");
    }

    #[tokio::test]
    async fn a_stop_ends_a_wait_and_never_a_try() {
        let patient = Retry {
            first_wait: Duration::from_secs(3600),
            total: Duration::from_secs(7200),
            ..Retry::HASTY
        };
        let n_tries = Cell::new(0);
        let result = patient.run_until(
            async {},
            |_: &&str| true,
            || async {
                tokio::task::yield_now().await;
                n_tries.set(n_tries.get() + 1);
                Err::<(), _>("temporary")
            },
        );
        assert_eq!(result.await, Err("temporary"));
        assert_eq!(
            n_tries.get(),
            1,
            "the try that was under way came to its end"
        );
    }

    #[test]
    fn waits_grow_to_their_limit_and_are_never_all_alike() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(8));
        let mut backoff = Backoff::new(first, longest);
        for most in [1, 2, 4, 8, 8, 8].map(Duration::from_secs) {
            let wait = backoff.next_wait();
            assert!(wait <= most && wait >= most / 2, "{wait:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= first);
        let mut endless = Backoff::new(first, Duration::MAX);
        (0..200).for_each(|_| assert!(endless.next_wait() >= first / 2));
        let firsts: Vec<Duration> = (0..20)
            .map(|_| Backoff::new(first, longest).next_wait())
            .collect();
        assert!(firsts.iter().any(|wait| *wait != firsts[0]));
    }
}
