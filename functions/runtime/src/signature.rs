//! Requests signed for AWS (version 4), for what has no SDK client here: the index, and what `infra` asks once.

use std::time::SystemTime;

use annapurna_contract::text::chain;
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Method;

/// Signs requests to one service in one region.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    service: &'static str,
}

/// Why a request cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is nothing to sign with, or the signing failed.
    #[error("{0}")]
    Unsigned(String),
    /// No request can be made of address and headers.
    #[error("{0}")]
    Request(String),
}

impl Signer {
    /// With the credentials of `config`; `service` is its name in signatures, such as `es`. Without a region it is
    /// us-east-1, where services without regions are.
    pub fn new(config: &SdkConfig, service: &'static str) -> Self {
        let region = config.region();
        Self {
            credentials: config.credentials_provider(),
            region: region.map_or_else(|| "us-east-1".to_owned(), ToString::to_string),
            service,
        }
    }

    /// Such as `us-east-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A request that is signed now: a signature is valid for minutes only.
    ///
    /// # Errors
    ///
    /// See [`SignatureError`].
    pub async fn request(
        &self,
        http: &reqwest::Client,
        method: Method,
        address: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<reqwest::Request, SignatureError> {
        let signed = self.headers(&method, address, headers, &body).await?;
        let mut request = http.request(method, address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        let request = request.build();
        request.map_err(|error| SignatureError::Request(chain(&error.without_url())))
    }

    /// What the signature adds.
    async fn headers(
        &self,
        method: &Method,
        address: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Vec<(String, String)>, SignatureError> {
        let unsigned = SignatureError::Unsigned;
        let provider = self.credentials.as_ref();
        let provider = provider.ok_or_else(|| unsigned("no credentials".to_owned()))?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials.map_err(|error| unsigned(chain(&error)))?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            address,
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signable = signable.map_err(|error| unsigned(error.to_string()))?;
        let signature = sign(signable, &parameters);
        let signature = signature.map_err(|error| unsigned(error.to_string()))?;
        let added = signature.output().headers();
        Ok(added
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}
