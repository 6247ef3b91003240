//! A store in memory, and scrapers with it.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annapurna_contract::ResearchMessage;
use annapurna_contract::scrape::ScrapeSummary;
use async_trait::async_trait;
use paper_scraper::call::Call;
use paper_scraper::scraper::{RunError, Scraper};
use paper_scraper::settings::Settings;
use paper_scraper::store::{
    Created, Message, Metadata, Object, Replaced, Store, StoreError, Tagged,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

#[path = "../../../paper-sources/tests/support/mod.rs"]
mod of_sources;
pub use of_sources::{config, hasty, reference, serve, site};

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
    let answer = scraper.answer(Call::read(event), deadline).await;
    Ok(serde_json::from_value(answer.result?).unwrap())
}
