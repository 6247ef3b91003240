//! What a scrape is asked for: from the options to a request, from a request back to a command, and
//! whether two requests are about the same papers.

use annapurna_contract::Source;
use annapurna_contract::events::ScraperEvent;
use annapurna_contract::scrape::{
    ScrapeDefaults, ScrapeRequest, ScrapeRequestError, Since, SourceChoice,
};
use chrono::Utc;

use super::ScrapeArgs;
use crate::error::CommandError;
use crate::ui;

/// Checks a day or a span. The function counts a span back from when it reads the list.
pub(super) fn parse_since(text: &str) -> Result<String, String> {
    let since = Since::parse(text, Utc::now());
    since.map(|since| since.text().to_owned()).ok_or_else(|| {
        "expected a day before today such as 2026-11-20, or a span such as 2d or 36h".to_owned()
    })
}

/// What the machine is asked for, checked as the function checks it. A conference's year is always in it,
/// so that two executions can be compared.
pub(super) fn checked(args: &ScrapeArgs, default_year: u32) -> Result<ScraperEvent, CommandError> {
    let event = ScraperEvent {
        conference: Some(args.source.clone()),
        conference_year: args.year,
        topic_filter: args.topic.clone(),
        search_term: args.search.clone(),
        max_papers: args.max_papers,
        since: args.since.clone(),
        cursor: None,
    };
    let defaults = ScrapeDefaults {
        source: None,
        year: default_year,
    };
    match ScrapeRequest::whole(&event, defaults, Utc::now()) {
        Ok(_) => Ok(plain(&event, default_year)),
        Err(error) => Err(refused(args, &error)),
    }
}

/// What cannot be asked for, in the words of this command's options.
fn refused(args: &ScrapeArgs, error: &ScrapeRequestError) -> CommandError {
    use ScrapeRequestError as Error;

    let (problem, hint) = match error {
        Error::UnknownSource(_) => {
            let names = Source::ALL.map(Source::key_part).join(", ");
            (
                format!("no source called `{}`", ui::one_line(&args.source, 80)),
                format!("sources: {names}, or both for ICLR and ICML"),
            )
        }
        Error::SinceAtConference(source) => (
            format!("--since is about arXiv, not about {}", source.name()),
            "a conference has its year: --year 2025".to_owned(),
        ),
        Error::TopicAtArxiv => (
            "--topic is about conferences: arXiv has no topics".to_owned(),
            "search for words instead: --search 'sparse attention'".to_owned(),
        ),
        Error::Endless => (
            "arXiv has millions of papers: say which with --since or --max-papers".to_owned(),
            two_days(args),
        ),
        // The option's own range ends at the most of any source.
        Error::MaxPapers { value, most } => (
            format!("one scrape takes {most} papers of arXiv at most, not {value}"),
            two_days(args),
        ),
        Error::EmptyTopic(text) => (
            format!("--topic has no letter or digit: `{text}`"),
            "a topic as its conference writes it: --topic 'Deep Learning'".to_owned(),
        ),
        Error::EmptySearch(text) => (
            format!("--search has no letter or digit: `{text}`"),
            "words of a title: --search 'sparse attention'".to_owned(),
        ),
        // The options have the same bounds, and the settings' year stricter ones.
        Error::NoSource | Error::Year(_) | Error::Since(_) => (
            error.to_string(),
            "what may be asked: cargo infra scrape --help".to_owned(),
        ),
    };
    CommandError::Usage { problem, hint }
}

fn two_days(args: &ScrapeArgs) -> String {
    let environment = &args.environment.environment;
    format!("the last two days: cargo infra scrape {environment} arxiv --since 2d")
}

/// A request as this command makes it, however it names its source and year: a default year is written
/// out, except for arXiv.
fn plain(event: &ScraperEvent, default_year: u32) -> ScraperEvent {
    let choice = choice(event);
    let is_arxiv = choice.is_some_and(SourceChoice::is_arxiv);
    let name = choice.map(|choice| choice.name().to_owned());
    ScraperEvent {
        conference: name.or_else(|| event.conference.clone()),
        conference_year: event
            .conference_year
            .or((!is_arxiv).then_some(default_year)),
        ..event.clone()
    }
}

