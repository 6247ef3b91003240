//! The rules of checkers that a resource breaks on purpose, with the reason, as the checkers read them.
//!
//! In: data beside a construct. Out: the resource's `Metadata`, of which CloudFormation itself reads nothing. A rule
//! that is plainly wrong about a resource is an exception like one that is right and outweighed; its reason says which.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Rules that say the same of a resource, and why they do not hold for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exception {
    pub(crate) rules: &'static [Rule],
    /// Ten characters at least, as cdk-nag wants it.
    pub(crate) reason: &'static str,
}

/// A rule by its id in the checker that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Such as `CKV_AWS_18`.
    Checkov(&'static str),
    /// Of the pack AwsSolutions, such as `AwsSolutions-S1`.
    CdkNag(&'static str),
    /// An issue and the action that it is about, such as `RESOURCE_MISMATCH bedrock:InvokeModel`.
    Parliament(&'static str),
}

/// All exceptions of one resource, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exceptions(BTreeSet<Exception>);

impl Exceptions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, exceptions: &[Exception]) {
        self.0.extend(exceptions);
    }

    /// Whether a rule of one of its kind is excused, and what that checker is told.
    fn of<T>(&self, told: impl Fn(Rule, &'static str) -> Option<T>) -> Vec<T> {
        let rules = self.0.iter();
        let rules = rules.flat_map(|it| it.rules.iter().map(move |rule| (*rule, it.reason)));
        rules
            .filter_map(|(rule, reason)| told(rule, reason))
            .collect()
    }
}

/// As checkov reads it. Source: checkov, "Suppressing and skipping policies", CloudFormation metadata.
#[derive(Serialize)]
struct Skip {
    id: &'static str,
    comment: &'static str,
}

/// As cdk-nag reads it, and parliament's ours. Source: cdk-nag, "Suppressing a rule", `CfnInclude` templates.
#[derive(Serialize)]
struct Suppression {
    id: &'static str,
    reason: &'static str,
}

#[derive(Serialize)]
struct Checkov {
    skip: Vec<Skip>,
}

#[derive(Serialize)]
struct CdkNag {
    rules_to_suppress: Vec<Suppression>,
}

/// As `.ci/templates.py` reads it: parliament itself reads policies and no templates.
#[derive(Serialize)]
struct Parliament {
    ignore: Vec<Suppression>,
}

impl Serialize for Exceptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let skip = self.of(|rule, comment| match rule {
            Rule::Checkov(id) => Some(Skip { id, comment }),
            Rule::CdkNag(_) | Rule::Parliament(_) => None,
        });
        let rules_to_suppress = self.of(|rule, reason| match rule {
            Rule::CdkNag(id) => Some(Suppression { id, reason }),
            Rule::Checkov(_) | Rule::Parliament(_) => None,
        });
        let ignore = self.of(|rule, reason| match rule {
            Rule::Parliament(id) => Some(Suppression { id, reason }),
            Rule::Checkov(_) | Rule::CdkNag(_) => None,
        });
        let mut map = serializer.serialize_map(None)?;
        if !rules_to_suppress.is_empty() {
            map.serialize_entry("cdk_nag", &CdkNag { rules_to_suppress })?;
        }
        if !skip.is_empty() {
            map.serialize_entry("checkov", &Checkov { skip })?;
        }
        if !ignore.is_empty() {
            map.serialize_entry("parliament", &Parliament { ignore })?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_checker_reads_its_own_rules_with_the_reason() {
        let mut exceptions = Exceptions::default();
        assert!(exceptions.is_empty());
        let exception = Exception {
            rules: &[Rule::Checkov("CKV_AWS_18"), Rule::CdkNag("AwsSolutions-S1")],
            reason: "nobody else reads it",
        };
        exceptions.add(&[exception, exception]);
        assert_eq!(
            serde_json::to_value(&exceptions).unwrap(),
            json!({
                "checkov": {"skip": [{"id": "CKV_AWS_18", "comment": "nobody else reads it"}]},
                "cdk_nag": {"rules_to_suppress": [{"id": "AwsSolutions-S1", "reason": "nobody else reads it"}]},
            })
        );
    }
}
