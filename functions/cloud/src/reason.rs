//! What AWS said, for errors of every client.

use annapurna_contract::text::{chain, one_line};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// Characters of a reason at most.
const LONGEST: usize = 2_000;

/// Why a request of an AWS SDK failed, in one line that is safe to print: the service's code and
/// message; where it gives none, as S3 to a `HEAD`, the answer's status; where there was no answer, what
/// the connection or the credentials said.
pub fn reason<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    match (error.code(), error.message(), status) {
        (Some(code), Some(message), _) => one_line(&format!("{code}: {message}"), LONGEST),
        (Some(code), None, _) => one_line(code, LONGEST),
        (None, _, Some(status)) => format!("{} (HTTP status {status})", chain(error)),
        (None, _, None) => chain(error),
    }
}
