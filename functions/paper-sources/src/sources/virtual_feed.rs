//! The lists of the conferences' virtual sites, `…-orals-posters.json`, and what they hold.
//!
//! In: the JSON of a list, over all its pages, and of the abstracts beside it. Out: papers; which records are
//! one paper is for `entries`.

mod entries;

use std::collections::{HashMap, HashSet};

use annapurna_contract::PaperHost;
use annapurna_contract::text::excerpt;
use serde_json::Value;
use url::Url;

use super::hosts::Hosts;
use super::listed::{Edition, ListError, Listed, UnreadFile};
use crate::http::{Expect, Http, HttpError, Page};
use crate::sites::join;
use entries::text_of;
pub use entries::{Entry, merge};

/// From this year on, abstracts are in a file of their own.
const ABSTRACTS_APART_SINCE: u16 = 2026;
/// Pages of one list; all lists seen have one.
const MOST_PAGES: usize = 200;

/// Reads the whole list of a conference's year, over all its pages.
///
/// # Errors
///
/// See [`ListError`].
pub async fn list(http: &Http, hosts: &Hosts, edition: Edition) -> Result<Listed, ListError> {
    let records = records(http, &file_url(hosts, edition, "orals-posters")).await?;
    let (abstracts, unread_abstracts) = abstracts(http, hosts, edition, &records).await;
    let (entries, broken) = merge(records, hosts);
    let papers = entries
        .into_iter()
        .map(|entry| entry.into_listed(hosts, &abstracts));
    Ok(Listed {
        papers: papers.collect(),
        broken,
        problems: Vec::new(),
        unread_abstracts,
    })
}

/// The address of one of the site's files: `iclr-2025-orals-posters.json`.
pub(crate) fn file_url(hosts: &Hosts, edition: Edition, kind: &str) -> Url {
    let name = format!("{}-{}-{kind}.json", edition.source.key_part(), edition.year);
    join(
        &hosts[PaperHost::VirtualSite],
        &format!("static/virtual/data/{name}"),
    )
}

async fn records(http: &Http, first_url: &Url) -> Result<Vec<Value>, ListError> {
    let wrong = |problem| ListError::Wrong {
        url: first_url.to_string(),
        problem,
    };
    let mut seen = HashSet::from([first_url.clone()]);
    let mut page = feed_page(http, first_url, true).await?;
    let expected = page.count;
    let mut records = std::mem::take(&mut page.records);
    let mut url = first_url.clone();
    while let Some(next) = page.next.take() {
        url = next_page(&url, &next, &mut seen).map_err(|reason| {
            let next = excerpt(next.as_bytes(), 200);
            wrong(format!(
                "goes on at `{next}`, which is not followed: {reason}"
            ))
        })?;
        page = feed_page(http, &url, false).await?;
        records.append(&mut page.records);
    }
    let found = records.len() as u64;
    if found != expected {
        return Err(wrong(format!(
            "says that it has {expected} entries and has {found}"
        )));
    }
    Ok(records)
}

async fn feed_page(http: &Http, url: &Url, is_first: bool) -> Result<FeedPage, HttpError> {
    let read = |page: Page| parse_page(&page.body, is_first);
    http.get_with(url, Expect::Json, read).await
}

/// The abstracts' file, where there is one; where it cannot be had, the papers' own pages have them.
async fn abstracts(
    http: &Http,
    hosts: &Hosts,
    edition: Edition,
    records: &[Value],
) -> (HashMap<String, String>, Option<UnreadFile>) {
    if !lacks_abstracts(records) && edition.year < ABSTRACTS_APART_SINCE {
        return Default::default();
    }
    let read = |page: Page| parse_abstracts(&page.body);
    let url = file_url(hosts, edition, "abstracts");
    match http.get_with(&url, Expect::Json, read).await {
        Ok(abstracts) => (abstracts, None),
        Err(HttpError::Missing { .. }) => Default::default(),
        Err(error) => (HashMap::new(), Some(UnreadFile::of(&error))),
    }
}

/// The address of a list's next page; it stays on the host and leads nowhere twice.
fn next_page(url: &Url, next: &str, seen: &mut HashSet<Url>) -> Result<Url, &'static str> {
    let address = url.join(next).map_err(|_| "it is not an address")?;
    if address.origin() != url.origin() {
        return Err("it is on another host");
    }
    if seen.len() >= MOST_PAGES {
        return Err("the list has too many pages");
    }
    if !seen.insert(address.clone()) {
        return Err("it was there before");
    }
    Ok(address)
}

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

/// Most records of a list come without an abstract, which a second file then holds.
pub fn lacks_abstracts(records: &[Value]) -> bool {
    let n_without = records
        .iter()
        .filter(|record| text_of(record, "abstract").is_none())
        .count();
    n_without * 2 > records.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list_stay_on_its_host_and_do_not_circle() {
        let url = Url::parse("https://iclr.cc/static/a.json").unwrap();
        let mut seen = HashSet::from([url.clone()]);
        let second = next_page(&url, "?page=2", &mut seen).unwrap();
        assert_eq!(second.as_str(), "https://iclr.cc/static/a.json?page=2");
        for bad in [
            "http://iclr.cc/b",
            "https://evil.example/b",
            "https://iclr.cc:8443/b",
            "//evil.example",
            "?page=2",
        ] {
            assert!(next_page(&url, bad, &mut seen).is_err(), "{bad}");
        }
    }
}
