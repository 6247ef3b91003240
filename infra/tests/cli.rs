//! Runs the built program as a person does, with no network, no credentials and no running service,
//! and compares what that person sees: exit code, standard output and standard error.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use annapurna_local_testing::without_own_settings;
use tempfile::TempDir;

#[path = "cli/check_code.rs"]
mod check_code;
#[path = "cli/sandbox.rs"]
mod sandbox;

/// A copy of the project's environments in a folder of its own, beside the state of nothing deployed.
struct TestProject {
    folder: TempDir,
}

/// How a run ended and what it wrote, without the paths of this machine.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self
            .code
            .map_or_else(|| "none: a signal".to_owned(), |it| it.to_string());
        writeln!(formatter, "exit code: {code}")?;
        writeln!(formatter, "----- stdout -----\n{}", self.stdout)?;
        write!(formatter, "----- stderr -----\n{}", self.stderr)
    }
}

impl TestProject {
    fn new() -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let environments = project.root().join("environments");
        std::fs::create_dir_all(&environments).unwrap();
        std::fs::write(project.root().join("Cargo.toml"), "[workspace]\n").unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        for entry in std::fs::read_dir(ours).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, environments.join(path.file_name().unwrap())).unwrap();
        }
        project
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Replaces a line's text, which must be there, in a file of the project.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.root().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Runs a command on this project.
    fn infra<const N: usize>(&self, args: [&str; N]) -> Run {
        let mut command = self.command();
        command.arg("--project").arg(self.root());
        self.run(command.args(args))
    }

    /// The program in `folder`, with this project's state but not told where the project is.
    fn infra_in<const N: usize>(&self, folder: &Path, args: [&str; N]) -> Run {
        self.run(self.command().current_dir(folder).args(args))
    }

    /// The program, with nothing of this machine's configuration in reach.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
        without_own_settings(&mut command)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("NO_COLOR", "1")
            .env_remove("CLICOLOR_FORCE")
            .arg("--state")
            .arg(self.folder.path().join("state"));
        command
    }

    fn run(&self, command: &mut Command) -> Run {
        let output = command.output().unwrap();
        Run {
            code: output.status.code(),
            stdout: self.redacted(&output.stdout),
            stderr: self.redacted(&output.stderr),
        }
    }

    fn redacted(&self, text: &[u8]) -> String {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let folder = self.folder.path();
        let real = folder.canonicalize().unwrap();
        [real.as_os_str(), folder.as_os_str()]
            .into_iter()
            .filter_map(OsStr::to_str)
            .fold(text, |text, path| text.replace(path, "[temp]"))
    }

    /// Whether a command has left anything in the folder of local environments.
    fn has_state(&self) -> bool {
        self.folder.path().join("state").exists()
    }
}

#[test]
fn an_unknown_environment_is_answered_with_the_known_ones() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["plan", "prd"]));
}

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_nearest_key() {
    let project = TestProject::new();
    project.edit(
        "environments/dev.toml",
        "memory-mib = 512",
        "memory-mb = 512",
    );
    insta::assert_snapshot!(project.infra(["plan", "dev"]));
}

#[test]
fn a_missing_key_is_shown_with_its_table() {
    let project = TestProject::new();
    project.edit("environments/dev.toml", "batch-size = 10\n", "");
    insta::assert_snapshot!(project.infra(["plan", "dev"]));
}

#[test]
fn values_out_of_range_are_shown_all_together() {
    let project = TestProject::new();
    let dev = "environments/dev.toml";
    project.edit(dev, "memory-mib = 512", "memory-mib = 64");
    project.edit(dev, "timeout-secs = 900", "timeout-secs = 901");
    project.edit(dev, "batch-size = 10", "batch-size = 11");
    project.edit(dev, "log-retention-days = 7", "log-retention-days = 8");
    insta::assert_snapshot!(project.infra(["synth", "dev"]));
}

