//! A template: parameters, typed resources and outputs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::exceptions::{Exception, Exceptions};
use super::{
    Expr, LogicalId, budgets, cloudwatch, ec2, iam, lambda, logs, opensearch, s3, scheduler, sns,
    sqs, ssm, step_functions,
};

macro_rules! resource_types {
    ($($variant:ident($properties:ty) = $name:literal, holds $holds:ident;)*) => {
        /// The properties of one resource, by resource type.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub(crate) enum Properties {
            $($variant($properties),)*
        }

        impl Properties {
            /// The resource type's name, such as `AWS::SQS::Queue`.
            pub(crate) const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The names of all resource types.
            #[cfg(test)]
            pub(crate) const TYPE_NAMES: &[&str] = &[$($name,)*];
        }

        impl Holds {
            /// What a resource of this type holds.
            pub(crate) fn of(type_name: &str) -> Self {
                match type_name { $($name => Self::$holds,)* _ => Self::Unknown }
            }
        }

        $(impl From<$properties> for Properties {
            fn from(properties: $properties) -> Self { Self::$variant(properties) }
        })*
    };
}

resource_types! {
    Queue(sqs::Queue) = "AWS::SQS::Queue", holds Messages;
    QueuePolicy(sqs::QueuePolicy) = "AWS::SQS::QueuePolicy", holds Nothing;
    Bucket(s3::Bucket) = "AWS::S3::Bucket", holds Objects;
    BucketPolicy(s3::BucketPolicy) = "AWS::S3::BucketPolicy", holds Nothing;
    Function(lambda::Function) = "AWS::Lambda::Function", holds Nothing;
    EventSourceMapping(lambda::EventSourceMapping) = "AWS::Lambda::EventSourceMapping", holds Nothing;
    EventInvokeConfig(lambda::EventInvokeConfig) = "AWS::Lambda::EventInvokeConfig", holds Nothing;
    Permission(lambda::Permission) = "AWS::Lambda::Permission", holds Nothing;
    Role(iam::Role) = "AWS::IAM::Role", holds Nothing;
    InstanceProfile(iam::InstanceProfile) = "AWS::IAM::InstanceProfile", holds Nothing;
    LogGroup(logs::LogGroup) = "AWS::Logs::LogGroup", holds LogEvents;
    LogsPolicy(logs::ResourcePolicy) = "AWS::Logs::ResourcePolicy", holds Nothing;
    Alarm(cloudwatch::Alarm) = "AWS::CloudWatch::Alarm", holds Nothing;
    Dashboard(cloudwatch::Dashboard) = "AWS::CloudWatch::Dashboard", holds Nothing;
    Budget(budgets::Budget) = "AWS::Budgets::Budget", holds Nothing;
    Topic(sns::Topic) = "AWS::SNS::Topic", holds Nothing;
    TopicPolicy(sns::TopicPolicy) = "AWS::SNS::TopicPolicy", holds Nothing;
    Subscription(sns::Subscription) = "AWS::SNS::Subscription", holds Nothing;
    Schedule(scheduler::Schedule) = "AWS::Scheduler::Schedule", holds Nothing;
    StateMachine(step_functions::StateMachine) = "AWS::StepFunctions::StateMachine", holds Nothing;
    Domain(opensearch::Domain) = "AWS::OpenSearchService::Domain", holds Documents;
    Instance(ec2::Instance) = "AWS::EC2::Instance", holds Program;
    LaunchTemplate(ec2::LaunchTemplate) = "AWS::EC2::LaunchTemplate", holds Nothing;
    SecurityGroup(ec2::SecurityGroup) = "AWS::EC2::SecurityGroup", holds Nothing;
    SsmParameter(ssm::Parameter) = "AWS::SSM::Parameter", holds Nothing;
}

/// What is lost with a resource beside its settings, which CloudFormation's schemas do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A new one is as good.
    Nothing,
    /// Messages that nobody has received yet.
    Messages,
    /// Objects, without which CloudFormation does not delete it.
    Objects,
    /// The documents of an index.
    Documents,
    /// What the functions wrote.
    LogEvents,
    /// A program that runs.
    Program,
    /// It is of a type that this program does not make, such as one of an older version.
    Unknown,
}

/// What happens to the physical resource when its definition goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeletionPolicy {
    Delete,
    /// It stays, outside any stack; one that a failed deployment has just made goes again.
    Retain,
}

