//! Manners, measured at the server: robots rules, pace and rests.

use std::time::{Duration, Instant};

use crate::support::site::{Seen, client, json, json_page, site};
use crate::support::{hasty, until};
use annapurna_paper_sources::http::{Expect, HttpError, HttpSettings};
use annapurna_test_data::outside;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use url::Url;

/// A site with robots rules.
async fn ruled(rules: &'static str) -> (Url, Seen) {
    site(Duration::ZERO, move |path, _| match path {
        "/robots.txt" => rules.into_response(),
        "/moved" => Redirect::permanent("/private/x").into_response(),
        _ => json_page(),
    })
    .await
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
    let error = json(&http, &site, "/a").await.unwrap_err();
    assert!(matches!(error, HttpError::Server { .. }), "{error}");
    assert!(error.is_temporary() && error.to_string().contains("/robots.txt: "));
    let error = json(&http, &site, "/a").await.unwrap_err();
    assert_eq!(error.rest_seconds(), Some(1), "{error}");
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
        let error = json(&http, &site, "/a").await.unwrap_err();
        assert!(matches!(error, HttpError::Blocked { .. }), "{error}");
        for _ in 0..2 {
            let error = json(&http, &site, "/a").await.unwrap_err();
            let left = error.rest_seconds().unwrap();
            assert!((115..=120).contains(&left), "{error}");
        }
        assert_eq!((seen.count("/robots.txt"), seen.count("/a")), (3, 0));
        assert_eq!((http.take_blocked(), http.take_blocked()), (1, 0));
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

/// A site without rules that answers everything else so.
async fn refusing(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> (Url, Seen) {
    site(Duration::ZERO, move |path, _| match path {
        "/robots.txt" => StatusCode::NOT_FOUND.into_response(),
        _ => answer(),
    })
    .await
}

/// Asks for one page, and for another; says for how long the second is not asked for.
async fn rest_after_one(site: &Url, seen: &Seen) -> (HttpError, u64) {
    let http = client(hasty());
    let first = json(&http, site, "/a").await.unwrap_err();
    let second = json(&http, site, "/b").await.unwrap_err();
    assert!(
        matches!(second, HttpError::Resting { .. }) && second.is_temporary(),
        "{second}"
    );
    let text = second.to_string();
    assert!(
        text.starts_with("not asked: 127.0.0.1 holds us off for another ")
            && text.contains(" s: status "),
        "{text}"
    );
    assert_eq!((seen.count("/a"), seen.count("/b")), (1, 0));
    let is_blocked = matches!(first, HttpError::Blocked { .. });
    assert_eq!(http.take_blocked(), u64::from(is_blocked), "what was asked");
    (first, second.rest_seconds().unwrap())
}

#[tokio::test]
async fn a_host_that_asks_for_a_long_pause_is_left_alone_at_once() {
    for status in [429, 500, 503] {
        let (site, seen) = refusing(move || {
            let later = [(header::RETRY_AFTER, "1800")];
            (StatusCode::from_u16(status).unwrap(), later, "later").into_response()
        })
        .await;
        let (error, rest) = rest_after_one(&site, &seen).await;
        assert_eq!(matches!(error, HttpError::Blocked { .. }), status == 429);
        assert_eq!(matches!(error, HttpError::Server { .. }), status != 429);
        assert!((1790..=1800).contains(&rest), "{rest}");
    }
}

#[tokio::test]
async fn a_pause_in_openreviews_words_is_kept() {
    let words = r#"{"name":"RateLimitError","message":"Too many requests: You have made 102 requests, surpassing the limit of 98 requests. Please try again in 30 minutes and 8 seconds (2026-09-27-8520693)","status":429}"#;
    let (site, seen) = refusing(move || {
        let headers = [("ratelimit-remaining", "0"), ("ratelimit-reset", "0")];
        (StatusCode::TOO_MANY_REQUESTS, headers, words).into_response()
    })
    .await;
    let (error, rest) = rest_after_one(&site, &seen).await;
    assert!(matches!(error, HttpError::Blocked { .. }), "{error}");
    assert!((1800..=1808).contains(&rest), "{rest}");
}

#[tokio::test]
async fn an_absurd_pause_is_cut_to_six_hours() {
    let pauses = [
        ("retry-after", "18446744073709551615"),
        ("retry-after", "18446744073709551616"),
        ("retry-after", "99999999"),
        ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("ratelimit-reset", "18446744073709551615"),
    ];
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY] {
        for pause in pauses {
            let (site, seen) = refusing(move || {
                (status, [pause, ("ratelimit-remaining", "0")], "later").into_response()
            })
            .await;
            let (_, rest) = rest_after_one(&site, &seen).await;
            assert!((21_590..=21_600).contains(&rest), "{pause:?}: {rest}");
        }
    }
}

/// A site without rules that answers each other request with these bytes, and hangs up.
async fn cut_short(answer: Vec<u8>) -> Url {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const NO_RULES: &[u8] =
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let n = stream.read(&mut request).await.unwrap();
            let is_rules = request[..n].starts_with(b"GET /robots.txt ");
            let answer = if is_rules { NO_RULES } else { &answer };
            // The client may have read enough before the end.
            let _ = stream.write_all(answer).await;
        }
    });
    Url::parse(&site).unwrap()
}

