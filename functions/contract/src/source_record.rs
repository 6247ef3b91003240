//! The record that a scraper keeps of a paper, beside its PDF: `{source}/{year}/{paper_id}.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// Everything the source said of a paper, and what was made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// [`PaperId::of`] the title and abstract.
    pub paper_id: PaperId,
    /// The source that had it.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The source's own name of the paper.
    pub source_id: String,
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
    /// Its PDF in the bucket of papers; `None` while it has none.
    pub pdf: Option<RecordedPdf>,
    /// Why it has none.
    pub pdf_problem: Option<String>,
    /// How far the scraper came.
    pub state: RecordState,
    /// RFC 3339 UTC time, to the second.
    pub written_at: String,
    /// The source's own words, as JSON.
    pub source_record: Value,
}

/// A PDF that is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPdf {
    /// Its key.
    pub s3_key: String,
    /// SHA-256 of it, hexadecimal; empty when its metadata name none.
    pub sha256: String,
    /// Where it was loaded from; empty when its metadata name no address.
    pub source_url: String,
}

impl SourceRecord {
    /// The message that tells the judge of the paper; `bucket` is the bucket of papers. The same record
    /// makes the same message to the byte, whoever sends it.
    pub fn message(&self, bucket: &str) -> ResearchMessage {
        ResearchMessage {
            paper_id: self.paper_id.clone(),
            source: self.source,
            year: self.year,
            title: self.title.clone(),
            authors: self.authors.clone(),
            abstract_text: self.abstract_text.clone(),
            date: self.date.clone(),
            url: self.url.clone(),
            s3_bucket: bucket.to_owned(),
            s3_key: self.pdf.as_ref().map(|pdf| pdf.s3_key.clone()),
            record_s3_key: keys::paper_source_record(self.source, self.year, &self.paper_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
