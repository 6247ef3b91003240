//! Papers with one title, one paper with several titles, and what an answer says of them.

use annapurna_contract::{Source, keys};

use super::*;

#[tokio::test]
async fn papers_with_one_title_and_different_authors_stay_two() {
    let store = MemoryStore::default();
    let one = listed(1, "Thimbles", &["Ada One"]);
    let other = Listed {
        id: 2,
        forum: Some("forum2".to_owned()),
        authors: vec!["Bo Two"],
        abstract_text: Some(about("cork")),
        ..one.clone()
    };
    // The same to the letter but for the authors.
    let third = Listed {
        id: 3,
        forum: Some("forum3".to_owned()),
        authors: vec!["Cy Three"],
        ..one.clone()
    };
    let papers = [one, other, third];
    let summary = scrape(conference(&papers), "ICLR", &store).await;
    assert_eq!((summary.found, summary.stored, summary.queued), (3, 3, 3));
    assert_eq!((summary.repeated, records(&store).len()), (0, 3));
    let authors: Vec<_> = records(&store)
        .into_values()
        .map(|it| it.description.authors)
        .collect();
    for author in ["Ada One", "Bo Two", "Cy Three"] {
        assert!(authors.contains(&vec![author.to_owned()]), "{authors:?}");
    }
    let again = scrape(conference(&papers), "ICLR", &store).await;
    assert_eq!((again.already, again.queued), (3, 0));
}

#[tokio::test]
async fn a_paper_of_two_sources_is_one_in_the_spelling_of_both() {
    let store = MemoryStore::default();
    let preprint = listed(1, "Memory-Efficient Thimbles", &["Jürgen A. One", "Bo Two"]);
    let published = Listed {
        title: "Memory-efficient  Thimbles.".to_owned(),
        authors: vec!["J. One", "Bo Two"],
        abstract_text: Some(format!(
            "{} Code is at https://example.org.",
            about("Memory-Efficient Thimbles")
        )),
        id: 77,
        forum: Some("forum77".to_owned()),
    };
    let site = arxiv(conference(&[published]), &[(preprint, 1)]);
    let first = scrape(site.clone(), "ARXIV", &store).await;
    let second = scrape(site.clone(), "ICLR", &store).await;
    assert_eq!((first.queued, second.queued), (1, 0));
    assert_eq!((second.found, second.already, second.repeated), (1, 1, 0));
    let record = record_titled(&store, "Memory-Efficient Thimbles");
    assert_eq!(
        (record.source, record.revision, record.revisions.len()),
        (Source::Arxiv, 1, 0)
    );
    let other = &record.other_entries[0];
    assert_eq!(
        (other.source, other.source_id.as_str()),
        (Source::Iclr, "77")
    );
    assert_eq!(
        other.source_record["paper"]["records"][0]["id"], 77,
        "all that was said is kept"
    );
    let n_writes = store.n_writes();
    for source in ["ICLR", "ARXIV"] {
        scrape(site.clone(), source, &store).await;
    }
    assert_eq!(
        store.n_writes(),
        n_writes,
        "neither undoes the other's words"
    );
}

#[tokio::test]
async fn another_source_that_says_something_else_makes_a_revision_once() {
    let store = MemoryStore::default();
    let preprint = listed(1, "Thimbles", &["Ada One"]);
    let published = Listed {
        id: 77,
        abstract_text: Some(about("cork")),
        forum: None,
        ..preprint.clone()
    };
    let site = arxiv(conference(&[published]), &[(preprint, 1)]);
    for source in ["ARXIV", "ICLR", "ARXIV", "ICLR"] {
        scrape(site.clone(), source, &store).await;
    }
    let record = record_titled(&store, "Thimbles");
    let messages = told(&store, &record.paper_id);
    let revisions: Vec<u32> = messages.iter().map(|message| message.revision).collect();
    assert_eq!(revisions, [1, 2]);
    assert_eq!(record.description.abstract_text, Some(about("cork")));
}

