//! `AWS::CloudWatch::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::{Arn, Expr};

/// `AWS::CloudWatch::Alarm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Alarm {
    pub(crate) alarm_name: String,
    pub(crate) alarm_description: String,
    #[serde(flatten)]
    pub(crate) metric: Metric,
    /// How many periods, one after the other, are compared.
    pub(crate) evaluation_periods: u32,
    /// How a value is compared with the threshold.
    pub(crate) comparison_operator: ComparisonOperator,
    /// What the value is compared with.
    pub(crate) threshold: u32,
    /// What a period without a value means.
    pub(crate) treat_missing_data: MissingData,
    /// Topics that are told when it goes off, five at most.
    pub(crate) alarm_actions: Vec<Arn>,
    /// Topics that are told when it is over, five at most.
    #[serde(rename = "OKActions")]
    pub(crate) ok_actions: Vec<Arn>,
}

/// A number that a service counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Metric {
    /// Such as `AWS/States`.
    pub(crate) namespace: &'static str,
    pub(crate) metric_name: &'static str,
    /// By which the metric is told from others of its name.
    pub(crate) dimensions: Vec<Dimension>,
    pub(crate) statistic: Statistic,
    /// Seconds that a value of the statistic is about.
    pub(crate) period: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Statistic {
    Maximum,
    Sum,
}

/// `AWS::CloudWatch::Dashboard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Dashboard {
    pub(crate) dashboard_name: String,
    /// JSON, as the CloudWatch API reference, "Dashboard body structure and syntax", has it.
    pub(crate) dashboard_body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum ComparisonOperator {
    GreaterThanThreshold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MissingData {
    NotBreaching,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Dimension {
    pub(crate) name: &'static str,
    pub(crate) value: Expr,
}
