//! A paper's own page: that it is the paper's, and that its text is what its sender wrote.

use serde_json::json;

use super::fallback::{BOOK, hash, html, with_proceedings};
use super::{Answer, Site};
use crate::support::{MemoryStore, run, scraper};

const TITLES: [&str; 3] = ["Thimbles", "Needles", "Pins"];

fn page_of(number: usize) -> String {
    format!("{BOOK}/hash/{}-Abstract.html", hash(number))
}

#[tokio::test]
async fn another_papers_page_gives_neither_abstract_nor_authors() {
    let site = with_proceedings(Site::default(), &TITLES);
    let of_thimbles = "<h1 class='paper-title'>Thimbles</h1><p class='paper-authors'>Zoe Nine</p>\
        <p class='paper-abstract'>The text of Thimbles.</section>";
    for number in 0..3 {
        site.put(&page_of(number), html(of_thimbles));
    }
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2022});
    let summary = run(&scraper(&address, "MLSYS", &store), event)
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored, summary.queued), (3, 3, 3));
    assert_eq!(summary.n_failed(), 2, "{summary:?}");
    for failed in &summary.failed {
        let is_named = failed.error.contains("is another paper's, `Thimbles`");
        assert!(is_named, "{failed:?}");
    }
    for message in store.messages() {
        let own = (message.title == "Thimbles").then_some("The text of Thimbles.");
        assert_eq!(message.abstract_text.as_deref(), own, "{}", message.title);
        assert_eq!(message.authors, ["Ada One"], "{}", message.title);
    }
    let kept = store.keys();
    let n_pages = kept
        .iter()
        .filter(|key| key.starts_with("_details/"))
        .count();
    assert_eq!(n_pages, 1, "another paper's page is not kept: {kept:?}");
}

#[tokio::test]
async fn a_page_in_another_encoding_is_decoded_and_one_that_is_not_text_is_a_problem() {
    let site = with_proceedings(Site::default(), &TITLES);
    let page = |title: &str, text: &[u8]| {
        let start =
            format!("<html><body><h1 class='paper-title'>{title}</h1><p class='paper-abstract'>");
        [start.as_bytes(), text, b"</section></body></html>"].concat()
    };
    let latin = "text/html; charset=windows-1252";
    site.put(
        &page_of(0),
        Answer::Bytes(latin, page("Thimbles", b"The thimble of G\xf6del.")),
    );
    let japanese = "text/html; charset=shift_jis";
    site.put(
        &page_of(1),
        Answer::Bytes(japanese, page("Needles", b"\x90j")),
    );
    // Says UTF-8 and is Latin-1.
    site.put(
        &page_of(2),
        Answer::Bytes("text/html; charset=utf-8", page("Pins", b"G\xf6del's pin.")),
    );
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2022});
    let summary = run(&scraper(&address, "MLSYS", &store), event)
        .await
        .unwrap();
    assert_eq!(
        (summary.found, summary.queued, summary.n_failed()),
        (3, 3, 1)
    );
    let error = &summary.failed[0].error;
    assert!(error.contains("it is not text in UTF-8"), "{error}");
    for message in store.messages() {
        let expected = match message.title.as_str() {
            "Thimbles" => Some("The thimble of Gödel."),
            "Needles" => Some("針"),
            _ => None,
        };
        assert_eq!(
            message.abstract_text.as_deref(),
            expected,
            "{}",
            message.title
        );
    }
}

#[tokio::test]
async fn a_list_that_is_not_text_in_its_encoding_leaves_the_year_to_the_next() {
    let site = with_proceedings(Site::default(), &TITLES);
    let list = b"<html><body><a href='/virtual/2022/poster/7'>G\xf6del</a></body></html>";
    let kind = "text/html; charset=utf-8";
    site.put(
        "/virtual/2022/papers.html",
        Answer::Bytes(kind, list.to_vec()),
    );
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2022});
    let summary = run(&scraper(&site.serve().await, "MLSYS", &store), event)
        .await
        .unwrap();
    assert_eq!((summary.found, summary.n_failed()), (3, 1));
    assert_eq!(summary.failed[0].paper, "list of virtual site's pages");
}
