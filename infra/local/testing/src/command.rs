//! Programs that tests run.

use std::process::Command;

/// Where downloads come from is the machine's.
const KEPT: &str = "ANNAPURNA_MAVEN_URL";

/// Takes from a program what whoever runs the tests has set for AWS and for this project: a test gives it what it needs.
pub fn without_own_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_own = text.starts_with("AWS_") || text.starts_with("ANNAPURNA_");
        if is_own && text != KEPT {
            command.env_remove(&name);
        }
    }
    command
}
