//! What a test needs of the machine besides the project's own requirements: torch, root, the aws CLI.
//!
//! With `ANNAPURNA_REQUIRE_ALL=1`, which `.ci/run` sets where it installs them, a test that misses one
//! fails and says how to get it. Without the variable the test passes and says on the standard error,
//! which the test harness does not swallow, what of it was not run.

#![allow(clippy::panic, reason = "this crate runs in tests only")]

use std::io::Write;

/// Variable that makes what is missing a failure: any value but the empty one.
const REQUIRE_ALL: &str = "ANNAPURNA_REQUIRE_ALL";

/// What was `found` of `what`; `None` where it is missing and need not be there. `remedy` is how to get it:
/// "install python3-torch (Debian)".
///
/// # Panics
///
/// When it is missing and `ANNAPURNA_REQUIRE_ALL` is set.
pub fn needs<T>(found: Option<T>, what: &str, remedy: &str) -> Option<T> {
    let required = std::env::var_os(REQUIRE_ALL).is_some_and(|value| !value.is_empty());
    if !required && found.is_none() {
        cannot(what, remedy);
    }
    checked(found, required, what, remedy)
}

/// Says that a part of the running test cannot run on this machine, with a reason that no package mends:
/// the kernel refuses it.
pub fn cannot(what: &str, reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("NOT RUN of {test}: what needs {what}: {reason}\n");
    // The macros would print into the output that the harness shows of failed tests only.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn checked<T>(found: Option<T>, required: bool, what: &str, remedy: &str) -> Option<T> {
    assert!(
        found.is_some() || !required,
        "this test needs {what}, and {REQUIRE_ALL} is set: {remedy}"
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_handed_on() {
        assert_eq!(checked(Some(7), true, "torch", "install it"), Some(7));
        assert_eq!(checked(Some(7), false, "torch", "install it"), Some(7));
    }

    #[test]
    fn what_is_missing_need_not_be_there() {
        assert_eq!(checked(None::<u8>, false, "torch", "install it"), None);
    }

    #[test]
    #[should_panic(expected = "needs torch, and ANNAPURNA_REQUIRE_ALL is set: install it")]
    fn what_is_missing_fails_where_all_is_required() {
        checked(None::<u8>, true, "torch", "install it");
    }
}
