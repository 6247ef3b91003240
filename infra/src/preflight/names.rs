//! Whether the names of the stack are free: bucket names among all of AWS, the others in the account and region.
//!
//! A name that is taken makes CloudFormation undo a whole deploy. An account that ran the project before this program
//! did has functions and queues of these names, in no stack.

use std::collections::BTreeSet;

use annapurna_local::doctor::{Check, State};
use annapurna_stack::cloudformation::names;
use aws_sdk_s3::error::SdkError;

use super::{Subject, missing, unseen, without};
use crate::assets;
use crate::cloud::Cloud;
use crate::engine::says_absent;
use crate::error::CommandError;

/// How many names a line shows of a kind.
const SHOWN: usize = 3;

pub(super) async fn check(subject: &Subject<'_>) -> Vec<Check> {
    let (buckets, others, domain) = tokio::join!(
        buckets(subject),
        outside_the_stack(subject),
        domain(subject),
    );
    vec![
        super::check(
            "bucket names",
            "papers, programs and results",
            buckets.unwrap_or_else(|error| unseen(&error)),
        ),
        super::check(
            "other names",
            "functions, queues, logs, the state machine",
            others.unwrap_or_else(|error| unseen(&error)),
        ),
        super::check(
            "search domain",
            "the index",
            domain.unwrap_or_else(|error| unseen(&error)),
        ),
    ]
}

/// Whose a bucket's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    Us,
    /// Of another account, or of one that S3 does not tell.
    Another,
    /// Ours, where a stack of this region cannot use it.
    OtherRegion,
}

async fn buckets(subject: &Subject<'_>) -> Result<State, CommandError> {
    let mut names = names(&subject.template, "AWS::S3::Bucket")?;
    let assets = assets::bucket_name(&subject.account, &subject.environment.region);
    names.push(&assets);
    let mut ours = 0;
    let mut taken = Vec::new();
    let mut fixes = BTreeSet::new();
    for name in &names {
        let owner = owner(subject.cloud, &subject.account, name).await?;
        let problem = match owner {
            Owner::Nobody => continue,
            Owner::Us => {
                ours += 1;
                continue;
            }
            Owner::Another => "is somebody else's, or the deployer may not see it",
            Owner::OtherRegion => "is in another region",
        };
        taken.push(format!("`{name}` {problem}"));
        fixes.extend(fixes_of(subject, owner, *name == assets));
    }
    if taken.is_empty() {
        let free = names.len() - ours;
        return Ok(State::Ok(format!("{free} free, {ours} of this account")));
    }
    let fixes: Vec<String> = fixes.into_iter().collect();
    Ok(missing(taken.join(", "), fixes.join("; ")))
}

/// What helps against a name that cannot be used. That of the assets' bucket is made of account and region.
fn fixes_of(subject: &Subject<'_>, owner: Owner, is_assets: bool) -> Vec<String> {
    let file = subject.file();
    let other_name = match is_assets {
        false => format!("choose a bucket-suffix in {file}, such as \"-acme\""),
        true => format!(
            "no setting but the region in {file} changes the name of the bucket of code archives: report somebody \
             else's to https://support.aws.amazon.com/#/contacts/report-abuse"
        ),
    };
    let own = "a bucket of this account needs the statement Buckets of docs/deployer-data.json: \
               `aws s3api list-buckets` names those";
    match owner {
        Owner::Another => vec![other_name, own.to_owned()],
        Owner::OtherRegion if is_assets => {
            vec![
                "`aws s3 rb` deletes an empty one of yours; deploy makes it in its region"
                    .to_owned(),
            ]
        }
        _ => vec![other_name],
    }
}

/// S3 answers 403 for a bucket of another account, or of another owner than the expected one, 404 for none, and 301
/// for one of another region. Source: S3 API reference, "HeadBucket".
pub(crate) async fn owner(
    cloud: &Cloud,
    account: &str,
    bucket: &str,
) -> Result<Owner, CommandError> {
    let head = cloud.s3.head_bucket().bucket(bucket);
    let head = head.expected_bucket_owner(account).send().await;
    let error = match head {
        Ok(_) => return Ok(Owner::Us),
        Err(error) => error,
    };
    let status = match &error {
        SdkError::ServiceError(answer) => Some(answer.raw().status().as_u16()),
        _ => None,
    };
    match status {
        Some(404) => Ok(Owner::Nobody),
        Some(403) => Ok(Owner::Another),
        Some(301) => Ok(Owner::OtherRegion),
        _ => Err(CommandError::aws(format!("look at bucket `{bucket}`"))(
            error,
        )),
    }
}

