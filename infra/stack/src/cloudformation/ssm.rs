//! `AWS::SSM::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::SSM::Parameter` of plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Parameter {
    /// Path.
    pub(crate) name: String,
    /// `String`.
    #[serde(rename = "Type")]
    pub(crate) type_name: &'static str,
    /// For people.
    pub(crate) description: String,
    /// The value.
    pub(crate) value: Expr,
}
