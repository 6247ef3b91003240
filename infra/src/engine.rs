//! Drives CloudFormation: what is deployed, change sets, their execution, and what failed first.
//!
//! CloudFormation is the engine; no state of our own is kept. Every wait has a limit, and a command
//! run again finds the stack wherever the last one left it.

use std::time::{Duration, Instant};

use annapurna_cloud::Backoff;
use annapurna_stack::outputs::Outputs;
use annapurna_stack::plan::Deployment;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Stack, StackStatus};

use crate::cloud::Cloud;
use crate::error::CommandError;

mod change_set;
mod estimate;
mod events;
mod findings;
mod operation;
mod protection;
mod remnant;
mod rollback;
mod rollout;
mod who;
mod words;

pub use change_set::{ChangeSet, TemplateSource};
pub use protection::Protection;
pub use remnant::{Found, Remnant};
pub use rollout::{Operator, Outcome};
pub(crate) use who::by_whom;
pub(crate) use words::says_absent;
pub use words::{Event, Progress};

use operation::Operation;
use words::StackState;

/// How long CloudFormation may think about a change set.
const CHANGE_SET_LIMIT: Duration = Duration::from_secs(300);
/// How long a stack may take: a search domain takes up to half an hour.
const EXECUTION_LIMIT: Duration = Duration::from_secs(3_600);

/// The waits between two looks at what is under way: one to two seconds, since a look is two requests and an
/// account's are throttled together.
fn looks() -> Backoff {
    const LONGEST: Duration = Duration::from_secs(2);
    Backoff::new(LONGEST, LONGEST)
}

/// CloudFormation, asked about one stack.
#[derive(Debug, Clone)]
pub struct Engine {
    client: Client,
    sts: aws_sdk_sts::Client,
    stack: String,
    change_set_limit: Duration,
}

/// Where a stack stands when nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Absent,
    /// It is only the place of a change set that was not executed.
    Review,
    /// It takes an update.
    Whole,
    /// A failed creation or deletion left it: it takes no update and has to go.
    Remnant,
    /// An update could be neither finished nor undone.
    Stuck,
}

/// A stack that exists, as CloudFormation describes it.
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
            sts: cloud.sts.clone(),
            stack: stack.into(),
            change_set_limit: CHANGE_SET_LIMIT,
        }
    }

    /// The same, which waits so long for a change set and no longer.
    #[must_use]
    pub fn waiting_for_change_sets(self, limit: Duration) -> Self {
        Self {
            change_set_limit: limit,
            ..self
        }
    }

    /// The stack as deployed; `None` when there is none, or nothing but a review or what a failed creation left.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub async fn deployed(&self) -> Result<Option<Deployed>, CommandError> {
        let Some(description) = self.describe().await? else {
            return Ok(None);
        };
        let status = status_of(&description)?;
        match StackState::of(&status).is_deployed() {
            true => self.read(&description, status).await.map(Some),
            false => Ok(None),
        }
    }

    /// A stack that is described, with its template.
    async fn read(
        &self,
        description: &Stack,
        status: StackStatus,
    ) -> Result<Deployed, CommandError> {
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
        deployed(description, status, template.template_body())
    }

    /// Whether the next change set is of a stack that is there.
    async fn exists(&self) -> Result<bool, CommandError> {
        let description = self.describe().await?;
        let status = description.as_ref().map(status_of).transpose()?;
        Ok(status.is_some_and(|it| StackState::of(&it).is_deployed()))
    }

    async fn describe(&self) -> Result<Option<Stack>, CommandError> {
        let answer = self
            .client
            .describe_stacks()
            .stack_name(&self.stack)
            .send()
            .await;
        match answer {
            // A stack that is not there is an error of the service; an empty list would plan everything as new.
            Ok(answer) => match answer.stacks.and_then(|it| it.into_iter().next()) {
                Some(stack) => Ok(Some(stack)),
                None => Err(incomplete("the stack", &self.stack)),
            },
            Err(error) => {
                if says_absent(&error) {
                    return Ok(None);
                }
                Err(CommandError::aws(format!(
                    "describe stack `{}`",
                    self.stack
                ))(error))
            }
        }
    }

    /// Waits until nothing is under way, and says where the stack stands.
    ///
    /// # Errors
    ///
    /// When it does not come to rest in time.
    pub async fn at_rest(&self, say: &(dyn Fn(String) + Sync)) -> Result<Standing, CommandError> {
        let mut description = self.describe().await?;
        if let Some(it) = &description {
            let status = status_of(it)?;
            if StackState::of(&status) == StackState::UnderWay {
                let (stack, word, who) = (&self.stack, status.as_str(), self.who().await?);
                say(format!(
                    "stack `{stack}` is {word}, begun {who}; waiting for its end"
                ));
                description = self.wait_for_rest().await?;
            }
        }
        let status = description.as_ref().map(status_of).transpose()?;
        Ok(match status.as_ref().map(StackState::of) {
            None | Some(StackState::Deleted) => Standing::Absent,
            Some(StackState::Review) => Standing::Review,
            Some(StackState::Undone | StackState::Remnant) => Standing::Remnant,
            Some(StackState::Stuck) => Standing::Stuck,
            Some(StackState::Whole | StackState::UnderWay) => Standing::Whole,
        })
    }

    /// The error of a stack that takes no update, with what its last operation could not bring back.
    pub async fn stuck(&self) -> CommandError {
        match self.last_operation().await {
            Ok(events) => self.stuck_by(&events),
            Err(error) => error,
        }
    }

    async fn wait_for_rest(&self) -> Result<Option<Stack>, CommandError> {
        let start = Instant::now();
        let mut looks = looks();
        loop {
            let description = self.describe().await?;
            match &description {
                Some(it) if !StackState::of(&status_of(it)?).is_at_rest() => {}
                _ => return Ok(description),
            }
            if start.elapsed() > EXECUTION_LIMIT {
                return Err(CommandError::TimedOut {
                    what: format!("stack `{}`", self.stack),
                    limit_secs: EXECUTION_LIMIT.as_secs(),
                });
            }
            tokio::time::sleep(looks.next_wait()).await;
        }
    }

    /// Deletes the stack and follows that to its end. `event` hears each event once, in order.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotDeleted`] with everything of it that cannot be deleted.
    pub async fn delete(&self, event: &(dyn Fn(&Event) + Sync)) -> Result<(), CommandError> {
        let Some(before) = self.describe().await? else {
            return Ok(());
        };
        let id = before.stack_id();
        self.delete_by(id.ok_or_else(|| incomplete("its id", &self.stack))?, event)
            .await
    }

    /// The same for the stack of this id, which no later stack of its name has.
    async fn delete_by(
        &self,
        id: &str,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), CommandError> {
        let doing = format!("delete stack `{}`", self.stack);
        // Once it is deleted, only its id still leads to it.
        let by_id = self.by_id(id);
        let ours = by_id.next_operation().await?;
        let request = self.client.delete_stack().stack_name(&by_id.stack);
        let request = request.client_request_token(&ours.token);
        request.send().await.map_err(CommandError::aws(doing))?;
        let events = by_id.follow(&ours, event).await?;
        let status = by_id.describe().await?;
        let status = status.as_ref().map(status_of).transpose()?;
        match status.as_ref().map(StackState::of) {
            None | Some(StackState::Deleted) => Ok(()),
            Some(_) => Err(self.first_cause(status.as_ref(), &ours, &events).await),
        }
    }

    fn by_id(&self, id: &str) -> Self {
        Self {
            stack: id.to_owned(),
            ..self.clone()
        }
    }
}

