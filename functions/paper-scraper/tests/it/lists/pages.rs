//! Lists that are pages, and papers that have a page of their own.

use serde_json::json;

use super::{Answer, Site};
use crate::support::{MemoryStore, run, scraper};

const HASH: &str = "a0000000000000000000000000000001";

/// Proceedings of 2010, where each paper's abstract is on a page of its own.
fn proceedings() -> Site {
    let list = format!(
        "<html><body><ul><li class='none'><a title='paper title' href='/paper_files/paper/2010/hash/{HASH}-Abstract.html'>Thimbles</a> <i>Ada One</i></li></ul></body></html>"
    );
    let paper = "<html><head><meta name='citation_title' content='Thimbles'><meta name='citation_author' content='Ada One'></head>\
        <body><h1 class='paper-title'>Thimbles</h1><p class='paper-abstract'>We train when $W<d$.</section></body></html>";
    Site::default()
        .with("/paper_files/paper/2010", Answer::Page(list))
        .with(
            &format!("/paper_files/paper/2010/hash/{HASH}-Abstract.html"),
            Answer::Page(paper.to_owned()),
        )
        .with(
            &format!("/paper_files/paper/2010/file/{HASH}-Paper.pdf"),
            Answer::Pdf,
        )
}

#[tokio::test]
async fn a_papers_own_page_is_read_once_and_a_second_run_asks_for_the_list_alone() {
    let site = proceedings();
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2010});
    let first = run(&scraper(&address, "NEURIPS", &store), event.clone())
        .await
        .unwrap();
    assert_eq!((first.found, first.stored, first.queued), (1, 1, 1));
    let message = &store.messages()[0];
    assert_eq!(
        message.abstract_text.as_deref(),
        Some("We train when $W<d$.")
    );
    let n_writes = store.n_writes();
    let second = run(&scraper(&address, "NEURIPS", &store), event)
        .await
        .unwrap();
    assert_eq!((second.already, second.stored, second.queued), (1, 0, 0));
    assert_eq!(store.n_writes(), n_writes);
    let pages = format!("/paper_files/paper/2010/hash/{HASH}");
    assert_eq!(
        (
            site.n_asked(&pages),
            site.n_asked("/paper_files/paper/2010/file")
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_paper_whose_page_is_closed_waits_for_it() {
    let page = format!("/paper_files/paper/2010/hash/{HASH}-Abstract.html");
    let site = proceedings();
    let open = site.answers.lock().unwrap()[&page].clone();
    site.put(&page, Answer::Challenge);
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2010});
    let first = run(&scraper(&address, "NEURIPS", &store), event.clone())
        .await
        .unwrap();
    assert_eq!((first.found, first.stored, first.n_failed()), (1, 0, 1));
    assert_eq!(first.metadata_only, 1, "what the list said is kept");
    let kept = store.keys();
    assert!(
        kept.len() == 1 && kept[0].starts_with("_details/neurips/2010/"),
        "{kept:?}"
    );
    assert!(
        first.failed[0].error.contains("Verifying your browser"),
        "{}",
        first.failed[0].error
    );
    assert!(
        store.messages().is_empty(),
        "without its abstract it would be another paper"
    );
    site.put(&page, open);
    let later = run(&scraper(&address, "NEURIPS", &store), event)
        .await
        .unwrap();
    assert_eq!((later.found, later.stored), (1, 1));
}

#[tokio::test]
async fn a_page_of_all_papers_that_cannot_be_read_leaves_the_proceedings() {
    let paper = format!("/paper_files/paper/2022/hash/{HASH}-Abstract.html");
    let list = format!(
        "<html><body><ul><li><a title='paper title' href='{paper}'>Thimbles</a> <i>Ada One</i></li></ul></body></html>"
    );
    let site = Site::default()
        .with(
            "/virtual/2022/papers.html",
            Answer::Page("<html><body>Soon.</body></html>".to_owned()),
        )
        .with("/paper_files/paper/2022", Answer::Page(list))
        .with(
            &format!("/paper_files/paper/2022/file/{HASH}-Paper.pdf"),
            Answer::Pdf,
        );
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2022});
    let summary = run(&scraper(&site.serve().await, "MLSYS", &store), event)
        .await
        .unwrap();
    assert_eq!(
        (summary.found, summary.stored, summary.n_failed()),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn the_page_of_all_papers_serves_where_there_is_no_feed() {
    let event = "<html><body><h1 class='event-title'>Thimbles</h1><div class='event-organizers'>Ada One ⋅ Bo Two</div>\
        <a class='href_URL' href='https://openreview.net/forum?id=ThimblesForum' title='OpenReview'>OpenReview</a>\
        <div class='abstract-text-inner'><p>On thimbles.</p></div></body></html>";
    let list =
        "<html><body><ul><li><a href='/virtual/2022/poster/7'>Thimbles</a></li></ul></body></html>";
    let site = Site::default()
        .with("/virtual/2022/papers.html", Answer::Page(list.to_owned()))
        .with("/virtual/2022/poster/7", Answer::Page(event.to_owned()))
        .with("/pdf?id=ThimblesForum", Answer::Pdf);
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2022});
    let summary = run(&scraper(&site.serve().await, "MLSYS", &store), event)
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored), (1, 1));
    let message = &store.messages()[0];
    assert_eq!(message.authors, ["Ada One", "Bo Two"]);
    assert_eq!(message.abstract_text.as_deref(), Some("On thimbles."));
}

/// A list with the bibliography beside it: thousands of papers in two requests.
#[tokio::test]
async fn a_volumes_bibliography_saves_the_papers_pages() {
    let bibliography = "@InProceedings{pmlr-v70-one17a,\n  title = {Thimbles},\n  author = {Ada One and Bo Two},\n  abstract = {On thimbles.},\n  year = {2017}\n}\n";
    let volume = "<!DOCTYPE html><html><body><p>[<a href=\"./assets/bib/bibliography.bib\">bib</a>]</p>\
        <div class=\"paper\"><p class=\"title\">Thimbles</p><p class=\"details\"><span class=\"authors\">Ada One,&nbsp;Bo Two</span></p>\
        <p class=\"links\">[<a href=\"http://proceedings.mlr.press/v70/one17a.html\">abs</a>][<a href=\"http://proceedings.mlr.press/v70/one17a/one17a.pdf\">Download PDF</a>]</p></div></body></html>";
    let site = Site::default()
        .with("/v70/", Answer::Page(volume.to_owned()))
        .with(
            "/v70/assets/bib/bibliography.bib",
            Answer::Text(bibliography.to_owned()),
        )
        .with("/v70/one17a/one17a.pdf", Answer::Pdf);
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2017});
    let summary = run(&scraper(&site.serve().await, "ICML", &store), event)
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored), (1, 1));
    assert_eq!(site.n_asked("/v70/one17a.html"), 0);
    assert_eq!(
        store.messages()[0].abstract_text.as_deref(),
        Some("On thimbles.")
    );
}
