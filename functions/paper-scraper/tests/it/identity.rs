//! One paper, one id, for good: edits, other sources, namesakes, runs that end anywhere and runs at once.

mod edits;
mod kills;
mod namesakes;
mod races;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use annapurna_cloud::{
    Condition, Delivery, Found, Head, Message, MessageQueues, Object, ObjectError, ObjectStore,
    QueueError, Receive, Saved, Written,
};
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_contract::{PaperId, ResearchMessage, SourceRecord};
use annapurna_local::paper_site::PaperSite;
use annapurna_local_testing::with_arxiv_feed;
use async_trait::async_trait;
use paper_scraper::scraper::Scraper;
use paper_scraper::settings::Settings;
use paper_scraper::store::Store;
use serde_json::{Value, json};

use crate::support::{self, MemoryStore, run, scraper, serve, until};

const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";
const LIST: &str = "iclr-2025-orals-posters";

/// A paper as a test's lists have it.
#[derive(Debug, Clone)]
struct Listed {
    id: usize,
    title: String,
    authors: Vec<&'static str>,
    abstract_text: Option<String>,
    forum: Option<String>,
}

/// An abstract of some length about one thing, so that two of them differ in substance.
fn about(thing: &str) -> String {
    let sentences = ["first", "second", "third", "fourth", "last"].map(|place| {
        format!("The {place} thing that {thing} can do for {thing} models is {place} {thing}.")
    });
    sentences.join(" ")
}

