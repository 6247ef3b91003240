//! An AWS account of canned answers: a new one, in which nothing is wrong, and what a test changes of it.
//!
//! Answers are by the API's own name of the operation; REST calls are `METHOD /path`. Their shapes are those of the API
//! references; a request is also looked at for the names and actions that it asks about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The account that the environment's file names.
pub const ACCOUNT: &str = "111122223333";

/// What one operation answers.
#[derive(Clone)]
pub enum Answer {
    Json(Value),
    /// Inside the operation's result element.
    Xml(&'static str),
    /// Status, code and message.
    Error(u16, &'static str, &'static str),
    /// Half an answer, after which the connection is gone.
    Cut,
}

#[derive(Default)]
struct Inner {
    answers: BTreeMap<String, Answer>,
    /// Actions that the simulation refuses.
    denied: BTreeSet<&'static str>,
    /// Status of `HEAD` on a bucket; 404 where nothing is said.
    buckets: BTreeMap<&'static str, u16>,
    /// Queues that are there.
    queues: BTreeSet<&'static str>,
    asked: Vec<String>,
    /// Of the signatures.
    regions: BTreeSet<String>,
}

/// The stand-in; it ends with the test's process.
#[derive(Clone)]
pub struct Account {
    inner: Arc<Mutex<Inner>>,
    pub url: String,
}

impl Account {
    /// A new account in which everything is ready.
    pub fn ready() -> Self {
        let mut inner = Inner::default();
        for (operation, answer) in ready() {
            inner.answers.insert(operation.to_owned(), answer);
        }
        let inner = Arc::new(Mutex::new(inner));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { inner, url }
    }

    pub fn with(self, operation: &str, answer: Answer) -> Self {
        let mut inner = self.inner.lock().unwrap();
        let before = inner.answers.insert(operation.to_owned(), answer);
        assert!(before.is_some(), "{operation} is never asked");
        drop(inner);
        self
    }

    pub fn denying(self, action: &'static str) -> Self {
        self.inner.lock().unwrap().denied.insert(action);
        self
    }

    pub fn with_bucket(self, name: &'static str, status: u16) -> Self {
        self.inner.lock().unwrap().buckets.insert(name, status);
        self
    }

    pub fn with_queue(self, name: &'static str) -> Self {
        self.inner.lock().unwrap().queues.insert(name);
        self
    }

    /// All regions that anything was asked in.
    pub fn regions(&self) -> BTreeSet<String> {
        self.inner.lock().unwrap().regions.clone()
    }

    /// The operations asked since the last look, each once.
    pub fn asked(&self) -> BTreeSet<String> {
        let mut inner = self.inner.lock().unwrap();
        std::mem::take(&mut inner.asked).into_iter().collect()
    }
}

/// The region of a signature, as in `Credential=AKIA…/20261130/us-east-1/bedrock/aws4_request`.
fn region(headers: &HeaderMap) -> Option<String> {
    let signature = headers.get("authorization")?.to_str().unwrap();
    Some(signature.split('/').nth(2)?.to_owned())
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let target = headers.get("x-amz-target").map(|it| it.to_str().unwrap());
    let target = target.and_then(|it| it.rsplit('.').next());
    let operation = match (target, form.get("Action")) {
        (Some(target), _) => target.to_owned(),
        (None, Some(action)) => action.clone(),
        (None, None) => rest(&method, uri.path()),
    };
    let mut inner = inner.lock().unwrap();
    inner.asked.push(operation.clone());
    inner.regions.extend(region(&headers));
    match operation.as_str() {
        "HEAD bucket" => {
            let status = inner.buckets.get(uri.path().trim_matches('/')).copied();
            StatusCode::from_u16(status.unwrap_or(404))
                .unwrap()
                .into_response()
        }
        "SimulatePrincipalPolicy" => simulated(&form, &inner.denied),
        "GetQueueUrl" => {
            let name: Value = serde_json::from_str(&body).unwrap();
            if inner.queues.contains(name["QueueName"].as_str().unwrap()) {
                json_response(200, &json!({"QueueUrl": "http://queue"}))
            } else {
                // SQS says its errors by the names of its older protocol, too, and the SDK goes by those.
                let older = "AWS.SimpleQueueService.NonExistentQueue;Sender";
                let answer = error(400, "QueueDoesNotExist", "no such queue", false);
                ([("x-amzn-query-error", older)], answer).into_response()
            }
        }
        operation => match inner.answers.get(operation) {
            Some(Answer::Json(value)) => json_response(200, value),
            Some(Answer::Xml(text)) => xml(operation, text),
            Some(Answer::Error(status, code, message)) => {
                error(*status, code, message, form.contains_key("Action"))
            }
            Some(Answer::Cut) => cut(),
            None => error(501, "NotCanned", operation, form.contains_key("Action")),
        },
    }
}

/// `METHOD /path`, with `*` for the part that names a model or a domain.
fn rest(method: &Method, path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::HEAD, [_bucket]) => "HEAD bucket".to_owned(),
        (
            _,
            [
                kind @ ("foundation-models" | "foundation-model-availability"),
                _,
            ],
        ) => {
            format!("{method} /{kind}/*")
        }
        (_, ["model", _, verb]) => format!("{method} /model/*/{verb}"),
        (_, ["2021-01-01", "opensearch", "domain", _]) => "DescribeDomain".to_owned(),
        _ => format!("{method} {path}"),
    }
}