#[tokio::test]
async fn a_block_stays_a_block_when_its_page_is_cut_short_damaged_or_endless() {
    let head =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1800\r\ncontent-length: 99999999\r\n\r\n";
    let endless = vec![b' '; 40 << 20];
    for body in [b"Rate".as_slice(), b"\x1f\x8b\x08damaged", &endless] {
        let site = cut_short([head.as_bytes(), body].concat()).await;
        let http = client(hasty());
        let url = site.join("/a").unwrap();
        let error = http.get(&url, Expect::Atom).await.unwrap_err();
        assert!(matches!(error, HttpError::Blocked { .. }), "{error}");
        let error = http.get(&url, Expect::Atom).await.unwrap_err();
        assert!(error.rest_seconds().is_some(), "{error}");
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_when_the_host_holds_us_off_is_not_sent() {
    let (site, seen) = refusing(|| {
        let later = [(header::RETRY_AFTER, "1800")];
        (StatusCode::TOO_MANY_REQUESTS, later, "later").into_response()
    })
    .await;
    let http = client(hasty());
    let pages = (0..20).map(|n| {
        let (http, site) = (&http, &site);
        async move { json(http, site, &format!("/{n}")).await.unwrap_err() }
    });
    let errors = futures::future::join_all(pages).await;
    let n_resting = errors.iter().filter(|error| error.rest_seconds().is_some());
    let n_asked = seen.total() - 1;
    assert!(n_asked <= 4, "{n_asked} were sent");
    assert_eq!(n_resting.count(), 20 - n_asked);
    assert_eq!(http.take_blocked(), n_asked as u64);
}

#[tokio::test]
async fn a_pause_that_a_host_asks_for_is_kept_by_every_request() {
    let (site, seen) = site(Duration::ZERO, |path, n_before| match (path, n_before) {
        ("/robots.txt", _) => StatusCode::NOT_FOUND.into_response(),
        ("/a", 0) => {
            let soon = [(header::RETRY_AFTER, "1")];
            (StatusCode::TOO_MANY_REQUESTS, soon, "soon").into_response()
        }
        _ => json_page(),
    })
    .await;
    let http = client(hasty());
    let first = json(&http, &site, "/a");
    let others = async {
        until("the first page is asked for", || seen.count("/a") > 0).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        json(&http, &site, "/b").await.unwrap();
        start.elapsed()
    };
    let (first, waited) = tokio::join!(first, others);
    first.unwrap();
    assert!(waited >= Duration::from_millis(800), "{waited:?}");
    assert_eq!(seen.total(), 4);
}

#[tokio::test]
async fn a_closed_pdf_is_one_papers_refusal_and_a_servers_403_is_a_block() {
    const NGINX: &str = "<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center><hr><center>nginx</center></body></html>";
    let answers: [(fn() -> Response, bool); 4] = [
        (
            || r#"{"name":"ForbiddenError","message":"x"}"#.into_response(),
            false,
        ),
        (|| Html(NGINX).into_response(), true),
        (|| "".into_response(), true),
        (|| "Forbidden".into_response(), true),
    ];
    for (answer, is_block) in answers {
        let (site, seen) =
            refusing(move || (StatusCode::FORBIDDEN, answer()).into_response()).await;
        let http = client(hasty());
        let mut errors = Vec::new();
        for path in ["/1.pdf", "/2.pdf", "/3.pdf"] {
            let url = site.join(path).unwrap();
            errors.push(http.get(&url, Expect::Pdf).await.unwrap_err());
        }
        if is_block {
            // Two blocked papers, and no third is asked for.
            assert!(matches!(errors[1], HttpError::Blocked { .. }));
            assert!(matches!(errors[2], HttpError::Resting { .. }));
            assert_eq!((seen.count("/1.pdf"), seen.count("/3.pdf")), (3, 0));
        } else {
            let is_refused = |error: &HttpError| matches!(error, HttpError::Refused { .. });
            assert!(errors.iter().all(is_refused));
            assert_eq!((seen.count("/1.pdf"), seen.count("/3.pdf")), (1, 1));
        }
        assert!(errors.iter().all(|error| error.is_temporary() == is_block));
    }
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
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn recorded_pages_are_taken_for_what_they_are() {
    let challenge = outside("openreview/v2_anonymous_challenge_200_html.json");
    let challenge: serde_json::Value = serde_json::from_slice(&challenge).unwrap();
    let challenge = challenge["response"]["text"].as_str().unwrap().to_owned();
    let page = |file| String::from_utf8(outside(file)).unwrap();
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
