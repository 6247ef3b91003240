//! Which papers of the index are this one once more, and which only resemble it.

use annapurna_contract::{
    PaperId, PaperRecord, ResearchMessage, abstract_changed, normalize_title,
    paper_id::sha_abstract, share_an_author,
};
use serde_json::json;

use crate::rubric::KnownPaper;
use crate::{Judge, JudgeError};

/// Neighbours looked at: the paper itself may be among them.
const NEIGHBOURS: usize = 6;
/// Papers with the same title or abstract that are looked at.
const NAMESAKES: usize = 10;
/// The lowest cosine similarity with which a known paper is shown to the model.
const RESEMBLES: f64 = 0.85;
/// Known papers that the model is shown at most.
const MOST_SHOWN: usize = 3;
/// An abstract of fewer words may be that of several papers: `Research paper from unknown conference`.
const LEAST_WORDS: usize = 20;

/// What the index says of a paper's novelty.
pub(crate) enum Novelty {
    /// It is known; why.
    Known(String),
    /// It is not known to be known; the papers that resemble it, the most similar first.
    Like(Vec<KnownPaper>),
}

impl Judge {
    /// Looks for the paper's title and abstract. One title with other authors is another paper.
    pub(crate) async fn same_paper(
        &self,
        message: &ResearchMessage,
    ) -> Result<Novelty, JudgeError> {
        let sha = message.abstract_text.as_deref().and_then(own_abstract);
        let mut asked =
            vec![json!({"term": {"title_normalized": normalize_title(&message.title)}})];
        asked.extend(sha.iter().map(|sha| json!({"term": {"sha_abstract": sha}})));
        let query = json!({
            "size": NAMESAKES,
            "query": {"bool": {
                "filter": [{"bool": {"should": asked, "minimum_should_match": 1}}],
                "must_not": [{"ids": {"values": [message.paper_id]}}],
            }},
        });
        let mut namesakes = Vec::new();
        for (id, record) in self.search.search(&query).await? {
            if sha.is_some() && record.judged.sha_abstract == sha {
                return Ok(Novelty::Known(format!("paper {id} has the same abstract")));
            }
            if is_same_by_title(message, &record) {
                return Ok(Novelty::Known(format!("paper {id} has the same title")));
            }
            namesakes.push(known_paper(id, None, record));
        }
        Ok(Novelty::Like(namesakes))
    }

    /// Looks for what says nearly the same. Of a paper with nothing but a title no likeness proves anything.
    pub(crate) async fn near(
        &self,
        message: &ResearchMessage,
        embedding: &[f32],
        is_of_title: bool,
        namesakes: &mut Vec<KnownPaper>,
    ) -> Result<Novelty, JudgeError> {
        let nearest = self.search.nearest(embedding, NEIGHBOURS).await?;
        let mut shown = Vec::new();
        for (id, similarity) in nearest {
            if id == message.paper_id || similarity < RESEMBLES.min(self.duplicate_similarity) {
                continue;
            }
            let namesake = namesakes.iter().position(|it| it.paper_id == id);
            if similarity >= self.duplicate_similarity && !is_of_title {
                let reason = format!("similarity {similarity:.3} to paper {id}");
                return Ok(Novelty::Known(reason));
            }
            if let Some(at) = namesake {
                let similarity = Some(similarity);
                shown.push(KnownPaper {
                    similarity,
                    ..namesakes.remove(at)
                });
            } else if let Some(stored) = self.search.get(&id).await? {
                shown.push(known_paper(id, Some(similarity), stored.record));
            }
        }
        // A paper of the same title says more than the last of those that resemble it.
        namesakes.truncate(MOST_SHOWN);
        shown.truncate(MOST_SHOWN - namesakes.len());
        shown.append(namesakes);
        Ok(Novelty::Like(shown))
    }
}

/// The digest of an abstract that is long enough to be this paper's alone.
fn own_abstract(text: &str) -> Option<String> {
    let n_words = normalize_title(text).split_whitespace().count();
    (n_words >= LEAST_WORDS).then(|| sha_abstract(text))
}

/// Whether a paper of the same title is the same one: they have an author in common, or, where one names none, the
/// same abstract or only one of them has one.
fn is_same_by_title(message: &ResearchMessage, record: &PaperRecord) -> bool {
    let known = &record.judged;
    if known.title_normalized.as_deref() != Some(&normalize_title(&message.title)) {
        return false;
    }
    match &known.authors {
        Some(authors) if !authors.is_empty() && !message.authors.is_empty() => {
            share_an_author(&message.authors, authors)
        }
        _ => match (&known.abstract_text, &message.abstract_text) {
            (Some(one), Some(other)) => !abstract_changed(Some(one), Some(other)),
            _ => true,
        },
    }
}

fn known_paper(paper_id: PaperId, similarity: Option<f64>, record: PaperRecord) -> KnownPaper {
    let text = |text: Option<String>| text.unwrap_or_default();
    KnownPaper {
        paper_id,
        similarity,
        title: text(record.judged.title),
        abstract_text: text(record.judged.abstract_text),
    }
}
