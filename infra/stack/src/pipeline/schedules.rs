//! What starts the pipeline by itself: which source is taken when, and the ticks of generator and dispatcher.

use annapurna_contract::Source;
use annapurna_contract::events::{EndWaits, GeneratorEvent, TesterEvent};
use serde::Serialize;

use super::Pipeline;
use crate::constructs::function::FunctionHandle;
use crate::constructs::role::RoleHandle;
use crate::constructs::schedule::{Schedule, SchedulesRole};
use crate::constructs::state_machine::StateMachineHandle;

impl Pipeline<'_> {
    /// What looks every minute for due batches and for papers that have waited long enough for their text, and
    /// takes each source when it has new papers.
    pub(super) fn add_schedules(
        &mut self,
        state_machine: &StateMachineHandle,
        generator: &FunctionHandle,
        tester: &FunctionHandle,
    ) -> Result<(), serde_json::Error> {
        let role = SchedulesRole {
            functions: vec![generator, tester],
            state_machine,
        };
        let role = role.add_to(&mut self.stack);
        let dispatch = Look {
            id: "DispatchEveryMinute",
            description: "Looks whether a batch of programs is due",
            function: tester,
        };
        let force = false;
        let dispatch = dispatch.each_minute(&TesterEvent::Dispatch { force }, &role)?;
        dispatch.add_to(&mut self.stack);
        let end_waits = Look {
            id: "EndWaitsEveryMinute",
            description: "Looks which papers have waited long enough for their text",
            function: generator,
        };
        let end_waits = end_waits.each_minute(&GeneratorEvent::EndWaits(EndWaits {}), &role)?;
        end_waits.add_to(&mut self.stack);
        for source in Source::ALL {
            let scrape = Schedule {
                id: format!("Scrape{}", source.name()),
                description: format!("Takes the new papers of {}", source.name()),
                expression: scrape_cron(source),
                window_minutes: 60,
                target: state_machine.arn(),
                event: serde_json::to_string(&ScheduledScrape::of(source))?,
                role: &role,
                enabled: self.environment.scraper.scheduled,
            };
            scrape.add_to(&mut self.stack);
        }
        Ok(())
    }
}

/// What a function looks at by itself.
struct Look<'a> {
    id: &'static str,
    description: &'static str,
    function: &'a FunctionHandle,
}

impl Look<'_> {
    /// The schedule that has it look with `event`.
    fn each_minute<'a>(
        self,
        event: &impl Serialize,
        role: &'a RoleHandle,
    ) -> Result<Schedule<'a>, serde_json::Error> {
        Ok(Schedule {
            id: self.id.to_owned(),
            description: self.description.to_owned(),
            expression: "rate(1 minute)",
            window_minutes: 0,
            target: self.function.arn(),
            event: serde_json::to_string(event)?,
            role,
            enabled: true,
        })
    }
}

/// When each source is taken, UTC, none at another's hour. A conference is taken when its year's papers
/// are out and, within the same year, once more for PDFs that came late; arXiv's announcements of a
/// weekday, Monday to Friday, reach its API in the night after, so each is there at the next day's hour.
const fn scrape_cron(source: Source) -> &'static str {
    match source {
        Source::Arxiv => "cron(17 4 ? * TUE-SAT *)",
        Source::Iclr => "cron(23 5 2 6,9 ? *)",
        Source::Mlsys => "cron(37 8 5 7,10 ? *)",
        Source::Icml => "cron(29 6 3 8,11 ? *)",
        Source::Neurips => "cron(31 7 6,20 12 ? *)",
    }
}

/// How far back a day's scrape of arXiv looks. Papers are listed by the day they were submitted and
/// appear later: one handed in on Friday evening is taken on Wednesday morning, four and a half days on.
/// A week also takes what a lost day or two left, and what is known costs one question each.
const ARXIV_SINCE: &str = "7d";

/// The event of a source's schedule, as `ScraperEvent` reads it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ScheduledScrape {
    Newest {
        #[serde(rename = "CONFERENCE")]
        conference: Source,
        since: &'static str,
    },
    Year {
        #[serde(rename = "CONFERENCE")]
        conference: Source,
        #[serde(rename = "CONFERENCE_YEAR")]
        year: &'static str,
    },
}

impl ScheduledScrape {
    /// Scheduler puts its time in place of the keyword, and a conference's year is that of the time. Source:
    /// EventBridge Scheduler user guide, "Adding context attributes".
    const fn of(source: Source) -> Self {
        match source {
            Source::Arxiv => Self::Newest {
                conference: source,
                since: ARXIV_SINCE,
            },
            Source::Iclr | Source::Icml | Source::Neurips | Source::Mlsys => Self::Year {
                conference: source,
                year: "<aws.scheduler.scheduled-time>",
            },
        }
    }
}
