//! S3's notification that a result was written.
//!
//! Only the key is read; the bucket is the configured one. Keys in notifications are URL-encoded.
//! Source: S3 user guide, "Event message structure".

use annapurna_contract::{PaperId, keys};
use serde::Deserialize;
use url::form_urlencoded;

/// The event, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Notification {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    s3: Entity,
}

#[derive(Debug, Deserialize)]
struct Entity {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
}

impl Notification {
    /// The papers whose results were written, and the keys that are no result's.
    pub(crate) fn papers(&self) -> (Vec<PaperId>, Vec<String>) {
        let mut papers = Vec::new();
        let mut others = Vec::new();
        for record in &self.records {
            let key = decoded(&record.s3.object.key);
            match keys::paper_of_result(&key) {
                Some(paper) if !papers.contains(&paper) => papers.push(paper),
                Some(_) => {}
                None => others.push(key),
            }
        }
        (papers, others)
    }
}

fn decoded(key: &str) -> String {
    let mut pairs = form_urlencoded::parse(key.as_bytes());
    // Nothing is decoded of an empty key alone.
    pairs
        .next()
        .map_or_else(|| key.to_owned(), |(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_notification_names_its_paper() {
        let event = include_str!("../tests/events/result-written.json");
        let notification: Notification = serde_json::from_str(event).unwrap();
        let (papers, others) = notification.papers();
        assert_eq!(papers, [PaperId::of("Adam", None)]);
        assert_eq!(others, ["some folder/a+b.json"]);
    }
}