/// The source of a request, which whoever started an execution has written: `None` when it is none.
pub(super) fn choice(event: &ScraperEvent) -> Option<SourceChoice> {
    SourceChoice::parse(event.conference.as_deref()?)
}

/// Whether two requests read the same list, or a part of it. arXiv is one site with one pace, whatever
/// the year.
pub(super) fn same_list(one: &ScraperEvent, other: &ScraperEvent, default_year: u32) -> bool {
    let year = |event: &ScraperEvent| event.conference_year.unwrap_or(default_year);
    let (Some(mine), Some(theirs)) = (choice(one), choice(other)) else {
        return false;
    };
    let theirs = theirs.sources();
    mine.sources()
        .iter()
        .filter(|source| theirs.contains(source))
        .any(|source| *source == Source::Arxiv || year(one) == year(other))
}

/// Whether two requests ask for the same papers.
pub(super) fn same_papers(one: &ScraperEvent, other: &ScraperEvent, default_year: u32) -> bool {
    plain(one, default_year) == plain(other, default_year)
}

/// A request's source as this command takes it.
pub(super) fn source_word(event: &ScraperEvent) -> String {
    match (choice(event), event.conference.as_deref()) {
        (Some(choice), _) => choice.name().to_lowercase(),
        (None, Some(name)) => shell_word(name),
        (None, None) => "no source".to_owned(),
    }
}

/// A request's options as this command takes them.
pub(super) fn options(event: &ScraperEvent) -> String {
    let number = |number: Option<u32>| number.map(|it| it.to_string());
    let options = [
        ("--year", number(event.conference_year)),
        ("--topic", event.topic_filter.clone()),
        ("--search", event.search_term.clone()),
        ("--max-papers", number(event.max_papers)),
        ("--since", event.since.clone()),
    ];
    let given = options
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", shell_word(&value?))));
    given.collect::<Vec<_>>().join(" ")
}

/// A text as one word of a shell, for a person to copy; whoever started an execution has written it.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", ui::safe(text).replace('\'', r"'\''"))
}

/// The command of a request.
pub(super) fn command(environment: &str, request: &ScraperEvent) -> String {
    let words = format!(
        "cargo infra scrape {environment} {} {}",
        source_word(request),
        options(request)
    );
    words.trim_end().to_owned()
}

/// The command that follows this execution, which finds it by what it was asked for.
pub(super) fn follow_command(environment: &str, request: &ScraperEvent) -> String {
    command(environment, request) + " --follow"
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::commands::scrape) fn event(conference: &str, year: Option<u32>) -> ScraperEvent {
        ScraperEvent {
            conference: Some(conference.to_owned()),
            conference_year: year,
            ..ScraperEvent::default()
        }
    }

    #[test]
    fn executions_of_the_same_source_and_year_read_the_same_list() {
        let same = |one: &ScraperEvent, other: &ScraperEvent| same_list(one, other, 2025);
        let iclr = event("ICLR", Some(2025));
        assert!(same(&iclr, &event("iclr", None)));
        assert!(same(&iclr, &event("BOTH", Some(2025))));
        assert!(!same(&iclr, &event("BOTH", Some(2024))));
        assert!(!same(&iclr, &event("ICML", Some(2025))));
        assert!(same(&event("ARXIV", None), &event("ARXIV", Some(2021))));
        assert!(!same(&iclr, &ScraperEvent::default()));
    }

    #[test]
    fn only_the_identical_request_is_joined() {
        let same = |one: &ScraperEvent, other: &ScraperEvent| same_papers(one, other, 2025);
        let iclr = event("ICLR", Some(2025));
        assert!(same(&iclr, &event(" iclr", None)));
        assert!(same(&event("NIPS", None), &event("NEURIPS", Some(2025))));
        assert_eq!(source_word(&event("NIPS", None)), "neurips");
        assert!(!same(&iclr, &event("BOTH", Some(2025))));
        let few = ScraperEvent {
            max_papers: Some(5),
            ..iclr.clone()
        };
        let topic = ScraperEvent {
            topic_filter: Some("Theory".to_owned()),
            ..iclr.clone()
        };
        assert!(!same(&iclr, &few) && !same(&iclr, &topic) && !same(&few, &topic));
        assert!(same(&few, &few));
        // A year narrows arXiv, and the environment's is a conference's.
        assert!(!same(&event("ARXIV", None), &event("ARXIV", Some(2025))));
    }
}
