//! Drives CloudFormation: what is deployed, change sets, their execution, and what failed first.
//!
//! CloudFormation is the engine; no state of our own is kept. Every wait has a limit, and a command
//! run again finds the stack wherever the last one left it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, EventFilter, OnStackFailure, Parameter,
    ResourceStatus, Stack, StackEvent, StackStatus, Tag,
};

use crate::cloud::Cloud;
use crate::cloudformation::Template;
use crate::error::CommandError;
use crate::plan::{Announced, Deployment};

/// How long a stack may take: a search domain takes up to half an hour.
const EXECUTION_LIMIT: Duration = Duration::from_secs(3_600);
/// How long CloudFormation may think about a change set.
const CHANGE_SET_LIMIT: Duration = Duration::from_secs(300);

/// A stack that exists.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// Its status.
    pub status: StackStatus,
    /// Template and parameters.
    pub deployment: Deployment,
    /// What it gives out.
    pub outputs: BTreeMap<String, String>,
}

/// A change set that can be executed.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    stack: String,
    name: String,
    /// What CloudFormation says it will do.
    pub changes: Vec<Announced>,
}

/// Where the template of a change set is.
#[derive(Debug, Clone)]
pub enum TemplateSource {
    /// In the request.
    Body(String),
    /// In S3, because it is larger than [`Template::MAX_INLINE_BYTES`].
    Url(String),
}

/// The stack as deployed; `None` when there is none, or nothing but a review or a failed creation.
///
/// # Errors
///
/// When CloudFormation cannot be asked.
pub async fn deployed(cloud: &Cloud, stack: &str) -> Result<Option<Deployed>, CommandError> {
    let Some(description) = describe(cloud, stack).await? else {
        return Ok(None);
    };
    let status = status_of(&description);
    if matches!(
        status,
        StackStatus::ReviewInProgress | StackStatus::RollbackComplete | StackStatus::DeleteComplete
    ) {
        return Ok(None);
    }
    let template = cloud
        .cloudformation
        .get_template()
        .stack_name(stack)
        .send()
        .await;
    let template =
        template.map_err(CommandError::aws(format!("read the template of `{stack}`")))?;
    let template = serde_json::from_str(template.template_body().unwrap_or("{}"))?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let parameters = description.parameters();
    let outputs = description.outputs();
    Ok(Some(Deployed {
        status,
        deployment: Deployment {
            template,
            parameters: parameters
                .iter()
                .map(|it| (text(it.parameter_key()), text(it.parameter_value())))
                .collect(),
        },
        outputs: outputs
            .iter()
            .map(|it| (text(it.output_key()), text(it.output_value())))
            .collect(),
    }))
}

async fn describe(cloud: &Cloud, stack: &str) -> Result<Option<Stack>, CommandError> {
    let answer = cloud
        .cloudformation
        .describe_stacks()
        .stack_name(stack)
        .send()
        .await;
    match answer {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
        Err(error) => {
            let message = error
                .as_service_error()
                .map(|it| it.meta().message().unwrap_or_default());
            if message.is_some_and(|message| message.contains("does not exist")) {
                return Ok(None);
            }
            Err(CommandError::aws(format!("describe stack `{stack}`"))(
                error,
            ))
        }
    }
}

fn status_of(stack: &Stack) -> StackStatus {
    stack
        .stack_status()
        .cloned()
        .unwrap_or(StackStatus::ReviewInProgress)
}

/// Makes the stack ready for a change set: waits for what is in progress, and removes what a failed
/// creation left, which CloudFormation can neither update nor create again.
///
/// # Errors
///
/// When it does not come to rest in time.
pub async fn settle(
    cloud: &Cloud,
    stack: &str,
    say: &(dyn Fn(String) + Sync),
) -> Result<(), CommandError> {
    let Some(description) = describe(cloud, stack).await? else {
        return Ok(());
    };
    let status = status_of(&description);
    let in_progress = status.as_str().ends_with("_IN_PROGRESS");
    if in_progress && status != StackStatus::ReviewInProgress {
        say(format!(
            "stack `{stack}` is {}; waiting for its end",
            status.as_str()
        ));
        wait_for_rest(cloud, stack).await?;
        return Box::pin(settle(cloud, stack, say)).await;
    }
    if status == StackStatus::UpdateRollbackFailed {
        return Err(CommandError::Usage {
            problem: format!("stack `{stack}` could not be rolled back and takes no update"),
            hint: format!("aws cloudformation continue-update-rollback --stack-name {stack}"),
        });
    }
    let is_remnant = matches!(
        status,
        StackStatus::RollbackComplete
            | StackStatus::RollbackFailed
            | StackStatus::CreateFailed
            | StackStatus::DeleteFailed
    );
    if is_remnant {
        say(format!(
            "removing what a failed deployment left of `{stack}`"
        ));
        delete(cloud, stack).await?;
    }
    Ok(())
}

