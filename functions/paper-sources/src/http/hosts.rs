//! Whose turn it is: connections, pace, leases and health, host by host.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use annapurna_contract::PaperHost;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::error::Evidence;
use super::lease::{LeaseError, Leases, now_ms};
use super::settings::{ExclusiveHost, HttpSettings};

/// Requests at a time to a host that has no rule of its own.
pub const CONNECTIONS_PER_HOST: usize = 4;
/// The same, as a semaphore counts.
const CONNECTIONS: u32 = CONNECTIONS_PER_HOST as u32;
/// All of arXiv: its own name, and those below it.
const ARXIV_HOST: &str = PaperHost::Arxiv.public_name();
/// Blocked documents in a row after which a host is left alone.
const BLOCKS_BEFORE_REST: u32 = 2;
/// A host is never left alone for longer, whatever it asks for.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(6 * 60 * 60);
/// No moment that is waited for lies further in the future: what a server, a lease or a setting
/// says cannot take the clock out of its range.
const FURTHEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The name a host's rules are kept under: all of arXiv is one host.
pub(super) fn host_key(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let part = host.strip_suffix(ARXIV_HOST);
    if part.is_some_and(|part| part.is_empty() || part.ends_with('.')) {
        return ARXIV_HOST.to_owned();
    }
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

/// The rule of a host that only one run may ask at a time; arXiv's holds whatever the settings say.
fn exclusive_rule(key: &str, settings: &HttpSettings) -> Option<ExclusiveHost> {
    if key == ARXIV_HOST {
        let arxiv = ExclusiveHost::arxiv();
        let interval = arxiv.interval.max(settings.interval);
        return Some(ExclusiveHost { interval, ..arxiv });
    }
    let mut known = settings.exclusive_hosts.iter();
    known.find(|host| host.host == key).cloned()
}

/// Blocks in a row, and the evidence while the host is left alone.
#[derive(Debug, Default)]
struct Health {
    blocks: u32,
    rest: Option<(Instant, Evidence)>,
}

/// A moment in the future.
pub(super) fn later(pause: Duration) -> Instant {
    Instant::now() + pause.min(FURTHEST)
}

/// How this run shares a host with others.
#[derive(Clone, Copy)]
pub(super) struct Sharing<'a> {
    /// Runs that ask at the same time, this one included.
    pub(super) runs: u32,
    /// How runs agree on an exclusive host; without it, they share it as any other.
    pub(super) leases: Option<&'a dyn Leases>,
}

#[derive(Debug)]
pub(super) struct HostState {
    exclusive: Option<ExclusiveHost>,
    connections: Semaphore,
    interval: Mutex<Duration>,
    next: Mutex<Instant>,
    health: Mutex<Health>,
    /// Until when the lease is ours, ms since 1970; `None` when it was never asked for or is given back.
    leased_until_ms: Mutex<Option<i64>>,
}

/// Leave to send one request. Lasts until its answer is read; dropping it ends it.
pub(super) struct Turn<'a> {
    host: &'a HostState,
    distance: Duration,
    is_answered: bool,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// The server has the request, so the distance to the next one counts from now: counted from
    /// before the connection was made, it would shrink on the way.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
        if self.host.exclusive.is_some() {
            self.host.hold_off(self.distance);
        }
    }
}

