//! Looks at an AWS account before anything is built or uploaded: may the deployer, are the names free, is there
//! room, do the models answer.
//!
//! In: the environment, its template and clients. Out: a list of checks, for `doctor` and for the start of a deploy.
//! Nothing is changed; only [`models::try_once`] costs anything, and it is asked about before. What cannot be looked at
//! is said and stops nothing, since the deployer may lack a right that the deploy does not need.

use annapurna_local::doctor::{Check, State};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::Environment;
use serde_json::Value;

use crate::cloud::Cloud;
use crate::error::CommandError;

mod image;
pub(crate) mod models;
pub(crate) mod names;
mod permissions;
mod services;
mod signed;
mod trainium;

use signed::Signed;

/// What AWS's services call a missing right, in code or message. Source: AWS General Reference, "Common errors"; EC2
/// API reference, "Error codes".
const DENIED: [&str; 3] = ["AccessDenied", "Unauthorized", "not authorized"];

/// What every check is given.
struct Subject<'a> {
    environment: &'a Environment,
    /// The template as JSON, for the names in it.
    template: Value,
    cloud: &'a Cloud,
    /// Services that have no SDK client here.
    signed: Signed,
    /// 12 digits, and the environment's own.
    account: String,
}

impl Subject<'_> {
    /// Path of the environment's file, as a person names it.
    fn file(&self) -> String {
        format!("environments/{}.toml", self.environment.name)
    }
}

/// Looks at everything. Without credentials of the environment's account that is all that is said.
///
/// # Errors
///
/// When the template has no JSON form.
pub(crate) async fn look(
    environment: &Environment,
    template: &Template,
    cloud: &Cloud,
) -> Result<Vec<Check>, CommandError> {
    let account = match cloud.guard(environment).await {
        Ok(account) => account,
        Err(error) => return Ok(vec![credentials(Err(error), &environment.region)]),
    };
    let subject = Subject {
        environment,
        template: template.to_json()?,
        cloud,
        signed: Signed::new(&cloud.config),
        account: account.clone(),
    };
    let (permissions, names, services, trainium, models) = tokio::join!(
        permissions::check(&subject),
        names::check(&subject),
        services::check(&subject),
        trainium::check(&subject),
        models::check(&subject),
    );
    let mut checks = vec![
        credentials(Ok(account), &environment.region),
        placeholders(&subject),
        permissions,
    ];
    checks.extend(names);
    checks.extend(services);
    checks.extend(models);
    checks.extend(trainium);
    Ok(checks)
}

/// The region is the environment's whatever the credentials' own configuration says.
fn credentials(account: Result<String, CommandError>, region: &str) -> Check {
    let state = match account {
        Ok(account) => State::Ok(format!("account {account}, region {region}")),
        Err(error) => {
            let fix = error.hint();
            missing(
                error.to_string(),
                fix.unwrap_or_else(|| "see `aws sts get-caller-identity`".to_owned()),
            )
        }
    };
    check("credentials", "every call to AWS", state)
}

/// Values of the file that are there to be replaced.
fn placeholders(subject: &Subject<'_>) -> Check {
    let state = if subject.environment.contact_is_a_placeholder() {
        missing(
            "`contact` is still the placeholder",
            format!(
                "set it in {} to an address at which a paper site can complain",
                subject.file()
            ),
        )
    } else {
        State::Ok("no placeholder is left".to_owned())
    };
    check("settings", "what the sites see of the scrapers", state)
}

const fn check(name: &'static str, used_for: &'static str, state: State) -> Check {
    Check {
        name,
        used_for,
        state,
    }
}

fn missing(problem: impl Into<String>, fix: impl Into<String>) -> State {
    State::Missing {
        problem: problem.into(),
        fix: fix.into(),
    }
}

fn without(problem: impl Into<String>, fix: impl Into<String>) -> State {
    State::Optional {
        problem: problem.into(),
        fix: fix.into(),
    }
}

/// A question that AWS did not answer: nothing is known, and nothing is stopped.
fn unseen(error: &CommandError) -> State {
    unseen_or(error, "look again when that is mended")
}

/// Whether it says nothing of what was asked: the credentials, the network or the service stood in the way.
const fn is_of_the_way(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Passing { .. } | CommandError::NoCredentials { .. }
    )
}

/// The same, with what helps where neither a right nor the way to AWS is missing.
fn unseen_or(error: &CommandError, else_fix: &str) -> State {
    let reason = error.to_string();
    let is_denied = DENIED.iter().any(|word| reason.contains(word));
    let fix = match error.hint() {
        _ if is_denied => "give the deployer the policies of docs/aws.md".to_owned(),
        Some(hint) if is_of_the_way(error) => format!("{hint}; {else_fix}"),
        _ => else_fix.to_owned(),
    };
    without(format!("could not be seen: {reason}"), fix)
}
