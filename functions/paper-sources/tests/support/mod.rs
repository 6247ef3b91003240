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

use annapurna_contract::{ScraperConfig, Source};
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

pub fn config(site: &str, conference: &str) -> ScraperConfig<String> {
    ScraperConfig {
        conference: conference.to_owned(),
        conference_year: "2025".to_owned(),
        max_papers: "50".to_owned(),
        bucket_name: "llm-research-papers".to_owned(),
        queue_url: "http://127.0.0.1:9/000000000000/researchQueue.fifo".to_owned(),
        contact: "ops@example.org".to_owned(),
        arxiv_api_url: site.to_owned(),
        arxiv_url: site.to_owned(),
        arxiv_query: "cat:cs.LG".to_owned(),
        openreview_url: site.to_owned(),
        openreview_api_v1_url: site.to_owned(),
        openreview_api_v2_url: site.to_owned(),
        virtual_site_url: site.to_owned(),
        proceedings_url: site.to_owned(),
        datasets_proceedings_url: format!("{site}/datasets-benchmarks"),
        pmlr_url: site.to_owned(),
        pmlr_files_url: format!("{site}/pmlr-files"),
        request_interval_ms: "0".to_owned(),
        retake_after: "60".to_owned(),
    }
}

/// The hosts of a conference at `site`.
pub fn hosts(site: &str, source: Source) -> Hosts {
    let sites = Sites::from_config(&config(site, source.name())).unwrap();
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