#[test]
fn synth_needs_nothing_deployed_and_always_gives_the_same_bytes() {
    let project = TestProject::new();
    for environment in ["dev", "local", "prod"] {
        let first = project.infra(["synth", environment]);
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        assert_eq!(first.stderr, "");
        let template: serde_json::Value = serde_json::from_str(&first.stdout).unwrap();
        assert!(template["Resources"].is_object());
        assert_eq!(first.stdout, project.infra(["synth", environment]).stdout);
    }
    assert!(!project.has_state());
}

#[test]
fn the_project_is_found_from_a_folder_inside_it() {
    let project = TestProject::new();
    let inside = project.infra_in(&project.root().join("environments"), ["synth", "prod"]);
    assert_eq!(inside.code, Some(0), "{}", inside.stderr);
    assert_eq!(inside.stdout, project.infra(["synth", "prod"]).stdout);
}

#[test]
fn outside_a_project_a_command_says_how_to_name_one() {
    let project = TestProject::new();
    let outside = project.folder.path().join("elsewhere");
    std::fs::create_dir(&outside).unwrap();
    insta::assert_snapshot!(project.infra_in(&outside, ["plan", "local"]));
}

#[test]
fn a_plan_with_nothing_deployed_ends_with_what_it_would_create() {
    let project = TestProject::new();
    let plan = project.infra(["plan", "local"]);
    assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(plan.stdout.lines().next_back().unwrap());
    assert!(!project.has_state(), "a plan changes nothing");
}

#[test]
fn a_plan_as_json_has_the_same_changes_as_the_text() {
    let project = TestProject::new();
    let plan = project.infra(["plan", "local", "--json"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let json: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let changes = json["resources"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["impact"] == "create"));
    let text = project.infra(["plan", "local"]).stdout;
    let last = text.lines().next_back().unwrap().to_owned();
    assert_eq!(last, format!("local: {} to create", changes.len()));
}

#[test]
fn without_credentials_a_command_on_aws_says_what_was_tried_and_how_to_sign_in() {
    let project = TestProject::new();
    let prod = "environments/prod.toml";
    project.edit(prod, "region = ", "account = \"123456789012\"\nregion = ");
    for command in ["plan", "deploy", "outputs"] {
        let run = project.infra([command, "prod"]);
        assert_eq!(run.code, Some(2), "{run}");
        // The SDK's own words come after ours; they change with its version.
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert!(
            lines[0].starts_with("error: no AWS credentials: tried"),
            "{run}"
        );
        assert!(lines[0].contains("AWS_PROFILE"), "{run}");
        assert!(lines[1].starts_with("caused by: "), "{run}");
        assert!(
            lines[2].starts_with("hint: sign in with `aws sso login`"),
            "{run}"
        );
        assert_eq!(lines.len(), 3, "{run}");
    }
}

#[test]
fn an_account_that_is_not_named_is_said_before_credentials_are_asked_for() {
    let project = TestProject::new();
    for command in ["deploy", "plan"] {
        insta::allow_duplicates! { insta::assert_snapshot!(project.infra([command, "prod"])); }
    }
}

#[test]
fn the_status_of_what_is_not_deployed_shows_every_part_stopped() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["status", "local"]));
}

#[test]
fn papers_of_what_is_not_deployed_are_an_error_with_the_command_to_deploy() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["papers", "local"]));
}

#[test]
fn what_is_no_papers_id_is_refused_before_anything_is_called() {
    let project = TestProject::new();
    let results = project.infra(["results", "prod", "../x\u{1b}[2J"]);
    let test = project.infra(["test-code", "prod", "--paper-id", "../x"]);
    let judge = project.infra(["judge", "prod", "../x", "accept"]);
    for refused in [results, test, judge] {
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (Some(2), ""),
            "{refused}"
        );
        assert!(
            refused.stderr.contains("`cargo infra papers ENV`"),
            "{refused}"
        );
        assert!(!refused.stderr.contains('\u{1b}'), "{refused}");
    }
}

