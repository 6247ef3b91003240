//! The `paper-scraper` Lambda function: settings and clients once, then one event after another.

use annapurna_contract::{ScraperConfig, text::excerpt};
use annapurna_runtime::{aws, telemetry};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use paper_scraper::call::Call;
use paper_scraper::scraper::Scraper;
use paper_scraper::settings::Settings;
use paper_scraper::store::Store;
use paper_scraper::{metrics, request};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = Settings::from_config(ScraperConfig::from_env()?)?;
    let config = aws::sdk_config().await;
    let store = Store::new(&config, &settings);
    let scraper = Scraper::new(settings, store)?;
    let scraper = &scraper;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = request::working_time(event.context.deadline());
        let call = Call::read(event.payload, event.context.request_id);
        let n_characters = call.error_characters();
        let answer = scraper.answer(call, deadline).await;
        if let Some(Err(error)) = answer.metrics.as_ref().map(metrics::emit) {
            tracing::warn!(%error, "the run's metrics could not be written");
        }
        // The runtime logs the diagnostic.
        answer.result.map_err(|error| Diagnostic {
            error_type: error.kind().name().to_owned(),
            error_message: excerpt(error.to_string().as_bytes(), n_characters),
        })
    }))
    .await
}
