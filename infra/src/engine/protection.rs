//! What keeps a protected stack from being deleted, and what holds data in it from being replaced.

use std::fmt;

use annapurna_stack::protection::{is_ours, open_policy};
use serde::Serialize;
use serde_json::Value;

use super::Engine;
use crate::error::CommandError;

/// What a deployment does about a stack's protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Gives it.
    Set,
    /// Takes it, which an earlier deployment gave: the environment is no longer protected.
    Lift,
}

impl fmt::Display for Protection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Set => "~ protect the stack  (termination protection and a stack policy)",
            Self::Lift => {
                "~ lift the stack's protection  (the environment is not `protected` any more)"
            }
        })
    }
}

impl Engine {
    /// What a deployment is to do about the protection of a stack that is there; `None` where that is as wanted. A policy
    /// in the form of ours tells that a deployment protected the stack: what a person did by hand stays.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn protection(&self, wanted: bool) -> Result<Option<Protection>, CommandError> {
        let (change, is_due) = match wanted {
            true => (Protection::Set, !self.has_termination_protection().await?),
            false => (Protection::Lift, is_ours(&self.policy().await?)),
        };
        Ok(is_due.then_some(change))
    }

    /// Protects the stack. The policy goes first, since it tells whose the protection is.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn protect(&self, policy: &Value) -> Result<(), CommandError> {
        self.set_policy(policy).await?;
        self.set_termination_protection(true).await
    }

    /// Takes away what [`Self::protect`] gave, the policy last.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn lift_protection(&self) -> Result<(), CommandError> {
        self.set_termination_protection(false).await?;
        self.set_policy(&open_policy()).await
    }

    /// Whether CloudFormation would refuse to delete the stack. One that is not there is not protected.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn has_termination_protection(&self) -> Result<bool, CommandError> {
        let description = self.describe().await?;
        Ok(description.is_some_and(|it| it.enable_termination_protection() == Some(true)))
    }

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
