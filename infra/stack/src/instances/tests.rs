use std::path::Path;

use serde_json::json;

use super::*;
use crate::pipeline;
use crate::plan::{ChangeSetAction, ChangeSetEntry, Impact, Replacement, changes};
use crate::validate::violations;

fn environment(name: &str, lines: &str) -> Environment {
    let path = format!(
        "{}/../../environments/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[trainium]", &format!("[trainium]\n{lines}"));
    Environment::parse(name, Path::new(&path), &text).unwrap()
}

fn slots(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<Slot> {
    numbers.into_iter().map(Slot).collect()
}

/// Instances with these numbers and versions of the launch template, in one subnet.
fn instances(each: &[(u32, &str)]) -> Instances {
    let placement = |version: &str| Placement {
        version: version.to_owned(),
        subnet_id: "subnet-a".to_owned(),
    };
    Instances {
        vpc_id: "vpc-1".to_owned(),
        launch_template_id: "lt-1".to_owned(),
        each: each
            .iter()
            .map(|(number, version)| (Slot(*number), placement(version)))
            .collect(),
    }
}

fn wanted(numbers: impl IntoIterator<Item = u32>) -> Wanted<'static> {
    Wanted {
        slots: slots(numbers),
        launch_template_id: "lt-1",
        version: Some("3"),
        vpc_id: "vpc-1",
        subnet_id: None,
        gone: BTreeSet::new(),
        replace: false,
    }
}

#[test]
fn the_instances_are_this_stack_and_none_of_the_pipelines() {
    let environment = environment("prod", "instances = 2");
    let template = stack(&environment, &Slot::of(&environment));
    assert_eq!(violations(&template), []);
    insta::assert_json_snapshot!("template_prod_instances", template.to_json().unwrap());
    let pipeline = pipeline::stack(&environment).unwrap().to_json().unwrap();
    let text = pipeline.to_string();
    for kind in ["AWS::EC2::Instance\"", "AWS::EC2::SecurityGroup"] {
        assert!(!text.contains(kind), "{kind}");
    }
}

#[test]
fn a_stack_without_an_instance_keeps_its_firewall() {
    let environment = environment("dev", "");
    let template = stack(&environment, &BTreeSet::new()).to_json().unwrap();
    let resources = template["Resources"].as_object().unwrap();
    assert_eq!(resources.keys().collect::<Vec<_>>(), ["TrainiumFirewall"]);
}

#[test]
fn what_is_deployed_is_read_as_it_was_written() {
    let environment = environment("dev", "");
    for each in [&[][..], &[(1, "3")], &[(1, "3"), (10, "4")]] {
        let instances = instances(each);
        let deployment = instances.deployment(&environment).unwrap();
        assert_eq!(Instances::of(&deployment), Some(instances));
    }
    let mut odd = instances(&[(1, "3")]).deployment(&environment).unwrap();
    odd.parameters.remove("TrainiumInstance1Version");
    assert_eq!(Instances::of(&odd), None);
    for id in [
        "TrainiumInstanceB",
        "TrainiumInstance01",
        "TrainiumInstance0",
    ] {
        let mut odd = instances(&[(1, "3")]).deployment(&environment).unwrap();
        odd.template["Resources"][id] = json!({"Type": "AWS::EC2::Instance"});
        assert_eq!(Instances::of(&odd), None, "{id}");
    }
    assert_eq!(Instances::of(&Deployment::none()), None);
}

#[test]
fn an_environment_has_as_many_instances_as_its_file_says() {
    assert_eq!(Slot::of(&environment("prod", "")), slots([1]));
    assert_eq!(
        Slot::of(&environment("prod", "instances = 3")),
        slots(1..=3)
    );
    let own = "instances = 0\ninstance-id = \"i-0123456789abcdef0\"";
    assert_eq!(Slot::of(&environment("prod", own)), slots([]));
    assert_eq!(Slot::of(&environment("local", "")), slots([]));
}

#[test]
fn what_is_missing_comes_and_what_is_too_many_goes() {
    let current = instances(&[(1, "3")]);
    let between = |current: Option<&Instances>, numbers: &[u32]| {
        let steps = Steps::between(current, &wanted(numbers.iter().copied()));
        (steps.remove, steps.add)
    };
    assert_eq!(between(None, &[1, 2]), (slots([]), slots([1, 2])));
    assert_eq!(between(Some(&current), &[1]), (slots([]), slots([])));
    assert_eq!(between(Some(&current), &[1, 2]), (slots([]), slots([2])));
    assert_eq!(between(Some(&current), &[]), (slots([1]), slots([])));
}

