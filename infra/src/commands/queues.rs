use std::process::ExitCode;

use annapurna_cloud::{Counts, QueueError, Sqs};
use annapurna_contract::Queue;
use annapurna_contract::names::FAILED_EVENTS;
use annapurna_stack::environment::Environment;
use serde::Serialize;

use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::ui;

/// Show how many messages wait, are being worked on, and have failed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra queues local
  cargo infra queues prod --json         Counts for a script")]
pub(super) struct QueuesArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
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

/// The four queues, in the order a paper passes them, and that of events which no repetition healed: dead letters, all
/// of them.
pub(super) async fn counts(
    cloud: &Cloud,
    environment: &Environment,
) -> Result<Vec<Count>, CommandError> {
    let count = |queue: Queue| async move {
        let name = environment.named(&queue.name());
        let dead = environment.named(&queue.dead_letter_name());
        let (live, dead) =
            tokio::try_join!(messages(&cloud.sqs, &name), messages(&cloud.sqs, &dead))?;
        Ok::<_, CommandError>(Count {
            queue: name,
            waiting: live.waiting,
            in_flight: live.in_flight,
            dead: dead.waiting,
        })
    };
    let name = environment.named(FAILED_EVENTS);
    let (mut counts, failed) = tokio::try_join!(
        futures::future::try_join_all(Queue::ALL.map(count)),
        messages(&cloud.sqs, &name)
    )?;
    counts.push(Count {
        queue: name,
        waiting: 0,
        in_flight: failed.in_flight,
        dead: failed.waiting,
    });
    Ok(counts)
}

/// The messages of the queue with this name.
pub(super) async fn messages(sqs: &Sqs, name: &str) -> Result<Counts, CommandError> {
    let failed = |error: QueueError| CommandError::Aws {
        doing: format!("count the messages of {name}"),
        reason: error.reason,
    };
    let url = sqs.url(name, None).await.map_err(failed)?;
    sqs.counts(&url).await.map_err(failed)
}
