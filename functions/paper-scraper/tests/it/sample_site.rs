//! The scrapers against the local paper site, the recorded feed with real PDFs, and the real emulator.

use crate::support::{MemoryStore, run, sample, scraper, serve};
use annapurna_contract::{PaperId, Source, keys};
use annapurna_local::paper_site::PaperSite;
use annapurna_local_testing::with_arxiv_feed;
use annapurna_test_data::file;
use serde_json::{Value, json};

#[tokio::test]
async fn six_papers_come_from_arxiv() {
    let store = MemoryStore::default();
    let summary = run(
        &scraper(&sample().await, "ARXIV", &store),
        json!({"MAX_PAPERS": "6"}),
    )
    .await
    .unwrap();
    assert_eq!(
        (
            summary.source.as_str(),
            summary.found,
            summary.stored,
            summary.queued
        ),
        ("ARXIV", 6, 6, 6)
    );
    assert_eq!((summary.failed.len(), summary.cursor), (0, None));
    let kept = store.keys();
    let kept: Vec<&String> = kept.iter().filter(|key| !key.starts_with('_')).collect();
    assert_eq!(kept.len(), 12, "a PDF and a record each");
    let messages = store.messages();
    assert!(messages.iter().all(|message| {
        message
            .date
            .as_deref()
            .is_some_and(|date| date.starts_with("2025-11-"))
    }));
    for message in &messages {
        assert_eq!(
            message.paper_id,
            PaperId::of(&message.title, message.abstract_text.as_deref())
        );
        assert_eq!((message.source, message.year), (Source::Arxiv, 2025));
        let pdf = store.object(message.s3_key.as_deref().unwrap());
        assert!(pdf.body.starts_with(b"%PDF-"));
        assert_eq!(pdf.content_type, "application/pdf");
        assert!(pdf.metadata["source-url"].contains("/pdf/2511."));
        assert_eq!(pdf.metadata["sha256"].len(), 64);
        let record = store.json(&message.record_s3_key);
        assert_eq!(record["state"], "queued");
        assert_eq!(record["pdf"]["sha256"], pdf.metadata["sha256"]);
        assert_eq!(
            record["source_record"]["primary_category"]
                .as_str()
                .map(|c| &c[..3]),
            Some("cs.")
        );
    }
}

#[tokio::test]
async fn each_line_that_a_user_types_brings_papers_with_their_pdfs() {
    let site = sample().await;
    let models = "Deep Learning->Large Language Models";
    let five = json!({"MAX_PAPERS": "5"});
    let lines = [
        (
            "ANY",
            json!({"CONFERENCE": "ICML", "topic_filter": models}),
            4,
        ),
        (
            "ANY",
            json!({"CONFERENCE": "BOTH", "topic_filter": models}),
            5,
        ),
        ("ANY", json!({"CONFERENCE": "BOTH"}), 9),
        ("NEURIPS", five.clone(), 4),
        ("MLSYS", five.clone(), 3),
        ("ICLR", five.clone(), 4),
        ("ICML", five.clone(), 5),
        ("ARXIV", five, 5),
    ];
    for (conference, event, n_papers) in lines {
        let store = MemoryStore::default();
        let line = format!("{conference} {event}");
        let summary = run(&scraper(&site, conference, &store), event)
            .await
            .unwrap();
        let counts = (summary.found, summary.stored, summary.queued);
        assert_eq!(counts, (n_papers, n_papers, n_papers), "{line}");
        assert_eq!(summary.failed.len(), 0, "{line}");
        for message in store.messages() {
            let pdf = store.object(message.s3_key.as_deref().unwrap());
            assert!(pdf.body.starts_with(b"%PDF-"), "{line}: {}", message.title);
            assert_eq!(message.year, 2025, "{line}");
        }
    }
}

