//! What a failed creation or deletion left of a stack: it takes no update, and has to go before the stack can be made.

use std::collections::BTreeSet;
use std::fmt;

use annapurna_stack::plan::{Change, Deployment, changes};
use aws_sdk_cloudformation::types::{ResourceStatus, StackResourceSummary};
use serde::Serialize;

use super::words::StackState;
use super::{Deployed, Engine, Event, Standing, incomplete, status_of};
use crate::error::CommandError;

/// What is there where a stack is to be; never both.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// A stack that takes an update.
    pub deployed: Option<Deployed>,
    /// What has to go first.
    pub remnant: Option<Remnant>,
}

/// What is left of a stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remnant {
    /// Its name.
    pub stack: String,
    /// CloudFormation's id of it, which a later stack of this name does not have.
    #[serde(skip)]
    pub id: String,
    /// The resources that are still there, each destroyed or left behind with the stack.
    pub resources: Vec<Change>,
}

impl fmt::Display for Remnant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "What a failed deployment left of stack `{}` is removed first.",
            self.stack
        )?;
        for change in &self.resources {
            write!(formatter, "\n{change}")?;
        }
        Ok(())
    }
}

impl Engine {
    /// The stack that an update would change, or what has to go before it can be made.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn found(&self) -> Result<Found, CommandError> {
        let Some(description) = self.describe().await? else {
            return Ok(Found::default());
        };
        let status = status_of(&description)?;
        let id = description.stack_id();
        let id = id.ok_or_else(|| incomplete("its id", &self.stack))?;
        let remnant = |resources| Found {
            deployed: None,
            remnant: Some(Remnant {
                stack: self.stack.clone(),
                id: id.to_owned(),
                resources,
            }),
        };
        match StackState::of(&status) {
            StackState::Review | StackState::Deleted => Ok(Found::default()),
            StackState::Undone => Ok(remnant(Vec::new())),
            StackState::Remnant => {
                let left = self.read(&description, status).await?.deployment;
                let there = self.resources_there().await?;
                let mut going = changes(&left, &Deployment::none());
                going.retain(|it| there.contains(&it.resource));
                Ok(remnant(going))
            }
            StackState::UnderWay | StackState::Whole | StackState::Stuck => Ok(Found {
                deployed: Some(self.read(&description, status).await?),
                remnant: None,
            }),
        }
    }

    /// Deletes what is left. A question may have stood open for long: a stack that somebody made of this name since then
    /// is another, and stays.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] when this stack is no remnant any more; otherwise as [`Engine::delete`].
    pub async fn remove(
        &self,
        remnant: &Remnant,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), CommandError> {
        match self.by_id(&remnant.id).at_rest(&|_| {}).await? {
            Standing::Absent => Ok(()),
            Standing::Remnant => self.delete_by(&remnant.id, event).await,
            Standing::Review | Standing::Stuck | Standing::Whole => Err(CommandError::Usage {
                problem: format!(
                    "stack `{}` is no longer what was left of a failed deployment, so it is not removed",
                    remnant.stack
                ),
                hint: "somebody deploys, too; run the command again, and look at the plan that it shows"
                    .to_owned(),
            }),
        }
    }

    /// Logical ids of the stack's resources that are not gone.
    async fn resources_there(&self) -> Result<BTreeSet<String>, CommandError> {
        let doing = || format!("list what is left of `{}`", self.stack);
        let request = self.client.list_stack_resources().stack_name(&self.stack);
        let mut pages = request.into_paginator().send();
        let mut there = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(CommandError::aws(doing()))?;
            for resource in page.stack_resource_summaries() {
                let id = resource.logical_resource_id();
                let id = id.ok_or_else(|| CommandError::lacks(doing(), "logical id"))?;
                if is_there(resource) {
                    there.insert(id.to_owned());
                }
            }
        }
        Ok(there)
    }
}

/// Whether a resource was made, wholly or in part, and is the stack's yet.
fn is_there(resource: &StackResourceSummary) -> bool {
    let was_made = resource
        .physical_resource_id()
        .is_some_and(|id| !id.is_empty());
    let is_gone = matches!(
        resource.resource_status(),
        Some(ResourceStatus::DeleteComplete | ResourceStatus::DeleteSkipped)
    );
    was_made && !is_gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_not_deleted_is_there() {
        let summary = |id: Option<&str>, status: ResourceStatus| {
            let summary = StackResourceSummary::builder().resource_status(status);
            summary.set_physical_resource_id(id.map(str::to_owned))
        };
        for (id, status, there) in [
            (Some("q"), ResourceStatus::CreateComplete, true),
            (Some("q"), ResourceStatus::DeleteFailed, true),
            (Some("q"), ResourceStatus::CreateFailed, true),
            (Some("q"), ResourceStatus::DeleteComplete, false),
            (Some("q"), ResourceStatus::DeleteSkipped, false),
            (Some(""), ResourceStatus::CreateFailed, false),
            (None, ResourceStatus::CreateFailed, false),
        ] {
            assert_eq!(
                is_there(&summary(id, status.clone()).build()),
                there,
                "{id:?} {status}"
            );
        }
    }
}
