use super::*;

fn plan() -> Plan {
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
        seeds: vec![1, 2],
        sizes: "two layers of 64".to_owned(),
        wanted_dataset: None,
    }
}

fn problems(change: impl Fn(&mut Plan)) -> String {
    let mut changed = plan();
    change(&mut changed);
    changed.check(&["synthetic"]).unwrap_err().join("; ")
}

#[test]
fn a_plan_is_read_back_and_has_its_schema() {
    assert_eq!(plan().check(&["mnist", "synthetic"]), Ok(()));
    let json = serde_json::to_value(plan()).unwrap();
    assert_eq!(json["kind"], "optimizer");
    let schema = plan_schema(&["synthetic"]);
    for name in schema["required"].as_array().unwrap() {
        assert!(json.get(name.as_str().unwrap()).is_some(), "{name}");
    }
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan());
}

#[test]
fn a_plan_that_says_nothing_is_refused_by_each_rule() {
    assert!(problems(|it| it.claim = "][".to_owned()).contains("`claim` says nothing"));
    assert!(problems(|it| it.baseline.clear()).contains("`baseline` says nothing"));
    assert!(problems(|it| it.sizes = "x".repeat(1_001)).contains("1001 characters"));
    assert!(problems(|it| it.dataset = "imagenet".to_owned()).contains("one of synthetic"));
    assert!(problems(|it| drop(it.claims.pop())).contains("5 to 10, there are 4"));
    assert!(problems(|it| it.claims[1].id = 1).contains("the id of claim 2"));
    assert!(problems(|it| it.claims[0].from.clear()).contains("where it comes from"));
    assert!(
        problems(|it| it.claims[3].text = it.claims[0].text.to_uppercase()).contains("the same")
    );
    assert!(problems(|it| it.seeds.clear()).contains("`seeds`"));
    assert!(problems(|it| it.seeds = vec![0; 6]).contains("`seeds`"));
}

#[test]
fn fidelity_marks_each_claim_once_with_lines_that_are_there() {
    let seen = |id, state, lines| ClaimSeen {
        id,
        state,
        lines,
        why: "line 3 does it".to_owned(),
    };
    let good = Fidelity {
        claims: vec![
            seen(1, ClaimState::Present, Some((3, 3))),
            seen(2, ClaimState::Simplified, Some((1, 9))),
            seen(3, ClaimState::Missing, None),
            seen(4, ClaimState::Present, Some((9, 9))),
            seen(5, ClaimState::Missing, Some((0, 0))),
        ],
    };
    assert_eq!(good.check(&plan(), 9), Ok(()));
    assert_eq!(good.count(ClaimState::Missing), 2);
    let refused = |change: &dyn Fn(&mut Fidelity)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.check(&plan(), 9).unwrap_err().join("; ")
    };
    assert!(refused(&|it| drop(it.claims.pop())).contains("each claim"));
    assert!(refused(&|it| it.claims.swap(0, 1)).contains("each claim"));
    assert!(refused(&|it| it.claims[0].lines = None).contains("in which lines"));
    for lines in [(0, 3), (4, 3), (3, 10)] {
        assert!(refused(&|it| it.claims[0].lines = Some(lines)).contains("from 1 to 9"));
    }
    assert!(refused(&|it| it.claims[2].why = "2018-07-30".to_owned()).contains("says nothing"));
}

#[test]
fn edits_have_one_place_each() {
    let edits = |edits: &[(&str, &str)]| Edits {
        why: "it was wrong".to_owned(),
        edits: edits
            .iter()
            .map(|(find, replace)| Edit {
                find: (*find).to_owned(),
                replace: (*replace).to_owned(),
            })
            .collect(),
    };
    let code = "a = 1\nb = 1\n";
    let mended = edits(&[("a = 1", "a = 2"), ("a = 2\n", "")]).apply(code);
    assert_eq!(mended.as_deref(), Ok("b = 1\n"));
    for (bad, said) in [
        (edits(&[]), "1 to 40"),
        (edits(&[("= 1", "= 2")]), "occurs 2 times"),
        (edits(&[("c", "d")]), "occurs 0 times"),
        (edits(&[("", "d")]), "occurs 0 times"),
        (edits(&[("a = 1", "a = 1")]), "change nothing"),
    ] {
        let problems = bad.apply(code).unwrap_err().join("; ");
        assert!(problems.contains(said), "{problems}");
    }
}
