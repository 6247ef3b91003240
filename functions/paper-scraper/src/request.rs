//! What an event asks for, checked against the settings before anything is requested.

use std::fmt;
use std::time::{Duration, SystemTime};

use annapurna_contract::Source;
use annapurna_contract::events::ScraperEvent;
use annapurna_contract::text::excerpt;
use annapurna_paper_sources::sources::arxiv::{Query, Since};
use annapurna_paper_sources::sources::conference::Filter;
use annapurna_paper_sources::sources::listed::Edition;
use chrono::Utc;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::settings::Settings;

/// Time kept back before Lambda ends the function: for papers that are on their way when the working time
/// is over ([`GRACE`]), and for the answer.
const HANDOVER: Duration = Duration::from_secs(25);
/// What papers on their way get when the working time is over. A PDF that comes meanwhile need not be
/// loaded again.
pub const GRACE: Duration = Duration::from_secs(15);
/// Years a conference can have; the sites know which it has.
const YEARS: std::ops::RangeInclusive<u32> = 1987..=2100;
/// Papers of one run at most; a cursor goes on from there. arXiv lists no more of one query.
/// Source: arXiv API user's manual, "start and max_results paging".
const MOST_PAPERS: u32 = 30_000;
/// Papers of one scrape of arXiv at most: what it lists, 200 at a time and slowly, in a function's time.
const MOST_OF_ARXIV: u32 = 10_000;

/// When to stop working, given when Lambda ends the function.
pub fn working_time(end: SystemTime) -> Instant {
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.saturating_sub(HANDOVER)
}

/// Why an event cannot be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// The event is not of the expected shape.
    #[error("the event is not one of a scraper: {0}")]
    Shape(String),
    /// Neither the event nor the function names a source.
    #[error("CONFERENCE is not in the event, and this function has none of its own: {known}")]
    NoConference {
        /// Names that work.
        known: String,
    },
    /// A name that is no source.
    #[error("no source `{name}`: {known}")]
    UnknownConference {
        /// The name given.
        name: String,
        /// Names that work.
        known: String,
    },
    /// A number outside its range.
    #[error("{name} must be {low} to {high}, got {value}")]
    OutOfRange {
        /// The event's field.
        name: &'static str,
        /// Lowest value.
        low: u32,
        /// Highest value.
        high: u32,
        /// The value given.
        value: u32,
    },
    /// arXiv sorts by categories, not topics.
    #[error("topic_filter works with conferences, not with ARXIV: use search_term")]
    TopicAtArxiv,
    /// Conferences are listed by year.
    #[error("since works with ARXIV only: a conference is taken by CONFERENCE_YEAR")]
    SinceAtConference,
    /// arXiv has millions of papers.
    #[error("a whole scrape of ARXIV needs since or MAX_PAPERS: arXiv has millions of papers")]
    Endless,
    /// A time that cannot be read.
    #[error(
        "since must be a day before today such as `2026-11-20`, or a span such as `2d` or `36h`, got `{0}`"
    )]
    BadSince(String),
    /// Nothing to search for.
    #[error("{name} has no letter or digit: `{value}`")]
    EmptyWords {
        /// The event's field.
        name: &'static str,
        /// The text given.
        value: String,
    },
    /// A cursor that is not of this request.
    #[error("cursor `{cursor}` is not one of this request, which has {expected}")]
    ForeignCursor {
        /// The cursor given.
        cursor: String,
        /// Beginnings that fit.
        expected: String,
    },
}

/// A list of a request, and how far it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedList {
    /// What to list.
    pub target: Target,
    /// Where to go on; 0 is the beginning.
    pub from: u64,
    /// An earlier run went to the end of this list.
    pub is_done: bool,
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A search at arXiv.
    Arxiv(Query),
    /// A year of a conference.
    Conference {
        /// The conference and its year.
        edition: Edition,
        /// Which of its papers.
        filter: Filter,
    },
}

impl Target {
    /// For a person.
    pub(crate) fn in_words(&self) -> String {
        match self {
            // Waiting for another run is the usual reason.
            Self::Arxiv(_) => "arXiv's list (arXiv allows one run at a time)".to_owned(),
            Self::Conference { edition, .. } => {
                format!("the list of {} {}", edition.source.name(), edition.year)
            }
        }
    }
}

