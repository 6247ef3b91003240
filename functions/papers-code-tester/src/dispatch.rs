//! Makes batches of the programs that wait and hands them to the agent.
//!
//! A batch is due when it is full, when its oldest program has waited long enough, or when a person says
//! so. Its id is derived from the programs in it, so a batch that is handed over again, because this
//! function ended between sending and deleting, is the same batch: SQS drops the copy within five
//! minutes. A program whose result is there already is not sent at all; its result is only brought into the
//! index. One that gets its result later, of another batch that was under way, is sent, and the agent skips it.
//! Its result may have been collected before the attempt was marked, and S3 does not tell of it again:
//! [`Sweep`] then ends the attempt, by the same rule that the agent skips by.

use std::{collections::HashSet, time::Duration};

use annapurna_cloud::{Message, MessageQueues, S3, Sqs};
use annapurna_contract::{
    CodeTestingMessage, PaperId, PaperRecord, ProgramToTest, TestResult, text::chain,
};
use annapurna_runtime::Search;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{
    TesterError,
    agent::AgentApi,
    collect::{CollectError, Collector},
    instances::{InstanceStatus, TrainiumInstances},
    settings::{Route, Settings},
    sweep::Sweep,
    token::AgentToken,
    waiting::{Waiting, WaitingQueue},
};

/// Batches of one run at most; the next minute takes the rest.
const MOST_BATCHES: usize = 10;
/// An attempt that began this lately and still runs is the same attempt, marked again after a crash.
const SAME_ATTEMPT: TimeDelta = TimeDelta::minutes(10);

/// What a dispatch did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Dispatched {
    /// Programs handed to the agent.
    pub(crate) dispatched: usize,
    /// The batches they went in.
    pub(crate) batches: Vec<Batch>,
    /// Programs seen and left waiting for their batch to fill.
    pub(crate) waiting: usize,
    /// Programs that had a result already.
    pub(crate) already_tested: usize,
    /// Results brought into the index because the notification of them had not done so.
    pub(crate) collected_late: usize,
    /// Papers that the index said were being tested, and whose batch is gone.
    pub(crate) cleared: usize,
    /// Messages that could not be read, now in the dead-letter queue.
    pub(crate) malformed: usize,
    /// The instances' states; `none` where the agent is a process.
    pub(crate) instance: InstanceStatus,
}

/// A batch that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Batch {
    pub(crate) batch_id: String,
    /// The papers whose programs it has.
    pub(crate) paper_ids: Vec<PaperId>,
}

/// Makes batches of what waits and hands them to the agent.
#[derive(Debug, Clone)]
pub(crate) struct Dispatcher {
    settings: Settings,
    search: Search,
    objects: S3,
    queues: Sqs,
    waiting: WaitingQueue,
    collector: Collector,
    instances: Option<TrainiumInstances>,
    token: Option<AgentToken>,
}

impl Dispatcher {
    pub(crate) fn new(
        settings: Settings,
        search: Search,
        objects: S3,
        queues: Sqs,
        collector: Collector,
        instances: Option<TrainiumInstances>,
        token: Option<AgentToken>,
    ) -> Self {
        let url = settings.evaluation_queue_url.clone();
        Self {
            waiting: WaitingQueue::new(queues.clone(), url),
            settings,
            search,
            objects,
            queues,
            collector,
            instances,
            token,
        }
    }

    /// Hands over every batch that is due.
    pub(crate) async fn dispatch(
        &self,
        force: bool,
        time: Duration,
    ) -> Result<Dispatched, TesterError> {
        let end = Instant::now() + time;
        let mut report = Dispatched::default();
        let before = self.batches_at_work().await;
        let outcome = self.hand_over_due(force, end, &mut report).await;
        let batches = before + report.batches.len() as u64;
        let outcome = outcome.and(self.sweep(batches == 0, &mut report).await);
        // The instances are looked after even when a batch failed, since they cost money.
        report.instance = match &self.instances {
            None => InstanceStatus::None,
            Some(instances) => instances.tend(batches, self.idle_for().await).await,
        };
        outcome.map(|()| report)
    }

    /// How long ago the last result was made; `None` where the index has none or does not say.
    async fn idle_for(&self) -> Option<Duration> {
        let newest = json!({
            "size": 1,
            "sort": [{"tested_at": {"order": "desc", "unmapped_type": "date"}}],
            "query": {"exists": {"field": "tested_at"}},
        });
        let found = self.search.search(&newest).await;
        let found = found.inspect_err(|reason| {
            warn!(
                reason = chain(reason),
                "when the last result was made cannot be seen"
            );
        });
        let (_, record) = found.ok()?.into_iter().next()?;
        let tested_at = DateTime::parse_from_rfc3339(record.tested.tested_at.as_deref()?).ok()?;
        (Utc::now() - tested_at.to_utc()).to_std().ok()
    }

    async fn sweep(&self, none_at_work: bool, report: &mut Dispatched) -> Result<(), TesterError> {
        let sweep = Sweep {
            search: &self.search,
            objects: &self.objects,
            collector: &self.collector,
            settings: &self.settings,
            none_at_work,
        };
        let swept = sweep.run().await?;
        report.collected_late = swept.collected;
        report.cleared = swept.cleared;
        Ok(())
    }

