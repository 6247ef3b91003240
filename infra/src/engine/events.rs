//! A stack's events: following them to the end, and finding what failed first.

use std::time::{Duration, Instant};

use aws_sdk_cloudformation::types::EventFilter;

use super::words::StackState;
use super::{EXECUTION_LIMIT, Engine, Event, Progress, status_of};
use crate::error::CommandError;

impl Engine {
    async fn events_since(&self, seen: Option<&str>) -> Result<Vec<Event>, CommandError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .describe_stack_events()
                .stack_name(&self.stack)
                .set_next_token(token);
            let page = request.send().await;
            let page = page.map_err(CommandError::aws(format!(
                "read the events of `{}`",
                self.stack
            )))?;
            token = page.next_token;
            for event in page.stack_events.unwrap_or_default() {
                let event = Event::of(event);
                if seen.is_some() && event.id.as_deref() == seen {
                    found.reverse();
                    return Ok(found);
                }
                found.push(event);
            }
            if token.is_none() {
                found.reverse();
                return Ok(found);
            }
        }
    }

    pub(super) async fn newest_event(&self) -> Result<Option<String>, CommandError> {
        let answer = self
            .client
            .describe_stack_events()
            .stack_name(&self.stack)
            .send()
            .await;
        let answer = answer.map_err(CommandError::aws(format!(
            "read the events of `{}`",
            self.stack
        )))?;
        Ok(answer
            .stack_events()
            .first()
            .and_then(|it| it.event_id())
            .map(str::to_owned))
    }

    /// Gives every new event to `event` until the stack itself is at rest, and returns them all.
    pub(super) async fn follow(
        &self,
        mut seen: Option<String>,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<Vec<Event>, CommandError> {
        let start = Instant::now();
        let mut all = Vec::new();
        let mut pause = Duration::from_millis(300);
        while start.elapsed() < EXECUTION_LIMIT {
            let new = self.events_since(seen.as_deref()).await?;
            new.iter().for_each(event);
            if let Some(last) = new.last() {
                seen.clone_from(&last.id);
                pause = Duration::from_millis(300);
            }
            all.extend(new);
            let status = self.describe().await?;
            let status = status.as_ref().map(status_of).transpose()?;
            let at_rest = status.is_none_or(|status| StackState::of(&status).is_at_rest());
            // The last events may be younger than the list above.
            if at_rest {
                let rest = self.events_since(seen.as_deref()).await?;
                rest.iter().for_each(event);
                all.extend(rest);
                return Ok(all);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        Err(CommandError::TimedOut {
            what: format!("stack `{}`", self.stack),
            limit_secs: EXECUTION_LIMIT.as_secs(),
        })
    }

    pub(super) async fn first_failure(&self) -> Result<CommandError, CommandError> {
        let events = self.events_since(None).await?;
        Ok(self.first_cause(&events).await)
    }

    /// The first cause of a failure: a resource's own, or what CloudFormation's validation before the first
    /// change found, which only `DescribeEvents` tells.
    pub(super) async fn first_cause(&self, events: &[Event]) -> CommandError {
        let request = self
            .client
            .describe_events()
            .stack_name(&self.stack)
            .filters(EventFilter::builder().failed_events(true).build());
        let told = events
            .iter()
            .any(|event| event.progress == Progress::Failed && event.resource != self.stack);
        if !told && let Ok(answer) = request.send().await {
            let found = answer.operation_events().iter().find_map(|event| {
                Some((
                    event.logical_resource_id()?,
                    event.validation_status_reason()?,
                ))
            });
            if let Some((resource, reason)) = found {
                return CommandError::RolledBack {
                    stack: self.stack.clone(),
                    resource: crate::ui::safe(resource),
                    reason: crate::ui::safe(reason),
                };
            }
        }
        rolled_back(&self.stack, events)
    }
}

/// The first event that failed for a reason of its own; what was cancelled because of it does not count.
fn rolled_back(stack: &str, events: &[Event]) -> CommandError {
    let cause = events.iter().find(|event| {
        let reason = event.reason.as_deref();
        event.progress == Progress::Failed
            && !reason.is_some_and(|reason| reason.contains("cancelled"))
    });
    let text = |text: Option<&str>| crate::ui::safe(text.unwrap_or("unknown"));
    CommandError::RolledBack {
        stack: stack.to_owned(),
        resource: text(cause.map(|it| it.resource.as_str())),
        reason: text(cause.and_then(|it| it.reason.as_deref())),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{ResourceStatus, StackEvent};

    use super::*;

    fn event(id: &str, status: ResourceStatus, reason: &str) -> Event {
        let event = StackEvent::builder()
            .logical_resource_id(id)
            .resource_status(status)
            .resource_status_reason(reason);
        Event::of(event.build())
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
