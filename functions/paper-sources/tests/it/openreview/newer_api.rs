//! The newer API.

use std::collections::BTreeSet;

use annapurna_contract::Source;
use annapurna_paper_sources::sources::listed::{ListError, Listed};
use serde_json::json;

use super::{ICLR_2025, Site, V2_NOTES, edition, fixture, ids, note, notes, pdfs};

async fn v2_fixture() -> Listed {
    Site::of_iclr_2025(fixture(V2_NOTES))
        .list(ICLR_2025)
        .await
        .unwrap()
}

#[tokio::test]
async fn only_a_bare_venueid_is_accepted_whatever_its_case() {
    let listed = v2_fixture().await;
    assert_eq!(
        ids(&listed.papers),
        ["aaaaAAAA01", "ccccCCCC03", "ddddDDDD04", "hhhhHHHH08"]
    );
}

#[tokio::test]
async fn wrapped_values_are_unwrapped_and_cleaned() {
    let listed = v2_fixture().await;
    let paper = &listed.papers[0];
    assert_eq!(paper.title, "Sketches of Nothing in $W<d$ & More");
    assert_eq!(
        paper.authors,
        ["Ada Nowhere", "Research and Nonsense Group"]
    );
    assert_eq!(
        paper.abstract_text.as_deref(),
        Some("An abstract that is wrapped.")
    );
    assert_eq!(paper.keywords, ["sketches", "nothing"]);
    assert!(paper.topics.is_empty() && paper.details_url.is_none());
    assert_eq!(paper.forum.as_deref(), Some("aaaaAAAA01"));
    assert!(
        paper
            .url
            .as_deref()
            .unwrap()
            .ends_with("/forum?id=aaaaAAAA01")
    );
    assert_eq!(paper.record, fixture(V2_NOTES)[0]);
    assert_eq!(listed.papers[1].title, "0");
    assert_eq!(listed.papers[1].keywords, ["one", "two", "three"]);
    assert_eq!(
        listed.papers[3].authors,
        ["Ünal Ž. de la Cruz", "深度 学习"]
    );
}

#[tokio::test]
async fn hidden_absent_and_anonymous_authors_are_none() {
    let listed = v2_fixture().await;
    assert!(listed.papers[1].authors.is_empty(), "hidden");
    assert!(listed.papers[2].authors.is_empty(), "anonymous");
    let absent = Site::of_iclr_2025(notes(1)).papers(ICLR_2025).await;
    assert!(absent[0].authors.is_empty() && absent[0].abstract_text.is_none());
}

#[tokio::test]
async fn the_date_is_the_first_of_three_that_is_there() {
    let listed = v2_fixture().await;
    let dates: Vec<Option<&str>> = listed
        .papers
        .iter()
        .map(|paper| paper.date.as_deref())
        .collect();
    // The third has none; the fourth counts in another unit.
    assert_eq!(dates, [Some("2025-01-22"), Some("2024-09-22"), None, None]);
}

#[tokio::test]
async fn a_pdf_is_taken_by_its_hash_or_by_its_forum_and_never_from_elsewhere() {
    let listed = v2_fixture().await;
    let hashed = format!("/pdf/{}.pdf", "a".repeat(40));
    assert_eq!(
        pdfs(&listed.papers[0]),
        [hashed.as_str(), "/pdf?id=aaaaAAAA01"]
    );
    assert_eq!(
        pdfs(&listed.papers[1]),
        ["/pdf?id=ccccCCCC03"],
        "another host"
    );
    assert!(pdfs(&listed.papers[2]).is_empty(), "no file");
    assert_eq!(
        pdfs(&listed.papers[3]),
        ["/pdf?id=hhhhHHHH08"],
        "a path with `..`"
    );
    let all = listed.papers.iter().flat_map(|paper| &paper.pdf_urls);
    assert!(
        all.into_iter()
            .all(|url| url.host_str() == Some("127.0.0.1"))
    );
}

#[tokio::test]
async fn notes_that_cannot_be_read_are_reported_by_their_ids() {
    let listed = v2_fixture().await;
    let broken: Vec<String> = listed
        .broken
        .iter()
        .map(|it| format!("{}: {}", it.entry, it.reason))
        .collect();
    assert_eq!(
        broken,
        [
            "note eeeeEEEE05: it has no title",
            "note ffffFFFF06: it has no forum id",
            "note ggggGGGG07: it has no venueid"
        ]
    );
}

#[tokio::test]
async fn a_note_without_a_number_comes_after_those_with_one() {
    let listed = v2_fixture().await;
    let places: Vec<u64> = listed.papers.iter().map(|paper| paper.place).collect();
    assert_eq!(places[..3], [2, 4, 5]);
    assert!(places[3] > 5);
    // Nor do two notes with one number, or an absurd one, share a place.
    let odd = [1, 1, u64::MAX]
        .into_iter()
        .enumerate()
        .map(|(index, number)| {
            let mut note = note(index + 1);
            note["number"] = json!(number);
            note
        });
    let papers = Site::of_iclr_2025(odd.collect()).papers(ICLR_2025).await;
    let places: BTreeSet<u64> = papers.iter().map(|paper| paper.place).collect();
    assert_eq!((papers.len(), places.len()), (3, 3));
}

#[tokio::test]
async fn the_tracks_of_a_year_are_one_list_and_no_place_is_taken_twice() {
    let of = |venue: &str, number| {
        let mut note = note(number);
        note["content"]["venueid"]["value"] = json!(venue);
        note["id"] = json!(format!("{number}of{}", venue.len()));
        note["forum"] = note["id"].clone();
        note["content"]["title"]["value"] = json!(format!("Paper {number} of {venue}"));
        note
    };
    let venues = [
        "NeurIPS.cc/2025/Conference",
        "NeurIPS.cc/2025/Datasets_and_Benchmarks_Track",
        "NeurIPS.cc/2025/Position_Paper_Track",
    ];
    let lists = venues.map(|venue| ("v2", venue, vec![of(venue, 7), of(venue, 8)]));
    let papers = Site::new(lists.clone())
        .papers(edition(Source::Neurips, 2025))
        .await;
    assert_eq!(papers.len(), 6);
    assert!(papers.windows(2).all(|pair| pair[0].place < pair[1].place));
    // A track that is empty is none; a year without its main track is not there yet.
    let main = Site::new(lists[..1].to_vec());
    assert_eq!(main.papers(edition(Source::Neurips, 2025)).await.len(), 2);
    let tracks = Site::new(lists[1..].to_vec());
    let error = tracks.error(edition(Source::Neurips, 2025)).await;
    assert!(matches!(error, ListError::Absent { .. }), "{error}");
}

#[tokio::test]
async fn one_title_with_one_file_is_one_paper_and_one_file_alone_is_not() {
    let mut all = notes(4);
    all[2]["content"] = all[0]["content"].clone();
    all[2]["content"]["title"]["value"] = json!("synthetic  paper 1");
    all[3]["content"]["pdf"] = all[1]["content"]["pdf"].clone();
    let papers = Site::of_iclr_2025(all).papers(ICLR_2025).await;
    assert_eq!(ids(&papers), ["note000001", "note000002", "note000004"]);
}

// The older API.
