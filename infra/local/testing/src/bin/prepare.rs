//! Prepares a folder as `deploy local` does, and says what became of it; for tests of downloads that fail.
//!
//! `prepare FOLDER [torch]`: with `torch`, torch is installed from PyTorch's wheel index, too.

#![allow(clippy::print_stderr, reason = "this program runs in tests only")]

use std::path::Path;
use std::process::ExitCode;

use annapurna_local::torch::{self, InstallPlan, Route};
use annapurna_local::{Home, Silent, installation};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, with_torch) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder] => (folder, false),
        [folder, "torch"] => (folder, true),
        _ => {
            eprintln!("usage: prepare FOLDER [torch]");
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
