//! Structured logs on standard output, which Lambda carries to CloudWatch Logs.
//!
//! Each event is one JSON object on one line, written at once, so lines that other code writes there,
//! such as metrics, stay whole. Text of papers and pages is only ever a value in it: CloudWatch makes
//! metrics of nothing that is quoted.

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
