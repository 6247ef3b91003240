use std::process::ExitCode;

use annapurna_local::doctor::{self, Check, State};
use annapurna_stack::environment::Environment;
use serde_json::json;

use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::ui;

/// Say what this machine has and lacks for an environment, and what each part is used for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra doctor local               This machine
  cargo infra doctor prod --json         The AWS account as well")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(cx: &Context, args: DoctorArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let checks = match environment.local() {
        Some(settings) => {
            let home = cx.home(&environment);
            doctor::look(&home, settings.python.as_deref()).await.checks
        }
        None => aws_checks(&environment).await,
    };
    if args.json {
        let rows: Vec<_> = checks.iter().map(row).collect();
        cx.ui.json(&rows)?;
    } else {
        let lines: Vec<Vec<String>> = checks.iter().map(line).collect();
        cx.ui
            .result(ui::table(&["", "PART", "USED FOR", "FOUND"], &lines))?;
    }
    let missing = checks
        .iter()
        .any(|check| matches!(check.state, State::Missing { .. }));
    Ok(if missing {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// What a deployment to AWS needs of this machine.
async fn aws_checks(environment: &Environment) -> Vec<Check> {
    let lambda = tokio::process::Command::new("cargo")
        .args(["lambda", "--version"])
        .output()
        .await;
    let lambda = match lambda {
        Ok(output) if output.status.success() => {
            State::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => State::Missing {
            problem: "cargo-lambda is not installed".to_owned(),
            fix: "pip install cargo-lambda".to_owned(),
        },
    };
    let account = match Cloud::connect(environment, None)
        .await
        .guard(environment)
        .await
    {
        Ok(account) => State::Ok(format!("account {account}")),
        Err(error) => State::Missing {
            problem: error.to_string(),
            fix: error
                .hint()
                .unwrap_or_else(|| "see `aws sts get-caller-identity`".to_owned()),
        },
    };
    let mut checks = vec![
        Check {
            name: "cargo-lambda",
            used_for: "building for Lambda and trn1",
            state: lambda,
        },
        Check {
            name: "credentials",
            used_for: "every call to AWS",
            state: account,
        },
    ];
    checks.extend(alarms_check(environment));
    checks
}

/// Alarms that nobody would hear of; a topic that somebody subscribed to by hand is not seen here.
fn alarms_check(environment: &Environment) -> Option<Check> {
    environment.alarms_tell_nobody().then(|| Check {
        name: "alarms",
        used_for: "telling of a scheduled scrape that failed",
        state: State::Optional {
            problem: "they tell nobody".to_owned(),
            fix: format!(
                "name [alarms] subscribers in environments/{}.toml",
                environment.name
            ),
        },
    })
}

fn found(state: &State) -> (&'static str, String) {
    match state {
        State::Ok(detail) => ("ok", detail.clone()),
        State::Missing { problem, fix } => ("missing", format!("{problem}; {fix}")),
        State::Optional { problem, fix } => ("without", format!("{problem}; {fix}")),
    }
}

fn line(check: &Check) -> Vec<String> {
    let (state, detail) = found(&check.state);
    vec![
        state.to_owned(),
        check.name.to_owned(),
        check.used_for.to_owned(),
        detail,
    ]
}

fn row(check: &Check) -> serde_json::Value {
    let (state, detail) = found(&check.state);
    json!({"part": check.name, "used_for": check.used_for, "state": state, "found": detail})
}

/// Stops before the long steps when the machine lacks something they need.
pub(super) fn require(cx: &Context, checks: Vec<Check>) -> Result<(), CommandError> {
    let missing: Vec<(String, String)> = checks
        .into_iter()
        .filter_map(|check| match check.state {
            State::Missing { problem, fix } => Some((format!("{}: {problem}", check.name), fix)),
            State::Ok(_) => None,
            State::Optional { problem, fix } => {
                cx.ui.warn(format!(
                    "{} ({}): {problem}; {fix}",
                    check.name, check.used_for
                ));
                None
            }
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (problems, fixes): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
    Err(CommandError::Usage {
        problem: format!("this machine lacks something:\n  {}", problems.join("\n  ")),
        hint: fixes.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn alarms_that_tell_nobody_are_said_where_there_are_alarms() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        let check = |name: &str| alarms_check(&Environment::load(&folder, name).unwrap());
        let (state, found) = found(&check("prod").unwrap().state);
        assert_eq!(state, "without");
        assert!(found.contains("[alarms] subscribers in environments/prod.toml"));
        assert!(check("dev").is_none() && check("local").is_none());
    }
}
