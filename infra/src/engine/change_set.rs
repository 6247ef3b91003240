//! Change sets: what CloudFormation says it will do, and doing it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use annapurna_stack::plan::Announced;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, OnStackFailure, Parameter, StackEvent, StackStatus,
    Tag,
};

use super::{Engine, status_of};
use crate::error::CommandError;

/// How long CloudFormation may think about a change set.
const CHANGE_SET_LIMIT: Duration = Duration::from_secs(300);

/// A change set that can be executed.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    engine: Engine,
    name: String,
    /// What CloudFormation says it will do.
    pub changes: Vec<Announced>,
}

/// Where the template of a change set is.
#[derive(Debug, Clone)]
pub enum TemplateSource {
    /// In the request.
    Body(String),
    /// In S3, because it is larger than a request takes.
    Url(String),
}

impl Engine {
    /// Has CloudFormation prepare a change set; `None` when there is nothing to change.
    ///
    /// # Errors
    ///
    /// [`CommandError::ChangeSet`] with CloudFormation's reason.
    pub async fn prepare(
        &self,
        template: TemplateSource,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Option<ChangeSet>, CommandError> {
        let exists = self.deployed().await?.is_some();
        let name = format!("deploy-{}", chrono::Utc::now().format("%Y%m%d-%H%M%S%3f"));
        let parameters = parameters.iter().map(|(key, value)| {
            Parameter::builder()
                .parameter_key(key)
                .parameter_value(value)
                .build()
        });
        let kind = if exists {
            ChangeSetType::Update
        } else {
            ChangeSetType::Create
        };
        let mut request = self
            .client
            .create_change_set()
            .stack_name(&self.stack)
            .change_set_name(&name)
            .change_set_type(kind)
            .capabilities(Capability::CapabilityIam)
            .on_stack_failure(OnStackFailure::Rollback)
            // A new stack takes up again what an earlier one of this environment retained. A stack that
            // exists adopts nothing: there a name that is taken is a mistake.
            .import_existing_resources(!exists)
            .set_parameters(Some(parameters.collect()))
            .tags(Tag::builder().key("application").value("annapurna").build());
        request = match template {
            TemplateSource::Body(body) => request.template_body(body),
            TemplateSource::Url(url) => request.template_url(url),
        };
        request.send().await.map_err(CommandError::aws(format!(
            "create a change set of `{}`",
            self.stack
        )))?;
        let set = ChangeSet {
            engine: self.clone(),
            name,
            changes: Vec::new(),
        };
        set.wait_until_ready().await
    }
}

impl ChangeSet {
    async fn wait_until_ready(mut self) -> Result<Option<Self>, CommandError> {
        let start = Instant::now();
        while start.elapsed() < CHANGE_SET_LIMIT {
            let request = self
                .engine
                .client
                .describe_change_set()
                .stack_name(&self.engine.stack)
                .change_set_name(&self.name);
            let set = request.send().await;
            let set = set.map_err(CommandError::aws("describe the change set"))?;
            match set.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    self.changes = set.changes().iter().filter_map(announced).collect();
                    return Ok(Some(self));
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason = set.status_reason().unwrap_or_default().to_owned();
                    self.discard().await?;
                    let nothing = reason.contains("didn't contain changes")
                        || reason.contains("No updates are to be performed");
                    return if nothing {
                        Ok(None)
                    } else {
                        Err(CommandError::ChangeSet {
                            stack: self.engine.stack,
                            reason,
                        })
                    };
                }
                _ => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
        Err(CommandError::TimedOut {
            what: format!("the change set of `{}`", self.engine.stack),
            limit_secs: CHANGE_SET_LIMIT.as_secs(),
        })
    }

    /// Removes the change set without executing it.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn discard(&self) -> Result<(), CommandError> {
        let request = self
            .engine
            .client
            .delete_change_set()
            .stack_name(&self.engine.stack)
            .change_set_name(&self.name);
        request
            .send()
            .await
            .map_err(CommandError::aws("delete the change set"))?;
        let review = self.engine.describe().await?;
        if review.is_some_and(|it| status_of(&it) == StackStatus::ReviewInProgress) {
            self.engine.delete().await?;
        }
        Ok(())
    }

    /// Executes it and follows it to its end. `event` hears each event once, in order.
    ///
    /// # Errors
    ///
    /// [`CommandError::RolledBack`] with the first cause; the previous state is then in place.
    pub async fn execute(&self, event: &(dyn Fn(&StackEvent) + Sync)) -> Result<(), CommandError> {
        let seen = self.engine.newest_event().await?;
        let request = self
            .engine
            .client
            .execute_change_set()
            .stack_name(&self.engine.stack)
            .change_set_name(&self.name);
        request
            .send()
            .await
            .map_err(CommandError::aws("execute the change set"))?;
        let events = self.engine.follow(seen, event).await?;
        let status = self.engine.describe().await?.map(|it| status_of(&it));
        match status {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => Ok(()),
            _ => Err(self.engine.first_cause(&events).await),
        }
    }
}

fn announced(change: &aws_sdk_cloudformation::types::Change) -> Option<Announced> {
    let change = change.resource_change()?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Some(Announced {
        resource: text(change.logical_resource_id()),
        type_name: text(change.resource_type()),
        action: text(change.action().map(|action| action.as_str())),
        replacement: text(change.replacement().map(|replacement| replacement.as_str())),
    })
}
