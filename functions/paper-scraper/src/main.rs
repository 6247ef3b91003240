//! The `paper-scraper` Lambda function: settings and clients once, then one event after another.

use std::sync::Arc;

use annapurna_contract::ScraperConfig;
use annapurna_paper_sources::text;
use annapurna_runtime::{aws, telemetry};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use paper_scraper::{metrics, request, run::Scraper, settings::Settings, store::AwsStore};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = Settings::from_config(ScraperConfig::from_env()?)?;
    let config = aws::sdk_config().await;
    let store = AwsStore::new(&config, &settings);
    let scraper = Scraper::new(settings, Arc::new(store))?;
    let scraper = &scraper;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = request::working_time(event.context.deadline());
        // Long enough for a conference's topics; of a window, the state machine keeps it with all others'.
        let is_window = event.payload["step"] == "window";
        let n_characters = if is_window { 400 } else { 4000 };
        let answer = scraper.answer(event.payload, deadline).await;
        if let Some(Err(error)) = answer.metrics.as_ref().map(metrics::emit) {
            tracing::warn!(%error, "the run's metrics could not be written");
        }
        // The runtime logs the diagnostic.
        answer.result.map_err(|error| Diagnostic {
            error_type: error.kind().to_owned(),
            error_message: text::excerpt(error.to_string().as_bytes(), n_characters),
        })
    }))
    .await
}
