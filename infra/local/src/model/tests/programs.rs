//! The generator's programs: valid Python whatever the paper says, and they train.

use std::path::Path;
use std::process::{Command, Output};

use annapurna_contract::dataset::synthetic;
use annapurna_contract::model::{GeneratedProgram, PROGRAM_TOOL, PaperText, block_of};
use annapurna_contract::plan::{
    ClaimState, FIDELITY_TOOL, Fidelity, MethodKind, Metric, PLAN_CLOSE, PLAN_OPEN, PLAN_TOOL,
    PROGRAM_CLOSE, PROGRAM_OPEN, Plan, ShownProgram,
};
use annapurna_program_check::Rules;
use annapurna_test_needs::needs;
use serde_json::Value;

use super::super::{Backend, program};
use super::{ask, paper, start, tool_input};

/// The loader that programs get, with what measures them.
const LOADER: [(&str, &str); 2] = [
    (
        "dataset_loader.py",
        include_str!("../../../../../trainium/python/dataset_loader.py"),
    ),
    (
        "measuring.py",
        include_str!("../../../../../trainium/python/measuring.py"),
    ),
];

/// A paper for each experiment.
const PAPERS: [(&str, MethodKind); 4] = [
    ("Attention for language models", MethodKind::Language),
    ("Convolutional nets see images", MethodKind::Vision),
    ("A faster optimizer by momentum", MethodKind::Optimizer),
    ("Boosting weak learners", MethodKind::Other),
];

/// Prints the title constant and the number of top-level statements.
const INSPECT: &str = r#"
import ast, json, sys
tree = ast.parse(open(sys.argv[1], encoding="utf-8").read())
constants = {n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign)}
print(json.dumps([ast.literal_eval(constants["PAPER_TITLE"]), len(tree.body)]))
"#;

const HOSTILE_TITLES: [&str; 9] = [
    "\"\nimport os\nos.system('touch executed')\n\"",
    "\"\"\"; __import__('os').system('touch executed') #",
    "'''\\",
    "trailing backslash \\",
    "@TITLE@ @MODEL@ @SEED@",
    "@SEED@",
    "Łukasz 深度学习 🤖 \u{202e}",
    "null \0 bell \u{7} return \r tab \t line \u{2028}",
    "\\N{BULLET} \\x41 {PAPER_TITLE} %s",
];

fn python(interpreter: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(interpreter)
        .args(arguments)
        .current_dir(folder)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap()
}

fn write_program(folder: &Path, paper: &PaperText) -> GeneratedProgram {
    let program = program::generate(paper, false);
    std::fs::write(folder.join("code.py"), &program.code).unwrap();
    program
}

#[tokio::test]
async fn plan_program_and_examination_go_through_the_pipelines_own_gates() {
    let url = start(Backend::OfflineRules).await;
    let sets = synthetic();
    let datasets: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    for (title, kind) in PAPERS {
        let prompt = paper(title, "").to_prompt_block().unwrap();
        let answer =
            async |tool, prompt: &str| tool_input(&ask(&url, tool, prompt).send().await.unwrap());
        let plan: Plan = serde_json::from_value(answer(PLAN_TOOL, &prompt).await).unwrap();
        assert_eq!(plan.check(&datasets), Ok(()), "{title}");
        assert_eq!(plan.kind, kind);
        let program: GeneratedProgram =
            serde_json::from_value(answer(PROGRAM_TOOL, &prompt).await).unwrap();
        for backend in annapurna_contract::Backend::ALL {
            let rules = Rules {
                datasets: &datasets,
                backend,
            };
            let with_gpu = program::generate(&paper(title, ""), true).code;
            let code = match backend {
                annapurna_contract::Backend::Cuda | annapurna_contract::Backend::Auto => &with_gpu,
                _ => &program.code,
            };
            let facts = annapurna_program_check::check(code, &rules);
            let facts = facts.unwrap_or_else(|found| panic!("{title} on {backend}: {found}"));
            assert!(facts.datasets.contains(&plan.dataset), "{title}");
        }
        let examined = async |code: &str| {
            let numbered = (1..)
                .zip(code.lines())
                .map(|(n, line)| format!("{n}\t{line}"));
            let shown = ShownProgram {
                code: numbered.collect::<Vec<_>>().join("\n"),
                findings: String::new(),
            };
            let (block, shown_plan) = (block_of(&shown).unwrap(), block_of(&plan).unwrap());
            let question = format!(
                "{prompt} {PLAN_OPEN}{shown_plan}{PLAN_CLOSE} {PROGRAM_OPEN}{block}{PROGRAM_CLOSE}"
            );
            let seen: Fidelity =
                serde_json::from_value(answer(FIDELITY_TOOL, &question).await).unwrap();
            let n_lines = u32::try_from(code.lines().count()).unwrap();
            assert_eq!(seen.check(&plan, n_lines), Ok(()), "{title}");
            seen
        };
        let seen = examined(&program.code).await;
        assert_eq!(
            seen.count(ClaimState::Present),
            plan.claims.len(),
            "{title}"
        );
        let without = program.code.replace("# Claim 2.", "");
        let seen = examined(&without).await;
        assert_eq!(seen.claims[1].state, ClaimState::Missing, "{title}");
        assert_eq!(seen.count(ClaimState::Missing), 1, "{title}");
    }
}

