//! The judge's answer by its rubric, and the decision that follows from the scores in it.
//!
//! The rubric's words are the judge's (`functions/papers-judge/prompts`); what is here is what the judge, the
//! offline rules and `infra` have to agree on.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Decision, Question};

/// The lowest score with which a paper passes a criterion; every one has to be passed.
pub const PASSES_FROM: u8 = 6;
/// The highest score with which a paper fails a criterion; one is enough. What lies between is not decided.
pub const FAILS_TO: u8 = 4;
/// The lowest confidence with which anything is decided.
pub const SURE_FROM: u8 = 5;

/// Begins a known paper in the judge's question: `similarity 0.912: ` and its JSON as data.
pub const KNOWN_OPEN: &str = "<known>";
/// Ends a known paper there.
pub const KNOWN_CLOSE: &str = "</known>";
/// Stands before the cosine similarity, -1 to 1.
pub const SIMILARITY: &str = "similarity ";

/// The highest similarity of the known papers that a question shows; `None` where it shows none that has one.
pub fn nearest_shown(question: &str) -> Option<f64> {
    let shown = question.split(KNOWN_OPEN).skip(1);
    let similarities = shown.filter_map(|known| {
        let (number, _) = known.strip_prefix(SIMILARITY)?.split_once(':')?;
        number.parse::<f64>().ok()
    });
    similarities.reduce(f64::max)
}

/// The three criteria, each 1 (not at all) to 10 (entirely).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    /// It trains or runs neural networks, by a concrete method that can be implemented.
    pub relevance: u8,
    /// It is none of the papers that are known, and says something new.
    pub novelty: u8,
    /// A small version of it can be tested on one NeuronCore within hours.
    pub fit: u8,
}

impl Scores {
    /// Each score with what it is about.
    pub fn named(self) -> [(Question, u8); 3] {
        [
            (Question::Relevance, self.relevance),
            (Question::Novelty, self.novelty),
            (Question::Fit, self.fit),
        ]
    }

    /// The decision that follows from them: reject with one score up to 4, accept with all from 6 on, otherwise and
    /// with a confidence below 5 undecided.
    pub fn decision(self, confidence: u8) -> Decision {
        let scores = self.named().map(|(_, score)| score);
        if confidence < SURE_FROM {
            Decision::Undecided
        } else if scores.iter().any(|score| *score <= FAILS_TO) {
            Decision::Reject
        } else if scores.iter().all(|score| *score >= PASSES_FROM) {
            Decision::Accept
        } else {
            Decision::Undecided
        }
    }

    /// The criterion with the lowest score, the first of equal ones.
    pub fn weakest(self) -> Question {
        let [relevance, novelty, fit] = self.named();
        let lower = |one: (Question, u8), other: (Question, u8)| match other.1 < one.1 {
            true => other,
            false => one,
        };
        lower(lower(relevance, novelty), fit).0
    }
}

/// What the model says of a paper: the reason before the scores, the decision last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Why, in two or three sentences about this very paper.
    pub reason: String,
    /// The three criteria.
    #[serde(flatten)]
    pub scores: Scores,
    /// How sure it is of the scores, 1 to 10.
    pub confidence: u8,
    /// What [`Scores::decision`] makes of them.
    pub decision: Decision,
}

impl Assessment {
    /// What its types cannot say is wrong with it: a number out of range, or a decision that does not follow from the
    /// scores. In words for the model.
    pub fn problems(&self) -> Vec<String> {
        let named = self.scores.named();
        let scores = named.iter().map(|(name, score)| (name.as_str(), *score));
        let mut problems: Vec<String> = scores
            .chain([("confidence", self.confidence)])
            .filter(|(_, number)| !(1..=10).contains(number))
            .map(|(name, number)| format!("`{name}` must be 1 to 10, got {number}"))
            .collect();
        let follows = self.scores.decision(self.confidence);
        if problems.is_empty() && self.decision != follows {
            problems.push(format!(
                "`decision` must be `{follows}`, which is what the scores and the confidence say by the rule, got \
                 another word: correct whichever of them is wrong"
            ));
        }
        problems
    }
}

