//! Policies of the synthesised template as IAM evaluates them.

use annapurna_contract::Principal;
use serde_json::Value;

use crate::constructs::role::RoleHandle;

/// An IAM evaluation of identity policies: an explicit denial wins, and what nothing allows is denied. It knows the
/// parts of the policy language that the stack uses and panics at any other.
pub(super) struct Role {
    statements: Vec<Value>,
}

/// An action, the ARN it is about, and the condition keys that the call has.
pub(super) struct Call<'a> {
    pub(super) action: &'a str,
    pub(super) arn: &'a str,
    pub(super) keys: &'a [(&'static str, String)],
}

impl Role {
    pub(super) fn of(principal: Principal, resources: &Value) -> Self {
        let arn = serde_json::to_value(RoleHandle::of(principal).arn()).unwrap();
        let id = arn["Fn::GetAtt"][0].as_str().unwrap();
        let policies = resources[id]["Properties"]["Policies"].as_array().unwrap();
        let statements = policies.iter().flat_map(|it| {
            it["PolicyDocument"]["Statement"]
                .as_array()
                .unwrap()
                .clone()
        });
        Self {
            statements: statements.map(|it| resolved(&it, resources)).collect(),
        }
    }

    pub(super) fn may(&self, call: &Call) -> bool {
        let holding = |effect: &str| {
            self.statements
                .iter()
                .any(|it| it["Effect"] == effect && holds(it, call))
        };
        holding("Allow") && !holding("Deny")
    }
}

fn holds(statement: &Value, call: &Call) -> bool {
    for part in statement.as_object().unwrap().keys() {
        let known = [
            "Sid",
            "Effect",
            "Action",
            "Resource",
            "NotResource",
            "Condition",
        ];
        assert!(known.contains(&part.as_str()), "{part} is not evaluated");
    }
    let any = |part: &str, text: &str| {
        let patterns = statement[part].as_array().into_iter().flatten();
        let mut patterns = patterns.map(|it| it.as_str().unwrap());
        patterns.any(|pattern| matches(pattern, text))
    };
    let about = match statement.get("NotResource") {
        Some(_) => !any("NotResource", call.arn),
        None => any("Resource", call.arn),
    };
    let conditions = statement.get("Condition").and_then(Value::as_object);
    any("Action", call.action)
        && about
        && conditions.into_iter().flatten().all(|(operator, tests)| {
            // Of texts without wildcards, as here, both are the same.
            let known = ["StringEquals", "ArnEquals"];
            assert!(
                known.contains(&operator.as_str()),
                "{operator} is not evaluated"
            );
            tests.as_object().unwrap().iter().all(|(key, wanted)| {
                let mut keys = call.keys.iter();
                keys.any(|(name, value)| name == key && *value == wanted.as_str().unwrap())
            })
        })
}

/// IAM's `*`, any text. Source: IAM user guide, "IAM JSON policy elements: Resource".
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// A part of the template with every reference put in place.
fn resolved(value: &Value, resources: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().map(|it| resolved(it, resources)).collect(),
        Value::Object(map) => {
            let only = map.iter().next().filter(|_| map.len() == 1);
            match only.map(|(key, it)| (key.as_str(), it)) {
                Some(("Ref", name)) => referred(name.as_str().unwrap(), resources).into(),
                Some(("Fn::GetAtt", target)) => {
                    assert_eq!(target[1], "Arn");
                    referred(target[0].as_str().unwrap(), resources).into()
                }
                Some(("Fn::Sub", text)) => substituted(text.as_str().unwrap(), resources).into(),
                _ => map
                    .iter()
                    .map(|(key, it)| (key.clone(), resolved(it, resources)))
                    .collect(),
            }
        }
        other => other.clone(),
    }
}

fn substituted(text: &str, resources: &Value) -> String {
    let mut parts = text.split("${");
    let start = parts.next().unwrap().to_owned();
    parts.fold(start, |done, part| {
        let (name, rest) = part.split_once('}').unwrap();
        done + &referred(name.trim_end_matches(".Arn"), resources) + rest
    })
}

fn referred(name: &str, resources: &Value) -> String {
    let properties = &resources[name]["Properties"];
    let named = |service: &str, property: &str| {
        let name = properties[property].as_str().unwrap();
        format!("arn:aws:{service}:us-east-1:111122223333:{name}")
    };
    match (name, resources[name]["Type"].as_str()) {
        ("AWS::Partition", _) => "aws".to_owned(),
        ("AWS::Region", _) => "us-east-1".to_owned(),
        ("AWS::AccountId", _) => "111122223333".to_owned(),
        ("AssetsBucket", None) => "assets".to_owned(),
        (_, Some("AWS::SQS::Queue")) => named("sqs", "QueueName"),
        _ => panic!("{name} is not resolved"),
    }
}

#[test]
fn the_evaluation_is_iams() {
    assert!(matches("a*c", "abc") && matches("a*c", "ac") && matches("*", ""));
    assert!(!matches("a*c", "abd") && !matches("a", "ab") && !matches("*/x", "x"));
    let role = Role {
        statements: vec![
            serde_json::json!({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["b/*"]}),
            serde_json::json!({"Effect": "Deny", "Action": ["s3:GetObject"], "NotResource": ["b/own/*"]}),
        ],
    };
    let may = |action, arn| {
        role.may(&Call {
            action,
            arn,
            keys: &[],
        })
    };
    assert!(may("s3:GetObject", "b/own/1"));
    assert!(!may("s3:GetObject", "b/1") && !may("s3:PutObject", "b/own/1"));
}
