//! What a protected environment's stack refuses by itself, whoever asks.

use serde_json::{Value, json};

use crate::cloudformation::Holds;
use crate::plan::Deployment;

/// What a policy of ours denies.
const DENIED: [&str; 2] = ["Update:Replace", "Update:Delete"];

/// The stack policy that lets updates do everything but replace or delete what holds something, in any of these
/// deployments; what is `allowed`, by logical id, they may. Source: CloudFormation User Guide, "Prevent
/// updates to stack resources".
pub fn stack_policy(deployments: &[&Deployment], allowed: &[String]) -> Value {
    let mut held: Vec<String> = deployments
        .iter()
        .filter_map(|it| it.template["Resources"].as_object())
        .flatten()
        .filter(|(id, resource)| {
            let kind = resource["Type"].as_str().unwrap_or_default();
            Holds::of(kind) != Holds::Nothing && !allowed.contains(id)
        })
        .map(|(id, _)| format!("LogicalResourceId/{id}"))
        .collect();
    held.sort();
    held.dedup();
    let may = json!({"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"});
    let mut statements = vec![may];
    if !held.is_empty() {
        statements.push(json!({
            "Effect": "Deny",
            "Principal": "*",
            "Action": DENIED,
            "Resource": held,
        }));
    }
    json!({ "Statement": statements })
}

/// The stack policy that lets updates do everything: one that is set can be replaced and not removed.
pub fn open_policy() -> Value {
    stack_policy(&[], &[])
}

/// Whether a policy denies what [`stack_policy`] does, in its form: a deployment gave it.
pub fn is_ours(policy: &Value) -> bool {
    let statements = policy["Statement"].as_array();
    let is_denial = |it: &Value| it["Effect"] == "Deny" && it["Action"] == json!(DENIED);
    statements.into_iter().flatten().any(is_denial)
}

/// Whether a policy lets something of this deployment be replaced or deleted that [`stack_policy`] of it denies: a
/// deployment that was killed opens it and does not close it. One that denies more is not open.
pub fn is_open(policy: &Value, deployed: &Deployment) -> bool {
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(each) => each
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        }
    };
    let statements = policy["Statement"].as_array();
    let denied: Vec<String> = statements
        .into_iter()
        .flatten()
        .filter(|it| it["Effect"] == "Deny" && it["Condition"].is_null())
        .filter(|it| {
            let actions = texts(&it["Action"]);
            let denies = |action: &str| actions.iter().any(|it| it == action || it == "Update:*");
            denies("Update:Replace") && denies("Update:Delete")
        })
        .flat_map(|it| texts(&it["Resource"]))
        .collect();
    let wanted = stack_policy(&[deployed], &[]);
    let is_denied =
        |resource: &String| denied.contains(resource) || denied.iter().any(|it| it == "*");
    !texts(&wanted["Statement"][1]["Resource"])
        .iter()
        .all(is_denied)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn deployment(resources: Value) -> Deployment {
        Deployment {
            template: json!({ "Resources": resources }),
            parameters: BTreeMap::new(),
        }
    }

    #[test]
    fn what_holds_something_before_or_after_may_not_go_unless_it_was_allowed() {
        let queue = json!({"Type": "AWS::SQS::Queue"});
        let before = deployment(json!({"Old": queue, "Both": queue}));
        let role = json!({"Type": "AWS::IAM::Role"});
        let after = deployment(json!({"Both": queue, "New": queue, "Role": role}));
        let policy = stack_policy(&[&before, &after], &["New".to_owned()]);
        assert_eq!(
            policy["Statement"][1]["Resource"],
            json!(["LogicalResourceId/Both", "LogicalResourceId/Old"])
        );
        let all = ["Old", "Both", "New"].map(str::to_owned);
        let open = stack_policy(&[&before, &after], &all);
        assert_eq!(open["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(open["Statement"][0]["Effect"], "Allow");
    }

    #[test]
    fn a_policy_that_lets_something_go_is_open_and_one_that_denies_more_is_not() {
        let queue = json!({"Type": "AWS::SQS::Queue"});
        let deployed = deployment(json!({"One": queue, "Two": queue}));
        let closed = stack_policy(&[&deployed], &[]);
        assert!(!is_open(&closed, &deployed));
        let opened = stack_policy(&[&deployed], &["One".to_owned()]);
        assert!(is_open(&opened, &deployed));
        assert!(is_open(
            &json!({"Statement": [closed["Statement"][0]]}),
            &deployed
        ));
        assert!(is_open(&Value::Null, &deployed), "there is none");
        let deny = |action: Value, more: Value| {
            let mut statement =
                json!({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"});
            statement
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            is_open(&json!({"Statement": [statement]}), &deployed)
        };
        assert!(!deny(json!("Update:*"), json!({})));
        assert!(deny(json!("Update:Replace"), json!({})));
        let of_some = json!({"Condition": {"StringEquals": {"ResourceType": ["AWS::SQS::Queue"]}}});
        assert!(deny(json!("Update:*"), of_some));
    }

    #[test]
    fn what_a_deployment_gave_is_told_from_what_a_person_did() {
        let deployed = deployment(json!({"One": {"Type": "AWS::SQS::Queue"}}));
        assert!(is_ours(&stack_policy(&[&deployed], &[])));
        let deny = |action: Value| {
            let denial =
                json!({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"});
            is_ours(&json!({ "Statement": [denial] }))
        };
        assert!(!deny(json!("Update:*")), "a person's own");
        for none in [open_policy(), Value::Null] {
            assert!(!is_ours(&none), "{none}");
        }
    }

    #[test]
    fn the_policy_of_prod_is_as_short_as_a_policy_must_be() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
        let prod = crate::environment::Environment::load(&folder, "prod").unwrap();
        let template = crate::pipeline::stack(&prod).unwrap().to_json().unwrap();
        let wanted = Deployment {
            template,
            parameters: BTreeMap::new(),
        };
        let policy = stack_policy(&[&wanted], &[]).to_string();
        // Source: CloudFormation API reference, `SetStackPolicy`: 1 to 16,384 bytes.
        assert!(policy.len() <= 16_384, "{} bytes", policy.len());
        assert!(policy.contains("LogicalResourceId/ResearchQueue"));
    }
}
