//! The judge against labels: precision, recall, confusion and cost, so that a change of prompt or model is measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use annapurna_contract::model::PaperText;
use annapurna_contract::rubric::Scores;
use annapurna_contract::{Decision, Spent};
use annapurna_local::model;
use annapurna_runtime::{Failed, Model};
use annapurna_stack::environment::Environment;
use futures::{StreamExt, stream};
use papers_judge::rubric::{PROMPT_VERSION, Rubric};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::dollars;
use crate::cloud::Cloud;
use crate::commands::{Context, EnvironmentArg};
use crate::error::CommandError;
use crate::{local, ui};

/// Papers that are asked about at once.
const AT_ONCE: usize = 4;
/// Longest time for one paper: a small model on a processor takes minutes.
const LONGEST: Duration = Duration::from_secs(900);
/// What stands in the table for a paper that the model gave no usable answer about.
const NO_ANSWER: &str = "no answer";

/// Measure the judge's prompt with an environment's model against labelled papers
///
/// Nothing has to be deployed and nothing is stored; a model in AWS costs what it costs. FILE has a JSON object a line:
/// `{"title": …, "abstract": …, "label": "accept" | "reject" | "undecided"}`. No known papers are shown, so novelty is
/// judged from the paper alone.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct EvalArgs {
    /// Labels, a JSON object a line
    file: PathBuf,
    /// Environment whose model is asked and whose topic is meant
    #[arg(long, default_value = "local", value_name = "ENV")]
    environment: EnvironmentName,
    /// Print JSON, with every paper that was decided otherwise
    #[arg(long)]
    json: bool,
}

/// An [`EnvironmentArg`] as an option.
#[derive(Debug, Clone)]
struct EnvironmentName(EnvironmentArg);

impl From<&str> for EnvironmentName {
    fn from(name: &str) -> Self {
        Self(EnvironmentArg {
            environment: name.to_owned(),
        })
    }
}

impl EvalArgs {
    pub(in crate::commands) const fn environment(&self) -> &EnvironmentArg {
        &self.environment.0
    }
}

/// A paper with the decision that a reader made by the rubric.
#[derive(Debug, Clone, Deserialize)]
struct Labelled {
    #[serde(default)]
    id: Option<String>,
    title: String,
    #[serde(default, rename = "abstract")]
    abstract_text: Option<String>,
    label: Label,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Label {
    Accept,
    Reject,
    Undecided,
}

impl Label {
    const ALL: [Self; 3] = [Self::Accept, Self::Reject, Self::Undecided];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Undecided => "undecided",
        }
    }
}

/// What came of one paper.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    id: Option<String>,
    title: String,
    label: Label,
    /// The decision's word, or [`NO_ANSWER`].
    decision: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    scores: Option<Scores>,
    reason: String,
    #[serde(skip)]
    spent: Spent,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    prompt_version: &'static str,
    model: String,
    papers: usize,
    without_abstract: usize,
    /// Of the papers that it accepted, the part that is labelled so; `None` where it accepted none.
    precision: Option<f64>,
    /// Of the papers that are labelled `accept`, the part that it accepted.
    recall: Option<f64>,
    /// By label, then by decision.
    confusion: BTreeMap<&'static str, BTreeMap<String, usize>>,
    spent: Spent,
    decided_otherwise: Vec<Outcome>,
}

