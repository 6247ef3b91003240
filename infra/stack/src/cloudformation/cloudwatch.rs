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
    pub(crate) measure: Measure,
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

/// What an alarm looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Measure {
    One(Metric),
    /// What an expression makes of several metrics; it stands last and alone returns data.
    #[serde(rename_all = "PascalCase")]
    Computed {
        metrics: Vec<MetricDataQuery>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricDataQuery {
    /// How the expression names it: a small letter first.
    pub(crate) id: &'static str,
    #[serde(flatten)]
    pub(crate) value: QueryValue,
    /// Of one query of an alarm.
    pub(crate) return_data: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum QueryValue {
    /// CloudWatch user guide, "Using math expressions".
    Expression(&'static str),
    MetricStat(MetricStat),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetricStat {
    pub(crate) metric: NamedMetric,
    /// Seconds that one value is of; a multiple of 60.
    pub(crate) period: u32,
    pub(crate) stat: Statistic,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NamedMetric {
    pub(crate) namespace: &'static str,
    pub(crate) metric_name: &'static str,
    pub(crate) dimensions: Vec<Dimension>,
}

impl From<Metric> for MetricStat {
    fn from(metric: Metric) -> Self {
        Self {
            period: metric.period,
            stat: metric.statistic,
            metric: NamedMetric {
                namespace: metric.namespace,
                metric_name: metric.metric_name,
                dimensions: metric.dimensions,
            },
        }
    }
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
    /// How many values there were.
    SampleCount,
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
