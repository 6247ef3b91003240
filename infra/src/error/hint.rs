//! The next steps that an error names.

pub(super) const NO_PROJECT: &str =
    "run it inside a clone of Annapurna, or name the folder with --project";
pub(super) const SIGN_IN: &str = "sign in first: `aws sso login`, or set AWS_PROFILE";
pub(super) const ROLLED_BACK: &str =
    "the previous state is in place; correct the cause and deploy again";
pub(super) const GOES_ON: &str = "run the same command again: it goes on from there";
pub(super) const ANSWER: &str = "answer it with --yes";
pub(super) const OTHER_VERSION: &str =
    "another version of this program deployed it; deploy the environment again";

/// For credentials of an account that the environment does not name, or names another.
pub(super) fn account(environment: &str, expected: Option<&str>, actual: &str) -> String {
    match expected {
        Some(_) => "sign in to that account, or choose another environment".to_owned(),
        None => format!(
            "if account {actual} is meant, write `account = \"{actual}\"` into environments/{environment}.toml"
        ),
    }
}

pub(super) fn deploy(environment: &str) -> String {
    format!("deploy it: cargo infra deploy {environment}")
}

pub(super) fn reindex(index: &str) -> String {
    format!("reindex `{index}` into a new index with the new mapping, then deploy again")
}

pub(super) fn logs(environment: &str, function: &str) -> String {
    format!("read its logs: cargo infra logs {environment} {function}")
}

pub(super) fn scrape_again(environment: &str) -> String {
    format!(
        "correct the cause and start it again: what is there is not loaded twice; its log: cargo infra logs {environment} PapersScraper --since 1h"
    )
}
