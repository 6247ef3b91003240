//! CloudFormation's words, read here and nowhere else: what a stack and an event say of themselves.

use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{ResourceStatus, StackEvent, StackStatus};
use chrono::{DateTime, Utc};

use super::operation::time;

/// What can be done with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StackState {
    /// It is only the place of a change set that was not executed.
    Review,
    /// An operation is under way, or a word is new: nothing is done before the end of it.
    UnderWay,
    /// It is whole and takes an update.
    Whole,
    /// A failed creation was undone: nothing is left but the name, which has to go.
    Undone,
    /// A failed creation or deletion left something: it takes no update and has to go.
    Remnant,
    /// An update could be neither finished nor undone.
    Stuck,
    /// It is deleted.
    Deleted,
}

impl StackState {
    pub(super) fn of(status: &StackStatus) -> Self {
        match status {
            StackStatus::ReviewInProgress => Self::Review,
            StackStatus::CreateComplete
            | StackStatus::UpdateComplete
            | StackStatus::UpdateRollbackComplete
            | StackStatus::UpdateFailed
            | StackStatus::ImportComplete
            | StackStatus::ImportRollbackComplete
            // Only an import by another tool ends so. What the stack has, it keeps, and no operation that goes on with a
            // rollback takes it: `ContinueUpdateRollback` wants UPDATE_ROLLBACK_FAILED, `RollbackStack` CREATE_FAILED or
            // UPDATE_FAILED. So it is not deleted, and an update is tried. Source: CloudFormation API reference, both.
            | StackStatus::ImportRollbackFailed => Self::Whole,
            StackStatus::RollbackComplete => Self::Undone,
            StackStatus::RollbackFailed | StackStatus::CreateFailed | StackStatus::DeleteFailed => {
                Self::Remnant
            }
            StackStatus::UpdateRollbackFailed => Self::Stuck,
            StackStatus::DeleteComplete => Self::Deleted,
            _ => Self::UnderWay,
        }
    }

    /// Whether there is a stack with resources: the next change set updates it, and does not create it.
    pub(super) const fn is_deployed(self) -> bool {
        !matches!(self, Self::Review | Self::Undone | Self::Deleted)
    }

    /// Whether no operation is under way that could end otherwise.
    pub(super) const fn is_at_rest(self) -> bool {
        !matches!(self, Self::Review | Self::UnderWay)
    }
}

/// How far an operation is with one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is not at its end, or the word is none of ours.
    UnderWay,
    /// It is as wanted, or stays where it is as its policy says.
    Done,
    /// It could not be done.
    Failed,
    /// It is as it was before, since something else failed.
    RolledBack,
}

impl Progress {
    fn of(status: &ResourceStatus) -> Self {
        match status {
            ResourceStatus::CreateComplete
            | ResourceStatus::UpdateComplete
            | ResourceStatus::DeleteComplete
            | ResourceStatus::DeleteSkipped
            | ResourceStatus::ImportComplete => Self::Done,
            ResourceStatus::CreateFailed
            | ResourceStatus::UpdateFailed
            | ResourceStatus::DeleteFailed
            | ResourceStatus::ImportFailed
            | ResourceStatus::RollbackFailed
            | ResourceStatus::UpdateRollbackFailed
            | ResourceStatus::ImportRollbackFailed => Self::Failed,
            ResourceStatus::RollbackComplete
            | ResourceStatus::UpdateRollbackComplete
            | ResourceStatus::ImportRollbackComplete => Self::RolledBack,
            _ => Self::UnderWay,
        }
    }
}

/// Whether a refusal says that there is no such stack, which has no code of its own: it is a `ValidationError`.
pub(crate) fn says_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let message = error.as_service_error().and_then(|it| it.meta().message());
    message.is_some_and(|message| message.contains("does not exist"))
}

/// Whether a change set failed because nothing would change.
pub(super) fn says_unchanged(reason: &str) -> bool {
    let said = ["didn't contain changes", "No updates are to be performed"];
    said.iter().any(|words| reason.contains(words))
}

