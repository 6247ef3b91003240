//! A person's word on a paper: it goes to the judge by its queue, in turn with what the scrapers say.

mod eval;
mod verdicts;

use std::process::ExitCode;
use std::time::Duration;

use annapurna_cloud::{Message, MessageQueues, ObjectStore, S3};
use annapurna_contract::{Bucket, Decision, Order, Queue, SourceRecord, Verdict, Wish, keys};
use annapurna_stack::outputs::Output;
use chrono::{SecondsFormat, Utc};
use clap::{ArgMatches, Args, FromArgMatches};
use tokio::time::{Instant, sleep};

use super::results::paper_id;
use super::{Context, EnvironmentArg, Target};
use crate::error::CommandError;
use crate::ui;

pub(super) use verdicts::undecided;
use verdicts::verdict_of;

/// Largest record that is read, bytes.
const RECORD_LIMIT: u64 = 4 << 20;
/// The word in an environment's place with which the judge itself is measured.
const EVAL: &str = "eval";
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the judge: its time limit, and as much again for what waits before the order.
const LONGEST: Duration = Duration::from_secs(1_800);

/// Show the judge's verdict, decide in its place, or measure it
///
/// A paper that the judge could not decide waits for a person: `cargo infra papers ENV --undecided` lists them. What a person
/// decides stands until the paper's abstract changes in substance. A paper that is accepted stays so, since its program
/// and results are there.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = "Examples:
  cargo infra judge local 0123456789abcdef0123456789abcdef                     Its verdict, with scores and cost
  cargo infra judge prod 0123456789abcdef0123456789abcdef accept --reason 'runs on synthetic data'
  cargo infra judge prod 0123456789abcdef0123456789abcdef again                Once more, with the prompt of today
  cargo infra judge eval labels.jsonl                                          Precision and recall of the offline rules
  cargo infra judge eval labels.jsonl --environment prod --json                Of prod's model, which costs something"
)]
pub(super) struct PaperArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// The paper
    #[arg(value_name = "PAPER")]
    paper: String,
    /// What to do; without it the verdict is shown
    #[arg(value_enum, value_name = "WISH")]
    wish: Option<WishArg>,
    /// Why, for the verdict
    #[arg(long, requires = "wish")]
    reason: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum WishArg {
    /// It gets a program
    Accept,
    /// It ends here
    Reject,
    /// The model judges it once more
    Again,
}

impl From<WishArg> for Wish {
    fn from(wish: WishArg) -> Self {
        match wish {
            WishArg::Accept => Self::Accept,
            WishArg::Reject => Self::Reject,
            WishArg::Again => Self::Again,
        }
    }
}

/// The one of two shapes that was typed.
#[derive(Debug)]
pub(super) enum JudgeArgs {
    /// About a paper of an environment.
    Paper(PaperArgs),
    /// About the judge itself.
    Eval(eval::EvalArgs),
}

