//! Change sets: what CloudFormation says it will do, and doing it.

use std::collections::BTreeMap;
use std::time::Instant;

use annapurna_stack::plan::{ChangeSetAction, ChangeSetEntry, Replacement};
use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::operation::create_change_set::CreateChangeSetError;
use aws_sdk_cloudformation::operation::describe_change_set::{
    DescribeChangeSetError, DescribeChangeSetOutput,
};
use aws_sdk_cloudformation::types::{
    self, Capability, ChangeAction, ChangeSetStatus, ChangeSetType, ExecutionStatus,
    OnStackFailure, Parameter, StackStatus, Tag,
};

use super::words::{StackState, says_unchanged, says_unretained};
use super::{Engine, Event, Operation, looks, status_of};
use crate::error::CommandError;

/// A change set that can be executed.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    engine: Engine,
    name: String,
    /// What CloudFormation says it will do.
    pub entries: Vec<ChangeSetEntry>,
    /// What it warns of and does even so, a line each; that the warnings could not be read is one of them.
    pub warnings: Vec<String>,
}

/// Where the template of a change set is.
#[derive(Debug, Clone)]
pub enum TemplateSource {
    /// In the request, which takes 51,200 bytes. Source: CloudFormation quotas.
    Body(String),
    /// In S3, because it is larger than a request takes.
    Url(String),
}

