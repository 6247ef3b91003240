//! What CloudFormation found before it changed anything: only `DescribeEvents` tells it.
//!
//! A change set that fails the validation before deployment says no more than that it failed; name conflicts
//! and refused properties are events of the change set, and go with it. Source: CloudFormation API
//! reference, `DescribeEvents`, `OperationEvent`.

use annapurna_stack::origin::setting_behind;
use aws_sdk_cloudformation::types::{
    EventFilter, HookFailureMode, HookStatus, OperationEvent, ValidationStatus,
};

use super::{Engine, Operation};
use crate::error::{CommandError, Finding};

impl Engine {
    /// Everything that a change set failed for.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked, such as without the permission `cloudformation:DescribeEvents`.
    pub(super) async fn findings(&self, change_set: &str) -> Result<Vec<Finding>, CommandError> {
        let events = self.failed_events(Some(change_set)).await?;
        Ok(events.iter().filter_map(finding).collect())
    }

    /// Everything that an operation of ours on the stack failed for, and no other operation on it.
    ///
    /// # Errors
    ///
    /// As [`Self::findings`].
    pub(super) async fn findings_of(&self, ours: &Operation) -> Result<Vec<Finding>, CommandError> {
        let events = self.failed_events(None).await?;
        let own = events.iter().filter(|event| ours.is_found_by(event));
        Ok(own.filter_map(finding).collect())
    }

    /// What is no mere warning, of a change set or else of all of the stack's operations.
    async fn failed_events(
        &self,
        change_set: Option<&str>,
    ) -> Result<Vec<OperationEvent>, CommandError> {
        let failed = EventFilter::builder().failed_events(true).build();
        let mut events = self.operation_events(change_set, Some(failed)).await?;
        events.retain(|event| !only_warns(event));
        Ok(events)
    }

    /// What a change set that can be executed is warned of. Whether a warning counts as a failed event is not
    /// documented, so all of its events are read.
    ///
    /// # Errors
    ///
    /// As [`Self::findings`].
    pub(super) async fn warnings(&self, change_set: &str) -> Result<Vec<Finding>, CommandError> {
        let events = self.operation_events(Some(change_set), None).await?;
        let warnings = events.iter();
        let warnings = warnings.filter(|event| only_warns(event) && !passes(event));
        Ok(warnings.filter_map(finding).collect())
    }

    async fn operation_events(
        &self,
        change_set: Option<&str>,
        filter: Option<EventFilter>,
    ) -> Result<Vec<OperationEvent>, CommandError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .describe_events()
                .stack_name(&self.stack)
                .set_change_set_name(change_set.map(str::to_owned))
                .set_filters(filter.clone())
                .set_next_token(token);
            let page = request.send().await.map_err(CommandError::aws(format!(
                "read what CloudFormation found in `{}`",
                self.stack
            )))?;
            found.extend(page.operation_events.into_iter().flatten());
            token = page.next_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Whether CloudFormation goes on though a validation or a hook is against it.
fn only_warns(event: &OperationEvent) -> bool {
    let modes = [event.validation_failure_mode(), event.hook_failure_mode()];
    modes.contains(&Some(&HookFailureMode::Warn))
}

/// Whether nothing is against it, or it is not known yet.
fn passes(event: &OperationEvent) -> bool {
    event.validation_status() == Some(&ValidationStatus::Skipped)
        || matches!(
            event.hook_status(),
            Some(HookStatus::HookInProgress | HookStatus::HookCompleteSucceeded)
        )
}

/// What an event says against a resource; `None` for the operation's own events.
fn finding(event: &OperationEvent) -> Option<Finding> {
    let reason = event
        .validation_status_reason()
        .or(event.hook_status_reason())?;
    let type_name = event.resource_type().unwrap_or("a resource");
    let is_name_conflict = event.validation_name() == Some("NAME_CONFLICT_VALIDATION");
    Some(Finding {
        resource: event.logical_resource_id()?.to_owned(),
        type_name: type_name.to_owned(),
        reason: reason.to_owned(),
        setting: setting_behind(type_name, is_name_conflict, event.validation_path()),
    })
}
