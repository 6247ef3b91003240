//! The same event again takes the next papers of its list.

use serde_json::json;

use super::{Site, record};
use crate::support::{MemoryStore, run, scraper};

#[tokio::test]
async fn entries_that_are_no_papers_do_not_keep_the_same_event_from_the_next_ones() {
    let titles = ["Thimbles", "Needles", "Threads", "Buttons"];
    let papers = titles.iter().enumerate();
    let mut records: Vec<_> = papers
        .map(|(id, title)| record(id + 1, title, None))
        .collect();
    // As many as are asked for, and one more.
    records.extend((5..8).map(|id| record(id, "", None)));
    let site = Site::default().with_feed("icml-2025-orals-posters.json", records);
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE": "ICML", "MAX_PAPERS": "2"});
    let mut n_calls = 0;
    for (n_told, n_known) in [(2, 0), (4, 2), (4, 4)] {
        let summary = run(&scraper(&address, "ANY", &store), event.clone()).await;
        let summary = summary.unwrap();
        assert_eq!(store.messages().len(), n_told, "{summary:?}");
        assert_eq!(summary.known, n_known, "{summary:?}");
        assert!(summary.n_failed() >= 3, "{summary:?}");
        n_calls += 1;
        let n_asked = site.n_asked("/static/virtual/data/icml-2025-orals-posters.json");
        assert_eq!(
            n_asked, n_calls,
            "a call reads a list once, however many it passes over"
        );
    }
}
