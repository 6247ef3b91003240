//! The runs that a record names as about to tell the judge of its paper.
//!
//! A run reads a record and tells the judge what it says. Between the two, another run may change the record
//! and tell that: the judge then hears the older version last. The run sees it and tells the newer one again,
//! unless it is ended before that, and then nobody would. So a run notes itself in the record before it tells
//! anything, and takes the note away with its last write; whoever changes what the judge has to know marks
//! the notes that are there. A marked note that is older than any run is one of a run that was ended, and the
//! run that finds it tells the judge once more.

use annapurna_cloud::Metadata;
use annapurna_contract::{SourceRecord, UnderWay};
use chrono::{DateTime, TimeDelta, Utc};

/// No run is alive after this time. Lambda ends a function after 15 minutes (source: Lambda quotas, "Function
/// timeout"); the rest is for clocks that differ.
const LONGEST_RUN: TimeDelta = TimeDelta::minutes(20);
/// The name of a record's S3 metadata that hold since when the oldest run is under way that was overtaken.
const OVERTAKEN: &str = "overtaken";

/// Whether what began then has ended.
fn has_ended(since: &str) -> bool {
    let since = DateTime::parse_from_rfc3339(since);
    since.map_or(true, |since| Utc::now() - since.to_utc() > LONGEST_RUN)
}

/// Notes a run; `since` is the time of it, as a record writes times.
pub(crate) fn note(record: &mut SourceRecord, run: &str, since: String) {
    record.under_way.push(UnderWay {
        run: run.to_owned(),
        since,
        is_overtaken: false,
    });
}

/// Takes a run's note away, and those of runs that have ended. Returns whether it was noted.
pub(crate) fn take_away(record: &mut SourceRecord, run: &str) -> bool {
    let is_noted = record.under_way.iter().any(|it| it.run == run);
    let is_alive = |it: &UnderWay| it.run != run && !has_ended(&it.since);
    record.under_way.retain(is_alive);
    is_noted
}

/// Marks the runs that may yet tell what the record said until now.
pub(crate) fn overtake(record: &mut SourceRecord) {
    let runs = record.under_way.iter_mut();
    for run in runs.filter(|it| !has_ended(&it.since)) {
        run.is_overtaken = true;
    }
}

/// Whether a run was overtaken and ended before it could make good for it.
pub(crate) fn is_left_behind(record: &SourceRecord) -> bool {
    oldest_overtaken(record).is_some_and(has_ended)
}

fn oldest_overtaken(record: &SourceRecord) -> Option<&str> {
    let overtaken = record.under_way.iter().filter(|it| it.is_overtaken);
    overtaken.map(|it| it.since.as_str()).min()
}

/// What [`is_left_behind_by`] needs, for the record's S3 metadata.
pub(crate) fn add_to(metadata: &mut Metadata, record: &SourceRecord) {
    if let Some(since) = oldest_overtaken(record) {
        metadata.insert(OVERTAKEN.to_owned(), since.to_owned());
    }
}

/// [`is_left_behind`], told from the record's S3 metadata.
pub(crate) fn is_left_behind_by(metadata: &Metadata) -> bool {
    metadata
        .get(OVERTAKEN)
        .is_some_and(|since| has_ended(since))
}
