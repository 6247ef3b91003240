use std::process::ExitCode;

use annapurna_contract::answers::{Collected, Failed, GeneratorAnswer};
use annapurna_contract::events::INVALID_REQUEST;
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_contract::{Function, Source};
use annapurna_stack::environment::Environment;
use aws_sdk_lambda::primitives::Blob;

use super::{Context, EnvironmentArg};
use crate::error::CommandError;
use crate::ui;

/// Invoke a function with a JSON event and print its answer
///
/// A scraper's MAX_PAPERS counts papers that no earlier call had: the same event again takes the next ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra invoke local PaperScraper_ICLR '{\"MAX_PAPERS\": \"5\"}'
  cargo infra invoke prod PapersCodeGenerator '{\"action\": \"generate_recent\", \"max_papers\": 5}'")]
pub(super) struct InvokeArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Function, as in the aws CLI but without the environment's prefix
    function: String,
    /// The event, JSON
    #[arg(default_value = "{}")]
    event: String,
}

pub(super) async fn run(cx: &Context, args: InvokeArgs) -> Result<ExitCode, CommandError> {
    let function = known_function(&args.function)?;
    let event: serde_json::Value =
        serde_json::from_str(&args.event).map_err(|error| CommandError::Usage {
            problem: format!("the event is not JSON: {error}"),
            hint: "quote it for your shell: '{\"MAX_PAPERS\": \"5\"}'".to_owned(),
        })?;
    let target = cx.target(&args.environment).await?;
    let name = target.environment.named(function.name());
    let step = cx.ui.begin(format!("{name} is at work"));
    let answer = invoke(&target.cloud, &target.environment, function, &event).await?;
    drop(step);
    cx.ui.json(&answer)?;
    match first_of_all_failed(function, answer)? {
        None => Ok(ExitCode::SUCCESS),
        Some((n_failed, reason)) => Err(CommandError::NothingDone {
            environment: target.environment.name,
            function: function.name().to_owned(),
            n_failed,
            reason: ui::one_line(&reason, 600),
        }),
    }
}

/// How many papers failed, and why the first did, where an answer tells of failures and of nothing done.
fn first_of_all_failed(
    function: Function,
    answer: serde_json::Value,
) -> Result<Option<(usize, String)>, serde_json::Error> {
    let (n_done, failed) = match function {
        Function::Generator => {
            let answer: GeneratorAnswer = serde_json::from_value(answer)?;
            // Where waits were ended nothing was requested.
            let n_done = match answer.requested {
                0 => 1,
                _ => answer.n_done(),
            };
            (n_done, errors(answer.failed))
        }
        Function::Tester => {
            let answer: Collected = serde_json::from_value(answer)?;
            (answer.collected.len(), errors(answer.failed))
        }
        Function::Scraper(_) | Function::ArxivAlias | Function::AnyScraper => {
            // A step of the state machine answers otherwise, and to the machine.
            let Ok(summary) = serde_json::from_value::<ScrapeSummary>(answer) else {
                return Ok(None);
            };
            let n_done = summary.stored + summary.already + summary.metadata_only + summary.known;
            let failed = summary.failed.into_iter().map(|failed| failed.error);
            (n_done, failed.collect())
        }
        Function::Judge => return Ok(None),
    };
    let n_failed = failed.len();
    let first = failed.into_iter().next().filter(|_| n_done == 0);
    Ok(first.map(|reason| (n_failed, reason)))
}

fn errors(failed: Vec<Failed>) -> Vec<String> {
    failed.into_iter().map(|failed| failed.error).collect()
}

/// Reads a function's name in any case, and a scraper's with any name of its source.
pub(super) fn known_function(name: &str) -> Result<Function, CommandError> {
    let all = || Function::ALL.into_iter();
    let source = name.split_once('_').and_then(|(kind, source)| {
        let is_scraper = kind.eq_ignore_ascii_case("PaperScraper");
        is_scraper.then(|| Source::parse(source))?
    });
    all()
        .find(|it| it.name() == name)
        .or_else(|| all().find(|it| it.name().eq_ignore_ascii_case(name)))
        .or(source.map(Function::Scraper))
        .ok_or_else(|| {
            let names = Function::ALL.map(Function::name);
            CommandError::Usage {
                problem: format!("no function called `{}`", ui::one_line(name, 80)),
                hint: format!("functions: {}", names.join(", ")),
            }
        })
}

/// Invokes a function and waits for its answer, as long as Lambda lets it run.
pub(super) async fn invoke(
    cloud: &crate::cloud::Cloud,
    environment: &Environment,
    function: Function,
    event: &serde_json::Value,
) -> Result<serde_json::Value, CommandError> {
    use aws_sdk_lambda::config::timeout::TimeoutConfig;
    let patience = std::time::Duration::from_secs(910);
    let waiting = aws_sdk_lambda::config::Config::builder().timeout_config(
        TimeoutConfig::builder()
            .operation_timeout(patience)
            .read_timeout(patience)
            .build(),
    );
    let name = environment.named(function.name());
    let request = cloud.lambda.invoke().function_name(&name);
    let answer = request
        .payload(Blob::new(serde_json::to_vec(event)?))
        .customize()
        .config_override(waiting)
        .send()
        .await
        .map_err(CommandError::aws(format!("invoke {name}")))?;
    let payload = answer.payload().map_or(&[][..], AsRef::as_ref);
    if let Some(kind) = answer.function_error() {
        return Err(failed(
            environment,
            function,
            kind,
            &String::from_utf8_lossy(payload),
        ));
    }
    serde_json::from_slice(payload).map_err(|error| CommandError::Aws {
        doing: format!("read the answer of {name}"),
        reason: format!("it is no JSON: {error}"),
    })
}

