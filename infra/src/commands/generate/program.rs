//! What is stored of a paper's program, for people: its plan and what it has of the plan's claims.

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::answers::GeneratorAnswer;
use annapurna_contract::plan::{ClaimState, Fidelity, Plan};
use annapurna_contract::status::GeneratedStatus;
use annapurna_contract::{Bucket, PaperId, keys};
use annapurna_stack::outputs::Output;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::error::CommandError;
use crate::ui;

/// Largest program or metadata that is read, bytes.
pub(super) const OBJECT_LIMIT: u64 = 1 << 20;

/// The part of a program's `metadata.json` that people are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(skip_serializing)]
    pub(super) paper_id: PaperId,
    /// SHA-256 of the program; empty where there is none.
    #[serde(default)]
    pub(super) code_sha256: String,
    /// State, findings, plan, examination and cost.
    #[serde(default)]
    status: GeneratedStatus,
}

impl Stored {
    /// What a deployed environment has of a paper's program; `None` where nothing is, or nothing that can be read.
    ///
    /// # Errors
    ///
    /// When S3 does not answer.
    pub(crate) async fn of(target: &Target, paper: &PaperId) -> Result<Option<Self>, CommandError> {
        let bucket = target
            .deployed
            .outputs
            .get(Output::BucketName(Bucket::Code))?;
        let objects = S3::new(&target.cloud.config);
        let key = keys::code_metadata(paper);
        let json = objects.get(bucket, &key, OBJECT_LIMIT).await?;
        Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    fn plan(&self) -> Option<Plan> {
        serde_json::from_value(self.status.plan.clone()?).ok()
    }

    fn fidelity(&self) -> Option<Fidelity> {
        serde_json::from_value(self.status.fidelity.clone()?).ok()
    }

    /// How many claims are present, simplified and missing: `4/1/0`.
    pub(super) fn claims(&self) -> Option<String> {
        let fidelity = self.fidelity()?;
        let states = [
            ClaimState::Present,
            ClaimState::Simplified,
            ClaimState::Missing,
        ];
        let counts = states.map(|state| fidelity.count(state).to_string());
        Some(counts.join("/"))
    }

    pub(super) fn dataset(&self) -> Option<String> {
        Some(ui::one_line(&self.plan()?.dataset, 40))
    }

    /// What its plan, program, edits and examination cost, US dollars.
    pub(super) fn usd(&self) -> f64 {
        let micro_dollars = self.status.micro_dollars.unwrap_or(0);
        micro_dollars as f64 / 1e6
    }

    /// The plan, a field a line, then each claim with what the program has of it; `None` without a plan.
    pub(crate) fn in_words(&self) -> Option<String> {
        let plan = self.plan()?;
        let fidelity = self.fidelity();
        let row = |name: &str, value: &str| vec![name.to_owned(), ui::one_line(value, 400)];
        let rows = [
            row("claim", &plan.claim),
            row("experiment", &plan.experiment),
            row("baseline", &plan.baseline),
            row("data set", &plan.dataset),
        ];
        let claims: Vec<Vec<String>> = plan
            .claims
            .iter()
            .map(|claim| {
                let seen = fidelity.as_ref();
                let seen = seen.and_then(|it| it.claims.iter().find(|it| it.id == claim.id));
                let state = seen.map_or("not examined", |it| it.state.as_str());
                let lines = seen.and_then(|it| it.lines);
                let lines = lines.map(|(first, last)| format!("{first}-{last}"));
                vec![
                    claim.id.to_string(),
                    state.to_owned(),
                    lines.unwrap_or_else(|| "-".to_owned()),
                    ui::one_line(&claim.text, 200),
                ]
            })
            .collect();
        let plan = ui::table(&["PLAN", ""], &rows);
        let claims = ui::table(
            &["CLAIM", "PROGRAM HAS IT", "LINES", "WHAT THE PAPER SAYS"],
            &claims,
        );
        Some(format!("{plan}\n\n{claims}"))
    }
}

/// What is stored of the papers of an answer that have a program.
///
/// # Errors
///
/// When S3 does not answer.
pub(super) async fn of(
    target: &Target,
    answer: &GeneratorAnswer,
) -> Result<Vec<Stored>, CommandError> {
    let mut found = Vec::new();
    for program in answer.generated.iter().chain(&answer.already) {
        if let Ok(paper) = PaperId::try_from(program.paper_id.clone()) {
            found.extend(Stored::of(target, &paper).await?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_claim_is_shown_with_what_the_program_has_of_it() {
        let claim = |id: u8| json!({"id": id, "text": format!("part\n{id}"), "from": "equation 1"});
        let stored: Stored = serde_json::from_value(json!({
            "paper_id": "0123456789abcdef0123456789abcdef", "code_sha256": "aa", "model_id": "m",
            "status": {
                "state": "checked", "micro_dollars": 60_000,
                "plan": {
                    "claim": "it helps", "kind": "other", "claims": [claim(1), claim(2)],
                    "experiment": "try", "dataset": "synthetic", "baseline": "nothing",
                    "metric": {"name": "accuracy", "higher_is_better": true}, "seeds": [1], "sizes": "small",
                },
                "fidelity": {"claims": [{"id": 1, "state": "present", "lines": [3, 4], "why": "it is there"}]},
            },
        }))
        .unwrap();
        assert_eq!(stored.claims().as_deref(), Some("1/0/0"));
        assert!((stored.usd() - 0.06).abs() < 1e-9);
        let words = stored.in_words().unwrap();
        assert!(
            words.contains("present") && words.contains("3-4"),
            "{words}"
        );
        assert!(
            words.contains("not examined") && words.contains("part 2"),
            "{words}"
        );
    }
}
