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

/// The judge's document takes what it is told last: a run that is overtaken between reading the record and
/// sending what it said tells the newer version once more, as a message that SQS does not drop.
#[tokio::test]
async fn a_run_that_is_overtaken_does_not_have_the_last_word() {
    let paper = listed(1, "Thimbles", &["Ada One"]);
    let edited = Listed {
        title: "On Thimbles".to_owned(),
        abstract_text: Some(about("Thimbles")),
        ..paper.clone()
    };
    let before = serve(conference(&[paper]).router()).await;
    let after = serve(conference(&[edited]).router()).await;
    let store = MemoryStore::default();
    let slow = Shaky {
        late: Some("On Thimbles"),
        ..Shaky::new(&store)
    };
    let slow_scraper = slow.scraper(&before, "ICLR");
    let slow_run = run(&slow_scraper, json!({}));
    let faster = async {
        while !slow.is_held.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        run(&scraper(&after, "ICLR", &store), json!({})).await
    };
    let (slow_run, faster) = tokio::join!(slow_run, faster);
    assert_eq!((slow_run.unwrap().queued, faster.unwrap().queued), (1, 1));
    check(&store);
    let (id, _) = records(&store).pop_first().unwrap();
    let titles: Vec<String> = told(&store, &id).into_iter().map(|it| it.title).collect();
    assert_eq!(titles, ["On Thimbles", "Thimbles", "On Thimbles"]);
    let store = store.0.lock().unwrap();
    let ids: BTreeSet<&String> = store
        .messages
        .iter()
        .map(|it| &it.deduplication_id)
        .collect();
    assert_eq!(ids.len(), 3, "SQS drops none of them");
}