/// The error of a function that failed; `kind` is Lambda's word for it.
fn failed(environment: &Environment, function: Function, kind: &str, text: &str) -> CommandError {
    let (reason, is_refused) = match function_error(text) {
        Some(error) => {
            let is_refused = error.error_type.as_deref() == Some(INVALID_REQUEST);
            (error.error_message, is_refused)
        }
        None if text.trim().is_empty() => (format!("Lambda says {kind} and no more"), false),
        None => (text.to_owned(), false),
    };
    let (function, reason) = (function.name().to_owned(), ui::safe(&reason));
    match is_refused {
        true => CommandError::InvalidRequest { function, reason },
        false => CommandError::FunctionFailed {
            environment: environment.name.clone(),
            function,
            reason,
        },
    }
}

/// The error that Lambda and Step Functions pass on.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionError {
    error_type: Option<String>,
    /// The function's own words.
    pub(super) error_message: String,
}

/// `None` when `text` is no such error. Source: Lambda guide, "Lambda function errors".
pub(super) fn function_error(text: &str) -> Option<FunctionError> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use annapurna_contract::scrape::FailedPaper;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_wrong_request_is_told_from_a_function_that_failed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        let environment = Environment::load(&folder, "local").unwrap();
        let error = |text: &str| failed(&environment, Function::Tester, "Unhandled", text);
        let refused = error(
            r#"{"errorType": "InvalidRequest", "errorMessage": "the nearest is `collect`\u001b[2J"}"#,
        );
        assert_eq!(refused.exit_code(), 2);
        assert_eq!(
            refused.to_string(),
            "PapersCodeTester refuses the request: the nearest is `collect` [2J"
        );
        for text in [
            r#"{"errorType": "TesterError", "errorMessage": "InvalidRequest"}"#,
            r#"{"errorMessage": "Task timed out after 30.00 seconds"}"#,
            "a broken machine",
            "",
        ] {
            let error = error(text);
            assert_eq!(error.exit_code(), 3, "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.ends_with("logs local PapersCodeTester"), "{hint}");
        }
    }

    #[test]
    fn an_answer_with_nothing_but_failures_is_no_success() {
        let program =
            json!({"paper_id": "a", "title": "t", "s3_code_key": "k", "from_full_text": true});
        let failed = json!([{"paper_id": "b", "error": "no time left"}]);
        let one = Some((1, "no time left".to_owned()));
        let of = |function, answer| first_of_all_failed(function, answer).unwrap();
        let generator = |requested: usize, done: Value| {
            let answer = json!({"action": "generate_recent", "requested": requested,
                "generated": [], "already": done, "failed": failed});
            of(Function::Generator, answer)
        };
        assert_eq!(generator(1, json!([])), one);
        assert_eq!(generator(2, json!([program])), None);
        for answer in [
            json!({"action": "get_paper_info", "found": false}),
            json!({"action": "end_waits", "sent": ["a"], "failed": failed}),
            json!({"action": "generate_recent", "requested": 0}),
        ] {
            assert_eq!(of(Function::Generator, answer.clone()), None, "{answer}");
        }
        let tester = |done: Value| {
            let answer = json!({"action": "collect", "collected": done, "failed": failed});
            of(Function::Tester, answer)
        };
        assert_eq!(tester(json!([])), one);
        assert_eq!(tester(json!(["a"])), None);
        let scraper = |stored: usize| {
            let summary = ScrapeSummary {
                found: 2,
                stored,
                failed: vec![FailedPaper {
                    paper: "b".to_owned(),
                    title: None,
                    error: "no time left".to_owned(),
                }],
                ..ScrapeSummary::default()
            };
            of(Function::AnyScraper, serde_json::to_value(summary).unwrap())
        };
        assert_eq!(scraper(0), one);
        assert_eq!(scraper(1), None);
        assert_eq!(of(Function::AnyScraper, json!({"windows": []})), None);
    }

    #[test]
    fn a_function_is_found_by_every_name_of_it() {
        let found = |name: &str| known_function(name).unwrap().name();
        assert_eq!(found("PaperScraper_ArXiv"), "PaperScraper_ArXiv");
        assert_eq!(found("PaperScraper_arxiv"), "PaperScraper_arxiv");
        assert_eq!(found("paperscraper_ARXIV"), "PaperScraper_ArXiv");
        assert_eq!(found("PaperScraper_NIPS"), "PaperScraper_NEURIPS");
        assert_eq!(found("papersjudge"), "PapersJudge");
        for unknown in ["PaperScraper_CVPR", "PapersJudge_NIPS", "NIPS", ""] {
            assert!(known_function(unknown).is_err(), "{unknown}");
        }
    }
}
