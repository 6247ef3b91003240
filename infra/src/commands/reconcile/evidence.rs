//! Reads what is there of every paper.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annapurna_cloud::{Delivery, MessageQueues, ObjectError, ObjectStore, QueueError, Receive, S3};
use annapurna_contract::text::one_line;
use annapurna_contract::{
    Bucket, CodeTestingMessage, Decision, JudgedFrom, PaperId, PaperRecord, Queue, Source,
    SourceRecord, Verdict, keys,
};
use annapurna_stack::outputs::Output;
use chrono::Utc;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::next::{Document, Judged, Paper};
use super::{queue_url, search};
use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;

/// Largest record, verdict, metadata or result that is read, bytes.
const OBJECT_LIMIT: u64 = 4 << 20;
/// Documents of one question; OpenSearch answers with 10,000 at most.
const DOCUMENTS_AT_ONCE: usize = 500;
/// How long a dead letter that was looked at stays hidden, so that the next look shows others: at least so
/// long, and so much longer for each one that there is.
const LOOKED_AT: Duration = Duration::from_secs(30);
const LOOKED_AT_PER_LETTER: Duration = Duration::from_millis(50);
/// SQS gives so many messages at a time.
const MESSAGES_AT_ONCE: usize = 10;

/// Which papers there are, and where to read of them.
#[derive(Debug)]
pub(super) struct Evidence {
    objects: S3,
    pub(super) papers_bucket: String,
    pub(super) code_bucket: String,
    pub(super) outputs_bucket: String,
    /// Keys of a paper's records: one, or one of each source where they are older than the aliases.
    records: BTreeMap<PaperId, Vec<String>>,
    pub(super) verdicts: BTreeSet<PaperId>,
    documents: BTreeMap<PaperId, Document>,
    dead: BTreeSet<PaperId>,
}

/// A message of any queue but the last names its paper.
#[derive(Debug, Deserialize)]
struct AboutPaper {
    paper_id: PaperId,
}

impl Evidence {
    /// Lists the buckets, and asks the index and the dead-letter queues.
    /// `wait` is how long a paper waits for its text.
    pub(super) async fn gather(
        cloud: &Cloud,
        deployed: &Deployed,
        wait: Duration,
    ) -> Result<Self, CommandError> {
        let bucket = |bucket| deployed.outputs.get(Output::BucketName(bucket));
        let papers_bucket = bucket(Bucket::Papers)?.to_owned();
        let mut records = BTreeMap::<PaperId, Vec<String>>::new();
        for source in Source::ALL {
            let prefix = format!("{}/", source.key_part());
            for (paper, key) in listed(cloud, &papers_bucket, &prefix).await? {
                records.entry(paper).or_default().push(key);
            }
        }
        let verdicts = listed(cloud, &papers_bucket, keys::VERDICTS_PREFIX).await?;
        let verdicts: BTreeSet<PaperId> = verdicts.into_iter().map(|(paper, _)| paper).collect();
        Ok(Self {
            objects: S3::new(&cloud.config),
            code_bucket: bucket(Bucket::Code)?.to_owned(),
            outputs_bucket: bucket(Bucket::Outputs)?.to_owned(),
            documents: documents(cloud, deployed, &verdicts, wait).await?,
            dead: dead_letters(cloud, deployed).await?,
            papers_bucket,
            records,
            verdicts,
        })
    }

    /// Every paper that a scraper or the judge wrote of.
    pub(super) fn papers(&self) -> BTreeSet<PaperId> {
        let recorded = self.records.keys();
        recorded.chain(&self.verdicts).cloned().collect()
    }