#[tokio::test]
async fn another_source_adds_what_the_first_leaves_out() {
    let store = MemoryStore::default();
    let bare = Listed {
        authors: Vec::new(),
        forum: None,
        ..listed(1, "Thimbles", &[])
    };
    scrape(conference(&[bare]), "ICLR", &store).await;
    let record = record_titled(&store, "Thimbles");
    assert!(record.pdf.is_none() && record.description.authors.is_empty());
    let full = listed(1, "Thimbles", &["Ada One"]);
    let summary = scrape(arxiv(PaperSite::new(), &[(full, 1)]), "ARXIV", &store).await;
    assert_eq!((summary.stored, summary.queued), (1, 1));
    let record = record_titled(&store, "Thimbles");
    assert_eq!(
        (record.source, record.description.authors.as_slice()),
        (Source::Iclr, ["Ada One".to_owned()].as_slice())
    );
    let key = keys::paper_pdf(Source::Iclr, 2025, &record.paper_id);
    assert_eq!(record.pdf.unwrap().s3_key, key, "beside the record");
}

#[tokio::test]
async fn what_a_list_says_twice_is_in_the_answer() {
    let store = MemoryStore::default();
    let one = listed(1, "Thimbles", &["Ada One"]);
    // Another forum, so the list itself has them as two.
    let twice = Listed {
        id: 2,
        title: "THIMBLES".to_owned(),
        forum: Some("forum2".to_owned()),
        ..one.clone()
    };
    let papers = [one, twice];
    for n_queued in [1, 0] {
        let summary = scrape(conference(&papers), "ICLR", &store).await;
        assert_eq!(
            (summary.found, summary.queued, summary.repeated),
            (1, n_queued, 1)
        );
        let repeat = &summary.repeats[0];
        assert_eq!(
            (repeat.paper.as_str(), repeat.title.as_str()),
            ("2", "THIMBLES")
        );
        assert_eq!(repeat.repeats, "ICLR 2025 1: Thimbles");
    }
    assert_eq!(records(&store).len(), 1);
    // A call that begins behind the first one knows it from its record.
    let event = json!({"cursor": "iclr-2025:2"});
    let site = serve(conference(&papers).router()).await;
    let summary = run(&scraper(&site, "ICLR", &store), event).await.unwrap();
    assert_eq!(
        (summary.found, summary.already, summary.repeated),
        (1, 1, 1)
    );
    assert_eq!(summary.repeats[0].repeats, "ICLR 2025 1: Thimbles");
}

#[tokio::test]
async fn a_name_that_a_site_gives_to_another_paper_leads_to_that_one() {
    let store = MemoryStore::default();
    let mut papers = vec![
        listed(1, "Thimbles", &["Ada One"]),
        listed(2, "Needles", &["Bo Two"]),
    ];
    for paper in &mut papers {
        paper.forum = None;
    }
    scrape(conference(&papers), "ICLR", &store).await;
    // The list is numbered anew, with a paper more.
    let renumbered = vec![
        Listed {
            forum: None,
            ..listed(1, "Buttons", &["Cy Three"])
        },
        Listed {
            id: 2,
            ..papers[0].clone()
        },
        Listed {
            id: 3,
            ..papers[1].clone()
        },
    ];
    let summary = scrape(conference(&renumbered), "ICLR", &store).await;
    assert_eq!((summary.found, summary.queued), (3, 1), "{summary:?}");
    let titles: Vec<String> = records(&store)
        .into_values()
        .map(|it| it.description.title)
        .collect();
    assert_eq!(titles.len(), 3);
    let n_writes = store.n_writes();
    scrape(conference(&renumbered), "ICLR", &store).await;
    let n_new = store.n_writes() - n_writes;
    assert_eq!((n_new, store.messages().len()), (0, 3));
}

