//! Going on with an update that could be neither finished nor undone.

use aws_sdk_cloudformation::types::StackStatus;

use super::{Engine, Event, status_of};
use crate::error::CommandError;

impl Engine {
    /// Goes on with bringing back what an update changed, without the resources named in `skip`, and follows it to
    /// its end. What is left out is as the failed update left it, and CloudFormation takes it for brought back.
    /// Source: CloudFormation API reference, `ContinueUpdateRollback`.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stuck`] when it fails again.
    pub async fn continue_rollback(
        &self,
        skip: &[String],
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), CommandError> {
        let ours = self.next_operation().await?;
        let request = self
            .client
            .continue_update_rollback()
            .stack_name(&self.stack)
            .set_resources_to_skip((!skip.is_empty()).then(|| skip.to_vec()))
            .client_request_token(&ours.token);
        request.send().await.map_err(CommandError::aws(format!(
            "go on with the rollback of `{}`",
            self.stack
        )))?;
        let events = self.follow(&ours, event).await?;
        let status = self.describe().await?;
        let status = status.as_ref().map(status_of).transpose()?;
        match status {
            Some(StackStatus::UpdateRollbackComplete) => Ok(()),
            status => Err(self.first_cause(status.as_ref(), &ours, &events).await),
        }
    }
}
