//! Real Bedrock, with the caller's own AWS configuration.
//!
//! In: a request body. Out: Bedrock's response body, or its error, byte for byte. The SDK finds the
//! credentials, the endpoint, and signs; bodies go past its types, so that no field is lost that this
//! SDK version does not know. It does not retry: the caller's SDK does.

use std::sync::{Arc, Mutex, PoisonError};

use annapurna_contract::text::chain;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_bedrockruntime::config::{Config, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_bedrockruntime::error::{BoxError, SdkError};
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_smithy_types::body::SdkBody;
use axum::body::Bytes;
use axum::http::StatusCode;

use super::error::{ERROR_TYPE_HEADER, ModelError};

type HttpResponse = aws_sdk_bedrockruntime::config::http::HttpResponse;

/// A client of the real service.
#[derive(Debug, Clone)]
pub(super) struct Bedrock {
    client: Client,
}

impl Bedrock {
    /// A client for `region` with the credentials chain of `profile`, or of the environment.
    pub(super) async fn new(region: String, profile: Option<&str>) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region));
        let loader = match profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        };
        Self::with_config(&loader.load().await, None)
    }

    /// With no `endpoint_url`, requests go to the region's public endpoint: an endpoint in the
    /// environment is the local one, and this server must not call itself.
    pub(super) fn with_config(config: &SdkConfig, endpoint_url: Option<String>) -> Self {
        let mut builder = aws_sdk_bedrockruntime::config::Builder::from(config)
            .retry_config(RetryConfig::disabled());
        builder.set_endpoint_url(endpoint_url);
        let config: Config = builder.build();
        Self {
            client: Client::from_conf(config),
        }
    }

    /// Passes a Converse request on.
    pub(super) async fn converse(&self, model_id: &str, body: Bytes) -> Result<Bytes, ModelError> {
        let exchange = Exchange {
            request: body,
            response: Arc::default(),
        };
        let response = Arc::clone(&exchange.response);
        let operation = self.client.converse().model_id(model_id);
        operation
            .customize()
            .interceptor(exchange)
            .send()
            .await
            .map_err(to_model_error)?;
        let mut response = response.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *response))
    }

    /// Passes an InvokeModel request on.
    pub(super) async fn invoke(&self, model_id: &str, body: Bytes) -> Result<Bytes, ModelError> {
        let output = self
            .client
            .invoke_model()
            .model_id(model_id)
            .content_type("application/json")
            .accept("application/json")
            .body(Blob::new(body))
            .send()
            .await
            .map_err(to_model_error)?;
        Ok(Bytes::from(output.body.into_inner()))
    }
}

/// Puts the caller's body in the place of the SDK's and keeps the response's.
#[derive(Debug)]
struct Exchange {
    request: Bytes,
    response: Arc<Mutex<Bytes>>,
}

impl Intercept for Exchange {
    fn name(&self) -> &'static str {
        "Exchange"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request
            .headers_mut()
            .try_insert("content-length", self.request.len().to_string())?;
        *request.body_mut() = SdkBody::from(self.request.clone());
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes();
        let body = body.ok_or("the body of bedrock's answer is not there any more")?;
        let mut response = self.response.lock().unwrap_or_else(PoisonError::into_inner);
        *response = Bytes::copy_from_slice(body);
        Ok(())
    }
}

/// Bedrock's own error as it came; a failure on the way there as one the caller's SDK understands.
fn to_model_error<E>(error: SdkError<E, HttpResponse>) -> ModelError
where
    E: std::error::Error + 'static,
{
    if let Some(response) = error.raw_response() {
        let error_type = response.headers().get(ERROR_TYPE_HEADER.as_str());
        return ModelError::Bedrock {
            status: StatusCode::from_u16(response.status().as_u16())
                .unwrap_or(StatusCode::BAD_GATEWAY),
            error_type: error_type.unwrap_or("InternalServerException").to_owned(),
            // Status and type say enough where the body is not there any more.
            body: Bytes::copy_from_slice(response.body().bytes().unwrap_or(b"{}")),
        };
    }
    let reason = chain(&error);
    match error {
        SdkError::TimeoutError(_) => {
            ModelError::ModelTimeout(format!("bedrock did not answer in time: {reason}"))
        }
        // Nothing was sent: finding credentials or signing with them failed.
        SdkError::DispatchFailure(failure) if failure.is_other() => {
            ModelError::AccessDenied(format!("no usable aws credentials for bedrock: {reason}"))
        }
        _ => ModelError::ServiceUnavailable(format!(
            "bedrock was not reached, check the network and the region: {reason}"
        )),
    }
}
