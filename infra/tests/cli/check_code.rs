//! `check-code`: what a person sees of a program's findings, and what a script does.

use std::io::Write;
use std::process::Stdio;

use super::TestProject;

const GOOD: &str = include_str!("../../../functions/program-check/tests/programs/good.py");

#[test]
fn a_program_is_checked_from_a_file_and_each_finding_has_its_line() {
    let project = TestProject::new();
    let file = project.folder.path().join("program.py");
    std::fs::write(&file, GOOD).unwrap();
    let path = file.to_str().unwrap();
    let run = project.infra(["check-code", path]);
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("it loads synthetic"), "{run}");
    let run = project.infra(["check-code", path, "--dataset", "mnist"]);
    assert_eq!(run.code, Some(1), "{run}");
    assert!(run.stdout.contains("load one of mnist [data-set]"), "{run}");
    std::fs::write(&file, GOOD.replacen("import json", "import subprocess", 1)).unwrap();
    let run = project.infra(["check-code", path]);
    assert_eq!(run.code, Some(1), "{run}");
    assert!(
        run.stdout.contains("line 3: `subprocess` starts processes"),
        "{run}"
    );
    assert!(!project.has_state());
}

#[test]
fn a_program_is_checked_from_standard_input_and_told_as_json() {
    let project = TestProject::new();
    let mut command = project.command();
    let command = command.args(["check-code", "-", "--backend", "xla", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let code = GOOD.replace("xm.mark_step()", "pass");
    let mut input = child.stdin.take().unwrap();
    input.write_all(code.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["rule"], "mark-step", "{report}");
    assert_eq!(report["facts"]["datasets"][0], "synthetic");
}

#[test]
fn a_file_or_a_backend_that_is_not_there_is_refused() {
    let project = TestProject::new();
    let run = project.infra(["check-code", "nowhere.py"]);
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("nowhere.py"), "{run}");
    let run = project.infra(["check-code", "-", "--backend", "tpu"]);
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("torch-neuron"), "{run}");
}