#[test]
fn a_newer_launch_template_replaces_an_instance_only_when_asked() {
    let current = instances(&[(1, "2"), (2, "3")]);
    let kept = Steps::between(Some(&current), &wanted([1, 2]));
    assert!(kept.is_empty());
    assert_eq!(kept.outdated, slots([1]));
    let asked = Wanted {
        replace: true,
        ..wanted([1, 2])
    };
    let replaced = Steps::between(Some(&current), &asked);
    assert_eq!(
        replaced,
        Steps {
            remove: slots([1]),
            add: slots([1]),
            outdated: slots([]),
        }
    );
    // Run again after that, nothing is left to do.
    let current = instances(&[(1, "3"), (2, "3")]);
    assert!(Steps::between(Some(&current), &asked).is_empty());
}

#[test]
fn whatever_an_instance_would_be_made_differently_by_makes_it_outdated() {
    let current = instances(&[(1, "3")]);
    let others = [
        Wanted {
            version: None,
            ..wanted([1])
        },
        Wanted {
            launch_template_id: "lt-2",
            ..wanted([1])
        },
        Wanted {
            vpc_id: "vpc-2",
            ..wanted([1])
        },
        Wanted {
            subnet_id: Some("subnet-b"),
            ..wanted([1])
        },
    ];
    for other in others {
        let steps = Steps::between(Some(&current), &other);
        assert!(steps.is_empty(), "{other:?}");
        assert_eq!(steps.outdated, slots([1]), "{other:?}");
    }
}

#[test]
fn an_instance_that_somebody_ended_is_made_anew() {
    let current = instances(&[(1, "3"), (2, "3")]);
    let wanted = Wanted {
        gone: slots([2]),
        ..wanted([1, 2])
    };
    let steps = Steps::between(Some(&current), &wanted);
    assert_eq!((steps.remove, steps.add), (slots([2]), slots([2])));
}

#[test]
fn cloudformation_alone_would_start_the_new_instance_before_it_ends_the_old() {
    // Why instances leave the stack before others come: a changed version is a replacement.
    let environment = environment("dev", "");
    let deployment = |version| instances(&[(1, version)]).deployment(&environment).unwrap();
    let changes = changes(&deployment("2"), &deployment("3"));
    assert_eq!(changes[0].impact, Impact::Replace);
    assert_eq!(
        serde_json::to_value(&changes[0].properties).unwrap(),
        json!([{"path": "LaunchTemplate.Version", "from": "2", "to": "3"}])
    );
}

#[test]
fn what_a_change_set_ends_beyond_the_steps_is_named_and_goes_first_when_asked_for() {
    use ChangeSetAction::{Add, Modify, Remove};
    let entry = |resource: &str, type_name: &str, action, replacement| ChangeSetEntry {
        resource: resource.to_owned(),
        type_name: type_name.to_owned(),
        action,
        replacement,
    };
    let instance = |number: u32, action, replacement| {
        entry(
            &Slot(number).to_string(),
            "AWS::EC2::Instance",
            action,
            replacement,
        )
    };
    let mut steps = Steps {
        remove: slots([1]),
        ..Steps::default()
    };
    let harmless = [
        instance(1, Remove, Replacement::No),
        instance(2, Modify, Replacement::No),
        instance(3, Add, Replacement::No),
        entry(
            "TrainiumInstance2Idle",
            "AWS::CloudWatch::Alarm",
            Remove,
            Replacement::No,
        ),
        entry(
            "TrainiumFirewall",
            "AWS::EC2::SecurityGroup",
            Modify,
            Replacement::Yes,
        ),
    ];
    assert_eq!(steps.unasked(&harmless), slots([]));
    let ends = [
        instance(2, Modify, Replacement::Yes),
        instance(3, Modify, Replacement::Conditional),
        instance(4, Remove, Replacement::No),
    ];
    let unasked = steps.unasked(&ends);
    assert_eq!(unasked, slots([2, 3, 4]));
    steps.also_replace(slots([2, 3]));
    assert_eq!(steps.unasked(&ends), slots([4]));
    assert_eq!((steps.remove, steps.add), (slots([1, 2, 3]), slots([2, 3])));
}
