//! The document's fields, made from the verdict and the last message of the paper.

use annapurna_contract::{
    Judged, ResearchMessage, Verdict, normalize_title, paper_id::sha_abstract, text::one_line,
};
use chrono::DateTime;
use tracing::warn;

/// What the index knows of the paper whatever the verdict.
pub(crate) fn described(message: &ResearchMessage) -> Judged {
    let abstract_text = message.abstract_text.clone();
    Judged {
        title: Some(message.title.clone()),
        title_normalized: Some(normalize_title(&message.title)),
        authors: (!message.authors.is_empty()).then(|| message.authors.clone()),
        sha_abstract: abstract_text.as_deref().map(sha_abstract),
        abstract_text,
        date: message.date.clone().filter(|date| is_date(date)),
        s3_bucket: Some(message.s3_bucket.clone()),
        s3_key: message.s3_key.clone(),
        ..Judged::default()
    }
}

/// The fields of an accepted paper. A field that is absent leaves the document's as it is, so no message
/// takes away what an earlier one said, least of all the PDF.
pub(crate) fn document(verdict: &Verdict, message: &ResearchMessage) -> Judged {
    let record = verdict.record.clone();
    if is_outdated(verdict, message) {
        let pdf = pdf_of(message);
        return Judged {
            s3_key: pdf.s3_key.or(record.s3_key),
            text_expected: pdf.text_expected,
            ..record
        };
    }
    let said = described(message);
    Judged {
        title: said.title,
        title_normalized: said.title_normalized,
        authors: said.authors.or(record.authors),
        // Both or neither.
        sha_abstract: said.sha_abstract.or(record.sha_abstract),
        abstract_text: said.abstract_text.or(record.abstract_text),
        date: said.date.or(record.date),
        s3_bucket: said.s3_bucket,
        s3_key: said.s3_key.or(record.s3_key),
        text_expected: Some(expects_text(message)),
        ..record
    }
}

/// What a message tells of the paper's PDF, which is the same for every revision.
pub(crate) fn pdf_of(message: &ResearchMessage) -> Judged {
    let is_there = message.s3_key.is_some();
    Judged {
        s3_key: message.s3_key.clone(),
        text_expected: is_there.then_some(false),
        ..Judged::default()
    }
}

/// Whether a later revision than the message's was judged: what it says is no longer so.
pub(crate) fn is_outdated(verdict: &Verdict, message: &ResearchMessage) -> bool {
    message.revision < verdict.revision
}

/// Whether the text is to come with a later message.
pub(crate) fn expects_text(message: &ResearchMessage) -> bool {
    message.text_expected && message.s3_key.is_none()
}

/// Whether the index takes a date. Another one would make the whole document refused.
fn is_date(date: &str) -> bool {
    let is_day = chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok() && date.len() == 10;
    let usable = is_day || DateTime::parse_from_rfc3339(date).is_ok();
    if !usable {
        warn!(
            date = one_line(date, 80),
            "publication date left out: not a date"
        );
    }
    usable
}
