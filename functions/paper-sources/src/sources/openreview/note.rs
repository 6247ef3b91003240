//! A note of OpenReview, and the paper it is.
//!
//! In: the JSON of a note of either API. Out: a paper, when it was accepted. Fields are read one by
//! one, wrapped as in the newer API or bare as in the older one, so a note that is odd spoils nothing
//! but itself. An address in a note is never followed: a PDF's path is taken only when it is of the
//! one known form.

use annapurna_contract::PaperHost;
use annapurna_contract::text::{clean, clean_option, excerpt};
use chrono::{DateTime, Datelike};
use serde_json::Value;
use url::Url;

use super::group::{Acceptance, Api, Group};
use crate::paper::BrokenEntry;
use crate::sites::join;
use crate::sources::hosts::{Hosts, is_forum_id};
use crate::sources::listed::{Edition, ListedPaper};

/// The place of a paper whose note has no number: OpenReview counts from 1.
pub(crate) const UNNUMBERED: u64 = 0;

/// What a note is to its list.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An accepted paper. Its place is its note's number, or [`UNNUMBERED`].
    Paper(Box<ListedPaper>),
    /// Rejected, withdrawn, or of a workshop.
    NotAccepted,
    /// A note that cannot be read.
    Broken(BrokenEntry),
}

/// Reads the notes of one list.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The list's conference and year.
    pub edition: Edition,
    /// What is known of it.
    pub group: &'a Group,
    /// The list's invitation or venue id.
    pub list: &'a str,
    /// Where pages and PDFs are.
    pub hosts: &'a Hosts,
}

impl Reader<'_> {
    /// Reads the note that stands at `index` of the list.
    pub fn read(&self, note: Value, index: u64) -> Entry {
        let broken = |reason: &str| {
            let entry = match note_id(&note) {
                Some(id) => format!("note {}", excerpt(id.as_bytes(), 64)),
                None => format!("note at place {index}"),
            };
            let reason = reason.to_owned();
            Entry::Broken(BrokenEntry { entry, reason })
        };
        match self.is_accepted(&note) {
            Ok(true) => {}
            Ok(false) => return Entry::NotAccepted,
            Err(reason) => return broken(reason),
        }
        let forum = note["forum"].as_str().or_else(|| note_id(&note));
        let Some(forum) = forum.filter(|id| is_forum_id(id)).map(str::to_owned) else {
            return broken("it has no forum id");
        };
        let Some(title) = text_of(&note["content"], "title") else {
            return broken("it has no title");
        };
        Entry::Paper(Box::new(self.paper(note, forum, title)))
    }

    fn paper(&self, note: Value, forum: String, title: String) -> ListedPaper {
        let content = &note["content"];
        let mut page = join(&self.hosts[PaperHost::OpenReview], "forum");
        page.query_pairs_mut().append_pair("id", &forum);
        ListedPaper {
            place: note["number"].as_u64().unwrap_or(UNNUMBERED),
            title,
            authors: authors_of(field(content, "authors"), self.group.api),
            abstract_text: text_of(content, "abstract"),
            date: date_of(&note),
            url: Some(page.into()),
            pdf_urls: self.pdf_urls(field(content, "pdf"), &forum),
            keywords: keywords_of(field(content, "keywords")),
            forum: Some(forum.clone()),
            source_id: forum,
            record: self.record(note),
            ..ListedPaper::default()
        }
    }

    /// The path a note gives is of the file as it was accepted; by id comes the newest. A PDF kept
    /// elsewhere, as in 2013 and 2014, is only had by id.
    fn pdf_urls(&self, pdf: &Value, forum: &str) -> Vec<Url> {
        let by_id = self.hosts.openreview_pdf(forum);
        match pdf {
            Value::Null => Vec::new(),
            Value::String(path) if path.trim().is_empty() => Vec::new(),
            Value::String(path) if pdf_hash(path).is_some() => {
                vec![join(&self.hosts[PaperHost::OpenReview], path), by_id]
            }
            _ => vec![by_id],
        }
    }

    /// The whole note. Of its replies only the decision: reviews are other people's notes, which the
    /// list brings along.
    fn record(&self, mut note: Value) -> Value {
        if let Acceptance::Reply { invitation, .. } = self.group.acceptance
            && let Some(Value::Array(replies)) = note.pointer_mut("/details/directReplies")
        {
            replies.retain(|reply| is_reply_to(reply, invitation));
        }
        note
    }

    fn is_accepted(&self, note: &Value) -> Result<bool, &'static str> {
        let content = &note["content"];
        if !content.is_object() {
            return Err("it has no content");
        }
        let lower = |name| text_of(content, name).map(|text| text.to_lowercase());
        Ok(match self.group.acceptance {
            Acceptance::VenueId => {
                let id = text_of(content, "venueid").ok_or("it has no venueid")?;
                id.eq_ignore_ascii_case(self.list)
            }
            Acceptance::Venue => lower("venue").is_some_and(|venue| self.is_accepting(&venue)),
            Acceptance::Reply { invitation, field } => replies_of(note)
                .filter(|reply| is_reply_to(reply, invitation))
                .filter_map(|reply| text_of(&reply["content"], field))
                .any(|decision| decision.to_lowercase().starts_with("accept")),
            Acceptance::Decision => lower("decision").is_some_and(|it| it.ends_with("-conference")),
            Acceptance::Unmarked => true,
        })
    }

    /// `ICLR 2023 notable top 5%` and `NeurIPS 2022 Accept`, in lower case; not `Submitted to ICLR
    /// 2023`, `NeurIPS 2022 Submitted` or `ICLR 2017 Invite to Workshop`.
    fn is_accepting(&self, venue: &str) -> bool {
        let Edition { source, year } = self.edition;
        let conference = format!("{} {year}", source.name()).to_lowercase();
        let refusals = ["submitted", "reject", "withdraw", "workshop"];
        venue.starts_with(&conference) && !refusals.iter().any(|word| venue.contains(word))
    }
}

