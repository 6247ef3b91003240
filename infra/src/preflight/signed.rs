//! Six read-only questions to services whose SDK crates are not built here.
//!
//! `aws-sdk-bedrock`, `-servicequotas` and `-scheduler` would be compiled by everybody who runs `infra` for one to three
//! calls each. The endpoint is the region's, or the one of the SDK's configuration.

use std::time::Duration;

use annapurna_cloud::Retry;
use annapurna_contract::text::{chain, one_line};
use annapurna_runtime::{SignatureError, Signer};
use aws_config::SdkConfig;
use reqwest::Method;
use serde_json::Value;

use crate::error::{CommandError, CredentialsReport, Obstacle};

/// Nothing asked here takes longer.
const LIMIT: Duration = Duration::from_secs(20);
/// Throttled, failing and unreached services are asked for about twelve seconds, since the SDK asks again, too.
const RETRY: Retry = Retry {
    attempts: 6,
    first_wait: Duration::from_millis(500),
    total: Duration::from_secs(60),
};
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
        /// Of HTTP.
        status: u16,
        /// Such as `ResourceNotFoundException`.
        code: String,
        message: String,
    },
    /// It was not reached.
    #[error("{0}")]
    Unreached(String),
    /// Nothing was sent: there is nothing to sign with, or no request could be made.
    #[error(transparent)]
    Unsent(#[from] SignatureError),
}

impl Refusal {
    /// Whether it is this error of the service.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Service { code, .. } if code == wanted)
    }

    /// What stands in the way of an answer, where that is not the service's last word.
    fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Service { status, code, .. } => Obstacle::of_answer(*status, Some(code)),
            Self::Unreached(_) => Some(Obstacle::Network),
            Self::Unsent(_) => None,
        }
    }

    /// The same as an error of a command; `doing` is a verb with its object.
    pub(super) fn of(&self, doing: &str) -> CommandError {
        let (doing, reason) = (doing.to_owned(), self.to_string());
        match (self, self.obstacle()) {
            (Self::Unsent(SignatureError::Unsigned(_)), _) => CommandError::NoCredentials {
                source: CredentialsReport(reason),
            },
            (_, Some(obstacle)) => CommandError::Passing {
                doing,
                obstacle,
                reason,
            },
            (_, None) => CommandError::Aws { doing, reason },
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
        let may_pass = |refusal: &Refusal| {
            let obstacle = refusal.obstacle();
            obstacle.is_some_and(Obstacle::passes_by_itself)
        };
        let once = || self.send_once(service, method.clone(), path, headers, body.clone());
        RETRY.run(may_pass, once).await
    }

    async fn send_once(
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
        let mut request = request.await?;
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
        status: status.as_u16(),
        code: one_line(code, EXCERPT),
        message: one_line(message.as_deref().unwrap_or(text), EXCERPT),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;

    fn service(status: u16, code: &str) -> Refusal {
        Refusal::Service {
            status,
            code: code.to_owned(),
            message: "why".to_owned(),
        }
    }

    #[test]
    fn each_obstacle_has_its_own_words_and_is_tried_again_only_where_it_passes() {
        for (refusal, words, hint, passes) in [
            (
                service(400, "ExpiredTokenException"),
                "the credentials have expired",
                "sign in again",
                false,
            ),
            (
                service(400, "ThrottlingException"),
                "AWS takes no more requests",
                "wait a minute",
                true,
            ),
            (
                service(503, "ServiceUnavailable"),
                "the service fails for now",
                "wait a minute",
                true,
            ),
            (
                Refusal::Unreached("no route".to_owned()),
                "AWS was not reached",
                "when the network is back",
                true,
            ),
        ] {
            let obstacle = refusal.obstacle().unwrap();
            assert_eq!(obstacle.passes_by_itself(), passes, "{refusal}");
            let error = refusal.of("list the schedules");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
        let last_word = service(404, "ResourceNotFoundException");
        assert_eq!(last_word.obstacle(), None);
    }

    #[tokio::test]
    async fn without_credentials_nothing_is_said_of_the_network() {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .build();
        let signed = Signed::new(&config);
        let asked = signed.get(Service::Scheduler, "/schedules").await;
        let error = asked.unwrap_err().of("list the schedules");
        assert!(
            matches!(error, CommandError::NoCredentials { .. }),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("sign in"), "{error}");
    }
}