impl fmt::Display for Target {
    /// The target's name in a cursor: a position is only good for the list it came from.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arxiv(query) => {
                let digest = hex::encode(Sha256::digest(&query.name));
                write!(formatter, "arxiv-{}", &digest[..8])
            }
            Self::Conference { edition, .. } => {
                write!(formatter, "{}-{}", edition.source.key_part(), edition.year)
            }
        }
    }
}

/// A checked event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name the answer is given under: a source's, or `BOTH`.
    pub name: String,
    /// One a source.
    pub lists: Vec<RequestedList>,
    /// Papers of this request at most, all lists together.
    pub max_papers: usize,
}

impl Request {
    /// Checks the event of a direct call. Its fields win over the settings.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn of_call(event: &ScraperEvent, settings: &Settings) -> Result<Self, RequestError> {
        Self::of_event(event, settings, settings.max_papers, MOST_PAPERS)
    }

    /// Checks the event of a whole scrape: every paper, but of arXiv only what the event bounds.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn whole(event: &ScraperEvent, settings: &Settings) -> Result<Self, RequestError> {
        let is_arxiv = sources(event, settings)?.1.contains(&Source::Arxiv);
        if is_arxiv && event.since.is_none() && event.max_papers.is_none() {
            return Err(RequestError::Endless);
        }
        let most = if is_arxiv { MOST_OF_ARXIV } else { MOST_PAPERS };
        Self::of_event(event, settings, most, most)
    }

    fn of_event(
        event: &ScraperEvent,
        settings: &Settings,
        usual: u32,
        most: u32,
    ) -> Result<Self, RequestError> {
        let (name, sources) = sources(event, settings)?;
        let max_papers = event.max_papers.unwrap_or(usual);
        in_range("MAX_PAPERS", max_papers, 1..=most)?;
        let targets: Vec<Target> = sources
            .into_iter()
            .map(|source| target(source, event, settings))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            lists: lists(targets, event.cursor.as_deref())?,
            max_papers: max_papers as usize,
        })
    }
}

fn sources(
    event: &ScraperEvent,
    settings: &Settings,
) -> Result<(String, Vec<Source>), RequestError> {
    let own =
        Some(settings.conference.as_str()).filter(|name| !name.trim().eq_ignore_ascii_case("ANY"));
    let name = event.conference.as_deref().or(own);
    let name = name.ok_or_else(|| RequestError::NoConference {
        known: known_names(),
    })?;
    if name.trim().eq_ignore_ascii_case("BOTH") {
        return Ok(("BOTH".to_owned(), vec![Source::Iclr, Source::Icml]));
    }
    let source = Source::parse(name).ok_or_else(|| RequestError::UnknownConference {
        name: excerpt(name.as_bytes(), 60),
        known: known_names(),
    })?;
    Ok((source.name().to_owned(), vec![source]))
}

fn known_names() -> String {
    let names: Vec<&str> = Source::ALL.into_iter().map(Source::name).collect();
    format!("{}, or BOTH for ICLR and ICML", names.join(", "))
}

fn in_range(
    name: &'static str,
    value: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<(), RequestError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(RequestError::OutOfRange {
        name,
        low: *range.start(),
        high: *range.end(),
        value,
    })
}

fn target(
    source: Source,
    event: &ScraperEvent,
    settings: &Settings,
) -> Result<Target, RequestError> {
    let year = event.conference_year.unwrap_or(settings.conference_year);
    in_range("CONFERENCE_YEAR", year, YEARS)?;
    // In range, so it fits.
    let year = u16::try_from(year).unwrap_or(u16::MAX);
    let since = event.since.as_deref();
    if source != Source::Arxiv {
        if since.is_some() {
            return Err(RequestError::SinceAtConference);
        }
        let topic = worded("topic_filter", event.topic_filter.as_deref())?;
        let words = worded("search_term", event.search_term.as_deref())?;
        return Ok(Target::Conference {
            edition: Edition { source, year },
            filter: Filter { topic, words },
        });
    }
    if event.topic_filter.is_some() {
        return Err(RequestError::TopicAtArxiv);
    }
    let words = event.search_term.as_deref();
    // The setting is a conference's year; only an event can narrow arXiv to one.
    let year = event.conference_year.map(|_| year);
    let bad_since = |text: &str| RequestError::BadSince(excerpt(text.as_bytes(), 60));
    let since = since
        .map(|text| Since::parse(text, Utc::now()).ok_or_else(|| bad_since(text)))
        .transpose()?;
    Query::new(&settings.arxiv_query, words, year, since.as_ref())
        .map(Target::Arxiv)
        .ok_or_else(|| RequestError::EmptyWords {
            name: "search_term",
            value: excerpt(words.unwrap_or_default().as_bytes(), 60),
        })
}

