//! What the tests of this crate share.

use annapurna_contract::plan::{Claim, MethodKind, Metric, Plan};

/// A plan that passes its check where the synthetic sets are there.
pub(crate) fn plan() -> Plan {
    let claim = |id: u8| Claim {
        id,
        text: format!("the update has part {id}"),
        from: format!("equation {id}"),
    };
    Plan {
        claim: "Bias correction makes the first steps useful.".to_owned(),
        kind: MethodKind::Optimizer,
        claims: (1..=5).map(claim).collect(),
        experiment: "Train one model by both.".to_owned(),
        dataset: "synthetic".to_owned(),
        baseline: "the same without correction".to_owned(),
        metric: Metric {
            name: "accuracy".to_owned(),
            higher_is_better: true,
        },
        seeds: vec![1],
        sizes: "two layers of 64".to_owned(),
        wanted_dataset: None,
    }
}
