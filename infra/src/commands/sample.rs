//! Ten sample papers through a local pipeline, shown live until each has a result.

use std::time::{Duration, Instant};

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_contract::{Bucket, Decision, Function, PaperId, Source, Stage, Verdict, keys};
use annapurna_local::paper_site::{self, SampleEntry};
use annapurna_runtime::search::Search;
use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use serde_json::json;

use super::Context;
use super::invoke::invoke;
use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;
use crate::{index, ui};

/// How long ten small programs may take on a slow machine.
const LIMIT: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_secs(2);
/// Largest verdict that is read, bytes.
const VERDICT_LIMIT: u64 = 4 << 20;

struct Tracked {
    id: PaperId,
    paper: SampleEntry,
    stage: Stage,
}

impl Tracked {
    fn has_result(&self) -> bool {
        self.stage.is_final()
    }
}

pub(super) async fn run(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<(), CommandError> {
    let search = index::search(cloud, deployed.outputs.get(Output::SearchEndpoint)?)?;
    let papers = paper_site::sample_papers().map_err(|error| CommandError::Usage {
        problem: error.to_string(),
        hint: "restore infra/local/sample from the repository".to_owned(),
    })?;
    let mut tracked: Vec<Tracked> = papers
        .into_iter()
        .map(|paper| Tracked {
            id: PaperId::of(&paper.title, Some(&paper.abstract_text)),
            paper,
            stage: Stage::Waiting,
        })
        .collect();
    scrape(cx, environment, cloud, &tracked).await?;
    let start = Instant::now();
    let step = cx.ui.begin_counted("papers with results", tracked.len());
    let mut last_push = None;
    while start.elapsed() < LIMIT {
        look(cx, environment, cloud, &search, &mut tracked).await?;
        step.reached(tracked.iter().filter(|it| it.has_result()).count());
        step.says(summary(&tracked));
        if tracked.iter().all(Tracked::has_result) {
            break;
        }
        push(environment, cloud, &tracked, &mut last_push).await?;
        tokio::time::sleep(PAUSE).await;
    }
    drop(step);
    report(cx, &search, &tracked).await
}

/// Starts the scrapers of the sources that have sample papers.
async fn scrape(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    tracked: &[Tracked],
) -> Result<(), CommandError> {
    for source in Source::ALL {
        let count = tracked
            .iter()
            .filter(|it| it.paper.source == source)
            .count();
        if count == 0 {
            continue;
        }
        let function = Function::Scraper(source);
        let name = environment.named(function.name());
        let step = cx.ui.begin(format!("{name} fetches {count} sample papers"));
        let event = json!({ "MAX_PAPERS": count });
        let answer = invoke(cloud, environment, function, &event).await?;
        drop(step);
        let summary: ScrapeSummary =
            serde_json::from_value(answer).map_err(|error| CommandError::Aws {
                doing: format!("read what {name} answered"),
                reason: error.to_string(),
            })?;
        cx.ui.done(format!("{name}: {}", in_words(&summary)));
    }
    Ok(())
}

/// What a scraper did, in a line.
fn in_words(summary: &ScrapeSummary) -> String {
    let mut words = vec![
        format!("{} papers", summary.found),
        format!("{} PDFs new", summary.stored),
        format!("{} told to the judge", summary.queued),
    ];
    let n_before = summary.already + summary.known;
    if n_before > 0 {
        words.push(format!("{n_before} known before"));
    }
    if let Some(first) = summary.failed.first() {
        let (n_failed, error) = (summary.n_failed(), ui::one_line(&first.error, 160));
        words.push(format!("{n_failed} failed, the first: {error}"));
    }
    words.join(", ")
}

/// Finds out where each paper is, and says what moved.
async fn look(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    search: &Search,
    tracked: &mut [Tracked],
) -> Result<(), CommandError> {
    let states = search.states();
    for item in tracked.iter_mut().filter(|it| !it.has_result()) {
        let stored = search.get(&item.id).await?;
        let status = states.get(&item.id).await?;
        let record = stored.as_ref().map(|it| &it.record);
        let stage = match Stage::of(record, status.as_ref()) {
            // A verdict is in S3 before it is in the index of states.
            Stage::Waiting if is_rejected(environment, cloud, &item.id).await? => Stage::Rejected,
            stage => stage,
        };
        if stage != item.stage {
            item.stage = stage;
            cx.ui.status(format!(
                "  {stage:<14} {}",
                ui::one_line(&item.paper.title, 90)
            ));
        }
    }
    Ok(())
}

/// The judge keeps every verdict in S3, before an accepted paper reaches the index.
async fn is_rejected(
    environment: &Environment,
    cloud: &Cloud,
    paper: &PaperId,
) -> Result<bool, CommandError> {
    let bucket = environment.bucket_name(Bucket::Papers);
    let key = keys::verdict(paper);
    let objects = S3::new(&cloud.config);
    let Some(body) = objects.get(&bucket, &key, VERDICT_LIMIT).await? else {
        return Ok(false);
    };
    let verdict: Verdict = serde_json::from_slice(&body).map_err(|error| CommandError::Aws {
        doing: format!("read the verdict s3://{bucket}/{key}"),
        reason: format!("it is none: {error}"),
    })?;
    Ok(verdict.decision == Decision::Reject)
}

fn summary(tracked: &[Tracked]) -> String {
    let mut counts: Vec<(Stage, usize)> = Vec::new();
    for item in tracked {
        match counts.iter_mut().find(|(stage, _)| *stage == item.stage) {
            Some((_, count)) => *count += 1,
            None => counts.push((item.stage, 1)),
        }
    }
    counts
        .iter()
        .map(|(stage, count)| format!("{count} {stage}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Has the tester look for a batch as soon as every program is written, and every quarter of a minute
/// from then on, instead of waiting for its schedule.
async fn push(
    environment: &Environment,
    cloud: &Cloud,
    tracked: &[Tracked],
    last: &mut Option<Instant>,
) -> Result<(), CommandError> {
    let written = tracked
        .iter()
        .all(|it| !matches!(it.stage, Stage::Waiting | Stage::Accepted));
    let waits = tracked.iter().any(|it| it.stage == Stage::Generated);
    let recently = last.is_some_and(|last| last.elapsed() < Duration::from_secs(15));
    if written && waits && !recently {
        *last = Some(Instant::now());
        let event = json!({"action": "dispatch"});
        invoke(cloud, environment, Function::Tester, &event).await?;
    }
    Ok(())
}

async fn report(cx: &Context, search: &Search, tracked: &[Tracked]) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for item in tracked {
        // A rejected paper is in no index.
        let stored = search.get(&item.id).await?;
        let tested = stored.map(|stored| stored.record.tested);
        let tested = tested.as_ref();
        let number =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| format!("{it:.3}"));
        let error = tested.and_then(|it| it.error_message.as_deref());
        rows.push(vec![
            item.stage.to_string(),
            number(tested.and_then(|it| it.training_loss)),
            number(tested.and_then(|it| it.validation_accuracy)),
            ui::one_line(&item.paper.title, 60),
            error.map_or_else(String::new, |error| ui::one_line(error, 60)),
        ]);
    }
    cx.ui.result(ui::table(
        &["RESULT", "LOSS", "ACCURACY", "PAPER", "ERROR"],
        &rows,
    ))?;
    let arrived = tracked.iter().filter(|it| it.has_result()).count();
    if arrived == tracked.len() {
        say_how_it_went(cx, tracked);
        return Ok(());
    }
    Err(CommandError::SampleIncomplete {
        arrived,
        expected: tracked.len(),
        waiting: tracked
            .iter()
            .filter(|it| !it.has_result())
            .map(|it| format!("{} ({})", ui::one_line(&it.paper.title, 40), it.stage))
            .collect(),
    })
}

fn say_how_it_went(cx: &Context, tracked: &[Tracked]) {
    let all = tracked.len();
    let passed = tracked.iter().filter(|it| it.stage.is_pass()).count();
    if passed == all {
        cx.ui.done(format!(
            "{all} sample papers have results, and every program passed: {}",
            summary(tracked)
        ));
        return;
    }
    cx.ui.warn(format!(
        "of {all} sample papers not every one passed: {}",
        summary(tracked)
    ));
    if passed == 0 {
        cx.ui.status(
            "`cargo infra doctor local` says what running programs needs; the table above, what they met",
        );
    }
}

#[cfg(test)]
mod tests {
    use annapurna_contract::scrape::FailedPaper;

    use super::*;

    #[test]
    fn what_a_scraper_did_is_a_sentence_and_no_json() {
        let mut summary = ScrapeSummary {
            found: 2,
            stored: 2,
            queued: 2,
            ..ScrapeSummary::default()
        };
        let words = in_words(&summary);
        assert_eq!(words, "2 papers, 2 PDFs new, 2 told to the judge");
        let failed = FailedPaper {
            paper: "x".to_owned(),
            title: None,
            error: "no\u{1b}[2J answer".to_owned(),
        };
        (summary.known, summary.already, summary.failed_not_listed) = (1, 2, 1);
        summary.failed.push(failed);
        let words = in_words(&summary);
        assert!(
            words.contains("3 known before, 2 failed, the first: no"),
            "{words}"
        );
        assert!(!words.contains('\u{1b}'), "a terminal obeys none of it");
    }
}
