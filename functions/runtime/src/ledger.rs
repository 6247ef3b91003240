//! What was spent on models, and when it is enough.
//!
//! In: what each question took. Out: counters in S3, one of each day and stage and one of each paper and stage, each
//! written on the condition that it is as it was read; and before each question, whether the budgets allow it. What was
//! spent and could not be written down is in the log. Copies of a function that ask at once may go over a budget by a
//! question each.

use std::time::Duration;

use annapurna_cloud::{Condition, Object, ObjectError, ObjectStore, S3, Written};
use annapurna_contract::spent::{Budget, Spender};
use annapurna_contract::{ConfigError, PaperId, Spent, keys};
use aws_config::SdkConfig;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

/// Largest counter that is read, bytes.
const COUNTER_LIMIT: u64 = 64 << 10;
/// How often a counter is written over that others change at the same time.
const ATTEMPTS: u32 = 12;

/// Nothing more is spent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// The day's budget is spent.
    #[error(
        "models are not asked before {until}: {} of the day's {} USD are spent",
        usd(*spent), usd(*budget)
    )]
    Day {
        /// Millionths of a dollar that all stages spent.
        spent: u64,
        /// Millionths of a dollar.
        budget: u64,
        /// When the next day begins.
        until: DateTime<Utc>,
    },
    /// The paper's budget is spent.
    #[error("{} of the paper's {} USD are spent", usd(*spent), usd(*budget))]
    Paper {
        /// Millionths of a dollar that all stages spent.
        spent: u64,
        /// Millionths of a dollar.
        budget: u64,
    },
}

impl OverBudget {
    /// How long nothing changes; `None`: until a person changes it.
    pub fn wait(&self, now: DateTime<Utc>) -> Option<Duration> {
        match self {
            Self::Day { until, .. } => Some((*until - now).to_std().unwrap_or_default()),
            Self::Paper { .. } => None,
        }
    }
}

fn usd(micro_dollars: u64) -> String {
    format!(
        "{}.{:02}",
        micro_dollars / 1_000_000,
        micro_dollars / 10_000 % 100
    )
}

/// The counters of one stage.
#[derive(Debug, Clone)]
pub struct Ledger {
    objects: S3,
    bucket: String,
    spender: Spender,
    budget: Budget,
}

impl Ledger {
    /// The counters in the bucket of the programs, with the budgets of a paper and of a day as a function's variables
    /// say them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a budget that is no amount.
    pub fn new(
        sdk: &SdkConfig,
        code_bucket: &str,
        spender: Spender,
        budgets: (&str, &str),
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            objects: S3::new(sdk),
            bucket: code_bucket.to_owned(),
            spender,
            budget: Budget::from_variables(budgets.0, budgets.1)?,
        })
    }

    /// The stage whose counters they are.
    pub(crate) const fn spender(&self) -> Spender {
        self.spender
    }

    /// What stops a question about a paper, if anything does.
    pub(crate) async fn stops(
        &self,
        paper_id: Option<&PaperId>,
        now: DateTime<Utc>,
    ) -> Result<Option<OverBudget>, ObjectError> {
        let day = day_of(now);
        let spent = self
            .all(|spender| keys::spent_on_day(&day, spender))
            .await?;
        if spent >= self.budget.day_micro_dollars {
            let until = (now.date_naive() + TimeDelta::days(1)).and_time(NaiveTime::MIN);
            return Ok(Some(OverBudget::Day {
                spent,
                budget: self.budget.day_micro_dollars,
                until: until.and_utc(),
            }));
        }
        let Some(paper_id) = paper_id else {
            return Ok(None);
        };
        let spent = self
            .all(|spender| keys::spent_on_paper(paper_id, spender))
            .await?;
        let budget = self.budget.paper_micro_dollars;
        Ok((spent >= budget).then_some(OverBudget::Paper { spent, budget }))
    }

    /// Millionths of a dollar that all stages spent.
    async fn all(&self, key: impl Fn(Spender) -> String) -> Result<u64, ObjectError> {
        let mut sum = 0_u64;
        for spender in Spender::ALL {
            let (spent, _) = self.counter(&key(spender)).await?;
            sum = sum.saturating_add(spent.micro_dollars);
        }
        Ok(sum)
    }

    /// Writes down what was spent. What cannot be written is told to the log: the answer is there all the same.
    pub(crate) async fn add(&self, paper_id: Option<&PaperId>, spent: Spent, now: DateTime<Utc>) {
        let on_day = keys::spent_on_day(&day_of(now), self.spender);
        let on_paper = paper_id.map(|paper_id| keys::spent_on_paper(paper_id, self.spender));
        for key in [Some(on_day), on_paper].into_iter().flatten() {
            if let Err(reason) = self.add_to(&key, spent).await {
                tracing::error!(key, %reason, ?spent, "what was spent is not written down");
            }
        }
    }

    async fn add_to(&self, key: &str, spent: Spent) -> Result<(), ObjectError> {
        let mut last = None;
        for attempt in 1..=ATTEMPTS {
            let (there, etag) = self.counter(key).await?;
            let condition = etag
                .as_deref()
                .map_or(Condition::Absent, Condition::Unchanged);
            let body = serde_json::json!(there + spent).to_string();
            let object = Object::new(body, "application/json");
            match self
                .objects
                .write(&self.bucket, key, object, condition)
                .await
            {
                Ok(Written::Done) => return Ok(()),
                Ok(Written::Refused) => {}
                // Two writes at one moment: which of them held is not known, and S3 asks to try again.
                Err(error) => last = Some(error),
            }
            // Those who met here do not meet again: each waits for as long as its own clock says.
            let drawn = u64::from(Utc::now().timestamp_subsec_nanos() % 100);
            tokio::time::sleep(Duration::from_millis(drawn * u64::from(attempt))).await;
        }
        Err(last.unwrap_or_else(|| ObjectError::Failed {
            operation: "PutObject",
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            reason: "others changed it each time".to_owned(),
        }))
    }

    /// A counter as it is, with its tag where it is there.
    async fn counter(&self, key: &str) -> Result<(Spent, Option<String>), ObjectError> {
        let found = self.objects.read(&self.bucket, key, COUNTER_LIMIT).await?;
        let Some(found) = found else {
            return Ok((Spent::default(), None));
        };
        let spent = serde_json::from_slice(&found.body).map_err(|error| ObjectError::Failed {
            operation: "GetObject",
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            reason: format!("it is no counter: {error}"),
        })?;
        Ok((spent, Some(found.etag)))
    }
}

fn day_of(now: DateTime<Utc>) -> String {
    now.format("%Y-%m-%d").to_string()
}
