//! Which papers a person's request means.
//!
//! In: titles, names and words as typed. Out: a search body. They enter `match` queries only, which have
//! no syntax, so no text can change what is searched.

use annapurna_contract::text::one_line;
use annapurna_runtime::{Search, SearchError};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Papers of one request at most: more do not fit into a function's time.
pub(crate) const MOST_SELECTED: u32 = 25;
/// Papers that a person is told of whose words match none.
const TOLD: u32 = 3;

/// A search, and what it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    pub(crate) query: Value,
    /// What a person typed; without it no paper is as good an answer as any.
    pub(crate) asked: Option<Asked>,
}

/// What a person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What a paper must have of the words: `a word of the title`.
    has: &'static str,
    words: String,
}

/// No paper of the index is one that a person asked for.
#[derive(Debug, thiserror::Error)]
#[error("no paper of the index has {asked}: {}", self.in_words())]
pub struct NoMatch {
    /// `a word of the title` and what was typed.
    asked: String,
    /// Whether the titles are like what was asked for.
    are_near: bool,
    /// Titles that there are; where none is near, the newest.
    titles: Vec<String>,
}

impl NoMatch {
    fn in_words(&self) -> String {
        let titles = self.titles.iter().map(|title| format!("`{title}`"));
        match (titles.collect::<Vec<_>>().join(", "), self.are_near) {
            (none, _) if none.is_empty() => "it has none yet".to_owned(),
            (near, true) => format!("the nearest titles are {near}"),
            (newest, false) => format!("none is like it, and the newest papers are {newest}"),
        }
    }
}

/// What there is, for a person whose words match nothing.
///
/// # Errors
///
/// [`SearchError`]: the index did not answer.
pub(crate) async fn no_match(search: &Search, asked: &Asked) -> Result<NoMatch, SearchError> {
    let mut found = search.search(&like(&asked.words)).await?;
    let are_near = !found.is_empty();
    if !are_near {
        found = search.search(&newest()).await?;
    }
    let titles = found.into_iter().filter_map(|(_, it)| it.judged.title);
    Ok(NoMatch {
        asked: format!("{} `{}`", asked.has, one_line(&asked.words, 100)),
        are_near,
        titles: titles.map(|title| one_line(&title, 100)).collect(),
    })
}

/// Papers whose title has the words: all of up to three, four of five beyond, those in the same order first.
pub(crate) fn by_title(title: &str, max_papers: u32) -> Selection {
    let words = json!({"query": title, "minimum_should_match": "3<80%"});
    let query = json!({"query": {"bool": {
        "must": [{"match": {"title": words}}],
        "should": [{"match_phrase": {"title": {"query": title, "boost": 10}}}],
    }}});
    asked(max_papers, query, "the words of the title", title)
}

/// Papers by an author: every part of the name must be there.
pub(crate) fn by_author(author: &str, max_papers: u32) -> Selection {
    let name = json!({"query": author, "operator": "and"});
    let query = json!({"query": {"match": {"authors": name}}});
    asked(max_papers, query, "the author", author)
}

/// Papers whose title or abstract matches words.
pub(crate) fn by_keywords(words: &str, max_papers: u32) -> Selection {
    let fields = json!({"query": words, "fields": ["title^2", "abstract"]});
    let query = json!({"query": {"multi_match": fields}});
    asked(max_papers, query, "a word of", words)
}

/// The newest papers of some days that have no program.
pub(crate) fn recent(max_papers: u32, days: u32, now: DateTime<Utc>) -> Selection {
    let query = json!({"bool": {
        "filter": [since(days, now)],
        "must_not": [{"term": {"code_generated": true}}],
    }});
    let query = json!({"query": query, "sort": newest_first()});
    Selection {
        query: limited(max_papers, query),
        asked: None,
    }
}

/// Papers whose title or authors have a word like one of these, a letter or two apart.
fn like(words: &str) -> Value {
    let fields = json!({"query": words, "fields": ["title^2", "authors"], "fuzziness": "AUTO"});
    limited(TOLD, json!({"query": {"multi_match": fields}}))
}

/// The papers that came last.
fn newest() -> Value {
    limited(
        TOLD,
        json!({"query": {"match_all": {}}, "sort": newest_first()}),
    )
}

fn newest_first() -> Value {
    json!([{"ingested_at": "desc"}])
}

/// The same, only of papers that came in the last so many days.
pub(crate) fn within(mut selection: Selection, days: Option<u32>, now: DateTime<Utc>) -> Selection {
    if let Some(days) = days {
        let query = selection.query["query"].take();
        selection.query["query"] = json!({"bool": {"must": [query], "filter": [since(days, now)]}});
    }
    selection
}

fn since(days: u32, now: DateTime<Utc>) -> Value {
    let since = now - Duration::days(i64::from(days.min(36_500)));
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({"range": {"ingested_at": {"gte": since}}})
}

fn asked(max_papers: u32, query: Value, has: &'static str, words: &str) -> Selection {
    let words = words.to_owned();
    Selection {
        query: limited(max_papers, query),
        asked: Some(Asked { has, words }),
    }
}

fn limited(max_papers: u32, mut body: Value) -> Value {
    body["size"] = max_papers.min(MOST_SELECTED).into();
    body
}
