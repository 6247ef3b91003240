//! `AWS::CloudWatch::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::CloudWatch::Alarm` of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alarm {
    /// Its name.
    pub alarm_name: String,
    /// For people.
    pub alarm_description: String,
    /// Such as `AWS/States`.
    pub namespace: &'static str,
    /// The metric.
    pub metric_name: &'static str,
    /// Whose metric it is.
    pub dimensions: Vec<Dimension>,
    /// Such as `Sum`.
    pub statistic: &'static str,
    /// Seconds that a value of the statistic is about.
    pub period: u32,
    /// Periods that are looked at.
    pub evaluation_periods: u32,
    /// How a value is compared with the threshold.
    pub comparison_operator: &'static str,
    /// What the value is compared with.
    pub threshold: u32,
    /// What a period without a value means.
    pub treat_missing_data: &'static str,
}

/// `Dimension`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Expr,
}
