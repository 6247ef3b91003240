//! What an environment in AWS needs: of this machine, of the account, of the models.

use annapurna_local::cargo_lambda::{CargoLambda, INSTALLS};
use annapurna_local::doctor::{Check, State};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::Environment;

use super::super::Context;
use crate::assets::{NO_CARGO_LAMBDA, how_to_get_cargo_lambda};
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
    checks.insert(0, cargo_lambda(cx, environment).await);
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
    let mut checks = look(cx, environment, template, cloud).await?;
    // Where it can be installed, that is asked about once all else is ready.
    if consent == Consent::Ask && !cx.ui.can_ask() {
        checks.push(cargo_lambda(cx, environment).await);
    }
    super::require(
        cx,
        "not everything is ready (--no-preflight, where a check is mistaken)",
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

async fn cargo_lambda(cx: &Context, environment: &Environment) -> Check {
    let state = match CargoLambda::find(&cx.tools()).await {
        Some(found) => State::Ok(found.version),
        None => State::Missing {
            problem: NO_CARGO_LAMBDA.to_owned(),
            fix: how_to_get_cargo_lambda(environment),
        },
    };
    Check {
        name: "cargo-lambda",
        used_for: "building for Lambda and trn1",
        state,
    }
}

/// Finds what builds for AWS, or installs it once that is agreed to.
pub(in crate::commands) async fn ensure_cargo_lambda(
    cx: &Context,
    environment: &Environment,
    consent: Consent,
) -> Result<(), CommandError> {
    let tools = cx.tools();
    if CargoLambda::find(&tools).await.is_some() {
        return Ok(());
    }
    let question = format!("{NO_CARGO_LAMBDA}, which builds for AWS. Install {INSTALLS}?");
    let agreed = match consent {
        Consent::Given => true,
        Consent::Ask => cx.ui.can_ask() && cx.ui.confirm(&question).await?,
    };
    if !agreed {
        return Err(CommandError::Usage {
            problem: format!("{NO_CARGO_LAMBDA}, which builds for AWS"),
            hint: how_to_get_cargo_lambda(environment),
        });
    }
    let step = cx.ui.begin("Installing cargo-lambda");
    let found = CargoLambda::install(&tools, &cx.ui).await?;
    drop(step);
    cx.ui.done(format!("{} is installed", found.version));
    Ok(())
}
