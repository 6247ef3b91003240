//! Sends again what the queues lost, from what the buckets and the index say.
//!
//! In: a deployed environment. Out: for each paper that is neither finished, nor rejected, nor a dead
//! letter, the one message that its next stage needs, and a count of what was sent. What a stage wrote is
//! evidence that it was there; [`next::next`] decides from that alone, and [`evidence`] reads it.
//!
//! The states of all papers are made again first, from verdicts, programs' metadata and results ([`states`]).
//!
//! What is guaranteed: a paper with a record that was meant for the judge goes on, whatever queue lost its
//! message, and whatever part of its document the index lost; so do a revision that was not judged, a PDF
//! and a title that the document does not have. A message that was not lost is sent a second time, which is
//! harmless and costs no model: SQS drops it within five minutes of the first, since both ids are made from the
//! content; after that it waits behind the first, which has the same group, and each stage recognises what it has
//! done. The program of a batch under way may get into another batch, where the agent skips it once it has its
//! result.
//!
//! A person asks for it with `infra reconcile`. Not to send a hundred messages at each deploy, [`after_start`] does this once for each start of the
//! emulator and of OpenSearch, which is when the queues or the index can have lost something. It does not
//! ask first whether a queue is empty: one that kept three messages of five is not, and has lost two. An
//! index that is lost alone within five minutes of a paper's last messages gets that paper back at the start after
//! those only, since SQS drops them as the same. Another id for what is sent here would bring the document back and
//! no more: the judge's message to the generator, and the generator's to the tester, would still be dropped.
//!
//! Deliberately absent: a paper in state `waiting` with neither abstract nor PDF is the next scrape's, a
//! dead letter is a person's, and a paper that waits for its text has no message: the generator's schedule
//! sends one when the time for that is over.
//!
//! A record or verdict that is there and cannot be read is a person's too, since nothing makes it again, and so
//! is an accepted paper that neither the index nor a record knows of: each is warned of, at every deploy until
//! it is mended.

mod evidence;
mod next;
mod states;

use std::fmt;
use std::process::ExitCode;

use annapurna_cloud::{Message, MessageQueues};
use annapurna_contract::answers::{Collected, Failed};
use annapurna_contract::{Bucket, Function, PaperId, Queue, QueueMessage};
use annapurna_local::{Home, emulator, opensearch, process};
use annapurna_runtime::search::Search;
use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::invoke::invoke;
use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;
use crate::{index, ui};
use evidence::Evidence;
use next::{Buckets, Next, Paper, next};

/// Results that one call of the tester brings into the index, well within its time.
const COLLECTED_AT_ONCE: usize = 50;
/// Why an accepted paper is stuck that the index does not know.
const NO_RECORD: &str = "it was accepted, and has neither a document nor a record; a scrape of its source makes the record again";
/// Requests at a time.
const AT_ONCE: usize = 16;

/// Send papers on that lost their message, and make lost states again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra reconcile local
  cargo infra reconcile prod    Repeats nothing that is done; no model is asked again")]
pub(super) struct ReconcileArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
}

pub(super) async fn run(cx: &Context, args: ReconcileArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    let step = cx.ui.begin("Looking for papers that lost their message");
    let done = reconcile(cx, &target.environment, &target.cloud, &target.deployed).await?;
    drop(step);
    say(cx, &done);
    if done.sent.is_nothing() && done.n_states == 0 && done.stuck.is_empty() {
        cx.ui.done("No paper had lost anything");
    }
    Ok(ExitCode::SUCCESS)
}

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

/// What a look at all papers came to.
#[derive(Debug, Default)]
struct Reconciled {
    sent: Sent,
    /// States of papers that the index lacked, or that said something else than S3.
    n_states: usize,
    /// Papers that wait for a person, each with why.
    stuck: Vec<(PaperId, String)>,
}

/// Papers that are named in a warning; of more, how many there are.
const NAMED: usize = 10;

