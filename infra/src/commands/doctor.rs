use std::process::ExitCode;

use annapurna_local::doctor::{self, Check, State};
use annapurna_stack::environment::Environment;
use serde_json::json;

use super::{Context, EnvironmentArg};
use crate::error::CommandError;
use crate::{local, ui};

mod aws;

pub(super) use aws::{Consent, before_deploy, ensure_cargo_lambda};

/// Say what this machine, or the AWS account, has and lacks for an environment
///
/// Each part is `ok`, `missing`, which stops a deploy, or `without`, which does not; what to do stands beside it. Nothing
/// is changed. In AWS each model is asked one short question, once an account, after you agreed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra doctor local               What this machine has and lacks
  cargo infra doctor prod                The account too: permissions, names, quotas, models
  cargo infra doctor prod --ask-models   Asks the models without a question; for scripts
  cargo infra doctor prod --json")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Ask each model of an environment in AWS one short question (less than 0.01 USD) without asking you
    #[arg(long)]
    ask_models: bool,
}

pub(super) async fn run(cx: &Context, args: DoctorArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let checks = match environment.local() {
        Some(settings) => {
            let home = cx.home(&environment);
            let wanted = local::wanted(&environment, settings);
            doctor::look(&home, wanted).await.checks
        }
        None => {
            let consent = Consent::of(args.ask_models);
            aws::checks(cx, &environment, consent).await?
        }
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

/// Stops before the long steps when something is missing that they need; `what` says of whom, in few words.
pub(super) fn require(cx: &Context, what: &str, checks: Vec<Check>) -> Result<(), CommandError> {
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
        problem: format!("{what}:\n  {}", problems.join("\n  ")),
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
