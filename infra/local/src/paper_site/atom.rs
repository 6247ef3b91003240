//! arXiv's Atom answers in the dialect of 2026.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::sample::{OnArxiv, SamplePaper};

/// Entries of a search that names no number.
const DEFAULT_RESULTS: usize = 10;

/// Entries as text, in the order of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct AtomList {
    entries: Vec<String>,
}

impl AtomList {
    pub(super) fn push(&mut self, entry: String) {
        self.entries.push(entry);
    }

    /// Answers a search; an error is arXiv's error feed, to be sent with status 400.
    pub(super) fn answer(&self, query: &BTreeMap<String, String>) -> Result<String, String> {
        let start = number(query, "start", 0)?;
        let n_results = number(query, "max_results", DEFAULT_RESULTS)?;
        let search = query.get("search_query").map_or("", String::as_str);
        let found: Vec<&String> = self
            .entries
            .iter()
            .filter(|entry| matches(entry, search))
            .collect();
        let mut feed = head(search, found.len(), start, n_results);
        found
            .iter()
            .skip(start)
            .take(n_results)
            .for_each(|entry| feed.push_str(entry));
        feed.push_str("</feed>\n");
        Ok(feed)
    }
}

fn number(query: &BTreeMap<String, String>, name: &str, default: usize) -> Result<usize, String> {
    let Some(text) = query.get(name) else {
        return Ok(default);
    };
    match text.parse::<i64>().map(usize::try_from) {
        Ok(Ok(number)) => Ok(number),
        Ok(Err(_)) => Err(error(&format!("{name} must be >= 0"))),
        Err(_) => Err(error(&format!("{name} must be an integer"))),
    }
}

/// Words of `all:"…"` must occur, and the paper must be of the time of `submittedDate:[… TO …]`; any
/// other query takes every paper, as the site has one subject.
fn matches(entry: &str, search: &str) -> bool {
    let has_words = search.split_once("all:\"").is_none_or(|(_, rest)| {
        let words = rest.split_once('"').map_or(rest, |(words, _)| words);
        entry.to_lowercase().contains(&words.to_lowercase())
    });
    has_words && is_of_time(entry, search).unwrap_or(true)
}

/// `None` when the search names no time, or the entry has none.
fn is_of_time(entry: &str, search: &str) -> Option<bool> {
    let (_, rest) = search.split_once("submittedDate:[")?;
    let (first, last) = rest.split(']').next()?.split_once(" TO ")?;
    let published = entry.split_once("<published>")?.1;
    let published: String = published
        .split("</published>")
        .next()?
        .chars()
        .filter(char::is_ascii_digit)
        .take(12)
        .collect();
    Some(first <= published.as_str() && published.as_str() <= last)
}

const HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" \
    xmlns:arxiv=\"http://arxiv.org/schemas/atom\" xmlns=\"http://www.w3.org/2005/Atom\">\n";
const UPDATED: &str = "2025-11-15T00:00:00Z";

fn head(search: &str, total: usize, start: usize, n_results: usize) -> String {
    let search = escape(search);
    format!(
        "{HEAD}  <id>https://arxiv.org/api/annapurna-sample</id>\n  \
         <title>arXiv Query: search_query={search}&amp;id_list=&amp;start={start}&amp;max_results={n_results}</title>\n  \
         <updated>{UPDATED}</updated>\n  \
         <opensearch:itemsPerPage>{n_results}</opensearch:itemsPerPage>\n  \
         <opensearch:totalResults>{total}</opensearch:totalResults>\n  \
         <opensearch:startIndex>{start}</opensearch:startIndex>\n"
    )
}

fn error(message: &str) -> String {
    let id = format!(
        "https://arxiv.org/api/errors#{}",
        message.replace(' ', "_").replace(">=", "ge")
    );
    let head = head("", 1, 0, 1);
    format!(
        "{head}  <entry>\n    <id>{id}</id>\n    <title>Error</title>\n    <updated>{UPDATED}</updated>\n    \
         <link href=\"{id}\" rel=\"alternate\" type=\"text/html\"/>\n    <summary>{}</summary>\n    \
         <author>\n      <name>arXiv api core</name>\n    </author>\n  </entry>\n</feed>\n",
        escape(message)
    )
}

/// An entry, its elements in the order of 2026.
pub(super) fn entry(place: &OnArxiv, paper: &SamplePaper) -> String {
    let OnArxiv {
        id,
        published,
        primary_category: category,
    } = place;
    let mut authors = String::new();
    for author in &paper.authors {
        let name = escape(author);
        // Writing to a string cannot fail.
        let _ = write!(
            authors,
            "    <author>\n      <name>{name}</name>\n    </author>\n"
        );
    }
    format!(
        "  <entry>\n    <id>http://arxiv.org/abs/{id}v1</id>\n    <title>{title}</title>\n    \
         <updated>{published}</updated>\n    \
         <link href=\"https://arxiv.org/abs/{id}v1\" rel=\"alternate\" type=\"text/html\"/>\n    \
         <link href=\"https://arxiv.org/pdf/{id}v1\" rel=\"related\" type=\"application/pdf\" title=\"pdf\"/>\n    \
         <summary>{summary}</summary>\n    \
         <category term=\"{category}\" scheme=\"http://arxiv.org/schemas/atom\"/>\n    \
         <published>{published}</published>\n    <arxiv:primary_category term=\"{category}\"/>\n{authors}  </entry>\n",
        title = escape(&paper.title),
        summary = escape(&paper.abstract_text),
    )
}

/// `2104.12255` of `2104.12255v1`.
pub(super) fn without_version(id: &str) -> &str {
    match id.rsplit_once('v') {
        Some((bare, version)) if !bare.is_empty() && version.parse::<u32>().is_ok() => bare,
        _ => id,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
