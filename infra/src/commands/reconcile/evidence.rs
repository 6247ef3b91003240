//! Reads what is there of every paper.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annapurna_cloud::{MessageQueues, ObjectStore, Receive, S3};
use annapurna_contract::{
    Bucket, CodeTestingMessage, PaperId, PaperRecord, Queue, Source, SourceRecord, Verdict, keys,
};
use annapurna_stack::outputs::Output;
use chrono::Utc;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::next::{Document, Judged, Paper};
use super::queue_url;
use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;
use crate::index;

/// Largest record, verdict, metadata or result that is read, bytes.
const OBJECT_LIMIT: u64 = 4 << 20;
/// Documents of one question; OpenSearch answers with 10,000 at most.
const DOCUMENTS_AT_ONCE: usize = 500;
/// How long a dead letter that was looked at stays hidden, so that the next look shows others.
const LOOKED_AT: Duration = Duration::from_secs(30);
/// SQS gives so many messages at a time.
const MESSAGES_AT_ONCE: usize = 10;

/// Which papers there are, and where to read of them.
#[derive(Debug)]
pub(super) struct Evidence {
    objects: S3,
    papers_bucket: String,
    code_bucket: String,
    outputs_bucket: String,
    /// Keys of a paper's records: one, or one of each source where they are older than the aliases.
    records: BTreeMap<PaperId, Vec<String>>,
    verdicts: BTreeSet<PaperId>,
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
            document: self.documents.get(id).cloned(),
            program: None,
            result: None,
        };
        if self.verdicts.contains(id) {
            let bucket = &self.papers_bucket;
            let verdict: Option<Verdict> = self.read(bucket, &keys::verdict(id)).await?;
            paper.verdict = verdict.map(|verdict| Judged {
                decision: verdict.decision,
                revision: verdict.revision,
            });
        }
        paper.record = self.record(id).await?;
        if paper.document.is_some() {
            let (code, outputs) = (&self.code_bucket, &self.outputs_bucket);
            paper.program = self.read(code, &keys::code_metadata(id)).await?;
            paper.result = self.read(outputs, &keys::result(id)).await?;
        }
        Ok(paper)
    }

    /// The paper's record; of several, one with a PDF.
    async fn record(&self, id: &PaperId) -> Result<Option<SourceRecord>, CommandError> {
        let mut best: Option<SourceRecord> = None;
        for key in self.records.get(id).into_iter().flatten() {
            let record: Option<SourceRecord> = self.read(&self.papers_bucket, key).await?;
            if best.as_ref().is_none_or(|best| best.pdf.is_none()) {
                best = record.or(best);
            }
        }
        Ok(best)
    }

    /// An object of the pipeline's own. One that cannot be read counts as missing: what made it makes it
    /// again.
    async fn read<T: DeserializeOwned>(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<T>, CommandError> {
        let bytes = self.objects.get(bucket, key, OBJECT_LIMIT).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
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
    let search = index::search(cloud, deployed.outputs.get(Output::SearchEndpoint)?)?;
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
    let wanted = Receive {
        most: MESSAGES_AT_ONCE,
        hide_for: LOOKED_AT,
        wait: Duration::ZERO,
    };
    let mut papers = BTreeSet::new();
    for queue in Queue::ALL {
        let url = queues.dead_letter_url(queue_url(deployed, queue)?).await?;
        loop {
            let letters = queues.receive(&url, wanted).await?;
            if letters.is_empty() {
                break;
            }
            for letter in letters {
                papers.extend(papers_of(&letter.body));
            }
        }
    }
    Ok(papers)
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
