//! Which papers a person's request means.
//!
//! In: titles, names and words as typed. Out: a search body. They enter `match` queries only, which have
//! no syntax, so no text can change what is searched.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Papers of one request at most: more do not fit into a function's time.
pub(crate) const MOST_SELECTED: u32 = 25;

/// Papers whose title matches best.
pub(crate) fn by_title(title: &str, max_papers: u32) -> Value {
    limited(max_papers, json!({"query": {"match": {"title": title}}}))
}

/// Papers by an author: every part of the name must be there.
pub(crate) fn by_author(author: &str, max_papers: u32) -> Value {
    let name = json!({"query": author, "operator": "and"});
    limited(max_papers, json!({"query": {"match": {"authors": name}}}))
}

/// Papers whose title or abstract matches words.
pub(crate) fn by_keywords(words: &str, max_papers: u32) -> Value {
    let words = json!({"query": words, "fields": ["title^2", "abstract"]});
    limited(max_papers, json!({"query": {"multi_match": words}}))
}

/// The newest papers of some days that have no program.
pub(crate) fn recent(max_papers: u32, days: u32, now: DateTime<Utc>) -> Value {
    let since = now - Duration::days(i64::from(days.min(36_500)));
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let query = json!({"bool": {
        "filter": [{"range": {"ingested_at": {"gte": since}}}],
        "must_not": [{"term": {"code_generated": true}}],
    }});
    let newest_first = json!([{"ingested_at": "desc"}]);
    limited(max_papers, json!({"query": query, "sort": newest_first}))
}

fn limited(max_papers: u32, mut body: Value) -> Value {
    body["size"] = max_papers.min(MOST_SELECTED).into();
    body
}
