//! What a protected environment's stack refuses by itself, whoever asks.

use serde_json::{Value, json};

use crate::cloudformation::Holds;
use crate::plan::Deployment;

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
            "Action": ["Update:Replace", "Update:Delete"],
            "Resource": held,
        }));
    }
    json!({ "Statement": statements })
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
