use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use annapurna_cloud::{Message, MessageQueues, ObjectStore, S3};
use annapurna_contract::{
    Bucket, CodeTestingMessage, Outcome, PaperId, ProgramToTest, Queue, TestResult, keys,
};
use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use chrono::Utc;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::results::{self, paper_id};
use super::{Context, EnvironmentArg, Target, trainium};
use crate::error::CommandError;
use crate::instances;
use crate::local::agent;
use crate::test_outputs::{TestOutputs, reason};

mod heard;
mod wait;

/// Largest program, bytes. Source: the agent's own limit.
const CODE_LIMIT: u64 = 1 << 20;
/// Largest message, bytes; a queue that was made before August 2025 takes no more.
/// Source: SQS developer guide, "Amazon SQS message quotas".
const MESSAGE_LIMIT: usize = 262_144;

/// Test a paper's program now, or a file in its place, and show what came of it
///
/// It goes to the agent as a batch of its own, waits its turn behind those that are queued, and runs as every program
/// does. What it prints is shown as it prints it: standard output on standard output, the rest on standard error. A stopped instance is started, after a question. With --no-save the paper's outputs and its record in the index
/// stay as they are.
///
/// Exit code 1: the program ran and did not succeed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra test-code local --paper-id 0123456789abcdef0123456789abcdef
  cargo infra test-code prod --paper-id 0123456789abcdef0123456789abcdef --again --yes
  cargo infra test-code prod --paper-id 0123456789abcdef0123456789abcdef --file fixed.py --timeout 300 --no-save
  cargo infra test-code local --paper-id 0123456789abcdef0123456789abcdef --no-save --json")]
pub(super) struct TestCodeArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// The paper
    #[arg(long, value_name = "ID")]
    paper_id: String,
    /// This program, in place of the paper's own
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Seconds that it may run
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    /// Leave the paper's outputs and the index as they are
    #[arg(long)]
    no_save: bool,
    /// Run it though this very program has a result
    #[arg(long)]
    again: bool,
    /// Start a stopped instance without asking
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// As `--json` prints it.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// Whether it is the paper's result now.
    saved: bool,
    result: &'a TestResult,
    stdout: &'a str,
    stderr: &'a str,
}

/// A program and whose it is.
struct Program {
    paper: PaperId,
    /// The text of a file; `None`: the paper's own, which the agent reads from its bucket.
    code: Option<String>,
    sha256: String,
}

pub(super) async fn run(cx: &Context, args: TestCodeArgs) -> Result<ExitCode, CommandError> {
    let paper = paper_id(&args.paper_id)?;
    let target = cx.target(&args.environment).await?;
    let environment = &target.environment;
    takes_batches(environment)?;
    let outputs = TestOutputs::of(&target.cloud, &target.deployed)?;
    let program = program(&target, paper, args.file.as_deref()).await?;
    if !args.again && !args.no_save {
        let limit = Duration::from_secs(args.timeout.into());
        let known = outputs
            .result(&keys::outputs_prefix(&program.paper))
            .await?;
        if let Some(known) = known.filter(|it| it.answers(&program.sha256, limit)) {
            cx.ui
                .status("This very program has a result; --again runs it again");
            show(cx, &outputs, &known, true, args.json).await?;
            return ended(&program.paper, &known);
        }
    }
    test(cx, &target, &outputs, &program, &args).await
}

/// Sends the program, shows what it prints and what came of it.
async fn test(
    cx: &Context,
    target: &Target,
    outputs: &TestOutputs<'_>,
    program: &Program,
    args: &TestCodeArgs,
) -> Result<ExitCode, CommandError> {
    let batch = Wanted {
        timeout: args.timeout,
        trial: args.no_save,
        // JSON is one document, printed at the end.
        live: !args.json,
    }
    .batch(program);
    let message = message(&batch)?;
    ready(cx, target, args.yes).await?;
    let queue = target
        .deployed
        .outputs
        .get(Output::QueueUrl(Queue::CodeTesting))?;
    target.cloud.sqs.send(queue, message).await?;
    let prefix = match args.no_save {
        true => keys::trial_prefix(&batch.batch_id, &program.paper),
        false => keys::outputs_prefix(&program.paper),
    };
    let live = keys::live_prefix(&batch.batch_id, &program.paper);
    let awaited = wait::Awaited {
        outputs,
        queue,
        prefix: &prefix,
        live: &live,
        batch: &batch,
    };
    let (result, heard) = awaited.result(cx, target).await?;
    match args.json {
        true => show(cx, outputs, &result, !args.no_save, true).await?,
        false => heard.rest(cx, outputs, &result).await?,
    }
    outputs.remove(&live).await?;
    if args.no_save {
        outputs.remove(&prefix).await?;
    } else {
        wait::until_indexed(cx, target, &program.paper, &result).await?;
    }
    ended(&program.paper, &result)
}

/// An agent that is called at an address takes nothing from the queue that anybody here could send.
fn takes_batches(environment: &Environment) -> Result<(), CommandError> {
    if environment.agent_pulls() {
        return Ok(());
    }
    Err(CommandError::Usage {
        problem: format!(
            "the agent of `{}` is called at an address and takes no batches of the queue",
            environment.name
        ),
        hint: "send the program to its `POST /execute`, or set trainium-endpoint to `queue`"
            .to_owned(),
    })
}