pub(super) async fn run(cx: &Context, args: EvalArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(args.environment())?;
    let labelled = labelled(&args.file)?;
    let without_abstract = labelled
        .iter()
        .filter(|paper| paper.abstract_text.is_none())
        .count();
    if without_abstract > 0 {
        cx.ui.warn(format!(
            "{without_abstract} of {} papers have no abstract and are judged by their titles",
            labelled.len()
        ));
    }
    let asked = Asked::of(&environment).await?;
    let step = cx
        .ui
        .begin_counted(format!("{} judges", asked.label), labelled.len());
    let mut answers = stream::iter(labelled)
        .map(|paper| asked.about(paper))
        .buffered(AT_ONCE);
    let mut outcomes = Vec::new();
    while let Some(outcome) = answers.next().await {
        outcomes.push(outcome);
        step.reached(outcomes.len());
    }
    drop(answers);
    drop(step);
    let report = report(asked.label, without_abstract, outcomes);
    match args.json {
        true => cx.ui.json(&report)?,
        false => cx.ui.result(in_words(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn labelled(file: &Path) -> Result<Vec<Labelled>, CommandError> {
    let text = std::fs::read_to_string(file).map_err(CommandError::file("read", file))?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| CommandError::Usage {
            problem: format!("{}, line {}: {error}", file.display(), number + 1),
            hint: "a line is {\"title\": …, \"abstract\": …, \"label\": \"accept\"}".to_owned(),
        })
    });
    let read: Vec<Labelled> = read.collect::<Result<_, _>>()?;
    match read.is_empty() {
        true => Err(CommandError::Usage {
            problem: format!("{} has no labels", file.display()),
            hint: "functions/papers-judge/labels has some, and says how to add the abstracts"
                .to_owned(),
        }),
        false => Ok(read),
    }
}

/// A model with the rubric of an environment.
struct Asked {
    model: Model,
    model_id: String,
    /// Who answers.
    label: String,
    rubric: Rubric,
}

impl Asked {
    /// The environment's own model; that of `local` is served by this process.
    async fn of(environment: &Environment) -> Result<Self, CommandError> {
        let model_id = environment.judge_model().to_owned();
        let (url, label) = match environment.local() {
            None => (None, model_id.clone()),
            Some(settings) => {
                let backend = local::backend(&settings.model)?;
                let label = backend.label();
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let url = format!("http://{}", listener.local_addr()?);
                // It ends with this process.
                tokio::spawn(model::serve(listener, backend));
                (Some(url), label)
            }
        };
        let cloud = Cloud::connect(environment, url.as_deref()).await;
        Ok(Self {
            model: Model::new(&cloud.config),
            model_id,
            label,
            rubric: Rubric::new(environment.topic()),
        })
    }

    async fn about(&self, paper: Labelled) -> Outcome {
        let text = PaperText {
            title: paper.title.clone(),
            abstract_text: paper.abstract_text.unwrap_or_default(),
            body: String::new(),
        };
        let of = |decision: &str, scores, reason: &str, spent| Outcome {
            id: paper.id.clone(),
            title: paper.title.clone(),
            label: paper.label,
            decision: decision.to_owned(),
            scores,
            reason: ui::one_line(reason, 400),
            spent,
        };
        let question = match self.rubric.question(&text, &[]) {
            Ok(question) => question,
            Err(error) => return of(NO_ANSWER, None, &error.to_string(), Spent::default()),
        };
        let deadline = Instant::now() + LONGEST;
        match question
            .ask(&self.model, &self.model_id, None, deadline)
            .await
        {
            Ok(answer) => {
                let said = answer.value;
                of(
                    said.decision.as_str(),
                    Some(said.scores),
                    &said.reason,
                    answer.spent,
                )
            }
            Err(Failed { error, spent }) => of(NO_ANSWER, None, &error.to_string(), spent),
        }
    }
}

fn report(model: String, without_abstract: usize, outcomes: Vec<Outcome>) -> Report {
    let count = |label: Label, decision: &str| {
        let is_it = |it: &&Outcome| it.label == label && it.decision == decision;
        outcomes.iter().filter(is_it).count()
    };
    let words = [Decision::Accept, Decision::Reject, Decision::Undecided];
    let words: Vec<&str> = words
        .iter()
        .map(Decision::as_str)
        .chain([NO_ANSWER])
        .collect();
    let row = |label: Label| {
        let counts = words
            .iter()
            .map(|word| ((*word).to_owned(), count(label, word)));
        (label.as_str(), counts.collect())
    };
    let accept = Label::Accept.as_str();
    let right = count(Label::Accept, accept);
    let accepted = outcomes.iter().filter(|it| it.decision == accept).count();
    let wanted = outcomes.iter().filter(|it| it.label == Label::Accept);
    Report {
        prompt_version: PROMPT_VERSION,
        model,
        papers: outcomes.len(),
        without_abstract,
        precision: part(right, accepted),
        recall: part(right, wanted.count()),
        confusion: Label::ALL.into_iter().map(row).collect(),
        spent: outcomes.iter().map(|it| it.spent).sum(),
        decided_otherwise: outcomes
            .into_iter()
            .filter(|it| it.decision != it.label.as_str())
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of papers")]
fn part(right: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| right as f64 / of as f64)
}

fn in_words(report: &Report) -> String {
    let part = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| format!("{it:.3}"));
    let header = ["LABEL", "ACCEPT", "REJECT", "UNDECIDED", "NO ANSWER"];
    let rows: Vec<Vec<String>> = report
        .confusion
        .iter()
        .map(|(label, counts)| {
            let words = ["accept", "reject", "undecided", NO_ANSWER];
            let counts = words.map(|word| counts.get(word).copied().unwrap_or(0).to_string());
            std::iter::once((*label).to_owned()).chain(counts).collect()
        })
        .collect();
    let papers = u64::try_from(report.papers).unwrap_or(u64::MAX).max(1);
    let spent = report.spent;
    format!(
        "{} by prompt {}, {} papers\n{}\nprecision {}, recall {} of `accept`\n{} calls, {} tokens asked, {} answered; {}, {} \
         per 100 papers",
        report.model,
        report.prompt_version,
        report.papers,
        ui::table(&header, &rows),
        part(report.precision),
        part(report.recall),
        spent.calls,
        spent.input_tokens + spent.cache_read_tokens + spent.cache_write_tokens,
        spent.output_tokens,
        dollars(spent.micro_dollars),
        dollars(spent.micro_dollars.saturating_mul(100) / papers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(label: Label, decision: &str) -> Outcome {
        Outcome {
            id: None,
            title: "Adam".to_owned(),
            label,
            decision: decision.to_owned(),
            scores: None,
            reason: String::new(),
            spent: Spent {
                calls: 1,
                micro_dollars: 30,
                ..Spent::default()
            },
        }
    }

    #[test]
    fn what_is_not_accepted_is_no_recall_and_what_is_wrongly_accepted_no_precision() {
        let outcomes = vec![
            outcome(Label::Accept, "accept"),
            outcome(Label::Accept, "undecided"),
            outcome(Label::Accept, NO_ANSWER),
            outcome(Label::Reject, "accept"),
            outcome(Label::Reject, "reject"),
            outcome(Label::Undecided, "undecided"),
        ];
        let report = report("rules".to_owned(), 0, outcomes);
        assert_eq!(report.precision, Some(0.5));
        assert!(
            report
                .recall
                .is_some_and(|it| (it - 1.0 / 3.0).abs() < 1e-9)
        );
        assert_eq!(report.confusion["accept"][NO_ANSWER], 1);
        assert_eq!(report.confusion["reject"]["accept"], 1);
        assert_eq!(report.decided_otherwise.len(), 3);
        assert_eq!(report.spent.calls, 6);
        let words = in_words(&report);
        assert!(words.contains("precision 0.500, recall 0.333"), "{words}");
        assert!(
            words.contains("$0.000180, $0.003000 per 100 papers"),
            "{words}"
        );
    }

    #[test]
    fn nothing_accepted_has_no_precision() {
        let report = report(
            "rules".to_owned(),
            0,
            vec![outcome(Label::Accept, "reject")],
        );
        assert_eq!((report.precision, report.recall), (None, Some(0.0)));
        assert!(in_words(&report).contains("precision -, recall 0.000"));
    }
}