impl Drop for Turn<'_> {
    /// A request that was given up may still have reached the server.
    fn drop(&mut self) {
        if !self.is_answered {
            self.answered();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostState {
    pub(super) fn new(key: &str, settings: &HttpSettings) -> Self {
        let exclusive = exclusive_rule(key, settings);
        let interval = exclusive
            .as_ref()
            .map_or(settings.interval, |rule| rule.interval);
        Self {
            exclusive,
            connections: Semaphore::new(CONNECTIONS_PER_HOST),
            interval: Mutex::new(interval),
            next: Mutex::new(Instant::now()),
            health: Mutex::default(),
            leased_until_ms: Mutex::default(),
        }
    }

    /// Waits for a connection, for the lease where one is needed, and for the host's next moment.
    pub(super) async fn turn(&self, sharing: Sharing<'_>) -> Result<Turn<'_>, LeaseError> {
        let weight = self.weight(sharing.runs);
        let permit = self.connections.acquire_many(weight).await.ok();
        let distance = self.distance(sharing);
        let at = {
            let mut next = locked(&self.next);
            let at = (*next).max(Instant::now());
            *next = at + distance;
            at
        };
        sleep_until(at).await;
        if let (Some(rule), Some(leases)) = (&self.exclusive, sharing.leases) {
            // What the holder before us left may have to be waited out, and a long wait is of the lease.
            while let Some(not_before) = self.lease(rule, leases).await? {
                sleep_until(not_before).await;
            }
            self.hold_off(distance);
        }
        Ok(Turn {
            host: self,
            distance,
            is_answered: false,
            _permit: permit,
        })
    }

    /// How much of the connections one request takes, so that `runs` runs together take them once.
    fn weight(&self, runs: u32) -> u32 {
        let allowed = match self.exclusive {
            Some(_) => 1,
            None => (CONNECTIONS / runs.max(1)).max(1),
        };
        CONNECTIONS / allowed
    }

    /// Least time between two requests of this run.
    fn distance(&self, sharing: Sharing<'_>) -> Duration {
        let interval = *locked(&self.interval);
        // Whoever holds the lease is alone.
        if self.exclusive.is_some() && sharing.leases.is_some() {
            return interval.min(FURTHEST);
        }
        interval.saturating_mul(sharing.runs.max(1)).min(FURTHEST)
    }

    /// `None` when the lease outlasts a request that begins now. Else takes or renews it, and says
    /// when the host may be asked after its last holder.
    async fn lease(
        &self,
        rule: &ExclusiveHost,
        leases: &dyn Leases,
    ) -> Result<Option<Instant>, LeaseError> {
        let needed_ms = millis(rule.longest_request);
        let left_ms =
            locked(&self.leased_until_ms).map_or(0, |until| until.saturating_sub(now_ms()));
        if left_ms >= needed_ms {
            return Ok(None);
        }
        // From here on it may be ours, even if this wait is cut short.
        *locked(&self.leased_until_ms) = Some(0);
        let grant = leases.hold(&rule.host, rule.lease).await?;
        *locked(&self.leased_until_ms) = Some(grant.until_ms);
        // A moment that has passed needs no pause.
        let pause = u64::try_from(grant.next_ms.saturating_sub(now_ms())).unwrap_or(0);
        Ok(Some(later(Duration::from_millis(pause))))
    }

    /// Gives the lease back, once no request is under way, with the moment of the next request.
    pub(super) async fn release(&self, leases: &dyn Leases) -> Result<(), LeaseError> {
        let Some(rule) = &self.exclusive else {
            return Ok(());
        };
        let _all = self.connections.acquire_many(CONNECTIONS).await.ok();
        if locked(&self.leased_until_ms).take().is_none() {
            return Ok(());
        }
        let pause = locked(&self.next).saturating_duration_since(Instant::now());
        // One more, since both clocks were rounded down.
        let next_ms = now_ms().saturating_add(millis(pause) + 1);
        leases.release(&rule.host, next_ms).await
    }

    /// Lets no request begin before a while from now, but those whose moment has been given out.
    pub(super) fn hold_off(&self, pause: Duration) {
        let mut next = locked(&self.next);
        *next = (*next).max(later(pause));
    }

    /// The host asks for a longer interval.
    pub(super) fn slow_down(&self, interval: Duration) {
        let mut known = locked(&self.interval);
        *known = (*known).max(interval);
    }

    /// After which time a request is given up, where there is a rule.
    pub(super) fn longest_request(&self) -> Option<Duration> {
        self.exclusive.as_ref().map(|rule| rule.longest_request)
    }

    /// Why, and for how long still, the host is left alone.
    pub(super) fn resting(&self) -> Option<(Evidence, Duration)> {
        let health = locked(&self.health);
        let (until, evidence) = health.rest.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| (evidence.clone(), left))
    }

    /// Notes an answer that is no block. It ends no rest: it was asked for before that began.
    pub(super) fn record_answer(&self) {
        locked(&self.health).blocks = 0;
    }

    /// Notes a block, and leaves the host alone for a while after the second in a row, or at once
    /// where the host has said for how long.
    pub(super) fn record_block(&self, evidence: &Evidence, rest: Duration, is_told: bool) {
        let mut health = locked(&self.health);
        health.blocks = health.blocks.saturating_add(1);
        let until = later(rest.min(LONGEST_REST));
        // A request that was under way with the one before must not shorten its rest.
        let is_longer = health.rest.as_ref().is_none_or(|known| known.0 < until);
        if is_longer && (is_told || health.blocks >= BLOCKS_BEFORE_REST) {
            health.rest = Some((until, evidence.clone()));
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn host(key: &str, interval: Duration) -> HostState {
        HostState::new(key, &HttpSettings::polite("c", interval))
    }

    fn evidence(status: u16) -> Evidence {
        Evidence {
            status,
            content_type: String::new(),
            excerpt: String::new(),
        }
    }

    fn sharing(runs: u32) -> Sharing<'static> {
        Sharing { runs, leases: None }
    }

    #[test]
    fn arxiv_is_one_host_with_one_connection_and_three_seconds() {
        let key = host_key(&url("https://export.arxiv.org/api/query"));
        assert_eq!(key, host_key(&url("http://ARXIV.org/pdf/1")));
        let rules = |key: &str, interval| {
            let host = host(key, interval);
            let connections = CONNECTIONS / host.weight(1);
            (connections, host.distance(sharing(1)))
        };
        let fast = Duration::from_millis(1);
        assert_eq!(rules(&key, fast), (1, Duration::from_secs(3)));
        let slow = Duration::from_secs(5);
        assert_eq!(rules(&key, slow), (1, slow));
        let other = host_key(&url("https://notarxiv.org/"));
        assert_eq!(rules(&other, fast), (CONNECTIONS, fast));
    }

    #[test]
    fn runs_that_share_a_host_divide_its_connections_and_its_pace() {
        let host = host("a.example:443", Duration::from_millis(500));
        let connections = |runs| CONNECTIONS / host.weight(runs);
        assert_eq!([0, 1, 2, 3, 4, 9].map(connections), [4, 4, 2, 1, 1, 1]);
        assert_eq!(host.distance(sharing(3)), Duration::from_millis(1500));
        host.slow_down(Duration::from_secs(1));
        host.slow_down(Duration::from_millis(1));
        assert_eq!(host.distance(sharing(2)), Duration::from_secs(2));
    }

    #[test]
    fn no_pause_is_too_long_for_the_clock_nor_a_rest_longer_than_its_limit() {
        let host = host("a.example:443", Duration::MAX);
        host.hold_off(Duration::MAX);
        assert_eq!(host.distance(sharing(u32::MAX)), FURTHEST);
        let evidence = evidence(429);
        host.record_block(&evidence, Duration::MAX, true);
        let (_, left) = host.resting().unwrap();
        assert!(left <= LONGEST_REST && left > LONGEST_REST - Duration::from_secs(60));
    }

    #[test]
    fn what_was_under_way_neither_ends_nor_shortens_a_rest() {
        let host = host("a.example:443", Duration::ZERO);
        host.record_block(&evidence(503), Duration::from_secs(1800), true);
        host.record_block(&evidence(403), Duration::from_secs(120), true);
        host.record_answer();
        let (why, left) = host.resting().unwrap();
        assert_eq!(why.status, 503);
        assert!(left > Duration::from_secs(1700));
        host.record_block(&evidence(429), Duration::from_secs(3600), false);
        assert_eq!(host.resting().unwrap().0.status, 503, "one in a row");
        host.record_block(&evidence(429), Duration::from_secs(3600), false);
        assert_eq!(host.resting().unwrap().0.status, 429, "two in a row");
    }

    #[tokio::test]
    async fn a_hosts_requests_keep_their_distance() {
        let host = host("a.example:80", Duration::from_millis(30));
        let start = Instant::now();
        let turns = tokio::join!(
            host.turn(sharing(1)),
            host.turn(sharing(1)),
            host.turn(sharing(1))
        );
        assert!(turns.0.is_ok() && start.elapsed() >= Duration::from_millis(60));
    }

    #[tokio::test]
    async fn arxiv_is_asked_again_only_after_the_answer_before_was_read() {
        let host = host(ARXIV_HOST, Duration::ZERO);
        let first = host.turn(sharing(1)).await;
        let second = tokio::time::timeout(Duration::from_millis(20), host.turn(sharing(1))).await;
        assert!(first.is_ok() && second.is_err());
    }

    #[tokio::test]
    async fn two_runs_take_two_connections_each() {
        let host = host("a.example:80", Duration::ZERO);
        let wait = Duration::from_millis(20);
        let turns = tokio::join!(host.turn(sharing(2)), host.turn(sharing(2)));
        let third = tokio::time::timeout(wait, host.turn(sharing(2))).await;
        assert!(turns.0.is_ok() && turns.1.is_ok() && third.is_err());
    }
}
