//! What models cost for a paper, by estimated lengths of questions and answers.
//!
//! Claude's tokenizer is not to be had, so lengths are of characters, at [`CHARACTERS_OF_A_TOKEN`]. A paper's is the mean of
//! thirteen real PDFs of conferences and arXiv, read in November 2026, without bibliography and appendix and cut at 60,000
//! characters: 36,600 (16,600 to 60,000). The others are of the prompts and of programs that were written. `cost --actual`
//! shows what was really spent.

use annapurna_contract::Spent;
use annapurna_contract::spent::Tokens;

/// Fewer characters of a token than Anthropic gives for English, for the text has equations and numbers.
pub(super) const CHARACTERS_OF_A_TOKEN: u64 = 3;
/// Characters of a paper as the writer sees it.
pub(super) const PAPER_CHARACTERS: u64 = 36_600;
/// Papers that are judged for one that is accepted.
pub(super) const JUDGED_FOR_AN_ACCEPTED: u64 = 2;
/// Seconds that a program runs on the instance, start of the batch included.
pub(super) const RUN_SECONDS: u32 = 300;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Judge,
    Embedding,
    Generator,
}

/// How the paper's block comes to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Not at all: the abstract is in the question.
    None,
    /// As a part of the question: nothing is shared.
    Sent,
    /// For the first time: it goes to the cache.
    First,
    /// Within five minutes of the last: it comes from the cache.
    Kept,
}

/// One kind of question.
struct Question {
    stage: &'static str,
    what: &'static str,
    asked: Asked,
    block: Block,
    /// Tokens of the question beside the block.
    input: u64,
    /// Tokens of the answer, with what is thought before it.
    output: u64,
    /// How many are asked for a hundred of the stage's papers.
    in_a_hundred: u64,
}

const QUESTIONS: [Question; 6] = [
    Question {
        stage: "judge",
        what: "vector of the abstract",
        asked: Asked::Embedding,
        block: Block::None,
        input: 500,
        output: 0,
        in_a_hundred: 100,
    },
    Question {
        stage: "judge",
        what: "verdict by the rubric",
        asked: Asked::Judge,
        block: Block::None,
        input: 3_500,
        output: 350,
        in_a_hundred: 105,
    },
    Question {
        stage: "generator",
        what: "plan",
        asked: Asked::Generator,
        block: Block::First,
        input: 1_500,
        output: 1_800,
        in_a_hundred: 100,
    },
    Question {
        stage: "generator",
        what: "program",
        asked: Asked::Generator,
        block: Block::Kept,
        input: 3_500,
        output: 5_500,
        in_a_hundred: 100,
    },
    Question {
        stage: "generator",
        what: "fidelity",
        asked: Asked::Judge,
        block: Block::Sent,
        input: 6_000,
        output: 800,
        in_a_hundred: 100,
    },
    Question {
        stage: "generator",
        what: "repairs, as edits",
        asked: Asked::Generator,
        block: Block::First,
        input: 7_000,
        output: 1_200,
        in_a_hundred: 40,
    },
];

/// The models that an environment names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Models<'a> {
    pub(super) judge: &'a str,
    pub(super) generator: &'a str,
    pub(super) embedding: &'a str,
}

/// What one kind of question costs for some accepted papers.
#[derive(Debug)]
pub(super) struct Estimate<'a> {
    pub(super) stage: &'static str,
    pub(super) what: &'static str,
    pub(super) model_id: &'a str,
    pub(super) questions: u64,
    pub(super) micro_dollars: u64,
}

/// What each kind of question costs for so many accepted papers.
pub(super) fn of_papers(models: Models<'_>, n_accepted: u64) -> Vec<Estimate<'_>> {
    QUESTIONS
        .iter()
        .map(|question| {
            let model_id = match question.asked {
                Asked::Judge => models.judge,
                Asked::Embedding => models.embedding,
                Asked::Generator => models.generator,
            };
            let n_papers = match question.stage {
                "judge" => n_accepted * JUDGED_FOR_AN_ACCEPTED,
                _ => n_accepted,
            };
            let one = Spent::of_call(model_id, question.tokens());
            Estimate {
                stage: question.stage,
                what: question.what,
                model_id,
                questions: (n_papers * question.in_a_hundred).div_ceil(100),
                micro_dollars: one.micro_dollars * n_papers * question.in_a_hundred / 100,
            }
        })
        .collect()
}

impl Question {
    fn tokens(&self) -> Tokens {
        let paper = PAPER_CHARACTERS / CHARACTERS_OF_A_TOKEN;
        let asked = Tokens {
            input: self.input,
            output: self.output,
            ..Tokens::default()
        };
        match self.block {
            Block::None => asked,
            Block::Sent => Tokens {
                input: self.input + paper,
                ..asked
            },
            Block::First => Tokens {
                cache_write: paper,
                ..asked
            },
            Block::Kept => Tokens {
                cache_read: paper,
                ..asked
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars_of(generator: &str, stage: &str) -> f64 {
        let models = Models {
            judge: "us.anthropic.claude-haiku-5-5",
            generator,
            embedding: "amazon.titan-embed-text-v2:0",
        };
        let all = of_papers(models, 100);
        let stage = all.iter().filter(|it| it.stage == stage);
        let micro: u64 = stage.map(|it| it.micro_dollars).sum();
        f64::from(u32::try_from(micro).unwrap()) / 1e6
    }

    #[test]
    fn a_hundred_papers_cost_what_the_presets_promise() {
        let economical = dollars_of("us.anthropic.claude-haiku-5-5", "generator");
        let thorough = dollars_of("us.anthropic.claude-sonnet-5-5", "generator");
        // For a hundred accepted ones two hundred are judged.
        let judging = dollars_of("us.anthropic.claude-haiku-5-5", "judge");
        println!("economical {economical:.2}, thorough {thorough:.2}, judging {judging:.2}");
        assert!(judging <= 0.20, "{judging}");
        assert!(economical + judging <= 6.0, "{economical}");
        assert!(thorough + judging <= 16.0, "{thorough}");
        assert!(economical > 0.5 && thorough > 5.0, "not priced");
    }
}
