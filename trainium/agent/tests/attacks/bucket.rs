//! A stand-in of S3 that keeps what the agent writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// An object as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

type Objects = Arc<Mutex<BTreeMap<String, Object>>>;

/// Every object by `BUCKET/KEY`.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    objects: Objects,
    pub(crate) endpoint: String,
}

impl Bucket {
    /// Listens on a free port until the test ends.
    pub(crate) async fn start() -> Self {
        let objects = Objects::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&objects));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { objects, endpoint }
    }

    /// Takes out everything, so that the next look finds only what is new.
    pub(crate) fn take(&self) -> BTreeMap<String, Object> {
        std::mem::take(&mut self.objects.lock().unwrap())
    }
}

async fn answer(
    State(objects): State<Objects>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method != Method::PUT {
        return (
            StatusCode::NOT_FOUND,
            "<Error><Code>NoSuchKey</Code></Error>",
        )
            .into_response();
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let object = Object {
        content_type: content_type.unwrap_or_default().to_owned(),
        body,
    };
    let key = uri.path().trim_start_matches('/').to_owned();
    objects.lock().unwrap().insert(key, object);
    [(header::ETAG, "\"v1\"")].into_response()
}
