//! The virtual sites' pages.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::listed::ListError;
use annapurna_paper_sources::sources::virtual_pages;

use super::{
    EVENT, EVENT_2023, Kind, PAPERS, SITE, Site, at, edition, hosts, ids, list, problem, titles,
};

#[tokio::test]
async fn a_paper_with_several_events_is_one_and_other_links_are_none() {
    let site = Site::of(&[("/virtual/2025/papers.html", PAPERS)]);
    let listed = list(&site, Kind::Virtual, edition(Source::Iclr, 2025))
        .await
        .unwrap();
    assert_eq!(ids(&listed.papers), ["400", "503", "504", "510"]);
    assert_eq!(
        titles(&listed.papers),
        [
            "Thimbles & k-needles for $n<m$",
            "0",
            "From the Public Host",
            "Two Cities"
        ]
    );
    let places: Vec<u64> = listed.papers.iter().map(|paper| paper.place).collect();
    assert_eq!(places, [400, 503, 504, 510]);
    let talk = &listed.papers[0];
    assert_eq!(talk.record["events"].as_array().unwrap().len(), 2);
    assert_eq!(
        talk.details_url.as_ref().unwrap().path(),
        "/virtual/2025/oral/400"
    );
    let public = listed.papers[2].details_url.as_ref().unwrap();
    assert_eq!(
        (public.path(), public.query(), public.fragment()),
        ("/virtual/2025/poster/504", None, None)
    );
    assert!(public.as_str().starts_with("http://127.0.0.1:"));
    let broken: Vec<&str> = listed.broken.iter().map(|it| it.entry.as_str()).collect();
    assert_eq!(broken, ["poster 508"], "a link called Poster is no title");
}

#[tokio::test]
async fn a_list_without_a_single_paper_is_asked_for_again_and_then_wrong() {
    let site = Site::of(&[("/virtual/2023/papers.html", PAPERS)]);
    let error = list(&site, Kind::Virtual, edition(Source::Iclr, 2023)).await;
    assert!(problem(error).contains("it names no paper of 2023"));
    assert_eq!(site.asked().len(), 3);
    let error = list(&site, Kind::Virtual, edition(Source::Iclr, 2022)).await;
    assert!(matches!(error, Err(ListError::Absent { .. })), "{error:?}");
}

#[tokio::test]
async fn a_list_that_ends_early_is_wrong() {
    let cut = &PAPERS[..PAPERS.len() / 2];
    let site = Site::of(&[("/virtual/2025/papers.html", cut)]);
    let error = list(&site, Kind::Virtual, edition(Source::Iclr, 2025)).await;
    assert!(problem(error).contains("ends before its </html>"));
}

#[test]
fn the_host_of_another_conference_is_elsewhere() {
    let body = "<html><a href='https://iclr.cc/virtual/2025/poster/7'>Thimbles</a></html>";
    let read = |source| {
        let page = at("/virtual/2025/papers.html");
        let (hosts, edition) = (hosts(SITE, source), edition(source, 2025));
        virtual_pages::parse_list(body.as_bytes(), &page, &hosts, edition)
    };
    assert_eq!(titles(&read(Source::Iclr).unwrap().papers), ["Thimbles"]);
    assert_eq!(
        read(Source::Neurips).unwrap_err(),
        "it names no paper of 2025"
    );
}

#[test]
fn a_paper_s_event_has_abstract_authors_and_forum() {
    let hosts = hosts(SITE, Source::Neurips);
    let read = |body: &str| virtual_pages::parse_details(body.as_bytes(), &at("/p"), &hosts);
    let details = read(EVENT).unwrap();
    assert_eq!(details.authors, ["Ada One", "Bo Two, Jr.", "Céline Three"]);
    assert_eq!(
        details.abstract_text.as_deref(),
        Some("First, $n<m$. Then the <projektor>.")
    );
    assert_eq!(
        details.forum.as_deref(),
        Some("Thimble_26"),
        "not the related paper's"
    );

    let older = read(EVENT_2023).unwrap();
    assert_eq!(older.authors, ["Ada One", "Bo Two"]);
    assert_eq!(
        older.abstract_text.as_deref(),
        Some("We were thimbles once.")
    );
    assert_eq!(older.forum.as_deref(), Some("Older_23"));
    assert!(read("<html><h1>Sign in</h1></html>").is_err());
    let bare = "<html><h1 class='event-title'>T</h1></html>";
    assert_eq!(read(bare).unwrap().abstract_text, None);
}

#[test]
fn the_older_name_of_neurips_is_the_same_site() {
    let body = "<html><body><ul><li><a href=\"https://nips.cc/virtual/2022/poster/7\">Thimbles</a></li></ul></body></html>";
    let page = at("/virtual/2022/papers.html");
    let neurips = edition(Source::Neurips, 2022);
    let hosts = hosts(SITE, Source::Neurips);
    let listed = virtual_pages::parse_list(body.as_bytes(), &page, &hosts, neurips).unwrap();
    assert_eq!(titles(&listed.papers), ["Thimbles"]);
    let details = listed.papers[0].details_url.as_ref().unwrap();
    assert_eq!(details.as_str(), "http://127.0.0.1:9/virtual/2022/poster/7");
}
