//! Blocks, errors, and lists that are not there.

use annapurna_contract::Source;
use annapurna_paper_sources::http::HttpError;
use annapurna_paper_sources::sources::listed::ListError;
use serde_json::json;

use super::{Answer, ICLR_2025, Site, edition, note, notes};

#[tokio::test]
async fn the_wrong_hosts_empty_list_is_absent() {
    let site = Site::new([("v1", "ICLR.cc/2025/Conference", notes(3))]);
    let error = site.error(ICLR_2025).await;
    assert!(
        matches!(error, ListError::Absent { ref url } if url.contains("/v2/notes?")),
        "{error}"
    );
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn a_year_that_openreview_does_not_have_is_absent_without_asking() {
    let site = Site::new([]);
    for (source, year) in [
        (Source::Iclr, 2015),
        (Source::Icml, 2022),
        (Source::Neurips, 2020),
    ] {
        let error = site.error(edition(source, year)).await;
        assert!(matches!(error, ListError::Absent { .. }), "{error}");
    }
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn a_browser_check_is_a_block_with_its_evidence() {
    let page = "<!DOCTYPE html>\n<html><head><title>Verifying your browser | OpenReview</title>";
    for status in [200, 403] {
        let site = Site::new([]).twisted(move |_, _| Answer::html(status, page));
        let error = site.error(ICLR_2025).await;
        let ListError::Http(HttpError::Blocked { evidence, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(evidence.status, status);
        assert!(evidence.content_type.starts_with("text/html"));
        assert!(
            evidence.excerpt.contains("Verifying your browser"),
            "{evidence}"
        );
    }
}

#[tokio::test]
async fn too_many_requests_is_a_block_that_can_pass() {
    let words =
        "Too many requests: You have made 102 requests, surpassing the limit of 98 requests.";
    let block = move || {
        let mut answer = Answer::json(429, &json!({"name": "RateLimitError", "message": words}));
        let headers = [
            ("ratelimit-policy", "500;w=3600"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "0"),
        ];
        answer
            .headers
            .extend(headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        answer
    };
    let passing = Site::of_iclr_2025(notes(2))
        .twisted(move |n, answer| if n == 1 { block() } else { answer });
    assert_eq!(passing.papers(ICLR_2025).await.len(), 2);
    let lasting = Site::of_iclr_2025(notes(2)).twisted(move |_, _| block());
    let error = lasting.error(ICLR_2025).await;
    assert!(
        matches!(error, ListError::Http(HttpError::Blocked { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("You have made 102 requests"),
        "{error}"
    );
}

#[tokio::test]
async fn openreviews_errors_are_errors_in_its_words_and_escaped() {
    let error = |status, name: &'static str| {
        let body = json!({"name": name, "message": "no \u{1b}[2J such thing", "status": status});
        Site::of_iclr_2025(notes(2)).twisted(move |_, _| Answer::json(status, &body))
    };
    let refused = error(400, "ValidationError").error(ICLR_2025).await;
    assert!(
        matches!(refused, ListError::Http(HttpError::Refused { .. })),
        "{refused}"
    );
    let missing = error(404, "NotFoundError").error(ICLR_2025).await;
    assert!(
        matches!(missing, ListError::Http(HttpError::Missing { .. })),
        "{missing}"
    );
    let unusable = error(200, "ForbiddenError").error(ICLR_2025).await;
    assert!(
        unusable
            .to_string()
            .contains("OpenReview answers `ForbiddenError: no "),
        "{unusable}"
    );
    for error in [refused, missing, unusable] {
        let text = error.to_string();
        assert!(
            text.contains("such thing") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
    let elsewhere = Site::new([]).twisted(|_, _| Answer::html(404, "<html>Not Found"));
    let elsewhere = elsewhere.error(ICLR_2025).await;
    assert!(matches!(elsewhere, ListError::Absent { .. }), "{elsewhere}");
}

#[tokio::test]
async fn notes_of_which_none_is_accepted_are_not_an_empty_conference() {
    let rejected = (1..=4).map(|number| {
        let mut note = note(number);
        note["content"]["venueid"]["value"] = json!("ICLR.cc/2025/Conference/Rejected_Submission");
        note
    });
    let error = Site::of_iclr_2025(rejected.collect())
        .error(ICLR_2025)
        .await;
    assert!(
        error
            .to_string()
            .ends_with("has 4 notes and marks none as accepted"),
        "{error}"
    );
}
