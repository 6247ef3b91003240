//! The papers of a list's records, with a talk and a poster of one paper merged.
//!
//! In: records as the list has them. Out: one entry a paper. Records are read field by field, so one that is
//! odd spoils nothing but itself.

use std::collections::HashMap;

use annapurna_contract::text::clean_option;
use annapurna_contract::{PaperHost, normalize_title, share_an_author};
use serde_json::{Value, json};
use url::Url;

use crate::paper::{BrokenEntry, RepeatedEntry};
use crate::sources::hosts::Hosts;
use crate::sources::listed::{ListedPaper, PLACES};
use crate::text::decode_entities;

/// One paper: every record the list has of it, the lowest id first.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Lowest `id` of its records; its place in the list.
    pub id: u64,
    title: String,
    forum: Option<String>,
    proceedings: Option<String>,
    records: Vec<Value>,
}

/// Merges the records of one paper and orders papers by id.
///
/// One id is one paper; so is one OpenReview forum, unless titles and authors are others (a link can be
/// wrong), and one normalised title with no two forums, places in proceedings or lists of authors to tell
/// apart. `uid` is no key: ICML 2023 has one on two different papers.
pub fn merge(mut records: Vec<Value>, hosts: &Hosts) -> (Vec<Entry>, Vec<BrokenEntry>) {
    records.sort_by_key(|record| id_of(record).unwrap_or(u64::MAX));
    let mut entries: Vec<Entry> = Vec::new();
    let mut broken = Vec::new();
    let mut known = Known::default();
    for (place, record) in records.into_iter().enumerate() {
        let (id, title) = match (id_of(&record), text_of(&record, "name")) {
            (Some(id), Some(title)) => (id, title),
            (id, _) => {
                broken.push(broken_record(id, place));
                continue;
            }
        };
        let forum = forum_of(&record, hosts);
        let proceedings = record["paper_url"].as_str();
        let proceedings = proceedings.and_then(|address| proceedings_id(address, hosts));
        let title_key = normalize_title(&title);
        let key = Key {
            id,
            title: &title_key,
            forum: forum.as_deref(),
            proceedings: proceedings.as_deref(),
            authors: &authors_of(&record),
        };
        let place = known.find(&key, &entries);
        match place {
            Some(place) => {
                known.add(place, id, forum.as_deref(), &title_key);
                let entry = &mut entries[place];
                entry.forum = entry.forum.take().or(forum);
                entry.proceedings = entry.proceedings.take().or(proceedings);
                entry.records.push(record);
            }
            None => {
                known.add(entries.len(), id, forum.as_deref(), &title_key);
                entries.push(Entry {
                    id,
                    title,
                    forum,
                    proceedings,
                    records: vec![record],
                });
            }
        }
    }
    (entries, broken)
}

fn broken_record(id: Option<u64>, place: usize) -> BrokenEntry {
    match id {
        Some(id) => BrokenEntry {
            entry: format!("record {id}"),
            reason: "it has no title".to_owned(),
        },
        None => BrokenEntry {
            entry: format!("record at place {place}"),
            reason: "it has no id".to_owned(),
        },
    }
}

/// What tells a record's paper from others.
struct Key<'a> {
    id: u64,
    /// Normalised, as titles are compared.
    title: &'a str,
    forum: Option<&'a str>,
    proceedings: Option<&'a str>,
    authors: &'a [String],
}

impl Key<'_> {
    /// Whether somebody wrote both, as far as is known.
    fn may_be_authors_of(&self, entry: &Entry) -> bool {
        let mut others = entry
            .records
            .iter()
            .map(authors_of)
            .filter(|it| !it.is_empty());
        match others.next() {
            Some(others) if !self.authors.is_empty() => share_an_author(self.authors, &others),
            _ => true,
        }
    }
}

/// Places of entries by each key.
#[derive(Debug, Default)]
struct Known {
    ids: HashMap<u64, usize>,
    forums: HashMap<String, usize>,
    titles: HashMap<String, Vec<usize>>,
}

impl Known {
    fn find(&self, key: &Key<'_>, entries: &[Entry]) -> Option<usize> {
        let by_id = self.ids.get(&key.id).copied();
        let by_forum = || {
            let place = *self.forums.get(key.forum?)?;
            let entry = &entries[place];
            let is_same_title = normalize_title(&entry.title) == key.title;
            (is_same_title || key.may_be_authors_of(entry)).then_some(place)
        };
        let may_be = |one: Option<&str>, other: Option<&str>| {
            one.is_none() || other.is_none() || one == other
        };
        let same_or_unknown = |place: &usize| {
            let entry = &entries[*place];
            may_be(key.forum, entry.forum.as_deref())
                && may_be(key.proceedings, entry.proceedings.as_deref())
                && key.may_be_authors_of(entry)
        };
        let by_title = || {
            let places = self.titles.get(key.title)?.iter().copied();
            places.into_iter().find(same_or_unknown)
        };
        by_id.or_else(by_forum).or_else(by_title)
    }

    fn add(&mut self, place: usize, id: u64, forum: Option<&str>, title: &str) {
        self.ids.insert(id, place);
        if let Some(forum) = forum {
            self.forums.insert(forum.to_owned(), place);
        }
        let places = self.titles.entry(title.to_owned()).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }
}

fn id_of(record: &Value) -> Option<u64> {
    let id = &record["id"];
    let number = id.as_u64().or_else(|| id.as_str()?.trim().parse().ok());
    number.filter(|id| *id < PLACES)
}

pub(super) fn text_of(record: &Value, field: &str) -> Option<String> {
    let text = record[field].as_str().map(decode_entities);
    clean_option(text.as_deref())
}