/// The note's own id, as it says.
pub(crate) fn note_id(note: &Value) -> Option<&str> {
    note["id"].as_str().filter(|id| !id.is_empty())
}

/// The hash in `/pdf/<40 hex>.pdf`; one file has one hash. Any other path has none.
pub(crate) fn pdf_hash(path: &str) -> Option<&str> {
    let hash = path.strip_prefix("/pdf/")?.strip_suffix(".pdf")?;
    let is_hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hash.len() == 40 && is_hex).then_some(hash)
}

/// A value of a note's content: `{"value": …}` in the newer API, bare in the older one.
pub fn field<'a>(content: &'a Value, name: &str) -> &'a Value {
    let field = &content[name];
    match field {
        Value::Object(wrapper) => wrapper.get("value").unwrap_or(&Value::Null),
        bare => bare,
    }
}

fn text_of(content: &Value, name: &str) -> Option<String> {
    clean_option(field(content, name).as_str())
}

fn replies_of(note: &Value) -> impl Iterator<Item = &Value> {
    let replies = note["details"]["directReplies"].as_array();
    replies.into_iter().flatten()
}

/// `…/Paper1027/Meta_Review` and `…/Paper9/-/Decision` both end with what they are.
fn is_reply_to(reply: &Value, invitation: &str) -> bool {
    let asked = reply["invitation"].as_str().unwrap_or_default();
    let last = asked.rsplit('/').next().unwrap_or_default();
    last.eq_ignore_ascii_case(invitation)
}

/// Names, in order. Absent or hidden ones are none; ICLR 2017 has notes with all in one string.
///
/// The newer API's names come from profiles; in the older one's lists `A and B` can be one entry.
fn authors_of(authors: &Value, api: Api) -> Vec<String> {
    let names: Vec<String> = match authors {
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).map(clean);
            match api {
                Api::V1 => names.flat_map(|name| split_at_and(&name)).collect(),
                Api::V2 => names.collect(),
            }
        }
        Value::String(names) => split_names(&clean(names)),
        _ => Vec::new(),
    };
    let is_name = |name: &String| {
        let name = name.to_lowercase();
        !matches!(name.as_str(), "" | "anonymous" | "anonymous authors")
    };
    names.into_iter().filter(is_name).collect()
}

/// `A, B and C`; with semicolons, `A; B` and `Family, Given; Family, Given`.
fn split_names(names: &str) -> Vec<String> {
    let separator = if names.contains(';') { ';' } else { ',' };
    names.split(separator).flat_map(split_at_and).collect()
}

/// `A and B` are two; so are the `A` and `and B` of a list that was split carelessly.
fn split_at_and(names: &str) -> Vec<String> {
    let names = names.trim();
    let names = names.strip_prefix("and ").unwrap_or(names);
    let parts = names.split(" and ").map(clean);
    parts.filter(|name| !name.is_empty()).collect()
}

fn keywords_of(keywords: &Value) -> Vec<String> {
    let words: Vec<String> = match keywords {
        Value::Array(words) => words.iter().filter_map(Value::as_str).map(clean).collect(),
        Value::String(words) => words.split([',', ';']).map(clean).collect(),
        _ => Vec::new(),
    };
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// The day of publication, else of creation; milliseconds since 1970, any of them null or absent.
fn date_of(note: &Value) -> Option<String> {
    ["pdate", "cdate", "tcdate"]
        .into_iter()
        .filter_map(|name| DateTime::from_timestamp_millis(note[name].as_i64()?))
        // OpenReview began in 2012; what is not of a year near by is not in milliseconds.
        .find(|date| (2000..=2200).contains(&date.year()))
        .map(|date| date.format("%Y-%m-%d").to_string())
}
