//! Downloads that fail, by the real pip and our own client against servers that fail as the world does: each names
//! the file, the reason in a line, and the variable or setting that mends it.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use annapurna_local_testing::{test_home, tools};
use serde_json::Value;

/// The failing servers; they end with this value.
struct Registry {
    ports: Value,
    /// The address of `company`.
    company: String,
    child: Child,
}

impl Registry {
    async fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let requirements = tests.join("../../requirements.txt");
        let requirements = std::fs::read_to_string(requirements).unwrap();
        let first = requirements
            .lines()
            .find_map(|line| line.strip_prefix("botocore=="))
            .unwrap();
        let mut child = Command::new(tools().await.venv.python())
            .arg("-I")
            .arg(tests.join("registry.py"))
            .arg(tests.join("certificate.pem"))
            .arg(first.trim_end_matches(" \\"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).unwrap();
        Self {
            company: format!("http://127.0.0.1:{}", ports["company"]),
            ports,
            child,
        }
    }

    fn url(&self, server: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[server])
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// Prepares `folder` as `deploy local` would with these variables and no other setting of pip, proxy or
/// certificates; gives back what it said when it failed.
fn fails(folder: &Path, what: Option<&str>, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prepare"));
    command.arg(folder).args(what);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().to_uppercase();
        let is_setting = name.starts_with("PIP_")
            || name.starts_with("SSL_CERT_")
            || name.ends_with("_PROXY")
            || ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].contains(&name.as_str());
        if is_setting {
            command.env_remove(&name).env_remove(name.to_lowercase());
        }
    }
    let output = command
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_RETRIES", "1")
        .env_remove("ANNAPURNA_MAVEN_URL")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(!said.contains("Traceback"), "{said}");
    assert!(said.lines().count() <= 3, "{said}");
    said
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[tokio::test]
async fn packages_that_pip_cannot_get() {
    let registry = Registry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let failing = |variables: &[(&str, &str)]| fails(folder.path(), None, variables);

    let said = failing(&[("HTTPS_PROXY", &registry.url("company"))]);
    says(
        &said,
        &[
            "botocore==",
            "is not trusted (self-signed certificate",
            "SSL_CERT_FILE",
        ],
    );
    let said = failing(&trusting(&registry));
    says(&said, &["botocore==", " does not have it"]);
    let said = failing(&[("SSL_CERT_FILE", "/nonexistent.pem")]);
    says(&said, &["no file of certificates /nonexistent.pem"]);
    let said = failing(&[("HTTPS_PROXY", &registry.url("refusing"))]);
    says(&said, &["botocore==", "(407 ", "set HTTPS_PROXY"]);
    let said = failing(&[("HTTPS_PROXY", "http://127.0.0.1:1")]);
    says(
        &said,
        &[
            "the proxy does not",
            "(Connection refused)",
            "set HTTPS_PROXY",
        ],
    );
    let said = failing(&[("PIP_INDEX_URL", "https://packages.invalid/simple")]);
    says(
        &said,
        &["the name of packages.invalid is not known", "PIP_INDEX_URL"],
    );
    for server in ["short", "wrong"] {
        let index = format!("{}/simple", registry.url(server));
        let said = failing(&[("PIP_INDEX_URL", &index)]);
        says(
            &said,
            &["cannot download botocore==", "HTTPS_PROXY", "pip.log"],
        );
        assert!(
            said.contains("another SHA-256") || said.contains("ended early"),
            "{said}"
        );
    }
    let log = std::fs::read_to_string(folder.path().join("downloads/pip.log")).unwrap();
    assert!(log.contains("botocore"), "{log}");
}

