//! S3 and SQS for real: the emulator that the local environment runs.

use crate::support::{config, hasty, run, sample};
use annapurna_cloud::{Object, Written};
use annapurna_local::emulator::{EmulatorOptions, ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
use annapurna_local_testing::test_emulator;
use annapurna_paper_sources::http::{Leases, now_ms};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use paper_scraper::lease::StoreLeases;
use paper_scraper::scraper::Scraper;
use paper_scraper::settings::Settings;
use paper_scraper::store::Store;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn aws(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(
            ROOT_ACCESS_KEY,
            ROOT_SECRET_KEY,
            None,
            None,
            "test",
        ))
        .load()
        .await
}

#[tokio::test]
async fn papers_reach_the_bucket_and_the_queue_once() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let aws = aws(&emulator.endpoint_url).await;
    let s3 = annapurna_cloud::s3_client(&aws);
    s3.create_bucket()
        .bucket("llm-research-papers")
        .send()
        .await
        .unwrap();
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let queue = sqs
        .create_queue()
        .queue_name("researchQueue.fifo")
        .attributes(QueueAttributeName::FifoQueue, "true");
    let queue_url = queue.send().await.unwrap().queue_url.unwrap();
    let site = sample().await;
    let mut config = config(&site, "ANY");
    config.queue_url = queue_url.clone();
    let settings = Settings::from_config(config).unwrap();
    let store = Store::new(&aws, &settings);
    let scraper = Scraper::with_http(settings, store.clone(), hasty()).unwrap();

    for (source, n_papers) in [("ICLR", 4), ("ARXIV", 6)] {
        let event = json!({"CONFERENCE": source});
        let first = run(&scraper, event.clone()).await.unwrap();
        assert_eq!(
            (first.stored, first.queued, first.failed),
            (n_papers, n_papers, vec![])
        );
        let second = run(&scraper, event).await.unwrap();
        assert_eq!(
            (second.already, second.stored, second.queued),
            (n_papers, 0, 0)
        );
    }

    let queue = sqs
        .get_queue_attributes()
        .queue_url(&queue_url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
    let attributes = queue.send().await.unwrap().attributes.unwrap();
    assert_eq!(
        attributes[&QueueAttributeName::ApproximateNumberOfMessages],
        "10"
    );

    let objects = s3
        .list_objects_v2()
        .bucket("llm-research-papers")
        .send()
        .await
        .unwrap();
    let keys: Vec<String> = objects
        .contents()
        .iter()
        .filter_map(|object| object.key.clone())
        .filter(|key| !key.starts_with('_'))
        .collect();
    assert_eq!(keys.iter().filter(|key| key.ends_with(".json")).count(), 10);
    let pdfs: Vec<&String> = keys.iter().filter(|key| key.ends_with(".pdf")).collect();
    assert_eq!(pdfs.len(), 10);
    for key in pdfs {
        let object = s3
            .get_object()
            .bucket("llm-research-papers")
            .key(key)
            .send()
            .await
            .unwrap();
        let title = object.metadata().unwrap()["title"].clone();
        let bytes = object.body.collect().await.unwrap().into_bytes();
        let limits = annapurna_pdf::Limits::default();
        let text = annapurna_pdf::read(bytes.to_vec(), limits)
            .await
            .unwrap()
            .text();
        let first_words: Vec<&str> = title.split(' ').take(3).collect();
        assert!(
            text.trim_start().starts_with(&first_words.join(" ")),
            "{title}: {text}"
        );
        assert!(
            text.contains("Abstract") && text.len() > 1500,
            "{title}: {} characters",
            text.len()
        );
    }

    let object = Object::new("other", "application/pdf");
    assert_eq!(
        store.create(&keys[0], object).await.unwrap(),
        Written::Refused
    );
    assert_eq!(store.metadata("no/such/key").await.unwrap(), None);
}

fn text(body: &str) -> Object {
    Object::new(body, "text/plain")
}

#[tokio::test]
async fn a_write_on_a_condition_happens_only_while_it_holds() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let store = bucket(&emulator.endpoint_url).await;
    assert_eq!(store.read("a").await.unwrap(), None);
    let gone = store.replace_if("a", text("x"), "\"0\"").await.unwrap();
    assert_eq!(gone, Written::Refused);
    assert_eq!(store.create("a", text("1")).await.unwrap(), Written::Done);
    let first = store.read("a").await.unwrap().unwrap();
    assert_eq!(first.body, b"1");
    let done = store.replace_if("a", text("2"), &first.etag).await.unwrap();
    assert_eq!(done, Written::Done);
    let late = store.replace_if("a", text("3"), &first.etag).await.unwrap();
    assert_eq!(late, Written::Refused);
    assert_eq!(store.read("a").await.unwrap().unwrap().body, b"2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_runs_one_at_a_time_holds_a_lease() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let store = bucket(&emulator.endpoint_url).await;
    let held = Arc::new(tokio::sync::Mutex::new(()));
    let period = Duration::from_secs(30);
    let runs = (0..4).map(|_| {
        let leases = StoreLeases::new(store.clone());
        let held = Arc::clone(&held);
        async move {
            for _ in 0..2 {
                let grant = leases.hold("arxiv.org", period).await.unwrap();
                assert!(grant.until_ms > now_ms());
                let alone = held.try_lock();
                assert!(alone.is_ok(), "two runs hold the lease");
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(alone);
                leases.release("arxiv.org", now_ms()).await.unwrap();
            }
        }
    });
    futures::future::join_all(runs.map(tokio::spawn))
        .await
        .into_iter()
        .for_each(|run| run.unwrap());
}

async fn bucket(endpoint: &str) -> Store {
    let aws = aws(endpoint).await;
    let s3 = annapurna_cloud::s3_client(&aws);
    let create = s3.create_bucket().bucket("llm-research-papers");
    create.send().await.unwrap();
    let settings = Settings::from_config(config("http://127.0.0.1:9", "ICLR")).unwrap();
    Store::new(&aws, &settings)
}
