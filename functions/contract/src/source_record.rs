//! The record that a scraper keeps of a paper, beside its PDF: `{source}/{year}/{paper_id}.json`, of the
//! source and year that had it first.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::messages::{first_revision, is_false, is_first_revision};
use crate::{PaperId, ResearchMessage, Source, keys};

/// How far the scraper came with a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordState {
    /// The judge has not been told of it for certain.
    Waiting,
    /// The judge was told of it; its PDF could not be had.
    QueuedWithoutPdf,
    /// The judge was told of it and of its PDF.
    Queued,
}

impl RecordState {
    /// The word in the record and in its S3 metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::QueuedWithoutPdf => "queued-without-pdf",
            Self::Queued => "queued",
        }
    }

    /// The state that a record's S3 metadata name. An unknown word is [`RecordState::Waiting`]: what has
    /// to be done then is looked at anew.
    pub fn of(word: &str) -> Self {
        let known = [Self::QueuedWithoutPdf, Self::Queued];
        let found = known.into_iter().find(|state| state.as_str() == word);
        found.unwrap_or(Self::Waiting)
    }
}

/// What the judge's document takes from a record, and the paper's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Title as the source gives it, white space collapsed.
    pub title: String,
    /// Authors in the source's order; empty when it names none.
    pub authors: Vec<String>,
    /// Abstract, when the source has one.
    #[serde(rename = "abstract")]
    pub abstract_text: Option<String>,
    /// Publication date as `YYYY-MM-DD`, when known.
    pub date: Option<String>,
    /// The source's own page of the paper.
    pub url: Option<String>,
}

/// Everything the source said of a paper, and what was made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The id that the paper was first given: [`PaperId::of`] the title and abstract it had then.
    pub paper_id: PaperId,
    /// The direct call that had it first, by the id of its request, which a retry keeps; absent: a whole scrape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
    /// Counts the abstracts that differ in substance, from 1 on.
    #[serde(default = "first_revision", skip_serializing_if = "is_first_revision")]
    pub revision: u32,
    /// The source that had it first.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The source's own name of the paper.
    pub source_id: String,
    /// What is known of the paper.
    #[serde(flatten)]
    pub description: Description,
    /// Its PDF in the bucket of papers; `None` while it has none.
    pub pdf: Option<RecordedPdf>,
    /// Why it has none.
    pub pdf_problem: Option<String>,
    /// It has none for now only: a later run may have it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub text_expected: bool,
    /// How far the scraper came.
    pub state: RecordState,
    /// RFC 3339 UTC time, to the second.
    pub written_at: String,
    /// The source's own words, as JSON.
    pub source_record: Value,
    /// Digest of what the source said when the record was last compared with it; empty in a record from
    /// before there were revisions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// What was known of the paper before, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<Revision>,
    /// Where else the paper is listed, in the order in which it was found there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_entries: Vec<OtherEntry>,
    /// Runs that are about to tell the judge what they read here, or were ended before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<UnderWay>,
}

/// A run that may tell the judge what the record said when the run read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// A name that no other run has.
    pub run: String,
    /// RFC 3339 UTC time, to the second.
    pub since: String,
    /// What the judge has to know of the paper has changed since: the run may have the last word with what is
    /// no longer so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_overtaken: bool,
}

/// What was known of a paper until its source said something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The number its abstract had; two may have one number when only something else changed.
    pub revision: u32,
    /// What was known then; arXiv's page names the version.
    #[serde(flatten)]
    pub description: Description,
    /// When that was seen last for certain: RFC 3339 UTC time of the record that said so, to the second.
    pub seen_at: String,
}

/// Another list's entry of a paper, or another entry of the same list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherEntry {
    /// The source that lists it.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The source's own name of the paper.
    pub source_id: String,
    /// Its title there.
    pub title: String,
    /// Digest of what the entry said when the record was last compared with it.
    pub said: String,
    /// The source's own words, as JSON.
    pub source_record: Value,
}

/// A PDF that is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPdf {
    /// Key in the bucket of papers.
    pub s3_key: String,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
    /// Where it was loaded from; none for a PDF that the scraper did not load.
    pub source_url: Option<String>,
}

impl SourceRecord {
    /// The message that tells the judge of the paper; `bucket` is the bucket of papers. The same record
    /// makes the same message to the byte, whoever sends it.
    pub fn message(&self, bucket: &str) -> ResearchMessage {
        let Description {
            title,
            authors,
            abstract_text,
            date,
            url,
        } = self.description.clone();
        ResearchMessage {
            paper_id: self.paper_id.clone(),
            revision: self.revision,
            source: self.source,
            year: self.year,
            title,
            authors,
            abstract_text,
            date,
            url,
            s3_bucket: bucket.to_owned(),
            s3_key: self.pdf.as_ref().map(|pdf| pdf.s3_key.clone()),
            text_expected: self.text_expected && self.pdf.is_none(),
            record_s3_key: keys::paper_source_record(self.source, self.year, &self.paper_id),
            order: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they were written before there were revisions.
    #[test]
    fn an_old_record_is_read_and_makes_the_message_that_it_made() {
        let id = PaperId::of("Adam", None);
        let old = format!(
            r#"{{"paper_id":"{id}","source":"ICLR","year":2015,"source_id":"7","title":"Adam","authors":[],"abstract":null,"date":null,"url":null,"pdf":null,"pdf_problem":"gone","state":"queued-without-pdf","written_at":"2026-01-02T03:04:05Z","source_record":null}}"#
        );
        let record: SourceRecord = serde_json::from_str(&old).unwrap();
        assert_eq!((record.revision, record.said.as_str()), (1, ""));
        let message = record.message("papers");
        assert_eq!((message.revision, message.text_expected), (1, false));
        assert_eq!(serde_json::to_string(&record).unwrap(), old);
    }

    #[test]
    fn a_text_is_expected_until_it_is_there() {
        let id = PaperId::of("Adam", None);
        let record = format!(
            r#"{{"paper_id":"{id}","source":"ICLR","year":2015,"source_id":"7","title":"Adam","authors":[],"abstract":null,"date":null,"url":null,"pdf":null,"pdf_problem":"a challenge page","text_expected":true,"state":"queued-without-pdf","written_at":"2026-01-02T03:04:05Z","source_record":null}}"#
        );
        let mut record: SourceRecord = serde_json::from_str(&record).unwrap();
        assert!(record.message("papers").text_expected);
        record.pdf = Some(RecordedPdf {
            s3_key: keys::paper_pdf(Source::Iclr, 2015, &id),
            sha256: String::new(),
            source_url: None,
        });
        assert!(!record.message("papers").text_expected);
    }

    #[test]
    fn a_state_is_one_word_everywhere() {
        for state in [
            RecordState::Waiting,
            RecordState::QueuedWithoutPdf,
            RecordState::Queued,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(RecordState::of(state.as_str()), state);
        }
        assert_eq!(RecordState::of("shelved"), RecordState::Waiting);
    }
}
