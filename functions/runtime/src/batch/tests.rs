use std::collections::BTreeMap;
use std::sync::Mutex;

use annapurna_cloud::{Delivery, Receive};
use serde_json::{Value, json};

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct No(Option<Wait>);

impl Failure for No {
    fn waits(&self) -> Option<Wait> {
        self.0
    }
}

const MAX_RECEIVES: u32 = 5;

/// A message in the queue of a test.
#[derive(Debug, Clone)]
struct Kept {
    body: String,
    receives: u32,
    visible_at: Duration,
}

/// A FIFO queue with a clock of its own and dead letters, each message in a group of its own.
#[derive(Debug, Default)]
struct Queue {
    now: Mutex<Duration>,
    messages: Mutex<BTreeMap<String, Kept>>,
    dead: Mutex<Vec<String>>,
    refuses: bool,
}

impl Queue {
    fn inbox(&self) -> Inbox<'_> {
        Inbox {
            queues: self,
            queue_url: "queue",
            max_receives: MAX_RECEIVES,
        }
    }

    fn put(&self, id: &str, body: String) {
        let visible_at = *self.now.lock().unwrap();
        let kept = Kept {
            body,
            receives: 0,
            visible_at,
        };
        self.messages.lock().unwrap().insert(id.to_owned(), kept);
    }

    /// Up to `most` messages that are visible now, as Lambda hands them on.
    fn event(&self, most: usize) -> SqsEvent {
        let now = *self.now.lock().unwrap();
        let mut messages = self.messages.lock().unwrap();
        let visible: Vec<String> = messages
            .iter()
            .filter(|(_, kept)| kept.visible_at <= now)
            .map(|(id, _)| id.clone())
            .collect();
        let mut records = Vec::new();
        for id in visible {
            if records.len() == most {
                break;
            }
            let kept = messages.get_mut(&id).unwrap();
            kept.receives += 1;
            if kept.receives > MAX_RECEIVES {
                messages.remove(&id);
                self.dead.lock().unwrap().push(id);
                continue;
            }
            kept.visible_at = now + Duration::from_secs(5_400);
            let attributes =
                json!({"MessageGroupId": id, "ApproximateReceiveCount": kept.receives.to_string()});
            records.push(json!({"messageId": id, "receiptHandle": id, "body": kept.body, "attributes": attributes}));
        }
        serde_json::from_value(json!({"Records": records})).unwrap()
    }
}

#[async_trait::async_trait]
impl MessageQueues for Queue {
    async fn send(&self, _: &str, message: Message) -> Result<(), QueueError> {
        self.put(&message.deduplication_id, message.body);
        Ok(())
    }

    async fn receive(&self, _: &str, _: Receive) -> Result<Vec<Delivery>, QueueError> {
        unreachable!("Lambda receives")
    }

    async fn hide(&self, _: &str, receipt: &str, time: Duration) -> Result<(), QueueError> {
        if self.refuses {
            return Err(QueueError {
                operation: "ChangeMessageVisibility",
                queue: "queue".to_owned(),
                reason: "no".to_owned(),
            });
        }
        let now = *self.now.lock().unwrap();
        if let Some(kept) = self.messages.lock().unwrap().get_mut(receipt) {
            kept.visible_at = now + time;
        }
        Ok(())
    }

    async fn delete(&self, _: &str, _: &str) -> Result<(), QueueError> {
        unreachable!("Lambda deletes")
    }
}

fn event(messages: &[(&str, &str, &str)]) -> SqsEvent {
    let records: Vec<Value> = messages
        .iter()
        .map(|(id, group, body)| {
            json!({"messageId": id, "body": body, "attributes": {"MessageGroupId": group}})
        })
        .collect();
    serde_json::from_value(json!({"Records": records})).unwrap()
}

async fn failed(messages: &[(&str, &str, &str)]) -> (Vec<String>, Vec<i64>) {
    failed_of(event(messages)).await
}

async fn failed_of(event: SqsEvent) -> (Vec<String>, Vec<i64>) {
    let mut seen = Vec::new();
    let queue = Queue::default();
    let response = process_batch(event, queue.inbox(), |number: i64| {
        seen.push(number);
        async move { if number < 0 { Err(No(None)) } else { Ok(()) } }
    })
    .await;
    let ids = response.batch_item_failures;
    (
        ids.into_iter().map(|item| item.item_identifier).collect(),
        seen,
    )
}

#[tokio::test]
async fn a_failure_holds_back_only_its_own_group() {
    let (failed, seen) = failed(&[
        ("m1", "a", "1"),
        ("m2", "a", "-1"),
        ("m3", "b", "2"),
        ("m4", "a", "3"),
    ])
    .await;
    assert_eq!(failed, ["m2", "m4"]);
    assert_eq!(seen, [1, -1, 2]);
}

