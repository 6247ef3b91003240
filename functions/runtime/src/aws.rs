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

/// A client of S3 that also works with an emulator.
///
/// An emulator has no DNS name for each bucket, so a set endpoint means path-style addresses.
pub fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let own_endpoint =
        config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let settings = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(own_endpoint)
        .build();
    aws_sdk_s3::Client::from_conf(settings)
}
