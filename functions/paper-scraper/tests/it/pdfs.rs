//! A PDF at a paper's key that this run did not write, or that goes while it looks.

use annapurna_cloud::{Metadata, Object};
use annapurna_contract::{PaperId, Source, SourceRecord, keys};
use annapurna_local::paper_site::PaperSite;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{MemoryStore, run, scraper, serve};

const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";
const TITLE: &str = "Counting Sheep";
const ABSTRACT: &str = "We count them.";

/// ICLR 2025 with one paper, whose forum has a PDF.
async fn site() -> String {
    let record = json!({"id": 1, "name": TITLE, "abstract": ABSTRACT,
        "paper_url": "https://openreview.net/forum?id=sheep"});
    let site = PaperSite::new().with_list("iclr-2025-orals-posters", vec![record]);
    serve(site.with_openreview_pdf("sheep", PDF).router()).await
}

fn pdf_key() -> String {
    let id = PaperId::of(TITLE, Some(ABSTRACT));
    keys::paper_pdf(Source::Iclr, 2025, &id)
}

/// The only record.
fn record(store: &MemoryStore) -> SourceRecord {
    let keys = store.papers();
    assert_eq!(keys.len(), 1, "{keys:?}");
    serde_json::from_value(store.json(&keys[0])).unwrap()
}

#[tokio::test]
async fn a_pdf_that_somebody_else_put_there_is_recorded_with_the_digest_of_its_bytes() {
    let store = MemoryStore::default();
    let theirs = b"%PDF-1.7\nfrom a person\n%%EOF\n".to_vec();
    let object = Object {
        body: theirs.clone(),
        content_type: "application/pdf",
        metadata: Metadata::new(),
    };
    store.put(&pdf_key(), object);
    let summary = run(&scraper(&site().await, "ICLR", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.stored, summary.already, summary.queued), (0, 1, 1));
    let pdf = record(&store).pdf.unwrap();
    assert_eq!(pdf.sha256, hex::encode(Sha256::digest(&theirs)));
    assert_eq!((pdf.s3_key, pdf.source_url), (pdf_key(), None));
    assert_eq!(store.object(&pdf_key()).body, theirs, "it stays as it is");
}

#[tokio::test]
async fn a_pdf_that_goes_between_two_requests_is_no_pdf_and_is_loaded_by_the_next_run() {
    let store = MemoryStore::default();
    store.0.lock().unwrap().refused_once = Some(".pdf");
    let scraper = scraper(&site().await, "ICLR", &store);
    let first = run(&scraper, json!({})).await.unwrap();
    assert_eq!((first.stored, first.failed.len()), (0, 1), "{first:?}");
    let failed = serde_json::to_string(&first.failed).unwrap();
    assert!(
        failed.contains(&format!("`{}` is gone", pdf_key())),
        "{failed}"
    );
    assert_eq!(record(&store).pdf, None);
    let second = run(&scraper, json!({})).await.unwrap();
    assert_eq!((second.stored, second.queued), (1, 1), "{second:?}");
    let pdf = record(&store).pdf.unwrap();
    assert_eq!(pdf.sha256, hex::encode(Sha256::digest(PDF)));
    assert!(pdf.source_url.unwrap().ends_with("/pdf?id=sheep"));
}
