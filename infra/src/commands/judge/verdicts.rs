//! Verdicts as they are in S3.

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::{Bucket, Decision, PaperId, Verdict, keys};
use annapurna_stack::environment::Environment;
use futures::{StreamExt, TryStreamExt, stream};

use crate::cloud::Cloud;
use crate::commands::{Context, Target};
use crate::error::CommandError;
use crate::ui;

/// Largest verdict that is read, bytes.
const VERDICT_LIMIT: u64 = 4 << 20;
/// Verdicts that are read at once.
const AT_ONCE: usize = 32;

/// The judge's verdict on a paper; `None` while there is none.
///
/// # Errors
///
/// [`CommandError::Aws`] where it cannot be read, or is none.
pub(super) async fn verdict_of(
    environment: &Environment,
    cloud: &Cloud,
    paper: &PaperId,
) -> Result<Option<Verdict>, CommandError> {
    let bucket = environment.bucket_name(Bucket::Papers);
    let key = keys::verdict(paper);
    let objects = S3::new(&cloud.config);
    let Some(body) = objects.get(&bucket, &key, VERDICT_LIMIT).await? else {
        return Ok(None);
    };
    let verdict = serde_json::from_slice(&body).map_err(|error| CommandError::Aws {
        doing: format!("read the verdict s3://{bucket}/{key}"),
        reason: format!("it is none: {error}"),
    })?;
    Ok(Some(verdict))
}

/// Lists the papers that wait for a person, the longest first.
///
/// # Errors
///
/// [`CommandError::Aws`] where a verdict cannot be listed or read.
pub(in crate::commands) async fn undecided(
    cx: &Context,
    target: &Target,
    limit: usize,
    as_json: bool,
) -> Result<(), CommandError> {
    let step = cx.ui.begin("Reading the verdicts");
    let papers = judged_papers(target).await?;
    let read = stream::iter(papers)
        .map(async |paper| verdict_of(&target.environment, &target.cloud, &paper).await)
        .buffer_unordered(AT_ONCE);
    let verdicts: Vec<Option<Verdict>> = read.try_collect().await?;
    drop(step);
    let mut waiting: Vec<Verdict> = verdicts
        .into_iter()
        .flatten()
        .filter(|verdict| verdict.decision == Decision::Undecided)
        .collect();
    waiting.sort_by(|one, other| one.record.ingested_at.cmp(&other.record.ingested_at));
    waiting.truncate(limit);
    if as_json {
        return cx.ui.json(&waiting);
    }
    let rows: Vec<Vec<String>> = waiting.iter().map(row).collect();
    cx.ui.result(ui::table(
        &[
            "PAPER",
            "RELEVANCE",
            "NOVELTY",
            "FIT",
            "SURE",
            "TITLE",
            "REASON",
        ],
        &rows,
    ))
}

fn row(verdict: &Verdict) -> Vec<String> {
    let record = &verdict.record;
    let numbers = verdict.assessed.as_ref().map(|it| {
        let [relevance, novelty, fit] = it.scores.named().map(|(_, score)| score);
        [relevance, novelty, fit, it.confidence].map(|number| number.to_string())
    });
    let text = |text: Option<&str>, limit| ui::one_line(text.unwrap_or("-"), limit);
    let mut row = vec![verdict.paper_id.to_string()];
    row.extend(numbers.unwrap_or_else(|| ["-"; 4].map(str::to_owned)));
    row.push(text(record.title.as_deref(), 60));
    row.push(text(record.reason.as_deref(), 120));
    row
}

/// The papers that have a verdict.
async fn judged_papers(target: &Target) -> Result<Vec<PaperId>, CommandError> {
    let bucket = target.environment.bucket_name(Bucket::Papers);
    let request = target.cloud.s3.list_objects_v2().bucket(&bucket);
    let mut pages = request
        .prefix(keys::VERDICTS_PREFIX)
        .into_paginator()
        .send();
    let mut papers = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws(format!("list {bucket}")))?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        let names = keys.filter_map(|key| {
            let name = key.strip_prefix(keys::VERDICTS_PREFIX)?;
            name.strip_suffix(".json").map(str::to_owned)
        });
        papers.extend(names.filter_map(|name| PaperId::try_from(name).ok()));
    }
    Ok(papers)
}
