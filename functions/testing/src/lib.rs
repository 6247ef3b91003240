//! What a test of a function needs around it: buckets and queues of a real emulator, an index of the real
//! OpenSearch, and a Bedrock that answers as the test tells it.
//!
//! The emulator and OpenSearch are started once for a test program; every test has buckets, queues and an
//! index of its own. No function depends on this crate but in its tests, and what fails here fails the
//! test, so these functions panic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this crate runs in tests only"
)]

pub mod bedrock;

use annapurna_local::emulator::{EmulatorOptions, ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
use annapurna_local_testing::{TestEmulator, search_url, test_emulator, unique_index};
use annapurna_runtime::Search;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use bedrock::Bedrock;

static EMULATOR: OnceCell<TestEmulator> = OnceCell::const_new();

/// Signs for the endpoint with the emulator's own key.
pub async fn sdk_config(endpoint_url: &str) -> SdkConfig {
    let credentials = Credentials::new(ROOT_ACCESS_KEY, ROOT_SECRET_KEY, None, None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .region("us-east-1")
        .credentials_provider(credentials)
        .endpoint_url(endpoint_url)
        .load()
        .await
}

/// The surroundings of one test.
#[derive(Debug)]
pub struct Stage {
    /// Configuration for the emulator.
    pub sdk: SdkConfig,
    /// Address of OpenSearch.
    pub search_url: String,
    /// Name of the test's index.
    pub index: String,
    /// A client of that index.
    pub search: Search,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Stage {
    /// An empty index on the shared servers.
    ///
    /// # Panics
    ///
    /// When one of them does not start.
    pub async fn new() -> Self {
        let emulator = EMULATOR
            .get_or_init(|| async { test_emulator(&EmulatorOptions::default()).await })
            .await;
        let sdk = sdk_config(&emulator.endpoint_url).await;
        let search_url = search_url().await;
        let index = unique_index("papers");
        let search = Search::new(&sdk, &search_url, &index).unwrap();
        search.create_index_if_absent(0).await.unwrap();
        search.states().create_index_if_absent(0).await.unwrap();
        Self {
            s3: annapurna_cloud::s3_client(&sdk),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            sdk,
            search_url,
            index,
            search,
        }
    }

    /// A bucket of its own.
    ///
    /// # Panics
    ///
    /// When the emulator refuses.
    pub async fn bucket(&self) -> String {
        let name = unique_index("bucket");
        let request = self.s3.create_bucket().bucket(&name);
        request.send().await.unwrap();
        name
    }

    /// A FIFO queue of its own with a dead-letter queue beside it; the queue's URL.
    ///
    /// # Panics
    ///
    /// When the emulator refuses.
    pub async fn queue(&self) -> String {
        let name = unique_index("queue");
        let dead = self.fifo(&format!("{name}-dlq.fifo"), None).await;
        let arn = self.attribute(&dead, QueueAttributeName::QueueArn).await;
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 1000});
        self.fifo(&format!("{name}.fifo"), Some(policy)).await
    }

    async fn fifo(&self, name: &str, redrive: Option<Value>) -> String {
        let mut request = self.sqs.create_queue().queue_name(name);
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
        if let Some(policy) = redrive {
            request = request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
        }
        request.send().await.unwrap().queue_url.unwrap()
    }

    /// The queue's dead-letter queue.
    ///
    /// # Panics
    ///
    /// When the queue is none of [`Stage::queue`].
    pub fn dead_letters_of(&self, queue_url: &str) -> String {
        let stem = queue_url.strip_suffix(".fifo").unwrap();
        format!("{stem}-dlq.fifo")
    }

    async fn attribute(&self, queue_url: &str, name: QueueAttributeName) -> String {
        let request = self.sqs.get_queue_attributes().queue_url(queue_url);
        let output = request.attribute_names(name.clone()).send().await.unwrap();
        output.attributes.unwrap().remove(&name).unwrap()
    }

    /// Sends a message as another stage would.
    ///
    /// # Panics
    ///
    /// When the emulator refuses.
    pub async fn send(&self, queue_url: &str, group: &str, body: &str) {
        let request = self.sqs.send_message().queue_url(queue_url);
        let request = request
            .message_group_id(group)
            .message_deduplication_id(unique_index("message"));
        request.message_body(body).send().await.unwrap();
    }

    /// Takes every message that is visible and deletes it: bodies with their group.
    ///
    /// # Panics
    ///
    /// When the emulator refuses.
    pub async fn take(&self, queue_url: &str) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        loop {
            let request = self.sqs.receive_message().queue_url(queue_url);
            let request = request
                .max_number_of_messages(10)
                .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
            let messages = request.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return taken;
            }
            for message in messages {
                let receipt = message.receipt_handle.unwrap();
                let request = self.sqs.delete_message().queue_url(queue_url);
                request.receipt_handle(receipt).send().await.unwrap();
                let mut attributes = message.attributes.unwrap_or_default();
                let group = attributes.remove(&MessageSystemAttributeName::MessageGroupId);
                taken.push((message.body.unwrap(), group.unwrap_or_default()));
            }
        }
    }

    /// Writes an object.
    ///
    /// # Panics
    ///
    /// When the emulator refuses.
    pub async fn put(&self, bucket: &str, key: &str, body: impl Into<Vec<u8>>) {
        let body = aws_sdk_s3::primitives::ByteStream::from(body.into());
        let request = self.s3.put_object().bucket(bucket).key(key).body(body);
        request.send().await.unwrap();
    }

    /// Reads an object; `None` when there is none.
    pub async fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let request = self.s3.get_object().bucket(bucket).key(key);
        let body = request.send().await.ok()?.body.collect().await.ok()?;
        Some(body.into_bytes().to_vec())
    }

    /// An event source mapping's event with these messages, each with its group.
    pub fn event(messages: &[(&str, String)]) -> Value {
        let records: Vec<Value> = messages
            .iter()
            .enumerate()
            .map(|(number, (group, body))| {
                json!({
                    "messageId": format!("m{number}"),
                    "receiptHandle": "r",
                    "body": body,
                    "attributes": {"MessageGroupId": group, "ApproximateReceiveCount": "1"},
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q.fifo",
                    "awsRegion": "us-east-1",
                })
            })
            .collect();
        json!({"Records": records})
    }
}
