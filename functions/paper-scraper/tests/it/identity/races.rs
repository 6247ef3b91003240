//! Runs at the same moment: on one list, on two versions of it, on two sources with the same paper.

use std::collections::BTreeSet;

use super::*;

/// Every interleaving is another one.
const ROUNDS: usize = 40;

async fn at_once(runs: &[(&str, &str)], store: &MemoryStore) {
    let shaky = Shaky {
        yields: true,
        ..Shaky::new(store)
    };
    let runs = runs.iter().map(|(site, source)| {
        let scraper = shaky.scraper(site, source);
        async move { run(&scraper, json!({})).await.unwrap() }
    });
    for summary in futures::future::join_all(runs).await {
        assert_eq!(summary.n_failed(), 0, "{summary:?}");
    }
}

#[tokio::test]
async fn two_runs_on_one_list_give_one_id_and_one_record() {
    let papers = vec![
        listed(1, "Thimbles", &["Ada One"]),
        listed(2, "Needles", &["Bo Two"]),
        listed(3, "Thimbles", &["Cy Three"]),
    ];
    let site = serve(conference(&papers).router()).await;
    for _ in 0..ROUNDS {
        let store = MemoryStore::default();
        at_once(&[(&site, "ICLR"), (&site, "ICLR")], &store).await;
        check(&store);
        assert_eq!(records(&store).len(), 3);
        let bodies: BTreeSet<String> = store
            .0
            .lock()
            .unwrap()
            .messages
            .iter()
            .map(|it| it.deduplication_id.clone())
            .collect();
        assert_eq!(bodies.len(), 3, "what is sent twice is the same");
    }
}

#[tokio::test]
async fn two_sources_with_one_paper_give_one_id_and_one_record() {
    let published = listed(1, "Thimbles", &["Ada One"]);
    let preprint = Listed {
        authors: vec!["A. One"],
        abstract_text: Some(format!("{} We publish code.", about("Thimbles"))),
        ..published.clone()
    };
    let other = listed(2, "Needles", &["Bo Two"]);
    let site = arxiv(
        conference(&[published, other.clone()]),
        &[(preprint, 1), (other, 2)],
    );
    let site = serve(site.router()).await;
    for _ in 0..ROUNDS {
        let store = MemoryStore::default();
        at_once(
            &[(&site, "ICLR"), (&site, "ARXIV"), (&site, "ICLR")],
            &store,
        )
        .await;
        assert_eq!(records(&store).len(), 2, "{:?}", store.keys());
        for source in ["ICLR", "ARXIV"] {
            run(&scraper(&site, source, &store), json!({}))
                .await
                .unwrap();
        }
        check(&store);
        assert_eq!(records(&store).len(), 2);
    }
}

#[tokio::test]
async fn two_versions_of_one_list_give_one_id() {
    let paper = listed(1, "Thimbles", &["Ada One"]);
    let edited = Listed {
        title: "On Thimbles".to_owned(),
        abstract_text: Some(about("Thimbles").replace("can do", "will do")),
        ..paper.clone()
    };
    let before = serve(conference(&[paper]).router()).await;
    let after = serve(conference(&[edited]).router()).await;
    for round in 0..ROUNDS {
        let store = MemoryStore::default();
        if round % 2 == 0 {
            run(&scraper(&before, "ICLR", &store), json!({}))
                .await
                .unwrap();
        }
        at_once(&[(&before, "ICLR"), (&after, "ICLR")], &store).await;
        assert_eq!(records(&store).len(), 1, "{:?}", store.keys());
        run(&scraper(&after, "ICLR", &store), json!({}))
            .await
            .unwrap();
        check(&store);
        assert_eq!(record_titled(&store, "On Thimbles").revision, 1);
    }
}
