//! The one way to the sites: paced, retried, limited, and never fooled by a block.
//!
//! In: an address and the kind of document expected there. Out: a [`Page`] of that kind, or an
//! [`HttpError`] with the evidence. Pace and connections are kept per host; arXiv's terms of use
//! (one request per three seconds, one connection) hold whatever the settings say. A host that has
//! blocked twice in a row is left alone for a while. Nothing here knows what a paper is.

mod verdict;

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};
use url::{Host as UrlHost, Url};

use crate::text;
use verdict::Verdict;

/// The kind of document an address should answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// An Atom feed; also with status 400, where arXiv puts its error feed.
    Atom,
    /// JSON.
    Json,
    /// A PDF, complete.
    Pdf,
    /// A page for people that is not a challenge.
    Html,
    /// Plain text: robots rules.
    Text,
}

impl Expect {
    /// Bytes of a body, after decompression, above which it is refused.
    const fn limit_bytes(self) -> usize {
        match self {
            Self::Atom | Self::Html => 32 << 20,
            Self::Text => 1 << 20,
            Self::Json | Self::Pdf => 96 << 20,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Atom => "an Atom feed",
            Self::Json => "JSON",
            Self::Pdf => "a PDF",
            Self::Html => "a page",
            Self::Text => "plain text",
        }
    }
}

/// A document of the expected kind.
#[derive(Debug, Clone)]
pub struct Page {
    /// HTTP status; 200 but for arXiv's error feeds.
    pub status: u16,
    /// As the server named it; empty when it did not.
    pub content_type: String,
    /// The whole body, decompressed.
    pub body: Vec<u8>,
}

/// What was seen of an answer, fit for a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// HTTP status.
    pub status: u16,
    /// As the server named it, escaped.
    pub content_type: String,
    /// The first 200 characters of the body, escaped.
    pub excerpt: String,
}

impl Evidence {
    fn of(page: &Page) -> Self {
        Self {
            status: page.status,
            content_type: text::excerpt(page.content_type.as_bytes(), 100),
            excerpt: text::excerpt(&page.body, 200),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            content_type,
            excerpt,
        } = self;
        write!(
            formatter,
            "status {status}, content-type `{content_type}`, body starts `{excerpt}`"
        )
    }
}

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The site holds us off: 429, a captcha, a challenge page, a plain-text refusal.
    #[error("blocked at {url}: {evidence}")]
    Blocked {
        /// The address.
        url: String,
        /// The last answer.
        evidence: Evidence,
    },
    /// 404 or 410: the site says that it does not have this.
    #[error("nothing at {url}: {evidence}")]
    Missing {
        /// The address.
        url: String,
        /// The answer.
        evidence: Evidence,
    },
    /// Another 4xx: this document is not for us.
    #[error("refused at {url}: {evidence}")]
    Refused {
        /// The address.
        url: String,
        /// The answer.
        evidence: Evidence,
    },
    /// 5xx, still there after every retry.
    #[error("server fault at {url}: {evidence}")]
    Server {
        /// The address.
        url: String,
        /// The last answer.
        evidence: Evidence,
    },
    /// The answer is not what it should be: truncated, of another kind, or contradicting itself.
    #[error("unusable answer at {url}: {reason}; {evidence}")]
    Unusable {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
        /// The last answer.
        evidence: Evidence,
    },
    /// The body is over the limit.
    #[error("answer at {url} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit, bytes.
        limit: usize,
    },
    /// A redirect that leaves the site.
    #[error("{url} redirects away: {reason}")]
    Redirect {
        /// The address.
        url: String,
        /// Where to.
        reason: String,
    },
    /// No answer: resolving, connecting, a reset, a timeout, a body cut short.
    #[error("no complete answer from {url}: {reason}")]
    Network {
        /// The address.
        url: String,
        /// The whole chain of causes.
        reason: String,
    },
    /// The client itself could not be made.
    #[error("cannot make the HTTP client: {0}")]
    Client(String),
}

impl HttpError {
    /// True when trying again, now or in a later run, can succeed.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Blocked { .. }
            | Self::Server { .. }
            | Self::Unusable { .. }
            | Self::Network { .. }
            | Self::Client(_) => true,
            Self::Missing { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Redirect { .. } => false,
        }
    }
}

/// How the client behaves. [`HttpSettings::polite`] is what runs in production.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The User-Agent header.
    pub user_agent: String,
    /// Least time between two requests to one host.
    pub interval: Duration,
    /// Tries of one document, the first included.
    pub attempts: u32,
    /// Pause after the first failure; doubled each time, with jitter.
    pub retry_base: Duration,
    /// Longest pause. A server that asks for more has blocked us.
    pub longest_pause: Duration,
    /// How long a host is left alone that blocked two documents in a row.
    pub rest: Duration,
}

