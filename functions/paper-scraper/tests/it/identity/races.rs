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

/// One list before and after its paper's title was edited.
async fn two_titles() -> (String, String) {
    let paper = listed(1, "Thimbles", &["Ada One"]);
    let edited = Listed {
        title: "On Thimbles".to_owned(),
        abstract_text: Some(about("Thimbles")),
        ..paper.clone()
    };
    let before = serve(conference(&[paper]).router()).await;
    let after = serve(conference(&[edited]).router()).await;
    (before, after)
}

/// A run on the list before the edit, that tells the judge only after a run on the edited list has done so.
async fn overtaken(slow: &Shaky, before: &str, after: &str) -> [ScrapeSummary; 2] {
    let slow_scraper = slow.scraper(before, "ICLR");
    let slow_run = run(&slow_scraper, json!({}));
    let faster = async {
        until("the slow run is about to tell the judge", || {
            slow.is_held.load(Ordering::SeqCst)
        })
        .await;
        run(&scraper(after, "ICLR", &slow.inner), json!({})).await
    };
    let (slow_run, faster) = tokio::join!(slow_run, faster);
    [slow_run.unwrap(), faster.unwrap()]
}

/// The titles that the judge was told, each in a message that SQS does not drop.
fn titles(store: &MemoryStore) -> Vec<String> {
    let contents = store.0.lock().unwrap();
    let ids: BTreeSet<&String> = contents
        .messages
        .iter()
        .map(|it| &it.deduplication_id)
        .collect();
    assert_eq!(ids.len(), contents.messages.len());
    drop(contents);
    store.messages().into_iter().map(|it| it.title).collect()
}

/// The judge's document takes what it is told last: a run that is overtaken between reading the record and
/// sending what it said tells the newer version once more, as a message that SQS does not drop.
#[tokio::test]
async fn a_run_that_is_overtaken_does_not_have_the_last_word() {
    let (before, after) = two_titles().await;
    let store = MemoryStore::default();
    let slow = Shaky {
        late: Some("On Thimbles"),
        ..Shaky::new(&store)
    };
    let [slow_run, faster] = overtaken(&slow, &before, &after).await;
    assert_eq!((slow_run.queued, faster.queued), (1, 1));
    check(&store);
    assert_eq!(titles(&store), ["On Thimbles", "Thimbles", "On Thimbles"]);
    assert!(record_titled(&store, "On Thimbles").under_way.is_empty());
}

/// As if the runs that a record names had begun so many minutes earlier.
fn pass_time(store: &MemoryStore, minutes: i64) {
    let earlier = |time: &str| {
        let time = chrono::DateTime::parse_from_rfc3339(time).unwrap();
        let time = time.to_utc() - chrono::TimeDelta::minutes(minutes);
        time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    for key in store.papers() {
        let mut object = store.object(&key);
        let mut record: SourceRecord = serde_json::from_slice(&object.body).unwrap();
        for run in &mut record.under_way {
            run.since = earlier(&run.since);
        }
        if let Some(since) = object.metadata.get_mut("overtaken") {
            *since = earlier(since);
        }
        object.body = serde_json::to_vec(&record).unwrap();
        store.put(&key, object);
    }
}

/// The same run, ended after its late message: nobody is left who knows of it but the record.
#[tokio::test]
async fn a_run_that_is_overtaken_and_ended_does_not_have_the_last_word() {
    let (before, after) = two_titles().await;
    let store = MemoryStore::default();
    let slow = Shaky {
        late: Some("On Thimbles"),
        ends_late: true,
        ..Shaky::new(&store)
    };
    overtaken(&slow, &before, &after).await;
    assert_eq!(titles(&store), ["On Thimbles", "Thimbles"]);
    let again = async || {
        let summary = run(&scraper(&after, "ICLR", &store), json!({})).await;
        summary.unwrap().queued
    };
    // For all that is known the run is alive, and will tell the newer one itself.
    pass_time(&store, 10);
    assert_eq!(again().await, 0);
    pass_time(&store, 11);
    assert_eq!(again().await, 1);
    assert_eq!(titles(&store), ["On Thimbles", "Thimbles", "On Thimbles"]);
    check(&store);
    assert!(record_titled(&store, "On Thimbles").under_way.is_empty());
    assert_eq!(again().await, 0);
}

/// A run that ended with nobody in its way costs the judge no second message.
#[tokio::test]
async fn a_run_that_is_ended_and_not_overtaken_leaves_nothing_to_tell_again() {
    let (before, _) = two_titles().await;
    for n in 0..8 {
        let store = MemoryStore::default();
        let ending = Shaky {
            end: Some((n, true)),
            ..Shaky::new(&store)
        };
        // What fails is in the summary, or the call's error.
        let _ = run(&ending.scraper(&before, "ICLR"), json!({})).await;
        let next = || async { run(&scraper(&before, "ICLR", &store), json!({})).await };
        next().await.unwrap();
        let n_told = store.messages().len();
        pass_time(&store, 21);
        assert_eq!(next().await.unwrap().queued, 0, "write {n}");
        assert_eq!(store.messages().len(), n_told, "write {n}");
        check(&store);
    }
}
