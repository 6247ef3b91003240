//! The Lambda function `PapersCodeGenerator`.

use std::time::{Duration, SystemTime};

use annapurna_contract::GeneratorConfig;
use annapurna_runtime::{Model, aws, error_message, telemetry};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use papers_code_generator::{Generator, error_type};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let sdk = aws::sdk_config().await;
    let generator = Generator::new(&sdk, Model::new(&sdk), GeneratorConfig::from_env()?)?;
    let generator = &generator;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        let end = event.context.deadline();
        let left = end
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO);
        let answer = Box::pin(generator.handle(event.payload, left)).await;
        // The runtime logs the diagnostic.
        answer.map_err(|error| Diagnostic {
            error_type: error_type(&error).to_owned(),
            error_message: error_message(&error),
        })
    }))
    .await
}
