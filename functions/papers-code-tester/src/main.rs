//! The Lambda function `PapersCodeTester`.

use std::time::{Duration, SystemTime};

use annapurna_contract::TesterConfig;
use annapurna_runtime::{aws, error_message, telemetry};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use papers_code_tester::Tester;
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let tester = Tester::new(&aws::sdk_config().await, TesterConfig::from_env()?)?;
    let tester = &tester;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        let end = event.context.deadline();
        let left = end
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO);
        let answer = Box::pin(tester.handle(event.payload, left)).await;
        // The runtime logs the diagnostic.
        answer.map_err(|error| Diagnostic {
            error_type: error.error_type().to_owned(),
            error_message: error_message(&error),
        })
    }))
    .await
}