async fn program(
    target: &Target,
    paper: PaperId,
    file: Option<&std::path::Path>,
) -> Result<Program, CommandError> {
    let (code, bytes) = match file {
        Some(file) => {
            let code = std::fs::read_to_string(file).map_err(CommandError::file("read", file))?;
            let bytes = code.clone().into_bytes();
            (Some(code), bytes)
        }
        None => {
            let bucket = target
                .deployed
                .outputs
                .get(Output::BucketName(Bucket::Code))?;
            let objects = S3::new(&target.cloud.config);
            let found = objects.get(bucket, &keys::code(&paper), CODE_LIMIT).await?;
            let found = found.ok_or_else(|| CommandError::Usage {
                problem: format!("paper {paper} has no program"),
                hint: format!(
                    "generate it: cargo infra invoke {} PapersCodeGenerator '{{\"action\": \"generate_by_id\", \
                     \"paper_id\": \"{paper}\"}}', or name a file with --file",
                    target.environment.name
                ),
            })?;
            (None, found)
        }
    };
    Ok(Program {
        paper,
        code,
        sha256: hex::encode(Sha256::digest(bytes)),
    })
}

/// How a program is to be run.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// Seconds that it may run.
    timeout: u32,
    /// The paper stays as it is.
    trial: bool,
    /// What it prints is told while it runs.
    live: bool,
}

impl Wanted {
    /// A batch of one, with a name that no other has: SQS drops the second message of a name within five minutes.
    fn batch(self, program: &Program) -> CodeTestingMessage {
        let now = Utc::now().to_rfc3339();
        let mut digits = hex::encode(Sha256::digest(format!("{}{now}", program.sha256)));
        digits.truncate(24);
        let kind = if self.trial { "trial" } else { "person" };
        CodeTestingMessage {
            batch_id: format!("{kind}-{digits}"),
            batch: vec![ProgramToTest {
                paper_id: program.paper.clone(),
                paper_title: String::new(),
                code: program.code.clone(),
                s3_code_key: keys::code(&program.paper),
                code_sha256: program.sha256.clone(),
                dry_run: false,
            }],
            timeout: self.timeout,
            skip_tested: false,
            trial: self.trial,
            live: self.live,
        }
    }
}

fn message(batch: &CodeTestingMessage) -> Result<Message, CommandError> {
    let message = Message::of(batch)?;
    match message.body.len() {
        ..=MESSAGE_LIMIT => Ok(message),
        length => Err(CommandError::Usage {
            problem: format!("the program makes a message of {length} bytes"),
            hint: format!("SQS takes {MESSAGE_LIMIT}: shorten the file"),
        }),
    }
}

/// Sees to it that somebody takes the batch: an instance that runs or will, or the agent of this machine.
async fn ready(cx: &Context, target: &Target, yes: bool) -> Result<(), CommandError> {
    let environment = &target.environment;
    if environment.local().is_some() {
        let none = || CommandError::Usage {
            problem: format!("the agent of `{}` does not run", environment.name),
            hint: format!("start it: cargo infra deploy {}", environment.name),
        };
        return agent::port(&cx.home(environment))
            .map(|_| ())
            .ok_or_else(none);
    }
    let seen = instances::seen(&target.cloud, environment).await?;
    if seen
        .iter()
        .any(|it| matches!(it.state.as_str(), "running" | "pending"))
    {
        return Ok(());
    }
    match seen.iter().find(|it| it.state == "stopped") {
        Some(stopped) => {
            let one = std::slice::from_ref(&stopped.id);
            trainium::start_stopped(cx, target, one, yes).await
        }
        None => {
            cx.ui.warn(format!(
                "`{}` has no instance that could be started; the batch waits for an agent",
                environment.name
            ));
            Ok(())
        }
    }
}

async fn show(
    cx: &Context,
    outputs: &TestOutputs<'_>,
    result: &TestResult,
    saved: bool,
    as_json: bool,
) -> Result<(), CommandError> {
    if as_json {
        let stdout = outputs.text(&result.outputs.stdout).await?;
        let stderr = outputs.text(&result.outputs.stderr).await?;
        return cx.ui.json(&Answer {
            saved,
            result,
            stdout: &stdout,
            stderr: &stderr,
        });
    }
    cx.ui.result(results::fields(result))?;
    results::streams(cx, outputs, result, usize::MAX).await
}

fn ended(paper: &PaperId, result: &TestResult) -> Result<ExitCode, CommandError> {
    if result.outcome() != Outcome::Failed {
        return Ok(ExitCode::SUCCESS);
    }
    let reason = crate::ui::one_line(&reason(result), 600);
    Err(CommandError::ProgramFailed(paper.to_string(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(code: Option<String>) -> Program {
        Program {
            paper: PaperId::of("Adam", None),
            code,
            sha256: "c0de".to_owned(),
        }
    }

    fn wanted(trial: bool) -> Wanted {
        Wanted {
            timeout: 900,
            trial,
            live: true,
        }
    }

    #[test]
    fn a_batch_of_a_person_is_run_and_has_a_name_of_its_own() {
        let (one, other) = (
            wanted(true).batch(&program(None)),
            wanted(true).batch(&program(None)),
        );
        assert_ne!(one.batch_id, other.batch_id);
        assert!(one.is_named_as_a_trial() && !one.skip_tested, "{one:?}");
        assert_eq!(one.batch[0].s3_code_key, keys::code(&one.batch[0].paper_id));
        let saved = wanted(false).batch(&program(None));
        assert!(!saved.trial && saved.batch_id.starts_with("person-"));
    }

    #[test]
    fn a_program_that_makes_no_message_is_refused_before_anything_is_started() {
        let of = |length: usize| message(&wanted(false).batch(&program(Some("x".repeat(length)))));
        assert!(of(261_000).is_ok());
        let error = of(262_144).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}