/// The OpenReview forum that one of the record's addresses names.
fn forum_of(record: &Value, hosts: &Hosts) -> Option<String> {
    ["paper_url", "paper_pdf_url", "sourceurl", "url"]
        .into_iter()
        .filter_map(|field| record[field].as_str())
        .find_map(|address| hosts.forum_id(address))
}

impl Entry {
    fn abstract_text(&self, abstracts: &HashMap<String, String>) -> Option<String> {
        let own = self
            .records
            .iter()
            .find_map(|record| text_of(record, "abstract"));
        own.or_else(|| {
            let ids = self.records.iter().filter_map(id_of);
            let mut texts = ids.filter_map(|id| abstracts.get(&id.to_string()));
            texts.find_map(|text| clean_option(Some(&decode_entities(text))))
        })
    }

    /// The records after the first one, a talk beside the poster.
    fn repeats(&self) -> Vec<RepeatedEntry> {
        let repeat = |record: &Value| RepeatedEntry {
            entry: id_of(record).unwrap_or(self.id).to_string(),
            title: text_of(record, "name").unwrap_or_else(|| self.title.clone()),
        };
        self.records.iter().skip(1).map(repeat).collect()
    }

    /// The paper as this list has it, with its page on the virtual site and its PDF at OpenReview when
    /// a forum is known.
    pub fn into_listed(self, hosts: &Hosts, abstracts: &HashMap<String, String>) -> ListedPaper {
        let abstract_text = self.abstract_text(abstracts);
        let find = |field: &str| {
            self.records
                .iter()
                .find_map(|record| text_of(record, field))
        };
        let site = &hosts[PaperHost::VirtualSite];
        let page =
            find("virtualsite_url").and_then(|path| hosts.on_configured_host(&path, site, &[]));
        let date =
            find("starttime").and_then(|time| time.get(..10)?.parse::<chrono::NaiveDate>().ok());
        let words = self.records.iter().flat_map(keywords_of).collect();
        let topics = self
            .records
            .iter()
            .filter_map(|record| text_of(record, "topic"));
        ListedPaper {
            source_id: self.id.to_string(),
            repeated_as: self.repeats(),
            proceedings_id: self.proceedings,
            place: self.id,
            authors: self
                .records
                .iter()
                .map(authors_of)
                .find(|authors| !authors.is_empty())
                .unwrap_or_default(),
            date: date.map(|date| date.to_string()),
            url: page.clone().map(String::from).or_else(|| find("paper_url")),
            pdf_urls: Vec::new(),
            topics: topics.collect(),
            keywords: words,
            details_url: page.filter(|_| abstract_text.is_none()),
            record: json!({"records": self.records, "abstract": abstract_text}),
            forum: self.forum,
            title: self.title,
            abstract_text,
        }
    }
}

/// The hosts of proceedings, whose addresses hold a paper's id.
const PROCEEDINGS: [PaperHost; 3] = [
    PaperHost::Proceedings,
    PaperHost::DatasetsProceedings,
    PaperHost::Pmlr,
];

/// The id in an address of proceedings: `v235/abe24a` of `http://proceedings.mlr.press/v235/abe24a.html`, and
/// the 32 digits of `https://proceedings.neurips.cc//paper_files/paper/2020/hash/…-Abstract.html`. It is
/// only compared, and leads nowhere.
fn proceedings_id(address: &str, hosts: &Hosts) -> Option<String> {
    let address = Url::parse(address.trim()).ok()?;
    let host = hosts.called(address.host_str()?, &PROCEEDINGS)?;
    let name = address.path_segments()?.next_back()?;
    if host == PaperHost::Pmlr {
        // A name is only one in its volume.
        let path = address.path().trim_matches('/');
        return Some(path.strip_suffix(".html")?.to_owned());
    }
    let (hash, _) = name.split_at_checked(32)?;
    hash.chars()
        .all(|c| c.is_ascii_hexdigit())
        .then(|| hash.to_ascii_lowercase())
}

fn keywords_of(record: &Value) -> Vec<String> {
    match &record["keywords"] {
        Value::Array(words) => words
            .iter()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect(),
        Value::String(words) => vec![words.clone()],
        _ => Vec::new(),
    }
}

fn authors_of(record: &Value) -> Vec<String> {
    let name = |author: &Value| match author {
        Value::String(name) => clean_option(Some(&decode_entities(name))),
        author => text_of(author, "fullname"),
    };
    match &record["authors"] {
        Value::Array(authors) => authors.iter().filter_map(name).collect(),
        Value::String(_) => name(&record["authors"]).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use annapurna_contract::{PerHost, Source};

    use super::*;

    #[test]
    fn an_address_of_proceedings_has_an_id() {
        let sites = PerHost::new(|host| host.public_address().to_owned());
        let sites = crate::sites::Sites::new(sites).unwrap();
        let of = |source| Hosts::of(source, &sites).unwrap();
        let (at_neurips, at_icml) = (of(Source::Neurips), of(Source::Icml));
        let hash = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
        // The feed of NeurIPS 2020 has two slashes in the middle.
        let neurips = format!(
            "https://proceedings.neurips.cc//paper_files/paper/2020/hash/{hash}-Abstract.html"
        );
        assert_eq!(proceedings_id(&neurips, &at_neurips).as_deref(), Some(hash));
        let icml = "http://proceedings.mlr.press/v139/one21a.html";
        assert_eq!(
            proceedings_id(icml, &at_icml).as_deref(),
            Some("v139/one21a")
        );
        for other in [
            "https://openreview.net/forum?id=x",
            "https://proceedings.neurips.cc/paper/2020",
            "https://evil.example/v139/one21a.html",
            "no address",
        ] {
            assert_eq!(proceedings_id(other, &at_neurips), None, "{other}");
        }
    }
}
