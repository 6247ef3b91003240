//! The lists of the conferences' virtual sites, `…-orals-posters.json`, and what they hold.
//!
//! In: the JSON of a list. Out: papers, with a talk and a poster of one paper merged. Records are read
//! field by field, so one that is odd spoils nothing but itself.

use std::collections::{BTreeSet, HashMap};

use annapurna_contract::{Source, normalize_title};
use serde_json::{Value, json};
use url::Url;

use crate::paper::{BrokenEntry, Paper};
use crate::settings::join;
use crate::text::{clean, clean_option, decode_entities};

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// Records of the whole list, as it says.
    pub count: u64,
    /// Address of the next page.
    pub next: Option<String>,
    /// This page's records.
    pub records: Vec<Value>,
}

/// Why JSON is not a page of a list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FeedError {
    /// Not JSON, or cut short.
    #[error("the JSON is damaged: {0}")]
    Json(String),
    /// JSON of another shape.
    #[error("the JSON has no {0}")]
    Shape(&'static str),
    /// One page that does not hold what it says.
    #[error("the list says that it has {count} entries and has {found}")]
    WrongCount {
        /// What it says.
        count: u64,
        /// What it holds.
        found: usize,
    },
}

/// Reads a page. A list of one page must hold as many records as it says.
///
/// # Errors
///
/// See [`FeedError`].
pub fn parse_page(body: &[u8], is_first: bool) -> Result<FeedPage, FeedError> {
    let mut feed = parse_json(body)?;
    let count = feed["count"]
        .as_u64()
        .ok_or(FeedError::Shape("number `count`"))?;
    let next = feed["next"].as_str().map(str::to_owned);
    let Value::Array(records) = feed["results"].take() else {
        return Err(FeedError::Shape("array `results`"));
    };
    if is_first && next.is_none() && count != records.len() as u64 {
        return Err(FeedError::WrongCount {
            count,
            found: records.len(),
        });
    }
    Ok(FeedPage {
        count,
        next,
        records,
    })
}

/// Reads the abstracts' file: `{"<id>": "abstract"}`.
///
/// # Errors
///
/// [`FeedError::Json`] or [`FeedError::Shape`].
pub fn parse_abstracts(body: &[u8]) -> Result<HashMap<String, String>, FeedError> {
    let Value::Object(entries) = parse_json(body)? else {
        return Err(FeedError::Shape("object of abstracts"));
    };
    let text = |value: Value| value.as_str().map(str::to_owned);
    Ok(entries
        .into_iter()
        .filter_map(|(id, value)| Some((id, text(value)?)))
        .collect())
}

fn parse_json(body: &[u8]) -> Result<Value, FeedError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).map_err(|error| FeedError::Json(error.to_string()))
}

/// The conference and year that a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// The conference.
    pub source: Source,
    /// Its year.
    pub year: u16,
}

/// Most records of a list come without an abstract, which a second file then holds.
pub fn lacks_abstracts(records: &[Value]) -> bool {
    let n_without = records
        .iter()
        .filter(|record| text_of(record, "abstract").is_none())
        .count();
    n_without * 2 > records.len()
}

/// One paper: every record the list has of it, the lowest id first.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Lowest `id` of its records; its place in the list.
    pub id: u64,
    title: String,
    forum: Option<String>,
    records: Vec<Value>,
}

