//! From what is deployed to what is wanted: one change set, or two where something is taken up first.
//!
//! In: what is wanted, and an [`Operator`] who sees each change set before it is executed. Out: the stack
//! after. Nothing is executed that the operator did not agree to, the second change set of an
//! [adoption](adopting) neither. Where the first has been executed and the second not, whatever the
//! reason, the next rollout finds a stack and goes on with the second.

use annapurna_stack::adoption::adopting;
use annapurna_stack::plan::Deployment;
use serde_json::Value;

use super::{ChangeSet, Deployed, Engine, TemplateSource};
use crate::error::CommandError;

/// Who decides on a rollout.
pub trait Operator {
    /// Puts a template where CloudFormation reads it.
    fn source(
        &self,
        template: &Value,
    ) -> impl Future<Output = Result<TemplateSource, CommandError>>;

    /// Shows what changes from `before`, and whether to go on. `set` is `None` when no resource changes.
    fn agrees(
        &self,
        before: Option<&Deployed>,
        set: Option<&ChangeSet>,
    ) -> impl Future<Output = Result<bool, CommandError>>;

    /// Executes a change set that was agreed to, and shows how far it is.
    fn execute(
        &self,
        before: Option<&Deployed>,
        set: &ChangeSet,
    ) -> impl Future<Output = Result<(), CommandError>>;
}

/// How a rollout ended.
#[derive(Debug)]
pub enum Outcome {
    /// The stack as it is, which is as wanted.
    Done(Box<Deployed>),
    /// The operator declined.
    Declined {
        /// Whether an earlier change set of this rollout was executed: the stack has taken up what was there,
        /// which lacks its settings.
        has_adopted: bool,
    },
}

impl Engine {
    /// Brings the stack to what is wanted, with everything agreed to by `operator`.
    ///
    /// # Errors
    ///
    /// [`CommandError::RolledBack`] with the first cause; what was deployed before is then in place.
    pub async fn roll_out(
        &self,
        wanted: &Deployment,
        operator: &impl Operator,
    ) -> Result<Outcome, CommandError> {
        let before = self.deployed().await?;
        let (set, adopts) = self.next(before.is_none(), wanted, operator).await?;
        if !carried_out(before.as_ref(), set.as_ref(), operator).await? {
            return Ok(Outcome::Declined { has_adopted: false });
        }
        let mut now = self.deployed().await?;
        if adopts {
            let (set, _) = self.next(false, wanted, operator).await?;
            if !carried_out(now.as_ref(), set.as_ref(), operator).await? {
                return Ok(Outcome::Declined { has_adopted: true });
            }
            now = self.deployed().await?;
        }
        let now = now.ok_or_else(|| super::incomplete("the stack", &self.stack))?;
        Ok(Outcome::Done(Box::new(now)))
    }

    /// The next change set, if anything changes; true when it only takes up what is there already.
    async fn next(
        &self,
        is_new: bool,
        wanted: &Deployment,
        operator: &impl Operator,
    ) -> Result<(Option<ChangeSet>, bool), CommandError> {
        let source = operator.source(&wanted.template).await?;
        match self.prepare(source, &wanted.parameters).await {
            Err(CommandError::Unretained { .. }) if is_new => {}
            Ok(Some(set)) if is_new && set.imports().next().is_some() => set.discard().await?,
            other => return Ok((other?, false)),
        }
        let source = operator.source(&adopting(&wanted.template)).await?;
        let set = self.prepare_adoption(source, &wanted.parameters).await?;
        Ok((set, true))
    }
}

/// Executes a change set if the operator agrees, and discards it otherwise, also when nobody can be asked.
async fn carried_out(
    before: Option<&Deployed>,
    set: Option<&ChangeSet>,
    operator: &impl Operator,
) -> Result<bool, CommandError> {
    let agrees = operator.agrees(before, set).await;
    match set {
        Some(set) if matches!(agrees, Ok(true)) => operator.execute(before, set).await?,
        Some(set) => {
            let discarded = set.discard().await;
            // Why nobody was asked comes first.
            return agrees.and_then(|agrees| discarded.map(|()| agrees));
        }
        None => {}
    }
    agrees
}
