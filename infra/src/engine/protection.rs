//! What keeps a protected stack from being deleted, and what holds data in it from being replaced.

use serde_json::Value;

use super::Engine;
use crate::error::CommandError;

impl Engine {
    /// Has CloudFormation refuse to delete the stack, or take it again.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn set_termination_protection(&self, on: bool) -> Result<(), CommandError> {
        let request = self
            .client
            .update_termination_protection()
            .stack_name(&self.stack)
            .enable_termination_protection(on);
        let sent = request.send().await.map_err(CommandError::aws(format!(
            "change the termination protection of `{}`",
            self.stack
        )));
        sent.map(|_| ())
    }

    /// The stack's policy of what updates may do; null where it has none.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked, or its answer is no JSON.
    pub async fn policy(&self) -> Result<Value, CommandError> {
        let doing = format!("read the policy of stack `{}`", self.stack);
        let request = self.client.get_stack_policy().stack_name(&self.stack);
        let answer = request.send().await;
        let answer = answer.map_err(CommandError::aws(doing.clone()))?;
        let Some(policy) = answer.stack_policy_body() else {
            return Ok(Value::Null);
        };
        serde_json::from_str(policy).map_err(|error| CommandError::Aws {
            doing,
            reason: format!("it is no JSON: {error}"),
        })
    }

    /// Gives the stack a policy of what updates may do, in the place of the one it has.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn set_policy(&self, policy: &Value) -> Result<(), CommandError> {
        let request = self
            .client
            .set_stack_policy()
            .stack_name(&self.stack)
            .stack_policy_body(policy.to_string());
        let sent = request.send().await.map_err(CommandError::aws(format!(
            "set the policy of stack `{}`",
            self.stack
        )));
        sent.map(|_| ())
    }
}
