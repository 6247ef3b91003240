//! Papers that wait for their text.
//!
//! In: a message that says that a text is to come, and a schedule's event. The wait is in the index and not
//! in the queue: the message of a paper that waits is done, and another message ends the wait. The judge
//! sends it when the PDF has come or is given up, this module when the time is over. Both say that nothing
//! is to come, and such a message never waits, so no clock can make a paper wait for nobody. What is killed
//! between two steps does them again: the mark in the document goes last.
//!
//! Why not in the queue: a FIFO queue has no delay for one message (SQS developer guide, "Message timers"),
//! and a message that its receiver hides holds back the later ones of its group, among them the one that
//! says that the text is there ("FIFO queue delivery logic"); it can be hidden for 12 hours at most (API
//! reference, `ChangeMessageVisibility`), and each look at it is a receive, of which this queue has five. A
//! function that goes on sending to its own queue is stopped by Lambda after about 16 rounds (Lambda
//! developer guide, "Recursive loop detection"); here each round begins with the schedule and has one.

use std::time::Duration;

use annapurna_cloud::{Message, MessageQueues};
use annapurna_contract::{
    CodeGenerationMessage, PaperId, PaperRecord, answers::Failed, text::chain,
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::metadata::no_json;
use crate::{Generator, GeneratorError};

/// Waits that one event ends at most; the next minute's takes the rest.
const ENDED_AT_ONCE: usize = 50;

/// What became of the waits that were over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Ended {
    action: &'static str,
    /// Papers that are in the generator's queue now.
    sent: Vec<PaperId>,
    /// Papers that the next event takes again, and why.
    failed: Vec<Failed>,
}

impl Generator {
    /// Whether the paper of a message waits for its text. Then the message has done all it can.
    pub(crate) async fn waits(
        &self,
        message: &CodeGenerationMessage,
    ) -> Result<bool, GeneratorError> {
        if !message.text_expected {
            return Ok(false);
        }
        let paper_id = &message.paper_id;
        let stored = self.search.get(paper_id).await?;
        let waits = stored
            .is_some_and(|stored| stored.record.waits_for_text(self.wait_for_text, Utc::now()));
        if waits {
            let most_secs = self.wait_for_text.as_secs();
            info!(%paper_id, most_secs, "waits for its text");
        }
        Ok(waits)
    }

    /// Sends the papers whose wait is over to the generator's queue.
    pub(crate) async fn end_waits(&self) -> Result<Ended, GeneratorError> {
        let mut ended = Ended {
            action: "end_waits",
            ..Ended::default()
        };
        let over = over(self.wait_for_text, Utc::now());
        for (paper_id, record) in self.search.search(&over).await? {
            match self.end_wait(&paper_id, record).await {
                Ok(()) => {
                    info!(%paper_id, "its text has not come in time");
                    ended.sent.push(paper_id);
                }
                Err(error) => {
                    let error = chain(&error);
                    warn!(%paper_id, error, "its wait has not ended");
                    let paper_id = paper_id.to_string();
                    ended.failed.push(Failed { paper_id, error });
                }
            }
        }
        Ok(ended)
    }

    /// Sends one paper, then marks it, so that it is not sent for ever when its program cannot be written.
    async fn end_wait(
        &self,
        paper_id: &PaperId,
        record: PaperRecord,
    ) -> Result<(), GeneratorError> {
        let title = record.judged.title.unwrap_or_default();
        let message = CodeGenerationMessage::of(paper_id.clone(), title);
        let message = Message::of(&message).map_err(|source| no_json(paper_id, source))?;
        let queue = &self.config.generation_queue_url;
        self.queues.send(queue, message).await?;
        let marked = self.search.change(paper_id, |record| {
            let waits = record.judged.text_expected == Some(true);
            record.judged.text_expected = Some(false);
            waits
        });
        marked.await?;
        Ok(())
    }
}

/// The papers without text and program whose wait is over, the oldest first.
fn over(wait: Duration, now: DateTime<Utc>) -> Value {
    let wait = TimeDelta::from_std(wait).ok();
    // A wait beyond the calendar ends for nobody.
    let begin = wait.and_then(|wait| now.checked_sub_signed(wait));
    let begin = begin.unwrap_or(DateTime::UNIX_EPOCH);
    let begin = begin.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "size": ENDED_AT_ONCE,
        "sort": [{"ingested_at": "asc"}],
        "query": {"bool": {
            "filter": [
                {"term": {"text_expected": true}},
                {"range": {"ingested_at": {"lte": begin}}},
            ],
            "must_not": [
                {"exists": {"field": "s3_key"}},
                {"term": {"code_generated": true}},
            ],
        }},
    })
}