fn listed(id: usize, title: &str, authors: &[&'static str]) -> Listed {
    Listed {
        id,
        title: title.to_owned(),
        authors: authors.to_vec(),
        abstract_text: Some(about(title)),
        forum: Some(format!("forum{id}")),
    }
}

impl Listed {
    fn record(&self) -> Value {
        let authors: Vec<Value> = self
            .authors
            .iter()
            .map(|name| json!({"fullname": name}))
            .collect();
        let forum = self.forum.as_ref();
        let url = forum.map(|forum| format!("https://openreview.net/forum?id={forum}"));
        json!({"id": self.id, "name": self.title, "abstract": self.abstract_text,
            "authors": authors, "paper_url": url})
    }

    fn entry(&self, version: usize) -> String {
        let authors: String = self
            .authors
            .iter()
            .map(|name| format!("<author><name>{name}</name></author>"))
            .collect();
        let (id, title) = (self.id, &self.title);
        let text = self.abstract_text.as_deref().unwrap_or_default();
        format!(
            "<entry><id>http://arxiv.org/abs/2511.{id:05}v{version}</id><title>{title}</title>\
             <updated>2025-11-0{version}T00:00:00Z</updated><published>2025-11-01T00:00:00Z</published>\
             <link href=\"https://arxiv.org/abs/2511.{id:05}v{version}\" rel=\"alternate\" type=\"text/html\"/>\
             <link href=\"https://arxiv.org/pdf/2511.{id:05}v{version}\" rel=\"related\" title=\"pdf\"/>\
             <summary>{text}</summary>{authors}</entry>"
        )
    }
}

/// ICLR 2025 with these papers; each forum has a PDF.
fn conference(papers: &[Listed]) -> PaperSite {
    let site = PaperSite::new().with_list(LIST, papers.iter().map(Listed::record).collect());
    let forums = papers.iter().filter_map(|paper| paper.forum.as_deref());
    forums.fold(site, |site, forum| site.with_openreview_pdf(forum, PDF))
}

/// arXiv with these papers in a version each; each has a PDF.
fn arxiv(site: PaperSite, papers: &[(Listed, usize)]) -> PaperSite {
    let feed: String = papers
        .iter()
        .map(|(paper, version)| paper.entry(*version))
        .collect();
    with_arxiv_feed(site, &feed, [PDF.to_vec()])
}

async fn scrape(site: PaperSite, source: &str, store: &MemoryStore) -> ScrapeSummary {
    let site = serve(site.router()).await;
    let summary = run(&scraper(&site, source, store), json!({}))
        .await
        .unwrap();
    check(store);
    summary
}

fn records(store: &MemoryStore) -> BTreeMap<PaperId, SourceRecord> {
    let records = store.papers().into_iter().map(|key| {
        let record: SourceRecord = serde_json::from_value(store.json(&key)).unwrap();
        (record.paper_id.clone(), record)
    });
    let records: Vec<_> = records.collect();
    let n_records = records.len();
    let records: BTreeMap<_, _> = records.into_iter().collect();
    assert_eq!(records.len(), n_records, "an id has two records");
    records
}

fn record_titled(store: &MemoryStore, title: &str) -> SourceRecord {
    let mut found = records(store)
        .into_values()
        .filter(|it| it.description.title == title);
    let record = found
        .next()
        .unwrap_or_else(|| panic!("no record of `{title}`"));
    assert!(found.next().is_none(), "two records of `{title}`");
    record
}

fn told(store: &MemoryStore, paper_id: &PaperId) -> Vec<ResearchMessage> {
    let mut messages = store.messages();
    messages.retain(|message| message.paper_id == *paper_id);
    messages
}

/// What holds whenever a run has come to its end: every alias leads to a record, and the judge was told
/// what each record says.
fn check(store: &MemoryStore) {
    let records = records(store);
    for key in store.keys() {
        let alias = store.json_or_null(&key);
        if key.starts_with("_aliases/ids/") {
            let id: PaperId = serde_json::from_value(alias["paper_id"].clone()).unwrap();
            assert!(records.contains_key(&id), "{key} leads nowhere: {alias}");
        }
        if key.starts_with("_aliases/titles/") {
            let papers = alias["papers"].as_array().unwrap();
            let mut ids: Vec<&Value> = papers.iter().map(|paper| &paper["paper_id"]).collect();
            ids.dedup();
            assert_eq!(
                ids.len(),
                papers.len(),
                "{key} names a paper twice: {alias}"
            );
        }
    }
    for (id, record) in &records {
        let last = told(store, id).pop();
        let waits = record.state == annapurna_contract::RecordState::Waiting;
        assert_eq!(
            waits,
            record.description.abstract_text.is_none() && record.pdf.is_none(),
            "{record:?}"
        );
        if !waits {
            // A page alone, such as that of arXiv's next version, is kept and told to nobody.
            let described = |message: ResearchMessage| ResearchMessage {
                url: None,
                ..message
            };
            let says = record.message("llm-research-papers");
            assert_eq!(last.map(described), Some(described(says)));
        }
    }
}

/// A store that yields between its operations, counts them, and can end at one.
#[derive(Debug, Clone)]
struct Shaky {
    inner: MemoryStore,
    n_reads: Arc<AtomicUsize>,
    n_writes: Arc<AtomicUsize>,
    /// The write at which everything ends, and whether it is done all the same.
    end: Option<(usize, bool)>,
    yields: bool,
    /// A message without this title is sent only when the record has it and its judge was told.
    late: Option<&'static str>,
    /// Such a message is held.
    is_held: Arc<AtomicBool>,
    /// Everything ends when such a message was sent.
    ends_late: bool,
    is_dead: Arc<AtomicBool>,
}

impl Shaky {
    fn new(inner: &MemoryStore) -> Self {
        Self {
            inner: inner.clone(),
            n_reads: Arc::default(),
            n_writes: Arc::default(),
            end: None,
            yields: false,
            late: None,
            is_held: Arc::default(),
            ends_late: false,
            is_dead: Arc::default(),
        }
    }

    /// Holds a message until another run has told the judge of `title`.
    async fn hold(&self, title: &str) {
        self.is_held.store(true, Ordering::SeqCst);
        for _ in 0..60_000 {
            let is_told = records(&self.inner).values().any(|record| {
                record.description.title == title
                    && record.state != annapurna_contract::RecordState::Waiting
            });
            if is_told {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("nobody told the judge of {title}");
    }

    fn scraper(&self, site: &str, source: &str) -> Scraper {
        let settings = Settings::from_config(support::config(site, source)).unwrap();
        let this = Arc::new(self.clone());
        let store = Store::with(this.clone(), this, &settings);
        Scraper::with_http(settings, store, support::hasty()).unwrap()
    }

    async fn between(&self) {
        if self.yields {
            for _ in 0..fastrand::usize(0..4) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Counts a write: whether it is done, and whether it is answered.
    fn write(&self) -> (bool, bool) {
        let number = self.n_writes.fetch_add(1, Ordering::SeqCst);
        match self.end {
            _ if self.is_dead.load(Ordering::SeqCst) => (false, false),
            Some((end, is_done)) if number == end => (is_done, false),
            Some((end, _)) if number > end => (false, false),
            _ => (true, true),
        }
    }
}

fn ended(key: &str) -> ObjectError {
    ObjectError::Failed {
        operation: "PutObject",
        bucket: "llm-research-papers".to_owned(),
        key: key.to_owned(),
        reason: "killed".to_owned(),
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn read(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Found>, ObjectError> {
        self.between().await;
        self.n_reads.fetch_add(1, Ordering::SeqCst);
        self.inner.read(bucket, key, limit).await
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>, ObjectError> {
        self.between().await;
        self.n_reads.fetch_add(1, Ordering::SeqCst);
        self.inner.head(bucket, key).await
    }

    async fn write(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError> {
        self.between().await;
        let (is_done, is_answered) = self.write();
        let written = match is_done {
            true => self.inner.write(bucket, key, object, condition).await,
            false => Err(ended(key)),
        };
        self.between().await;
        if is_answered {
            written
        } else {
            Err(ended(key))
        }
    }

    async fn save(
        &self,
        _: &str,
        key: &str,
        _: Option<&str>,
        _: &Path,
    ) -> Result<Saved, ObjectError> {
        unreachable!("{key} is not read into a file")
    }

    async fn folders(&self, bucket: &str) -> Result<Vec<String>, ObjectError> {
        unreachable!("nobody looks for the folders of {bucket}")
    }
}

#[async_trait]
impl MessageQueues for Shaky {
    async fn send(&self, queue_url: &str, message: Message) -> Result<(), QueueError> {
        let failed = || QueueError {
            operation: "SendMessage",
            queue: queue_url.to_owned(),
            reason: "killed".to_owned(),
        };
        self.between().await;
        if let Some(title) = self.late
            && !message.body.contains(title)
        {
            self.hold(title).await;
            self.is_dead.store(self.ends_late, Ordering::SeqCst);
            self.inner.send(queue_url, message).await?;
            return if self.ends_late {
                Err(failed())
            } else {
                Ok(())
            };
        }
        let (is_done, is_answered) = self.write();
        if is_done {
            self.inner.send(queue_url, message).await?;
        }
        self.between().await;
        if is_answered { Ok(()) } else { Err(failed()) }
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
