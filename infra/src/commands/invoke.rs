use std::process::ExitCode;

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
    environment: EnvironmentArg,
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
    Ok(ExitCode::SUCCESS)
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
        let text = String::from_utf8_lossy(payload);
        let reason = match error_message(&text) {
            Some(message) => message,
            None if text.trim().is_empty() => format!("Lambda says {kind} and no more"),
            None => text.into_owned(),
        };
        return Err(CommandError::FunctionFailed {
            environment: environment.name.clone(),
            function: function.name().to_owned(),
            reason: ui::safe(&reason),
        });
    }
    serde_json::from_slice(payload).map_err(|error| CommandError::Aws {
        doing: format!("read the answer of {name}"),
        reason: format!("it is no JSON: {error}"),
    })
}

/// A function's own words in the error that Lambda and Step Functions pass on; `None` when `text` is no
/// such error. Source: Lambda guide, "Lambda function errors".
pub(super) fn error_message(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Error {
        error_message: String,
    }
    let error: Error = serde_json::from_str(text).ok()?;
    Some(error.error_message)
}

#[cfg(test)]
mod tests {
    use super::*;

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