#[tokio::test]
async fn four_papers_come_from_iclr_and_a_talk_is_not_a_fifth() {
    let store = MemoryStore::default();
    let summary = run(&scraper(&sample().await, "ICLR", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored, summary.queued), (4, 4, 4));
    let messages = store.messages();
    let talk = messages
        .iter()
        .find(|message| message.title.starts_with("Sorting"))
        .unwrap();
    let record = store.json(&talk.record_s3_key);
    assert_eq!(
        record["source_record"]["paper"]["records"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(talk.date.as_deref(), Some("2025-04-24"));
    let pdf = store.object(&keys::paper_pdf(Source::Iclr, 2025, &talk.paper_id));
    assert!(pdf.metadata["source-url"].ends_with("/pdf?id=sampleAP07"));
}

#[tokio::test]
async fn topics_and_words_narrow_a_conference() {
    let store = MemoryStore::default();
    let scraper = scraper(&sample().await, "ANY", &store);
    let event = |key: &str, value: &str| json!({"CONFERENCE": "ICLR", key: value});
    let exact = run(
        &scraper,
        event("topic_filter", "Deep Learning->Large Language Models"),
    )
    .await
    .unwrap();
    assert_eq!(exact.found, 1);
    let prefix = run(&scraper, event("topic_filter", "Deep Learning"))
        .await
        .unwrap();
    assert_eq!(prefix.found, 3);
    let words = run(&scraper, event("search_term", "Speculative decoding"))
        .await
        .unwrap();
    assert_eq!(words.found, 1);
    let error = run(&scraper, event("topic_filter", "Biology"))
        .await
        .unwrap_err();
    let report = error.to_string();
    assert!(
        report.contains("no topic `Biology` at ICLR 2025; topics: Deep Learning->Algorithms, "),
        "{report}"
    );
    let search = json!({"CONFERENCE": "arxiv", "search_term": "experts of mixture"});
    assert_eq!(
        run(&scraper, search).await.unwrap().found,
        0,
        "words are searched for as one phrase"
    );
    let search = json!({"CONFERENCE": "arxiv", "search_term": "ring buffer"});
    assert_eq!(run(&scraper, search).await.unwrap().found, 1);
}

#[tokio::test]
async fn a_year_that_the_site_does_not_list_is_told_with_where_it_would_be() {
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2022});
    let error = run(&scraper(&sample().await, "ICLR", &store), event)
        .await
        .unwrap_err();
    let report = error.to_string();
    assert!(
        report.starts_with(
            "the sites that are asked do not have the list of ICLR 2022, which would be at http"
        ),
        "{report}"
    );
    assert!(
        !report.contains("known to have one"),
        "2022 is one of them: {report}"
    );
}

#[tokio::test]
async fn both_shares_the_number_between_iclr_and_icml() {
    let record = |id: usize| json!({"id": id, "name": format!("Paper {id} of ICML"), "abstract": format!("Text {id}."), "paper_url": null});
    let list = (1..=5).map(record).collect();
    let site = PaperSite::sample()
        .unwrap()
        .with_list("icml-2025-orals-posters", list);
    let site = serve(site.router()).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "BOTH", &store);
    let summary = run(&scraper, json!({"MAX_PAPERS": 4})).await.unwrap();
    assert_eq!(
        (summary.source.as_str(), summary.found, summary.stored),
        ("BOTH", 4, 2)
    );
    assert_eq!(
        summary.metadata_only, 2,
        "a list without forums is metadata only"
    );
    let event = json!({"MAX_PAPERS": 20, "cursor": summary.cursor});
    let rest = run(&scraper, event).await.unwrap();
    assert_eq!(
        (rest.found, rest.stored, rest.metadata_only, rest.cursor),
        (5, 2, 3, None)
    );
    assert_eq!(store.messages().len(), 9);
}

#[tokio::test]
async fn neurips_and_mlsys_are_read_with_their_abstracts_apart() {
    let record = |id: usize, kind: &str| {
        json!({"id": id, "name": "One paper", "eventtype": kind,
            "paper_url": "https://openreview.net/forum?id=sampleAP07"})
    };
    for (conference, slug) in [("NEURIPS", "neurips"), ("MLSYS", "mlsys"), ("ICML", "icml")] {
        let sample = PaperSite::sample().unwrap();
        let list = format!("{slug}-2026-orals-posters");
        let site = sample.with_list(&list, vec![record(8, "Oral"), record(7, "Poster")]);
        let bare = serve(site.clone().router()).await;
        let store = MemoryStore::default();
        let event = json!({"CONFERENCE_YEAR": 2026});
        let error = run(&scraper(&bare, conference, &store), event.clone())
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("has no abstracts, and neither has http"),
            "{}",
            error.to_string()
        );
        let whole = site.with_file(
            &format!("{slug}-2026-abstracts"),
            json!({"7": "The abstract.", "8": ""}),
        );
        let summary = run(
            &scraper(&serve(whole.router()).await, conference, &store),
            event,
        )
        .await
        .unwrap();
        assert_eq!((summary.found, summary.stored), (1, 1));
        assert_eq!(
            store.messages()[0].abstract_text.as_deref(),
            Some("The abstract.")
        );
    }
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let page = |ids: std::ops::Range<usize>, next: Value| {
        let records: Vec<Value> = ids
            .map(|id| json!({"id": id, "name": format!("Paper {id}"), "abstract": format!("Text {id}")}))
            .collect();
        json!({"count": 5, "next": next, "previous": null, "results": records})
    };
    let site = |next: Value| {
        PaperSite::new()
            .with_file("iclr-2025-orals-posters", page(1..4, next))
            .with_file("iclr-2025-second", page(4..6, Value::Null))
            .router()
    };
    let store = MemoryStore::default();
    let good = serve(site(json!("iclr-2025-second.json"))).await;
    assert_eq!(
        run(&scraper(&good, "ICLR", &store), json!({}))
            .await
            .unwrap()
            .metadata_only,
        5
    );
    let away = serve(site(json!("http://169.254.169.254/latest"))).await;
    let error = run(&scraper(&away, "ICLR", &store), json!({}))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("it is on another host"),
        "{}",
        error.to_string()
    );
    let circle = serve(site(json!("iclr-2025-orals-posters.json"))).await;
    let error = run(&scraper(&circle, "ICLR", &store), json!({}))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("it was there before"),
        "{}",
        error.to_string()
    );
}

