//! Stands between the tester and a service: counts its calls, refuses one, or ends the tester in the middle of one.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::Notify;

/// At which call the tester ends: before the service hears of it, or after it has done what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Before(usize),
    After(usize),
}

/// What the tester's calls have come to; shared by the proxies of one tester.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    crash: Option<Crash>,
    crashed: Notify,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: usize,
    /// Of messages that the tester has taken in hand.
    receipts: Vec<String>,
    /// The instance that EC2 does not start, with its code.
    refused: Option<(String, &'static str)>,
}

impl Calls {
    pub(crate) fn new(crash: Option<Crash>) -> Arc<Self> {
        Arc::new(Self {
            crash,
            ..Self::default()
        })
    }

    /// Ends when the tester must.
    pub(crate) async fn crashed(&self) {
        self.crashed.notified().await;
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().count
    }

    pub(crate) fn receipts(&self) -> Vec<String> {
        self.seen.lock().unwrap().receipts.clone()
    }

    /// Has EC2 refuse to start this instance; `None`: none.
    pub(crate) fn refuse(&self, refused: Option<(String, &'static str)>) {
        self.seen.lock().unwrap().refused = refused;
    }

    async fn end(&self) -> Infallible {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

#[derive(Clone)]
struct Door {
    target: String,
    client: reqwest::Client,
    calls: Arc<Calls>,
}

/// Listens for as long as the test's runtime lives; gives the address in place of `target`.
pub(crate) async fn before(target: &str, calls: &Arc<Calls>) -> String {
    let door = Door {
        target: target.trim_end_matches('/').to_owned(),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        calls: Arc::clone(calls),
    };
    let router = Router::new().fallback(pass_on).with_state(door);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The same configuration by way of a proxy.
pub(crate) async fn before_aws(sdk: &SdkConfig, calls: &Arc<Calls>) -> SdkConfig {
    let url = before(sdk.endpoint_url().unwrap(), calls).await;
    sdk.to_builder().endpoint_url(url).build()
}

async fn pass_on(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let calls = &door.calls;
    let (number, refused) = {
        let mut seen = calls.seen.lock().unwrap();
        seen.count += 1;
        (seen.count, seen.refused.clone())
    };
    if let Some((id, code)) = refused
        && starts(&body, &id)
    {
        return refusal(code);
    }
    if calls.crash == Some(Crash::Before(number)) {
        match calls.end().await {}
    }
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let sent = door
        .client
        .request(parts.method, format!("{}{path}", door.target))
        .headers(headers)
        .body(body);
    let answer = sent.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    remember_receipts(calls, &body);
    if calls.crash == Some(Crash::After(number)) {
        match calls.end().await {}
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    response
}

fn starts(body: &Bytes, id: &str) -> bool {
    let form = String::from_utf8_lossy(body);
    form.contains("Action=StartInstances") && form.contains(id)
}

/// As EC2 says it. Source: EC2 API reference, "Error codes for the Amazon EC2 API".
fn refusal(code: &str) -> Response {
    let error = format!("<Code>{code}</Code><Message>There is none in this zone.</Message>");
    let body = format!(
        "<Response><Errors><Error>{error}</Error></Errors><RequestID>1</RequestID></Response>"
    );
    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
}

/// The receipts in an answer of `ReceiveMessage`, which no other answer has.
fn remember_receipts(calls: &Calls, body: &Bytes) {
    let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let messages = answer["Messages"].as_array().into_iter().flatten();
    let receipts = messages.filter_map(|it| it["ReceiptHandle"].as_str());
    let mut seen = calls.seen.lock().unwrap();
    seen.receipts.extend(receipts.map(str::to_owned));
}