#[tokio::test]
async fn files_of_opensearch_and_torch_that_cannot_be_had() {
    let registry = Registry::start().await;
    let folder = tempfile::tempdir().unwrap();
    install_venv(folder.path());
    let failing = |variables: &[(&str, &str)]| fails(folder.path(), None, variables);
    let first = "opensearch:3.3.0:zip";

    let said = failing(&[("HTTPS_PROXY", &registry.url("company"))]);
    says(&said, &[first, " is not trusted (", "SSL_CERT_FILE"]);
    let said = failing(&trusting(&registry));
    says(&said, &[first, " does not have it"]);
    let said = failing(&[("SSL_CERT_FILE", "/nonexistent.pem")]);
    says(
        &said,
        &["OpenSearch: ", "/nonexistent.pem", "SSL_CERT_FILE"],
    );
    let said = failing(&[("HTTPS_PROXY", &registry.url("refusing"))]);
    says(&said, &[first, "the proxy does not", "set HTTPS_PROXY"]);
    let mirror = |url: &str| failing(&[("ANNAPURNA_MAVEN_URL", url)]);
    let said = mirror(MIRROR);
    says(
        &said,
        &[
            first,
            "the name of maven.invalid is not known",
            "ANNAPURNA_MAVEN_URL",
        ],
    );
    let said = mirror(&registry.url("short"));
    says(&said, &[first, "ended early", "HTTPS_PROXY"]);
    let said = mirror(&registry.url("wrong"));
    says(
        &said,
        &[
            first,
            "has SHA-256",
            "expected c3a6bf82",
            "ANNAPURNA_MAVEN_URL",
        ],
    );

    // From here on OpenSearch is there, and only torch is missing.
    let downloads = folder.path().join("downloads");
    std::fs::remove_dir_all(&downloads).unwrap();
    let complete = test_home().root().join("downloads");
    std::os::unix::fs::symlink(complete, downloads).unwrap();
    let failing = |server: &str| {
        let proxy = registry.url(server);
        fails(folder.path(), Some("torch"), &[("HTTPS_PROXY", &proxy)])
    };
    let said = failing("company");
    says(
        &said,
        &[
            "obstacle: cannot download torch: the certificate",
            "SSL_CERT_FILE",
        ],
    );
    says(
        &said,
        &[
            "error: cannot download torch==",
            "is not trusted",
            "PIP_CERT",
        ],
    );
    let said = failing("refusing");
    says(
        &said,
        &["obstacle: cannot download torch: the proxy", "HTTPS_PROXY"],
    );
    says(&said, &["error: cannot download torch==", "(407 "]);
}

#[tokio::test]
async fn the_doctor_names_what_a_deployment_could_not_download() {
    let registry = Registry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = |variables: &[(&str, &str)]| fails(folder.path(), Some("doctor"), variables);
    let company = ("HTTPS_PROXY", registry.company.as_str());
    let said = missing(&[company]);
    says(
        &said,
        &["package registry: ", "is not trusted", "SSL_CERT_FILE"],
    );
    assert!(
        !said.contains("Maven repository"),
        "its address is not known yet\n{said}"
    );
    let mirror = ("ANNAPURNA_MAVEN_URL", MIRROR);
    let untrusted = "Maven repository: cannot download org.opensearch.distribution";
    let said = missing(&[company, mirror]);
    says(
        &said,
        &[
            "package registry: ",
            untrusted,
            "maven.invalid is not trusted",
        ],
    );
    let said = missing(&trusting(&registry));
    says(&said, &["Maven repository: ", "does not have it"]);
    assert!(!said.contains("not trusted"), "{said}");
    let said = missing(&[("ANNAPURNA_MAVEN_URL", "http://127.0.0.1:1")]);
    says(&said, &["Maven repository: ", "ANNAPURNA_MAVEN_URL"]);
    assert!(
        !folder.path().join("venv").exists(),
        "a doctor changes nothing"
    );
}

/// A `python3` that takes longer to start pip than two tries of the network take, as on a machine that is busy.
fn slow_python(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("python3");
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        r#"#!/bin/sh
real() {{ PATH='{path}' python3 "$@"; }}
case "$*" in
    *'sys.executable)') echo "$(real -c 'import sys; print(*sys.version_info[:2])') $0" ;;
    *'-m pip download'*) sleep 12; real "$@" ;;
    *) real "$@" ;;
esac
"#
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    format!("{}:{path}", folder.display())
}

#[tokio::test]
async fn a_doctor_on_a_busy_machine_waits_for_pip() {
    let registry = Registry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = slow_python(folder.path());
    let variables = [
        ("HTTPS_PROXY", registry.company.as_str()),
        ("PATH", path.as_str()),
    ];
    let said = fails(folder.path(), Some("doctor"), &variables);
    says(&said, &["package registry: ", "is not trusted"]);
    assert!(!said.contains("timed out"), "{said}");
}

/// A mirror of Maven Central that the company's certificate is for.
const MIRROR: &str = "https://maven.invalid/maven2";

/// Behind the company's proxy, with its certificate as one that is trusted, and mirrors that it is for.
fn trusting(registry: &Registry) -> [(&'static str, &str); 4] {
    let company = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/company.pem");
    [
        ("HTTPS_PROXY", &registry.company),
        ("SSL_CERT_FILE", company),
        ("PIP_INDEX_URL", "https://packages.invalid/simple"),
        ("ANNAPURNA_MAVEN_URL", MIRROR),
    ]
}

/// A complete virtual environment in `folder`; what comes after it cannot be had.
fn install_venv(folder: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_prepare"))
        .arg(folder)
        .env("ANNAPURNA_MAVEN_URL", "https://maven.invalid")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("opensearch:3.3.0:zip"), "{said}");
}
