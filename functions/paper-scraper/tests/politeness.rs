//! Manners, measured at the server: robots rules, pace, sharing, and one run at a time.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annapurna_contract::keys;
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use paper_scraper::http::{ExclusiveHost, Expect, Http, HttpError, HttpSettings};
use paper_scraper::lease::{Leases, StoreLeases, now_ms};
use paper_scraper::store::{Metadata, Object, Store};
use support::{MemoryStore, hasty, reference, serve};
use url::Url;

/// What clocks and threads may take off a distance between the client and the server.
const TOLERANCE: Duration = Duration::from_millis(5);

/// Requests as the server saw them.
#[derive(Clone, Default)]
struct Seen {
    arrivals: Arc<Mutex<Vec<(Instant, String)>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

/// Counts a request for as long as its handler lives, which a client's death ends.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Seen {
    fn begin(&self, path: &str) -> UnderWay {
        let arrival = (Instant::now(), path.to_owned());
        self.arrivals.lock().unwrap().push(arrival);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        UnderWay(Arc::clone(&self.at_once))
    }

    fn count(&self, path: &str) -> usize {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.iter().filter(|(_, seen)| seen == path).count()
    }

    fn total(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// The shortest time between two arrivals.
    fn shortest_distance(&self) -> Duration {
        let arrivals = self.arrivals.lock().unwrap();
        let distances = arrivals.windows(2).map(|pair| pair[1].0 - pair[0].0);
        distances.min().unwrap()
    }
}

/// A site that answers each path with what `answer` makes of it, after `pause`.
async fn site(
    pause: Duration,
    answer: impl Fn(&str, usize) -> Response + Clone + Send + Sync + 'static,
) -> (Url, Seen) {
    let seen = Seen::default();
    let record = seen.clone();
    let handler = move |request: Request| {
        let path = request.uri().path().to_owned();
        let n_before = record.count(&path);
        let under_way = record.begin(&path);
        let response = answer(&path, n_before);
        async move {
            tokio::time::sleep(pause).await;
            drop(under_way);
            response
        }
    };
    let address = serve(Router::new().fallback(get(handler))).await;
    (Url::parse(&address).unwrap(), seen)
}

fn json_page() -> Response {
    "{}".into_response()
}

/// A site with robots rules.
async fn ruled(rules: &'static str) -> (Url, Seen) {
    site(Duration::ZERO, move |path, _| match path {
        "/robots.txt" => rules.into_response(),
        "/moved" => Redirect::permanent("/private/x").into_response(),
        _ => json_page(),
    })
    .await
}

fn client(settings: HttpSettings) -> Http {
    Http::new(settings).unwrap()
}

async fn json(http: &Http, site: &Url, path: &str) -> Result<Vec<u8>, HttpError> {
    let page = http.get(&site.join(path).unwrap(), Expect::Json).await?;
    Ok(page.body)
}

#[tokio::test]
async fn what_robots_rules_forbid_is_never_asked_for() {
    let (site, seen) = ruled("User-agent: *\nDisallow: /private/\n").await;
    let http = client(hasty());
    for _ in 0..3 {
        json(&http, &site, "/mirror/a").await.unwrap();
        let error = json(&http, &site, "/private/x?a=1").await.unwrap_err();
        assert!(matches!(error, HttpError::Forbidden { .. }), "{error}");
        assert!(!error.is_temporary());
    }
    let error = json(&http, &site, "/moved").await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the robots rules of 127.0.0.1 forbid http"),
        "{error}"
    );
    assert_eq!(
        seen.count("/robots.txt"),
        1,
        "read once, at the host's root"
    );
    assert_eq!((seen.count("/private/x"), seen.count("/moved")), (0, 1));
}

#[tokio::test]
async fn rules_are_read_once_however_many_pages_are_waiting() {
    let (site, seen) = ruled("User-agent: other\nDisallow: /\n").await;
    let http = client(hasty());
    let pages = (0..8).map(|n| {
        let (http, site) = (&http, &site);
        async move { json(http, site, &format!("/{n}")).await }
    });
    let pages = futures::future::join_all(pages).await;
    assert!(pages.iter().all(Result::is_ok));
    assert_eq!((seen.count("/robots.txt"), seen.total()), (1, 9));
}

