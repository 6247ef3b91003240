//! A stack's events: following them to the end, and finding what failed first.

use std::time::Instant;

use annapurna_contract::text::safe;
use aws_sdk_cloudformation::types::StackStatus;

use super::words::{StackState, failed_to};
use super::{EXECUTION_LIMIT, Engine, Event, Operation, Progress, looks, status_of};
use crate::error::CommandError;

/// Said where no event tells why.
const NO_REASON: &str = "CloudFormation names no resource and no reason";

impl Engine {
    /// One page of the stack's events, newest first, which is a hundred of them, and the token of the next; the
    /// first without a token.
    pub(super) async fn event_page(
        &self,
        token: Option<String>,
    ) -> Result<(Vec<Event>, Option<String>), CommandError> {
        let request = self.client.describe_stack_events();
        let request = request.stack_name(&self.stack).set_next_token(token);
        let page = request.send().await;
        let page = page.map_err(CommandError::aws(format!(
            "read the events of `{}`",
            self.stack
        )))?;
        let events = page.stack_events.into_iter().flatten();
        Ok((events.map(Event::of).collect(), page.next_token))
    }

    async fn events_since(&self, seen: Option<&str>) -> Result<Vec<Event>, CommandError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.event_page(token).await?;
            token = next;
            for event in page {
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

    /// Gives every event since `ours` began to `event` until the stack itself is at rest, and returns them all.
    pub(super) async fn follow(
        &self,
        ours: &Operation,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<Vec<Event>, CommandError> {
        let start = Instant::now();
        let mut seen = ours.before.as_ref().and_then(|it| it.id.clone());
        let mut all = Vec::new();
        let mut looks = looks();
        while start.elapsed() < EXECUTION_LIMIT {
            let description = self.describe().await?;
            let status = description.as_ref().map(status_of).transpose()?;
            let at_rest = status.is_none_or(|status| StackState::of(&status).is_at_rest());
            // Read after the status, so the last look has the last events.
            let new = self.events_since(seen.as_deref()).await?;
            new.iter().for_each(event);
            if let Some(last) = new.last() {
                seen.clone_from(&last.id);
            }
            all.extend(new);
            if at_rest {
                return Ok(all);
            }
            tokio::time::sleep(looks.next_wait()).await;
        }
        Err(CommandError::TimedOut {
            what: format!("stack `{}`", self.stack),
            limit_secs: EXECUTION_LIMIT.as_secs(),
        })
    }

    /// Why an operation of ours ended as it did: the resources' own reasons, or what CloudFormation's validation
    /// before the first change found, which only `DescribeEvents` tells. What an earlier operation failed for is no
    /// reason.
    pub(super) async fn first_cause(
        &self,
        status: Option<&StackStatus>,
        ours: &Operation,
        events: &[Event],
    ) -> CommandError {
        let stack = self.stack.clone();
        let events: Vec<Event> = ours.own(events).into_iter().cloned().collect();
        let own = own_failures(&stack, &events);
        match status {
            Some(StackStatus::UpdateRollbackFailed) => self.stuck_by(&events),
            Some(StackStatus::DeleteFailed) => CommandError::NotDeleted {
                stack,
                failures: last_of_each(&own, "DELETE_FAILED"),
            },
            _ if own.is_empty() => match self.findings_of(ours).await {
                Ok(findings) if !findings.is_empty() => CommandError::Refused { stack, findings },
                // Without the permission to read findings, that no reason is known is still true.
                _ => rolled_back(&stack, None),
            },
            _ => rolled_back(&stack, own.first().copied()),
        }
    }

    /// The error of a stack that takes no update, by the events of the operation that left it so.
    pub(super) fn stuck_by(&self, events: &[Event]) -> CommandError {
        let own = own_failures(&self.stack, events);
        CommandError::Stuck {
            stack: self.stack.clone(),
            failures: last_of_each(&own, "UPDATE_ROLLBACK_FAILED"),
        }
    }
}

/// The resources' events that failed for a reason of their own; what was cancelled because of another does not
/// count, and what the stack says of itself is a summary.
fn own_failures<'a>(stack: &str, events: &'a [Event]) -> Vec<&'a Event> {
    let failed = events.iter().filter(|event| {
        event.progress == Progress::Failed && event.resource != stack && !event.was_cancelled()
    });
    failed.collect()
}

/// The newest words of each resource that ended with this status.
fn last_of_each(failures: &[&Event], status: &str) -> Vec<String> {
    let mut newest: Vec<&Event> = Vec::new();
    for event in failures.iter().filter(|event| event.status == status) {
        newest.retain(|known| known.resource != event.resource);
        newest.push(event);
    }
    match newest.is_empty() {
        true => vec![NO_REASON.to_owned()],
        false => newest.into_iter().map(failure).collect(),
    }
}

/// What could not be done with which resource, and why.
fn failure(event: &Event) -> String {
    let resource = safe(&event.resource);
    let reason = event.reason.as_deref().unwrap_or("no reason given");
    format!(
        "`{resource}` {}: {}",
        failed_to(&event.status),
        safe(reason)
    )
}

fn rolled_back(stack: &str, cause: Option<&Event>) -> CommandError {
    let unknown = || NO_REASON.to_owned();
    CommandError::RolledBack {
        stack: stack.to_owned(),
        cause: cause.map_or_else(unknown, failure),
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
                "annapurna-dev",
                ResourceStatus::CreateFailed,
                "The following resources failed",
            ),
        ];
        let own = own_failures("annapurna-dev", &events);
        assert_eq!(
            rolled_back("annapurna-dev", own.first().copied()).to_string(),
            "stack `annapurna-dev` rolled back: `Queue` could not be created: name taken"
        );
        let none = own_failures("annapurna-dev", &events[..2]);
        let none = rolled_back("annapurna-dev", none.first().copied()).to_string();
        assert!(none.ends_with("names no resource and no reason"), "{none}");
    }

    #[test]
    fn each_operation_that_fails_has_its_own_words() {
        for (status, words) in [
            (
                ResourceStatus::ImportFailed,
                "`It` is there already and could not be taken up: why",
            ),
            (
                ResourceStatus::UpdateFailed,
                "`It` could not be changed: why",
            ),
            (
                ResourceStatus::UpdateRollbackFailed,
                "`It` could not be brought back to what it was: why",
            ),
        ] {
            assert_eq!(failure(&event("It", status, "why")), words);
        }
    }

    #[test]
    fn of_what_cannot_be_deleted_each_is_named_once_with_its_newest_reason() {
        let events = [
            event("Papers", ResourceStatus::DeleteFailed, "not empty"),
            event("Code", ResourceStatus::DeleteFailed, "denied"),
            event("Papers", ResourceStatus::DeleteFailed, "still not empty"),
            event("Code", ResourceStatus::CreateFailed, "of another time"),
        ];
        let own = own_failures("annapurna-dev", &events);
        assert_eq!(
            last_of_each(&own, "DELETE_FAILED"),
            [
                "`Code` could not be deleted: denied",
                "`Papers` could not be deleted: still not empty"
            ]
        );
    }
}