/// Merges the records of one paper and orders papers by id.
///
/// One id, one OpenReview forum, or one normalised title with no two forums to tell apart is one
/// paper. `uid` is no key: ICML 2023 has one on two different papers.
pub fn merge(mut records: Vec<Value>, openreview: &Url) -> (Vec<Entry>, Vec<BrokenEntry>) {
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
        let forum = forum_of(&record, openreview);
        let title_key = normalize_title(&title);
        match known.find(id, forum.as_deref(), &title_key, &entries) {
            Some(place) => {
                known.add(place, id, forum.as_deref(), &title_key);
                let entry = &mut entries[place];
                entry.forum = entry.forum.take().or(forum);
                entry.records.push(record);
            }
            None => {
                known.add(entries.len(), id, forum.as_deref(), &title_key);
                entries.push(Entry {
                    id,
                    title,
                    forum,
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

/// Places of entries by each key.
#[derive(Debug, Default)]
struct Known {
    ids: HashMap<u64, usize>,
    forums: HashMap<String, usize>,
    titles: HashMap<String, Vec<usize>>,
}

impl Known {
    fn find(&self, id: u64, forum: Option<&str>, title: &str, entries: &[Entry]) -> Option<usize> {
        let by_id = self.ids.get(&id).copied();
        let by_forum = || forum.and_then(|forum| self.forums.get(forum).copied());
        let same_or_unknown = |place: &usize| match (forum, entries[*place].forum.as_deref()) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        let by_title = || {
            self.titles
                .get(title)?
                .iter()
                .copied()
                .find(|place| same_or_unknown(place))
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
    id.as_u64().or_else(|| id.as_str()?.trim().parse().ok())
}

fn text_of(record: &Value, field: &str) -> Option<String> {
    let text = record[field].as_str().map(decode_entities);
    clean_option(text.as_deref())
}

/// The OpenReview forum that one of the record's addresses names.
fn forum_of(record: &Value, openreview: &Url) -> Option<String> {
    ["paper_url", "paper_pdf_url", "sourceurl", "url"]
        .into_iter()
        .filter_map(|field| record[field].as_str())
        .find_map(|address| forum_id(address, openreview))
}

/// `7HVADbW8fh` of `https://openreview.net/forum?id=7HVADbW8fh`. A group's address is no forum.
fn forum_id(address: &str, openreview: &Url) -> Option<String> {
    let address = Url::parse(address.trim()).ok()?;
    let host = address.host_str()?;
    let is_openreview = host == "openreview.net" || host.ends_with(".openreview.net");
    let is_forum = matches!(address.path(), "/forum" | "/pdf");
    if !is_forum || !(is_openreview || address.host() == openreview.host()) {
        return None;
    }
    let (_, id) = address.query_pairs().find(|(name, _)| name == "id")?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    ((1..=64).contains(&id.len()) && id.chars().all(is_fine)).then(|| id.into_owned())
}

impl Entry {
    /// The paper's topics; usually one.
    pub fn topics(&self) -> BTreeSet<String> {
        self.records
            .iter()
            .filter_map(|record| text_of(record, "topic"))
            .collect()
    }

    /// A topic is the filter, or below it: `Deep Learning` takes `Deep Learning->Robustness`.
    pub fn has_topic(&self, filter: &str) -> bool {
        let filter = topic_parts(filter);
        self.topics()
            .iter()
            .any(|topic| topic_parts(topic).starts_with(&filter))
    }

    /// Every word is in the title, the abstract or the keywords.
    pub fn has_words(&self, words: &str, abstracts: &HashMap<String, String>) -> bool {
        let keywords = self
            .records
            .iter()
            .map(|record| record["keywords"].to_string());
        let mut text = format!(
            "{} {}",
            self.title,
            self.abstract_text(abstracts).unwrap_or_default()
        );
        keywords.for_each(|keywords| text.push_str(&keywords));
        let text = format!(" {} ", normalize_title(&text));
        normalize_title(words)
            .split(' ')
            .all(|word| text.contains(&format!(" {word} ")))
    }

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

    /// The paper, with its PDF at OpenReview when a forum is known.
    pub fn into_paper(
        self,
        edition: Edition,
        sites: &Sites,
        abstracts: &HashMap<String, String>,
    ) -> Paper {
        let abstract_text = self.abstract_text(abstracts);
        let find = |field: &str| {
            self.records
                .iter()
                .find_map(|record| text_of(record, field))
        };
        let page = find("virtualsite_url").and_then(|path| sites.virtual_site.join(&path).ok());
        let page = page.filter(|page| page.host() == sites.virtual_site.host());
        let date =
            find("starttime").and_then(|time| time.get(..10)?.parse::<chrono::NaiveDate>().ok());
        Paper {
            source: edition.source,
            year: edition.year,
            source_id: self.id.to_string(),
            position: self.id,
            authors: self
                .records
                .iter()
                .map(authors_of)
                .find(|a| !a.is_empty())
                .unwrap_or_default(),
            date: date.map(|date| date.to_string()),
            url: page.map(String::from).or_else(|| find("paper_url")),
            pdf_url: self.forum.as_deref().map(|forum| sites.pdf_of(forum)),
            source_record: json!({"records": self.records, "abstract": abstract_text}),
            title: self.title,
            abstract_text,
        }
    }
}

fn topic_parts(topic: &str) -> Vec<String> {
    topic
        .split("->")
        .map(|part| clean(part).to_lowercase())
        .filter(|part| !part.is_empty())
        .collect()
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

/// Where a conference's pages and PDFs are.
#[derive(Debug, Clone)]
pub struct Sites {
    /// The conference's virtual site.
    pub virtual_site: Url,
    /// OpenReview.
    pub openreview: Url,
}

impl Sites {
    fn pdf_of(&self, forum: &str) -> Url {
        let mut url = join(&self.openreview, "pdf");
        url.query_pairs_mut().append_pair("id", forum);
        url
    }
}
