//! A page of notes, as OpenReview answers it.
//!
//! In: the body, and what was asked for. Out: the list's count and this page's notes, or why the body
//! is no such page. A page that holds another number of notes than it must is refused here, so that it
//! is asked for again and is never taken for the end of the list.

use annapurna_contract::text::excerpt;
use serde_json::{Map, Value};

/// A page of notes.
#[derive(Debug, Clone, PartialEq)]
pub struct NotesPage {
    /// Notes of the whole list.
    pub count: u64,
    /// The notes of this page.
    pub notes: Vec<Value>,
}

/// Why a body is not the page asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PageError {
    /// Not JSON, or cut short.
    #[error("the JSON is damaged: {0}")]
    Json(String),
    /// An error in place of notes.
    #[error("OpenReview answers `{0}`")]
    Error(String),
    /// JSON of another shape.
    #[error("the JSON has no {0}")]
    Shape(&'static str),
    /// No conference has so many.
    #[error("the list says that it has {0} notes, at most {MOST_NOTES} are believed")]
    TooMany(u64),
    /// Notes are missing, or too many.
    #[error(
        "the page holds {found} notes and must hold {expected}: it begins at {offset} of {count}"
    )]
    WrongLength {
        /// Notes it must hold.
        expected: u64,
        /// Notes it holds.
        found: u64,
        /// Where it begins.
        offset: u64,
        /// Notes of the whole list, as it says.
        count: u64,
    },
}

/// Above this a count is a fault; the largest conference has some 30,000 submissions.
const MOST_NOTES: u64 = 200_000;

/// Reads the page of at most `limit` notes that begins at `offset`.
///
/// # Errors
///
/// See [`PageError`].
pub fn parse(body: &[u8], offset: u64, limit: u64) -> Result<NotesPage, PageError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let json = serde_json::from_slice(body).map_err(|error| PageError::Json(error.to_string()))?;
    let Value::Object(mut fields) = json else {
        return Err(PageError::Shape("object of notes"));
    };
    let Some(Value::Array(notes)) = fields.remove("notes") else {
        return Err(error_of(&fields));
    };
    let count = fields.get("count").and_then(Value::as_u64);
    let count = count.ok_or(PageError::Shape("number `count`"))?;
    if count > MOST_NOTES {
        return Err(PageError::TooMany(count));
    }
    let expected = count.saturating_sub(offset).min(limit);
    let found = notes.len() as u64;
    if found != expected {
        return Err(PageError::WrongLength {
            expected,
            found,
            offset,
            count,
        });
    }
    Ok(NotesPage { count, notes })
}

/// OpenReview's own words: `ValidationError: limit must be <= 1000`.
fn error_of(fields: &Map<String, Value>) -> PageError {
    let word = |name| fields.get(name).and_then(Value::as_str);
    let Some(message) = word("message") else {
        return PageError::Shape("array `notes`");
    };
    let words = match word("name") {
        Some(name) => format!("{name}: {message}"),
        None => message.to_owned(),
    };
    PageError::Error(excerpt(words.as_bytes(), 300))
}