/// The warnings about papers that wait for a person.
fn warnings(stuck: &[(PaperId, String)]) -> Vec<String> {
    let named = stuck.iter().take(NAMED);
    let mut lines: Vec<String> = named
        .map(|(paper, why)| format!("paper {paper} waits for a person: {why}"))
        .collect();
    if stuck.len() > NAMED {
        lines.push(format!("{} things in all wait for a person", stuck.len()));
    }
    lines
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
    let done = reconcile(cx, environment, cloud, deployed).await?;
    drop(step);
    if done.stuck.is_empty() {
        std::fs::write(&mark, this_start).map_err(CommandError::file("write", &mark))?;
    }
    say(cx, &done);
    Ok(())
}

fn say(cx: &Context, done: &Reconciled) {
    let Reconciled {
        sent,
        n_states,
        stuck,
    } = done;
    if *n_states > 0 {
        cx.ui
            .done(format!("States of papers made again: {n_states}"));
    }
    if !sent.is_nothing() {
        cx.ui.done(format!(
            "Papers that lost their message, sent again: {sent}"
        ));
    }
    for warning in warnings(stuck) {
        cx.ui.warn(warning);
    }
}

async fn reconcile(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<Reconciled, CommandError> {
    let buckets = Buckets {
        papers: deployed.outputs.get(Output::BucketName(Bucket::Papers))?,
        code: deployed.outputs.get(Output::BucketName(Bucket::Code))?,
    };
    let evidence = Evidence::gather(cloud, deployed, environment.wait_for_text()).await?;
    let mut done = Reconciled {
        n_states: states::rebuild(&evidence, &search(cloud, deployed)?).await?,
        ..Reconciled::default()
    };
    let papers = all_papers(&evidence).await?;
    let mut results = Vec::new();
    for paper in papers {
        let step = next(&paper, buckets);
        let Paper { id, unreadable, .. } = paper;
        let mut why = unreadable;
        match step {
            None => {}
            Some(Next::Judge(message)) => {
                send(cloud, deployed, &message).await?;
                done.sent.papers += 1;
            }
            Some(Next::Generate(message)) => {
                send(cloud, deployed, &message).await?;
                done.sent.accepted += 1;
            }
            Some(Next::Test(message)) => {
                send(cloud, deployed, &message).await?;
                done.sent.programs += 1;
            }
            Some(Next::Collect(paper)) => results.push(paper),
            Some(Next::Lost) => why.push(NO_RECORD.to_owned()),
        }
        done.stuck
            .extend(why.into_iter().map(|why| (id.clone(), why)));
    }
    done.stuck.sort();
    for papers in results.chunks(COLLECTED_AT_ONCE) {
        done.sent.results += collect(cx, environment, cloud, papers).await?;
    }
    Ok(done)
}

/// Every paper, with what is there of it.
async fn all_papers(evidence: &Evidence) -> Result<Vec<Paper>, CommandError> {
    stream::iter(evidence.papers())
        .map(async |id| evidence.of(&id).await)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

fn search(cloud: &Cloud, deployed: &Deployed) -> Result<Search, CommandError> {
    index::search(cloud, deployed.outputs.get(Output::SearchEndpoint)?)
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
    let answer: Collected = serde_json::from_value(answer)?;
    for Failed { paper_id, error } in answer.failed {
        let failed = ui::one_line(&format!("{paper_id}: {error}"), 200);
        cx.ui
            .warn(format!("a result is not in the index: {failed}"));
    }
    Ok(answer.collected.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stuck_paper_is_named_with_its_reason_and_many_are_counted() {
        let stuck = |count: usize| {
            let paper = |number: usize| PaperId::of(&format!("Paper {number}"), None);
            let why = |number: usize| format!("s3://papers/iclr/2025/{number}.json: EOF");
            let stuck = (0..count).map(|number| (paper(number), why(number)));
            warnings(&stuck.collect::<Vec<_>>())
        };
        assert_eq!(stuck(0), [""; 0]);
        let one = stuck(1);
        assert!(
            one.len() == 1 && one[0].ends_with("iclr/2025/0.json: EOF"),
            "{one:?}"
        );
        let many = stuck(11);
        assert_eq!(many.len(), NAMED + 1);
        assert_eq!(many[NAMED], "11 things in all wait for a person");
    }
}