impl DeletionPolicy {
    /// As `DeletionPolicy` says it. Source: CloudFormation guide, "DeletionPolicy attribute".
    const fn on_deletion(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "RetainExceptOnCreate",
        }
    }

    /// As `UpdateReplacePolicy` says it, which knows no creation.
    const fn on_replacement(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Resource {
    #[serde(rename = "Type")]
    type_name: &'static str,
    /// The rules of checkers that it breaks on purpose.
    #[serde(skip_serializing_if = "Exceptions::is_empty")]
    metadata: Exceptions,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<LogicalId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_replace_policy: Option<&'static str>,
    pub(crate) properties: Properties,
}

impl Resource {
    /// What holds data says in words that it goes with its definition, unless [`Self::on_removal`] says otherwise.
    pub(crate) fn new(properties: impl Into<Properties>) -> Self {
        let properties = properties.into();
        let resource = Self {
            type_name: properties.type_name(),
            metadata: Exceptions::default(),
            depends_on: Vec::new(),
            deletion_policy: None,
            update_replace_policy: None,
            properties,
        };
        match Holds::of(resource.type_name) {
            Holds::Nothing | Holds::Program | Holds::Unknown => resource,
            Holds::Messages | Holds::Objects | Holds::Documents | Holds::LogEvents => {
                resource.on_removal(DeletionPolicy::Delete)
            }
        }
    }

    /// It breaks these rules of checkers, for the reasons that stand with them.
    #[must_use]
    pub(crate) fn except(mut self, exceptions: &[Exception]) -> Self {
        self.metadata.add(exceptions);
        self
    }

    /// Created after, and deleted before, `other`.
    #[must_use]
    pub(crate) fn after(mut self, other: &LogicalId) -> Self {
        self.depends_on.push(other.clone());
        self
    }

    /// The same policy for deletion and for replacement, since both lose the physical resource.
    #[must_use]
    pub(crate) fn on_removal(mut self, policy: DeletionPolicy) -> Self {
        self.deletion_policy = Some(policy.on_deletion());
        self.update_replace_policy = Some(policy.on_replacement());
        self
    }
}

/// A value given to the template at deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Parameter {
    #[serde(rename = "Type")]
    pub(crate) parameter_type: ParameterType,
    pub(crate) description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum ParameterType {
    String,
}

/// A value the stack gives out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    pub(crate) description: String,
    pub(crate) value: Expr,
}

/// A whole template. Maps are ordered by name, so the same content renders to the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    format_version: FormatVersion,
    description: String,
    parameters: BTreeMap<LogicalId, Parameter>,
    resources: BTreeMap<LogicalId, Resource>,
    outputs: BTreeMap<LogicalId, Output>,
    #[serde(skip)]
    duplicates: Vec<LogicalId>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
enum FormatVersion {
    #[default]
    #[serde(rename = "2010-09-09")]
    V2010,
}

impl Template {
    /// Limit of a template in the body of a request, bytes; a larger one goes through S3.
    /// Source: CloudFormation quotas, "Template body size in a request".
    pub const MAX_INLINE_BYTES: usize = 51_200;

    pub(crate) fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..Self::default()
        }
    }

    /// Adds a resource and returns its id. A second resource of the same id is remembered as a mistake,
    /// which [`Self::duplicates`] gives to `synth`.
    pub(crate) fn add(&mut self, id: LogicalId, resource: Resource) -> LogicalId {
        if self.resources.insert(id.clone(), resource).is_some() {
            self.duplicates.push(id.clone());
        }
        id
    }

    /// Adds a text parameter and returns a reference to it.
    pub(crate) fn parameter(&mut self, id: LogicalId, description: impl Into<String>) -> Expr {
        let reference = Expr::reference(&id);
        let description = description.into();
        self.parameters.insert(
            id,
            Parameter {
                parameter_type: ParameterType::String,
                description,
            },
        );
        reference
    }

    pub(crate) fn output(&mut self, id: &str, description: impl Into<String>, value: Expr) {
        let description = description.into();
        self.outputs
            .insert(LogicalId::new(id), Output { description, value });
    }

    /// Every resource with its id, by id.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&LogicalId, &Resource)> {
        self.resources.iter()
    }

    pub(crate) fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.get(&LogicalId::new(id))
    }

    pub(crate) fn parameters(&self) -> impl Iterator<Item = &LogicalId> {
        self.parameters.keys()
    }

    /// Ids that two resources claim.
    pub(crate) fn duplicates(&self) -> &[LogicalId] {
        &self.duplicates
    }

    /// The template as CloudFormation reads it.
    ///
    /// # Errors
    ///
    /// When a property cannot be written as JSON, such as a number that is not finite.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}