fn worded(name: &'static str, value: Option<&str>) -> Result<Option<String>, RequestError> {
    match value {
        Some(value) if !value.contains(char::is_alphanumeric) => Err(RequestError::EmptyWords {
            name,
            value: excerpt(value.as_bytes(), 60),
        }),
        value => Ok(value.map(str::to_owned)),
    }
}

/// Reads `iclr-2025:119718,icml-2025:7`. A target that a cursor leaves out is done.
fn lists(targets: Vec<Target>, cursor: Option<&str>) -> Result<Vec<RequestedList>, RequestError> {
    let Some(cursor) = cursor.map(str::trim).filter(|cursor| !cursor.is_empty()) else {
        return Ok(targets
            .into_iter()
            .map(|target| RequestedList {
                target,
                from: 0,
                is_done: false,
            })
            .collect());
    };
    let names: Vec<String> = targets.iter().map(Target::to_string).collect();
    let foreign = || RequestError::ForeignCursor {
        cursor: excerpt(cursor.as_bytes(), 100),
        expected: names.join(", "),
    };
    let mut positions = Vec::new();
    for part in cursor.split(',') {
        let (name, position) = part.trim().split_once(':').ok_or_else(foreign)?;
        let position: u64 = position.parse().map_err(|_| foreign())?;
        if !names.iter().any(|known| known == name) {
            return Err(foreign());
        }
        positions.push((name, position));
    }
    let list = |target: Target| {
        let name = target.to_string();
        let from = positions
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, position)| *position);
        RequestedList {
            target,
            from: from.unwrap_or(0),
            is_done: from.is_none(),
        }
    };
    Ok(targets.into_iter().map(list).collect())
}

