//! Whether the deployer may do what a deploy does, by IAM's own simulation of their policies.
//!
//! CloudFormation acts with the deployer's permissions, so the list holds what it needs for each resource, beside the
//! calls of this program. `docs/` has the same list as two policies; a test compares.

use std::collections::BTreeSet;

use annapurna_local::doctor::{Check, State};
use aws_sdk_iam::types::PolicyEvaluationDecisionType;

use super::{Subject, check as finding, missing, unseen, without};
use crate::error::CommandError;

mod needed;

use needed::{Needed, needed};

/// How many denied actions a line shows.
const SHOWN: usize = 6;

/// Who makes the calls, as far as their policies can be simulated.
enum Deployer {
    /// ARN of the user, or of the role behind the session.
    Principal(String),
    /// The account's root user, who may do everything and has no policies.
    Root,
}

pub(super) async fn check(subject: &Subject<'_>) -> Check {
    let state = match simulated(subject).await {
        Ok(state) => state,
        // Nothing is known; a deploy that lacks a right says which when it needs it.
        Err(error) => unseen(&error),
    };
    finding("permissions", "everything a deploy does", state)
}

async fn simulated(subject: &Subject<'_>) -> Result<State, CommandError> {
    let principal = match deployer(subject).await? {
        Deployer::Principal(arn) => arn,
        Deployer::Root => {
            return Ok(without(
                "the root user deploys",
                "sign in as a role or user with the policies of docs/aws.md",
            ));
        }
    };
    let questions = needed().map(|it| denied(subject, &principal, it));
    let answers = futures::future::try_join_all(questions).await?;
    let denied: Vec<String> = needed()
        .zip(answers)
        .flat_map(|(needed, denied)| {
            let named = move |action| format!("{action} (statement {})", needed.sid);
            denied.into_iter().map(named)
        })
        .collect();
    if denied.is_empty() {
        let n_actions: usize = needed().map(|it| it.actions.len()).sum();
        return Ok(State::Ok(format!(
            "{n_actions} actions allowed to {principal}"
        )));
    }
    let more = match denied.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = denied[..denied.len().min(SHOWN)].join(", ");
    Ok(missing(
        format!("{principal} may not {shown}{more}"),
        "attach the policies of docs/aws.md, \"The deployer's policies\"",
    ))
}

/// A session of a role is simulated by its role, whose ARN has a path that the session's does not show.
async fn deployer(subject: &Subject<'_>) -> Result<Deployer, CommandError> {
    let identity = subject.cloud.sts.get_caller_identity().send().await;
    let identity = identity.map_err(CommandError::aws("learn who the deployer is"))?;
    let arn = identity.arn();
    let arn = arn.ok_or_else(|| CommandError::lacks("learn who the deployer is", "ARN"))?;
    if arn.ends_with(":root") {
        return Ok(Deployer::Root);
    }
    let role = arn.split_once(":assumed-role/");
    let Some(role) = role.and_then(|(_, rest)| rest.split('/').next()) else {
        return Ok(Deployer::Principal(arn.to_owned()));
    };
    let found = subject.cloud.iam.get_role().role_name(role).send().await;
    let found = found.map_err(CommandError::aws(format!("read role `{role}`")))?;
    let found = found.role();
    let found = found.ok_or_else(|| CommandError::lacks(format!("read role `{role}`"), "role"))?;
    Ok(Deployer::Principal(found.arn().to_owned()))
}

/// The actions of one entry that would be refused.
async fn denied(
    subject: &Subject<'_>,
    principal: &str,
    needed: &Needed,
) -> Result<BTreeSet<String>, CommandError> {
    let actions = needed.actions.iter().map(|it| (*it).to_owned()).collect();
    let pages = subject
        .cloud
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(actions))
        .set_resource_arns(Some(needed.real_resources(subject)))
        .set_context_entries(needed.context(subject))
        .into_paginator();
    let results: Result<Vec<_>, _> = pages.items().send().try_collect().await;
    let results = results.map_err(CommandError::aws("simulate the deployer's policies"))?;
    // One result for each resource.
    Ok(results
        .into_iter()
        .filter(|it| it.eval_decision != PolicyEvaluationDecisionType::Allowed)
        .map(|it| it.eval_action_name)
        .collect())
}
