//! What is kept of a paper, and what an entry of a list changes in it.
//!
//! Nothing here reads or writes: a record is compared with an entry and becomes what is to be written. An
//! entry speaks for its paper when it says something else than it said the last time, whichever source it
//! is of; one that is seen for the first time only adds what is missing, unless its abstract says something
//! else in substance. So two lists that spell one paper differently never undo each other's words.

use annapurna_cloud::Metadata;
use annapurna_contract::{
    Description, OtherEntry, PaperId, RecordState, Revision, Source, SourceRecord,
    abstract_changed, keys, normalize_title,
};
use annapurna_paper_sources::paper::Paper;
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::under_way;

/// Hexadecimal digits of a digest in a record and in its metadata.
const DIGITS: usize = 32;
/// Earlier versions that a record holds; the bucket has all of its own.
const MOST_REVISIONS: usize = 50;
/// Entries whose digests are in a record's metadata, which are 2 KB in all.
const MOST_IN_METADATA: usize = 20;
/// The name of a record's S3 metadata that hold its state.
const STATE: &str = "state";
/// The name of those that hold the digest of its title.
const TITLE: &str = "title";
/// The name of those that hold the id of the request that had it first.
const TAKEN_BY: &str = "taken-by";

/// Where a paper's record and PDF are: the source and the year that had it first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Home {
    pub(crate) paper_id: PaperId,
    pub(crate) source: Source,
    pub(crate) year: u16,
}

impl Home {
    pub(crate) fn record_key(&self) -> String {
        keys::paper_source_record(self.source, self.year, &self.paper_id)
    }

    pub(crate) fn pdf_key(&self) -> String {
        keys::paper_pdf(self.source, self.year, &self.paper_id)
    }
}

fn digest(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(DIGITS);
    digits
}

/// A digest of what an entry says of its paper, with or without the paper's own page.
pub(crate) fn said_by(paper: &Paper) -> String {
    let Paper {
        title,
        authors,
        abstract_text,
        date,
        url,
        forum,
        ..
    } = paper;
    digest(&json!([title, authors, abstract_text, date, url, forum]).to_string())
}

/// What a later run learns of a record from one `HeadObject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glance<'a> {
    metadata: &'a Metadata,
}

impl<'a> Glance<'a> {
    pub(crate) const fn of(metadata: &'a Metadata) -> Self {
        Self { metadata }
    }

    /// Nothing is left to do for the paper, and the entry says what it said.
    pub(crate) fn is_settled(&self, paper: &Paper, said: &str) -> bool {
        let state = self.metadata.get(STATE).map(|word| RecordState::of(word));
        let known = self
            .metadata
            .get(&entry_name(paper.source, paper.year, &paper.source_id));
        state == Some(RecordState::Queued)
            && known.is_some_and(|known| known == said)
            && !under_way::is_left_behind_by(self.metadata)
    }

    /// The request that had the paper first.
    pub(crate) fn taken_by(&self) -> Option<&'a str> {
        self.metadata.get(TAKEN_BY).map(String::as_str)
    }

    /// The record has the title of the entry.
    pub(crate) fn has_title(&self, title: &str) -> bool {
        self.metadata
            .get(TITLE)
            .is_some_and(|known| *known == digest(&normalize_title(title)))
    }
}

/// The metadata's name of the digest of what an entry said.
fn entry_name(source: Source, year: u16, source_id: &str) -> String {
    let mut name = digest(&name_of(source, year, source_id));
    name.truncate(DIGITS / 2);
    format!("said-{name}")
}

/// An entry's name everywhere: `ICLR 2025 28123`.
pub(crate) fn name_of(source: Source, year: u16, source_id: &str) -> String {
    format!("{} {year} {source_id}", source.name())
}

/// The S3 metadata of a record.
pub(crate) fn metadata(record: &SourceRecord) -> Metadata {
    let mut metadata = Metadata::from([
        (STATE.to_owned(), record.state.as_str().to_owned()),
        (
            TITLE.to_owned(),
            digest(&normalize_title(&record.description.title)),
        ),
    ]);
    if let Some(request) = &record.taken_by {
        metadata.insert(TAKEN_BY.to_owned(), request.clone());
    }
    under_way::add_to(&mut metadata, record);
    let own = (record.source, record.year, &record.source_id, &record.said);
    let others = record.other_entries.iter().rev();
    let others = others.map(|it| (it.source, it.year, &it.source_id, &it.said));
    for (source, year, id, said) in [own].into_iter().chain(others).take(MOST_IN_METADATA) {
        metadata.insert(entry_name(source, year, id), said.clone());
    }
    metadata
}

