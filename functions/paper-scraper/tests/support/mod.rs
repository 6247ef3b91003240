//! A store in memory, settings for a local site, and the reference data.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annapurna_contract::scrape::ScrapeSummary;
use annapurna_contract::{ResearchMessage, ScraperConfig, Source};
use async_trait::async_trait;
use axum::Router;
use paper_scraper::http::HttpSettings;
use paper_scraper::run::{RunError, Scraper};
use paper_scraper::settings::Settings;
use paper_scraper::sources::hosts::Hosts;
use paper_scraper::store::{
    Created, Message, Metadata, Object, Replaced, Store, StoreError, Tagged,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub struct Contents {
    pub objects: BTreeMap<String, Object>,
    pub messages: Vec<Message>,
    /// Operations that changed something.
    pub n_writes: usize,
    /// `SendMessage` fails while set.
    pub queue_is_down: bool,
}

#[derive(Debug, Clone, Default)]
pub struct MemoryStore(pub Arc<Mutex<Contents>>);

impl MemoryStore {
    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    pub fn messages(&self) -> Vec<ResearchMessage> {
        let contents = self.0.lock().unwrap();
        contents
            .messages
            .iter()
            .map(|message| serde_json::from_str(&message.body).unwrap())
            .collect()
    }

    /// Keys of the papers' records.
    pub fn papers(&self) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| !key.starts_with('_') && key.ends_with(".json"));
        keys
    }

    pub fn object(&self, key: &str) -> Object {
        self.0.lock().unwrap().objects[key].clone()
    }

    pub fn json(&self, key: &str) -> Value {
        serde_json::from_slice(&self.object(key).body).unwrap()
    }

    pub fn n_writes(&self) -> usize {
        self.0.lock().unwrap().n_writes
    }

    pub fn set_queue_is_down(&self, is_down: bool) {
        self.0.lock().unwrap().queue_is_down = is_down;
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn bucket(&self) -> &str {
        "llm-research-papers"
    }

    async fn metadata(&self, key: &str) -> Result<Option<Metadata>, StoreError> {
        let contents = self.0.lock().unwrap();
        Ok(contents
            .objects
            .get(key)
            .map(|object| object.metadata.clone()))
    }

    async fn create(&self, key: &str, object: Object) -> Result<Created, StoreError> {
        let mut contents = self.0.lock().unwrap();
        if contents.objects.contains_key(key) {
            return Ok(Created::Existed);
        }
        contents.n_writes += 1;
        contents.objects.insert(key.to_owned(), object);
        Ok(Created::New)
    }

    async fn read_tagged(&self, key: &str) -> Result<Option<Tagged>, StoreError> {
        let contents = self.0.lock().unwrap();
        Ok(contents.objects.get(key).map(|object| Tagged {
            body: object.body.clone(),
            etag: etag(object),
        }))
    }

    async fn replace_if(
        &self,
        key: &str,
        object: Object,
        expected: &str,
    ) -> Result<Replaced, StoreError> {
        let mut contents = self.0.lock().unwrap();
        if contents.objects.get(key).map(etag).as_deref() != Some(expected) {
            return Ok(Replaced::Changed);
        }
        contents.n_writes += 1;
        contents.objects.insert(key.to_owned(), object);
        Ok(Replaced::Done)
    }

    async fn replace(&self, key: &str, object: Object) -> Result<(), StoreError> {
        let mut contents = self.0.lock().unwrap();
        contents.n_writes += 1;
        contents.objects.insert(key.to_owned(), object);
        Ok(())
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        let mut contents = self.0.lock().unwrap();
        if contents.queue_is_down {
            return Err(StoreError {
                operation: "SendMessage",
                target: "researchQueue.fifo".to_owned(),
                reason: "ServiceUnavailable".to_owned(),
            });
        }
        contents.n_writes += 1;
        contents.messages.push(message);
        Ok(())
    }
}

fn etag(object: &Object) -> String {
    hex::encode(Sha256::digest(&object.body))
}

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
    let settings = Settings::from_config(config(site, source.name())).unwrap();
    Hosts::of(source, &settings).unwrap()
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

pub fn scraper(site: &str, conference: &str, store: &MemoryStore) -> Scraper {
    let settings = Settings::from_config(config(site, conference)).unwrap();
    Scraper::with_http(settings, Arc::new(store.clone()), hasty()).unwrap()
}

pub async fn run(scraper: &Scraper, event: Value) -> Result<ScrapeSummary, RunError> {
    run_until(scraper, event, Instant::now() + Duration::from_secs(60)).await
}

pub async fn run_until(
    scraper: &Scraper,
    event: Value,
    deadline: Instant,
) -> Result<ScrapeSummary, RunError> {
    let answer = scraper.answer(event, deadline).await;
    Ok(serde_json::from_value(answer.result?).unwrap())
}

/// A file of the reference data; `None`, with a message, where that is absent.
pub fn reference(file: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("ANNAPURNA_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let found = std::fs::read(root.join(file)).ok();
    if found.is_none() {
        eprintln!("skipped: no {file} in {}", root.display());
    }
    found
}