async fn wait_for_rest(cloud: &Cloud, stack: &str) -> Result<Option<Stack>, CommandError> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(250);
    loop {
        let description = describe(cloud, stack).await?;
        match &description {
            Some(it) if status_of(it).as_str().ends_with("_IN_PROGRESS") => {}
            _ => return Ok(description),
        }
        if start.elapsed() > EXECUTION_LIMIT {
            return Err(CommandError::TimedOut {
                what: format!("stack `{stack}`"),
                limit_secs: EXECUTION_LIMIT.as_secs(),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Deletes the stack and waits for its end.
///
/// # Errors
///
/// When something of it cannot be deleted; names the first.
pub async fn delete(cloud: &Cloud, stack: &str) -> Result<(), CommandError> {
    let request = cloud.cloudformation.delete_stack().stack_name(stack);
    request
        .send()
        .await
        .map_err(CommandError::aws(format!("delete stack `{stack}`")))?;
    match wait_for_rest(cloud, stack).await? {
        None => Ok(()),
        Some(it) if status_of(&it) == StackStatus::DeleteComplete => Ok(()),
        Some(_) => Err(first_failure(cloud, stack).await?),
    }
}

/// Has CloudFormation prepare a change set; `None` when there is nothing to change.
///
/// # Errors
///
/// [`CommandError::ChangeSet`] with CloudFormation's reason.
pub async fn prepare(
    cloud: &Cloud,
    stack: &str,
    template: TemplateSource,
    parameters: &BTreeMap<String, String>,
) -> Result<Option<ChangeSet>, CommandError> {
    let exists = deployed(cloud, stack).await?.is_some();
    let name = format!("deploy-{}", chrono::Utc::now().format("%Y%m%d-%H%M%S%3f"));
    let parameters = parameters.iter().map(|(key, value)| {
        Parameter::builder()
            .parameter_key(key)
            .parameter_value(value)
            .build()
    });
    let kind = if exists {
        ChangeSetType::Update
    } else {
        ChangeSetType::Create
    };
    let mut request = cloud
        .cloudformation
        .create_change_set()
        .stack_name(stack)
        .change_set_name(&name)
        .change_set_type(kind)
        .capabilities(Capability::CapabilityIam)
        .on_stack_failure(OnStackFailure::Rollback)
        // A new stack takes up again what an earlier one of this environment retained. A stack that
        // exists adopts nothing: there a name that is taken is a mistake.
        .import_existing_resources(!exists)
        .set_parameters(Some(parameters.collect()))
        .tags(Tag::builder().key("application").value("annapurna").build());
    request = match template {
        TemplateSource::Body(body) => request.template_body(body),
        TemplateSource::Url(url) => request.template_url(url),
    };
    request.send().await.map_err(CommandError::aws(format!(
        "create a change set of `{stack}`"
    )))?;
    let set = ChangeSet {
        stack: stack.to_owned(),
        name,
        changes: Vec::new(),
    };
    set.wait_until_ready(cloud).await
}

impl ChangeSet {
    async fn wait_until_ready(mut self, cloud: &Cloud) -> Result<Option<Self>, CommandError> {
        let start = Instant::now();
        while start.elapsed() < CHANGE_SET_LIMIT {
            let request = cloud
                .cloudformation
                .describe_change_set()
                .stack_name(&self.stack)
                .change_set_name(&self.name);
            let set = request.send().await;
            let set = set.map_err(CommandError::aws("describe the change set"))?;
            match set.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    self.changes = set.changes().iter().filter_map(announced).collect();
                    return Ok(Some(self));
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason = set.status_reason().unwrap_or_default().to_owned();
                    self.discard(cloud).await?;
                    let nothing = reason.contains("didn't contain changes")
                        || reason.contains("No updates are to be performed");
                    return if nothing {
                        Ok(None)
                    } else {
                        Err(CommandError::ChangeSet {
                            stack: self.stack,
                            reason,
                        })
                    };
                }
                _ => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
        Err(CommandError::TimedOut {
            what: format!("the change set of `{}`", self.stack),
            limit_secs: CHANGE_SET_LIMIT.as_secs(),
        })
    }

    /// Removes the change set without executing it.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn discard(&self, cloud: &Cloud) -> Result<(), CommandError> {
        let request = cloud
            .cloudformation
            .delete_change_set()
            .stack_name(&self.stack)
            .change_set_name(&self.name);
        request
            .send()
            .await
            .map_err(CommandError::aws("delete the change set"))?;
        let review = describe(cloud, &self.stack).await?;
        if review.is_some_and(|it| status_of(&it) == StackStatus::ReviewInProgress) {
            delete(cloud, &self.stack).await?;
        }
        Ok(())
    }

    /// Executes it and follows it to its end. `event` hears each event once, in order.
    ///
    /// # Errors
    ///
    /// [`CommandError::RolledBack`] with the first cause; the previous state is then in place.
    pub async fn execute(
        &self,
        cloud: &Cloud,
        event: &(dyn Fn(&StackEvent) + Sync),
    ) -> Result<(), CommandError> {
        let seen = newest_event(cloud, &self.stack).await?;
        let request = cloud
            .cloudformation
            .execute_change_set()
            .stack_name(&self.stack)
            .change_set_name(&self.name);
        request
            .send()
            .await
            .map_err(CommandError::aws("execute the change set"))?;
        let events = follow(cloud, &self.stack, seen, event).await?;
        let status = describe(cloud, &self.stack).await?.map(|it| status_of(&it));
        match status {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => Ok(()),
            _ => Err(first_cause(cloud, &self.stack, &events).await),
        }
    }
}

fn announced(change: &aws_sdk_cloudformation::types::Change) -> Option<Announced> {
    let change = change.resource_change()?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Some(Announced {
        resource: text(change.logical_resource_id()),
        type_name: text(change.resource_type()),
        action: text(change.action().map(|action| action.as_str())),
        replacement: text(change.replacement().map(|replacement| replacement.as_str())),
    })
}

async fn events_since(
    cloud: &Cloud,
    stack: &str,
    seen: Option<&str>,
) -> Result<Vec<StackEvent>, CommandError> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let request = cloud
            .cloudformation
            .describe_stack_events()
            .stack_name(stack)
            .set_next_token(token);
        let page = request.send().await;
        let page = page.map_err(CommandError::aws(format!("read the events of `{stack}`")))?;
        for event in page.stack_events() {
            if seen.is_some() && event.event_id() == seen {
                found.reverse();
                return Ok(found);
            }
            found.push(event.clone());
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            found.reverse();
            return Ok(found);
        }
    }
}

async fn newest_event(cloud: &Cloud, stack: &str) -> Result<Option<String>, CommandError> {
    let answer = cloud
        .cloudformation
        .describe_stack_events()
        .stack_name(stack)
        .send()
        .await;
    let answer = answer.map_err(CommandError::aws(format!("read the events of `{stack}`")))?;
    Ok(answer
        .stack_events()
        .first()
        .and_then(|it| it.event_id())
        .map(str::to_owned))
}

/// Gives every new event to `event` until the stack itself is at rest, and returns them all.
async fn follow(
    cloud: &Cloud,
    stack: &str,
    mut seen: Option<String>,
    event: &(dyn Fn(&StackEvent) + Sync),
) -> Result<Vec<StackEvent>, CommandError> {
    let start = Instant::now();
    let mut all = Vec::new();
    let mut pause = Duration::from_millis(300);
    while start.elapsed() < EXECUTION_LIMIT {
        let new = events_since(cloud, stack, seen.as_deref()).await?;
        new.iter().for_each(event);
        if let Some(last) = new.last() {
            seen = last.event_id().map(str::to_owned);
            pause = Duration::from_millis(300);
        }
        all.extend(new);
        let status = describe(cloud, stack).await?.map(|it| status_of(&it));
        let at_rest = status.is_none_or(|status| !status.as_str().ends_with("_IN_PROGRESS"));
        // The last events may be younger than the list above.
        if at_rest {
            let rest = events_since(cloud, stack, seen.as_deref()).await?;
            rest.iter().for_each(event);
            all.extend(rest);
            return Ok(all);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    Err(CommandError::TimedOut {
        what: format!("stack `{stack}`"),
        limit_secs: EXECUTION_LIMIT.as_secs(),
    })
}

async fn first_failure(cloud: &Cloud, stack: &str) -> Result<CommandError, CommandError> {
    let events = events_since(cloud, stack, None).await?;
    Ok(first_cause(cloud, stack, &events).await)
}

/// The first cause of a failure: a resource's own, or what CloudFormation's validation before the first
/// change found, which only `DescribeEvents` tells.
async fn first_cause(cloud: &Cloud, stack: &str, events: &[StackEvent]) -> CommandError {
    let request = cloud
        .cloudformation
        .describe_events()
        .stack_name(stack)
        .filters(EventFilter::builder().failed_events(true).build());
    let of_stack = |event: &StackEvent| event.logical_resource_id() == Some(stack);
    let told = events.iter().any(|event| failed(event) && !of_stack(event));
    if !told && let Ok(answer) = request.send().await {
        let found = answer.operation_events().iter().find_map(|event| {
            Some((
                event.logical_resource_id()?,
                event.validation_status_reason()?,
            ))
        });
        if let Some((resource, reason)) = found {
            return CommandError::RolledBack {
                stack: stack.to_owned(),
                resource: crate::ui::safe(resource),
                reason: crate::ui::safe(reason),
            };
        }
    }
    rolled_back(stack, events)
}

/// Whether a resource failed, for a reason of its own or another's.
fn failed(event: &StackEvent) -> bool {
    matches!(
        event.resource_status(),
        Some(
            ResourceStatus::CreateFailed
                | ResourceStatus::UpdateFailed
                | ResourceStatus::DeleteFailed
        )
    )
}

/// The first event that failed for a reason of its own; what was cancelled because of it does not count.
fn rolled_back(stack: &str, events: &[StackEvent]) -> CommandError {
    let cause = events.iter().find(|event| {
        let reason = event.resource_status_reason().unwrap_or_default();
        failed(event) && !reason.contains("cancelled")
    });
    let text = |text: Option<&str>| crate::ui::safe(text.unwrap_or("unknown"));
    CommandError::RolledBack {
        stack: stack.to_owned(),
        resource: text(cause.and_then(|it| it.logical_resource_id())),
        reason: text(cause.and_then(|it| it.resource_status_reason())),
    }
}

/// Renders a template and says whether it fits into a request.
///
/// # Errors
///
/// When it cannot be written as JSON.
pub fn render(template: &Template) -> Result<(String, bool), CommandError> {
    let body = serde_json::to_string(&template.to_json()?)?;
    let fits = body.len() <= Template::MAX_INLINE_BYTES;
    Ok((body, fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, status: ResourceStatus, reason: &str) -> StackEvent {
        StackEvent::builder()
            .logical_resource_id(id)
            .resource_status(status)
            .resource_status_reason(reason)
            .build()
    }

    #[test]
    fn the_first_cause_is_named_and_not_what_it_cancelled() {
        let events = [
            event("Roles", ResourceStatus::CreateComplete, ""),
            event(
                "Judge",
                ResourceStatus::CreateFailed,
                "Resource creation cancelled",
            ),
            event("Queue", ResourceStatus::CreateFailed, "name taken"),
            event(
                "Stack",
                ResourceStatus::CreateFailed,
                "The following resources failed",
            ),
        ];
        assert_eq!(
            rolled_back("annapurna-dev", &events).to_string(),
            "stack `annapurna-dev` rolled back: `Queue` failed, name taken"
        );
    }
}
