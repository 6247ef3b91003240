//! The Lambda function `PapersJudge`.

use std::time::{Duration, SystemTime};

use annapurna_contract::JudgeConfig;
use annapurna_runtime::{Model, aws, telemetry};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use papers_judge::Judge;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let sdk = aws::sdk_config().await;
    let judge = Judge::new(&sdk, Model::new(&sdk), JudgeConfig::from_env()?)?;
    let judge = &judge;
    lambda_runtime::run(service_fn(|event: LambdaEvent<_>| async move {
        let end = event.context.deadline();
        let left = end
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO);
        Ok::<_, Error>(Box::pin(judge.handle(event.payload, left)).await)
    }))
    .await
}
