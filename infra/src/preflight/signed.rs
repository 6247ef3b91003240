//! Six read-only questions to services whose SDK crates are not built here.
//!
//! `aws-sdk-bedrock`, `-servicequotas` and `-scheduler` would be compiled by everybody who runs `infra` for one to three
//! calls each. The endpoint is the region's, or the one of the SDK's configuration.

use std::time::Duration;

use annapurna_contract::text::{chain, one_line};
use annapurna_runtime::Signer;
use aws_config::SdkConfig;
use reqwest::Method;
use serde_json::Value;

use crate::error::{CommandError, Obstacle};

/// Nothing asked here takes longer.
const LIMIT: Duration = Duration::from_secs(20);
/// Of a service's message.
const EXCERPT: usize = 300;

/// A service by the first part of its host, which is also its name in signatures.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    Bedrock,
    Scheduler,
    Quotas,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Scheduler => "scheduler",
            Self::Quotas => "servicequotas",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The service's own error.
    #[error("{code}: {message}")]
    Service {
        /// Such as `ResourceNotFoundException`.
        code: String,
        message: String,
    },
    /// It was not reached, or there is nothing to sign with.
    #[error("{0}")]
    Unreached(String),
}

impl Refusal {
    /// Whether it is this error of the service.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Service { code, .. } if code == wanted)
    }

    /// The same as an error of a command; `doing` is a verb with its object.
    pub(super) fn of(&self, doing: &str) -> CommandError {
        let (doing, reason) = (doing.to_owned(), self.to_string());
        match self {
            Self::Service { .. } => CommandError::Aws { doing, reason },
            Self::Unreached(_) => CommandError::Passing {
                doing,
                obstacle: Obstacle::Network,
                reason,
            },
        }
    }
}

/// Sends signed requests.
#[derive(Debug)]
pub(super) struct Signed {
    config: SdkConfig,
    http: reqwest::Client,
}

impl Signed {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            config: config.clone(),
            http: reqwest::Client::new(),
        }
    }

    /// A REST call without a body.
    pub(super) async fn get(&self, service: Service, path: &str) -> Result<Value, Refusal> {
        self.send(service, Method::GET, path, &[], String::new())
            .await
    }

    /// A call of the AWS JSON 1.1 protocol; `target` is the service's name for itself and the operation.
    pub(super) async fn call(
        &self,
        service: Service,
        target: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
        ];
        self.send(service, Method::POST, "/", &headers, body.to_string())
            .await
    }

    async fn send(
        &self,
        service: Service,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Value, Refusal> {
        let signer = Signer::new(&self.config, service.name());
        let address = format!("{}{path}", self.endpoint(service, signer.region()));
        let request = signer.request(&self.http, method, &address, headers, body);
        let request = request.await;
        let mut request = request.map_err(|error| Refusal::Unreached(error.to_string()))?;
        *request.timeout_mut() = Some(LIMIT);
        let unreached = |error: reqwest::Error| Refusal::Unreached(chain(&error.without_url()));
        let response = self.http.execute(request).await.map_err(unreached)?;
        let status = response.status();
        let header = response.headers().get("x-amzn-errortype");
        let code = header.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let text = response.text().await.map_err(unreached)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        Err(refusal(status, code, &answer, &text))
    }

    fn endpoint(&self, service: Service, region: &str) -> String {
        match self.config.endpoint_url() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{}.{region}.amazonaws.com", service.name()),
        }
    }
}

/// The service's error by its header, else by its body; `com.amazon.x#Code:http://…` is `Code`.
fn refusal(
    status: reqwest::StatusCode,
    header: Option<String>,
    answer: &Value,
    text: &str,
) -> Refusal {
    let of = |key: &str| answer[key].as_str().map(str::to_owned);
    let code = header.or_else(|| of("__type")).or_else(|| of("code"));
    let code = code.unwrap_or_else(|| format!("status {}", status.as_u16()));
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let message = of("message").or_else(|| of("Message"));
    Refusal::Service {
        code: one_line(code, EXCERPT),
        message: one_line(message.as_deref().unwrap_or(text), EXCERPT),
    }
}
