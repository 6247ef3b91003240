//! What CloudFormation found before it changed anything: only `DescribeEvents` tells it.
//!
//! A change set that fails the validation before deployment says no more than that it failed; name conflicts
//! and refused properties are events of the change set, and go with it. Source: CloudFormation API
//! reference, `DescribeEvents`, `OperationEvent`.

use annapurna_stack::origin::setting_behind;
use aws_sdk_cloudformation::types::{EventFilter, HookFailureMode, OperationEvent};

use super::Engine;
use crate::error::{CommandError, Finding};

impl Engine {
    /// Everything that a change set, or else the stack's operations, failed for.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked, such as without the permission `cloudformation:DescribeEvents`.
    pub(super) async fn findings(
        &self,
        change_set: Option<&str>,
    ) -> Result<Vec<Finding>, CommandError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .describe_events()
                .stack_name(&self.stack)
                .set_change_set_name(change_set.map(str::to_owned))
                .filters(EventFilter::builder().failed_events(true).build())
                .set_next_token(token);
            let page = request.send().await.map_err(CommandError::aws(format!(
                "read what CloudFormation found in `{}`",
                self.stack
            )))?;
            found.extend(page.operation_events().iter().filter_map(finding));
            token = page.next_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}

/// What an event says against a resource; `None` for the operation's own events and for warnings.
fn finding(event: &OperationEvent) -> Option<Finding> {
    if event.validation_failure_mode() == Some(&HookFailureMode::Warn) {
        return None;
    }
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
