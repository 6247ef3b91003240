//! Ends the attempts that nobody else ends.
//!
//! A paper is marked when its program is handed over, and its result takes the mark away. Two things leave a mark
//! behind: a result that was not collected (S3 has a failed collection repeated twice, and then no more; or it came
//! before the attempt was marked, and the agent skips the program), and a batch that is gone (a dead letter, or a
//! queue that was emptied). The first is collected here. In the second case the mark is taken away, for the paper
//! is not being tested: what became of the batch is for a person to see, in the dead-letter queue.
//!
//! A batch is gone where no batch waits or is run and the attempt is older than [`GONE_AFTER`]. While others are at
//! work nobody can say of one batch that it is not among them, so the look takes [`SWEPT_AT_ONCE`] papers, the oldest
//! attempts first: more than the marks that are left behind meanwhile.

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::{PaperId, PaperRecord, TestResult, keys, text::chain};
use annapurna_runtime::{Search, SearchError};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::{error, warn};

use crate::agent::CODE_LIMIT;
use crate::collect::{CollectError, Collector};
use crate::settings::Settings;

/// Papers of one look. Each costs a `GetObject` a minute, 0.0004 US dollars a thousand. Source: S3 pricing page.
const SWEPT_AT_ONCE: usize = 500;
/// Results that are looked for side by side.
const LOOKED_FOR_AT_ONCE: usize = 16;
/// How old an attempt is at least whose batch counts as gone: older than a call of the agent's HTTP API may last, which
/// no queue shows, and than the minute after which SQS's counts are right.
/// Source: SQS developer guide, "Available CloudWatch metrics for Amazon SQS".
const GONE_AFTER: TimeDelta = TimeDelta::minutes(20);

/// What a look did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Results brought into the index.
    pub(crate) collected: usize,
    /// Marks taken away from papers that are not being tested.
    pub(crate) cleared: usize,
}

/// What becomes of one marked paper.
enum End {
    Collected,
    Cleared,
    /// It runs still, or waits for it.
    UnderWay,
}

/// Looks at the papers that the index says are being tested.
#[derive(Debug)]
pub(crate) struct Sweep<'a> {
    pub(crate) search: &'a Search,
    pub(crate) objects: &'a S3,
    pub(crate) collector: &'a Collector,
    pub(crate) settings: &'a Settings,
    /// No batch waited or was run when this dispatch began, and it handed none over.
    pub(crate) none_at_work: bool,
}

impl Sweep<'_> {
    /// Ends what can be ended; a paper that fails holds up no other, and the next look tries again.
    pub(crate) async fn run(&self) -> Result<Swept, SearchError> {
        let query = json!({
            "size": SWEPT_AT_ONCE,
            "sort": [{"last_test_attempt": {"order": "asc", "unmapped_type": "date"}}],
            "query": {"bool": {"filter": [
                {"term": {"test_in_progress": true}},
                {"range": {"last_test_attempt": {"lt": "now-2m"}}},
            ]}},
        });
        let marked = self.search.search(&query).await?;
        let ends = marked.into_iter().map(|(paper, record)| async move {
            let end = self.end(&paper, &record).await;
            if let Err(reason) = &end {
                error!(paper_id = %paper, reason = chain(reason), "its attempt is not ended");
            }
            end.unwrap_or(End::UnderWay)
        });
        let ends = stream::iter(ends).buffer_unordered(LOOKED_FOR_AT_ONCE);
        let count = |mut swept: Swept, end| async move {
            match end {
                End::Collected => swept.collected += 1,
                End::Cleared => swept.cleared += 1,
                End::UnderWay => {}
            }
            swept
        };
        Ok(ends.fold(Swept::default(), count).await)
    }

    async fn end(&self, paper: &PaperId, record: &PaperRecord) -> Result<End, CollectError> {
        if let Some(result) = self.collector.result(paper).await?
            && self.ends_attempt(paper, &result, record).await?
        {
            self.collector.write(paper, &result).await?;
            return Ok(End::Collected);
        }
        if !self.none_at_work || !is_older(record, Utc::now() - GONE_AFTER) {
            return Ok(End::UnderWay);
        }
        let attempt = &record.tested.last_test_attempt;
        // Another attempt may have begun since the index was asked.
        let clear = |now: &mut PaperRecord| {
            let is_same = now.tested.last_test_attempt == *attempt;
            is_same && now.tested.test_in_progress.replace(false) == Some(true)
        };
        self.search.change(paper, clear).await?;
        let attempt = attempt.as_deref();
        warn!(paper_id = %paper, attempt, "its batch is gone: it is not being tested");
        Ok(End::Cleared)
    }

    /// Whether a paper's attempt is over: its result was made since it began, or spares its program the run.
    async fn ends_attempt(
        &self,
        paper: &PaperId,
        result: &TestResult,
        record: &PaperRecord,
    ) -> Result<bool, CollectError> {
        if was_made_since(result, record) {
            return Ok(true);
        }
        let (bucket, key) = (&self.settings.code_bucket, keys::code(paper));
        let program = self.objects.get(bucket, &key, CODE_LIMIT).await?;
        let timeout = self.settings.timeout();
        let answers =
            |program: Vec<u8>| result.answers(&hex::encode(Sha256::digest(program)), timeout);
        Ok(program.is_some_and(answers))
    }
}

fn began(record: &PaperRecord) -> Option<DateTime<Utc>> {
    let time = record.tested.last_test_attempt.as_deref()?;
    Some(DateTime::parse_from_rfc3339(time).ok()?.to_utc())
}

/// Whether an attempt began before this moment. One without a readable time is not known to.
fn is_older(record: &PaperRecord, than: DateTime<Utc>) -> bool {
    began(record).is_some_and(|began| began < than)
}

/// Whether a result was made since the attempt began that the index says is under way.
fn was_made_since(result: &TestResult, record: &PaperRecord) -> bool {
    let finished = DateTime::parse_from_rfc3339(&result.finished_at).ok();
    matches!((began(record), finished), (Some(began), Some(finished)) if finished >= began)
}
