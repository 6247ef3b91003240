//! Starts and stops instances, after a question.

use std::process::ExitCode;
use std::time::Duration;

use annapurna_contract::Queue;
use annapurna_stack::environment::Environment;
use tokio::time::{Instant, sleep};

use crate::cloud::Cloud;
use crate::commands::queues::messages;
use crate::commands::{Context, Target};
use crate::error::CommandError;
use crate::instances::{self, Seen};

/// Longest wait until EC2 says that an instance runs; a boot comes after that.
const STARTED_WITHIN: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(2);

/// Starts those that are stopped.
pub(super) async fn start(
    cx: &Context,
    target: &Target,
    seen: &[Seen],
    yes: bool,
) -> Result<ExitCode, CommandError> {
    let stopped = in_state(seen, "stopped");
    if stopped.is_empty() {
        cx.ui.status(format!("None is stopped: {}", states(seen)));
        return Ok(ExitCode::SUCCESS);
    }
    start_stopped(cx, target, &stopped, yes).await?;
    Ok(ExitCode::SUCCESS)
}

/// Asks, starts these and waits until they run.
///
/// # Errors
///
/// [`CommandError::Declined`]; EC2's own refusal, such as for want of capacity.
pub(in crate::commands) async fn start_stopped(
    cx: &Context,
    target: &Target,
    ids: &[String],
    yes: bool,
) -> Result<(), CommandError> {
    let question = format!("Start {}{}?", ids.join(", "), price(&target.environment));
    if !yes && !cx.ui.confirm(&question).await? {
        return Err(CommandError::Declined {
            left: "no instance was started".to_owned(),
            again: None,
        });
    }
    let request = target.cloud.ec2.start_instances();
    let started = request.set_instance_ids(Some(ids.to_vec())).send().await;
    started.map_err(CommandError::aws(format!("start {}", ids.join(", "))))?;
    let step = cx.ui.begin(format!("{} starting", ids.join(", ")));
    until_running(&target.cloud, &target.environment, ids).await?;
    drop(step);
    cx.ui
        .done(format!("Started {}; a boot takes minutes", ids.join(", ")));
    Ok(())
}

async fn until_running(
    cloud: &Cloud,
    environment: &Environment,
    ids: &[String],
) -> Result<(), CommandError> {
    let begin = Instant::now();
    loop {
        let seen = instances::seen(cloud, environment).await?;
        let running = in_state(&seen, "running");
        if ids.iter().all(|id| running.contains(id)) {
            return Ok(());
        }
        if begin.elapsed() > STARTED_WITHIN {
            return Err(CommandError::TimedOut {
                what: format!("the start of {}", ids.join(", ")),
                limit_secs: STARTED_WITHIN.as_secs(),
            });
        }
        sleep(PAUSE).await;
    }
}

/// Stops those that run.
pub(super) async fn stop(
    cx: &Context,
    target: &Target,
    seen: &[Seen],
    yes: bool,
) -> Result<ExitCode, CommandError> {
    let running: Vec<String> = [in_state(seen, "running"), in_state(seen, "pending")].concat();
    if running.is_empty() {
        cx.ui.status(format!("None runs: {}", states(seen)));
        return Ok(ExitCode::SUCCESS);
    }
    let queue = target.environment.named(&Queue::CodeTesting.name());
    let batches = messages(&target.cloud.sqs, &queue).await?.total();
    let work = match batches {
        0 => String::new(),
        _ => format!(
            "{batches} batches are queued or being run: what runs is run again, and the tester starts an instance for \
             it within a minute. "
        ),
    };
    let question = format!("{work}Stop {}?", running.join(", "));
    if !yes && !cx.ui.confirm(&question).await? {
        return Err(CommandError::Declined {
            left: "no instance was stopped".to_owned(),
            again: None,
        });
    }
    let request = target.cloud.ec2.stop_instances();
    let stopped = request.set_instance_ids(Some(running.clone())).send().await;
    stopped.map_err(CommandError::aws(format!("stop {}", running.join(", "))))?;
    cx.ui.done(format!("{} stopping", running.join(", ")));
    Ok(ExitCode::SUCCESS)
}

fn in_state(seen: &[Seen], state: &str) -> Vec<String> {
    let these = seen.iter().filter(|it| it.state == state);
    these.map(|it| it.id.clone()).collect()
}

fn states(seen: &[Seen]) -> String {
    let each = seen.iter().map(|it| format!("{} is {}", it.id, it.state));
    each.collect::<Vec<_>>().join(", ")
}

/// What a started one costs, and until when.
fn price(environment: &Environment) -> String {
    environment
        .trainium
        .as_ref()
        .map_or_else(String::new, |it| {
            format!(
                " at {} US dollars an hour each, until {} minutes without work",
                it.hourly_price_usd(),
                it.idle_stop_minutes
            )
        })
}