#[tokio::test]
async fn a_documented_api_is_not_crawling() {
    let (site, seen) = ruled("User-agent: *\nDisallow: /\n").await;
    let http = client(HttpSettings {
        unruled: vec![site.join("/api/").unwrap()],
        ..hasty()
    });
    json(&http, &site, "/api/query?start=0").await.unwrap();
    assert_eq!(seen.count("/robots.txt"), 0);
    let error = json(&http, &site, "/pdf/1").await.unwrap_err();
    assert!(matches!(error, HttpError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn a_host_whose_rules_cannot_be_read_is_not_asked_until_later() {
    let (site, seen) = site(Duration::ZERO, |path, n_before| match (path, n_before) {
        ("/robots.txt", 0..3) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        ("/robots.txt", _) => StatusCode::NOT_FOUND.into_response(),
        _ => json_page(),
    })
    .await;
    let rest = Duration::from_millis(200);
    let http = client(HttpSettings { rest, ..hasty() });
    for _ in 0..2 {
        let error = json(&http, &site, "/a").await.unwrap_err();
        assert!(matches!(error, HttpError::Server { .. }), "{error}");
        assert!(error.is_temporary() && error.to_string().contains("/robots.txt: "));
    }
    assert_eq!((seen.count("/robots.txt"), seen.count("/a")), (3, 0));
    tokio::time::sleep(rest).await;
    json(&http, &site, "/a").await.unwrap();
    assert_eq!(seen.count("/robots.txt"), 4);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_a_temporary_error() {
    let http = client(hasty());
    let nowhere = Url::parse("http://127.0.0.1:9/").unwrap();
    let error = json(&http, &nowhere, "/a").await.unwrap_err();
    assert!(matches!(error, HttpError::Network { .. }), "{error}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_block_page_instead_of_rules_is_the_hosts_block() {
    const CHALLENGE: &str = "<!DOCTYPE html><title>Just a moment...</title>";
    let blocks: [fn() -> Response; 2] = [
        || Html(CHALLENGE).into_response(),
        || (StatusCode::TOO_MANY_REQUESTS, "Rate exceeded.").into_response(),
    ];
    for block in blocks {
        let (site, seen) = site(Duration::ZERO, move |path, _| match path {
            "/robots.txt" => block(),
            _ => json_page(),
        })
        .await;
        let http = client(hasty());
        for _ in 0..2 {
            let error = json(&http, &site, "/a").await.unwrap_err();
            assert!(matches!(error, HttpError::Blocked { .. }), "{error}");
        }
        assert_eq!((seen.count("/robots.txt"), seen.count("/a")), (3, 0));
        assert_eq!((http.take_blocked(), http.take_blocked()), (2, 0));
    }
}

#[tokio::test]
async fn a_host_without_rules_is_open() {
    for status in [403, 404, 410, 451] {
        let (site, _) = site(Duration::ZERO, move |path, _| match path {
            "/robots.txt" => StatusCode::from_u16(status).unwrap().into_response(),
            _ => json_page(),
        })
        .await;
        json(&client(hasty()), &site, "/a").await.unwrap();
    }
}

#[tokio::test]
async fn rules_may_move_within_the_site() {
    let (site, seen) = site(Duration::ZERO, |path, _| match path {
        "/robots.txt" => Redirect::permanent("/static/robots.txt").into_response(),
        "/static/robots.txt" => "User-agent: Annapurna\nDisallow: /a\n".into_response(),
        _ => json_page(),
    })
    .await;
    let error = json(&client(hasty()), &site, "/a").await.unwrap_err();
    assert!(matches!(error, HttpError::Forbidden { .. }), "{error}");
    assert_eq!(seen.total(), 2);
}

#[tokio::test]
async fn a_crawl_delay_slows_the_client_down() {
    let (site, seen) = ruled("User-agent: *\nCrawl-delay: 0.15\n").await;
    let http = client(hasty());
    json(&http, &site, "/rules-are-read").await.unwrap();
    let start = Instant::now();
    for n in 0..3 {
        json(&http, &site, &format!("/{n}")).await.unwrap();
    }
    // One request may be longer on its way than the next, but none comes before it was sent.
    let last = seen.arrivals.lock().unwrap().last().unwrap().0;
    assert!(last - start >= 2 * Duration::from_millis(150));
}

#[tokio::test]
async fn a_host_that_asks_for_a_long_pause_is_left_alone_at_once() {
    let (site, seen) = site(Duration::ZERO, |path, _| match path {
        "/robots.txt" => StatusCode::NOT_FOUND.into_response(),
        _ => {
            let later = [(header::RETRY_AFTER, "1800")];
            (StatusCode::TOO_MANY_REQUESTS, later, "later").into_response()
        }
    })
    .await;
    let http = client(hasty());
    for path in ["/a", "/b"] {
        let error = json(&http, &site, path).await.unwrap_err();
        assert!(matches!(error, HttpError::Blocked { .. }), "{error}");
    }
    assert_eq!((seen.count("/a"), seen.count("/b")), (1, 0));
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let (site, seen) = site(Duration::ZERO, |path, _| match path {
        "/robots.txt" => StatusCode::NOT_FOUND.into_response(),
        _ => (StatusCode::FOUND, [(header::LOCATION, "/circle")]).into_response(),
    })
    .await;
    let error = json(&client(hasty()), &site, "/circle").await.unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    assert_eq!(seen.count("/circle"), 6);
}

#[tokio::test]
async fn runs_that_share_a_host_leave_room_for_each_other() {
    let answer = |path: &str, _| match path {
        "/robots.txt" => StatusCode::NOT_FOUND.into_response(),
        _ => json_page(),
    };
    let most = async |runs: Option<u32>| {
        let (site, seen) = site(Duration::from_millis(40), answer).await;
        let http = client(hasty());
        if let Some(runs) = runs {
            http.share(runs);
        }
        let pages = (0..8).map(|n| {
            let (http, site) = (&http, &site);
            async move { json(http, site, &format!("/{n}")).await.unwrap() }
        });
        futures::future::join_all(pages).await;
        seen.most_at_once()
    };
    assert!(most(Some(2)).await <= 2);
    assert_eq!(most(Some(7)).await, 1);
    assert!(most(None).await <= 4);
}

#[tokio::test]
async fn recorded_pages_are_taken_for_what_they_are() {
    let Some(challenge) = reference("openreview/v2_anonymous_challenge_200_html.json") else {
        return;
    };
    let challenge: serde_json::Value = serde_json::from_slice(&challenge).unwrap();
    let challenge = challenge["response"]["text"].as_str().unwrap().to_owned();
    let page = |file| String::from_utf8(reference(file).unwrap()).unwrap();
    let captcha = page("arxiv/pdf_download_captcha_page_mock.html");
    let good = [
        "proceedings/neurips2024_abstract_page_bare_lt.html",
        "proceedings/neurips2024_year_index_4_of_4493.html",
        "proceedings/pmlr_v235_icml2024_volume_3_of_2610.html",
        "proceedings/pmlr_v235_paper_page.html",
        "virtual/neurips2026_event_detail_hero_card.html",
        "virtual/papers_html_list_excerpt.html",
    ];
    let good = good.map(page);
    // The same page, of a paper that is about captchas.
    let about_captchas = good[4].replace(
        "Agent systems",
        "A captcha such as Turnstile asks to verify you are human. Agent systems",
    );
    let served = [challenge, captcha, about_captchas].into_iter().chain(good);
    let served: Vec<String> = served.collect();
    for (n, page) in served.into_iter().enumerate() {
        let (site, _) = site(Duration::ZERO, move |path, _| match path {
            "/robots.txt" => StatusCode::NOT_FOUND.into_response(),
            _ => Html(page.clone()).into_response(),
        })
        .await;
        let answer = client(hasty()).get(&site, Expect::Html).await;
        if n < 2 {
            assert!(matches!(answer, Err(HttpError::Blocked { .. })), "{n}");
        } else {
            assert_eq!(answer.unwrap().status, 200, "{n}");
        }
    }
}

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
    client(settings).with_leases(Arc::new(StoreLeases::new(Arc::new(store.clone()))))
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
    while seen.count("/last") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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
    let held = lease(&store, &site);
    late.release().await;
    assert_eq!(lease(&store, &site), held, "it had nothing to give back");
}

#[tokio::test]
async fn a_lease_is_renewed_by_its_holder_and_by_nobody_else() {
    let store = MemoryStore::default();
    let period = Duration::from_millis(300);
    let ours = StoreLeases::new(Arc::new(store.clone()));
    let theirs = StoreLeases::new(Arc::new(store.clone()));
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
    store.replace(&key, junk).await.unwrap();
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
