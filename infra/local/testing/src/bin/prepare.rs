//! Prepares a folder as `deploy local` does, and says what became of it; for tests of downloads that fail.
//!
//! `prepare FOLDER [torch|doctor]`: with `torch`, torch is installed from PyTorch's wheel index, too; with
//! `doctor`, nothing is prepared, and what a deployment would find is told.

#![allow(clippy::print_stderr, reason = "this program runs in tests only")]

use std::path::Path;
use std::process::ExitCode;

use annapurna_local::doctor::{self, State, Wanted};
use annapurna_local::torch::{self, InstallPlan, Route};
use annapurna_local::{Home, Silent, installation};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, with_torch) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder] => (folder, false),
        [folder, "torch"] => (folder, true),
        [folder, "doctor"] => return diagnose(&Home::new(folder)).await,
        _ => {
            eprintln!("usage: prepare FOLDER [torch|doctor]");
            return ExitCode::from(2);
        }
    };
    let mut plan = InstallPlan::default();
    if with_torch {
        // What a person would be told before anything is installed; then on as if the index had answered.
        if let Some(obstacle) = torch::plan(None, None).await.obstacle {
            eprintln!("obstacle: {obstacle}");
        }
        plan.torch = Some(Route::Wheels);
    }
    let home = Home::new(Path::new(folder));
    match installation::prepare(&home, true, &plan, &Silent).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// Fails when something that is needed is missing, and names it with what mends it.
async fn diagnose(home: &Home) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let wanted = Wanted {
        torch_python: None,
        opensearch: true,
        sandbox: false,
    };
    for check in doctor::look(home, wanted).await.checks {
        if let State::Missing { problem, fix } = check.state {
            eprintln!("{}: {problem}; {fix}", check.name);
            code = ExitCode::FAILURE;
        }
    }
    code
}