/// JSON schema of [`Assessment`]. `required` names the order in which the fields are to be written.
pub fn assessment_schema() -> Value {
    let number = |what: &str| json!({"type": "integer", "description": format!("{what}; 1 to 10")});
    json!({
        "type": "object",
        "properties": {
            "reason": {
                "type": "string",
                "description": "written first: two or three sentences of your own on this paper's method and on each criterion",
            },
            "relevance": number("trains or runs neural networks by a concrete method that can be implemented"),
            "novelty": number("is none of the known papers and says something new"),
            "fit": number("a small version can be tested on one NeuronCore within hours"),
            "confidence": number("how sure you are of the three scores"),
            "decision": {
                "type": "string",
                "enum": ["accept", "reject", "undecided"],
                "description": "written last, by the rule",
            },
        },
        "required": ["reason", "relevance", "novelty", "fit", "confidence", "decision"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(relevance: u8, novelty: u8, fit: u8) -> Scores {
        Scores {
            relevance,
            novelty,
            fit,
        }
    }

    #[test]
    fn the_decision_follows_from_the_scores() {
        use Decision::{Accept, Reject, Undecided};
        for (scores, confidence, decision) in [
            (scores(6, 6, 6), 5, Accept),
            (scores(10, 10, 10), 10, Accept),
            (scores(10, 10, 5), 10, Undecided),
            (scores(10, 4, 10), 10, Reject),
            (scores(4, 5, 5), 5, Reject),
            (scores(10, 10, 10), 4, Undecided),
            (scores(1, 1, 1), 4, Undecided),
        ] {
            assert_eq!(scores.decision(confidence), decision, "{scores:?}");
        }
        assert_eq!(scores(4, 4, 3).weakest(), Question::Fit);
        assert_eq!(scores(4, 4, 4).weakest(), Question::Relevance);
        assert_eq!(scores(7, 4, 4).weakest(), Question::Novelty);
    }

    #[test]
    fn a_number_out_of_range_and_a_decision_that_does_not_follow_are_problems() {
        let good = Assessment {
            reason: "It trains.".to_owned(),
            scores: scores(8, 8, 8),
            confidence: 8,
            decision: Decision::Accept,
        };
        assert_eq!(good.problems(), Vec::<String>::new());
        for decision in [
            Decision::Reject,
            Decision::Undecided,
            Decision::Other("yes".to_owned()),
        ] {
            let bad = Assessment {
                decision,
                ..good.clone()
            };
            let [problem] = bad.problems().try_into().unwrap();
            assert!(problem.contains("`accept`"), "{problem}");
        }
        let bad = Assessment {
            scores: scores(0, 11, 8),
            confidence: 255,
            ..good
        };
        let problems = bad.problems().join("; ");
        assert_eq!(
            problems,
            "`relevance` must be 1 to 10, got 0; `novelty` must be 1 to 10, got 11; `confidence` must be 1 to 10, got 255"
        );
    }

    #[test]
    fn the_nearest_known_paper_is_read_out_of_a_question() {
        let known = |likeness: &str| format!("{KNOWN_OPEN}{likeness}: {{}}{KNOWN_CLOSE}\n");
        let text = ["similarity 0.861", "the same title", "similarity 0.934"].map(known);
        assert_eq!(nearest_shown(&text.concat()), Some(0.934));
        assert_eq!(nearest_shown(&text[1]), None);
        assert_eq!(nearest_shown("similarity 0.9: no mark"), None);
    }

    #[test]
    fn the_schema_has_the_fields_of_the_answer() {
        let answer = Assessment {
            reason: "It trains.".to_owned(),
            scores: scores(8, 8, 8),
            confidence: 8,
            decision: Decision::Accept,
        };
        let json = serde_json::to_value(&answer).unwrap();
        let schema = assessment_schema();
        let keys =
            |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(keys(&json), keys(&schema["properties"]));
        assert_eq!(serde_json::from_value::<Assessment>(json).unwrap(), answer);
    }
}
