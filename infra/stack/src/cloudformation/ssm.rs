//! `AWS::SSM::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::SSM::Parameter` of plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameter {
    /// Path.
    pub name: String,
    /// `String`.
    #[serde(rename = "Type")]
    pub type_name: &'static str,
    /// For people.
    pub description: String,
    /// The value.
    pub value: Expr,
}
