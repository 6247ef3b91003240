//! The judge's verdict as S3 keeps it.

use serde::{Deserialize, Serialize};

use crate::{Decision, Judged, PaperId, Source};

/// `verdicts/{paper_id}.json`: all that the steps after the verdict need, and what tells `infra` of a
/// paper that is in no index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The paper.
    pub paper_id: PaperId,
    /// Whether it goes on.
    pub decision: Decision,
    /// Where it came from.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The document's fields, with reason; the vector only of an accepted paper.
    pub record: Judged,
}
