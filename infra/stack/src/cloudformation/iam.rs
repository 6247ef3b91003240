//! `AWS::IAM::*`. Source: CloudFormation template reference, IAM policy grammar.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Expr;

/// `AWS::IAM::Role`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Role {
    /// Who may assume it.
    pub assume_role_policy_document: PolicyDocument,
    /// What it may do.
    pub policies: Vec<Policy>,
    /// Policies that AWS maintains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_policy_arns: Vec<Expr>,
}

/// An inline policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Its name within the role.
    pub policy_name: String,
    /// Its statements.
    pub policy_document: PolicyDocument,
}

/// A policy document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    /// The statements.
    pub statement: Vec<Statement>,
}

impl PolicyDocument {
    /// A document of these statements.
    pub fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: "2012-10-17",
            statement,
        }
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its name, letters and digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: &'static str,
    /// Whom, in a policy of a resource or a trust policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<BTreeMap<&'static str, Vec<Expr>>>,
    /// Which actions.
    pub action: Vec<&'static str>,
    /// On what; absent in a trust policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<Expr>,
    /// On everything but this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_resource: Vec<Expr>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
}

impl Statement {
    /// Allows `action` on `resource`.
    pub fn allow(sid: impl Into<String>, action: &[&'static str], resource: Vec<Expr>) -> Self {
        Self {
            sid: Some(sid.into()),
            effect: "Allow",
            principal: None,
            action: action.to_vec(),
            resource,
            not_resource: Vec::new(),
            condition: None,
        }
    }

    /// Refuses `action` on everything but `resource`.
    pub fn deny_all_but(sid: &str, action: &[&'static str], resource: Vec<Expr>) -> Self {
        Self {
            effect: "Deny",
            not_resource: resource,
            ..Self::allow(sid, action, Vec::new())
        }
    }

    /// Lets `principal`, of a kind such as `Service`, assume the role.
    pub fn trust(kind: &'static str, principal: Expr) -> Self {
        Self {
            sid: None,
            effect: "Allow",
            principal: Some(BTreeMap::from([(kind, vec![principal])])),
            action: vec!["sts:AssumeRole"],
            resource: Vec::new(),
            not_resource: Vec::new(),
            condition: None,
        }
    }

    /// The same statement under a condition.
    #[must_use]
    pub fn when(mut self, condition: Value) -> Self {
        self.condition = Some(condition);
        self
    }
}

/// `AWS::IAM::InstanceProfile`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceProfile {
    /// One role.
    pub roles: Vec<Expr>,
}