#[test]
fn tests_and_results_of_what_is_not_deployed_are_an_error_with_the_command_to_deploy() {
    let project = TestProject::new();
    let paper = "0123456789abcdef0123456789abcdef";
    for refused in [
        project.infra(["results", "local"]),
        project.infra(["test-code", "local", "--paper-id", paper]),
        project.infra(["trainium", "local", "status"]),
        project.infra(["judge", "local", paper, "accept"]),
    ] {
        assert_eq!(refused.code, Some(2), "{refused}");
        let deploy = "hint: deploy it: cargo infra deploy local";
        assert!(refused.stderr.contains(deploy), "{refused}");
    }
}

#[test]
fn the_judge_is_measured_against_labels_with_nothing_deployed() {
    let project = TestProject::new();
    let labels = project.root().join("labels.jsonl");
    let trains = "We train a transformer language model and compare its attention with a baseline.";
    let lines = [
        format!(r#"{{"title": "Attention", "abstract": "{trains}", "label": "accept"}}"#),
        r#"{"title": "Soup", "abstract": "We taste lentils.", "label": "reject"}"#.to_owned(),
        r#"{"title": "A transformer", "label": "accept"}"#.to_owned(),
    ];
    std::fs::write(&labels, lines.join("\n")).unwrap();
    let measured = project.infra(["judge", "eval", labels.to_str().unwrap(), "--json"]);
    assert_eq!(measured.code, Some(0), "{measured}");
    let report: serde_json::Value = serde_json::from_str(&measured.stdout).unwrap();
    assert_eq!(report["precision"], 1.0, "{measured}");
    assert_eq!(report["recall"], 0.5);
    assert_eq!(report["confusion"]["accept"]["undecided"], 1);
    assert_eq!(report["confusion"]["reject"]["reject"], 1);
    assert_eq!(report["without_abstract"], 1);
    assert!(!project.has_state());
    std::fs::write(&labels, "{\"title\": 7}").unwrap();
    let refused = project.infra(["judge", "eval", labels.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("line 1"), "{refused}");
}

#[test]
fn an_unknown_function_is_answered_with_the_known_ones() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["invoke", "local", "Nope"]));
}

#[test]
fn an_event_that_is_not_json_is_refused_before_anything_is_called() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["invoke", "local", "PapersJudge", "{"]));
}

#[test]
fn an_unknown_source_is_answered_with_the_known_ones() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["scrape", "local", "cvpr\u{1b}[2J"]));
}

#[test]
fn what_does_not_go_with_a_source_is_refused_before_anything_is_called() {
    let project = TestProject::new();
    let since = project.infra(["scrape", "prod", "NeurIPS", "--since", "2d"]);
    let topic = project.infra(["scrape", "prod", "arxiv", "--topic", "Deep Learning"]);
    insta::assert_snapshot!(format!("{since}\n{topic}"));
}

#[test]
fn words_without_a_letter_are_refused_before_anything_is_called() {
    let project = TestProject::new();
    for option in ["--search", "--topic"] {
        let output = project.infra(["scrape", "prod", "iclr", option, "::"]);
        let problem = format!("error: {option} has no letter or digit: `::`\nhint: ");
        assert!(output.stderr.contains(&problem), "{output}");
    }
}

#[test]
fn all_of_arxiv_is_refused_before_anything_is_called() {
    let project = TestProject::new();
    let endless = project.infra(["scrape", "prod", "arxiv", "--search", "attention"]);
    let too_many = project.infra(["scrape", "prod", "arxiv", "--max-papers", "10001"]);
    insta::assert_snapshot!(format!("{endless}\n{too_many}"));
}

#[test]
fn a_since_that_is_neither_day_nor_span_is_refused_with_examples() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["scrape", "local", "arxiv", "--since", "2w"]));
}

#[test]
fn a_scrape_of_what_is_not_deployed_is_an_error_with_the_command_to_deploy() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["scrape", "local", "both", "--follow"]));
}

#[test]
fn the_help_of_invoke_says_which_papers_an_event_takes() {
    let help = TestProject::new().infra(["invoke", "--help"]).to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "MAX_PAPERS counts papers that no earlier call had: the same event again takes the next ones";
    assert!(words.contains(said), "{help}");
}

