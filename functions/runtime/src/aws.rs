//! The AWS configuration of a function.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};

/// Credentials, region and endpoints as Lambda, or the local environment, sets them.
///
/// Endpoints come from `AWS_ENDPOINT_URL` and its per-service forms, which the SDK reads itself.
pub async fn sdk_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .load()
        .await
}
