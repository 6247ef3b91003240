//! `AWS::SSM::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::SSM::Parameter` of plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Parameter {
    pub(crate) name: String,
    #[serde(rename = "Type")]
    pub(crate) parameter_type: ParameterType,
    pub(crate) description: String,
    pub(crate) value: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum ParameterType {
    String,
}
