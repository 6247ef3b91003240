//! What a deployed stack gives out. `pipeline` writes these names and the commands read them, both through
//! [`Output`], so that a misspelt one does not compile and an absent one is an error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use annapurna_contract::{Bucket, Queue};
use serde::Serialize;

use crate::slot::Slot;

/// An output of the stack. `infra outputs` shows the names, and people's scripts read them: they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// The index: `https://…`, on this machine `http://…`.
    SearchEndpoint,
    /// A queue's URL, which every call of SQS names.
    QueueUrl(Queue),
    /// Name of a bucket, with the environment's prefix and suffix.
    BucketName(Bucket),
    /// ARN of the state machine that takes whole lists of papers.
    ScrapeConferenceArn,
    /// Id of the launch template of the instances, which are a stack of their own; in AWS only.
    TrainiumLaunchTemplateId,
    /// Newest version of that template, a number; in AWS only.
    TrainiumLaunchTemplateVersion,
    /// ARN of the role that the agent's process assumes; on this machine only.
    TrainiumAgentRoleArn,
    /// EC2 id of an instance, such as `i-0abc…`; of the stack of the instances.
    TrainiumInstanceId(Slot),
}

impl Output {
    /// Every output of the pipeline's stack. Which of the last three it has depends on where its agent runs.
    pub(crate) const ALL: [Self; 13] = [
        Self::SearchEndpoint,
        Self::QueueUrl(Queue::Research),
        Self::QueueUrl(Queue::CodeGeneration),
        Self::QueueUrl(Queue::CodeEvaluation),
        Self::QueueUrl(Queue::CodeTesting),
        Self::BucketName(Bucket::Papers),
        Self::BucketName(Bucket::Code),
        Self::BucketName(Bucket::Outputs),
        Self::BucketName(Bucket::Datasets),
        Self::ScrapeConferenceArn,
        Self::TrainiumLaunchTemplateId,
        Self::TrainiumLaunchTemplateVersion,
        Self::TrainiumAgentRoleArn,
    ];

    /// Its name in the template and in `infra outputs`.
    pub fn name(self) -> Cow<'static, str> {
        let name = match self {
            Self::SearchEndpoint => "SearchEndpoint",
            Self::QueueUrl(Queue::Research) => "ResearchQueueUrl",
            Self::QueueUrl(Queue::CodeGeneration) => "CodeGenerationQueueUrl",
            Self::QueueUrl(Queue::CodeEvaluation) => "CodeEvaluationQueueUrl",
            Self::QueueUrl(Queue::CodeTesting) => "CodeTestingQueueUrl",
            Self::BucketName(Bucket::Papers) => "PapersBucketName",
            Self::BucketName(Bucket::Code) => "CodeBucketName",
            Self::BucketName(Bucket::Outputs) => "OutputsBucketName",
            Self::BucketName(Bucket::Datasets) => "DatasetsBucketName",
            Self::ScrapeConferenceArn => "ScrapeConferenceArn",
            Self::TrainiumLaunchTemplateId => "TrainiumLaunchTemplateId",
            Self::TrainiumLaunchTemplateVersion => "TrainiumLaunchTemplateVersion",
            Self::TrainiumAgentRoleArn => "TrainiumAgentRoleArn",
            // The first has no number, as when there was one only.
            Self::TrainiumInstanceId(slot) if slot.number() == 1 => "TrainiumInstanceId",
            Self::TrainiumInstanceId(slot) => {
                return format!("TrainiumInstanceId{}", slot.number()).into();
            }
        };
        name.into()
    }

    /// What CloudFormation's console shows beside it.
    pub(crate) fn description(self) -> String {
        match self {
            Self::SearchEndpoint => "Endpoint of the index".to_owned(),
            Self::QueueUrl(queue) => format!("URL of {}", queue.name()),
            Self::BucketName(bucket) => format!("Bucket {}", bucket.name()),
            Self::ScrapeConferenceArn => {
                "State machine that takes whole lists of papers".to_owned()
            }
            Self::TrainiumLaunchTemplateId => "Launch template of the instances".to_owned(),
            Self::TrainiumLaunchTemplateVersion => {
                "Newest version of the launch template".to_owned()
            }
            Self::TrainiumAgentRoleArn => "Role of the local agent".to_owned(),
            Self::TrainiumInstanceId(_) => "An instance".to_owned(),
        }
    }
}

/// The outputs of one deployed stack, by name. It may be of another version of this program, and so have
/// others than [`Output::ALL`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Outputs(BTreeMap<String, String>);

/// The deployed stack lacks an output, or it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deployed stack gives out no `{}`", .0.name())]
pub struct MissingOutput(Output);

impl Outputs {
    /// The value of an output that every stack has which the caller is about.
    ///
    /// # Errors
    ///
    /// [`MissingOutput`] when the stack has none, or an empty one.
    pub fn get(&self, output: Output) -> Result<&str, MissingOutput> {
        self.find(output).ok_or(MissingOutput(output))
    }

    /// The value of an output that not every stack has.
    pub fn find(&self, output: Output) -> Option<&str> {
        let value = self.0.get(output.name().as_ref())?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// These, and those of the environment's other stack.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        let other = other.0.iter();
        self.0
            .extend(other.map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Name and value of each, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Outputs {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(outputs: I) -> Self {
        Self(outputs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_is_not_there_or_empty_is_an_error_with_its_name() {
        let testing = Output::QueueUrl(Queue::CodeTesting);
        for outputs in [
            Outputs::default(),
            Outputs::from_iter([("CodeTestingQueueUrl".to_owned(), String::new())]),
            Outputs::from_iter([("codeTestingQueueUrl".to_owned(), "http://q".to_owned())]),
        ] {
            let error = outputs.get(testing).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the deployed stack gives out no `CodeTestingQueueUrl`"
            );
        }
        let outputs = Outputs::from_iter([(testing.name().into_owned(), "http://q".to_owned())]);
        assert_eq!(outputs.get(testing), Ok("http://q"));
    }
}