fn simulated(form: &BTreeMap<String, String>, denied: &BTreeSet<&str>) -> Response {
    let actions = form
        .iter()
        .filter(|(key, _)| key.starts_with("ActionNames.member."));
    let results: String = actions
        .map(|(_, action)| {
            let decision = if denied.contains(action.as_str()) {
                "implicitDeny"
            } else {
                "allowed"
            };
            format!(
                "<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"
            )
        })
        .collect();
    xml(
        "SimulatePrincipalPolicy",
        &format!(
            "<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
        ),
    )
}

fn json_response(status: u16, value: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        [("content-type", "application/json")],
        value.to_string(),
    )
        .into_response()
}

/// Ends in an error of the body, at which the server closes the connection.
fn cut() -> Response {
    let parts = [Ok("{"), Err(std::io::Error::other("cut"))];
    axum::body::Body::from_stream(futures::stream::iter(parts)).into_response()
}

/// EC2 has no result element; a second one beside the fields does no harm to it.
fn xml(operation: &str, text: &str) -> Response {
    let body = if text.contains("Set>") {
        format!("<{operation}Response>{text}</{operation}Response>")
    } else {
        format!(
            "<{operation}Response><{operation}Result>{text}</{operation}Result></{operation}Response>"
        )
    };
    ([("content-type", "text/xml")], body).into_response()
}

fn error(status: u16, code: &str, message: &str, is_query: bool) -> Response {
    if is_query {
        let status = StatusCode::from_u16(status).unwrap();
        let body = format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
        return (status, [("content-type", "text/xml")], body).into_response();
    }
    json_response(status, &json!({"__type": code, "message": message}))
}

