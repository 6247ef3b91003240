//! Paging.

use std::collections::BTreeSet;

use annapurna_paper_sources::http::HttpError;
use annapurna_paper_sources::sources::listed::ListError;
use serde_json::json;

use super::{Answer, ICLR_2025, Site, ids, note, notes};

#[tokio::test]
async fn pages_of_1000_notes_are_read_until_the_count() {
    // Backwards, so that nothing but the sorting asked for puts them in order.
    let site = Site::of_iclr_2025(notes(2500).into_iter().rev().collect());
    let papers = site.papers(ICLR_2025).await;
    assert_eq!(papers.len(), 2500);
    assert!(papers.windows(2).all(|pair| pair[0].place < pair[1].place));
    assert_eq!((papers[0].place, papers[2499].place), (1, 2500));
    let asked = site.asked();
    let offsets: Vec<_> = asked.iter().map(|asked| asked.number("offset")).collect();
    assert_eq!(offsets, [Some(0), Some(1000), Some(2000)]);
    assert!(
        asked
            .iter()
            .all(|asked| asked.api == "v2" && asked.number("limit") == Some(1000))
    );
    assert!(
        asked
            .iter()
            .all(|asked| asked.query["sort"] == "number:asc")
    );
}

#[tokio::test]
async fn a_list_that_ends_with_a_full_page_needs_no_further_one() {
    let site = Site::of_iclr_2025(notes(2000));
    assert_eq!(site.papers(ICLR_2025).await.len(), 2000);
    assert_eq!(site.asked().len(), 2);
}

#[tokio::test]
async fn a_page_with_too_few_notes_is_asked_for_again() {
    for n_left in [0, 7] {
        let site = Site::of_iclr_2025(notes(2500)).twisted(move |n, answer| match n {
            2 => answer.edited(|page| page["notes"].as_array_mut().unwrap().truncate(n_left)),
            _ => answer,
        });
        assert_eq!(site.papers(ICLR_2025).await.len(), 2500, "{n_left}");
        let offsets: Vec<_> = site
            .asked()
            .iter()
            .map(|it| it.number("offset").unwrap())
            .collect();
        assert_eq!(offsets, [0, 1000, 1000, 2000], "{n_left}");
    }
}

#[tokio::test]
async fn a_page_that_stays_too_short_is_reported_and_is_not_the_end() {
    let site = Site::of_iclr_2025(notes(1200)).twisted(|n, answer| match n {
        1 => answer,
        _ => answer.edited(|page| page["notes"].as_array_mut().unwrap().truncate(7)),
    });
    let error = site.error(ICLR_2025).await;
    let ListError::Http(HttpError::Unusable { url, reason, .. }) = error else {
        panic!("{error}");
    };
    assert!(url.contains("offset=1000"), "{url}");
    let words = "the page holds 7 notes and must hold 200: it begins at 1000 of 1200";
    assert_eq!(reason, words);
    assert_eq!(site.asked().len(), 1 + 3);
}

#[tokio::test]
async fn a_page_without_its_count_is_asked_for_again() {
    let site = Site::of_iclr_2025(notes(3)).twisted(|n, answer| match n {
        1 => answer.edited(|page| {
            page.as_object_mut().unwrap().remove("count");
        }),
        _ => answer,
    });
    assert_eq!(site.papers(ICLR_2025).await.len(), 3);
}

#[tokio::test]
async fn a_list_that_grows_while_it_is_read_is_read_again() {
    // A paper joins in front after the first page: the thousandth comes back as the first of page two.
    let site = Site::of_iclr_2025(notes(1500)).twisted(|n, answer| match n {
        2 => answer.edited(|page| {
            page["count"] = json!(1501);
            page["notes"].as_array_mut().unwrap().insert(0, note(1000));
        }),
        _ => answer,
    });
    let papers = site.papers(ICLR_2025).await;
    let unique: BTreeSet<&str> = ids(&papers).into_iter().collect();
    assert_eq!((papers.len(), unique.len()), (1500, 1500));
    assert_eq!(site.asked().len(), 4);
}

#[tokio::test]
async fn a_note_that_comes_back_over_a_border_is_one_and_what_it_displaced_is_missed() {
    let site = Site::of_iclr_2025(notes(1500)).twisted(|n, answer| match n {
        2 | 4 | 6 => answer.edited(|page| page["notes"][0] = note(1000)),
        _ => answer,
    });
    let error = site.error(ICLR_2025).await;
    let ListError::Wrong { url, problem } = error else {
        panic!("{error}");
    };
    assert!(
        url.contains("content.venueid=ICLR.cc%2F2025%2FConference"),
        "{url}"
    );
    assert_eq!(problem, "says that it has 1500 notes and has 1499");
    assert_eq!(site.asked().len(), 6);
}

#[tokio::test]
async fn a_count_that_falls_to_nothing_is_no_end() {
    let site = Site::of_iclr_2025(notes(1500)).twisted(|n, answer| match n % 2 {
        0 => Answer::json(200, &json!({"notes": [], "count": 0})),
        _ => answer,
    });
    let problem = site.error(ICLR_2025).await.to_string();
    assert!(problem.contains("had 1500 notes and has 0"), "{problem}");
}
