//! A store in memory, and scrapers with it.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annapurna_cloud::{
    Condition, Delivery, Found, Head, Message, MessageQueues, Object, ObjectError, ObjectStore,
    QueueError, Receive, Saved, Written,
};
use annapurna_contract::ResearchMessage;
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_local::paper_site::PaperSite;
use async_trait::async_trait;
use paper_scraper::call::Call;
use paper_scraper::error::RunError;
use paper_scraper::scraper::Scraper;
use paper_scraper::settings::Settings;
use paper_scraper::store::Store;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

#[path = "../../../../paper-sources/tests/it/support/mod.rs"]
mod of_sources;
pub use of_sources::{config, hasty, serve, site, until};

#[derive(Debug, Default)]
pub struct Contents {
    pub objects: BTreeMap<String, Object>,
    pub messages: Vec<Message>,
    /// Operations that changed something.
    pub n_writes: usize,
    /// The next write to a key with this ending is refused, as if what was there went right after it.
    pub refused_once: Option<&'static str>,
    /// `SendMessage` fails while set.
    pub queue_is_down: bool,
}

#[derive(Debug, Clone, Default)]
pub struct MemoryStore(pub Arc<Mutex<Contents>>);

impl MemoryStore {
    /// The bucket and the queue of every test's settings, in memory.
    pub fn store(&self) -> Store {
        let settings = Settings::from_config(config("http://127.0.0.1:9", "ICLR")).unwrap();
        Store::with(Arc::new(self.clone()), Arc::new(self.clone()), &settings)
    }

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

    /// Puts an object there that the scraper did not write.
    pub fn put(&self, key: &str, object: Object) {
        let mut contents = self.0.lock().unwrap();
        contents.objects.insert(key.to_owned(), object);
    }

    pub fn json(&self, key: &str) -> Value {
        serde_json::from_slice(&self.object(key).body).unwrap()
    }

    /// An object's JSON; null when it is none.
    pub fn json_or_null(&self, key: &str) -> Value {
        serde_json::from_slice(&self.object(key).body).unwrap_or_default()
    }

    pub fn n_writes(&self) -> usize {
        self.0.lock().unwrap().n_writes
    }

    pub fn set_queue_is_down(&self, is_down: bool) {
        self.0.lock().unwrap().queue_is_down = is_down;
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn read(
        &self,
        _bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Found>, ObjectError> {
        let contents = self.0.lock().unwrap();
        let Some(object) = contents.objects.get(key) else {
            return Ok(None);
        };
        assert!(object.body.len() as u64 <= limit, "{key}");
        Ok(Some(Found {
            body: object.body.clone(),
            etag: etag(object),
        }))
    }

    async fn head(&self, _bucket: &str, key: &str) -> Result<Option<Head>, ObjectError> {
        let contents = self.0.lock().unwrap();
        Ok(contents.objects.get(key).map(|object| Head {
            metadata: object.metadata.clone(),
            etag: etag(object),
        }))
    }

    async fn write(
        &self,
        _bucket: &str,
        key: &str,
        object: Object,
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError> {
        let mut contents = self.0.lock().unwrap();
        let there = contents.objects.get(key).map(etag);
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => there.is_none(),
            Condition::Unchanged(expected) => there.as_deref() == Some(expected),
        };
        let is_refused = contents.refused_once.take_if(|it| key.ends_with(*it));
        if !holds || is_refused.is_some() {
            return Ok(Written::Refused);
        }
        contents.n_writes += 1;
        contents.objects.insert(key.to_owned(), object);
        Ok(Written::Done)
    }

    async fn save(
        &self,
        _bucket: &str,
        key: &str,
        _known: Option<&str>,
        _file: &Path,
    ) -> Result<Saved, ObjectError> {
        unreachable!("{key} is not read into a file")
    }

    async fn folders(&self, bucket: &str) -> Result<Vec<String>, ObjectError> {
        unreachable!("nobody looks for the folders of {bucket}")
    }
}

#[async_trait]
impl MessageQueues for MemoryStore {
    async fn send(&self, queue_url: &str, message: Message) -> Result<(), QueueError> {
        let mut contents = self.0.lock().unwrap();
        if contents.queue_is_down {
            return Err(QueueError {
                operation: "SendMessage",
                queue: queue_url.to_owned(),
                reason: "ServiceUnavailable".to_owned(),
            });
        }
        contents.n_writes += 1;
        contents.messages.push(message);
        Ok(())
    }

    async fn receive(&self, queue_url: &str, _: Receive) -> Result<Vec<Delivery>, QueueError> {
        unreachable!("a scraper takes nothing from {queue_url}")
    }

    async fn hide(&self, queue_url: &str, _: &str, _: Duration) -> Result<(), QueueError> {
        unreachable!("a scraper takes nothing from {queue_url}")
    }

    async fn delete(&self, queue_url: &str, _: &str) -> Result<(), QueueError> {
        unreachable!("a scraper takes nothing from {queue_url}")
    }
}

fn etag(object: &Object) -> String {
    hex::encode(Sha256::digest(&object.body))
}

/// Serves the sample's site.
pub async fn sample() -> String {
    serve(PaperSite::sample().unwrap().router()).await
}

pub fn scraper(site: &str, conference: &str, store: &MemoryStore) -> Scraper {
    let settings = Settings::from_config(config(site, conference)).unwrap();
    Scraper::with_http(settings, store.store(), hasty()).unwrap()
}

pub async fn run(scraper: &Scraper, event: Value) -> Result<ScrapeSummary, RunError> {
    run_until(scraper, event, Instant::now() + Duration::from_secs(60)).await
}

pub async fn run_until(
    scraper: &Scraper,
    event: Value,
    deadline: Instant,
) -> Result<ScrapeSummary, RunError> {
    let request_id = format!("{:032x}", fastrand::u128(..));
    run_request(scraper, event, &request_id, deadline).await
}

/// Runs a request, or a retry of it.
pub async fn run_request(
    scraper: &Scraper,
    event: Value,
    request_id: &str,
    deadline: Instant,
) -> Result<ScrapeSummary, RunError> {
    let call = Call::read(event, request_id);
    let answer = scraper.answer(call, deadline).await;
    Ok(serde_json::from_value(answer.result?).unwrap())
}