#[tokio::test]
async fn titles_of_any_script_and_length_are_kept() {
    let long = "深度学习".repeat(75);
    let titles = [
        "0",
        "Bounds for $W<d$ &amp; more",
        "Memory-Eﬃcient",
        long.as_str(),
    ];
    let records = titles.iter().enumerate().map(|(id, title)| {
        json!({"id": id, "name": title, "abstract": "Same text.", "paper_url": format!("https://openreview.net/forum?id=f{id}")})
    });
    let mut site = PaperSite::new().with_list("iclr-2025-orals-posters", records.collect());
    for id in 0..titles.len() {
        site = site.with_openreview_pdf(&format!("f{id}"), &b"%PDF-1.4\n%%EOF\n"[..]);
    }
    let store = MemoryStore::default();
    let summary = run(
        &scraper(&serve(site.router()).await, "ICLR", &store),
        json!({}),
    )
    .await
    .unwrap();
    assert_eq!(
        (summary.stored, summary.queued, summary.failed.len()),
        (4, 4, 0)
    );
    for message in store.messages() {
        let pdf = store.object(message.s3_key.as_deref().unwrap());
        let n_bytes: usize = pdf
            .metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(
            n_bytes < 2048 && pdf.metadata["title"].is_ascii(),
            "{}",
            message.title
        );
    }
    let kept: Vec<String> = store
        .messages()
        .into_iter()
        .map(|message| message.title)
        .collect();
    assert!(kept.contains(&"0".to_owned()) && kept.contains(&"Bounds for $W<d$ & more".to_owned()));
    assert!(kept.contains(&long), "a title is cut in the metadata only");
}

#[tokio::test]
async fn the_recorded_feed_with_real_pdfs_is_scraped() {
    let feed = file("arxiv/search_start0_max10.xml");
    let pdfs = ["latex_multicolumn_ccbysa", "encrypted_empty_user_password"];
    let pdfs = pdfs.map(|name| file(&format!("pdf/{name}.pdf")));
    let n_bytes = pdfs[0].len();
    let feed = String::from_utf8(feed).unwrap();
    let site = with_arxiv_feed(PaperSite::new(), &feed, pdfs);
    let store = MemoryStore::default();
    let summary = run(
        &scraper(&serve(site.router()).await, "ARXIV", &store),
        json!({}),
    )
    .await
    .unwrap();
    assert_eq!(
        (
            summary.found,
            summary.stored,
            summary.queued,
            summary.cursor
        ),
        (10, 10, 10, None)
    );
    // Papers move in parallel, so their messages have no order.
    let messages = store.messages();
    let first = messages
        .iter()
        .find(|message| message.title.starts_with("Testing Deep Learning Models"))
        .unwrap();
    assert_eq!(
        (
            first.year,
            store.object(first.s3_key.as_deref().unwrap()).body.len()
        ),
        (2022, n_bytes)
    );
}

#[tokio::test]
async fn the_sample_site_answers_as_arxiv_does() {
    let site = sample().await;
    let get = |path: &str| {
        let url = format!("{site}{path}");
        async move { reqwest::get(url).await.unwrap() }
    };
    let page = get("/api/query?search_query=cat:cs.LG&start=4&max_results=3")
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(page.matches("<entry>").count(), 2);
    assert!(page.contains("<opensearch:totalResults>6</opensearch:totalResults>"));
    let error = get("/api/query?start=abc").await;
    assert_eq!(error.status(), 400);
    assert!(
        error
            .text()
            .await
            .unwrap()
            .contains("/api/errors#start_must_be_an_integer")
    );
    assert_eq!(get("/pdf/2511.99999").await.status(), 404);
    assert_eq!(get("/pdf?id=unknown").await.status(), 404);
    let pdf = get("/pdf/2511.90001").await.bytes().await.unwrap();
    assert!(
        pdf.starts_with(b"%PDF-1.4") && pdf.len() < 8000,
        "{}",
        pdf.len()
    );
    let again = get("/pdf/2511.90001v1").await.bytes().await.unwrap();
    assert_eq!(pdf, again);
}