    /// All that is there of one paper, as far as it decides what comes next.
    pub(super) async fn of(&self, id: &PaperId) -> Result<Paper, CommandError> {
        let mut paper = Paper {
            id: id.clone(),
            is_dead: self.dead.contains(id),
            record: None,
            verdict: None,
            is_verdict_unreadable: false,
            document: self.documents.get(id).cloned(),
            program: None,
            result: None,
            unreadable: Vec::new(),
        };
        if paper.is_dead {
            return Ok(paper);
        }
        if self.verdicts.contains(id) {
            let verdict = self.read(&self.papers_bucket, &keys::verdict(id)).await?;
            match judged(verdict) {
                Ok(verdict) => paper.verdict = verdict,
                Err(why) => {
                    paper.is_verdict_unreadable = true;
                    paper.unreadable.push(why);
                }
            }
        }
        paper.record = self.record(id, &mut paper.unreadable).await?;
        if paper.document.is_some() {
            // The generator writes a program again whose metadata it cannot read, and the agent a result.
            let key = keys::code_metadata(id);
            let program = self.read(&self.code_bucket, &key).await?;
            paper.program = program.and_then(Result::ok);
            let result = self.read(&self.outputs_bucket, &keys::result(id)).await?;
            paper.result = result.and_then(Result::ok);
        }
        Ok(paper)
    }

    /// The paper's record; of several the one of the latest revision, and of those one with a PDF.
    async fn record(
        &self,
        id: &PaperId,
        unreadable: &mut Vec<String>,
    ) -> Result<Option<SourceRecord>, CommandError> {
        let rank = |record: &SourceRecord| (record.revision, record.pdf.is_some());
        let mut best: Option<SourceRecord> = None;
        for key in self.records.get(id).into_iter().flatten() {
            match self.read(&self.papers_bucket, key).await? {
                None => {}
                Some(Err(why)) => unreadable.push(why),
                Some(Ok(record)) => match &best {
                    Some(best) if rank(best) >= rank(&record) => {}
                    _ => best = Some(record),
                },
            }
        }
        Ok(best)
    }

    /// An object; what it has that cannot be read is the inner error.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Result<T, String>>, CommandError> {
        let bytes = self.objects.get(bucket, key, OBJECT_LIMIT).await;
        parsed(bucket, key, bytes)
    }
}

/// An object of the pipeline's own, or its address and why it cannot be read. Nothing makes a record or a
/// verdict again that is there and cannot be read: the scraper asks only for the record's state, and the
/// judge answers such a verdict with an error.
fn parsed<T: DeserializeOwned>(
    bucket: &str,
    key: &str,
    bytes: Result<Option<Vec<u8>>, ObjectError>,
) -> Result<Option<Result<T, String>>, CommandError> {
    let why = match bytes {
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
            Ok(object) => return Ok(Some(Ok(object))),
            Err(error) => format!("cannot read s3://{bucket}/{key}: {error}"),
        },
        Err(error @ ObjectError::TooLarge { .. }) => error.to_string(),
        Err(error @ ObjectError::Failed { .. }) => return Err(error.into()),
    };
    Ok(Some(Err(one_line(&why, 400))))
}

/// What a verdict says, or why nothing. A word that the judge does not know is none that it can read.
fn judged(verdict: Option<Result<Verdict, String>>) -> Result<Option<Judged>, String> {
    let Some(verdict) = verdict.transpose()? else {
        return Ok(None);
    };
    if let Decision::Other(word) = &verdict.decision {
        let key = keys::verdict(&verdict.paper_id);
        let word = one_line(word, 80);
        return Err(format!("cannot read {key}: its decision is `{word}`"));
    }
    Ok(Some(Judged {
        is_of_title: verdict.judged_from == Some(JudgedFrom::Title)
            && verdict.record.s3_key.is_none(),
        decision: verdict.decision,
        revision: verdict.revision,
    }))
}

/// The JSON objects below a prefix whose names are papers' ids, with their keys.
async fn listed(
    cloud: &Cloud,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<(PaperId, String)>, CommandError> {
    let request = cloud.s3.list_objects_v2().bucket(bucket).prefix(prefix);
    let mut pages = request.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws(format!("list {bucket}")))?;
        for object in page.contents() {
            let Some(key) = object.key() else { continue };
            let name = key.rsplit('/').next().unwrap_or(key);
            let id = name.strip_suffix(".json").map(str::to_owned);
            if let Some(Ok(paper)) = id.map(PaperId::try_from) {
                found.push((paper, key.to_owned()));
            }
        }
    }
    Ok(found)
}