impl Args for JudgeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let eval = eval::EvalArgs::augment_args(clap::Command::new(EVAL));
        PaperArgs::augment_args(command).subcommand(eval)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for JudgeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_matches(EVAL) {
            Some(eval) => eval::EvalArgs::from_arg_matches(eval).map(Self::Eval),
            None => PaperArgs::from_arg_matches(matches).map(Self::Paper),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl JudgeArgs {
    /// The environment that it is about, or whose model is measured.
    pub(super) const fn environment(&self) -> &EnvironmentArg {
        match self {
            Self::Paper(args) => &args.environment,
            Self::Eval(args) => args.environment(),
        }
    }
}

pub(super) async fn run(cx: &Context, args: JudgeArgs) -> Result<ExitCode, CommandError> {
    match args {
        JudgeArgs::Paper(args) => of_paper(cx, args).await,
        JudgeArgs::Eval(args) => eval::run(cx, args).await,
    }
}

async fn of_paper(cx: &Context, args: PaperArgs) -> Result<ExitCode, CommandError> {
    let paper = paper_id(&args.paper)?;
    let target = cx.target(&args.environment).await?;
    let environment = &target.environment;
    let known = verdict_of(environment, &target.cloud, &paper).await?;
    let known = known.ok_or_else(|| CommandError::Usage {
        problem: format!("the judge has no verdict on paper {paper}"),
        hint: format!(
            "it may wait for the judge: cargo infra queues {}",
            environment.name
        ),
    })?;
    let verdict = match args.wish.map(Wish::from) {
        None => known,
        Some(wish) if known.decision == Decision::Accept && wish != Wish::Again => {
            return already_accepted(cx, &known, wish, args.json);
        }
        Some(wish) => {
            let order = Order {
                wish,
                reason: args.reason,
                given_at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            };
            carried_out(cx, &target, &known, order).await?
        }
    };
    show(cx, &verdict, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing is to be done, or nothing can be.
fn already_accepted(
    cx: &Context,
    known: &Verdict,
    wish: Wish,
    as_json: bool,
) -> Result<ExitCode, CommandError> {
    if wish == Wish::Reject {
        return Err(CommandError::Usage {
            problem: format!("paper {} is accepted and stays so", known.paper_id),
            hint: "its program and results are of an accepted paper; only others are rejected"
                .to_owned(),
        });
    }
    cx.ui.status("It is accepted already");
    show(cx, known, as_json)?;
    Ok(ExitCode::SUCCESS)
}

/// Sends the order and waits for the verdict that has it.
async fn carried_out(
    cx: &Context,
    target: &Target,
    known: &Verdict,
    order: Order,
) -> Result<Verdict, CommandError> {
    let paper = &known.paper_id;
    let given_at = order.given_at.clone();
    let mut message = record(target, known).await?.message(bucket(target)?);
    message.order = Some(order);
    let url = target
        .deployed
        .outputs
        .get(Output::QueueUrl(Queue::Research))?;
    target.cloud.sqs.send(url, Message::of(&message)?).await?;
    let step = cx.ui.begin(format!("The judge is told of paper {paper}"));
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        let verdict = verdict_of(&target.environment, &target.cloud, paper).await?;
        let is_done = |it: &Verdict| {
            let order = it.order.as_ref();
            order.is_some_and(|order| order.given_at >= given_at)
        };
        if let Some(verdict) = verdict.filter(is_done) {
            drop(step);
            return Ok(verdict);
        }
        sleep(PAUSE).await;
    }
    Err(CommandError::Usage {
        problem: format!("the judge was told of paper {paper} and has not done it yet"),
        hint: format!(
            "it does so in its turn; why it waits: cargo infra logs {} PapersJudge",
            target.environment.name
        ),
    })
}

/// What the scraper keeps of the paper, from which its message is made.
async fn record(target: &Target, known: &Verdict) -> Result<SourceRecord, CommandError> {
    let bucket = bucket(target)?;
    let key = keys::paper_source_record(known.source, known.year, &known.paper_id);
    let objects = S3::new(&target.cloud.config);
    let found = objects.get(bucket, &key, RECORD_LIMIT).await?;
    let none = |reason: String| CommandError::Aws {
        doing: format!("read the paper's record s3://{bucket}/{key}"),
        reason,
    };
    let found = found.ok_or_else(|| none("it is not there".to_owned()))?;
    serde_json::from_slice(&found).map_err(|error| none(format!("it is none: {error}")))
}

fn bucket(target: &Target) -> Result<&str, CommandError> {
    let output = Output::BucketName(Bucket::Papers);
    Ok(target.deployed.outputs.get(output)?)
}

fn show(cx: &Context, verdict: &Verdict, as_json: bool) -> Result<(), CommandError> {
    if as_json {
        return cx.ui.json(verdict);
    }
    let record = &verdict.record;
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let text = |value: Option<&str>| ui::one_line(value.unwrap_or("-"), 400);
    let mut rows = vec![
        line("paper", verdict.paper_id.to_string()),
        line("title", text(record.title.as_deref())),
        line("decision", verdict.decision.to_string()),
        line("reason", text(record.reason.as_deref())),
    ];
    if let Some(assessed) = &verdict.assessed {
        let scores = assessed.scores.named();
        let scores = scores.map(|(name, score)| format!("{name} {score}"));
        let confidence = assessed.confidence;
        rows.push(line(
            "scores",
            format!("{}, confidence {confidence}", scores.join(", ")),
        ));
        let by = format!("{}, prompt {}", assessed.model, assessed.prompt_version);
        rows.push(line("model", ui::one_line(&by, 200)));
    }
    let spent = verdict.spent_in_all();
    let cost = format!("{} in {} calls", dollars(spent.micro_dollars), spent.calls);
    rows.push(line("spent", cost));
    rows.push(line("judged", verdict.judgements.len().max(1).to_string()));
    cx.ui.result(ui::table(&["", ""], &rows))
}

/// Millionths of a dollar, for people.
#[expect(clippy::cast_precision_loss, reason = "shown with six digits")]
fn dollars(micro_dollars: u64) -> String {
    format!("${:.6}", micro_dollars as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: JudgeArgs,
    }

    fn typed(words: &str) -> Result<JudgeArgs, clap::Error> {
        let words = ["judge"].into_iter().chain(words.split_whitespace());
        Typed::try_parse_from(words).map(|typed| typed.args)
    }

    #[test]
    fn a_paper_and_a_measurement_are_told_apart() {
        let JudgeArgs::Paper(args) = typed("local a1 again --reason new").unwrap() else {
            panic!("a paper");
        };
        assert_eq!(args.environment.environment, "local");
        assert!(matches!(args.wish, Some(WishArg::Again)));
        let measured = typed("eval labels.jsonl --environment prod").unwrap();
        assert_eq!(measured.environment().environment, "prod");
        let offline = typed("eval labels.jsonl").unwrap();
        assert_eq!(offline.environment().environment, "local");
        for wrong in [
            "local",
            "local a1 maybe",
            "local a1 --reason why",
            "eval",
            "",
        ] {
            assert!(typed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn millionths_are_dollars_for_people() {
        assert_eq!(dollars(0), "$0.000000");
        assert_eq!(dollars(1_234_567), "$1.234567");
    }
}
