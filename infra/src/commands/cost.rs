use std::process::ExitCode;

use annapurna_cloud::{ObjectError, ObjectStore, S3};
use annapurna_contract::spent::Spender;
use annapurna_contract::{Bucket, Spent, keys};
use annapurna_stack::environment::Environment;
use chrono::{NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::ui;

mod estimate;
mod prices;

/// Largest counter that is read, bytes.
const COUNTER_LIMIT: u64 = 64 << 10;

/// Show what an environment costs: a month, papers by stage, or what models really took
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra cost prod                    A month without papers, and a hundred accepted papers
  cargo infra cost prod --papers 6000      A conference
  cargo infra cost prod --actual           What models took on each of the last 30 days
  cargo infra cost prod --actual --json")]
pub(super) struct CostArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Accepted papers to estimate for
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    papers: u32,
    /// What was recorded in place of estimates: tokens and dollars of models by day and stage
    #[arg(long, conflicts_with = "papers")]
    pub(super) actual: bool,
    /// Days to look back, today among them
    #[arg(long, requires = "actual", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One line of an estimate.
#[derive(Debug, Serialize)]
struct Line {
    stage: &'static str,
    what: String,
    /// `None`: no price is known.
    usd: Option<f64>,
}

/// What an environment is estimated to cost, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Estimated {
    environment: String,
    /// Of the prices of AWS and of models.
    as_of: [&'static str; 2],
    fixed_per_month: Vec<Line>,
    papers: u32,
    for_papers: Vec<Line>,
    fixed_usd: f64,
    papers_usd: f64,
    assumed: Vec<String>,
}

/// What a stage spent on a day, as `--json` prints it.
#[derive(Debug, Serialize)]
struct OnDay {
    day: NaiveDate,
    stage: Spender,
    #[serde(flatten)]
    spent: Spent,
}

pub(super) async fn run(cx: &Context, args: CostArgs) -> Result<ExitCode, CommandError> {
    if args.actual {
        let target = cx.target(&args.environment).await?;
        let days = spent(&target.cloud, &target.environment, args.days).await?;
        show_actual(cx, &days, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let environment = cx.environment(&args.environment)?;
    let estimated = estimated(&environment, args.papers);
    if args.json {
        cx.ui.json(&estimated)?;
    } else {
        show(cx, &estimated)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn estimated(environment: &Environment, papers: u32) -> Estimated {
    let [judge, generator, embedding] = environment.models().map(|it| it.id);
    let models = estimate::Models {
        judge,
        generator,
        embedding,
    };
    let asked = estimate::of_papers(models, papers.into());
    let mut for_papers: Vec<Line> = asked.iter().map(line_of).collect();
    for_papers.extend(tested(environment, papers));
    let fixed_per_month = prices::fixed(environment);
    let sum = |lines: &[Line]| lines.iter().filter_map(|line| line.usd).sum();
    Estimated {
        environment: environment.name.clone(),
        as_of: [prices::AS_OF, annapurna_contract::models::AS_OF],
        fixed_usd: sum(&fixed_per_month),
        papers_usd: sum(&for_papers),
        fixed_per_month,
        papers,
        for_papers,
        assumed: vec![
            format!(
                "{} papers judged for an accepted one, {} characters of a paper for the writer, {} characters a token",
                estimate::JUDGED_FOR_AN_ACCEPTED,
                estimate::PAPER_CHARACTERS,
                estimate::CHARACTERS_OF_A_TOKEN
            ),
            format!(
                "a program runs {} s; prices of AWS are us-east-1's",
                estimate::RUN_SECONDS
            ),
        ],
    }
}

fn line_of(estimate: &estimate::Estimate<'_>) -> Line {
    let known = annapurna_contract::models::ModelId::parse(estimate.model_id).known();
    Line {
        stage: estimate.stage,
        what: format!(
            "{}: {} questions to {}",
            estimate.what, estimate.questions, estimate.model_id
        ),
        usd: known.map(|_| dollars(estimate.micro_dollars)),
    }
}

/// What the instances take to run the programs.
fn tested(environment: &Environment, papers: u32) -> Option<Line> {
    let trainium = environment.trainium.as_ref()?;
    let hour: Option<f64> = trainium.hourly_price_usd().parse().ok();
    let hours = f64::from(papers) * f64::from(estimate::RUN_SECONDS) / 3_600.0;
    Some(Line {
        stage: "test",
        what: format!("{hours:.1} h of {}", trainium.instance_type),
        usd: hour.map(|hour| hour * hours),
    })
}

/// What models took on each of the last days, the oldest first; days without are left out.
async fn spent(
    cloud: &Cloud,
    environment: &Environment,
    days: u32,
) -> Result<Vec<OnDay>, CommandError> {
    let today = Utc::now().date_naive();
    let mut all = Vec::new();
    for back in (0..i64::from(days)).rev() {
        let day = today - TimeDelta::days(back);
        for stage in Spender::ALL {
            let spent = on_day(cloud, environment, day, stage).await?;
            all.extend(spent.map(|spent| OnDay { day, stage, spent }));
        }
    }
    Ok(all)
}

/// US dollars that all stages spent since midnight, UTC.
pub(super) async fn today(cloud: &Cloud, environment: &Environment) -> Result<f64, CommandError> {
    let day = Utc::now().date_naive();
    let mut sum = Spent::default();
    for stage in Spender::ALL {
        sum += on_day(cloud, environment, day, stage)
            .await?
            .unwrap_or_default();
    }
    Ok(dollars(sum.micro_dollars))
}

/// What a stage spent on a day; `None`: nothing.
async fn on_day(
    cloud: &Cloud,
    environment: &Environment,
    day: NaiveDate,
    stage: Spender,
) -> Result<Option<Spent>, CommandError> {
    let bucket = environment.bucket_name(Bucket::Code);
    let key = keys::spent_on_day(&day.to_string(), stage);
    let found = S3::new(&cloud.config)
        .get(&bucket, &key, COUNTER_LIMIT)
        .await?;
    let read = |body: Vec<u8>| {
        serde_json::from_slice(&body).map_err(|error| {
            CommandError::Object(ObjectError::Failed {
                operation: "GetObject",
                bucket: bucket.clone(),
                key: key.clone(),
                reason: format!("it is no counter: {error}"),
            })
        })
    };
    found.map(read).transpose()
}

fn show(cx: &Context, estimated: &Estimated) -> Result<(), CommandError> {
    let [aws, models] = estimated.as_of;
    let fixed = &estimated.fixed_per_month;
    if !fixed.is_empty() {
        cx.ui
            .result(format!("A month without papers, by prices of {aws}"))?;
        cx.ui.result(table(fixed, estimated.fixed_usd))?;
    }
    cx.ui.result(format!(
        "\n{} accepted papers, by prices of models of {models}",
        estimated.papers
    ))?;
    cx.ui
        .result(table(&estimated.for_papers, estimated.papers_usd))?;
    cx.ui
        .result(format!("\nAssumed: {}.", estimated.assumed.join("; ")))
}

fn table(lines: &[Line], sum: f64) -> String {
    let usd =
        |usd: Option<f64>| usd.map_or_else(|| "not known".to_owned(), |usd| format!("{usd:.2}"));
    let mut rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| vec![line.stage.to_owned(), usd(line.usd), line.what.clone()])
        .collect();
    rows.push(vec!["sum".to_owned(), usd(Some(sum)), String::new()]);
    ui::table(&["STAGE", "USD", "WHAT"], &rows)
}

fn show_actual(cx: &Context, days: &[OnDay], as_json: bool) -> Result<(), CommandError> {
    if as_json {
        return cx.ui.json(&days);
    }
    let row = |day: String, stage: &str, spent: &Spent| {
        vec![
            day,
            stage.to_owned(),
            format!("{:.4}", dollars(spent.micro_dollars)),
            spent.calls.to_string(),
            spent.input_tokens.to_string(),
            spent.output_tokens.to_string(),
            spent.cache_read_tokens.to_string(),
            spent.cache_write_tokens.to_string(),
        ]
    };
    let mut rows: Vec<Vec<String>> = days
        .iter()
        .map(|it| row(it.day.to_string(), it.stage.as_str(), &it.spent))
        .collect();
    let sum: Spent = days.iter().map(|it| it.spent).sum();
    rows.push(row("sum".to_owned(), "", &sum));
    cx.ui.result(ui::table(
        &[
            "DAY",
            "STAGE",
            "USD",
            "CALLS",
            "IN",
            "OUT",
            "CACHE READ",
            "CACHE WRITE",
        ],
        &rows,
    ))
}

/// Millionths of a dollar as dollars; beyond four thousand dollars rounded to cents.
fn dollars(micro: u64) -> f64 {
    match u32::try_from(micro) {
        Ok(micro) => f64::from(micro) / 1e6,
        Err(_) => f64::from(u32::try_from(micro / 10_000).unwrap_or(u32::MAX)) / 100.0,
    }
}
