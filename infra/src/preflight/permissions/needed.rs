//! The lists: which actions on which resources, and on which condition.
//!
//! In a resource or a value, `{…}` is filled with the environment's own for the simulation; in the policies of the docs,
//! which serve every environment of an account, it is `*`. Source: Service Authorization Reference; the permissions of
//! the handlers in CloudFormation's resource schemas.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum};

use super::super::Subject;

mod compute;
mod data;

/// The managed policies, each with the file in `docs/` that shows it. One would be too long: a managed policy has 6,144
/// characters at most. Source: IAM user guide, "IAM and AWS STS quotas".
pub(super) const POLICIES: [(&str, &[Needed]); 2] = [
    ("deployer-data.json", &data::NEEDED),
    ("deployer-compute.json", &compute::NEEDED),
];

/// Every statement of every policy.
pub(super) fn needed() -> impl Iterator<Item = &'static Needed> {
    POLICIES.iter().flat_map(|(_, needed)| needed.iter())
}

/// Actions on the same resources.
#[derive(Debug)]
pub(super) struct Needed {
    /// As the policy calls the statement: letters and digits.
    pub(super) sid: &'static str,
    pub(super) actions: &'static [&'static str],
    pub(super) resources: &'static [&'static str],
    pub(super) only_if: Option<Condition>,
}

/// What a request must say for its statement to hold.
#[derive(Debug)]
pub(super) struct Condition {
    /// What is compared, such as `aws:ResourceTag/Purpose`.
    pub(super) key: &'static str,
    /// Of which one must fit, with wildcards; of ARNs part by part.
    pub(super) values: &'static [&'static str],
}

impl Needed {
    /// The resources of one environment. A simulation takes no wildcard, so that one name stands for all.
    /// Source: IAM API reference, `SimulatePrincipalPolicy`.
    pub(super) fn real_resources(&self, subject: &Subject<'_>) -> Vec<String> {
        let real = |resource: &&str| match *resource {
            "*" => "*".to_owned(),
            resource => real(resource, subject),
        };
        self.resources.iter().map(real).collect()
    }

    /// What a request of one environment would say; `None` where it does not matter.
    pub(super) fn context(&self, subject: &Subject<'_>) -> Option<Vec<ContextEntry>> {
        let Condition { key, values, .. } = self.only_if.as_ref()?;
        let value = values.first().map(|value| real(value, subject));
        let entry = ContextEntry::builder()
            .context_key_name(*key)
            .set_context_key_values(value.map(|it| vec![it]))
            .context_key_type(ContextKeyTypeEnum::String)
            .build();
        Some(vec![entry])
    }
}

/// The text with the environment's own in place of `{…}`, and one name in place of all.
fn real(text: &str, subject: &Subject<'_>) -> String {
    let environment = subject.environment;
    let prefix = environment.named("");
    let stack = environment.stack_name();
    let values = [
        ("*", "x"),
        ("{account}", subject.account.as_str()),
        ("{region}", environment.region.as_str()),
        ("{prefix}", prefix.as_str()),
        ("{suffix}", environment.bucket_suffix()),
        ("{stack}", stack.as_str()),
    ];
    let fill = |text: String, (key, value): &(&str, &str)| text.replace(key, value);
    values.iter().fold(text.to_owned(), fill)
}

#[cfg(test)]
mod handlers;
#[cfg(test)]
mod tests;
