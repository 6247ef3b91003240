//! Drives CloudFormation: what is deployed, change sets, their execution, and what failed first.
//!
//! CloudFormation is the engine; no state of our own is kept. Every wait has a limit, and a command
//! run again finds the stack wherever the last one left it.

use std::time::{Duration, Instant};

use annapurna_stack::outputs::Outputs;
use annapurna_stack::plan::Deployment;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Stack, StackStatus};

use crate::cloud::Cloud;
use crate::error::CommandError;

mod adoption;
mod change_set;
mod events;

pub use adoption::adopting;
pub use change_set::{ChangeSet, TemplateSource};

/// How long a stack may take: a search domain takes up to half an hour.
const EXECUTION_LIMIT: Duration = Duration::from_secs(3_600);

/// CloudFormation, asked about one stack.
#[derive(Debug, Clone)]
pub struct Engine {
    client: Client,
    stack: String,
}

/// A stack that exists.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// Where the last operation on it ended, or that one is under way.
    pub status: StackStatus,
    /// Template and parameters.
    pub deployment: Deployment,
    /// What it gives out: addresses, names and ARNs.
    pub outputs: Outputs,
}

impl Engine {
    /// The engine of the stack with this name, which need not exist.
    pub fn new(cloud: &Cloud, stack: impl Into<String>) -> Self {
        Self {
            client: cloud.cloudformation.clone(),
            stack: stack.into(),
        }
    }

    /// The stack as deployed; `None` when there is none, or nothing but a review or a failed creation.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn deployed(&self) -> Result<Option<Deployed>, CommandError> {
        let Some(description) = self.describe().await? else {
            return Ok(None);
        };
        let status = status_of(&description);
        if matches!(
            status,
            StackStatus::ReviewInProgress
                | StackStatus::RollbackComplete
                | StackStatus::DeleteComplete
        ) {
            return Ok(None);
        }
        let template = self
            .client
            .get_template()
            .stack_name(&self.stack)
            .send()
            .await;
        let template = template.map_err(CommandError::aws(format!(
            "read the template of `{}`",
            self.stack
        )))?;
        let template = serde_json::from_str(template.template_body().unwrap_or("{}"))?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let parameters = description.parameters();
        let outputs = description.outputs();
        Ok(Some(Deployed {
            status,
            deployment: Deployment {
                template,
                parameters: parameters
                    .iter()
                    .map(|it| (text(it.parameter_key()), text(it.parameter_value())))
                    .collect(),
            },
            outputs: outputs
                .iter()
                .filter_map(|it| Some((it.output_key()?.to_owned(), it.output_value()?.to_owned())))
                .collect(),
        }))
    }

    async fn describe(&self) -> Result<Option<Stack>, CommandError> {
        let answer = self
            .client
            .describe_stacks()
            .stack_name(&self.stack)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
            Err(error) => {
                let message = error
                    .as_service_error()
                    .map(|it| it.meta().message().unwrap_or_default());
                if message.is_some_and(|message| message.contains("does not exist")) {
                    return Ok(None);
                }
                Err(CommandError::aws(format!(
                    "describe stack `{}`",
                    self.stack
                ))(error))
            }
        }
    }

    /// Makes the stack ready for a change set: waits for what is in progress, and removes what a failed
    /// creation left, which CloudFormation can neither update nor create again.
    ///
    /// # Errors
    ///
    /// When it does not come to rest in time.
    pub async fn settle(&self, say: &(dyn Fn(String) + Sync)) -> Result<(), CommandError> {
        let Some(description) = self.describe().await? else {
            return Ok(());
        };
        let status = status_of(&description);
        let in_progress = status.as_str().ends_with("_IN_PROGRESS");
        if in_progress && status != StackStatus::ReviewInProgress {
            say(format!(
                "stack `{}` is {}; waiting for its end",
                self.stack,
                status.as_str()
            ));
            self.wait_for_rest().await?;
            return Box::pin(self.settle(say)).await;
        }
        if status == StackStatus::UpdateRollbackFailed {
            return Err(CommandError::Usage {
                problem: format!(
                    "stack `{}` could not be rolled back and takes no update",
                    self.stack
                ),
                hint: format!(
                    "aws cloudformation continue-update-rollback --stack-name {}",
                    self.stack
                ),
            });
        }
        let is_remnant = matches!(
            status,
            StackStatus::RollbackComplete
                | StackStatus::RollbackFailed
                | StackStatus::CreateFailed
                | StackStatus::DeleteFailed
        );
        if is_remnant {
            say(format!(
                "removing what a failed deployment left of `{}`",
                self.stack
            ));
            self.delete().await?;
        }
        Ok(())
    }

    async fn wait_for_rest(&self) -> Result<Option<Stack>, CommandError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            let description = self.describe().await?;
            match &description {
                Some(it) if status_of(it).as_str().ends_with("_IN_PROGRESS") => {}
                _ => return Ok(description),
            }
            if start.elapsed() > EXECUTION_LIMIT {
                return Err(CommandError::TimedOut {
                    what: format!("stack `{}`", self.stack),
                    limit_secs: EXECUTION_LIMIT.as_secs(),
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Deletes the stack and waits for its end.
    ///
    /// # Errors
    ///
    /// When something of it cannot be deleted; names the first.
    pub async fn delete(&self) -> Result<(), CommandError> {
        let request = self.client.delete_stack().stack_name(&self.stack);
        request
            .send()
            .await
            .map_err(CommandError::aws(format!("delete stack `{}`", self.stack)))?;
        match self.wait_for_rest().await? {
            None => Ok(()),
            Some(it) if status_of(&it) == StackStatus::DeleteComplete => Ok(()),
            Some(_) => Err(self.first_failure().await?),
        }
    }
}

fn status_of(stack: &Stack) -> StackStatus {
    stack
        .stack_status()
        .cloned()
        .unwrap_or(StackStatus::ReviewInProgress)
}
