//! How far a stack operation is: a moving line, a line for each event, or JSON.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::{Event, Progress};
use crate::ui::{Step, Ui, safe};

/// How events are shown; by itself a moving line on a terminal and plain lines elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressStyle {
    /// One moving line, and a line for each failure
    Bar,
    /// A line for each event of a resource
    Plain,
    /// A JSON object for each event, on standard error
    Json,
}

impl ProgressStyle {
    /// What was asked for, or what suits where it is shown.
    pub(super) fn or_by_itself(asked: Option<Self>, ui: &Ui) -> Self {
        match asked {
            Some(style) => style,
            None if ui.is_interactive() => Self::Bar,
            None => Self::Plain,
        }
    }
}

/// Shows the events of one operation on a stack.
pub(super) struct Follower<'a> {
    ui: &'a Ui,
    style: ProgressStyle,
    stack: String,
    /// Resources that are to reach their end; 0 when that is not known.
    total: usize,
    /// How long the whole may take, by earlier operations.
    estimate: Option<Duration>,
    begin: Instant,
    done: AtomicUsize,
    /// The moving line.
    step: Option<Step>,
}

/// An event as JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    stack: &'a str,
    resource: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    done: usize,
    total: usize,
    elapsed_secs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_secs: Option<u64>,
}

impl<'a> Follower<'a> {
    /// Begins to show an operation on `total` resources.
    pub(super) fn new(
        ui: &'a Ui,
        style: ProgressStyle,
        stack: &str,
        total: usize,
        estimate: Option<Duration>,
    ) -> Self {
        if let (Some(estimate), ProgressStyle::Bar | ProgressStyle::Plain) = (estimate, style) {
            ui.status(format!("This takes about {}.", words(estimate)));
        }
        let step = match (style, total) {
            (ProgressStyle::Bar, 0) => Some(ui.begin("resources")),
            (ProgressStyle::Bar, total) => Some(ui.begin_counted("resources", total)),
            _ => None,
        };
        Self {
            ui,
            style,
            stack: stack.to_owned(),
            total,
            estimate,
            begin: Instant::now(),
            done: AtomicUsize::new(0),
            step,
        }
    }

    /// Shows one event.
    pub(super) fn show(&self, event: &Event) {
        let is_resource = event.resource != self.stack;
        let done = match (is_resource, event.progress) {
            (true, Progress::Done) => self.done.fetch_add(1, Ordering::Relaxed) + 1,
            _ => self.done.load(Ordering::Relaxed),
        };
        match self.style {
            ProgressStyle::Json => self.ui.progress_json(&self.line(event, done)),
            ProgressStyle::Plain => self.ui.status(self.text(event, done)),
            ProgressStyle::Bar => {
                if let Some(step) = &self.step {
                    step.reached(done);
                    step.says(format!("{} {}", event.status, event.resource));
                }
                if is_resource && event.progress == Progress::Failed {
                    self.ui.warn(failure(event));
                }
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        let estimate = self.estimate?;
        Some(estimate.saturating_sub(self.begin.elapsed()))
    }

    fn line<'e>(&'e self, event: &'e Event, done: usize) -> Line<'e> {
        Line {
            stack: &self.stack,
            resource: &event.resource,
            status: &event.status,
            reason: event.reason.as_deref(),
            done,
            total: self.total,
            elapsed_secs: self.begin.elapsed().as_secs(),
            left_secs: self.left().map(|it| it.as_secs()),
        }
    }

    /// `02:10 CREATE_COMPLETE ResearchQueue (12 of 84, about 3 min left)`.
    fn text(&self, event: &Event, done: usize) -> String {
        let secs = self.begin.elapsed().as_secs();
        let what = match event.progress {
            Progress::Failed => failure(event),
            _ => format!("{} {}", event.status, event.resource),
        };
        let mut notes = Vec::new();
        if self.total > 0 {
            notes.push(format!("{done} of {}", self.total));
        }
        if let Some(left) = self.left().filter(|left| !left.is_zero()) {
            notes.push(format!("about {} left", words(left)));
        }
        let notes = match notes.is_empty() {
            true => String::new(),
            false => format!(" ({})", notes.join(", ")),
        };
        format!("{:02}:{:02} {what}{notes}", secs / 60, secs % 60)
    }
}

fn failure(event: &Event) -> String {
    let Event {
        resource, status, ..
    } = event;
    let reason = event.reason.as_deref().unwrap_or("no reason given");
    format!("{status} {resource}: {}", safe(reason))
}

/// A duration as a person says it.
fn words(duration: Duration) -> String {
    match duration.as_secs() {
        secs @ 0..=90 => format!("{secs} s"),
        secs => format!("{} min", (secs + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_with_how_far_the_whole_is() {
        let ui = Ui::unattended();
        let estimate = Some(Duration::from_secs(600));
        let follower = Follower::new(&ui, ProgressStyle::Plain, "annapurna-dev", 84, estimate);
        let created = Event::example("ResearchQueue", "CREATE_COMPLETE", None);
        assert_eq!(
            follower.text(&created, 12),
            "00:00 CREATE_COMPLETE ResearchQueue (12 of 84, about 10 min left)"
        );
        let failed = Event::example("Judge", "CREATE_FAILED", Some("denied"));
        let unknown = Follower::new(&ui, ProgressStyle::Plain, "annapurna-dev", 0, None);
        assert_eq!(
            unknown.text(&failed, 0),
            "00:00 CREATE_FAILED Judge: denied"
        );
        let line = serde_json::to_value(follower.line(&failed, 12)).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "stack": "annapurna-dev", "resource": "Judge", "status": "CREATE_FAILED",
                "reason": "denied", "done": 12, "total": 84, "elapsed_secs": 0, "left_secs": 599,
            })
        );
    }

    #[test]
    fn the_style_is_what_was_asked_for_and_else_what_suits_the_place() {
        let ui = Ui::unattended();
        let by_itself = ProgressStyle::or_by_itself(None, &ui);
        assert_eq!(by_itself, ProgressStyle::Plain);
        let asked = ProgressStyle::or_by_itself(Some(ProgressStyle::Json), &ui);
        assert_eq!(asked, ProgressStyle::Json);
    }
}
