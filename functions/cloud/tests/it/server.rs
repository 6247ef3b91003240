//! A stand-in of an AWS service: it answers as a test says and remembers what it was asked.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_s3::config::Credentials;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use tokio::net::TcpListener;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Every request so far, in order.
pub(crate) type Seen = Arc<Mutex<Vec<Request>>>;

type Answer = Arc<dyn Fn(&Request) -> Response<Body> + Send + Sync>;

async fn handle(
    State((answer, seen)): State<(Answer, Seen)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path().to_owned();
    let request = Request {
        method,
        path,
        headers,
        body,
    };
    let response = answer(&request);
    seen.lock().unwrap().push(request);
    response
}

/// The settings of a client whose service answers each request so, and what it was asked.
pub(crate) async fn service(
    answer: impl Fn(&Request) -> Response<Body> + Send + Sync + 'static,
) -> (SdkConfig, Seen) {
    let seen = Seen::default();
    let answer: Answer = Arc::new(answer);
    let router = Router::new()
        .fallback(handle)
        .with_state((answer, Arc::clone(&seen)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (config(&address.to_string()).await, seen)
}

/// The settings of a client of the service at an address, which is asked once and not again.
pub(crate) async fn config(address: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}
