//! What an environment in AWS needs: of this machine, of the account, of the models.

use annapurna_local::doctor::{Check, State};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::Environment;

use super::super::Context;
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::preflight::{self, models::Answered};

/// Whether each model may be asked one short question, which also makes the account's agreement for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Consent {
    /// It was said on the command line.
    Given,
    /// A person is asked, where there is one.
    Ask,
}

impl Consent {
    /// By a flag that gives it.
    pub(in crate::commands) const fn of(is_given: bool) -> Self {
        if is_given { Self::Given } else { Self::Ask }
    }
}

/// Everything about an environment in AWS.
pub(super) async fn checks(
    cx: &Context,
    environment: &Environment,
    consent: Consent,
) -> Result<Vec<Check>, CommandError> {
    let template = cx.template(environment)?;
    let cloud = Cloud::connect(environment, None).await;
    let mut checks = look(cx, environment, &template, &cloud).await?;
    let is_missing = |check: &Check| matches!(check.state, State::Missing { .. });
    // A question that is bound to fail is not asked.
    if !checks.iter().any(is_missing) {
        checks.extend(ask_models(cx, environment, &cloud, consent).await?);
    }
    checks.insert(0, cargo_lambda().await);
    Ok(checks)
}

/// What `doctor` and a deploy look at alike: the account, and whether anybody hears of alarms.
async fn look(
    cx: &Context,
    environment: &Environment,
    template: &Template,
    cloud: &Cloud,
) -> Result<Vec<Check>, CommandError> {
    let step = cx.ui.begin("Looking at the account");
    let mut checks = preflight::look(environment, template, cloud).await?;
    drop(step);
    checks.extend(super::alarms_check(environment));
    Ok(checks)
}

/// Stops a deploy before anything is built or uploaded, with all that is in its way together.
pub(in crate::commands) async fn before_deploy(
    cx: &Context,
    environment: &Environment,
    template: &Template,
    cloud: &Cloud,
    consent: Consent,
) -> Result<(), CommandError> {
    let checks = look(cx, environment, template, cloud).await?;
    super::require(
        cx,
        "the account is not ready (--no-preflight, where a check is mistaken)",
        checks,
    )?;
    let answers = ask_models(cx, environment, cloud, consent).await?;
    super::require(cx, "a model does not answer", answers)?;
    cx.ui.done("The account is ready");
    Ok(())
}

/// Has each model answer that was not seen to answer in this account before.
async fn ask_models(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    consent: Consent,
) -> Result<Vec<Check>, CommandError> {
    let account = cloud.guard(environment).await?;
    let mut answered = Answered::load(&cx.state)?;
    let models = answered.missing(environment, &account);
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = models.iter().map(|model| model.id).collect();
    let question = format!(
        "Ask {} one short question each? It costs less than 0.01 USD and subscribes the account to them.",
        names.join(", ")
    );
    let agreed = match consent {
        Consent::Given => true,
        Consent::Ask => cx.ui.can_ask() && cx.ui.confirm(&question).await?,
    };
    if !agreed {
        return Ok(vec![Check {
            name: "answers",
            used_for: "models, asked once",
            state: State::Optional {
                problem: format!("{} were not asked", names.join(", ")),
                fix: format!(
                    "cargo infra doctor {} --ask-models asks each one short question",
                    environment.name
                ),
            },
        }]);
    }
    let today = chrono::Utc::now().date_naive().to_string();
    let mut checks = Vec::new();
    for model in models {
        let step = cx.ui.begin(format!("Asking {}", model.id));
        checks.push(answered.ask(cloud, &account, model, &today).await?);
        drop(step);
    }
    Ok(checks)
}

async fn cargo_lambda() -> Check {
    let lambda = tokio::process::Command::new("cargo")
        .args(["lambda", "--version"])
        .output()
        .await;
    let state = match lambda {
        Ok(output) if output.status.success() => {
            State::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => State::Missing {
            problem: "cargo-lambda is not installed".to_owned(),
            fix: "pip install cargo-lambda".to_owned(),
        },
    };
    Check {
        name: "cargo-lambda",
        used_for: "building for Lambda and trn1",
        state,
    }
}