    async fn hand_over_due(
        &self,
        force: bool,
        end: Instant,
        report: &mut Dispatched,
    ) -> Result<(), TesterError> {
        for _ in 0..MOST_BATCHES {
            let size = self.batch_size(end).await?;
            let (batch, later) = self.gather(size, report).await?;
            let full = batch.len() >= size;
            if batch.is_empty() || !(full || force || self.has_waited(&batch)) {
                report.waiting = batch.len() + later.len();
                self.waiting.give_back(&batch).await;
                self.waiting.give_back(&later).await;
                break;
            }
            let outcome = self.hand_over(&batch, end, report).await;
            if outcome.is_err() {
                self.waiting.give_back(&batch).await;
            }
            self.waiting.give_back(&later).await;
            outcome?;
            // A call of the agent takes this run's time; the next minute has its own.
            if !full || self.settings.route != Route::Queue {
                break;
            }
        }
        Ok(())
    }

    async fn batch_size(&self, end: Instant) -> Result<usize, TesterError> {
        let most = self.settings.batch_size;
        match &self.settings.route {
            Route::Queue => Ok(most),
            Route::Http { url, .. } => {
                let left = end.saturating_duration_since(Instant::now());
                let agent = self.agent(url);
                let fits = agent.batch_that_fits(left, self.settings.timeout_secs);
                Ok(fits.await?.min(most))
            }
        }
    }

    fn agent<'b>(&'b self, url: &'b url::Url) -> AgentApi<'b> {
        let token = self.token.as_ref();
        AgentApi::new(url, token, &self.objects, &self.settings.code_bucket)
    }

    /// Takes programs in hand until there are `size` or no more: one of each paper, and those that must
    /// wait because their paper is in the batch already.
    async fn gather(
        &self,
        size: usize,
        report: &mut Dispatched,
    ) -> Result<(Vec<Waiting>, Vec<Waiting>), TesterError> {
        let mut batch: Vec<Waiting> = Vec::new();
        let mut later = Vec::new();
        while batch.len() < size {
            let (taken, n_malformed) = self.waiting.take(size - batch.len()).await?;
            report.malformed += n_malformed;
            if taken.is_empty() && n_malformed == 0 {
                break;
            }
            for program in taken {
                let paper = &program.message.paper_id;
                if let Some(result) = self.known_result(&program).await? {
                    report.already_tested += usize::from(self.settle(&program, &result).await);
                } else if batch.iter().any(|other| other.message.paper_id == *paper) {
                    later.push(program);
                } else {
                    batch.push(program);
                }
            }
        }
        Ok((batch, later))
    }