/// What the index says of papers that have a verdict.
async fn documents(
    cloud: &Cloud,
    deployed: &Deployed,
    verdicts: &BTreeSet<PaperId>,
    wait: Duration,
) -> Result<BTreeMap<PaperId, Document>, CommandError> {
    let search = search(cloud, deployed)?;
    // A search sees what was written before this.
    search.refresh().await?;
    let ids: Vec<&PaperId> = verdicts.iter().collect();
    let mut documents = BTreeMap::new();
    for some in ids.chunks(DOCUMENTS_AT_ONCE) {
        let query = json!({"size": some.len(), "query": {"ids": {"values": some}}});
        for (id, record) in search.search(&query).await? {
            documents.extend(document(record, wait).map(|document| (id, document)));
        }
    }
    Ok(documents)
}

/// What a paper's document says. One without a title is none: the judge, who writes the title, makes it again
/// from its verdict, where a program made for no title would stay.
fn document(record: PaperRecord, wait: Duration) -> Option<Document> {
    Some(Document {
        waits_for_text: record.waits_for_text(wait, Utc::now()),
        has_program: record.generated.code_generated == Some(true),
        is_tested: record.tested.tested == Some(true),
        has_pdf: record.judged.s3_key.is_some(),
        title: record.judged.title?,
    })
}

