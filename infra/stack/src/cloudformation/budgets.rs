//! `AWS::Budgets::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Arn;

/// `AWS::Budgets::Budget`. Changing who is told replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Budget {
    pub(crate) budget: BudgetData,
    pub(crate) notifications_with_subscribers: Vec<NotificationWithSubscribers>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BudgetData {
    pub(crate) budget_name: String,
    pub(crate) budget_type: BudgetType,
    pub(crate) time_unit: TimeUnit,
    pub(crate) budget_limit: Spend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum BudgetType {
    Cost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum TimeUnit {
    Monthly,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Spend {
    pub(crate) amount: u32,
    pub(crate) unit: Currency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Currency {
    Usd,
}

/// What is told to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NotificationWithSubscribers {
    pub(crate) notification: Notification,
    pub(crate) subscribers: Vec<BudgetSubscriber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Notification {
    pub(crate) notification_type: NotificationType,
    pub(crate) comparison_operator: Comparison,
    /// Per cent of the limit.
    pub(crate) threshold: u32,
}

/// What is compared with the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum NotificationType {
    /// What was spent since the month began.
    Actual,
    /// What will have been spent when it ends, as AWS reckons after some weeks of an account.
    Forecasted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Comparison {
    GreaterThan,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BudgetSubscriber {
    pub(crate) subscription_type: SubscriptionType,
    /// The topic's ARN.
    pub(crate) address: Arn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum SubscriptionType {
    Sns,
}
