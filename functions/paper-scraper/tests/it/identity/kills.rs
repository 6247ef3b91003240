//! A run that ends at any of its writes, and the next one that ends well.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse};

use super::*;

/// Papers of every fate: with a PDF, with one that is held back, without one, and one with nothing to judge
/// it by; two namesakes; and one that arXiv has as well.
fn fates() -> Vec<Listed> {
    let mut papers = vec![
        listed(1, "Thimbles", &["Ada One"]),
        listed(2, "Held Back", &["Bo Two"]),
        listed(3, "Missing", &["Cy Three"]),
        listed(4, "Nothing Said", &["Di Four"]),
        listed(5, "Thimbles", &["Ed Five"]),
    ];
    papers[3].abstract_text = None;
    papers
}

/// The conference where some PDFs are answered in their own way.
async fn site(papers: &[Listed]) -> String {
    let layer = from_fn(async |request: Request, next: Next| {
        match request.uri().query().unwrap_or_default() {
            "id=forum2" | "id=forum4" => {
                Html("<!DOCTYPE html><title>Verifying your browser | OpenReview</title>")
                    .into_response()
            }
            "id=forum3" => StatusCode::NOT_FOUND.into_response(),
            _ => next.run(request).await,
        }
    });
    let as_preprint = Listed {
        id: 90_001,
        ..papers[0].clone()
    };
    let site = arxiv(conference(papers), &[(as_preprint, 1)]);
    serve(site.router().layer(layer)).await
}

fn copy(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::default();
    let contents = store.0.lock().unwrap();
    let mut copied = copy.0.lock().unwrap();
    copied.objects.clone_from(&contents.objects);
    copied.messages.clone_from(&contents.messages);
    drop((contents, copied));
    copy
}

/// Both sources, one after the other.
async fn both(site: &str, store: &Shaky) {
    for source in ["ICLR", "ARXIV"] {
        // What fails is in the summary, or the call's error.
        let _ = run(&store.scraper(site, source), json!({})).await;
    }
}

/// Ends a scrape at its nth write, for every n until it comes through, and lets the next one end well.
/// Returns how many writes it has.
async fn end_at_every_write(
    before: &MemoryStore,
    site: &str,
    check: impl Fn(&MemoryStore),
) -> usize {
    for is_done in [false, true] {
        for n in 0.. {
            let store = copy(before);
            let ending = Shaky {
                end: Some((n, is_done)),
                ..Shaky::new(&store)
            };
            both(site, &ending).await;
            both(site, &Shaky::new(&store)).await;
            super::check(&store);
            check(&store);
            let n_writes = store.n_writes();
            both(site, &Shaky::new(&store)).await;
            assert_eq!(
                store.n_writes(),
                n_writes,
                "write {n}: a third scrape has nothing to do"
            );
            if ending.n_writes.load(Ordering::SeqCst) <= n {
                if is_done {
                    return n;
                }
                break;
            }
        }
    }
    unreachable!("it comes through in the end");
}

fn states(store: &MemoryStore) -> Vec<(String, String, &'static str)> {
    let mut states: Vec<_> = records(store)
        .into_values()
        .map(|it| {
            (
                it.description.title,
                it.description.authors.join(", "),
                it.state.as_str(),
            )
        })
        .collect();
    states.sort();
    states
}

#[tokio::test]
async fn a_scrape_that_ends_at_any_write_loses_no_paper_and_makes_none_twice() {
    let papers = fates();
    let site = site(&papers).await;
    let n = end_at_every_write(&MemoryStore::default(), &site, |store| {
        let states = states(store);
        let states: Vec<(&str, &str, &str)> = states
            .iter()
            .map(|(title, authors, state)| (title.as_str(), authors.as_str(), *state))
            .collect();
        assert_eq!(
            states,
            [
                ("Held Back", "Bo Two", "queued-without-pdf"),
                ("Missing", "Cy Three", "queued-without-pdf"),
                ("Nothing Said", "Di Four", "waiting"),
                ("Thimbles", "Ada One", "queued"),
                ("Thimbles", "Ed Five", "queued"),
            ]
        );
        assert!(store.messages().iter().all(|it| it.revision == 1));
    })
    .await;
    assert!(n > 30, "{n} writes");
}

#[tokio::test]
async fn an_edit_that_is_cut_at_any_write_is_told_in_the_end() {
    let mut papers = fates();
    let before = MemoryStore::default();
    both(&site(&papers).await, &Shaky::new(&before)).await;
    let ids = |title: &str| -> Vec<PaperId> {
        let records = records(&before).into_values();
        records
            .filter(|it| it.description.title == title)
            .map(|it| it.paper_id)
            .collect()
    };
    let (held_back, missing) = (ids("Held Back").remove(0), ids("Missing").remove(0));
    papers[1].title = "Held Back No More".to_owned();
    papers[2].abstract_text = Some(about("cork"));
    let site = site(&papers).await;
    let n_told = before.messages().len();
    end_at_every_write(&before, &site, |store| {
        let records = records(store);
        assert_eq!(records.len(), 5);
        assert_eq!(records[&held_back].description.title, "Held Back No More");
        assert_eq!(
            (records[&missing].revision, records[&held_back].revision),
            (2, 1)
        );
        let new = &store.messages()[n_told..];
        assert!(
            new.iter()
                .all(|it| [&held_back, &missing].contains(&&it.paper_id)),
            "{new:?}"
        );
    })
    .await;
}
