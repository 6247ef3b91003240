//! Whether the region has the services that start things, and the account room for the functions.

use annapurna_local::doctor::{Check, State};

use super::signed::Service;
use super::{Subject, check as finding, unseen, unseen_or, without};
use crate::error::CommandError;

/// Functions that may run at once when a conference is scraped: two windows, five judges, generators and the tester.
/// A new account has ten in all. Source: Lambda guide, "Lambda quotas".
const COMFORTABLE: i32 = 50;
/// A region that lacks a service has no address for it, which looks like a network that is down.
const REGIONS: &str = "whether the region has it: \
    https://aws.amazon.com/about-aws/global-infrastructure/regional-product-services/";

pub(super) async fn check(subject: &Subject<'_>) -> Vec<Check> {
    let (concurrency, step_functions, scheduler) = tokio::join!(
        concurrency(subject),
        step_functions(subject),
        scheduler(subject),
    );
    vec![
        finding(
            "Lambda concurrency",
            "functions that run at once",
            concurrency.unwrap_or_else(|error| unseen(&error)),
        ),
        finding("Step Functions", "whole scrapes", step_functions),
        finding("EventBridge Scheduler", "what starts by itself", scheduler),
    ]
}

async fn concurrency(subject: &Subject<'_>) -> Result<State, CommandError> {
    let settings = subject.cloud.lambda.get_account_settings().send().await;
    let settings = settings.map_err(CommandError::aws("read the limits of Lambda"))?;
    let limit = settings.account_limit();
    let free = limit.and_then(|it| it.unreserved_concurrent_executions());
    let free = free.or_else(|| limit.map(|it| it.concurrent_executions()));
    let region = &subject.environment.region;
    Ok(match free {
        None => without("Lambda names no limit", "look at it in the console"),
        Some(free) if free < COMFORTABLE => without(
            format!("{free} functions at once; more wait, and take longer"),
            format!(
                "ask for 1,000: https://{region}.console.aws.amazon.com/servicequotas/home/services/lambda/quotas/L-B99A9384"
            ),
        ),
        Some(free) => State::Ok(format!("{free} functions at once")),
    })
}

async fn step_functions(subject: &Subject<'_>) -> State {
    let list = subject.cloud.sfn.list_state_machines().max_results(1);
    match list.send().await {
        Ok(_) => State::Ok(format!("in {}", subject.environment.region)),
        Err(error) => unseen_or(
            &CommandError::aws("list the state machines")(error),
            REGIONS,
        ),
    }
}

async fn scheduler(subject: &Subject<'_>) -> State {
    let list = subject
        .signed
        .get(Service::Scheduler, "/schedules?MaxResults=1");
    match list.await {
        Ok(_) => State::Ok(format!("in {}", subject.environment.region)),
        Err(error) => unseen_or(&error.of("list the schedules"), REGIONS),
    }
}
