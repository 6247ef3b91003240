//! Errors in the words and the wire form of the Bedrock runtime API.
//!
//! Source of names and status codes: Bedrock API reference, "InvokeModel", "Converse", section Errors.

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Header that names an error's type to the AWS SDKs.
pub(super) const ERROR_TYPE_HEADER: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Characters that an error message shows of a foreign text.
pub(super) const EXCERPT: usize = 200;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModelError {
    /// The request is wrong; sending it again does not help.
    #[error("{0}")]
    Validation(String),
    /// The path names no operation this endpoint has.
    #[error("{0}")]
    UnknownOperation(String),
    /// The model's server, or AWS, wants other credentials.
    #[error("{0}")]
    AccessDenied(String),
    /// The model's server asks for a slower pace.
    #[error("{0}")]
    Throttling(String),
    /// The model's server did not answer in time.
    #[error("{0}")]
    ModelTimeout(String),
    /// The model's server cannot be reached, or failed.
    #[error("{0}")]
    ServiceUnavailable(String),
    /// The model answered something that is not an answer.
    #[error("{0}")]
    Model(String),
    /// What Bedrock itself answered, passed on as it came.
    #[error("bedrock answered {status}: {}", String::from_utf8_lossy(body))]
    Bedrock {
        status: StatusCode,
        error_type: String,
        body: Bytes,
    },
}

impl ModelError {
    /// The type, as the SDKs read it.
    pub(super) fn error_type(&self) -> &str {
        match self {
            Self::Validation(_) => "ValidationException",
            Self::UnknownOperation(_) => "UnknownOperationException",
            Self::AccessDenied(_) => "AccessDeniedException",
            Self::Throttling(_) => "ThrottlingException",
            Self::ModelTimeout(_) => "ModelTimeoutException",
            Self::ServiceUnavailable(_) => "ServiceUnavailableException",
            Self::Model(_) => "ModelErrorException",
            Self::Bedrock { error_type, .. } => error_type,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Validation(_) => StatusCode::BAD_REQUEST,
            Self::UnknownOperation(_) => StatusCode::NOT_FOUND,
            Self::AccessDenied(_) => StatusCode::FORBIDDEN,
            Self::Throttling(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::ModelTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::ServiceUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Model(_) => StatusCode::FAILED_DEPENDENCY,
            Self::Bedrock { status, .. } => *status,
        }
    }
}

impl IntoResponse for ModelError {
    fn into_response(self) -> Response {
        let status = self.status();
        let error_type = [(ERROR_TYPE_HEADER, self.error_type().to_owned())];
        match self {
            Self::Bedrock { body, .. } => {
                let content_type = [(header::CONTENT_TYPE, "application/json")];
                (status, error_type, content_type, body).into_response()
            }
            error => {
                let body = json!({"message": error.to_string()});
                (status, error_type, Json(body)).into_response()
            }
        }
    }
}
