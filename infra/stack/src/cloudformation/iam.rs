//! `AWS::IAM::*`. Source: CloudFormation template reference, IAM policy grammar.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Arn, Expr, Name};

/// `AWS::IAM::Role`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Role {
    /// Who may assume it.
    pub(crate) assume_role_policy_document: PolicyDocument,
    pub(crate) policies: Vec<Policy>,
    /// ARNs of policies that AWS maintains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) managed_policy_arns: Vec<Arn>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Policy {
    /// Unique within the role, 1 to 128 characters.
    pub(crate) policy_name: String,
    pub(crate) policy_document: PolicyDocument,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicyDocument {
    version: PolicyVersion,
    pub(crate) statement: Vec<Statement>,
}

impl PolicyDocument {
    pub(crate) fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: PolicyVersion::V2012,
            statement,
        }
    }
}

/// The version of the policy language; the older one has no variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum PolicyVersion {
    #[serde(rename = "2012-10-17")]
    V2012,
}

/// What is allowed or denied to whom, on what, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Statement {
    /// Its name, letters and digits; unique within a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    /// Whom, in a policy of a resource or a trust policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<Principal>,
    /// Which actions, as `service:Action`.
    pub(crate) action: Vec<&'static str>,
    /// On what; absent in a trust policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource: Vec<Arn>,
    /// On everything but this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_resource: Vec<Arn>,
    /// When; always, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<Condition>,
}

/// Whether a statement gives or takes; one that takes wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Effect {
    /// Gives what no other statement denies.
    Allow,
    /// Takes, whatever other statements give.
    Deny,
}

/// Whom a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Principal {
    Service([ServicePrincipal; 1]),
    /// Roles and accounts; [`Arn::any`] for everyone.
    #[serde(rename = "AWS")]
    Aws(Vec<Arn>),
}

/// A service that acts for the account. Source: IAM user guide, "AWS service principals".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum ServicePrincipal {
    #[serde(rename = "budgets.amazonaws.com")]
    Budgets,
    #[serde(rename = "cloudwatch.amazonaws.com")]
    CloudWatch,
    #[serde(rename = "ec2.amazonaws.com")]
    Ec2,
    #[serde(rename = "lambda.amazonaws.com")]
    Lambda,
    #[serde(rename = "s3.amazonaws.com")]
    S3,
    #[serde(rename = "scheduler.amazonaws.com")]
    Scheduler,
    #[serde(rename = "states.amazonaws.com")]
    StepFunctions,
}

/// When a statement holds: all of its tests must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Condition {
    /// Keys whose text must be this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) string_equals: Option<Test>,
    /// Keys whose ARN must be this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arn_equals: Option<Test>,
    /// Keys whose truth value must be this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bool: Option<Test>,
}

/// A condition key, such as `aws:SourceAccount`, with the value it is compared with.
pub(crate) type Test = BTreeMap<&'static str, Expr>;

impl Condition {
    /// Holds when the key's text is this value.
    pub(crate) fn string_equals(key: &'static str, value: impl Into<Expr>) -> Self {
        Self {
            string_equals: Some(Test::from([(key, value.into())])),
            arn_equals: None,
            bool: None,
        }
    }

    /// Holds when, besides, the key's text is this value.
    #[must_use]
    pub(crate) fn and_string_equals(mut self, key: &'static str, value: impl Into<Expr>) -> Self {
        let tests = self.string_equals.get_or_insert_default();
        tests.insert(key, value.into());
        self
    }

    /// Holds when the key is true, or when it is false.
    pub(crate) fn bool(key: &'static str, value: bool) -> Self {
        Self {
            string_equals: None,
            arn_equals: None,
            bool: Some(Test::from([(key, Expr::Literal(value.to_string()))])),
        }
    }

    /// Holds when the key is this ARN.
    pub(crate) fn arn_equals(key: &'static str, arn: Arn) -> Self {
        Self {
            string_equals: None,
            arn_equals: Some(Test::from([(key, arn.into())])),
            bool: None,
        }
    }

    /// Holds when, besides, the key is this ARN.
    #[must_use]
    pub(crate) fn and_arn_equals(mut self, key: &'static str, arn: Arn) -> Self {
        self.arn_equals = Some(Test::from([(key, arn.into())]));
        self
    }
}

impl Statement {
    /// Allows `action` on `resource`.
    pub(crate) fn allow(
        sid: impl Into<String>,
        action: &[&'static str],
        resource: Vec<Arn>,
    ) -> Self {
        Self {
            sid: Some(sid.into()),
            effect: Effect::Allow,
            principal: None,
            action: action.to_vec(),
            resource,
            not_resource: Vec::new(),
            condition: None,
        }
    }

    /// Refuses `action` on everything but `resource`.
    pub(crate) fn deny_all_but(sid: &str, action: &[&'static str], resource: Vec<Arn>) -> Self {
        Self {
            effect: Effect::Deny,
            not_resource: resource,
            ..Self::allow(sid, action, Vec::new())
        }
    }

    /// Refuses plain HTTP to everyone: every action of a service, such as `sqs:*`, on these resources.
    pub(crate) fn encrypted_transport_only(actions: &'static str, resource: Vec<Arn>) -> Self {
        Self {
            effect: Effect::Deny,
            ..Self::allow("EncryptedTransportOnly", &[actions], resource)
        }
        .about(Principal::Aws(vec![Arn::any()]))
        .when(Condition::bool("aws:SecureTransport", false))
    }

    /// Lets `principal` assume the role.
    pub(crate) fn trust(principal: Principal) -> Self {
        Self {
            sid: None,
            principal: Some(principal),
            ..Self::allow("", &["sts:AssumeRole"], Vec::new())
        }
    }

    /// Whether it allows something on a resource of which a part that is known now is such a text.
    pub(crate) fn allows_on(&self, is_it: fn(&str) -> bool) -> bool {
        let mut resources = self.resource.iter().map(AsRef::<Expr>::as_ref);
        self.effect == Effect::Allow && resources.any(|it| it.has_literal(is_it))
    }

    /// The same statement about `principal`, as a policy of a resource has it.
    #[must_use]
    pub(crate) fn about(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    /// The same statement under a condition.
    #[must_use]
    pub(crate) fn when(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }
}

/// `AWS::IAM::InstanceProfile`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceProfile {
    /// Exactly one role, by name.
    pub(crate) roles: [Name; 1],
}