impl HttpSettings {
    /// Says who we are, and waits as the sites ask.
    pub fn polite(contact: &str, interval: Duration) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let contact = text::ascii_header(&text::clean(contact), 200);
        Self {
            user_agent: format!(
                "Annapurna/{version} (research-paper pipeline; contact: {contact})"
            ),
            interval,
            attempts: 5,
            retry_base: Duration::from_secs(2),
            longest_pause: Duration::from_secs(120),
            rest: Duration::from_secs(120),
        }
    }
}

/// Requests at a time to a host that has no rule of its own.
pub const CONNECTIONS_PER_HOST: usize = 4;
/// arXiv's terms of use: one connection, one request per three seconds.
const ARXIV_INTERVAL: Duration = Duration::from_secs(3);
const ARXIV_HOST: &str = "arxiv.org";
/// Blocked documents in a row after which a host is left alone.
const BLOCKS_BEFORE_REST: u32 = 2;

/// The name a host's rules are kept under: all of arXiv is one host.
fn host_key(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    if is_arxiv(&host) {
        return ARXIV_HOST.to_owned();
    }
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

fn is_arxiv(host: &str) -> bool {
    host == ARXIV_HOST || host.ends_with(".arxiv.org")
}

/// Connections and interval of a host.
fn rules_of(key: &str, interval: Duration) -> (usize, Duration) {
    if is_arxiv(key) {
        (1, interval.max(ARXIV_INTERVAL))
    } else {
        (CONNECTIONS_PER_HOST, interval)
    }
}

/// Blocks in a row, and the evidence while the host is left alone.
#[derive(Debug, Default)]
struct Health {
    blocks: u32,
    rest: Option<(Instant, Evidence)>,
}

#[derive(Debug)]
struct HostState {
    connections: Semaphore,
    interval: Duration,
    next: Mutex<Instant>,
    health: Mutex<Health>,
}

impl HostState {
    fn new(key: &str, interval: Duration) -> Self {
        let (connections, interval) = rules_of(key, interval);
        Self {
            connections: Semaphore::new(connections),
            interval,
            next: Mutex::new(Instant::now()),
            health: Mutex::default(),
        }
    }

    /// Waits for a connection and for the host's next moment. The permit lasts until the body is read.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.connections.acquire().await.ok();
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.interval;
            at
        };
        sleep_until(at).await;
        permit
    }

    fn resting(&self) -> Option<Evidence> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, evidence) = health.rest.as_ref()?;
        (*until > Instant::now()).then(|| evidence.clone())
    }

    fn record(&self, blocked: Option<&Evidence>, rest: Duration) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(evidence) = blocked else {
            *health = Health::default();
            return;
        };
        health.blocks += 1;
        if health.blocks >= BLOCKS_BEFORE_REST {
            health.rest = Some((Instant::now() + rest, evidence.clone()));
        }
    }
}

/// A failed try: what to report, and whether and when another makes sense.
struct Failure {
    error: Box<HttpError>,
    retry: bool,
    asked_pause: Option<Duration>,
}

impl Failure {
    fn last(error: HttpError) -> Self {
        Self {
            error: Box::new(error),
            retry: false,
            asked_pause: None,
        }
    }

    fn again(error: HttpError) -> Self {
        Self {
            error: Box::new(error),
            retry: true,
            asked_pause: None,
        }
    }
}

