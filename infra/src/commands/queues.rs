use std::process::ExitCode;

use annapurna_contract::Queue;
use annapurna_stack::environment::Environment;
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Serialize;

use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::ui;

/// Show how many messages wait, are being worked on, and have failed
#[derive(Debug, clap::Args)]
pub(super) struct QueuesArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Messages of one queue, as SQS counts them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Count {
    pub(super) queue: String,
    pub(super) waiting: u64,
    pub(super) in_flight: u64,
    pub(super) dead: u64,
}

pub(super) async fn run(cx: &Context, args: QueuesArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    let counts = counts(&target.cloud, &target.environment).await?;
    if args.json {
        cx.ui.json(&counts)?;
    } else {
        cx.ui.result(table(&counts))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn table(counts: &[Count]) -> String {
    let rows: Vec<Vec<String>> = counts
        .iter()
        .map(|it| {
            let numbers = [it.waiting, it.in_flight, it.dead].map(|number| number.to_string());
            [vec![it.queue.clone()], numbers.to_vec()].concat()
        })
        .collect();
    ui::table(&["QUEUE", "WAITING", "IN FLIGHT", "DEAD LETTERS"], &rows)
}

/// The four queues, in the order a paper passes them.
pub(super) async fn counts(
    cloud: &Cloud,
    environment: &Environment,
) -> Result<Vec<Count>, CommandError> {
    let count = |queue: Queue| async move {
        let name = environment.named(&queue.name());
        let dead = environment.named(&queue.dead_letter_name());
        let ((waiting, in_flight), (dead, _)) =
            tokio::try_join!(messages(cloud, &name), messages(cloud, &dead))?;
        Ok::<_, CommandError>(Count {
            queue: name,
            waiting,
            in_flight,
            dead,
        })
    };
    futures::future::try_join_all(Queue::ALL.map(count)).await
}

async fn messages(cloud: &Cloud, name: &str) -> Result<(u64, u64), CommandError> {
    let url = cloud.sqs.get_queue_url().queue_name(name).send().await;
    let url = url.map_err(CommandError::aws(format!("find queue {name}")))?;
    let visible = QueueAttributeName::ApproximateNumberOfMessages;
    let hidden = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    let request = cloud
        .sqs
        .get_queue_attributes()
        .set_queue_url(url.queue_url)
        .attribute_names(visible.clone())
        .attribute_names(hidden.clone());
    let answer = request.send().await;
    let answer = answer.map_err(CommandError::aws(format!("count the messages of {name}")))?;
    let number = |attribute| {
        let attributes = answer.attributes()?;
        attributes.get(&attribute)?.parse().ok()
    };
    Ok((number(visible).unwrap_or(0), number(hidden).unwrap_or(0)))
}
