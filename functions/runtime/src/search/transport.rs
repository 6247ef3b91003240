//! Requests to the index: signed, and sent again while it is busy.

use std::time::Duration;

use annapurna_cloud::Retry;
use annapurna_contract::text::{chain, one_line};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Search, SearchError};
use crate::SignatureError;

/// While the index is busy or cannot be reached.
pub(super) const RETRY: Retry = Retry {
    attempts: 5,
    first_wait: Duration::from_millis(250),
    total: Duration::from_secs(60),
};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The index is busy or cannot be reached: this passes.
    #[error("{0}")]
    Busy(String),
    /// The request cannot be made.
    #[error(transparent)]
    Final(SearchError),
}

impl Search {
    /// Sends until the index has an answer: any status but 429 and 5xx.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), SearchError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let sent = RETRY.run(
            |failure| matches!(failure, Failure::Busy(_)),
            || self.send_once(&method, path, &body),
        );
        sent.await.map_err(|failure| match failure {
            Failure::Busy(reason) => SearchError::Unavailable {
                index: self.index.clone(),
                reason,
            },
            Failure::Final(error) => error,
        })
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let busy = |error: reqwest::Error| Failure::Busy(chain(&error.without_url()));
        // Signed anew each time: a signature is valid for minutes only.
        let request = self.signed(method.clone(), path, body.to_owned()).await;
        let request = request.map_err(Failure::Final)?;
        let response = self.http.execute(request).await.map_err(busy)?;
        let status = response.status();
        let text = response.text().await.map_err(busy)?;
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let reason = format!("status {status}: {}", one_line(&text, 300));
            return Err(Failure::Busy(reason));
        }
        // What is not JSON is a proxy's page; its text is the reason.
        let answer = serde_json::from_str(&text).unwrap_or_else(|_| json!(one_line(&text, 300)));
        Ok((status, answer))
    }

    async fn signed(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<reqwest::Request, SearchError> {
        let address = format!("{}{}/{path}", self.endpoint, self.index);
        let address = address.trim_end_matches('/');
        let headers = [("content-type", "application/json")];
        let signed = self
            .signer
            .request(&self.http, method, address, &headers, body);
        signed.await.map_err(|error| match error {
            SignatureError::Unsigned(reason) => SearchError::Credentials { reason },
            SignatureError::Request(_) => SearchError::Endpoint {
                value: self.endpoint.to_string(),
            },
        })
    }
}
