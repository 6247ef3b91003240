//! What is decided of one paper: by a person's order, by what is known already, or by the model.

use annapurna_cloud::ObjectStore;
use annapurna_contract::{
    Assessed, Decision, Judged, JudgedFrom, Order, Question, ResearchMessage, ShownPaper, Spent,
    Verdict, Wish, YesOrNo,
    model::PaperText,
    rubric::{Assessment, FAILS_TO, PASSES_FROM},
    text::{first_chars, one_line},
};
use annapurna_pdf::PDF_LIMIT;
use annapurna_runtime::Answer;
use chrono::{SecondsFormat, Utc};
use tokio::time::Instant;
use tracing::warn;

use crate::document::described;
use crate::novelty::Novelty;
use crate::rubric::{KnownPaper, PROMPT_VERSION};
use crate::{Judge, JudgeError, not_json};

/// Characters of the text that is judged; Titan's 8,192 tokens hold them in any script.
const TEXT_CHARACTERS: usize = 6_000;
/// Characters of a person's reason that are kept.
const REASON: usize = 1_000;

/// What there is of a paper to judge.
struct Judgeable {
    from: JudgedFrom,
    text: PaperText,
}

impl Judge {
    /// Decides anew, whatever was decided before.
    pub(crate) async fn decide(
        &self,
        message: &ResearchMessage,
        end: Instant,
    ) -> Result<Verdict, JudgeError> {
        match &message.order {
            Some(order) if order.wish == Wish::Accept => self.accept_by(message, order, end).await,
            Some(order) if order.wish == Wish::Reject => {
                let record = reasoned(message, Decision::Reject, by_person(order));
                Ok(verdict(message, record))
            }
            Some(_) | None => self.judge_paper(message, end).await,
        }
    }

    /// An accepted paper has a vector, by which others are found to be like it.
    async fn accept_by(
        &self,
        message: &ResearchMessage,
        order: &Order,
        end: Instant,
    ) -> Result<Verdict, JudgeError> {
        let paper = self.judgeable(message).await?;
        let embedding = self.embed(message, &paper.text, end).await?;
        let record = Judged {
            relevance: Some(YesOrNo::Yes),
            novelty: Some(YesOrNo::Yes),
            abstract_embedding: Some(embedding.value),
            ..reasoned(message, Decision::Accept, by_person(order))
        };
        Ok(Verdict {
            spent: embedding.spent,
            ..verdict(message, record)
        })
    }

    async fn judge_paper(
        &self,
        message: &ResearchMessage,
        end: Instant,
    ) -> Result<Verdict, JudgeError> {
        let paper = self.judgeable(message).await?;
        let of_paper = |spent: Spent, record: Judged| Verdict {
            judged_from: Some(paper.from),
            spent,
            ..verdict(message, record)
        };
        let mut namesakes = match self.same_paper(message).await? {
            Novelty::Known(reason) => {
                return Ok(of_paper(Spent::default(), known(message, reason)));
            }
            Novelty::Like(papers) => papers,
        };
        let embedding = self.embed(message, &paper.text, end).await?;
        let is_of_title = paper.from == JudgedFrom::Title;
        let near = self.near(message, &embedding.value, is_of_title, &mut namesakes);
        let shown = match near.await? {
            Novelty::Known(reason) => return Ok(of_paper(embedding.spent, known(message, reason))),
            Novelty::Like(papers) => papers,
        };
        let answer = self.ask(message, &paper.text, &shown, end).await?;
        let spent = embedding.spent + answer.spent;
        let record = assessed(message, &answer.value, embedding.value);
        Ok(Verdict {
            assessed: Some(self.assessed(&answer.value, &shown)),
            ..of_paper(spent, record)
        })
    }

    async fn embed(
        &self,
        message: &ResearchMessage,
        paper: &PaperText,
        end: Instant,
    ) -> Result<Answer<Vec<f32>>, JudgeError> {
        let text = format!("{}\n\n{}", paper.title, paper.abstract_text);
        let model_id = &self.config.embedding_model_id;
        let paper_id = Some(&message.paper_id);
        Ok(self.model.embed(model_id, &text, paper_id, end).await?)
    }

    async fn ask(
        &self,
        message: &ResearchMessage,
        paper: &PaperText,
        shown: &[KnownPaper],
        end: Instant,
    ) -> Result<Answer<Assessment>, JudgeError> {
        let paper_id = &message.paper_id;
        let question = self.rubric.question(paper, shown);
        let question = question.map_err(|source| not_json(paper_id, source))?;
        let model_id = &self.config.bedrock_model_id;
        Ok(question
            .ask(&self.model, model_id, Some(paper_id), end)
            .await?)
    }