    /// The result that spares this very program a run.
    async fn known_result(&self, program: &Waiting) -> Result<Option<TestResult>, TesterError> {
        let message = &program.message;
        let paper = &message.paper_id;
        match self.collector.result(paper).await {
            Ok(result) => {
                let timeout = self.settings.timeout();
                Ok(result.filter(|result| result.answers(&message.code_sha256, timeout)))
            }
            Err(error @ CollectError::Unusable { .. }) => {
                warn!(paper_id = %paper, reason = chain(&error), "tested again");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the result of a program that needs no further run into the index. A failure holds up this
    /// program alone: its message stays in hand and comes again.
    async fn settle(&self, program: &Waiting, result: &TestResult) -> bool {
        let paper = &program.message.paper_id;
        match self.collector.write(paper, result).await {
            Ok(()) => {
                info!(paper_id = %paper, "this program has a result already");
                self.waiting.delete(std::slice::from_ref(program)).await;
                true
            }
            Err(reason) => {
                error!(paper_id = %paper, reason = chain(&reason), "its result is not collected");
                false
            }
        }
    }

    fn has_waited(&self, batch: &[Waiting]) -> bool {
        let oldest = batch.iter().map(|program| program.sent_at).min();
        let waited = oldest.and_then(|oldest| (Utc::now() - oldest).to_std().ok());
        waited.is_some_and(|waited| waited >= self.settings.max_wait)
    }

    /// Marks the papers, hands the batch over and deletes its messages, in this order: a result may be
    /// collected the moment the batch is handed over, and then the mark must not come after it.
    async fn hand_over(
        &self,
        batch: &[Waiting],
        end: Instant,
        report: &mut Dispatched,
    ) -> Result<(), TesterError> {
        let message = self.message(batch);
        let begin = Utc::now();
        for program in batch {
            self.mark(&program.message.paper_id, begin).await?;
        }
        let handed = Batch {
            batch_id: message.batch_id.clone(),
            paper_ids: message
                .batch
                .iter()
                .map(|program| program.paper_id.clone())
                .collect(),
        };
        match &self.settings.route {
            Route::Queue => {
                let message = Message::of(&message).map_err(|source| TesterError::Batch {
                    batch_id: handed.batch_id.clone(),
                    source,
                })?;
                let queue = &self.settings.testing_queue_url;
                self.queues.send(queue, message).await?;
                self.waiting.delete(batch).await;
            }
            Route::Http { url, .. } => self.call(url, message, batch, end).await?,
        }
        info!(
            batch_id = handed.batch_id,
            programs = batch.len(),
            "batch handed over"
        );
        report.dispatched += batch.len();
        report.batches.push(handed);
        Ok(())
    }

    /// Runs a batch over HTTP. A program without a result in the answer comes again.
    async fn call(
        &self,
        url: &url::Url,
        message: CodeTestingMessage,
        batch: &[Waiting],
        end: Instant,
    ) -> Result<(), TesterError> {
        let left = end.saturating_duration_since(Instant::now());
        self.waiting.hold(batch, left).await;
        let results = self.agent(url).run(message, left).await?;
        for program in batch {
            let paper = &program.message.paper_id;
            let done = std::slice::from_ref(program);
            match results.get(paper) {
                Some(result) => {
                    self.collector.write(paper, result).await?;
                    self.waiting.delete(done).await;
                }
                None => {
                    warn!(paper_id = %paper, "no result in the agent's answer; it comes again");
                    self.waiting.give_back(done).await;
                }
            }
        }
        Ok(())
    }

    fn message(&self, batch: &[Waiting]) -> CodeTestingMessage {
        let programs = batch.iter().map(|waiting| {
            let message = &waiting.message;
            ProgramToTest {
                paper_id: message.paper_id.clone(),
                paper_title: message.paper_title.clone(),
                code: None,
                s3_code_key: message.s3_code_key.clone(),
                code_sha256: message.code_sha256.clone(),
                dry_run: true,
            }
        });
        let programs: Vec<ProgramToTest> = programs.collect();
        CodeTestingMessage {
            batch_id: batch_id(&programs),
            batch: programs,
            timeout: self.settings.timeout_secs,
            skip_tested: true,
            trial: false,
            live: false,
        }
    }

    /// Notes in the index that a run of the paper's program begins.
    async fn mark(&self, paper: &PaperId, begin: DateTime<Utc>) -> Result<(), TesterError> {
        let marked = self
            .search
            .change(paper, |record| mark(record, begin))
            .await?;
        if marked.is_none() {
            warn!(paper_id = %paper, "a program waits for a paper that is not in the index");
        }
        Ok(())
    }

    /// Batches that are queued or being run. What cannot be seen counts as one: an instance that is stopped by
    /// mistake loses a run. Asked before this dispatch sends any, which the queue need not count at once.
    async fn batches_at_work(&self) -> u64 {
        match self.queues.counts(&self.settings.testing_queue_url).await {
            Ok(counts) => counts.total(),
            Err(reason) => {
                warn!(%reason, "the queue of batches cannot be seen; it counts as one batch");
                1
            }
        }
    }
}

/// Derived from the programs alone, in any order.
fn batch_id(programs: &[ProgramToTest]) -> String {
    let parts: HashSet<String> = programs
        .iter()
        .map(|program| format!("{}:{}", program.paper_id, program.code_sha256))
        .collect();
    let mut parts: Vec<String> = parts.into_iter().collect();
    parts.sort_unstable();
    let mut digits = hex::encode(Sha256::digest(parts.join("\n")));
    digits.truncate(24);
    format!("batch-{digits}")
}

/// Marks a run's begin; says whether that is one not marked before.
fn mark(record: &mut PaperRecord, begin: DateTime<Utc>) -> bool {
    let tested = &mut record.tested;
    let last = tested.last_test_attempt.as_deref();
    let last = last.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    let is_same = last.is_some_and(|last| begin - last.with_timezone(&Utc) < SAME_ATTEMPT);
    if is_same && tested.test_in_progress == Some(true) {
        return false;
    }
    tested.test_in_progress = Some(true);
    tested.last_test_attempt = Some(begin.to_rfc3339_opts(SecondsFormat::Millis, true));
    tested.test_attempts = Some(tested.test_attempts.map_or(1, |attempts| attempts + 1));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(title: &str, code: &str) -> ProgramToTest {
        ProgramToTest {
            paper_id: PaperId::of(title, None),
            paper_title: title.to_owned(),
            code: None,
            s3_code_key: String::new(),
            code_sha256: code.to_owned(),
            dry_run: false,
        }
    }

    #[test]
    fn the_same_programs_are_the_same_batch() {
        let (adam, lion) = (program("Adam", "1"), program("Lion", "2"));
        let one = batch_id(&[adam.clone(), lion.clone()]);
        assert_eq!(one, batch_id(&[lion.clone(), adam]));
        assert_ne!(one, batch_id(&[program("Adam", "3"), lion]));
    }

    #[test]
    fn an_attempt_marked_twice_counts_once() {
        let begin = Utc::now();
        let mut record = PaperRecord::default();
        assert!(mark(&mut record, begin));
        assert!(!mark(&mut record, begin + TimeDelta::minutes(3)));
        assert_eq!(record.tested.test_attempts, Some(1));
        assert!(mark(&mut record, begin + TimeDelta::hours(1)));
        assert_eq!(record.tested.test_attempts, Some(2));
    }
}
