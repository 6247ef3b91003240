//! How well the environment's model sees faults: right programs of classic papers, and the same with a fault planted.
//!
//! In: `infra/fidelity/cases.json` with the programs beside it. Out: for each program what was seen of its claims. Recall is
//! the share of planted faults whose claim was not marked present, precision the share of marks against a claim that were
//! of a planted fault.

use annapurna_contract::Function;
use annapurna_contract::answers::Examined;
use annapurna_contract::events::{Examine, GeneratorEvent};
use annapurna_contract::plan::{
    Claim, ClaimState, Edit, Edits, Fidelity, MethodKind, Metric, Plan,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Context, Target, invoke};
use crate::error::CommandError;
use crate::ui;

const CASES: &str = include_str!("../../../fidelity/cases.json");
/// The programs of the cases.
const PROGRAMS: [(&str, &str); 6] = [
    ("adam.py", include_str!("../../../fidelity/adam.py")),
    (
        "attention.py",
        include_str!("../../../fidelity/attention.py"),
    ),
    (
        "distillation.py",
        include_str!("../../../fidelity/distillation.py"),
    ),
    (
        "pondernet.py",
        include_str!("../../../fidelity/pondernet.py"),
    ),
    ("resnet.py", include_str!("../../../fidelity/resnet.py")),
    ("star.py", include_str!("../../../fidelity/star.py")),
];
/// Programs that are examined at a time.
const AT_ONCE: usize = 4;

/// A classic paper with a right program and faults to plant.
#[derive(Debug, Deserialize)]
struct Case {
    program: String,
    title: String,
    #[serde(rename = "abstract")]
    abstract_text: String,
    kind: MethodKind,
    claims: Vec<Claim>,
    faults: Vec<Fault>,
}

/// An edit of the right program, after which it lacks a claim.
#[derive(Debug, Deserialize)]
struct Fault {
    name: String,
    claim: u8,
    find: String,
    replace: String,
}

/// A program to examine, and the claim that it lacks.
#[derive(Debug)]
struct Trial {
    paper: String,
    fault: Option<String>,
    lacks: Option<u8>,
    event: Examine,
}

/// What was seen in it.
#[derive(Debug, Serialize)]
struct Seen {
    paper: String,
    /// `None`: the program is right.
    fault: Option<String>,
    /// The claim that it lacks.
    lacks: Option<u8>,
    /// Claims that were marked simplified or missing.
    marked: Vec<u8>,
    micro_dollars: u64,
}

/// What all of it comes to.
#[derive(Debug, PartialEq, Serialize)]
struct Score {
    faults: usize,
    caught: usize,
    /// Claims marked that are there.
    false_alarms: usize,
    recall: f64,
    /// `None` where nothing was marked.
    precision: Option<f64>,
    micro_dollars: u64,
}

pub(super) async fn run(cx: &Context, target: &Target, as_json: bool) -> Result<(), CommandError> {
    let trials = trials()?;
    let step = cx.ui.begin_counted("programs are examined", trials.len());
    let seen = stream::iter(trials).map(async |trial| examined(target, trial).await);
    let seen: Vec<Seen> = seen.buffered(AT_ONCE).try_collect().await?;
    drop(step);
    let score = score(&seen);
    if as_json {
        return cx
            .ui
            .json(&serde_json::json!({"programs": seen, "score": score}));
    }
    let rows: Vec<Vec<String>> = seen.iter().map(row).collect();
    let header = ["PAPER", "FAULT", "LACKS", "MARKED", "RIGHT"];
    cx.ui.result(ui::table(&header, &rows))?;
    let precision = score
        .precision
        .map_or("-".to_owned(), |it| format!("{it:.2}"));
    let usd = score.micro_dollars as f64 / 1e6;
    cx.ui.result(format!(
        "\n{} of {} faults seen, recall {:.2}, precision {precision}, {} false alarms, {usd:.3} USD",
        score.caught, score.faults, score.recall, score.false_alarms
    ))
}

fn row(seen: &Seen) -> Vec<String> {
    let number = |id: Option<u8>| id.map_or("-".to_owned(), |id| id.to_string());
    let marked: Vec<String> = seen.marked.iter().map(u8::to_string).collect();
    let is_right = seen.marked.iter().copied().eq(seen.lacks);
    vec![
        ui::one_line(&seen.paper, 40),
        seen.fault.clone().unwrap_or_else(|| "none".to_owned()),
        number(seen.lacks),
        if marked.is_empty() {
            "-".to_owned()
        } else {
            marked.join(" ")
        },
        if is_right { "yes" } else { "no" }.to_owned(),
    ]
}

