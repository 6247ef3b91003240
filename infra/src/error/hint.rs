//! The next steps that an error names.

use annapurna_datasets::DatasetError;
use annapurna_stack::environment::{Environment, EnvironmentError};

use super::Finding;
use crate::local::service::Service;

pub(super) const NO_PROJECT: &str =
    "run it inside a clone of Annapurna, or name the folder with --project";
pub(super) const SIGN_IN: &str = "sign in with `aws sso login`, or name a profile of ~/.aws/config in AWS_PROFILE or as `profile` in the \
     environment's file";
pub(super) const OTHER_ACCOUNT: &str = "sign in to that account, or choose another environment";
const ROLLED_BACK: &str = "the previous state is in place; correct the cause and deploy again";
pub(super) const GOES_ON: &str = "run the same command again: it goes on from there";
pub(super) const NOT_DELETED: &str =
    "correct the cause and destroy it again: it goes on with what is left";
pub(super) const FETCH: &str = "run the same command again: it goes on from there; or fetch the file yourself and name its folder with --from";
pub(super) const BUSY: &str = "nothing of yours was begun; when that has ended, run it again";
pub(super) const OTHER_VERSION: &str =
    "another version of this program deployed it; deploy the environment again";

/// For a file that names no account.
pub(super) fn account(environment: &str) -> String {
    format!(
        "write `account = \"…\"` into environments/{environment}.toml, with the 12 digits that \
         `aws sts get-caller-identity --query Account --output text` prints"
    )
}

/// For what CloudFormation refused: the settings that decide it.
pub(super) fn settings(findings: &[Finding]) -> Option<String> {
    let mut settings: Vec<&str> = findings.iter().filter_map(|it| it.setting).collect();
    settings.sort_unstable();
    settings.dedup();
    let settings: Vec<String> = settings.iter().map(|it| format!("`{it}`")).collect();
    (!settings.is_empty()).then(|| {
        format!(
            "nothing was changed; change {} in the environment's file and deploy again",
            settings.join(" and ")
        )
    })
}

/// For a stack that was brought back. The deployer's policies know launch template and firewall by the tag `Purpose`, which
/// those from before it lack, and let nobody tag what is there.
pub(super) fn rolled_back(cause: &str) -> String {
    let id_after = |kind: &str| {
        let (_, id) = cause.split_once(kind)?;
        let end = id.find(|it: char| !it.is_ascii_alphanumeric() && it != '-');
        Some(&id[..end.unwrap_or(id.len())])
    };
    let untagged = id_after("launch-template/").or_else(|| id_after("security-group/"));
    match untagged.filter(|_| cause.contains("not authorized")) {
        None => ROLLED_BACK.to_owned(),
        Some(id) => format!(
            "if {id} is older than its tag `Purpose`, who administers the account adds it, with the environment's \
             name-prefix before the value, and then deploy again: aws ec2 create-tags --resources {id} --tags \
             Key=Purpose,Value=PapersCodeTester"
        ),
    }
}

/// For a stack that takes no update.
pub(super) fn stuck(stack: &str) -> String {
    let environment = Environment::of_stack(stack);
    format!(
        "correct the cause and go on with it: cargo infra rollback {environment} --continue; what cannot be \
         corrected is left out with --skip ID"
    )
}

pub(super) fn deploy(environment: &str) -> String {
    format!("deploy it: cargo infra deploy {environment}")
}

/// For services that have died. The agent lives on without the emulator, but the session of its role ended with it.
pub(super) fn start(environment: &str, died: &[Service]) -> String {
    let agent = match died.contains(&Service::Cloud) && !died.contains(&Service::Agent) {
        true => " and restarts the agent, whose session of its role ended with the emulator",
        false => "",
    };
    format!(
        "`cargo infra deploy {environment}` starts what is stopped{agent}; everything stored is there"
    )
}

pub(super) fn reindex(index: &str) -> String {
    format!("reindex `{index}` into a new index with the new mapping, then deploy again")
}

pub(super) fn logs(environment: &str, function: &str) -> String {
    format!("read its logs: cargo infra logs {environment} {function}")
}

/// For a batch that no queue has.
pub(super) fn dead_letters(environment: &str) -> String {
    format!(
        "see whether it is a dead letter: cargo infra queues {environment}; the agent's log says why"
    )
}

pub(super) fn scrape_again(environment: &str) -> String {
    format!(
        "correct the cause and start it again: what is there is not loaded twice; its log: cargo infra logs {environment} PapersScraper --since 1h"
    )
}

/// For settings that cannot be taken.
pub(super) fn environment(error: &EnvironmentError) -> Option<String> {
    match error {
        EnvironmentError::Unknown { known, .. } => {
            Some(format!("known environments: {}", known.join(", ")))
        }
        EnvironmentError::Malformed { nearest, .. } => nearest
            .as_ref()
            .map(|nearest| format!("did you mean `{nearest}`?")),
        EnvironmentError::Unreadable { .. } | EnvironmentError::Invalid { .. } => None,
    }
}

/// For what a data set cannot be made of.
pub(super) fn dataset(error: &DatasetError) -> Option<String> {
    match error {
        DatasetError::Digest { .. } => Some(
            "fetch it again; if you know that this version is right, say --any-version".to_owned(),
        ),
        _ => None,
    }
}

/// For a question that was answered with no.
pub(super) fn go_on(again: &str) -> String {
    format!("to go on: {again}")
}

/// For what goes on without this program.
pub(super) fn follow(again: &str) -> String {
    format!("follow it again: {again}")
}

/// For sample papers that are not at their end.
pub(super) fn on_their_way(waiting: &[String]) -> String {
    format!("still on their way: {}", waiting.join(", "))
}

/// For a question that nobody is there to answer.
pub(super) fn answer(flag: &str) -> String {
    format!("answer it with {flag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_for_want_of_a_tag_names_the_command_that_gives_it() {
        let denied = |resource: &str| {
            rolled_back(&format!(
                "You are not authorized to perform this operation. User: arn:aws:iam::1:user/d is not authorized to \
                 perform: ec2:CreateLaunchTemplateVersion on resource: arn:aws:ec2:us-east-1:1:{resource} because no \
                 identity-based policy allows it"
            ))
        };
        for (resource, id) in [
            ("launch-template/lt-0ab1", "lt-0ab1"),
            ("security-group/sg-9", "sg-9"),
        ] {
            let hint = denied(resource);
            let command = format!("aws ec2 create-tags --resources {id} --tags Key=Purpose,");
            assert!(hint.contains(&command), "{hint}");
        }
        assert_eq!(denied("instance/i-1"), ROLLED_BACK);
        assert_eq!(rolled_back("launch-template/lt-1 is in use"), ROLLED_BACK);
    }
}
