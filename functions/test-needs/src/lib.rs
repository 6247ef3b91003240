//! What a test needs of the machine besides the project's own requirements: torch, root, the aws CLI.
//!
//! With `ANNAPURNA_REQUIRE_ALL=1`, which `.ci/run` sets where it installs them, a test that misses one
//! fails and says how to get it. Without the variable the test passes and says on the standard error,
//! which the test harness does not swallow, what of it was not run. `ANNAPURNA_EXCEPT` names, separated by
//! commas, what may be missing even then: `bubblewrap` where the machine's kernel refuses it.

#![allow(clippy::panic, reason = "this crate runs in tests only")]

use std::io::Write;

/// Variable that makes what is missing a failure: any value but the empty one.
const REQUIRE_ALL: &str = "ANNAPURNA_REQUIRE_ALL";
/// Variable that names the exceptions from it: `bubblewrap,torch`.
const EXCEPT: &str = "ANNAPURNA_EXCEPT";

/// What was `found` of `what`; `None` where it is missing and need not be there. `remedy` is how to get it:
/// "install python3-torch (Debian)".
///
/// # Panics
///
/// When it is missing, `ANNAPURNA_REQUIRE_ALL` is set and `ANNAPURNA_EXCEPT` does not name it.
pub fn needs<T>(found: Option<T>, what: &str, remedy: &str) -> Option<T> {
    let required = is_required(what);
    if !required && found.is_none() {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("NOT RUN of {test}: what needs {what}: {remedy}\n");
        // The macros would print into the output that the harness shows of failed tests only.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    checked(found, required, what, remedy)
}

/// Says that a part of the running test cannot run on this machine, with a reason that no package mends: the
/// kernel refuses it.
///
/// # Panics
///
/// As [`needs`]: a run that promises everything must not have left this out unless it was told to.
pub fn cannot(what: &str, reason: &str) {
    needs(None::<()>, what, reason);
}

fn is_required(what: &str) -> bool {
    let value = |name| std::env::var_os(name).unwrap_or_default();
    let except = value(EXCEPT);
    !value(REQUIRE_ALL).is_empty() && !is_named(what, &except.to_string_lossy())
}

/// Whether `what` is one of the words between commas.
fn is_named(what: &str, words: &str) -> bool {
    words.split(',').any(|word| word.trim() == what)
}

fn checked<T>(found: Option<T>, required: bool, what: &str, remedy: &str) -> Option<T> {
    assert!(
        found.is_some() || !required,
        "this test needs {what}, and {REQUIRE_ALL} is set: {remedy}; where that cannot be, {EXCEPT} names it"
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

    #[test]
    fn an_exception_is_named_whole() {
        assert!(is_named("bubblewrap", "torch, bubblewrap"));
        for words in ["", "bubble", "bubblewrap2", "the aws CLI"] {
            assert!(!is_named("bubblewrap", words), "{words}");
        }
    }

    #[test]
    fn what_the_machine_refuses_fails_where_all_is_required_and_it_is_no_exception() {
        let program = std::env::current_exe().unwrap();
        let run = |variables: &[(&str, &str)]| {
            let mut run = std::process::Command::new(&program);
            run.args(["--exact", "tests::refused", "--ignored"]);
            run.env_remove(REQUIRE_ALL).env_remove(EXCEPT);
            run.envs(variables.iter().copied());
            run.output().unwrap()
        };
        let all = (REQUIRE_ALL, "1");
        let failed = run(&[all]);
        let said = String::from_utf8_lossy(&failed.stdout).into_owned();
        assert!(!failed.status.success() && said.contains(EXCEPT), "{said}");
        assert!(!run(&[all, (EXCEPT, "torch")]).status.success());
        for passes in [vec![], vec![all, (EXCEPT, "torch,bubblewrap")]] {
            let passed = run(&passes);
            let said = String::from_utf8_lossy(&passed.stderr).into_owned();
            assert!(passed.status.success(), "{passes:?}");
            assert!(
                said.contains("NOT RUN of tests::refused: what needs bubblewrap"),
                "{said}"
            );
        }
    }

    #[test]
    #[ignore = "what the test above runs in a process of its own, with variables of its own"]
    fn refused() {
        cannot("bubblewrap", "the kernel refuses it");
    }
}
