//! A local site, settings for it, and the reference data. The tests of `paper-scraper` use it, too.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr
)]

pub mod site;

use std::time::Duration;

use annapurna_contract::{PaperHost, PerHost, ScraperConfig, Source};
use annapurna_paper_sources::http::HttpSettings;
use annapurna_paper_sources::sites::Sites;
use annapurna_paper_sources::sources::hosts::Hosts;
use axum::Router;
use tokio::net::TcpListener;

/// Serves a router on a free port for as long as the test's runtime lives.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// Longest wait for what comes about by itself, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits for what will come about by itself.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let come_about = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, come_about).await;
    assert!(waited.is_ok(), "waited {} s: {what}", PATIENCE.as_secs());
}

/// Every host at `site`; those whose paths would be taken for each other's are apart.
pub fn addresses(site: &str) -> PerHost<String> {
    PerHost::new(|host| match host {
        PaperHost::DatasetsProceedings => format!("{site}/datasets-benchmarks"),
        PaperHost::PmlrFiles => format!("{site}/pmlr-files"),
        _ => site.to_owned(),
    })
}

pub fn config(site: &str, conference: &str) -> ScraperConfig<String> {
    ScraperConfig {
        conference: conference.to_owned(),
        conference_year: "2025".to_owned(),
        max_papers: "50".to_owned(),
        bucket_name: "llm-research-papers".to_owned(),
        queue_url: "http://127.0.0.1:9/000000000000/researchQueue.fifo".to_owned(),
        contact: "ops@example.org".to_owned(),
        arxiv_query: "cat:cs.LG".to_owned(),
        request_interval_ms: "0".to_owned(),
        retake_after: "60".to_owned(),
        hosts: addresses(site),
    }
}

/// The hosts of a conference at `site`.
pub fn hosts(site: &str, source: Source) -> Hosts {
    let sites = Sites::new(addresses(site)).unwrap();
    Hosts::of(source, &sites).unwrap()
}

/// The polite client with its waits shortened.
pub fn hasty() -> HttpSettings {
    HttpSettings {
        attempts: 3,
        retry_base: Duration::from_millis(2),
        longest_pause: Duration::from_secs(2),
        ..HttpSettings::polite("ops@example.org", Duration::ZERO)
    }
}