#[test]
fn the_help_of_a_deploy_says_all_that_yes_answers() {
    let help = TestProject::new().infra(["deploy", "--help"]).to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "--yes Do not ask for confirmation of what loses nothing; also asks each model once that was not seen to \
                answer, and installs what is missing to build";
    assert!(words.contains(said), "{help}");
}

#[test]
fn the_help_of_a_scrape_has_examples() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["scrape", "--help"]));
}

#[test]
fn every_help_calls_the_program_by_its_one_name() {
    let project = TestProject::new();
    let overview = project.infra(["--help"]).stdout;
    let commands = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help");
    let mut n_helps = 0;
    for command in commands {
        let help = project.infra([command, "--help"]).stdout;
        for text in [&overview, &help] {
            assert!(text.contains("Usage: cargo infra"), "{text}");
            let named = text.match_indices("infra ").map(|(at, _)| &text[..at]);
            named.for_each(|before| assert!(before.ends_with("cargo "), "{text}"));
        }
        n_helps += 1;
    }
    assert!(n_helps > 10, "{overview}");
}

#[test]
fn a_host_that_is_no_address_is_shown_with_its_key() {
    let project = TestProject::new();
    project.edit(
        "environments/dev.toml",
        "[judge]",
        "[scraper.hosts]\narxiv = \"arxiv.org\"\n\n[judge]",
    );
    insta::assert_snapshot!(project.infra(["plan", "dev"]));
}

#[test]
fn a_span_without_a_known_unit_is_refused_with_an_example() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["logs", "local", "PapersJudge", "--since", "15x"]));
}

#[test]
fn destroying_what_is_not_there_succeeds_and_says_so() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.infra(["destroy", "local"]));
    assert!(!project.has_state());
}

#[test]
fn a_question_that_nobody_can_be_asked_is_an_error_and_nothing_happens() {
    let project = TestProject::new();
    let kept = project.folder.path().join("state/local/kept");
    std::fs::create_dir_all(&kept).unwrap();
    let destroy = project.infra(["destroy", "local"]);
    assert_eq!(destroy.code, Some(2), "{destroy}");
    assert!(destroy.stderr.contains("--yes"), "{destroy}");
    assert!(kept.exists());
}

#[test]
fn a_status_needs_no_key_of_the_model() {
    let project = TestProject::new();
    project.edit(
        "environments/local.toml",
        "[local.model]\nbackend = \"offline-rules\"",
        "[local.model]\nbackend = \"openai\"\nbase-url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\n\
         api-key-variable = \"A_VARIABLE_THAT_IS_NOT_SET\"",
    );
    let status = project.infra(["status", "local"]);
    assert_eq!(status.code, Some(0), "{status}");
    assert!(status.stdout.contains("openai-compatible"), "{status}");
}

#[test]
fn a_production_environment_is_destroyed_neither_by_yes_nor_without_credentials() {
    let project = TestProject::new();
    let protected = project.infra(["destroy", "prod", "--yes"]);
    assert_eq!(protected.code, Some(2), "{protected}");
    assert!(protected.stderr.contains("is protected"), "{protected}");
    let args = ["destroy", "prod", "--force-destroy", "--confirm", "prod"];
    let nobody = project.infra(args);
    assert_eq!(nobody.code, Some(2), "{nobody}");
    assert!(!nobody.stderr.contains("is protected"), "{nobody}");
}

#[test]
fn a_project_that_is_none_is_refused_with_its_folder() {
    let project = TestProject::new();
    let elsewhere = project.folder.path().join("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    insta::assert_snapshot!(project.infra_in(
        project.folder.path(),
        ["status", "local", "--project", elsewhere]
    ));
}

#[test]
fn an_error_never_steers_the_terminal() {
    let project = TestProject::new();
    let run = project.infra(["status", "\u{1b}[2J\u{202e}prd"]);
    assert_eq!(run.code, Some(2));
    assert!(!run.stderr.contains(['\u{1b}', '\u{202e}']), "{run}");
}