    fn assessed(&self, answer: &Assessment, shown: &[KnownPaper]) -> Assessed {
        let shown = shown.iter().map(|known| ShownPaper {
            paper_id: known.paper_id.clone(),
            similarity: known.similarity,
        });
        Assessed {
            prompt_version: PROMPT_VERSION.to_owned(),
            model: self.config.bedrock_model_id.clone(),
            scores: answer.scores,
            confidence: answer.confidence,
            shown: shown.collect(),
        }
    }

    /// What can be judged of the paper: its abstract, else the start of its PDF, else only its title.
    async fn judgeable(&self, message: &ResearchMessage) -> Result<Judgeable, JudgeError> {
        let given = message.abstract_text.as_deref().map(str::trim);
        let (from, text) = match given.filter(|text| !text.is_empty()) {
            Some(text) => (JudgedFrom::Abstract, text.to_owned()),
            None => {
                let text = self.start_of_pdf(message).await?;
                match text.trim().is_empty() {
                    true => (JudgedFrom::Title, String::new()),
                    false => (JudgedFrom::Text, text),
                }
            }
        };
        let text = PaperText {
            title: first_chars(&message.title, 1_000).to_owned(),
            abstract_text: first_chars(&text, TEXT_CHARACTERS).to_owned(),
            body: String::new(),
        };
        Ok(Judgeable { from, text })
    }

    async fn start_of_pdf(&self, message: &ResearchMessage) -> Result<String, JudgeError> {
        let paper_id = &message.paper_id;
        let Some(key) = &message.s3_key else {
            return Ok(String::new());
        };
        let bucket = &self.config.bucket_name;
        let Some(bytes) = self.objects.get(bucket, key, PDF_LIMIT).await? else {
            warn!(%paper_id, key, "no PDF at its key; judged by its title");
            return Ok(String::new());
        };
        let limits = annapurna_pdf::Limits {
            pages: 3,
            ..annapurna_pdf::Limits::default()
        };
        let paper = annapurna_pdf::read(bytes, limits)
            .await
            .unwrap_or_else(|reason| {
                warn!(%paper_id, %reason, "no text in the PDF; judged by its title");
                annapurna_pdf::Paper::default()
            });
        Ok(paper.for_model(TEXT_CHARACTERS))
    }
}

fn by_person(order: &Order) -> String {
    let reason = order.reason.as_deref().map(|it| one_line(it, REASON));
    match reason.filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("a person: {reason}"),
        None => "a person decided so".to_owned(),
    }
}

/// What is known of the paper, with what was decided now and why.
fn reasoned(message: &ResearchMessage, decision: Decision, reason: String) -> Judged {
    Judged {
        ingested_at: Some(Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)),
        decision: Some(decision),
        reason: Some(reason),
        ..described(message)
    }
}

/// A paper that is not new.
fn known(message: &ResearchMessage, reason: String) -> Judged {
    Judged {
        novelty: Some(YesOrNo::No),
        rejected_by: Some(Question::Novelty),
        ..reasoned(message, Decision::Reject, reason)
    }
}

/// A paper that the model has judged.
fn assessed(message: &ResearchMessage, answer: &Assessment, embedding: Vec<f32>) -> Judged {
    let passes = |score: u8| match score {
        ..=FAILS_TO => Some(YesOrNo::No),
        PASSES_FROM.. => Some(YesOrNo::Yes),
        _ => None,
    };
    let scores = answer.scores;
    let is_rejected = answer.decision == Decision::Reject;
    let is_accepted = answer.decision == Decision::Accept;
    Judged {
        relevance: passes(scores.relevance),
        novelty: passes(scores.novelty),
        rejected_by: is_rejected.then(|| scores.weakest()),
        abstract_embedding: is_accepted.then_some(embedding),
        ..reasoned(message, answer.decision.clone(), answer.reason.clone())
    }
}

fn verdict(message: &ResearchMessage, record: Judged) -> Verdict {
    Verdict {
        paper_id: message.paper_id.clone(),
        revision: message.revision,
        decision: record.decision.clone().unwrap_or(Decision::Undecided),
        source: message.source,
        year: message.year,
        record,
        judged_from: None,
        assessed: None,
        spent: Spent::default(),
        order: message.order.clone(),
        judgements: Vec::new(),
    }
}
