//! Each function's role as it was deployed, against an emulator that authorises every request: what is next to its
//! grants is refused, and what its code asks is answered. The whole list of what a role may do is held against the
//! template in `annapurna_stack`.

use annapurna_contract::{Bucket, Function, Queue};
use aws_credential_types::Credentials;
use aws_sdk_s3::error::ProvideErrorMetadata;
use serde_json::json;

use super::Deployment;

/// A call that a role makes.
#[derive(Debug, Clone, Copy)]
enum Call {
    Get(Bucket, &'static str),
    Put(Bucket, &'static str),
    Delete(Bucket, &'static str),
    Send(Queue),
    Receive(Queue),
    Count(Queue),
    Purge(Queue),
}

use Call::{Count, Delete, Get, Purge, Put, Receive, Send};

const PDF: Call = Get(Bucket::Papers, "iclr/2025/none.pdf");
const RECORD: Call = Get(Bucket::Papers, "iclr/2025/none.json");
const VERDICT: Call = Get(Bucket::Papers, "verdicts/none.json");
const PROGRAM: Call = Get(Bucket::Code, "none/code.py");
const RESULT: Call = Get(Bucket::Outputs, "none/outputs/result.json");

const SCRAPER: (&[Call], &[Call]) = (
    &[PDF, RECORD],
    &[
        VERDICT,
        PROGRAM,
        Put(Bucket::Papers, "verdicts/none.json"),
        Put(Bucket::Papers, "elsewhere.json"),
        Put(Bucket::Code, "none/code.py"),
        Delete(Bucket::Papers, "iclr/2025/none.pdf"),
        Receive(Queue::Research),
        Count(Queue::Research),
        Purge(Queue::Research),
        Send(Queue::CodeGeneration),
    ],
);
const JUDGE: (&[Call], &[Call]) = (
    &[PDF, VERDICT, Count(Queue::Research)],
    &[
        RECORD,
        PROGRAM,
        Put(Bucket::Papers, "iclr/2025/none.pdf"),
        Put(Bucket::Papers, "_aliases/none.json"),
        Delete(Bucket::Papers, "verdicts/none.json"),
        Purge(Queue::Research),
        Receive(Queue::CodeGeneration),
        Count(Queue::CodeGeneration),
        Send(Queue::CodeEvaluation),
    ],
);
const GENERATOR: (&[Call], &[Call]) = (
    &[PDF, PROGRAM, Count(Queue::CodeGeneration)],
    &[
        RECORD,
        VERDICT,
        RESULT,
        Put(Bucket::Papers, "verdicts/none.json"),
        Put(Bucket::Outputs, "none/outputs/result.json"),
        Delete(Bucket::Code, "none/code.py"),
        Receive(Queue::CodeEvaluation),
        Count(Queue::CodeEvaluation),
        Send(Queue::CodeTesting),
    ],
);
const TESTER: (&[Call], &[Call]) = (
    &[PROGRAM, RESULT, Count(Queue::CodeTesting)],
    &[
        PDF,
        VERDICT,
        Get(Bucket::Outputs, "none/outputs/stdout.log"),
        Put(Bucket::Outputs, "none/outputs/result.json"),
        Put(Bucket::Code, "none/code.py"),
        Delete(Bucket::Outputs, "none/outputs/result.json"),
        Receive(Queue::CodeTesting),
        Send(Queue::CodeEvaluation),
        Count(Queue::Research),
    ],
);

/// A role's requests, signed with what it got for assuming the role.
struct Caller {
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    endpoint: String,
}

pub(crate) async fn each_function_may_do_no_more_than_it_does(deployment: &Deployment) {
    for function in Function::ALL {
        let (allowed, denied) = match function {
            Function::Judge => JUDGE,
            Function::Generator => GENERATOR,
            Function::Tester => TESTER,
            Function::Scraper(_) | Function::ArxivAlias | Function::AnyScraper => SCRAPER,
        };
        let caller = Caller::with_role_of(deployment, function).await;
        for call in allowed {
            let refusal = caller.refusal(*call).await;
            let is_answered = refusal.as_deref().is_none_or(|code| code == "NoSuchKey");
            assert!(is_answered, "{function:?} {call:?}: {refusal:?}");
        }
        for call in denied {
            let refusal = caller.refusal(*call).await;
            let is_denied = refusal
                .as_deref()
                .is_some_and(|code| code.contains("AccessDenied"));
            assert!(is_denied, "{function:?} {call:?}: {refusal:?}");
        }
    }
}

impl Caller {
    /// Only Lambda may assume the role; the account's owner lets the account do it, too.
    async fn with_role_of(deployment: &Deployment, function: Function) -> Self {
        let config = deployment.sdk_config();
        let lambda = aws_sdk_lambda::Client::new(&config);
        let asked = lambda.get_function_configuration();
        let settings = asked.function_name(function.name()).send().await.unwrap();
        let role = settings.role().unwrap().to_owned();
        let account = role.split(':').nth(4).unwrap();
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
        }]});
        let iam = aws_sdk_iam::Client::new(&config);
        let change = iam.update_assume_role_policy();
        let change = change.role_name(role.rsplit('/').next().unwrap());
        change
            .policy_document(trust.to_string())
            .send()
            .await
            .unwrap();
        let sts = aws_sdk_sts::Client::new(&config);
        let assumed = sts.assume_role().role_arn(&role).role_session_name("test");
        let assumed = assumed.send().await.unwrap();
        let session = assumed.credentials().unwrap();
        let credentials = Credentials::new(
            session.access_key_id(),
            session.secret_access_key(),
            Some(session.session_token().to_owned()),
            None,
            "role",
        );
        let s3 = deployment
            .s3()
            .config()
            .to_builder()
            .credentials_provider(credentials.clone());
        let sqs = aws_sdk_sqs::config::Builder::from(&config).credentials_provider(credentials);
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            endpoint: format!("{}/{account}", deployment.endpoint()),
        }
    }

    /// The code of the error that a call ends with; `None` when it succeeds.
    async fn refusal(&self, call: Call) -> Option<String> {
        let code = |error: &dyn ProvideErrorMetadata| error.code().unwrap_or("none").to_owned();
        let url = |queue: Queue| format!("{}/{}", self.endpoint, queue.name());
        let (s3, sqs) = (&self.s3, &self.sqs);
        match call {
            Get(bucket, key) => {
                let sent = s3.get_object().bucket(bucket.name()).key(key).send().await;
                sent.err().map(|error| code(&error))
            }
            Put(bucket, key) => {
                let sent = s3.put_object().bucket(bucket.name()).key(key).send().await;
                sent.err().map(|error| code(&error))
            }
            Delete(bucket, key) => {
                let sent = s3
                    .delete_object()
                    .bucket(bucket.name())
                    .key(key)
                    .send()
                    .await;
                sent.err().map(|error| code(&error))
            }
            Send(queue) => {
                let sent = sqs.send_message().queue_url(url(queue)).message_body("{}");
                let sent = sent
                    .message_group_id("none")
                    .message_deduplication_id("none");
                sent.send().await.err().map(|error| code(&error))
            }
            Receive(queue) => {
                let sent = sqs.receive_message().queue_url(url(queue)).send().await;
                sent.err().map(|error| code(&error))
            }
            Count(queue) => {
                let sent = sqs
                    .get_queue_attributes()
                    .queue_url(url(queue))
                    .send()
                    .await;
                sent.err().map(|error| code(&error))
            }
            Purge(queue) => {
                let sent = sqs.purge_queue().queue_url(url(queue)).send().await;
                sent.err().map(|error| code(&error))
            }
        }
    }
}
