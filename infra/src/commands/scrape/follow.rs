//! Watches an execution and shows how far it is.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use annapurna_contract::events::ScraperEvent;
use aws_sdk_sfn::types::ExecutionStatus;
use chrono::Utc;

use super::ScrapeArgs;
use super::conclusion::conclude;
use super::executions::{self, Execution, Look};
use super::progress::Progress;
use crate::commands::{Context, Target};
use crate::error::CommandError;
use crate::ui::Step;

/// Watches an execution until it ends, or waits for papers that were held back.
pub(super) async fn follow(
    cx: &Context,
    args: &ScrapeArgs,
    request: &ScraperEvent,
    target: &Target,
    execution: &Execution,
) -> Result<ExitCode, CommandError> {
    // Step Functions answers some 15 questions a second for all of an account together.
    let is_local = target.environment.local().is_some();
    let pause = Duration::from_secs(if is_local { 2 } else { 5 });
    let mut progress = Progress::default();
    let mut display = Display::new(cx, &execution.name);
    loop {
        let look = executions::look(&target.cloud, execution, progress.last_event()).await?;
        if let Look::Found {
            description,
            events,
        } = look
        {
            events.iter().for_each(|event| progress.learn(event));
            let runs = description.status() == &ExecutionStatus::Running;
            if !runs || progress.again_at().is_some() {
                drop(display);
                return conclude(cx, args, request, execution, &description, &progress);
            }
            display.show(&progress);
        }
        tokio::time::sleep(pause).await;
    }
}

/// The moving line, or on no terminal a line now and then.
struct Display<'a> {
    cx: &'a Context,
    step: Option<Step>,
    n_papers: usize,
    line: String,
    delay: String,
    said: Instant,
}

impl<'a> Display<'a> {
    /// Least time between two lines on no terminal.
    const BETWEEN_LINES: Duration = Duration::from_secs(15);

    fn new(cx: &'a Context, name: &str) -> Self {
        let step = cx.ui.begin(format!("{} reads the list", name));
        Self {
            cx,
            step: Some(step),
            n_papers: 0,
            line: String::new(),
            delay: String::new(),
            said: Instant::now(),
        }
    }

    fn show(&mut self, progress: &Progress) {
        if let Some(delay) = progress.delay().filter(|delay| *delay != self.delay) {
            delay.clone_into(&mut self.delay);
            self.say(delay);
        }
        if progress.n_papers() != self.n_papers {
            self.n_papers = progress.n_papers();
            // The one before must end first: they share the line.
            self.step = None;
            let text = format!("{} papers are taken", self.n_papers);
            self.step = Some(self.cx.ui.begin_counted(text, self.n_papers));
        }
        let Some(step) = self.step.as_ref().filter(|_| self.n_papers > 0) else {
            return;
        };
        let line = progress.line(Utc::now());
        step.reached(progress.summary().found);
        step.says(&line);
        let is_due = self.said.elapsed() >= Self::BETWEEN_LINES;
        if !self.cx.ui.is_interactive() && line != self.line && is_due {
            let found = progress.summary().found;
            self.cx
                .ui
                .status(format!("{found} of {} papers: {line}", self.n_papers));
            self.said = Instant::now();
        }
        self.line = line;
    }

    /// Says why nothing moves: in the moving line, or once on no terminal.
    fn say(&self, text: &str) {
        match &self.step {
            Some(step) if self.cx.ui.is_interactive() => step.says(text),
            _ => self.cx.ui.status(text),
        }
    }
}
