//! Requests that nobody signed: what the SDK says when it finds no credentials.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;

/// What the SDK says of each way in which it looked for credentials, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsReport(pub(crate) String);

/// Whether an error comes from looking for credentials.
pub(super) fn is_of_credentials(error: &(dyn Error + 'static)) -> bool {
    let is_it = error.is::<CredentialsError>();
    is_it || error.source().is_some_and(is_of_credentials)
}