#[test]
fn words_of_the_paper_choose_the_experiment_and_its_identity_the_seed() {
    let code = |title: &str| program::generate(&paper(title, ""), false).code;
    assert!(code("CNNs with momentum").contains("synthetic_images"));
    assert!(code("Large language models").contains("synthetic_tokens"));
    assert!(code("Boosting").contains("class AdaptiveMoments"));
    assert_eq!(code("Boosting"), code("Boosting"));
    let seed = |title| {
        code(title)
            .lines()
            .find(|line| line.starts_with("SEED"))
            .unwrap()
            .to_owned()
    };
    assert_ne!(seed("Boosting"), seed("Bagging"));
    let plan = program::plan(&paper("ImageNet in an hour", ""));
    assert_eq!(plan.wanted_dataset.as_deref(), Some("imagenet"));
}

#[test]
fn a_hostile_title_stays_a_string() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = interpreter_that_can("ast").expect("the project needs a python3");
    write_program(folder.path(), &paper("Adam", ""));
    let inspect = |path: &Path| {
        let output = python(interpreter, path, &["-c", INSPECT, "code.py"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: (String, u64) = serde_json::from_slice(&output.stdout).unwrap();
        answer
    };
    let (_, n_statements) = inspect(folder.path());
    for title in HOSTILE_TITLES {
        let program = write_program(folder.path(), &paper(title, "\"\"\"\nboom("));
        assert!(program.code.is_ascii());
        let compiled = python(interpreter, folder.path(), &["-m", "py_compile", "code.py"]);
        assert!(compiled.status.success(), "{title:?}");
        assert_eq!(inspect(folder.path()), (title.to_owned(), n_statements));
    }
    assert!(!folder.path().join("executed").exists());
}

#[test]
fn every_method_trains_on_one_core_and_beats_its_baseline() {
    let found = interpreter_that_can("torch");
    let remedy = "install it for python3 (Debian: python3-torch)";
    let Some(interpreter) = needs(found, "torch", remedy) else {
        return;
    };
    for (title, _) in PAPERS {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in LOADER {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let title = format!("{title} \"\"\" 🤖 \\");
        let plan = program::plan(&paper(&title, ""));
        write_program(folder.path(), &paper(&title, ""));
        let output = python(interpreter, folder.path(), &["code.py"]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut metrics = stdout
            .lines()
            .filter_map(|line| line.strip_prefix("METRICS: "));
        let metrics: Value = serde_json::from_str(metrics.next_back().unwrap()).unwrap();
        println!("{title}: {metrics}");
        let number = |key: &str| metrics[key].as_f64().unwrap();
        let Metric {
            name,
            higher_is_better,
        } = &plan.metric;
        let method = number(&format!("method_{name}"));
        let baseline = number(&format!("baseline_{name}"));
        assert_eq!(method > baseline, *higher_is_better, "{stdout}");
        assert_ne!(method, baseline, "{stdout}");
    }
}

/// The first Python that can import `module`.
fn interpreter_that_can(module: &str) -> Option<&'static str> {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|interpreter| {
            let mut command = Command::new(interpreter);
            let output = command.args(["-c", &format!("import {module}")]).output();
            output.is_ok_and(|output| output.status.success())
        })
}
