//! The client against a server that answers as SQS does, and as it should not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annapurna_cloud::{Counts, Message, MessageQueues, Receive, Sqs};
use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use crate::server::service;

const URL: &str = "http://127.0.0.1:1/000000000000/q.fifo";

/// What was asked: operation and input.
type Seen = Arc<Mutex<Vec<(String, Value)>>>;
type Answer = fn(&str, &Value) -> (u16, Value);

/// A client of a server that answers each operation so, and what it was asked.
async fn sqs(answer: Answer) -> (Sqs, Seen) {
    let seen = Seen::default();
    let asked = Arc::clone(&seen);
    let (config, _) = service(move |request| {
        let target = request.header("x-amz-target").unwrap();
        let operation = target.trim_start_matches("AmazonSQS.").to_owned();
        let input = serde_json::from_slice(&request.body).unwrap();
        let (status, output) = answer(&operation, &input);
        asked.lock().unwrap().push((operation, input));
        let response = Response::builder().status(status);
        let response = response.header("content-type", "application/x-amz-json-1.0");
        response.body(Body::from(output.to_string())).unwrap()
    })
    .await;
    (Sqs::new(&config), seen)
}

fn message() -> Message {
    Message {
        body: r#"{"paper_id":"p"}"#.to_owned(),
        group: "paper".to_owned(),
        deduplication_id: "digest".to_owned(),
    }
}

fn wanted() -> Receive {
    Receive {
        most: 99,
        hide_for: Duration::from_secs(60),
        wait: Duration::ZERO,
    }
}

#[tokio::test]
async fn a_message_is_sent_with_its_group_and_deduplication_id() {
    let (sqs, seen) = sqs(|_, _| (200, json!({"MessageId": "m1"}))).await;
    sqs.send(URL, message()).await.unwrap();
    let seen = seen.lock().unwrap();
    let input = json!({"QueueUrl": URL, "MessageBody": "{\"paper_id\":\"p\"}",
                       "MessageGroupId": "paper", "MessageDeduplicationId": "digest"});
    assert_eq!(seen[0], ("SendMessage".to_owned(), input));
}

#[test]
fn a_message_again_is_another_one_for_each_reason() {
    let (once, start) = (message(), message().again("a start"));
    assert_ne!(start.deduplication_id, once.deduplication_id);
    assert_eq!((&start.group, &start.body), (&once.group, &once.body));
    assert_eq!(start, message().again("a start"));
    assert_ne!(start, message().again("another start"));
    let length = start.deduplication_id.len();
    assert!(length <= 128, "what SQS takes, and not {length}");
}

#[tokio::test]
async fn deliveries_are_taken_hidden_and_deleted() {
    let (sqs, seen) = sqs(|operation, _| match operation {
        "ReceiveMessage" => (
            200,
            json!({"Messages": [
                {"MessageId": "m1", "ReceiptHandle": "r1", "Body": "{}",
                 "Attributes": {"MessageGroupId": "paper", "SentTimestamp": "1700000000123"}},
                {"MessageId": "m2", "ReceiptHandle": "r2", "Body": ""},
            ]}),
        ),
        _ => (200, json!({})),
    })
    .await;
    let taken = sqs.receive(URL, wanted()).await.unwrap();
    assert_eq!(
        (taken[0].message_id.as_str(), taken[0].receipt.as_str()),
        ("m1", "r1")
    );
    assert_eq!(
        (taken[0].group.as_deref(), taken[0].sent_ms),
        (Some("paper"), Some(1_700_000_000_123))
    );
    assert_eq!(
        (taken[1].body.as_str(), &taken[1].group, taken[1].sent_ms),
        ("", &None, None)
    );
    sqs.hide(URL, "r1", Duration::from_secs(30)).await.unwrap();
    sqs.delete(URL, "r1").await.unwrap();
    let seen = seen.lock().unwrap();
    // SQS refuses more than ten at a time.
    assert_eq!(seen[0].1["MaxNumberOfMessages"], 10);
    assert_eq!(seen[0].1["VisibilityTimeout"], 60);
    let hidden = json!({"QueueUrl": URL, "ReceiptHandle": "r1", "VisibilityTimeout": 30});
    assert_eq!(seen[1], ("ChangeMessageVisibility".to_owned(), hidden));
    assert_eq!(
        seen[2],
        (
            "DeleteMessage".to_owned(),
            json!({"QueueUrl": URL, "ReceiptHandle": "r1"})
        )
    );
}

#[tokio::test]
async fn an_empty_queue_gives_nothing_and_a_message_that_cannot_be_deleted_is_an_error() {
    let (empty, _) = sqs(|_, _| (200, json!({}))).await;
    assert_eq!(empty.receive(URL, wanted()).await.unwrap(), []);
    let (odd, _) = sqs(|_, _| {
        (
            200,
            json!({"Messages": [{"MessageId": "m1", "Body": "{}"}]}),
        )
    })
    .await;
    let error = odd.receive(URL, wanted()).await.unwrap_err().to_string();
    assert!(
        error.contains("without id, receipt handle or body"),
        "{error}"
    );
}

#[tokio::test]
async fn counts_are_numbers_or_an_error() {
    let (sqs, _) = sqs(|_, _| {
        (
            200,
            json!({"Attributes": {
        "ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesNotVisible": "2",
        "ApproximateNumberOfMessagesDelayed": "0"}}),
        )
    })
    .await;
    let counts = sqs.counts(URL).await.unwrap();
    assert_eq!(
        counts,
        Counts {
            waiting: 3,
            in_flight: 2,
            delayed: 0
        }
    );
    assert_eq!(counts.total(), 5);
    let (odd, _) = self::sqs(|_, _| {
        (
            200,
            json!({"Attributes": {"ApproximateNumberOfMessages": "3"}}),
        )
    })
    .await;
    let error = odd.counts(URL).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "GetQueueAttributes of `{URL}` failed: ApproximateNumberOfMessagesNotVisible is not there"
        )
    );
}

#[tokio::test]
async fn the_dead_letter_queue_is_the_one_of_the_redrive_policy() {
    let (sqs, seen) = sqs(|operation, _| match operation {
        "GetQueueAttributes" => {
            let policy =
                r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q-dlq.fifo"}"#;
            (200, json!({"Attributes": {"RedrivePolicy": policy}}))
        }
        _ => (200, json!({"QueueUrl": "http://dead"})),
    })
    .await;
    assert_eq!(sqs.dead_letter_url(URL).await.unwrap(), "http://dead");
    let asked = json!({"QueueName": "q-dlq.fifo", "QueueOwnerAWSAccountId": "000000000000"});
    assert_eq!(seen.lock().unwrap()[1], ("GetQueueUrl".to_owned(), asked));
    let answers: [Answer; 3] = [
        |_, _| (200, json!({})),
        |_, _| (200, json!({"Attributes": {"RedrivePolicy": "{}"}})),
        |_, _| {
            (
                200,
                json!({"Attributes": {"RedrivePolicy": r#"{"deadLetterTargetArn":"none"}"#}}),
            )
        },
    ];
    for answer in answers {
        let (sqs, _) = self::sqs(answer).await;
        assert!(sqs.dead_letter_url(URL).await.is_err());
    }
}

#[tokio::test]
async fn an_error_names_operation_queue_and_cause_in_one_line() {
    let (sqs, _) = sqs(|_, _| {
        let body = json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no\u{1b}[2J\nqueue"});
        (400, body)
    })
    .await;
    let error = sqs.send(URL, message()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("SendMessage of `{URL}` failed: QueueDoesNotExist: no [2J queue")
    );
}