/// Whether a change set failed because an existing resource cannot be imported without a policy that retains it.
pub(super) fn says_unretained(reason: &str) -> bool {
    reason.contains("must have the DeletionPolicy attribute")
}

/// What could not be done with a resource, in the words of a person, from CloudFormation's word of its event.
pub(super) fn failed_to(status: &str) -> &'static str {
    match status {
        "CREATE_FAILED" => "could not be created",
        "UPDATE_FAILED" => "could not be changed",
        "DELETE_FAILED" => "could not be deleted",
        "IMPORT_FAILED" => "is there already and could not be taken up",
        "ROLLBACK_FAILED" | "UPDATE_ROLLBACK_FAILED" | "IMPORT_ROLLBACK_FAILED" => {
            "could not be brought back to what it was"
        }
        _ => "failed",
    }
}

/// What happened to a resource, or to the stack itself under its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(super) id: Option<String>,
    /// Logical id, or the stack's name.
    pub resource: String,
    /// How far it is.
    pub progress: Progress,
    /// CloudFormation's own word, such as `CREATE_IN_PROGRESS`; empty when it says none.
    pub status: String,
    /// CloudFormation's own reason.
    pub reason: Option<String>,
    /// What the request that began the operation called itself.
    pub(super) token: Option<String>,
    /// When it happened.
    pub(super) at: Option<DateTime<Utc>>,
}

impl Event {
    /// One that tests tell of.
    #[cfg(test)]
    pub(crate) fn example(resource: &str, status: &str, reason: Option<&str>) -> Self {
        let event = StackEvent::builder()
            .logical_resource_id(resource)
            .resource_status(status.into())
            .set_resource_status_reason(reason.map(str::to_owned));
        Self::of(event.build())
    }

    /// Whether it was given up because something else failed.
    pub(super) fn was_cancelled(&self) -> bool {
        let reason = self.reason.as_deref();
        reason.is_some_and(|reason| reason.contains("cancelled"))
    }

    /// Whether an operation on the stack begins with it.
    pub(super) fn begins(&self, stack: &str) -> bool {
        self.resource == stack && self.status.ends_with("_IN_PROGRESS")
    }

    /// Whether an operation on the stack ends with it.
    pub(super) fn ends(&self, stack: &str) -> bool {
        self.resource == stack && !self.status.ends_with("_IN_PROGRESS")
    }

    pub(super) fn of(event: StackEvent) -> Self {
        let status = event.resource_status.as_ref();
        Self {
            progress: status.map_or(Progress::UnderWay, Progress::of),
            status: status.map_or_else(String::new, |it| it.as_str().to_owned()),
            id: event.event_id,
            resource: event
                .logical_resource_id
                .unwrap_or_else(|| "a resource".to_owned()),
            reason: event.resource_status_reason,
            token: event.client_request_token,
            at: event.timestamp.as_ref().and_then(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_stack_that_names_an_operation_is_waited_for() {
        for word in StackStatus::values() {
            let state = StackState::of(&StackStatus::from(*word));
            let in_progress = word.ends_with("_IN_PROGRESS");
            assert_eq!(state.is_at_rest(), !in_progress, "{word}");
            assert_eq!(state == StackState::Review, *word == "REVIEW_IN_PROGRESS");
        }
        let new = StackState::of(&StackStatus::from("SPLIT_IN_PROGRESS"));
        assert_eq!(new, StackState::UnderWay);
    }

    #[test]
    fn every_word_of_an_event_says_how_far_it_is() {
        for word in ResourceStatus::values() {
            let progress = Progress::of(&ResourceStatus::from(*word));
            let expected = match word.rsplit_once('_').unwrap() {
                (_, "FAILED") if !word.starts_with("EXPORT") => Progress::Failed,
                ("EXPORT_ROLLBACK", "COMPLETE") => Progress::UnderWay,
                (before, "COMPLETE") if before.ends_with("ROLLBACK") => Progress::RolledBack,
                (before, "COMPLETE") if !before.starts_with("EXPORT") => Progress::Done,
                (_, "SKIPPED") => Progress::Done,
                _ => Progress::UnderWay,
            };
            assert_eq!(progress, expected, "{word}");
        }
    }
}
