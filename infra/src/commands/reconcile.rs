//! Sends again what the queues lost, from what the buckets and the index say.
//!
//! In: a deployed environment. Out: for each paper that is neither finished, nor rejected, nor a dead
//! letter, the one message that its next stage needs, and a count of what was sent. What a stage wrote is
//! evidence that it was there; [`next::next`] decides from that alone, and [`evidence`] reads it.
//!
//! What is guaranteed: a paper with a record that was meant for the judge goes on, whatever queue lost its
//! message, and whatever part of its document the index lost; so do a revision that was not judged, a PDF and a title that
//! the document does not have. A message that was not lost is sent a second
//! time, which is harmless and costs no model: SQS drops it within five minutes of the first, since both
//! ids are made from the content; after that it waits behind the first, which has the same group, and each
//! stage recognises what it has done. Only the program of a batch under way may get into another batch,
//! where the agent skips it once it has a result.
//!
//! Not to send a hundred messages at each deploy, [`after_start`] does this once for each start of the
//! emulator and of OpenSearch, which is when the queues or the index can have lost something. It does not
//! ask first whether a queue is empty: one that kept three messages of five is not, and has lost two. An
//! index that is lost alone within five minutes of a paper's last messages gets that paper back at the
//! start after those only, since SQS drops them as the same.
//!
//! Deliberately absent: a paper in state `waiting` with neither abstract nor PDF is the next scrape's, a
//! dead letter is a person's, and a paper that waits for its text has no message: the generator's schedule
//! sends one when the time for that is over.

mod evidence;
mod next;

use std::fmt;

use annapurna_cloud::{Message, MessageQueues};
use annapurna_contract::{Bucket, Function, PaperId, Queue, QueueMessage};
use annapurna_local::{Home, emulator, opensearch, process};
use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::Context;
use super::invoke::invoke;
use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;
use crate::ui;
use evidence::Evidence;
use next::{Buckets, Next, next};

/// Results that one call of the tester brings into the index, well within its time.
const COLLECTED_AT_ONCE: usize = 50;
/// Requests at a time.
const AT_ONCE: usize = 16;

/// What was sent again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sent {
    papers: usize,
    accepted: usize,
    programs: usize,
    results: usize,
}

impl Sent {
    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.papers, "to the judge"),
            (self.accepted, "to the generator"),
            (self.programs, "to the tester"),
            (self.results, "with a result that the index lacked"),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        formatter.write_str(&parts.join(", "))
    }
}

/// Reconciles once for each start of the local emulator or of OpenSearch, and says what was sent. An emulator that runs
/// elsewhere may have been started at any time, so every deploy reconciles there.
///
/// # Errors
///
/// When something cannot be read or sent; the next deploy does all of it again.
pub(super) async fn after_start(
    cx: &Context,
    home: &Home,
    environment: &Environment,
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<(), CommandError> {
    let mark = home.run().join("reconciled");
    let started = [emulator::SERVICE, opensearch::SERVICE].map(|name| process::running(home, name));
    let this_start = serde_json::to_vec(&started)?;
    if started[0].is_some() && std::fs::read(&mark).is_ok_and(|last| last == this_start) {
        return Ok(());
    }
    let step = cx.ui.begin("Looking for papers that lost their message");
    let sent = reconcile(cx, environment, cloud, deployed).await?;
    drop(step);
    std::fs::write(&mark, this_start).map_err(CommandError::file("write", &mark))?;
    if !sent.is_nothing() {
        cx.ui.done(format!(
            "Papers that lost their message, sent again: {sent}"
        ));
    }
    Ok(())
}

async fn reconcile(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<Sent, CommandError> {
    let buckets = Buckets {
        papers: deployed.outputs.get(Output::BucketName(Bucket::Papers))?,
        code: deployed.outputs.get(Output::BucketName(Bucket::Code))?,
    };
    let evidence = Evidence::gather(cloud, deployed, environment.wait_for_text()).await?;
    let papers = evidence.papers();
    let steps: Vec<Option<Next>> = stream::iter(papers)
        .map(async |id| Ok::<_, CommandError>(next(&evidence.of(&id).await?, buckets)))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut sent = Sent::default();
    let mut results = Vec::new();
    for step in steps.into_iter().flatten() {
        match step {
            Next::Judge(message) => {
                send(cloud, deployed, &message).await?;
                sent.papers += 1;
            }
            Next::Generate(message) => {
                send(cloud, deployed, &message).await?;
                sent.accepted += 1;
            }
            Next::Test(message) => {
                send(cloud, deployed, &message).await?;
                sent.programs += 1;
            }
            Next::Collect(paper) => results.push(paper),
        }
    }
    for papers in results.chunks(COLLECTED_AT_ONCE) {
        sent.results += collect(cx, environment, cloud, papers).await?;
    }
    Ok(sent)
}

async fn send<M: QueueMessage>(
    cloud: &Cloud,
    deployed: &Deployed,
    message: &M,
) -> Result<(), CommandError> {
    let url = queue_url(deployed, M::QUEUE)?;
    let message = Message::of(message)?;
    Ok(cloud.sqs.send(url, message).await?)
}

fn queue_url(deployed: &Deployed, queue: Queue) -> Result<&str, CommandError> {
    Ok(deployed.outputs.get(Output::QueueUrl(queue))?)
}

/// Has the tester bring results into the index; returns how many it did.
async fn collect(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    papers: &[PaperId],
) -> Result<usize, CommandError> {
    let event = json!({"action": "collect", "paper_ids": papers});
    let answer = invoke(cloud, environment, Function::Tester, &event).await?;
    for failed in answer["failed"].as_array().into_iter().flatten() {
        let failed = ui::one_line(&failed.to_string(), 200);
        cx.ui
            .warn(format!("a result is not in the index: {failed}"));
    }
    Ok(answer["collected"].as_array().map_or(0, Vec::len))
}