#[tokio::test]
async fn a_malformed_message_fails_and_is_not_dropped() {
    let (failed, seen) = failed(&[("m1", "a", "{"), ("m2", "b", "2"), ("m3", "a", "3")]).await;
    assert_eq!(failed, ["m1", "m3"]);
    assert_eq!(seen, [2]);
}

#[tokio::test]
async fn a_message_without_a_body_fails_and_holds_back_its_group() {
    let mut event = event(&[("m1", "a", "1"), ("m2", "b", "2"), ("m3", "a", "3")]);
    event.records[0].body = None;
    assert_eq!(
        failed_of(event).await,
        (vec!["m1".into(), "m3".into()], vec![2])
    );
}

#[tokio::test]
async fn a_record_without_an_id_brings_the_whole_batch_again_undone() {
    for id in [None, Some(String::new())] {
        let mut event = event(&[("m1", "a", "1"), ("m2", "b", "2")]);
        event.records[1].message_id = id;
        assert_eq!(failed_of(event).await, (vec![String::new()], vec![]));
    }
}

#[tokio::test]
async fn an_empty_batch_has_no_failures() {
    assert_eq!(failed(&[]).await.0, Vec::<String>::new());
}

/// Runs the queue until it is empty; the messages that were done, and how often each was tried.
async fn run(queue: &Queue, quota: usize, failure: Option<Wait>) -> BTreeMap<i64, u32> {
    let (done, tries) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::new()));
    for _minute in 0..60 * 24 {
        let left = Mutex::new(quota);
        loop {
            let event = queue.event(100);
            if event.records.is_empty() {
                break;
            }
            let ids: Vec<_> = event
                .records
                .iter()
                .map(|it| it.message_id.clone())
                .collect();
            let response = process_batch(event, queue.inbox(), |number: i64| {
                *tries.lock().unwrap().entry(number).or_insert(0) += 1;
                let mut left = left.lock().unwrap();
                let answered = *left > 0;
                *left = left.saturating_sub(1);
                if answered {
                    done.lock()
                        .unwrap()
                        .insert(number, tries.lock().unwrap()[&number]);
                }
                async move { if answered { Ok(()) } else { Err(No(failure)) } }
            });
            let failed = response.await.batch_item_failures;
            let failed: HashSet<_> = failed.into_iter().map(|it| it.item_identifier).collect();
            for id in ids.into_iter().flatten() {
                if !failed.contains(&id) {
                    queue.messages.lock().unwrap().remove(&id);
                }
            }
        }
        *queue.now.lock().unwrap() += Duration::from_secs(60);
        if queue.messages.lock().unwrap().is_empty() {
            break;
        }
    }
    done.into_inner().unwrap()
}

#[tokio::test]
async fn a_conference_of_thousands_on_a_low_quota_ends_judged() {
    let queue = Queue::default();
    for number in 0..3_000 {
        queue.put(&format!("m{number:04}"), number.to_string());
    }
    let done = run(&queue, 20, Some(Wait::ForQuota)).await;
    assert_eq!(done.len(), 3_000);
    assert_eq!(*queue.dead.lock().unwrap(), Vec::<String>::new());
    let most = done.values().max().unwrap();
    assert!(
        *most > MAX_RECEIVES,
        "none was throttled that often: {most}"
    );
}

#[tokio::test]
async fn a_failure_of_its_own_still_makes_a_dead_letter() {
    let queue = Queue::default();
    queue.put("m1", "1".to_owned());
    assert!(run(&queue, 0, None).await.is_empty());
    assert_eq!(*queue.dead.lock().unwrap(), ["m1"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_hidden_comes_again_by_its_queues_own_time() {
    let queue = Queue {
        refuses: true,
        ..Queue::default()
    };
    queue.put("m1", "1".to_owned());
    let event = queue.event(1);
    let response = process_batch(event, queue.inbox(), |_: i64| async {
        Err(No(Some(Wait::ForQuota)))
    });
    assert_eq!(response.await.batch_item_failures[0].item_identifier, "m1");
}

#[test]
fn a_wait_grows_differs_and_is_one_that_sqs_takes() {
    let first = time_of(Wait::ForQuota, 1, "m1");
    assert!(first >= FIRST_WAIT / 2 && first < FIRST_WAIT * 3 / 2);
    assert_ne!(first, time_of(Wait::ForQuota, 1, "m2"));
    assert!(time_of(Wait::ForQuota, 3, "m1") >= FIRST_WAIT * 2);
    let day = Wait::For(Duration::from_secs(86_400));
    assert_eq!(time_of(day, 1, "m1"), LONGEST_HIDE);
}