impl Engine {
    /// Has CloudFormation prepare a change set; `None` when there is nothing to change.
    ///
    /// # Errors
    ///
    /// [`CommandError::Unretained`] when a new stack finds something there that it would not retain,
    /// which [`adopting`](annapurna_stack::adoption::adopting) is for; else [`CommandError::ChangeSet`] with CloudFormation's
    /// reason.
    pub async fn prepare(
        &self,
        template: TemplateSource,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Option<ChangeSet>, CommandError> {
        self.create(template, parameters, false).await
    }

    /// [`Self::prepare`] of a template of [`adopting`](annapurna_stack::adoption::adopting). The validation before the first
    /// change is left out: it would hold the names of what is taken up against the new stack.
    ///
    /// # Errors
    ///
    /// [`CommandError::ChangeSet`] with CloudFormation's reason.
    pub async fn prepare_adoption(
        &self,
        template: TemplateSource,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Option<ChangeSet>, CommandError> {
        self.create(template, parameters, true).await
    }

    async fn create(
        &self,
        template: TemplateSource,
        parameters: &BTreeMap<String, String>,
        without_validation: bool,
    ) -> Result<Option<ChangeSet>, CommandError> {
        let exists = self.exists().await?;
        let name = format!("deploy-{}", chrono::Utc::now().format("%Y%m%d-%H%M%S%3f"));
        let kind = match exists {
            true => ChangeSetType::Update,
            false => ChangeSetType::Create,
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
            .set_disable_validation(without_validation.then_some(true))
            .set_parameters(Some(given(parameters)))
            .tags(Tag::builder().key("application").value("annapurna").build());
        request = match template {
            TemplateSource::Body(body) => request.template_body(body),
            TemplateSource::Url(url) => request.template_url(url),
        };
        let made = request.send().await.map(drop);
        self.was_made(made).await?;
        let set = ChangeSet {
            engine: self.clone(),
            name,
            entries: Vec::new(),
            warnings: Vec::new(),
        };
        set.wait_until_ready().await
    }
}

impl Engine {
    /// What to make of the answer to the creation of a change set.
    async fn was_made(
        &self,
        made: Result<(), SdkError<CreateChangeSetError, HttpResponse>>,
    ) -> Result<(), CommandError> {
        let Err(error) = made else {
            return Ok(());
        };
        // The name is of this moment, so one that is there is what an earlier try of this request made.
        let said = error.as_service_error();
        if said.is_some_and(|it| it.is_already_exists_exception()) {
            return Ok(());
        }
        let doing = format!("create a change set of `{}`", self.stack);
        let refused = CommandError::aws(doing)(error);
        // Somebody may have begun since the stack was looked at.
        Err(self.busy_or(false, refused).await)
    }

    /// Whether a change set of anybody waits: a new stack under review is its place, and goes with the last.
    async fn has_change_sets(&self) -> Result<bool, CommandError> {
        let request = self.client.list_change_sets().stack_name(&self.stack);
        let sets = request.send().await.map_err(CommandError::aws(format!(
            "list the change sets of `{}`",
            self.stack
        )))?;
        Ok(!sets.summaries().is_empty())
    }
}

impl ChangeSet {
    /// One page of what CloudFormation says of the change set; the first without a token.
    async fn describe(
        &self,
        token: Option<String>,
    ) -> Result<DescribeChangeSetOutput, SdkError<DescribeChangeSetError, HttpResponse>> {
        let request = self
            .engine
            .client
            .describe_change_set()
            .stack_name(&self.engine.stack)
            .change_set_name(&self.name)
            .set_next_token(token);
        request.send().await
    }

    /// Why a change set cannot be described; somebody else's execution ends all but its own.
    async fn unseen(&self, error: SdkError<DescribeChangeSetError, HttpResponse>) -> CommandError {
        let is_gone = error.code() == Some("ChangeSetNotFound");
        let error = CommandError::aws("describe the change set")(error);
        match is_gone {
            true => self.engine.busy_or(true, error).await,
            false => error,
        }
    }

    async fn wait_until_ready(mut self) -> Result<Option<Self>, CommandError> {
        let start = Instant::now();
        let mut looks = looks();
        while start.elapsed() < self.engine.change_set_limit {
            let set = match self.describe(None).await {
                Ok(set) => set,
                Err(error) => return Err(self.unseen(error).await),
            };
            match set.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    self.read_entries(set).await?;
                    self.read_warnings().await;
                    return Ok(Some(self));
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason = set.status_reason().unwrap_or("CloudFormation names none");
                    return self.failed(reason.to_owned()).await;
                }
                _ => tokio::time::sleep(looks.next_wait()).await,
            }
        }
        Err(self.given_up().await)
    }

    /// The error of a wait that was given up. Nobody waits for the change set any more, so it goes.
    async fn given_up(&self) -> CommandError {
        let became = match self.discard().await {
            Ok(()) => "was deleted then".to_owned(),
            Err(error) => format!("is still there ({error})"),
        };
        let (name, stack) = (&self.name, &self.engine.stack);
        CommandError::TimedOut {
            what: format!("change set `{name}` of `{stack}`, which {became},"),
            limit_secs: self.engine.change_set_limit.as_secs(),
        }
    }

    /// Reads what is on the first page and on those after it.
    async fn read_entries(&mut self, first: DescribeChangeSetOutput) -> Result<(), CommandError> {
        let mut page = first;
        loop {
            for change in page.changes() {
                self.entries.extend(entry(change)?);
            }
            let Some(token) = page.next_token else {
                return Ok(());
            };
            page = match self.describe(Some(token)).await {
                Ok(page) => page,
                Err(error) => return Err(self.unseen(error).await),
            };
        }
    }

    /// Reads what the validation before the first change warns of, such as a bucket that is to be deleted and holds
    /// objects.
    async fn read_warnings(&mut self) {
        self.warnings = match self.engine.warnings(&self.name).await {
            Ok(warnings) => warnings.iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        };
    }

    /// What to make of a change set that failed: its findings are read before it goes, since they go with it.
    async fn failed(self, reason: String) -> Result<Option<Self>, CommandError> {
        let nothing = says_unchanged(&reason);
        let findings = match nothing {
            true => Ok(Vec::new()),
            false => self.engine.findings(&self.name).await,
        };
        self.discard().await?;
        if nothing {
            return Ok(None);
        }
        // Without the permission to read them, CloudFormation's own reason still counts.
        let (reason, findings) = match findings {
            Ok(findings) => (reason, findings),
            Err(unread) => (format!("{reason} ({unread})"), Vec::new()),
        };
        let stack = self.engine.stack;
        if says_unretained(&reason) || findings.iter().any(|it| says_unretained(&it.reason)) {
            return Err(CommandError::Unretained { stack, reason });
        }
        Err(CommandError::ChangeSet {
            stack,
            reason,
            findings,
        })
    }

    /// What is there already and becomes the stack's.
    pub fn imports(&self) -> impl Iterator<Item = &ChangeSetEntry> {
        self.entries
            .iter()
            .filter(|entry| entry.action == ChangeSetAction::Import)
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
        let review = review.as_ref().map(status_of).transpose()?;
        if review.as_ref().map(StackState::of) == Some(StackState::Review)
            && !self.engine.has_change_sets().await?
        {
            self.engine.delete(&|_| {}).await?;
        }
        Ok(())
    }

    /// Executes it and follows it to its end. `event` hears each event once, in order.
    ///
    /// # Errors
    ///
    /// [`CommandError::RolledBack`] with the first cause; the previous state is then in place.
    pub async fn execute(&self, event: &(dyn Fn(&Event) + Sync)) -> Result<(), CommandError> {
        let ours = self.engine.next_operation().await?;
        self.begin(&ours).await?;
        let events = self.engine.follow(&ours, event).await?;
        let status = self.engine.describe().await?;
        let status = status.as_ref().map(status_of).transpose()?;
        match status {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => Ok(()),
            status => Err(self
                .engine
                .first_cause(status.as_ref(), &ours, &events)
                .await),
        }
    }

    /// Begins the execution, once however often the connection is cut.
    async fn begin(&self, ours: &Operation) -> Result<(), CommandError> {
        let request = self
            .engine
            .client
            .execute_change_set()
            .stack_name(&self.engine.stack)
            .change_set_name(&self.name)
            .client_request_token(&ours.token);
        let Err(error) = request.send().await else {
            return Ok(());
        };
        match error.code() {
            Some("InvalidChangeSetStatus" | "ChangeSetNotFound") => {}
            _ => return Err(CommandError::aws("execute the change set")(error)),
        }
        // An earlier try of this request began it, or somebody else was faster, which ends other change sets.
        let ours = self.describe(None).await.ok();
        let begun = [
            ExecutionStatus::ExecuteInProgress,
            ExecutionStatus::ExecuteComplete,
            ExecutionStatus::ExecuteFailed,
        ];
        if ours.is_some_and(|it| it.execution_status.is_some_and(|it| begun.contains(&it))) {
            return Ok(());
        }
        let error = CommandError::aws("execute the change set")(error);
        Err(self.engine.busy_or(true, error).await)
    }
}

/// Parameters as a request has them.
fn given(parameters: &BTreeMap<String, String>) -> Vec<Parameter> {
    let parameters = parameters.iter().map(|(key, value)| {
        let parameter = Parameter::builder().parameter_key(key);
        parameter.parameter_value(value).build()
    });
    parameters.collect()
}

/// One entry of a change set; `None` for what is no resource. A word that this program does not know counts as
/// not determined: the plan then says that the resource may be replaced.
fn entry(change: &types::Change) -> Result<Option<ChangeSetEntry>, CommandError> {
    let Some(change) = change.resource_change() else {
        return Ok(None);
    };
    let action = match change.action() {
        Some(ChangeAction::Add) => ChangeSetAction::Add,
        Some(ChangeAction::Modify) => ChangeSetAction::Modify,
        Some(ChangeAction::Remove) => ChangeSetAction::Remove,
        Some(ChangeAction::Import) => ChangeSetAction::Import,
        _ => ChangeSetAction::Undetermined,
    };
    let replacement = match change.replacement() {
        Some(types::Replacement::False) | None => Replacement::No,
        Some(types::Replacement::True) => Replacement::Yes,
        Some(_) => Replacement::Conditional,
    };
    let (Some(resource), Some(type_name)) = (change.logical_resource_id(), change.resource_type())
    else {
        return Err(CommandError::Aws {
            doing: "read the change set".to_owned(),
            reason: "it has a change without a logical id or a resource type".to_owned(),
        });
    };
    Ok(Some(ChangeSetEntry {
        resource: resource.to_owned(),
        type_name: type_name.to_owned(),
        action,
        replacement,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_a_terminal_does_not_obey() {
        let error = CommandError::Unretained {
            stack: "annapurna-dev".to_owned(),
            reason: "Papers\n\u{202e}must".to_owned(),
        };
        let said = error.to_string();
        assert!(!said.contains(['\n', '\u{202e}']), "{said:?}");
    }

    /// What is read of a change of the function `Judge`.
    fn said(action: &str, replacement: Option<&str>) -> (ChangeSetAction, Replacement) {
        let change = types::ResourceChange::builder()
            .logical_resource_id("Judge")
            .resource_type("AWS::Lambda::Function")
            .action(action.into())
            .set_replacement(replacement.map(Into::into));
        let change = types::Change::builder().resource_change(change.build());
        let entry = entry(&change.build()).unwrap().unwrap();
        assert_eq!(
            (entry.resource.as_str(), entry.type_name.as_str()),
            ("Judge", "AWS::Lambda::Function")
        );
        (entry.action, entry.replacement)
    }

    #[test]
    fn what_a_change_set_says_is_read_and_a_new_word_is_not_determined() {
        for (action, replacement, read) in [
            ("Add", None, (ChangeSetAction::Add, Replacement::No)),
            (
                "Modify",
                Some("False"),
                (ChangeSetAction::Modify, Replacement::No),
            ),
            (
                "Modify",
                Some("True"),
                (ChangeSetAction::Modify, Replacement::Yes),
            ),
            (
                "Modify",
                Some("Conditional"),
                (ChangeSetAction::Modify, Replacement::Conditional),
            ),
            ("Remove", None, (ChangeSetAction::Remove, Replacement::No)),
            ("Import", None, (ChangeSetAction::Import, Replacement::No)),
            (
                "Dynamic",
                None,
                (ChangeSetAction::Undetermined, Replacement::No),
            ),
            (
                "Sync",
                Some("Perhaps"),
                (ChangeSetAction::Undetermined, Replacement::Conditional),
            ),
        ] {
            assert_eq!(said(action, replacement), read, "{action}");
        }
        let no_resource = types::Change::builder().build();
        assert_eq!(entry(&no_resource).unwrap(), None);
        let nameless = types::ResourceChange::builder().action(ChangeAction::Add);
        let nameless = types::Change::builder().resource_change(nameless.build());
        let error = entry(&nameless.build()).unwrap_err();
        assert!(
            error.to_string().contains("without a logical id"),
            "{error}"
        );
    }
}
