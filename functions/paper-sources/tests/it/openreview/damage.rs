//! Damage.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::hosts::Hosts;
use annapurna_paper_sources::sources::listed::Edition;
use annapurna_paper_sources::sources::openreview::group_of;
use annapurna_paper_sources::sources::openreview::note::{Entry, Reader};
use annapurna_paper_sources::sources::openreview::page::{self, PageError};
use serde_json::{Value, json};

use super::{ICLR_2023, V1_NOTES, V1_REPLIES, V2_NOTES, edition, fixture, hosts};

#[test]
fn a_page_cut_anywhere_is_damaged_and_nothing_panics() {
    for text in [V2_NOTES, V1_NOTES, V1_REPLIES] {
        let text = text.trim_end();
        for end in 0..text.len() {
            let cut = page::parse(&text.as_bytes()[..end], 0, 1000);
            assert!(matches!(cut, Err(PageError::Json(_))), "cut at {end}");
        }
        assert!(page::parse(text.as_bytes(), 0, 1000).is_ok());
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let hosts = hosts("http://127.0.0.1:9", ICLR_2023);
    let editions = [2013, 2014, 2018, 2023, 2025].map(|year| edition(Source::Iclr, year));
    let mut state = 1_u64;
    for document in [V2_NOTES, V1_NOTES, V1_REPLIES] {
        for _ in 0..2000 {
            let mut bytes = document.as_bytes().to_vec();
            for _ in 0..4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let place = (state >> 33) as usize % bytes.len();
                bytes[place] = (state >> 25) as u8;
            }
            let Ok(page) = page::parse(&bytes, 0, 1000) else {
                continue;
            };
            read_all(&editions, &hosts, &page.notes);
        }
    }
}

/// Every value of every note replaced by every kind of value.
#[test]
fn values_of_any_kind_never_panic() {
    let hosts = hosts("http://127.0.0.1:9", ICLR_2023);
    let editions =
        [2013, 2014, 2018, 2019, 2020, 2023, 2025].map(|year| edition(Source::Iclr, year));
    let kinds = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("\u{1b}[31m\u{0}"),
        json!([]),
        json!([[null]]),
        json!({}),
        json!({"value": {"value": 1}}),
    ];
    for text in [V2_NOTES, V1_NOTES, V1_REPLIES] {
        for note in fixture(text) {
            for pointer in pointers(&note, String::new()) {
                for kind in &kinds {
                    let mut odd = note.clone();
                    *odd.pointer_mut(&pointer).unwrap() = kind.clone();
                    read_all(&editions, &hosts, &[odd]);
                }
            }
        }
    }
}

fn read_all(editions: &[Edition], hosts: &Hosts, notes: &[Value]) {
    for edition in editions.iter().copied() {
        let group = group_of(edition).unwrap();
        let reader = Reader {
            edition,
            group: &group,
            list: &group.lists[0],
            hosts,
        };
        for note in notes {
            if let Entry::Paper(paper) = reader.read(note.clone(), 0) {
                assert!(!paper.title.is_empty() && !paper.source_id.is_empty());
                assert!(
                    paper
                        .pdf_urls
                        .iter()
                        .all(|url| url.host_str() == Some("127.0.0.1"))
                );
            }
        }
    }
}

fn pointers(value: &Value, at: String) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let escape = |name: &String| name.replace('~', "~0").replace('/', "~1");
            fields
                .iter()
                .map(|(name, value)| (format!("{at}/{}", escape(name)), value))
                .collect()
        }
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(index, value)| (format!("{at}/{index}"), value))
            .collect(),
        _ => Vec::new(),
    };
    let mut all = vec![at];
    all.extend(
        below
            .into_iter()
            .flat_map(|(at, value)| pointers(value, at)),
    );
    all
}

#[test]
fn json_that_is_no_page_of_notes_is_refused() {
    let error = |body: &str| page::parse(body.as_bytes(), 0, 1000).unwrap_err();
    assert_eq!(error("[1]"), PageError::Shape("object of notes"));
    assert_eq!(error("{}"), PageError::Shape("array `notes`"));
    assert_eq!(
        error(r#"{"notes": {}, "count": 1}"#),
        PageError::Shape("array `notes`")
    );
    assert_eq!(
        error(r#"{"notes": [], "count": "1"}"#),
        PageError::Shape("number `count`")
    );
    assert_eq!(
        error(r#"{"notes": [], "count": 9000000000}"#),
        PageError::TooMany(9_000_000_000)
    );
    let excess = error(r#"{"notes": [1, 2], "count": 1}"#);
    assert_eq!(
        excess,
        PageError::WrongLength {
            expected: 1,
            found: 2,
            offset: 0,
            count: 1
        }
    );
    let deep = "[".repeat(100_000);
    assert!(matches!(error(&deep), PageError::Json(_)));
}
