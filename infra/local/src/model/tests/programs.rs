//! The generator's programs: valid Python whatever the paper says, and they train.

use std::path::Path;
use std::process::{Command, Output};

use annapurna_contract::model::{GeneratedProgram, PROGRAM_TOOL, PaperText};
use annapurna_test_needs::needs;
use serde_json::Value;

use super::super::{Backend, program};
use super::{ask, paper, start, tool_input};

/// A stand-in for the data set: four clusters of points in 20 dimensions.
const DATASET_LOADER: &str = r#"
import torch
from torch.utils.data import TensorDataset

def load_dataset(name):
    assert name == "synthetic"
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 20, generator=generator)
    def split(samples):
        y = torch.randint(0, 4, (samples,), generator=generator)
        return TensorDataset(centres[y] + 0.8 * torch.randn(samples, 20, generator=generator), y)
    return split(4096), split(1024)
"#;

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
    let program = program::generate(paper);
    std::fs::write(folder.join("code.py"), &program.code).unwrap();
    program
}

#[tokio::test]
async fn the_answer_is_a_whole_program_for_the_tool() {
    let url = start(Backend::OfflineRules).await;
    let attention = paper("Attention Is All You Need", "");
    let prompt = attention.to_prompt_block().unwrap();
    let output = ask(&url, PROGRAM_TOOL, &prompt).send().await.unwrap();
    let answer: GeneratedProgram = serde_json::from_value(tool_input(&output)).unwrap();
    assert_eq!(answer, program::generate(&attention));
    assert_eq!(answer.dataset, "synthetic");
    assert!(answer.code.contains("MODEL = \"self_attention\""));
    assert!(
        answer.description.contains("\"attention\""),
        "{}",
        answer.description
    );
}

#[test]
fn words_of_the_paper_choose_model_and_optimizer_and_its_identity_the_seed() {
    let code = |title: &str| program::generate(&paper(title, "")).code;
    assert!(code("CNNs with momentum").contains("MODEL = \"convolution\"\nOPTIMIZER = \"sgd\""));
    assert!(code("Boosting").contains("MODEL = \"perceptron\"\nOPTIMIZER = \"adamw\""));
    assert_eq!(code("Boosting"), code("Boosting"));
    let seed = |title| {
        code(title)
            .lines()
            .find(|line| line.starts_with("SEED"))
            .unwrap()
            .to_owned()
    };
    assert_ne!(seed("Boosting"), seed("Bagging"));
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
fn every_model_trains_on_one_core_within_its_time() {
    let found = interpreter_that_can("torch");
    let remedy = "install it for python3 (Debian: python3-torch)";
    let Some(interpreter) = needs(found, "torch", remedy) else {
        return;
    };
    let titles = [
        "A transformer \"\"\" 🤖 \\",
        "Convolutional nets with momentum",
        "Boosting\nimport os",
    ];
    for title in titles {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dataset_loader.py"), DATASET_LOADER).unwrap();
        write_program(folder.path(), &paper(title, ""));
        let output = python(interpreter, folder.path(), &["code.py"]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metrics: Vec<Value> = stdout
            .lines()
            .filter_map(|line| line.strip_prefix("METRICS: "))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let (first, last) = (metrics.first().unwrap(), metrics.last().unwrap());
        println!("{title:?}: {last}");
        let number = |metrics: &Value, key: &str| metrics[key].as_f64().unwrap();
        assert!(
            number(last, "training_loss") < number(first, "training_loss"),
            "{stdout}"
        );
        assert!(number(last, "validation_accuracy") > 0.8, "{stdout}");
        assert!(number(last, "throughput_samples_per_sec") > 0.0, "{stdout}");
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
