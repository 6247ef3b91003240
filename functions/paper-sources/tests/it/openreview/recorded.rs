//! The recorded answers.

use annapurna_contract::Source;
use annapurna_paper_sources::http::HttpError;
use annapurna_paper_sources::sources::listed::ListError;
use annapurna_paper_sources::sources::openreview::page;
use annapurna_test_data::outside;
use serde_json::json;

use super::older_api::v1_list;
use super::{Answer, ICLR_2025, Site, edition, ids, pdfs};

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_page_of_iclr_2025_is_read_and_its_rest_is_missed() {
    let bytes = outside("openreview/v2_iclr2025_notes_3_of_3703.json");
    let body = Answer::recorded(&bytes).body;
    let page = page::parse(body.as_bytes(), 0, 3).unwrap();
    assert_eq!((page.count, page.notes.len()), (3703, 3));
    let error = Site::replaying(&bytes).error(ICLR_2025).await;
    let problem = "the page holds 3 notes and must hold 1000: it begins at 0 of 3703";
    assert!(error.to_string().contains(problem), "{error}");
    let papers = Site::of_iclr_2025(page.notes).papers(ICLR_2025).await;
    assert_eq!(ids(&papers), ["P42DbV2nuV", "Q6a9W6kzv5", "JZLon6cvx8"]);
    let n_authors: Vec<usize> = papers.iter().map(|paper| paper.authors.len()).collect();
    let n_keywords: Vec<usize> = papers.iter().map(|paper| paper.keywords.len()).collect();
    assert_eq!((n_authors, n_keywords), (vec![5, 6, 4], vec![6, 2, 3]));
    assert!(
        papers
            .iter()
            .all(|paper| paper.abstract_text.is_some() && paper.date.is_none())
    );
    assert_eq!(
        pdfs(&papers[0])[0],
        "/pdf/8fddee1917f5289fe7908965f534e27f36e3f4db.pdf"
    );
    assert_eq!(papers[2].place, 4);
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_page_of_iclr_2021_is_one_of_2594_and_not_accepted() {
    let bytes = outside("openreview/v1_iclr2021_blind_listing_1_of_2594.json");
    let page = page::parse(Answer::recorded(&bytes).body.as_bytes(), 0, 1).unwrap();
    assert_eq!((page.count, page.notes.len()), (2594, 1));
    let iclr_2021 = edition(Source::Iclr, 2021);
    let error = Site::replaying(&bytes).error(iclr_2021).await;
    assert!(
        error
            .to_string()
            .contains("holds 1 notes and must hold 1000"),
        "{error}"
    );
    // That paper was rejected: it has no venue. With one it is read.
    let mut accepted = page.notes[0].clone();
    accepted["id"] = json!("another0001");
    accepted["forum"] = json!("another0001");
    accepted["content"]["venue"] = json!("ICLR 2021 Poster");
    let notes = vec![page.notes[0].clone(), accepted];
    let papers = Site::new([("v1", v1_list(2021).as_str(), notes)])
        .papers(iclr_2021)
        .await;
    assert_eq!(ids(&papers), ["another0001"]);
    assert_eq!(
        (papers[0].authors.len(), papers[0].date.as_deref()),
        (5, Some("2020-10-03"))
    );
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_count_of_iclr_2024_is_2260() {
    let bytes = outside("openreview/v2_iclr2024_count_offset0_select_id.json");
    let page = page::parse(Answer::recorded(&bytes).body.as_bytes(), 0, 1).unwrap();
    assert_eq!((page.count, page.notes.len()), (2260, 1));
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_browser_check_is_a_block() {
    let bytes = outside("openreview/v2_anonymous_challenge_200_html.json");
    let error = Site::replaying(&bytes)
        .error(edition(Source::Iclr, 2024))
        .await;
    assert!(
        matches!(error, ListError::Http(HttpError::Blocked { .. })),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("status 200") && text.contains("Verifying your browser"),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_errors_are_errors_in_openreviews_words() {
    for (file, words) in [
        (
            "v2_error_400_limit_over_1000",
            "limit must be <= 1000 (2026-09-27-8520693)",
        ),
        (
            "v2_error_404_note_not_found",
            "The Note g1SzIRLQXMM was not found",
        ),
    ] {
        let bytes = outside(&format!("openreview/{file}.json"));
        let site = Site::replaying(&bytes);
        let error = site.error(edition(Source::Iclr, 2024)).await;
        assert!(matches!(error, ListError::Http(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(
            site.asked().len(),
            1,
            "{file}: asking again changes nothing"
        );
    }
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_notes_of_a_workshop_are_read() {
    let bytes = outside("openreview/v1_real_notes_nips2018_workshop_submissions.json");
    let page = page::parse(&bytes, 0, 1000).unwrap();
    assert_eq!((page.count, page.notes.len()), (2, 2));
    // Any list of the older API that marks nothing shows how such notes are read.
    let site = Site::new([("v1", v1_list(2014).as_str(), page.notes)]);
    let papers = site.papers(edition(Source::Iclr, 2014)).await;
    assert_eq!(papers[0].title, "Targeted Dropout");
    assert_eq!(papers[1].title, "Rethinking the Value of Network Pruning");
    assert_eq!((papers[0].place, papers[1].place), (36, 49));
    assert_eq!((papers[0].authors.len(), papers[1].keywords.len()), (5, 4));
    assert_eq!(papers[0].date.as_deref(), Some("2018-10-20"));
}