/// The cursor of what is left; `None` when nothing is.
pub fn cursor_of(lists: &[RequestedList]) -> Option<String> {
    let parts: Vec<String> = lists
        .iter()
        .filter(|list| !list.is_done)
        .map(|list| format!("{}:{}", list.target, list.from))
        .collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use annapurna_contract::ScraperConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::config;

    fn settings(conference: &str) -> Settings {
        Settings::from_config(ScraperConfig {
            conference: conference.to_owned(),
            ..config()
        })
        .unwrap()
    }

    fn asked(conference: &str, event: Value) -> Result<Request, RequestError> {
        let event = serde_json::from_value(event).unwrap();
        Request::of_call(&event, &settings(conference))
    }

    fn error(conference: &str, event: Value) -> String {
        asked(conference, event).unwrap_err().to_string()
    }

    #[test]
    fn the_event_wins_over_the_settings() {
        let event = json!({"CONFERENCE": "icml", "CONFERENCE_YEAR": "2024", "MAX_PAPERS": "5"});
        let request = asked("ICLR", event).unwrap();
        assert_eq!((request.name.as_str(), request.max_papers), ("ICML", 5));
        assert_eq!(request.lists[0].target.to_string(), "icml-2024");
        let request = asked("ICLR", json!({})).unwrap();
        assert_eq!((request.name.as_str(), request.max_papers), ("ICLR", 3));
        assert_eq!(request.lists[0].target.to_string(), "iclr-2025");
    }

    #[test]
    fn both_is_iclr_and_icml() {
        let request = asked("ANY", json!({"CONFERENCE": "BOTH"})).unwrap();
        let names: Vec<String> = request
            .lists
            .iter()
            .map(|list| list.target.to_string())
            .collect();
        assert_eq!(names, ["iclr-2025", "icml-2025"]);
    }

    #[test]
    fn what_cannot_be_followed_says_what_can() {
        let known = "ICLR, ICML, NEURIPS, MLSYS, ARXIV, or BOTH for ICLR and ICML";
        assert!(error("ANY", json!({})).ends_with(known));
        assert_eq!(
            error("ANY", json!({"CONFERENCE": "CVPR"})),
            format!("no source `CVPR`: {known}")
        );
        assert!(error("ICLR", json!({"MAX_PAPERS": 0})).starts_with("MAX_PAPERS must be 1 to"));
        assert!(error("ICLR", json!({"CONFERENCE_YEAR": 25})).contains("1987 to 2100, got 25"));
        assert!(error("ARXIV", json!({"topic_filter": "x"})).contains("use search_term"));
        assert!(error("ARXIV", json!({"search_term": "\"\""})).contains("no letter or digit"));
    }

    #[test]
    fn a_cursor_leads_back_to_where_it_came_from() {
        let event = json!({"CONFERENCE": "BOTH", "cursor": "icml-2025:7"});
        let request = asked("ANY", event).unwrap();
        assert!(request.lists[0].is_done);
        assert_eq!(request.lists[1].from, 7);
        assert_eq!(cursor_of(&request.lists).unwrap(), "icml-2025:7");
        let other_query = json!({"cursor": "arxiv-00000000:20"});
        assert!(error("ARXIV", other_query).contains("this request, which has arxiv-"));
        for bad in ["iclr-2024:1", "iclr-2025", "iclr-2025:x", "nonsense"] {
            assert!(
                error("ICLR", json!({"cursor": bad})).contains("which has iclr-2025"),
                "{bad}"
            );
        }
    }

    #[test]
    fn since_is_a_day_or_a_span_and_for_arxiv() {
        let now = "2026-11-23T04:00:00Z".parse().unwrap();
        let moment = |text| Since::parse(text, now).map(|since| since.moment.to_rfc3339());
        assert_eq!(moment("2026-11-20").unwrap(), "2026-11-20T00:00:00+00:00");
        assert_eq!(moment("2d").unwrap(), "2026-11-21T04:00:00+00:00");
        assert_eq!(moment(" 36h").unwrap(), "2026-11-21T16:00:00+00:00");
        for bad in [
            "",
            "d",
            "2w",
            "-1d",
            "tomorrow",
            "2026-11-24",
            "0h",
            "9999999999d",
            "２d",
            "2026-13-01",
        ] {
            assert_eq!(moment(bad), None, "{bad}");
        }
        assert!(error("ARXIV", json!({"since": "soon"})).contains("got `soon`"));
        assert!(error("ICLR", json!({"since": "2d"})).contains("CONFERENCE_YEAR"));
    }

    #[test]
    fn a_whole_scrape_of_arxiv_is_bounded_by_the_event() {
        let whole = |event: Value| {
            let event = serde_json::from_value(event).unwrap();
            Request::whole(&event, &settings("ANY"))
        };
        let n_papers = |event| whole(event).unwrap().max_papers;
        assert_eq!(n_papers(json!({"CONFERENCE": "ICLR"})), 30_000);
        assert_eq!(
            n_papers(json!({"CONFERENCE": "ARXIV", "since": "7d"})),
            10_000
        );
        assert_eq!(
            n_papers(json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": "9"})),
            9
        );
        let endless = whole(json!({"CONFERENCE": "ARXIV"})).unwrap_err();
        assert_eq!(endless, RequestError::Endless);
        let many = whole(json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": 10_001}));
        assert!(many.unwrap_err().to_string().contains("1 to 10000"));
    }

    #[test]
    fn a_span_before_now_keeps_its_cursor() {
        let target = |since: &str, hour: u32| {
            let now = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
            let now = now.and_hms_opt(hour, 0, 0).unwrap().and_utc();
            let since = Since::parse(since, now).unwrap();
            let query =
                Query::new(&settings("ARXIV").arxiv_query, None, None, Some(&since)).unwrap();
            assert!(
                query
                    .text
                    .starts_with("(cat:cs.LG) AND submittedDate:[2026112")
            );
            Target::Arxiv(query).to_string()
        };
        assert_eq!(target("2d", 1), target("2d", 5));
        assert_ne!(target("2d", 1), target("3d", 1));
    }

    #[test]
    fn arxiv_is_narrowed_to_a_year_only_by_the_event() {
        let text = |event| {
            let request = asked("ARXIV", event).unwrap();
            match request.lists.into_iter().next().unwrap().target {
                Target::Arxiv(query) => query.text,
                Target::Conference { .. } => panic!("arXiv is no conference"),
            }
        };
        assert_eq!(text(json!({})), "cat:cs.LG");
        let narrowed = text(json!({"CONFERENCE_YEAR": 2024}));
        assert_eq!(
            narrowed,
            "(cat:cs.LG) AND submittedDate:[202401010000 TO 202412312359]"
        );
    }
}
