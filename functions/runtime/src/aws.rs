//! The AWS configuration of a function.

use aws_config::{BehaviorVersion, SdkConfig};

/// Credentials, region and endpoints as Lambda, or the local environment, sets them.
///
/// Endpoints come from `AWS_ENDPOINT_URL` and its per-service forms, which the SDK reads itself.
pub async fn sdk_config() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}
