//! One operation on a stack: which of the stack's events are its own, and not of an earlier one or of somebody else.

use aws_sdk_cloudformation::types::OperationEvent;
use chrono::{DateTime, Utc};

use super::{Engine, Event};
use crate::error::CommandError;

/// An operation of ours that is about to begin.
#[derive(Debug)]
pub(super) struct Operation {
    /// What it calls itself; CloudFormation keeps that with every event of it.
    pub(super) token: String,
    /// The stack's newest event before it; `None` for a new stack.
    pub(super) before: Option<Event>,
}

impl Operation {
    /// Whether an event that came after [`Self::before`] is of this operation: one without a token may be.
    fn has(&self, token: Option<&str>) -> bool {
        token.is_none_or(|token| token == self.token)
    }

    /// Those of its own among events that came after it began.
    pub(super) fn own<'a>(&self, events: &'a [Event]) -> Vec<&'a Event> {
        let own = events.iter().filter(|it| self.has(it.token.as_deref()));
        own.collect()
    }

    /// Whether `DescribeEvents`, which tells of all of a stack's operations, tells this of it. What has no token is
    /// told by its time, which is CloudFormation's own as that of [`Self::before`] is.
    pub(super) fn is_found_by(&self, event: &OperationEvent) -> bool {
        if let Some(token) = event.client_request_token() {
            return token == self.token;
        }
        let before = self.before.as_ref().and_then(|it| it.at);
        let at = event.timestamp().and_then(time);
        before.is_none_or(|before| at.is_some_and(|at| at > before))
    }
}

/// A time of the SDK; `None` for one that no calendar has.
pub(super) fn time(it: &aws_sdk_cloudformation::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(it.secs(), it.subsec_nanos())
}

impl Engine {
    /// The operation of ours that is begun next.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked, or STS whose the credentials are.
    pub(super) async fn next_operation(&self) -> Result<Operation, CommandError> {
        let (events, _) = self.event_page(None).await?;
        Ok(Operation {
            token: self.token().await?,
            before: events.into_iter().next(),
        })
    }

    /// The events of the stack's last operation, whoever began it, oldest first: those after the end of the one before.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub(super) async fn last_operation(&self) -> Result<Vec<Event>, CommandError> {
        let mut newest_first: Vec<Event> = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.event_page(token).await?;
            token = next;
            for event in page {
                if event.ends(&self.stack) && !newest_first.is_empty() {
                    token = None;
                    break;
                }
                newest_first.push(event);
            }
            if token.is_none() {
                newest_first.reverse();
                return Ok(newest_first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::primitives::DateTime as SdkTime;

    use super::*;

    fn operation(before: Option<i64>) -> Operation {
        let at = |secs| DateTime::from_timestamp(secs, 0);
        Operation {
            token: "by-bob-2".to_owned(),
            before: before.map(|secs| Event {
                at: at(secs),
                ..Event::example("Queue", "CREATE_COMPLETE", None)
            }),
        }
    }

    #[test]
    fn what_the_validation_found_in_another_operation_is_not_told_of_this_one() {
        let event = |token: Option<&str>, secs: Option<i64>| {
            let event =
                OperationEvent::builder().set_client_request_token(token.map(str::to_owned));
            event.set_timestamp(secs.map(SdkTime::from_secs)).build()
        };
        let ours = operation(Some(100));
        for (token, at, is_ours) in [
            (Some("by-bob-2"), Some(50), true),
            (Some("by-bob-1"), Some(150), false),
            (None, Some(150), true),
            (None, Some(100), false),
            (None, None, false),
        ] {
            assert_eq!(
                ours.is_found_by(&event(token, at)),
                is_ours,
                "{token:?} {at:?}"
            );
        }
        let first = operation(None);
        assert!(first.is_found_by(&event(None, None)), "there was no other");
        assert!(!first.is_found_by(&event(Some("by-eve-1"), Some(150))));
    }

    #[test]
    fn what_somebody_else_did_meanwhile_is_not_ours() {
        let event = |token: Option<&str>| Event {
            token: token.map(str::to_owned),
            ..Event::example("Queue", "UPDATE_FAILED", Some("why"))
        };
        let events = [
            event(Some("by-eve-1")),
            event(Some("by-bob-2")),
            event(None),
        ];
        let own = operation(None).own(&events);
        assert_eq!(own, [&events[1], &events[2]]);
    }
}
