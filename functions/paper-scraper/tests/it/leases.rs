//! Manners, measured at the server: one run at a time where only one may ask.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::site::{Seen, TOLERANCE, client, json, json_page, site};
use crate::support::{MemoryStore, hasty, until};
use annapurna_cloud::{Metadata, Object};
use annapurna_contract::keys;
use annapurna_paper_sources::http::{ExclusiveHost, Http, HttpSettings, Leases, now_ms};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use paper_scraper::lease::StoreLeases;
use url::Url;

const INTERVAL: Duration = Duration::from_millis(60);

/// A client that takes the site for a host that only one run may ask.
fn exclusive(site: &Url, store: &MemoryStore) -> Http {
    exclusive_for(site, store, Duration::from_millis(1200))
}

fn exclusive_for(site: &Url, store: &MemoryStore, lease: Duration) -> Http {
    let authority = format!("127.0.0.1:{}", site.port().unwrap());
    let host = ExclusiveHost {
        host: authority,
        interval: INTERVAL,
        lease,
        longest_request: Duration::from_millis(500),
    };
    let settings = HttpSettings {
        exclusive_hosts: vec![host],
        ..hasty()
    };
    client(settings).with_leases(Arc::new(StoreLeases::new(store.store())))
}

async fn slow_site() -> (Url, Seen) {
    site(Duration::from_millis(20), |path, _| match path {
        "/robots.txt" => StatusCode::NOT_FOUND.into_response(),
        _ => json_page(),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_runs_never_ask_an_exclusive_host_at_once_nor_too_soon() {
    let (site, seen) = slow_site().await;
    let store = MemoryStore::default();
    let run = |name: &'static str| {
        let http = exclusive_for(&site, &store, Duration::from_secs(6));
        let site = site.clone();
        async move {
            for round in 0..2 {
                let pages = (0..3).map(|n| {
                    let (http, site) = (&http, &site);
                    async move { json(http, site, &format!("/{name}/{round}/{n}")).await }
                });
                for page in futures::future::join_all(pages).await {
                    page.unwrap();
                }
                http.release().await;
            }
        }
    };
    tokio::join!(run("a"), run("b"), run("c"));
    // Each run also reads the rules.
    assert_eq!(seen.total(), 3 * (2 * 3 + 1));
    assert_eq!(seen.most_at_once(), 1);
    let distance = seen.shortest_distance();
    assert!(distance + TOLERANCE >= INTERVAL, "{distance:?}");
    // A lease per round and its release, not a write per request.
    assert!(store.n_writes() < seen.total(), "{}", store.n_writes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_dies_with_the_lease_is_waited_out() {
    let (site, seen) = slow_site().await;
    let store = MemoryStore::default();
    let dying = exclusive(&site, &store);
    json(&dying, &site, "/first").await.unwrap();
    // It dies with a request under way, and without a word.
    let last = {
        let site = site.clone();
        tokio::spawn(async move { json(&dying, &site, "/last").await })
    };
    until("the dying run asks for a page", || seen.count("/last") > 0).await;
    last.abort();
    let held_until = lease(&store, &site)["until_ms"].as_i64().unwrap();
    let heir = exclusive(&site, &store);
    json(&heir, &site, "/heir").await.unwrap();
    assert!(now_ms() >= held_until, "the lease was not waited out");
    assert_eq!(seen.most_at_once(), 1);
    assert!(seen.shortest_distance() + TOLERANCE >= INTERVAL);
}

fn lease(store: &MemoryStore, site: &Url) -> serde_json::Value {
    store.json(&keys::host_lease(&format!(
        "127.0.0.1:{}",
        site.port().unwrap()
    )))
}

#[tokio::test]
async fn a_released_lease_says_when_the_host_may_be_asked_next() {
    let (site, _) = slow_site().await;
    let store = MemoryStore::default();
    let http = exclusive(&site, &store);
    http.release().await;
    assert!(store.keys().is_empty(), "nothing was held");
    let before = now_ms();
    json(&http, &site, "/a").await.unwrap();
    http.release().await;
    let lease = lease(&store, &site);
    assert_eq!(lease["holder"], "");
    assert!(lease["until_ms"].as_i64().unwrap() <= now_ms());
    // The rules and the page: two distances after the beginning.
    assert!(
        lease["next_ms"].as_i64().unwrap() >= before + 120,
        "{lease}"
    );
}

#[tokio::test]
async fn a_run_without_time_left_stops_waiting_for_the_lease() {
    let (site, seen) = slow_site().await;
    let store = MemoryStore::default();
    let holder = exclusive(&site, &store);
    json(&holder, &site, "/a").await.unwrap();
    let n_seen = seen.total();
    let late = exclusive(&site, &store);
    let cut = tokio::time::timeout(Duration::from_millis(100), json(&late, &site, "/b")).await;
    assert!(cut.is_err());
    assert_eq!(seen.total(), n_seen);
    let mut held = lease(&store, &site);
    assert_ne!(held["waiter"], "", "it waited");
    late.release().await;
    held["waiter"] = "".into();
    held["waiter_ms"] = 0.into();
    assert_eq!(lease(&store, &site), held, "it only waits no longer");
}

/// One run asks without a pause; another comes, and asks for one page. Says how many pages the first
/// got from the other's coming to its page.
async fn pages_before_a_waiting_run(gives_back: bool) -> usize {
    let (site, seen) = slow_site().await;
    let store = MemoryStore::default();
    let period = Duration::from_millis(900);
    let greedy = exclusive_for(&site, &store, period);
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asking = async {
        let mut n = 0;
        while !is_over.load(Ordering::SeqCst) {
            json(&greedy, &site, "/greedy").await.unwrap();
            if gives_back {
                greedy.release().await;
            }
            n += 1;
            assert!(n < 200, "the other run starves");
        }
    };
    let waiting = async {
        until("the first run asks for a page", || {
            seen.count("/greedy") > 0
        })
        .await;
        let n_before = seen.count("/greedy");
        let modest = exclusive_for(&site, &store, period);
        json(&modest, &site, "/modest").await.unwrap();
        let n = seen.count("/greedy") - n_before;
        modest.release().await;
        is_over.store(true, Ordering::SeqCst);
        n
    };
    let ((), n) = tokio::join!(asking, waiting);
    assert_eq!(seen.most_at_once(), 1);
    let distance = seen.shortest_distance();
    assert!(distance + TOLERANCE >= INTERVAL, "{distance:?}");
    n
}

#[tokio::test]
async fn a_run_that_gives_the_lease_back_and_wants_it_again_lets_a_waiting_run_go_first() {
    // The first look of the other run, its note, and its next look: 45 ms each at most.
    let n = pages_before_a_waiting_run(true).await;
    assert!(n <= 3, "{n} pages");
}

#[tokio::test]
async fn a_run_that_never_gives_the_lease_back_loses_it_to_a_waiting_run_when_it_would_renew() {
    // 900 ms of lease, the last 500 of which are too short for a request: a renewal each 400 ms.
    let n = pages_before_a_waiting_run(false).await;
    assert!(n <= 12, "{n} pages");
}

/// Messages that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                if field.name() == "message" {
                    self.0.lock().unwrap().push(format!("{value:?}"));
                }
            },
        );
    }
}

