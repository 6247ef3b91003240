//! Follows one batch until its result is there.

use std::time::Duration;

use annapurna_contract::{CodeTestingMessage, PaperId, TestResult};
use annapurna_stack::outputs::Output;
use tokio::time::{Instant, sleep};

use super::heard::Heard;
use crate::commands::{Context, Target};
use crate::error::CommandError;
use crate::test_outputs::TestOutputs;
use crate::{index, instances};

const PAUSE: Duration = Duration::from_secs(2);
/// Least time between two lines where no line moves.
const BETWEEN_LINES: Duration = Duration::from_secs(30);
/// How long the queue shows nothing until the batch counts as gone: longer than the minute after which SQS's counts
/// are right. Source: SQS developer guide, "Available CloudWatch metrics for Amazon SQS".
const GONE_AFTER: Duration = Duration::from_secs(90);
/// Longest wait for a result. Ten batches that wait before it need so long on one instance.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Longest wait until the collector has written a result into the index.
const INDEXED_WITHIN: Duration = Duration::from_secs(60);

/// A batch that was sent.
pub(super) struct Awaited<'a> {
    pub(super) outputs: &'a TestOutputs<'a>,
    /// URL of the queue that it is in.
    pub(super) queue: &'a str,
    /// The folder in which its result comes.
    pub(super) prefix: &'a str,
    /// The folder of what the program prints while it runs.
    pub(super) live: &'a str,
    pub(super) batch: &'a CodeTestingMessage,
}

impl Awaited<'_> {
    /// Waits for the result, and says what it waits for.
    ///
    /// # Errors
    ///
    /// [`CommandError::GoesOn`] at Ctrl-C; [`CommandError::BatchGone`] when no queue has the batch and no result came.
    pub(super) async fn result(
        &self,
        cx: &Context,
        target: &Target,
    ) -> Result<(TestResult, Heard), CommandError> {
        let _held = cx.interrupt.hold();
        let outcome = cx.interrupt.or(self.follow(cx, target)).await;
        match outcome {
            Err(CommandError::Interrupted) => {
                let id = &self.batch.batch_id;
                Err(CommandError::GoesOn {
                    execution: format!("batch {id}"),
                    again: format!("cargo infra trainium {} status", target.environment.name),
                })
            }
            outcome => outcome,
        }
    }

    /// Ends the wait for a batch that is in no queue any more, or that takes too long.
    fn in_time(
        &self,
        target: &Target,
        begin: Instant,
        seen_at: Instant,
    ) -> Result<(), CommandError> {
        let batch_id = &self.batch.batch_id;
        if seen_at.elapsed() > GONE_AFTER {
            return Err(CommandError::BatchGone {
                environment: target.environment.name.clone(),
                batch_id: batch_id.clone(),
            });
        }
        if begin.elapsed() > LONGEST {
            return Err(CommandError::TimedOut {
                what: format!("batch {batch_id}"),
                limit_secs: LONGEST.as_secs(),
            });
        }
        Ok(())
    }

    async fn follow(
        &self,
        cx: &Context,
        target: &Target,
    ) -> Result<(TestResult, Heard), CommandError> {
        let begin = Instant::now();
        let mut said = Instant::now();
        let mut seen_at = Instant::now();
        let batch_id = &self.batch.batch_id;
        let mut heard = Heard::default();
        let mut step = Some(cx.ui.begin(format!("batch {batch_id} is sent")));
        loop {
            let result = self.outputs.result(self.prefix).await?;
            if let Some(result) = result.filter(|it| it.batch_id == *batch_id) {
                return Ok((result, heard));
            }
            if self.batch.live && heard.more(cx, self.outputs, self.live).await? {
                // What moves would stand between the lines.
                step = None;
            }
            let counts = target.cloud.sqs.counts(self.queue).await?;
            if counts.total() > 0 {
                seen_at = Instant::now();
            }
            self.in_time(target, begin, seen_at)?;
            let line = format!(
                "{} of the batches wait and {} run{}",
                counts.waiting,
                counts.in_flight,
                states(target).await?
            );
            match &step {
                Some(step) => step.says(&line),
                None => said = Instant::now(),
            }
            if !cx.ui.is_interactive() && said.elapsed() >= BETWEEN_LINES {
                cx.ui.status(&line);
                said = Instant::now();
            }
            sleep(PAUSE).await;
        }
    }
}

/// How the instances are, where there are any.
async fn states(target: &Target) -> Result<String, CommandError> {
    let seen = instances::seen(&target.cloud, &target.environment).await?;
    let each = seen.iter().map(|it| format!("; {} is {}", it.id, it.state));
    Ok(each.collect())
}

/// Waits until the index shows the result; that it does not yet is only said.
pub(super) async fn until_indexed(
    cx: &Context,
    target: &Target,
    paper: &PaperId,
    result: &TestResult,
) -> Result<(), CommandError> {
    let endpoint = target.deployed.outputs.get(Output::SearchEndpoint)?;
    let search = index::search(&target.cloud, endpoint)?;
    let begin = Instant::now();
    let step = cx.ui.begin("the result is on its way to the index");
    while begin.elapsed() < INDEXED_WITHIN {
        let Some(stored) = search.get(paper).await? else {
            cx.ui.warn(format!(
                "paper {paper} is not in the index: its result is in the bucket only"
            ));
            return Ok(());
        };
        let at = stored.record.tested.tested_at;
        if at.as_deref() == Some(result.finished_at.as_str()) {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    drop(step);
    cx.ui.warn("the index does not show the result yet");
    Ok(())
}
