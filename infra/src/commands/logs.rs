use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use annapurna_contract::Function;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use chrono::{DateTime, Utc};

use super::invoke::known_function;
use super::{Context, EnvironmentArg, Target};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::local::agent;
use crate::ui;

/// What the logs of the agent are asked for by.
const AGENT: &str = "agent";

/// Show a function's logs, or the agent's
///
/// Of instances in AWS: all that their agents and their first boot said, which goes to one log group.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra logs local PapersJudge
  cargo infra logs prod agent --since 1h
  cargo infra logs prod PapersCodeTester --since 2h --follow")]
pub(super) struct LogsArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Function, or `agent`
    function: String,
    /// How far back: 90s, 15m, 2h, 1d
    #[arg(long, default_value = "15m", value_parser = parse_span)]
    since: Duration,
    /// Go on until Ctrl-C
    #[arg(long)]
    follow: bool,
}

/// Reads `15m` and the like.
fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number with s, m, h or d, such as 15m".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - unit.len_utf8()]
        .parse()
        .map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

pub(super) async fn run(cx: &Context, args: LogsArgs) -> Result<ExitCode, CommandError> {
    let function = match args.function.eq_ignore_ascii_case(AGENT) {
        true => None,
        false => Some(known_function(&args.function)?),
    };
    let target = cx.target(&args.environment).await?;
    let log = Log::of(cx, &target, function);
    let span = i64::try_from(args.since.as_millis()).unwrap_or(i64::MAX);
    let from = Utc::now().timestamp_millis().saturating_sub(span);
    let mut shown = Shown {
        until: from,
        n_at_until: 0,
    };
    if !args.follow {
        shown.go_on(cx, &log).await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        biased;
        // That is how a person ends it.
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
        outcome = follow(cx, &log, shown) => outcome.map(|never| match never {}),
    }
}

/// Where something is logged.
enum Log<'a> {
    /// In CloudWatch.
    Group { cloud: &'a Cloud, name: String },
    /// On this machine: what its agent said since it was started.
    File(PathBuf),
}

impl<'a> Log<'a> {
    /// That of a function, or of the agent.
    fn of(cx: &Context, target: &'a Target, function: Option<Function>) -> Self {
        let (cloud, environment) = (&target.cloud, &target.environment);
        let name = match function {
            Some(function) => format!("/aws/lambda/{}", environment.named(function.name())),
            None if environment.local().is_some() => {
                let file = format!("{}.log", agent::AGENT);
                return Self::File(cx.home(environment).logs().join(file));
            }
            None => environment.agent_log_group(),
        };
        Self::Group { cloud, name }
    }

    /// The events from a time on, in milliseconds since 1970, the oldest first.
    async fn events(&self, from: i64) -> Result<Vec<Event>, CommandError> {
        match self {
            Self::Group { cloud, name } => events(cloud, name, from).await,
            Self::File(path) => {
                let read = std::fs::read(path).map_err(CommandError::file("read", path))?;
                Ok(agent_events(&String::from_utf8_lossy(&read), from))
            }
        }
    }
}

/// The agent's lines from a time on. What is not the agent's own, such as the end of one that could not start, has the
/// time of what was said before.
fn agent_events(text: &str, from: i64) -> Vec<Event> {
    let mut at = i64::MIN;
    let said = text.lines().map(|line| {
        let own = serde_json::from_str::<serde_json::Value>(line).ok();
        let time = own.as_ref().and_then(|own| own["timestamp"].as_str());
        let time = time.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        at = time.map_or(at, |time| time.timestamp_millis());
        Event {
            at,
            text: ui::safe(line),
        }
    });
    said.filter(|event| event.at >= from).collect()
}

async fn follow(cx: &Context, log: &Log<'_>, mut shown: Shown) -> Result<Infallible, CommandError> {
    loop {
        shown.go_on(cx, log).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// How far the events were shown. Several may share a millisecond, and not every service gives them ids: of those
/// at the newest one's time, as many are passed over as were shown.
struct Shown {
    /// Milliseconds since 1970, of the newest event.
    until: i64,
    n_at_until: usize,
}

impl Shown {
    /// Shows the events that have come since.
    async fn go_on(&mut self, cx: &Context, log: &Log<'_>) -> Result<(), CommandError> {
        let events = log.events(self.until).await?;
        let at_until = events.iter().filter(|event| event.at == self.until);
        let n_known = self.n_at_until.min(at_until.count());
        for event in events.into_iter().skip(n_known) {
            self.n_at_until = if event.at > self.until {
                1
            } else {
                self.n_at_until + 1
            };
            self.until = event.at;
            cx.ui.result(event.line())?;
        }
        Ok(())
    }
}

struct Event {
    /// Milliseconds since 1970.
    at: i64,
    text: String,
}

impl Event {
    fn line(&self) -> String {
        let time = match DateTime::from_timestamp_millis(self.at) {
            Some(at) => at.format("%H:%M:%S%.3f").to_string(),
            None => format!("{} ms", self.at),
        };
        format!("{time}  {}", self.text)
    }
}

/// An event as CloudWatch gives it; without its time it has no place among the others.
fn event(group: &str, event: &FilteredLogEvent) -> Result<Event, CommandError> {
    let at = event.timestamp().ok_or_else(|| CommandError::Aws {
        doing: format!("read the log group {group}"),
        reason: "an event comes without its time".to_owned(),
    })?;
    let text = event.message().unwrap_or("(an event without text)");
    Ok(Event {
        at,
        text: ui::safe(text.trim_end()),
    })
}

async fn events(cloud: &Cloud, group: &str, from: i64) -> Result<Vec<Event>, CommandError> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let request = cloud
            .logs
            .filter_log_events()
            .log_group_name(group)
            .start_time(from)
            .set_next_token(token);
        let page = request.send().await;
        let page = page.map_err(CommandError::aws(format!("read the log group {group}")))?;
        for it in page.events() {
            found.push(event(group, it)?);
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            found.sort_by_key(|event| event.at);
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_lines_have_their_own_time_and_what_follows_them_has_theirs() {
        let text = "started twice\n{\"timestamp\":\"1970-01-01T00:00:01.5Z\",\"message\":\"on\"}\nerror: no\n\
                    {\"timestamp\":\"1970-01-01T00:00:02Z\"}\n";
        let at = |from| {
            let events = agent_events(text, from).into_iter();
            events.map(|event| event.at).collect::<Vec<_>>()
        };
        assert_eq!(at(0), [1500, 1500, 2000]);
        assert_eq!(at(1501), [2000]);
        let shown = agent_events(text, 0).remove(1);
        assert_eq!(shown.line(), "00:00:01.500  error: no");
    }

    #[test]
    fn an_event_without_its_time_is_an_error_and_not_of_1970() {
        let whole = FilteredLogEvent::builder()
            .timestamp(1)
            .message("on\u{1b}[2J");
        assert_eq!(
            event("g", &whole.build()).unwrap().line(),
            "00:00:00.001  on [2J"
        );
        let timeless = FilteredLogEvent::builder().message("on").build();
        let error = event("g", &timeless).err().unwrap().to_string();
        assert_eq!(
            error,
            "cannot read the log group g: an event comes without its time"
        );
    }

    #[test]
    fn spans_are_read_with_their_unit() {
        assert_eq!(parse_span("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_span("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "15", "m", "1.5h", "-1h", "5µ"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