fn ready() -> Vec<(&'static str, Answer)> {
    use Answer::{Error, Json, Xml};
    vec![
        (
            "GetCallerIdentity",
            Xml(
                "<Account>111122223333</Account><Arn>arn:aws:sts::111122223333:assumed-role/Deployer/me</Arn>",
            ),
        ),
        (
            "GetRole",
            Xml(
                "<Role><Path>/team/</Path><RoleName>Deployer</RoleName><RoleId>A</RoleId>\
                 <Arn>arn:aws:iam::111122223333:role/team/Deployer</Arn>\
                 <CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>",
            ),
        ),
        (
            "ListStackResources",
            Error(
                400,
                "ValidationError",
                "Stack with id annapurna-prod does not exist",
            ),
        ),
        (
            "DescribeStacks",
            Error(
                400,
                "ValidationError",
                "Stack with id annapurna-prod does not exist",
            ),
        ),
        ("GET /2015-03-31/functions", Json(json!({"Functions": []}))),
        (
            "GET /2016-08-19/account-settings",
            Json(
                json!({"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}}),
            ),
        ),
        ("DescribeLogGroups", Json(json!({"logGroups": []}))),
        ("ListStateMachines", Json(json!({"stateMachines": []}))),
        (
            "DescribeDomain",
            Error(409, "ResourceNotFoundException", "Domain not found"),
        ),
        ("GET /schedules", Json(json!({"Schedules": []}))),
        ("GetServiceQuota", Json(json!({"Quota": {"Value": 8.0}}))),
        (
            "GetAWSDefaultServiceQuota",
            Json(json!({"Quota": {"Value": 0.0}})),
        ),
        (
            "RequestServiceQuotaIncrease",
            Json(json!({"RequestedQuota": {"Status": "PENDING"}})),
        ),
        (
            "DescribeInstanceTypes",
            Xml(
                "<instanceTypeSet><item><instanceType>trn1.2xlarge</instanceType>\
                 <vCpuInfo><defaultVCpus>8</defaultVCpus></vCpuInfo></item></instanceTypeSet>",
            ),
        ),
        (
            "DescribeInstanceTypeOfferings",
            Xml(
                "<instanceTypeOfferingSet><item><location>us-east-1a</location></item></instanceTypeOfferingSet>",
            ),
        ),
        (
            "DescribeVpcs",
            Xml("<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>"),
        ),
        (
            "DescribeSubnets",
            Xml(
                "<subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
                 <availabilityZone>us-east-1a</availabilityZone></item></subnetSet>",
            ),
        ),
        ("DescribeRouteTables", Xml(OPEN)),
        (
            "GetParameter",
            Json(json!({"Parameter": {"Value": "ami-1"}})),
        ),
        ("DescribeImages", Xml(IMAGE)),
        (
            "GET /foundation-models/*",
            Json(json!({"modelDetails": {"modelLifecycle": {"status": "ACTIVE"}}})),
        ),
        (
            "GET /foundation-model-availability/*",
            Json(json!({
                "agreementAvailability": {"status": "AVAILABLE"}, "authorizationStatus": "AUTHORIZED",
                "entitlementAvailability": "AVAILABLE", "regionAvailability": "AVAILABLE",
            })),
        ),
        (
            "GET /use-case-for-model-access",
            Json(json!({"formData": "e30="})),
        ),
        (
            "POST /model/*/converse",
            Json(json!({
                "output": {"message": {"role": "assistant", "content": [
                    {"toolUse": {"toolUseId": "t", "name": "record_ready", "input": {"ready": true}}},
                ]}},
                "stopReason": "tool_use",
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
                "metrics": {"latencyMs": 1},
            })),
        ),
        (
            "POST /model/*/invoke",
            Json(json!({"embedding": vec![0.5; 1024]})),
        ),
    ]
}

const OPEN: &str = "<routeTableSet><item><vpcId>vpc-1</vpcId>\
    <routeSet><item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-1</gatewayId>\
    <state>active</state></item></routeSet>\
    <associationSet><item><main>true</main></item></associationSet></item></routeTableSet>";

/// Of a VPC whose tables have no route to the internet.
pub const CLOSED: &str = "<routeTableSet><item><vpcId>vpc-1</vpcId>\
    <routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId>\
    <state>active</state></item></routeSet>\
    <associationSet><item><main>true</main></item></associationSet></item></routeTableSet>";

const IMAGE: &str = "<imagesSet><item><imageId>ami-1</imageId>\
    <name>Deep Learning AMI Neuron (Ubuntu 22.04) 20260401</name>\
    <description>Neuron SDK 2.29.0, for Trn1</description><rootDeviceName>/dev/sda1</rootDeviceName>\
    <blockDeviceMapping><item><deviceName>/dev/sda1</deviceName><ebs><volumeSize>105</volumeSize></ebs></item>\
    </blockDeviceMapping></item></imagesSet>";

/// The first one with whose PyTorch/XLA AWS does not support training.
pub const UNSUPPORTED_IMAGE: &str = "<imagesSet><item><imageId>ami-1</imageId>\
    <name>Deep Learning AMI Neuron PyTorch 2.9 (Ubuntu 24.04) 20260521</name>\
    <description>Neuron SDK 2.30.0</description><rootDeviceName>/dev/sda1</rootDeviceName>\
    <blockDeviceMapping><item><deviceName>/dev/sda1</deviceName><ebs><volumeSize>105</volumeSize></ebs></item>\
    </blockDeviceMapping></item></imagesSet>";

/// A later one, which has none.
pub const LATER_IMAGE: &str = "<imagesSet><item><imageId>ami-1</imageId>\
    <name>Deep Learning AMI Neuron (Ubuntu 22.04) 20261020</name>\
    <description>Neuron SDK 2.33.0</description><rootDeviceName>/dev/sda1</rootDeviceName>\
    <blockDeviceMapping><item><deviceName>/dev/sda1</deviceName><ebs><volumeSize>105</volumeSize></ebs></item>\
    </blockDeviceMapping></item></imagesSet>";

/// One that is larger than the volume.
pub const LARGE_IMAGE: &str = "<imagesSet><item><imageId>ami-1</imageId>\
    <name>Deep Learning AMI Neuron (Ubuntu 22.04) 20260401</name>\
    <description>Neuron SDK 2.29.0</description><rootDeviceName>/dev/sda1</rootDeviceName>\
    <blockDeviceMapping><item><deviceName>/dev/sda1</deviceName><ebs><volumeSize>600</volumeSize></ebs></item>\
    </blockDeviceMapping></item></imagesSet>";