/// The functions, queues, log groups and state machines that are there and not the stack's.
async fn outside_the_stack(subject: &Subject<'_>) -> Result<State, CommandError> {
    let ours = in_the_stack(subject).await?;
    let (functions, queues, logs, machines) = tokio::try_join!(
        functions(subject),
        queues(subject),
        log_groups(subject),
        machines(subject),
    )?;
    let mut found = Vec::new();
    let mut n_wanted = 0;
    for (kind, type_name, there) in [
        ("function", "AWS::Lambda::Function", functions),
        ("queue", "AWS::SQS::Queue", queues),
        ("log group", "AWS::Logs::LogGroup", logs),
        (
            "state machine",
            "AWS::StepFunctions::StateMachine",
            machines,
        ),
    ] {
        let wanted = names(&subject.template, type_name)?;
        n_wanted += wanted.len();
        let is_theirs = |name: &&&str| there.contains(**name) && !ours.contains(**name);
        let theirs: Vec<&str> = wanted.iter().filter(is_theirs).copied().collect();
        if !theirs.is_empty() {
            found.push(format!("{kind}s {}", some_of(&theirs)));
        }
    }
    if found.is_empty() {
        return Ok(State::Ok(format!("{n_wanted} free or this stack's")));
    }
    Ok(missing(
        format!(
            "in this account, and not of this stack: {}",
            found.join("; ")
        ),
        format!(
            "give {} a name-prefix such as \"a-\", or delete them; docs/aws.md, \"Moving from the original\"",
            subject.file()
        ),
    ))
}

fn some_of(names: &[&str]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|it| format!("`{it}`"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Names of what the stack has: the last part of a queue's address, the whole of the others'.
async fn in_the_stack(subject: &Subject<'_>) -> Result<BTreeSet<String>, CommandError> {
    let stack = subject.environment.stack_name();
    let mut names = BTreeSet::new();
    let mut pages = subject
        .cloud
        .cloudformation
        .list_stack_resources()
        .stack_name(&stack)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) if says_absent(&error) => return Ok(names),
            Err(error) => {
                let doing = format!("list the resources of stack `{stack}`");
                return Err(CommandError::aws(doing)(error));
            }
        };
        for resource in page.stack_resource_summaries() {
            if let Some(id) = resource.physical_resource_id() {
                let last = id.rsplit(['/', ':']).next().unwrap_or(id);
                names.extend([id.to_owned(), last.to_owned()]);
            }
        }
    }
    Ok(names)
}

async fn functions(subject: &Subject<'_>) -> Result<BTreeSet<String>, CommandError> {
    let pages = subject.cloud.lambda.list_functions().into_paginator();
    let all: Result<Vec<_>, _> = pages.items().send().try_collect().await;
    let all = all.map_err(CommandError::aws("list the functions"))?;
    Ok(all
        .into_iter()
        .filter_map(|function| function.function_name)
        .collect())
}

async fn queues(subject: &Subject<'_>) -> Result<BTreeSet<String>, CommandError> {
    let client = aws_sdk_sqs::Client::new(&subject.cloud.config);
    let mut there = BTreeSet::new();
    for name in names(&subject.template, "AWS::SQS::Queue")? {
        match client.get_queue_url().queue_name(name).send().await {
            Ok(_) => {
                there.insert(name.to_owned());
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_queue_does_not_exist()) => {}
            Err(error) => {
                return Err(CommandError::aws(format!("look for queue `{name}`"))(error));
            }
        }
    }
    Ok(there)
}

async fn log_groups(subject: &Subject<'_>) -> Result<BTreeSet<String>, CommandError> {
    let mut there = BTreeSet::new();
    for name in names(&subject.template, "AWS::Logs::LogGroup")? {
        let groups = subject.cloud.logs.describe_log_groups();
        let groups = groups.log_group_name_prefix(name).send().await;
        let groups = groups.map_err(CommandError::aws("list the log groups"))?;
        // The name itself is the first of those that begin with it.
        let first = groups.log_groups().first();
        there.extend(first.and_then(|group| group.log_group_name.clone()));
    }
    Ok(there)
}

async fn machines(subject: &Subject<'_>) -> Result<BTreeSet<String>, CommandError> {
    let pages = subject.cloud.sfn.list_state_machines().into_paginator();
    let all: Result<Vec<_>, _> = pages.items().send().try_collect().await;
    let all = all.map_err(CommandError::aws("list the state machines"))?;
    Ok(all.into_iter().map(|machine| machine.name).collect())
}

/// Whether the account has a search domain of this name in the region.
pub(crate) async fn has_domain(cloud: &Cloud, name: &str) -> Result<bool, CommandError> {
    let domain = cloud.opensearch.describe_domain().domain_name(name);
    match domain.send().await {
        Ok(_) => Ok(true),
        Err(error) => {
            let service = error.as_service_error();
            if service.is_some_and(|it| it.is_resource_not_found_exception()) {
                return Ok(false);
            }
            Err(CommandError::aws(format!("look for domain `{name}`"))(
                error,
            ))
        }
    }
}

/// A domain that outlived its stack is taken up with its data; one that somebody else made would be, too.
async fn domain(subject: &Subject<'_>) -> Result<State, CommandError> {
    let names = names(&subject.template, "AWS::OpenSearchService::Domain")?;
    let Some(name) = names.first() else {
        return Ok(State::Ok("another OpenSearch than the stack's".to_owned()));
    };
    match has_domain(subject.cloud, name).await? {
        false => Ok(State::Ok(format!("`{name}` is free"))),
        true if in_the_stack(subject).await?.contains(*name) => {
            Ok(State::Ok(format!("`{name}` is this stack's")))
        }
        true => Ok(without(
            format!(
                "`{name}` is in this account, and not of this stack: deploy takes it up with its data"
            ),
            format!("if it is not to be: a name-prefix in {}", subject.file()),
        )),
    }
}
