//! `AWS::CloudWatch::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::CloudWatch::Alarm` of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Alarm {
    /// Its name.
    pub(crate) alarm_name: String,
    /// For people.
    pub(crate) alarm_description: String,
    /// Such as `AWS/States`.
    pub(crate) namespace: &'static str,
    /// The metric.
    pub(crate) metric_name: &'static str,
    /// Whose metric it is.
    pub(crate) dimensions: Vec<Dimension>,
    /// Such as `Sum`.
    pub(crate) statistic: &'static str,
    /// Seconds that a value of the statistic is about.
    pub(crate) period: u32,
    /// Periods that are looked at.
    pub(crate) evaluation_periods: u32,
    /// How a value is compared with the threshold.
    pub(crate) comparison_operator: &'static str,
    /// What the value is compared with.
    pub(crate) threshold: u32,
    /// What a period without a value means.
    pub(crate) treat_missing_data: &'static str,
}

/// `Dimension`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Dimension {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: Expr,
}