/// Each right program, and each with one fault.
fn trials() -> Result<Vec<Trial>, CommandError> {
    let cases: Vec<Case> = serde_json::from_str(CASES)?;
    let mut trials = Vec::new();
    for case in cases {
        let found = PROGRAMS.iter().find(|(name, _)| *name == case.program);
        let broken = |why: &str| CommandError::Usage {
            problem: format!("{}: {why}", case.program),
            hint: "mend infra/fidelity/cases.json".to_owned(),
        };
        let (_, right) = found.ok_or_else(|| broken("no such program"))?;
        let trial = |fault: Option<&Fault>, code: String| Trial {
            paper: case.title.clone(),
            fault: fault.map(|it| it.name.clone()),
            lacks: fault.map(|it| it.claim),
            event: Examine {
                title: case.title.clone(),
                abstract_text: case.abstract_text.clone(),
                plan: plan(&case),
                code,
            },
        };
        trials.push(trial(None, (*right).to_owned()));
        for fault in &case.faults {
            let edit = Edit {
                find: fault.find.clone(),
                replace: fault.replace.clone(),
            };
            let edits = Edits {
                why: fault.name.clone(),
                edits: vec![edit],
            };
            let code = edits
                .apply(right)
                .map_err(|found| broken(&found.join("; ")))?;
            trials.push(trial(Some(fault), code));
        }
    }
    Ok(trials)
}

fn plan(case: &Case) -> Plan {
    Plan {
        claim: case.abstract_text.clone(),
        kind: case.kind,
        claims: case.claims.clone(),
        experiment: "only the method is shown".to_owned(),
        dataset: "synthetic".to_owned(),
        baseline: "none is shown".to_owned(),
        metric: Metric {
            name: "accuracy".to_owned(),
            higher_is_better: true,
        },
        seeds: vec![1],
        sizes: "as shown".to_owned(),
        wanted_dataset: None,
    }
}

async fn examined(target: &Target, trial: Trial) -> Result<Seen, CommandError> {
    let event = serde_json::to_value(GeneratorEvent::Examine(Box::new(trial.event)))?;
    let (cloud, environment) = (&target.cloud, &target.environment);
    let answer = invoke::invoke(cloud, environment, Function::Generator, &event).await?;
    let answer: Examined = serde_json::from_value(answer)?;
    Ok(Seen {
        paper: trial.paper,
        fault: trial.fault,
        lacks: trial.lacks,
        marked: marked(&answer.fidelity),
        micro_dollars: answer.spent.micro_dollars,
    })
}

fn marked(fidelity: &Fidelity) -> Vec<u8> {
    let against = fidelity
        .claims
        .iter()
        .filter(|it| it.state != ClaimState::Present);
    against.map(|it| it.id).collect()
}

fn score(seen: &[Seen]) -> Score {
    let faults = seen.iter().filter(|it| it.lacks.is_some()).count();
    let is_caught = |it: &&Seen| it.lacks.is_some_and(|claim| it.marked.contains(&claim));
    let caught = seen.iter().filter(is_caught).count();
    let marks: usize = seen.iter().map(|it| it.marked.len()).sum();
    Score {
        faults,
        caught,
        false_alarms: marks - caught,
        recall: caught as f64 / faults.max(1) as f64,
        precision: (marks > 0).then(|| caught as f64 / marks as f64),
        micro_dollars: seen.iter().map(|it| it.micro_dollars).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_right_program_and_faults_that_change_it() {
        let trials = trials().unwrap();
        assert!(trials.len() > 20, "{}", trials.len());
        let right: Vec<&Trial> = trials.iter().filter(|it| it.fault.is_none()).collect();
        assert_eq!(right.len(), PROGRAMS.len());
        for trial in &trials {
            let Trial { paper, event, .. } = trial;
            assert_eq!(event.plan.check(&["synthetic"]), Ok(()), "{paper}");
            let ids: Vec<u8> = event.plan.claims.iter().map(|it| it.id).collect();
            assert!(
                trial.lacks.is_none_or(|claim| ids.contains(&claim)),
                "{paper}"
            );
            let of_paper = right.iter().find(|it| it.paper == *paper).unwrap();
            assert_eq!(trial.fault.is_none(), event.code == of_paper.event.code);
        }
    }

    #[test]
    fn what_is_seen_is_scored() {
        let seen = |lacks: Option<u8>, marked: &[u8]| Seen {
            paper: "Adam".to_owned(),
            fault: lacks.map(|_| "wrong sign".to_owned()),
            lacks,
            marked: marked.to_vec(),
            micro_dollars: 1_000,
        };
        let all = [
            seen(None, &[]),
            seen(None, &[3]),
            seen(Some(5), &[5]),
            seen(Some(4), &[2, 4]),
            seen(Some(1), &[]),
        ];
        let score = score(&all);
        assert_eq!((score.faults, score.caught, score.false_alarms), (3, 2, 2));
        assert_eq!(score.precision, Some(0.5));
        assert!((score.recall - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(score.micro_dollars, 5_000);
        assert_eq!(row(&all[2])[2..], ["5", "5", "yes"]);
        assert_eq!(row(&all[3])[2..], ["4", "2 4", "no"]);
    }
}
