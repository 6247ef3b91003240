//! The program on a project of its own, whose AWS is an account of canned answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use annapurna_local_testing::without_own_settings;
use serde_json::Value;

use super::account::{ACCOUNT, Account};

/// The folder of a stand-in for cargo-lambda.
const CARGO_LAMBDA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws");

/// A project whose `prod` is this account's, with a contact.
pub struct Project(tempfile::TempDir);

impl Project {
    pub fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/prod.toml");
        let text = std::fs::read_to_string(ours).unwrap();
        project.write(
            &text
                .replace(
                    "# account = \"<12 digits>\"",
                    &format!("account = \"{ACCOUNT}\""),
                )
                .replace(
                    "set-contact-in-environments-prod.toml",
                    "papers@example.org",
                ),
        );
        std::fs::write(project.0.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        project
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, prod: &str) {
        let folder = self.0.path().join("environments");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("prod.toml"), prod).unwrap();
    }

    pub fn edited(self, from: &str, to: &str) -> Self {
        let path = self.0.path().join("environments/prod.toml");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(&text.replace(from, to));
        self
    }

    pub fn infra(&self, account: &Account, args: &[&str]) -> Output {
        self.infra_at(&account.url, args)
    }

    pub fn infra_at(&self, url: &str, args: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        self.infra_with(&format!("{CARGO_LAMBDA}:{path}"), url, args)
    }

    /// With programs from the folders of this `PATH` alone.
    pub fn infra_with(&self, path: &str, url: &str, args: &[&str]) -> Output {
        // Cargo is rustup's, which has its compilers below the home of whoever runs the test.
        let rustup = std::env::var_os("RUSTUP_HOME").unwrap_or_else(|| {
            let home = std::env::var_os("HOME").unwrap();
            Path::new(&home).join(".rustup").into()
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
        without_own_settings(&mut command)
            .env("AWS_REGION", "eu-central-1")
            .env("HOME", self.0.path())
            .env("RUSTUP_HOME", rustup)
            .env("PATH", path)
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .arg("--project")
            .arg(self.0.path())
            .arg("--state")
            .arg(self.0.path().join("state"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What `doctor --json` says of each part: its state and the words.
    pub fn doctor(&self, account: &Account) -> BTreeMap<String, (String, String)> {
        rows(&self.infra(account, &["doctor", "prod", "--json"]))
    }
}

/// By part.
pub fn rows(output: &Output) -> BTreeMap<String, (String, String)> {
    let rows: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let of = |row: &Value| (text(row, "part"), (text(row, "state"), text(row, "found")));
    rows.as_array().unwrap().iter().map(of).collect()
}

/// What doctor says of one part of an account.
fn said(account: &Account, part: &str) -> (String, String) {
    let mut rows = Project::new().doctor(account);
    rows.remove(part)
        .unwrap_or_else(|| panic!("{part}: {rows:?}"))
}

/// The part is in that state, and the words hold all of these.
pub fn assert_said(account: &Account, part: &str, state: &str, words: &[&str]) {
    let (found_state, found) = said(account, part);
    assert_eq!(found_state, state, "{part}: {found}");
    for word in words {
        assert!(found.contains(word), "{part}: `{word}` is not in `{found}`");
    }
}