/// The client. One for the life of the function, so that pace holds from run to run.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    settings: HttpSettings,
    hosts: Mutex<HashMap<String, Arc<HostState>>>,
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
            .redirect(redirect::Policy::custom(follow_within_the_site))
            .build()
            .map_err(|error| HttpError::Client(chain(&error)))?;
        Ok(Self {
            client,
            settings,
            hosts: Mutex::default(),
        })
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
    pub async fn get_with<T, E: fmt::Display>(
        &self,
        url: &Url,
        expect: Expect,
        read: impl Fn(Page) -> Result<T, E>,
    ) -> Result<T, HttpError> {
        let host = self.host(url);
        if let Some(evidence) = host.resting() {
            return Err(HttpError::Blocked {
                url: url.to_string(),
                evidence,
            });
        }
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(&host, url, expect, &read).await {
                Ok(value) => {
                    host.record(None, self.settings.rest);
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            let pause = failure.asked_pause.unwrap_or_else(|| self.backoff(attempt));
            let is_last = attempt >= self.settings.attempts || pause > self.settings.longest_pause;
            if !failure.retry || is_last {
                self.remember(&host, &failure, pause);
                return Err(*failure.error);
            }
            tracing::warn!(attempt, pause_ms = pause.as_millis(), error = %failure.error, "asking again");
            sleep(pause).await;
            // Other requests may have found meanwhile that the host holds us off.
            if host.resting().is_some() {
                return Err(*failure.error);
            }
            attempt += 1;
        }
    }

    /// x
    pub fn share(&self, _n: u32) {}

    fn host(&self, url: &Url) -> Arc<HostState> {
        let key = host_key(url);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = self.settings.interval;
        let host = hosts
            .entry(key)
            .or_insert_with_key(|key| Arc::new(HostState::new(key, interval)));
        Arc::clone(host)
    }

    fn remember(&self, host: &HostState, failure: &Failure, pause: Duration) {
        match failure.error.as_ref() {
            HttpError::Blocked { evidence, .. } => {
                host.record(Some(evidence), self.settings.rest.max(pause));
            }
            HttpError::Missing { .. } | HttpError::Refused { .. } | HttpError::TooLarge { .. } => {
                host.record(None, self.settings.rest);
            }
            HttpError::Server { .. }
            | HttpError::Unusable { .. }
            | HttpError::Redirect { .. }
            | HttpError::Network { .. }
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
        host: &HostState,
        url: &Url,
        expect: Expect,
        read: &impl Fn(Page) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let permit = host.turn().await;
        let (page, asked_pause) = self.fetch(url, expect).await?;
        drop(permit);
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

    async fn fetch(&self, url: &Url, expect: Expect) -> Result<(Page, Option<Duration>), Failure> {
        let mut request = self.client.get(url.clone());
        if expect != Expect::Pdf {
            // A conference's list is tens of megabytes of JSON; PDFs are compressed already.
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        let mut response = request.send().await.map_err(|error| network(url, &error))?;
        let asked_pause = asked_pause(response.headers());
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type =
            content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let status = response.status().as_u16();
        let limit = expect.limit_bytes();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| network(url, &error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(Failure::last(HttpError::TooLarge {
                    url: url.to_string(),
                    limit,
                }));
            }
            body.extend_from_slice(&chunk);
        }
        let body = gunzip(url, body, limit)?;
        let content_type = content_type.unwrap_or_default();
        Ok((
            Page {
                status,
                content_type,
                body,
            },
            asked_pause,
        ))
    }
}

/// Decompresses what is gzip, whatever the headers say; a bomb stops at the limit.
fn gunzip(url: &Url, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Failure> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(body.as_slice());
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| {
            let reason = format!("the gzip stream is damaged: {error}");
            Failure::again(HttpError::Network {
                url: url.to_string(),
                reason,
            })
        })?;
    if plain.len() > limit {
        return Err(Failure::last(HttpError::TooLarge {
            url: url.to_string(),
            limit,
        }));
    }
    Ok(plain)
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

/// The pause a server asks for: `Retry-After` in either form, else OpenReview's `ratelimit-reset`
/// once nothing remains.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        let pause = date.with_timezone(&chrono::Utc) - chrono::Utc::now();
        return Some(pause.to_std().unwrap_or_default());
    }
    let is_used_up = text("ratelimit-remaining").is_some_and(|remaining| remaining == "0");
    let seconds = text("ratelimit-reset")
        .filter(|_| is_used_up)?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

fn network(url: &Url, error: &reqwest::Error) -> Failure {
    let url = url.to_string();
    let reason = chain(error);
    if error.is_redirect() {
        return Failure::last(HttpError::Redirect { url, reason });
    }
    Failure::again(HttpError::Network { url, reason })
}

/// An error with its causes, escaped: a cause can quote what a server sent.
fn chain(error: &dyn std::error::Error) -> String {
    let mut reasons = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        reasons.push(cause.to_string());
        source = cause.source();
    }
    reasons.dedup();
    text::excerpt(reasons.join(": ").as_bytes(), 500)
}

/// Redirects a page may take.
const REDIRECTS: usize = 5;

fn follow_within_the_site(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from = attempt.previous().last();
    let is_within = from.is_some_and(|from| same_site(from, attempt.url()));
    if attempt.previous().len() > REDIRECTS {
        let n_redirects = attempt.previous().len();
        attempt.error(format!(
            "{n_redirects} redirects, at most {REDIRECTS} are followed"
        ))
    } else if is_within {
        attempt.follow()
    } else {
        let refusal = format!("to {}, which is another site", attempt.url());
        attempt.error(refusal)
    }
}