#[tokio::test]
async fn a_run_that_waits_says_once_for_what_and_until_when() {
    let store = MemoryStore::default();
    let ours = StoreLeases::new(store.store());
    let theirs = StoreLeases::new(store.store());
    let period = Duration::from_millis(600);
    let log = Log::default();
    let listening = tracing::subscriber::set_default(log.clone());
    let grant = ours.hold("arxiv.org", period).await.unwrap();
    theirs.hold("arxiv.org", period).await.unwrap();
    drop(listening);
    let until = chrono::DateTime::from_timestamp_millis(grant.until_ms).unwrap();
    let until = until.format("%Y-%m-%dT%H:%M:%SZ");
    let told = format!("another run holds arxiv.org until {until}; waiting");
    assert_eq!(*log.0.lock().unwrap(), [told]);
}

#[tokio::test]
async fn a_run_that_died_while_it_waited_does_not_hold_the_others_up_for_good() {
    let store = MemoryStore::default();
    let key = keys::host_lease("a.example");
    let note = |waiter_ms: i64| {
        let lease = serde_json::json!({
            "holder": "", "until_ms": 0, "next_ms": 0, "waiter": "dead", "waiter_ms": waiter_ms,
        });
        Object {
            body: lease.to_string().into_bytes(),
            content_type: "application/json",
            metadata: Metadata::new(),
        }
    };
    let ours = StoreLeases::new(store.store());
    let period = Duration::from_millis(300);
    // Its note has half a second left.
    let begin = now_ms();
    store.put(&key, note(begin - 29_500));
    ours.hold("a.example", period).await.unwrap();
    let waited = now_ms() - begin;
    assert!((500..1000).contains(&waited), "{waited} ms");
}

#[tokio::test]
async fn a_lease_is_renewed_by_its_holder_and_by_nobody_else() {
    let store = MemoryStore::default();
    let period = Duration::from_millis(300);
    let ours = StoreLeases::new(store.store());
    let theirs = StoreLeases::new(store.store());
    let first = ours.hold("a.example", period).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let renewed = ours.hold("a.example", period).await.unwrap();
    assert!(renewed.until_ms > first.until_ms);
    theirs.release("a.example", 0).await.unwrap();
    let taken = theirs.hold("a.example", period).await.unwrap();
    assert!(taken.until_ms >= renewed.until_ms + 300, "it was not held");
    // A holder that was too late gives nothing back.
    ours.release("a.example", 0).await.unwrap();
    let known = store.json(&keys::host_lease("a.example"));
    assert_eq!(known["until_ms"], taken.until_ms);
    // What cannot be read is nobody's.
    let junk = Object {
        body: b"junk".to_vec(),
        content_type: "application/json",
        metadata: Metadata::new(),
    };
    let key = keys::host_lease("a.example");
    store.put(&key, junk);
    ours.hold("a.example", period).await.unwrap();
}

#[tokio::test]
async fn a_request_to_an_exclusive_host_never_outlives_its_limit() {
    let (site, _) = site(Duration::from_secs(5), |_, _| json_page()).await;
    let http = exclusive(&site, &MemoryStore::default());
    let start = Instant::now();
    let error = json(&http, &site, "/a").await.unwrap_err();
    assert!(
        error.to_string().ends_with("took longer than 0.5 s"),
        "{error}"
    );
    assert!(
        start.elapsed() >= Duration::from_millis(1500),
        "three tries"
    );
}
