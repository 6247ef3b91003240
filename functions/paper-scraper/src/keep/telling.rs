//! Telling the judge of a paper, so that what it hears last is what the record says.

use annapurna_cloud::{Message, Written};
use annapurna_contract::{RecordState, ResearchMessage, SourceRecord};
use annapurna_paper_sources::paper::Paper;

use super::{Keeper, MOST_TRIES, Outcome, Pdf, outcome_of};
use crate::identity::pause;
use crate::record::{Home, now};
use crate::store::StoreError;
use crate::under_way;

/// A record as a run read it, and what is to be made of it.
struct Reading {
    /// With the PDF, and without this run's note.
    after: SourceRecord,
    /// How far the paper comes.
    goal: RecordState,
    /// The record names this run.
    is_noted: bool,
    message: ResearchMessage,
    /// The judge was told that before.
    is_known: bool,
    /// A run told the judge something older, perhaps after that: this one, or one that was ended.
    was_overtaken: bool,
}

impl Keeper<'_> {
    /// Sees to it that the judge knows what the record says, with the PDF if it can be had.
    pub(super) async fn told(
        &self,
        home: &Home,
        record: &SourceRecord,
        paper: &Paper,
    ) -> Result<Outcome, StoreError> {
        let pdf = match record.pdf.clone() {
            Some(pdf) => Pdf::Stored { pdf, is_new: false },
            None => self.pdf(home, paper).await?,
        };
        let key = home.record_key();
        let mut outcome = outcome_of(&pdf);
        let mut told: Option<ResearchMessage> = None;
        for _ in 0..MOST_TRIES {
            // Another run may have written meanwhile: the judge is told what the record says now.
            let Some((before, etag)) = self.store.record(home).await? else {
                return Err(StoreError::Gone { key });
            };
            let Reading {
                mut after,
                goal,
                is_noted,
                message,
                is_known,
                was_overtaken,
            } = self.reading(&before, &pdf, told.as_ref());
            let is_as_before = goal == RecordState::Waiting && after == before;
            if (is_known && !was_overtaken && !is_noted) || is_as_before {
                return Ok(outcome);
            }
            let is_new = told.as_ref() != Some(&message) && (!is_known || was_overtaken);
            if goal != RecordState::Waiting && is_new {
                if !is_noted {
                    self.note(home, before, &etag).await?;
                    continue;
                }
                self.send(&message, was_overtaken.then_some(&etag)).await?;
                outcome.is_queued = true;
                told = Some(message);
            }
            after.state = goal;
            after.written_at = now();
            let written = self.store.write_record(home, &after, Some(&etag)).await?;
            if written == Written::Done {
                return Ok(outcome);
            }
            pause().await;
        }
        Err(StoreError::Contended { key })
    }

    /// Writes into a record that this run is about to tell of it. Refused or not, the record is read again.
    async fn note(
        &self,
        home: &Home,
        mut record: SourceRecord,
        etag: &str,
    ) -> Result<(), StoreError> {
        under_way::note(&mut record, &self.run, now());
        let _ = self.store.write_record(home, &record, Some(etag)).await?;
        Ok(())
    }

    /// What is to be made of a record as it was read; `told` is what this run told before.
    fn reading(&self, before: &SourceRecord, pdf: &Pdf, told: Option<&ResearchMessage>) -> Reading {
        let mut after = before.clone();
        let goal = with_pdf(&mut after, pdf);
        let is_noted = under_way::take_away(&mut after, &self.run);
        let message = after.message(self.store.bucket());
        Reading {
            goal,
            is_noted,
            is_known: before.state != RecordState::Waiting
                && message == before.message(self.store.bucket()),
            was_overtaken: told.map_or(under_way::is_left_behind(before), |told| *told != message),
            message,
            after,
        }
    }

    /// Tells the judge. `again` names the state of the record that is told once more: SQS would drop a message
    /// that another run sent within the last five minutes, although an older one came after it.
    async fn send(
        &self,
        message: &ResearchMessage,
        again: Option<&String>,
    ) -> Result<(), StoreError> {
        let mut message = Message::of(message).map_err(|source| StoreError::Json {
            what: message.paper_id.to_string(),
            source,
        })?;
        if let Some(etag) = again {
            message = message.again(etag);
        }
        self.store.send(message).await
    }
}

/// Notes in a record what became of the PDF, and says how far the paper comes with it.
fn with_pdf(record: &mut SourceRecord, pdf: &Pdf) -> RecordState {
    if record.pdf.is_some() {
        return RecordState::Queued;
    }
    let was_told = record.state != RecordState::Waiting;
    match pdf {
        Pdf::Stored { pdf, .. } => {
            record.pdf = Some(pdf.clone());
            record.pdf_problem = None;
            record.text_expected = false;
            RecordState::Queued
        }
        // Told as a paper without a PDF: that it is held back now promises nothing.
        Pdf::None(none) if none.is_temporary && was_told && !record.text_expected => {
            RecordState::QueuedWithoutPdf
        }
        Pdf::None(none) if none.is_temporary => {
            record.text_expected = true;
            record
                .pdf_problem
                .get_or_insert_with(|| none.reason.clone());
            match record.description.abstract_text {
                Some(_) => RecordState::QueuedWithoutPdf,
                // Nothing to judge it by.
                None => RecordState::Waiting,
            }
        }
        Pdf::None(none) => {
            record.text_expected = false;
            record.pdf_problem = Some(none.reason.clone());
            RecordState::QueuedWithoutPdf
        }
    }
}