/// The papers whose messages are dead letters. They are looked at and left there.
async fn dead_letters(
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<BTreeSet<PaperId>, CommandError> {
    let queues = &cloud.sqs;
    let mut papers = BTreeSet::new();
    for queue in Queue::ALL {
        let url = queues.dead_letter_url(queue_url(deployed, queue)?).await?;
        let count = u32::try_from(queues.counts(&url).await?.waiting).unwrap_or(u32::MAX);
        let wanted = Receive {
            most: MESSAGES_AT_ONCE,
            hide_for: LOOKED_AT + LOOKED_AT_PER_LETTER.saturating_mul(count),
            wait: Duration::ZERO,
        };
        papers.extend(papers_of_all(async || queues.receive(&url, wanted).await).await?);
    }
    Ok(papers)
}

/// The papers of every letter that `receive` gives until it gives no new one. A letter that was looked at
/// comes again when it is no longer hidden, so a queue that takes longer than that never runs empty.
async fn papers_of_all(
    mut receive: impl AsyncFnMut() -> Result<Vec<Delivery>, QueueError>,
) -> Result<BTreeSet<PaperId>, QueueError> {
    let mut seen = BTreeSet::new();
    let mut papers = BTreeSet::new();
    loop {
        let n_seen = seen.len();
        for letter in receive().await? {
            if seen.insert(letter.message_id) {
                papers.extend(papers_of(&letter.body));
            }
        }
        if seen.len() == n_seen {
            return Ok(papers);
        }
    }
}

/// The papers that a message is about; none when it is no message of the pipeline.
fn papers_of(body: &str) -> Vec<PaperId> {
    if let Ok(message) = serde_json::from_str::<AboutPaper>(body) {
        return vec![message.paper_id];
    }
    let batch = serde_json::from_str::<CodeTestingMessage>(body);
    let programs = batch.into_iter().flat_map(|batch| batch.batch);
    programs.map(|program| program.paper_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_without_its_title_is_made_again() {
        let mut record = PaperRecord::default();
        assert_eq!(document(record.clone(), Duration::ZERO), None);
        record.judged.title = Some("Adam".to_owned());
        record.generated.code_generated = Some(true);
        let document = document(record, Duration::ZERO).unwrap();
        assert!(document.title == "Adam" && document.has_program && !document.is_tested);
    }

    #[test]
    fn a_document_says_that_its_paper_waits() {
        let mut record = PaperRecord::default();
        record.judged.title = Some("Adam".to_owned());
        record.judged.text_expected = Some(true);
        record.judged.ingested_at = Some(Utc::now().to_rfc3339());
        let waits = |secs| {
            let wait = Duration::from_secs(secs);
            document(record.clone(), wait).unwrap().waits_for_text
        };
        assert!(waits(3600) && !waits(0));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_told_with_its_key_and_its_reason() {
        let read = |body: &str| {
            let body = Ok(Some(body.as_bytes().to_vec()));
            parsed::<SourceRecord>("papers", "iclr/2025/a.json", body).unwrap()
        };
        let why = read("{\"paper_id\": \"\u{202e}\"").unwrap().unwrap_err();
        assert!(
            why.starts_with("cannot read s3://papers/iclr/2025/a.json: "),
            "{why}"
        );
        assert!(!why.contains('\u{202e}'), "{why}");
        let large = ObjectError::TooLarge {
            bucket: "papers".to_owned(),
            key: "iclr/2025/a.json".to_owned(),
            limit: OBJECT_LIMIT,
        };
        let why = parsed::<SourceRecord>("papers", "a", Err(large)).unwrap();
        let why = why.unwrap().unwrap_err();
        assert!(
            why.contains("iclr/2025/a.json") && why.contains("4194304"),
            "{why}"
        );
        let missing = parsed::<SourceRecord>("papers", "a", Ok(None)).unwrap();
        assert!(missing.is_none());
        let failed = ObjectError::Failed {
            operation: "GetObject",
            bucket: "papers".to_owned(),
            key: "a".to_owned(),
            reason: "timeout".to_owned(),
        };
        parsed::<SourceRecord>("papers", "a", Err(failed)).unwrap_err();
    }

    #[test]
    fn a_verdict_with_a_word_that_the_judge_does_not_know_is_unreadable() {
        let adam = PaperId::of("Adam", None);
        let verdict = |decision: &str| {
            let verdict = json!({
                "paper_id": adam, "revision": 2, "decision": decision, "source": "ICLR", "year": 2025,
                "record": {},
            });
            judged(Some(
                serde_json::from_value(verdict).map_err(|it| it.to_string()),
            ))
        };
        for (word, decision) in [
            ("accept", Decision::Accept),
            ("reject", Decision::Reject),
            ("undecided", Decision::Undecided),
        ] {
            let revision = 2;
            let is_of_title = false;
            let judged = Judged {
                decision,
                revision,
                is_of_title,
            };
            assert_eq!(verdict(word), Ok(Some(judged)));
        }
        let why = verdict("perhaps").unwrap_err();
        assert!(
            why.contains(adam.as_str()) && why.contains("perhaps"),
            "{why}"
        );
        assert_eq!(judged(Some(Err("torn".to_owned()))), Err("torn".to_owned()));
        assert_eq!(judged(None), Ok(None));
    }

    /// Letters about papers of their own, with the ids `first` and on.
    fn letters(first: usize, count: usize) -> Vec<Delivery> {
        let letter = |number: usize| Delivery {
            message_id: format!("id-{number}"),
            receipt: String::new(),
            body: json!({"paper_id": PaperId::of(&format!("Paper {number}"), None)}).to_string(),
            group: None,
            sent_ms: None,
        };
        (first..first + count).map(letter).collect()
    }

    #[tokio::test]
    async fn every_dead_letter_is_looked_at_once_and_one_that_comes_again_ends_the_look() {
        let mut n_asked = 0;
        let papers = papers_of_all(async || {
            n_asked += 1;
            // The first ones are visible again before the last are seen, and for good after that.
            Ok(match n_asked {
                1 => letters(0, 10),
                2 => [letters(0, 4), letters(10, 6)].concat(),
                3 => letters(16, 4),
                _ => letters(0, 10),
            })
        });
        assert_eq!(papers.await.unwrap().len(), 20);
        assert_eq!(n_asked, 4);
        let none = papers_of_all(async || Ok(Vec::new())).await.unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn a_dead_letter_of_any_queue_names_its_papers() {
        let (adam, lion) = (PaperId::of("Adam", None), PaperId::of("Lion", None));
        let one = format!(r#"{{"paper_id":"{adam}","title":"Adam"}}"#);
        assert_eq!(papers_of(&one), std::slice::from_ref(&adam));
        let batch = format!(
            r#"{{"batch_id":"b","batch":[{{"paper_id":"{adam}"}},{{"paper_id":"{lion}"}}],"timeout":600}}"#
        );
        assert_eq!(papers_of(&batch), [adam, lion]);
        assert!(papers_of("{}").is_empty());
        assert!(papers_of("what is this").is_empty());
    }
}
