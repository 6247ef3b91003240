//! What programs come to, through the agent's own process: those that do nothing are never taken for trained.

use annapurna_contract::{ErrorType, NotTrained, Outcome, TestResult, TestStatus};

use crate::process::Agent;
use crate::support::{Bench, interpreter, needs_torch};

/// Trains a linear model on the made-up clusters; `LR`, `LOOP` and `END` are put in.
const TRAINS: &str = "\
import torch
from dataset_loader import load_dataset, evaluate
torch.manual_seed(0)
train, test = load_dataset('synthetic', batch_size=64)
model = torch.nn.Linear(20, 4)
start = torch.nn.Linear(20, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=LR)
for epoch in range(3):
    for x, y in train:
        LOOP
END
";
const STEP: &str = "optimizer.zero_grad(); torch.nn.functional.cross_entropy(model(x), y).backward(); optimizer.step()";
const EVALUATES: &str = "\
print('METRICS:', '{\"baseline_accuracy\": %.3f, \"method_accuracy\": %.3f}' % (
    evaluate(start, name='baseline')['accuracy'], evaluate(model, name='method')['accuracy']))";

fn program(lr: &str, step: &str, end: &str) -> String {
    let code = TRAINS.replace("LR", lr).replace("LOOP", step);
    code.replace("END", end)
}

async fn run(agent: &Agent, code: &str) -> TestResult {
    let answer = agent.execute(code).await.unwrap();
    serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// An agent, where this machine can have one whose programs have torch.
fn agent(state: &tempfile::TempDir) -> Option<Agent> {
    Bench::best()?;
    needs_torch(interpreter())?;
    Some(Agent::start(state.path()))
}

#[tokio::test]
async fn a_program_that_trains_and_measures_beats_its_baseline() {
    let state = tempfile::tempdir().unwrap();
    let Some(agent) = agent(&state) else { return };
    let result = run(&agent, &program("0.1", STEP, EVALUATES)).await;
    assert_eq!(result.outcome, Some(Outcome::BeatsBaseline), "{result:?}");
    let measured = result.measured.unwrap();
    // 2,048 samples are 32 batches, three times.
    assert_eq!((measured.batches, measured.steps), (96, 96));
    assert_eq!(measured.datasets, ["synthetic"]);
    let names: Vec<&str> = measured.evaluations.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["baseline", "method"]);
    let method = &measured.evaluations[1];
    assert_eq!(
        (method.dataset.as_str(), method.samples),
        ("synthetic", 512)
    );
    let claimed = result.metrics["method_accuracy"].as_f64().unwrap();
    assert!((claimed - method.accuracy.unwrap()).abs() < 1e-3);
}

#[tokio::test]
async fn no_program_that_does_nothing_is_trained() {
    let state = tempfile::tempdir().unwrap();
    let Some(agent) = agent(&state) else { return };
    let invented = "print('METRICS: {\"method_accuracy\": 0.990, \"baseline_accuracy\": 0.5}')";
    let not_measured = NotTrained::NotMeasured;
    for (what, code, why) in [
        ("nothing", "import torch".to_owned(), not_measured),
        ("invented", invented.to_owned(), not_measured),
        (
            "invented beside the loader",
            format!("import dataset_loader\n{invented}"),
            NotTrained::NoData,
        ),
        (
            "a step that is none",
            program("0.1", "pass", invented),
            NotTrained::FewSteps(0),
        ),
        (
            "a step of no length",
            program("0.0", STEP, EVALUATES),
            NotTrained::DidNotFall,
        ),
        (
            "backward without a step",
            program("0.1", "model(x).sum().backward()", invented),
            NotTrained::FewSteps(0),
        ),
        (
            "a loss that is lost",
            program("1e38", STEP, "pass"),
            NotTrained::NotFinite,
        ),
    ] {
        let result = run(&agent, &code).await;
        assert_eq!(
            result.status,
            Some(TestStatus::Success),
            "{what}: {result:?}"
        );
        assert_eq!(result.outcome, Some(Outcome::Ran), "{what}: {result:?}");
        assert_eq!(result.not_trained(), Some(why), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn a_number_that_cannot_be_is_a_failure_with_its_name() {
    let state = tempfile::tempdir().unwrap();
    let Some(agent) = agent(&state) else { return };
    for (claim, message) in [
        ("{\"training_loss\": NaN}", "training_loss is not a finite"),
        ("{\"method_accuracy\": 99.0}", "method_accuracy is 99"),
    ] {
        let end = format!("print('METRICS: {claim}')");
        let result = run(&agent, &program("0.1", STEP, &end)).await;
        assert_eq!(result.outcome, Some(Outcome::Failed), "{result:?}");
        assert_eq!(result.error_type, Some(ErrorType::Metrics));
        let said = result.error_message.unwrap();
        assert!(said.contains(message), "{said}");
        // It ended well all the same.
        assert!(result.success && result.status == Some(TestStatus::Success));
        assert_eq!(result.measured.map(|it| it.steps), Some(96));
    }
}

#[tokio::test]
async fn whatever_lies_where_the_report_is_expected_breaks_nothing() {
    let state = tempfile::tempdir().unwrap();
    let Some(agent) = agent(&state) else { return };
    for left in [
        "open(report, 'w').write('{' * 100000)",
        "open(report, 'w').write('{\"steps\": 1e999}')",
        "open(report, 'wb').truncate(1 << 33)",
        "os.symlink('/etc/passwd', report)",
        "os.mkfifo(report)",
        "os.mkdir(report)",
        "open(report, 'w').write('{\"status\": \"timeout\", \"success\": false}')",
        "os.chdir('/'); os.chmod(os.environ['HOME'], 0)",
    ] {
        let code = format!("import os\nreport = os.environ['MEASURED_FILE']\n{left}");
        let result = run(&agent, &code).await;
        assert_eq!(
            result.status,
            Some(TestStatus::Success),
            "{left}: {result:?}"
        );
        assert_eq!(result.outcome, Some(Outcome::Ran), "{left}");
    }
    // The harness itself finds no place for its report.
    let end = "import os; os.chmod(os.environ['HOME'], 0)";
    let result = run(&agent, &program("0.1", STEP, end)).await;
    assert_eq!(result.outcome, Some(Outcome::Ran), "{result:?}");
    assert_eq!(result.not_trained(), Some(NotTrained::NotMeasured));
}
