//! Structured logs on standard output, which Lambda carries to CloudWatch Logs.

use tracing_subscriber::EnvFilter;

/// Sends every event as one line of JSON to standard output.
///
/// The level is `RUST_LOG`, or `info`. A second call changes nothing, so tests may call it too.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Lambda stamps each line itself; an error means a subscriber is already there.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(true)
        .with_span_list(false)
        .without_time()
        .with_env_filter(filter)
        .try_init();
}