/// The papers of one author: only their forums, or else their titles, tell a new number from an edit.
#[tokio::test]
async fn a_list_that_is_numbered_anew_makes_no_paper_another_one_of_its_author() {
    for has_forums in [true, false] {
        let store = MemoryStore::default();
        let paper = |id: usize, title: &str| Listed {
            forum: has_forums.then(|| format!("forum-of-{title}")),
            ..listed(id, title, &["Ada One"])
        };
        let papers = [paper(1, "Thimbles"), paper(2, "Needles"), paper(3, "Pins")];
        scrape(conference(&papers), "ICLR", &store).await;
        let before = records(&store);
        let renumbered = [paper(1, "Needles"), paper(2, "Pins"), paper(3, "Thimbles")];
        let summary = scrape(conference(&renumbered), "ICLR", &store).await;
        assert_eq!((summary.found, summary.queued), (3, 0), "{summary:?}");
        let titles = |records: BTreeMap<PaperId, SourceRecord>| -> Vec<(PaperId, String)> {
            let records = records.into_iter();
            records
                .map(|(id, record)| (id, record.description.title))
                .collect()
        };
        assert_eq!(titles(records(&store)), titles(before));
        // A paper that is edited keeps its forum.
        if has_forums {
            let edited = Listed {
                title: "Buttons".to_owned(),
                abstract_text: Some(about("Buttons")),
                ..renumbered[0].clone()
            };
            let summary = scrape(conference(&[edited]), "ICLR", &store).await;
            assert_eq!((summary.already, summary.queued), (1, 1));
            assert_eq!(record_titled(&store, "Buttons").revision, 2);
        }
        let new = [paper(1, "Threads"), paper(4, "Needles")];
        let summary = scrape(conference(&new), "ICLR", &store).await;
        assert_eq!(summary.found, 2);
        assert_eq!(records(&store).len(), 4, "{summary:?}");
    }
}

/// The feed of one day and OpenReview's list of another number the same papers differently.
#[tokio::test]
async fn a_forum_leads_to_its_paper_under_another_title_and_a_wrong_link_does_not() {
    let store = MemoryStore::default();
    let paper = listed(1, "Thimbles", &["Ada One"]);
    scrape(conference(std::slice::from_ref(&paper)), "ICLR", &store).await;
    let elsewhere = Listed {
        id: 500,
        title: "Thimbles: A Study".to_owned(),
        ..paper.clone()
    };
    // A placeholder that every new entry has.
    let wrong = Listed {
        forum: paper.forum.clone(),
        ..listed(501, "Needles", &["Ada One"])
    };
    let summary = scrape(conference(&[elsewhere]), "ICLR", &store).await;
    assert_eq!(
        (summary.already, summary.queued, summary.repeated),
        (1, 0, 1)
    );
    assert_eq!(summary.repeats[0].repeats, "ICLR 2025 1: Thimbles");
    let summary = scrape(conference(&[wrong]), "ICLR", &store).await;
    assert_eq!((summary.queued, records(&store).len()), (1, 2));
}

/// A talk beside the poster has an id of its own, and so may another paper with the same title.
#[tokio::test]
async fn a_feed_joins_a_talk_to_its_poster_and_says_so_and_joins_no_namesake() {
    let store = MemoryStore::default();
    let poster = listed(1, "Thimbles", &["Ada One", "Bo Two"]);
    let bare = |id: usize, authors: &[&'static str]| Listed {
        forum: None,
        ..listed(id, "Thimbles", authors)
    };
    let talk = bare(2, &["A. One"]);
    let namesake = Listed {
        abstract_text: Some(about("cork")),
        ..bare(3, &["Cy Three"])
    };
    // Linked to the first one's forum by mistake.
    let mislinked = Listed {
        forum: poster.forum.clone(),
        ..listed(4, "Needles", &["Di Four"])
    };
    let site = conference(&[poster, talk, namesake, mislinked]);
    let summary = scrape(site, "ICLR", &store).await;
    assert_eq!((summary.found, summary.queued, summary.repeated), (3, 3, 1));
    let repeat = &summary.repeats[0];
    assert_eq!(
        (repeat.paper.as_str(), repeat.title.as_str()),
        ("2", "Thimbles")
    );
    assert_eq!(repeat.repeats, "ICLR 2025 1: Thimbles");
    assert_eq!(records(&store).len(), 3);
}
