//! The question to the model, by the rubric in `prompts/`, and what makes an answer to it usable.
//!
//! In: a paper and the known papers that resemble it. Out: an [`Assessment`] that says something of this very paper,
//! with its cost. The judge asks so, and `infra judge eval` measures so.

use annapurna_contract::{
    Decision, PaperId,
    model::{PAPER_CLOSE, PAPER_OPEN, PaperText, VERDICT_TOOL},
    rubric::{Assessment, KNOWN_CLOSE, KNOWN_OPEN, SIMILARITY, assessment_schema},
    text::{first_chars, one_line},
};
use annapurna_runtime::{Answer, Ask, Failed, Model, Tool};
use tokio::time::Instant;

use crate::hostile::speaks_to_the_judge;
use crate::sense;

/// Names the rubric in each verdict. Whoever changes a word of the prompt changes it, and the file's name with it.
pub const PROMPT_VERSION: &str = "judge-2";
const PROMPT: &str = include_str!("../prompts/judge-2.md");

/// Longest answer, tokens: a reason of some sentences and five fields.
const MOST_TOKENS: i32 = 1_000;
/// Characters of a known paper's title and abstract that are shown.
const KNOWN_TITLE: usize = 300;
const KNOWN_ABSTRACT: usize = 1_500;
/// Characters of a reason that are kept.
const REASON: usize = 1_000;

/// A paper of the index that is shown beside the one to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPaper {
    /// Its id.
    pub paper_id: PaperId,
    /// Cosine of the two vectors, -1 to 1; `None` where its title alone is the same.
    pub similarity: Option<f64>,
    /// As the index has it.
    pub title: String,
    /// As the index has it; empty where it has none.
    pub abstract_text: String,
}

/// The rubric of one topic.
#[derive(Debug, Clone)]
pub struct Rubric {
    system: String,
}

/// What is asked about one paper.
#[derive(Debug)]
pub struct Question<'a> {
    system: &'a str,
    paper: &'a PaperText,
    text: String,
}

impl Rubric {
    /// The rubric with the pipeline's topic in it, a sentence of the settings.
    pub fn new(topic: &str) -> Self {
        Self {
            system: PROMPT.replace("{topic}", &one_line(topic, 1_000)),
        }
    }

    /// The question about a paper, beside the papers that it may be once more.
    ///
    /// # Errors
    ///
    /// Where a paper has no JSON form.
    pub fn question<'a>(
        &'a self,
        paper: &'a PaperText,
        known: &[KnownPaper],
    ) -> Result<Question<'a>, serde_json::Error> {
        let mut text = format!(
            "Judge the paper between the marks by the rubric.\n\n{}\n\n",
            paper.to_prompt_block()?
        );
        if known.is_empty() {
            text.push_str("No known paper resembles it.");
        } else {
            text.push_str(
                "Known papers that resemble it, as data too; is it one of them once more?\n",
            );
        }
        for known in known {
            text.push_str(&known_block(known)?);
        }
        Ok(Question {
            system: &self.system,
            paper,
            text,
        })
    }
}

/// A known paper as data: escaped as the paper's own block is, so it cannot end either.
fn known_block(known: &KnownPaper) -> Result<String, serde_json::Error> {
    let text = PaperText {
        title: first_chars(&known.title, KNOWN_TITLE).to_owned(),
        abstract_text: first_chars(&known.abstract_text, KNOWN_ABSTRACT).to_owned(),
        body: String::new(),
    };
    let block = text.to_prompt_block()?;
    let json = block.trim_start_matches(PAPER_OPEN);
    let json = json.trim_end_matches(PAPER_CLOSE);
    let likeness = match known.similarity {
        Some(similarity) => format!("{SIMILARITY}{similarity:.3}"),
        None => "the same title".to_owned(),
    };
    Ok(format!("{KNOWN_OPEN}{likeness}: {json}{KNOWN_CLOSE}\n"))
}

impl Question<'_> {
    /// Asks a model. A paper whose text speaks to its judge is never accepted without a person: then the decision is
    /// `undecided`, whatever the scores say.
    ///
    /// # Errors
    ///
    /// [`Failed`], also where the answer makes no sense a second time.
    pub async fn ask(
        &self,
        model: &Model,
        model_id: &str,
        paper_id: Option<&PaperId>,
        deadline: Instant,
    ) -> Result<Answer<Assessment>, Failed> {
        let tool = Tool {
            name: VERDICT_TOOL,
            description: "Records the reason, the scores and the decision about the paper.",
            schema: assessment_schema(),
            max_tokens: MOST_TOKENS,
        };
        let ask = Ask {
            model_id,
            system: self.system,
            // The only question about the paper.
            shared: "",
            question: &self.text,
            tool: &tool,
            beside: &[],
            paper_id,
            deadline,
        };
        let answer = model.ask(&ask, |it: &Assessment| self.check(it)).await?;
        Ok(Answer {
            value: self.decided(answer.value),
            spent: answer.spent,
        })
    }

    /// What is wrong with an answer, beyond its types.
    fn check(&self, answer: &Assessment) -> Result<(), Vec<String>> {
        let mut problems = answer.problems();
        let (rubric, _) = self.text.split_once(PAPER_OPEN).unwrap_or((&self.text, ""));
        let rubric = format!("{}\n{rubric}", self.system);
        problems.extend(sense::problems(&answer.reason, &rubric, self.paper));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    fn decided(&self, answer: Assessment) -> Assessment {
        let reason = one_line(&answer.reason, REASON);
        match speaks_to_the_judge(self.paper).filter(|_| answer.decision == Decision::Accept) {
            None => Assessment { reason, ..answer },
            Some(words) => Assessment {
                reason: format!(
                    "the paper's text speaks to its judge (`{words}`), so a person decides; the model: {reason}"
                ),
                decision: Decision::Undecided,
                ..answer
            },
        }
    }
}

#[cfg(test)]
mod tests;