/// The same host, or a host and its subdomain, and never from https to http. An address that is a
/// number leads only to itself, port included.
fn same_site(from: &Url, to: &Url) -> bool {
    if !matches!(to.scheme(), "http" | "https")
        || (from.scheme() == "https" && to.scheme() == "http")
    {
        return false;
    }
    match (from.host(), to.host()) {
        (Some(UrlHost::Domain(a)), Some(UrlHost::Domain(b))) => {
            a == b
                || a.ends_with(&format!(".{b}")) && b.contains('.')
                || b.ends_with(&format!(".{a}"))
        }
        (a, b) => {
            a.is_some() && a == b && from.port_or_known_default() == to.port_or_known_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn arxiv_is_one_host_with_one_connection_and_three_seconds() {
        let key = host_key(&url("https://export.arxiv.org/api/query"));
        assert_eq!(key, host_key(&url("http://ARXIV.org/pdf/1")));
        let fast = Duration::from_millis(1);
        assert_eq!(rules_of(&key, fast), (1, Duration::from_secs(3)));
        let slow = Duration::from_secs(5);
        assert_eq!(rules_of(&key, slow), (1, slow));
        let other = host_key(&url("https://notarxiv.org/"));
        assert_eq!(rules_of(&other, fast), (CONNECTIONS_PER_HOST, fast));
    }

    #[tokio::test]
    async fn a_hosts_requests_keep_their_distance() {
        let host = HostState::new("a.example:80", Duration::from_millis(30));
        let start = Instant::now();
        tokio::join!(host.turn(), host.turn(), host.turn());
        assert!(start.elapsed() >= Duration::from_millis(60));
    }

    #[tokio::test]
    async fn arxiv_is_asked_again_only_after_the_answer_before_was_read() {
        let host = HostState::new(ARXIV_HOST, Duration::ZERO);
        let permit = host.turn().await;
        let second = tokio::time::timeout(Duration::from_millis(20), host.turn()).await;
        assert!(permit.is_some() && second.is_err());
    }

    #[test]
    fn redirects_stay_within_the_site() {
        let within = [
            ("https://export.arxiv.org/a", "https://arxiv.org/a"),
            ("http://iclr.cc/a", "https://www.iclr.cc/a"),
            ("http://127.0.0.1:8000/a", "http://127.0.0.1:8000/b"),
        ];
        for (from, to) in within {
            assert!(same_site(&url(from), &url(to)), "{from} {to}");
        }
        let away = [
            ("https://arxiv.org/a", "http://arxiv.org/a"),
            ("https://arxiv.org/a", "https://arxiv.org.example/a"),
            ("https://arxiv.org/a", "https://evilarxiv.org/a"),
            ("https://iclr.cc/a", "https://cc/a"),
            ("http://iclr.cc/a", "http://169.254.169.254/latest"),
            ("http://127.0.0.1:8000/a", "http://127.0.0.1:8001/a"),
            ("https://iclr.cc/a", "file:///etc/passwd"),
        ];
        for (from, to) in away {
            assert!(!same_site(&url(from), &url(to)), "{from} {to}");
        }
    }

    #[test]
    fn a_server_can_ask_for_a_pause_in_three_ways() {
        let headers = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(
            asked_pause(&headers("retry-after", "7")),
            Some(Duration::from_secs(7))
        );
        let past = headers("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(asked_pause(&past), Some(Duration::ZERO));
        let mut used_up = headers("ratelimit-reset", "9");
        assert_eq!(asked_pause(&used_up), None);
        used_up.insert("ratelimit-remaining", "0".parse().unwrap());
        assert_eq!(asked_pause(&used_up), Some(Duration::from_secs(9)));
    }

    #[test]
    fn gzip_is_read_whatever_the_headers_say_and_a_bomb_is_not() {
        use std::io::Write;
        let pack = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let address = url("http://a.example/");
        let packed = pack(b"{}");
        assert_eq!(gunzip(&address, packed.clone(), 10).ok().unwrap(), b"{}");
        let bomb = gunzip(&address, pack(&[0; 4096]), 1000).err().unwrap();
        assert!(matches!(*bomb.error, HttpError::TooLarge { .. }));
        let cut = gunzip(&address, packed[..packed.len() - 4].to_vec(), 10)
            .err()
            .unwrap();
        assert!(cut.retry && cut.error.to_string().contains("gzip stream is damaged"));
    }

    #[test]
    fn the_user_agent_says_who_we_are() {
        let settings = HttpSettings::polite("ops@example.org\r\nX: 1", Duration::ZERO);
        assert!(
            settings.user_agent.starts_with("Annapurna/"),
            "{}",
            settings.user_agent
        );
        assert!(
            settings
                .user_agent
                .ends_with("contact: ops@example.org X: 1)")
        );
    }
}