/// Everything that the first entry of a paper says, before its PDF is asked for and the judge is told.
///
/// Its place can be another source's, whose run gave the id and ended; that source's entry makes the record
/// its own when it comes by.
pub(crate) fn first(home: &Home, paper: &Paper, said: &str) -> SourceRecord {
    let mut record = SourceRecord {
        paper_id: home.paper_id.clone(),
        taken_by: None,
        revision: 1,
        source: home.source,
        year: home.year,
        source_id: String::new(),
        description: Description {
            title: paper.title.clone(),
            authors: paper.authors.clone(),
            abstract_text: paper.abstract_text.clone(),
            date: paper.date.clone(),
            url: paper.url.clone(),
        },
        pdf: None,
        pdf_problem: None,
        text_expected: true,
        state: RecordState::Waiting,
        written_at: now(),
        source_record: Value::Null,
        said: String::new(),
        revisions: Vec::new(),
        other_entries: Vec::new(),
        under_way: Vec::new(),
    };
    note_entry(&mut record, paper, said);
    record
}

pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What the entry says, and the rest as it was: a source that leaves something out takes nothing back.
fn said_anew(known: Description, paper: &Paper) -> Description {
    Description {
        title: paper.title.clone(),
        authors: match paper.authors.is_empty() {
            true => known.authors,
            false => paper.authors.clone(),
        },
        abstract_text: paper.abstract_text.clone().or(known.abstract_text),
        date: paper.date.clone().or(known.date),
        url: paper.url.clone().or(known.url),
    }
}

/// As it was, with what was missing.
fn completed(known: Description, paper: &Paper) -> Description {
    Description {
        title: known.title,
        authors: match known.authors.is_empty() {
            true => paper.authors.clone(),
            false => known.authors,
        },
        abstract_text: known.abstract_text.or_else(|| paper.abstract_text.clone()),
        date: known.date.or_else(|| paper.date.clone()),
        url: known.url.or_else(|| paper.url.clone()),
    }
}

/// Whether it is the entry that the record is of.
pub(crate) fn is_own_entry(record: &SourceRecord, paper: &Paper) -> bool {
    let is_free = record.source_id.is_empty();
    (record.source, record.year) == (paper.source, paper.year)
        && (is_free || record.source_id == paper.source_id)
}

/// The other entry that this paper is.
fn other_entry<'a>(record: &'a mut SourceRecord, paper: &Paper) -> Option<&'a mut OtherEntry> {
    record.other_entries.iter_mut().find(|it| {
        (it.source, it.year) == (paper.source, paper.year) && it.source_id == paper.source_id
    })
}

/// Brings a record to what an entry says. Returns whether something is to be written; what the judge has to
/// be told anew makes the record wait.
pub(crate) fn revise(record: &mut SourceRecord, paper: &Paper, said: &str) -> bool {
    let last_said = match is_own_entry(record, paper) {
        true if record.source_id.is_empty() => None,
        true => Some(record.said.clone()),
        false => other_entry(record, paper).map(|entry| entry.said.clone()),
    };
    if last_said.as_deref() == Some(said) {
        return false;
    }
    let before = record.description.clone();
    let (old, new) = (
        before.abstract_text.as_deref(),
        paper.abstract_text.as_deref(),
    );
    let has_another_abstract = abstract_changed(old, new);
    let after = match last_said.is_some() || has_another_abstract {
        true => said_anew(before.clone(), paper),
        false => completed(before.clone(), paper),
    };
    note_entry(record, paper, said);
    if after != before {
        let is_page_alone = Description {
            url: before.url.clone(),
            ..after.clone()
        } == before;
        keep_revision(record, before);
        record.description = after;
        record.revision += u32::from(has_another_abstract);
        if !is_page_alone {
            record.state = RecordState::Waiting;
            under_way::overtake(record);
        }
    }
    true
}

fn keep_revision(record: &mut SourceRecord, before: Description) {
    record.revisions.push(Revision {
        revision: record.revision,
        description: before,
        seen_at: record.written_at.clone(),
    });
    let n_too_many = record.revisions.len().saturating_sub(MOST_REVISIONS);
    record.revisions.drain(..n_too_many);
}

fn note_entry(record: &mut SourceRecord, paper: &Paper, said: &str) {
    if is_own_entry(record, paper) {
        record.source_id.clone_from(&paper.source_id);
        said.clone_into(&mut record.said);
        record.source_record = paper.source_record.clone();
        return;
    }
    let entry = OtherEntry {
        source: paper.source,
        year: paper.year,
        source_id: paper.source_id.clone(),
        title: paper.title.clone(),
        said: said.to_owned(),
        source_record: paper.source_record.clone(),
    };
    match other_entry(record, paper) {
        Some(known) => *known = entry,
        None => record.other_entries.push(entry),
    }
}
