//! The client: one document at a time through rules, turns, retries and judgement.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annapurna_contract::text::chain;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::redirect;
use tokio::time::{sleep, timeout};
use url::Url;

use super::error::{Evidence, Failure, HttpError, host_of};
use super::hosts::{HostState, Sharing, host_key};
use super::lease::Leases;
use super::redirects::{REDIRECTS, next_hop, too_many};
use super::robots::RobotsRules;
use super::settings::HttpSettings;
use super::verdict::{self, Verdict};
use super::{Expect, Page, answer};

/// The client. One for the life of the function, so that pace holds from run to run.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    settings: HttpSettings,
    leases: Option<Arc<dyn Leases>>,
    hosts: Mutex<HashMap<String, Arc<HostState>>>,
    robots: RobotsRules,
    runs: AtomicU32,
    n_blocked: AtomicU64,
}

/// What one request led to.
enum Hop {
    Page(Page, Option<Duration>),
    Redirect(Url),
}

impl Http {
    /// Makes the client.
    ///
    /// # Errors
    ///
    /// [`HttpError::Client`] when TLS or the User-Agent cannot be set up.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpError> {
        let client = reqwest::Client::builder()
            .user_agent(&settings.user_agent)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .timeout(Duration::from_secs(300))
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| HttpError::Client(chain(&error)))?;
        Ok(Self {
            client,
            settings,
            leases: None,
            hosts: Mutex::default(),
            robots: RobotsRules::default(),
            runs: AtomicU32::new(1),
            n_blocked: AtomicU64::new(0),
        })
    }

    /// Lets runs in other processes agree on who asks arXiv and the other exclusive hosts.
    #[must_use]
    pub fn with_leases(mut self, leases: Arc<dyn Leases>) -> Self {
        self.leases = Some(leases);
        self
    }

    /// Says how many runs, this one included, ask the same hosts at the same time: each takes its
    /// part of every host's pace and connections. Counts for requests whose turn has not come yet.
    pub fn share(&self, n: u32) {
        self.runs.store(n.max(1), Ordering::Relaxed);
    }

    /// Ends a run: gives back the leases it holds, after the requests that are under way. A lease
    /// that cannot be given back runs out by itself.
    pub async fn release(&self) {
        let Some(leases) = &self.leases else { return };
        let hosts: Vec<Arc<HostState>> = self.hosts().values().map(Arc::clone).collect();
        for host in hosts {
            if let Err(error) = host.release(leases.as_ref()).await {
                tracing::warn!(%error, "a lease was not given back");
            }
        }
    }

    /// How many documents have been reported as [`HttpError::Blocked`] since the last call.
    pub fn take_blocked(&self) -> u64 {
        self.n_blocked.swap(0, Ordering::Relaxed)
    }

    /// Gets a document of the expected kind.
    ///
    /// # Errors
    ///
    /// See [`HttpError`]; what can pass by itself has been retried.
    pub async fn get(&self, url: &Url, expect: Expect) -> Result<Page, HttpError> {
        self.get_with(url, expect, Ok::<_, String>).await
    }

    /// Gets a document and reads it; one that `read` refuses is asked for again.
    ///
    /// # Errors
    ///
    /// As [`Http::get`], and [`HttpError::Unusable`] with the last reason of `read`.
    pub(crate) async fn get_with<T, E: fmt::Display>(
        &self,
        url: &Url,
        expect: Expect,
        read: impl Fn(Page) -> Result<T, E>,
    ) -> Result<T, HttpError> {
        let found = self.get_ruled(url, expect, &read).await;
        if matches!(found, Err(HttpError::Blocked { .. })) {
            self.n_blocked.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    async fn get_ruled<T, E: fmt::Display>(
        &self,
        url: &Url,
        expect: Expect,
        read: &impl Fn(Page) -> Result<T, E>,
    ) -> Result<T, HttpError> {
        // A host at rest is not even asked for its rules.
        self.check_rest(url)?;
        self.check_robots(url).await?;
        self.retried(url, expect, true, read).await
    }

    /// Gets plain text that no rules govern: the rules themselves.
    pub(super) async fn unruled_text(&self, url: &Url) -> Result<Page, HttpError> {
        self.retried(url, Expect::Robots, false, &Ok::<_, String>)
            .await
    }

    async fn retried<T, E: fmt::Display>(
        &self,
        url: &Url,
        expect: Expect,
        is_ruled: bool,
        read: &impl Fn(Page) -> Result<T, E>,
    ) -> Result<T, HttpError> {
        self.check_rest(url)?;
        let host = self.host(url);
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(url, expect, is_ruled, read).await {
                Ok(value) => {
                    host.record_answer();
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            let asked_pause = failure.asked_pause.unwrap_or_default();
            let pause = asked_pause.max(self.backoff(attempt));
            let is_last = attempt >= self.settings.attempts || pause > self.settings.longest_pause;
            if !failure.retry || is_last {
                self.remember(&host, &failure, pause);
                return Err(*failure.error);
            }
            // The pause is the host's, not this document's: the others wait as well.
            host.hold_off(asked_pause);
            tracing::warn!(attempt, pause_ms = pause.as_millis(), error = %failure.error, "asking again");
            sleep(pause).await;
            // Other requests may have found meanwhile that the host holds us off.
            if host.resting().is_some() {
                return Err(*failure.error);
            }
            attempt += 1;
        }
    }

    fn check_rest(&self, url: &Url) -> Result<(), HttpError> {
        match self.host(url).resting() {
            Some((evidence, left)) => Err(HttpError::resting(url, evidence, left)),
            None => Ok(()),
        }
    }

    pub(super) const fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    pub(super) const fn robots(&self) -> &RobotsRules {
        &self.robots
    }

    pub(super) fn host(&self, url: &Url) -> Arc<HostState> {
        let mut hosts = self.hosts();
        let host = hosts
            .entry(host_key(url))
            .or_insert_with_key(|key| Arc::new(HostState::new(key, &self.settings)));
        Arc::clone(host)
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<HostState>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, host: &HostState, failure: &Failure, pause: Duration) {
        let is_told = pause > self.settings.longest_pause;
        let rest = self.settings.rest.max(pause);
        match failure.error.as_ref() {
            // One that is not to be tried again is of another host's robots rules, on the way there.
            HttpError::Blocked { evidence, .. } if failure.retry => {
                host.record_block(evidence, rest, is_told);
            }
            HttpError::Server { evidence, .. } if is_told => {
                host.record_block(evidence, rest, is_told);
            }
            HttpError::Missing { .. } | HttpError::Refused { .. } | HttpError::TooLarge { .. } => {
                host.record_answer();
            }
            HttpError::Blocked { .. }
            | HttpError::Resting { .. }
            | HttpError::Forbidden { .. }
            | HttpError::Server { .. }
            | HttpError::Unusable { .. }
            | HttpError::Unreadable { .. }
            | HttpError::Redirect { .. }
            | HttpError::Network { .. }
            | HttpError::Lease { .. }
            | HttpError::Client(_) => {}
        }
    }

    /// Doubles from try to try; jitter keeps parallel requests from coming back together.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self
            .settings
            .retry_base
            .saturating_mul(1 << (attempt - 1).min(10));
        doubled
            .min(self.settings.longest_pause)
            .mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    async fn attempt<T, E: fmt::Display>(
        &self,
        url: &Url,
        expect: Expect,
        is_ruled: bool,
        read: &impl Fn(Page) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let (page, asked_pause) = self.follow(url, expect, is_ruled).await?;
        if let Some(mut failure) = failure_of(url, &page, expect) {
            failure.asked_pause = asked_pause;
            return Err(failure);
        }
        let evidence = Evidence::of(&page);
        read(page).map_err(|reason| {
            let reason = reason.to_string();
            Failure::again(HttpError::Unusable {
                url: url.to_string(),
                reason,
                evidence,
            })
        })
    }

    /// Follows an address over its redirects. Every hop has a turn of its own and, where the first
    /// address has to obey them, the rules of its own host.
    async fn follow(
        &self,
        url: &Url,
        expect: Expect,
        is_ruled: bool,
    ) -> Result<(Page, Option<Duration>), Failure> {
        let mut here = url.clone();
        for _ in 0..=REDIRECTS {
            match self.ask(&here, expect).await? {
                Hop::Page(page, asked_pause) => return Ok((page, asked_pause)),
                Hop::Redirect(next) => here = next,
            }
            if is_ruled {
                self.check_robots(&here).await.map_err(Failure::last)?;
            }
        }
        Err(too_many(url))
    }

    /// Sends one request when its turn has come.
    async fn ask(&self, url: &Url, expect: Expect) -> Result<Hop, Failure> {
        let host = self.host(url);
        let sharing = Sharing {
            runs: self.runs.load(Ordering::Relaxed),
            leases: self.leases.as_deref(),
        };
        let mut turn = host.turn(sharing).await.map_err(|error| {
            Failure::last(HttpError::Lease {
                host: host_of(url.as_str()),
                reason: error.to_string(),
            })
        })?;
        // The host may have held us off while this request waited.
        self.check_rest(url).map_err(Failure::last)?;
        let exchange = self.exchange(url, expect, || turn.answered());
        let Some(longest) = host.longest_request() else {
            return exchange.await;
        };
        let given_up = |_| {
            Failure::again(HttpError::Network {
                url: url.to_string(),
                reason: format!("the answer took longer than {} s", longest.as_secs_f32()),
            })
        };
        timeout(longest, exchange).await.map_err(given_up)?
    }

    async fn exchange(
        &self,
        url: &Url,
        expect: Expect,
        answered: impl FnOnce(),
    ) -> Result<Hop, Failure> {
        let mut request = self.client.get(url.clone());
        if !matches!(expect, Expect::Pdf | Expect::Robots) {
            // A conference's list is tens of megabytes of JSON; PDFs are compressed already.
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        let network = |error| Failure::network(url, &error);
        let response = request.send().await.map_err(network)?;
        answered();
        let status = response.status().as_u16();
        if let Some(next) = next_hop(url, status, response.headers())? {
            return Ok(Hop::Redirect(next));
        }
        let (page, asked_pause) = answer::read(url, response, expect).await?;
        Ok(Hop::Page(page, asked_pause))
    }
}

/// The failure an answer stands for; `None` when it is what was asked for.
fn failure_of(url: &Url, page: &Page, expect: Expect) -> Option<Failure> {
    let verdict = verdict::of(page, expect);
    if verdict == Verdict::Good {
        return None;
    }
    let url = url.to_string();
    let evidence = Evidence::of(page);
    Some(match verdict {
        Verdict::Good => return None,
        Verdict::Blocked => Failure::again(HttpError::Blocked { url, evidence }),
        Verdict::Missing => Failure::last(HttpError::Missing { url, evidence }),
        Verdict::Refused => Failure::last(HttpError::Refused { url, evidence }),
        Verdict::ServerFault => Failure::again(HttpError::Server { url, evidence }),
        Verdict::Misfit(what) => {
            let reason = format!("expected {}, got {what}", expect.name());
            Failure::again(HttpError::Unusable {
                url,
                reason,
                evidence,
            })
        }
    })
}