fn status_of(stack: &Stack) -> Result<StackStatus, CommandError> {
    let status = stack.stack_status().cloned();
    status.ok_or_else(|| incomplete("its status", name_of(stack)))
}

fn name_of(stack: &Stack) -> &str {
    stack.stack_name().unwrap_or("without a name")
}

/// CloudFormation answered, and left out what every such answer has. Nothing may be planned on that.
fn incomplete(what: &str, stack: &str) -> CommandError {
    CommandError::Aws {
        doing: format!("read stack `{stack}`"),
        reason: format!("CloudFormation's answer leaves out {what}"),
    }
}

fn deployed(
    stack: &Stack,
    status: StackStatus,
    template: Option<&str>,
) -> Result<Deployed, CommandError> {
    let name = name_of(stack);
    let template = template.ok_or_else(|| incomplete("its template", name))?;
    let template = serde_json::from_str(template).map_err(|error| CommandError::Aws {
        doing: format!("read the template of `{name}`"),
        reason: format!("it is no JSON: {error}"),
    })?;
    let pair = |kind: &str, key: Option<&str>, value: Option<&str>| match (key, value) {
        (Some(key), Some(value)) => Ok((key.to_owned(), value.to_owned())),
        (Some(key), None) => Err(incomplete(&format!("the value of {kind} `{key}`"), name)),
        (None, _) => Err(incomplete(&format!("the name of one {kind}"), name)),
    };
    let parameters = stack.parameters().iter();
    let outputs = stack.outputs().iter();
    Ok(Deployed {
        status,
        deployment: Deployment {
            template,
            parameters: parameters
                .map(|it| pair("parameter", it.parameter_key(), it.parameter_value()))
                .collect::<Result<_, _>>()?,
        },
        outputs: outputs
            .map(|it| pair("output", it.output_key(), it.output_value()))
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{Output, Parameter};

    use super::*;

    const TEMPLATE: Option<&str> = Some(r#"{"Resources": {}}"#);

    fn read(
        parameter: Parameter,
        output: Output,
        template: Option<&str>,
    ) -> Result<Deployed, String> {
        let stack = Stack::builder()
            .stack_name("dev")
            .parameters(parameter)
            .outputs(output)
            .build();
        let read = deployed(&stack, StackStatus::CreateComplete, template);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_that_leaves_something_out_is_an_error_that_names_it() {
        let key = || Parameter::builder().parameter_key("AgentKey");
        let parameter = || key().parameter_value("k").build();
        let url = || Output::builder().output_key("Url");
        let output = || url().output_value("").build();
        let whole = read(parameter(), output(), TEMPLATE).unwrap();
        assert_eq!(whole.deployment.parameters["AgentKey"], "k");
        assert_eq!(whole.outputs.iter().collect::<Vec<_>>(), [("Url", "")]);
        for (read, left_out) in [
            (read(parameter(), output(), None), "its template"),
            (
                read(key().build(), output(), TEMPLATE),
                "the value of parameter `AgentKey`",
            ),
            (
                read(parameter(), url().build(), TEMPLATE),
                "the value of output `Url`",
            ),
            (
                read(Parameter::builder().build(), output(), TEMPLATE),
                "the name of one parameter",
            ),
            (
                read(parameter(), Output::builder().build(), TEMPLATE),
                "the name of one output",
            ),
        ] {
            let expected =
                format!("cannot read stack `dev`: CloudFormation's answer leaves out {left_out}");
            assert_eq!(read.unwrap_err(), expected);
        }
        let cut = read(parameter(), output(), Some("{")).unwrap_err();
        assert!(
            cut.starts_with("cannot read the template of `dev`: it is no JSON"),
            "{cut}"
        );
        let without_status = Stack::builder().stack_name("dev").build();
        let error = status_of(&without_status).unwrap_err().to_string();
        assert!(error.ends_with("leaves out its status"), "{error}");
    }
}
