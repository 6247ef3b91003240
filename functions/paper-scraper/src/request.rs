//! What an event asks for, checked against the settings before anything is requested.

use std::fmt;
use std::time::{Duration, SystemTime};

use annapurna_contract::Function;
use annapurna_contract::config::ANY_SOURCE;
use annapurna_contract::events::ScraperEvent;
use annapurna_contract::scrape::{
    ScrapeDefaults, ScrapeRequest, ScrapeRequestError, ScrapedPapers, SourceChoice,
};
use annapurna_contract::text::excerpt;
use annapurna_paper_sources::sources::arxiv::Query;
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
    /// What it asks for cannot be done.
    #[error(transparent)]
    Asked(#[from] ScrapeRequestError),
    /// The event names another source than the function's own.
    #[error(
        "this function takes papers of {} alone, and the event names {}: {} takes those",
        own.name(), asked.name(), function_for(*asked)
    )]
    OtherSource {
        /// The function's own.
        own: SourceChoice,
        /// The event's.
        asked: SourceChoice,
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

/// The function that takes the papers of a choice, without the environment's prefix.
fn function_for(choice: SourceChoice) -> &'static str {
    match choice {
        SourceChoice::One(source) => Function::Scraper(source).name(),
        SourceChoice::Both => Function::AnyScraper.name(),
    }
}

impl Request {
    /// Checks the event of a direct call. Its fields win over the settings.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn of_call(event: &ScraperEvent, settings: &Settings) -> Result<Self, RequestError> {
        let (defaults, usual) = (defaults(settings), settings.max_papers);
        let asked = ScrapeRequest::of_call(event, defaults, usual, Utc::now())?;
        is_own(asked.choice(), defaults)?;
        Self::new(&asked, event.cursor.as_deref(), settings)
    }

    /// Checks the event of a whole scrape: every paper, but of arXiv only what the event bounds.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn whole(event: &ScraperEvent, settings: &Settings) -> Result<Self, RequestError> {
        let defaults = defaults(settings);
        let asked = ScrapeRequest::whole(event, defaults, Utc::now())?;
        is_own(asked.choice(), defaults)?;
        Self::new(&asked, event.cursor.as_deref(), settings)
    }

    fn new(
        asked: &ScrapeRequest,
        cursor: Option<&str>,
        settings: &Settings,
    ) -> Result<Self, RequestError> {
        Ok(Self {
            name: asked.choice().name().to_owned(),
            lists: lists(targets(asked, settings), cursor)?,
            max_papers: asked.max_papers() as usize,
        })
    }
}

fn defaults(settings: &Settings) -> ScrapeDefaults<'_> {
    let own = Some(settings.conference.as_str());
    ScrapeDefaults {
        source: own.filter(|name| !name.trim().eq_ignore_ascii_case(ANY_SOURCE)),
        year: settings.conference_year,
    }
}

/// Refuses sources that are not the function's own, where it has one.
fn is_own(asked: SourceChoice, defaults: ScrapeDefaults<'_>) -> Result<(), RequestError> {
    let Some(own) = defaults.source.and_then(SourceChoice::parse) else {
        return Ok(());
    };
    let owned = own.sources();
    let all = asked.sources().iter().all(|source| owned.contains(source));
    all.then_some(())
        .ok_or(RequestError::OtherSource { own, asked })
}

fn targets(asked: &ScrapeRequest, settings: &Settings) -> Vec<Target> {
    match asked.papers() {
        ScrapedPapers::Arxiv {
            year,
            search,
            since,
        } => {
            let (configured, words) = (&settings.arxiv_query, search.as_deref());
            vec![Target::Arxiv(Query::new(
                configured,
                words,
                *year,
                since.as_ref(),
            ))]
        }
        ScrapedPapers::Conference {
            year,
            topic,
            search,
        } => {
            let conference = |source| Target::Conference {
                edition: Edition {
                    source,
                    year: *year,
                },
                filter: Filter {
                    topic: topic.clone(),
                    words: search.clone(),
                },
            };
            asked
                .choice()
                .sources()
                .into_iter()
                .map(conference)
                .collect()
        }
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
    use annapurna_contract::scrape::Since;
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
        let request = asked("ANY", event).unwrap();
        assert_eq!((request.name.as_str(), request.max_papers), ("ICML", 5));
        assert_eq!(request.lists[0].target.to_string(), "icml-2024");
        let request = asked("ICLR", json!({})).unwrap();
        assert_eq!((request.name.as_str(), request.max_papers), ("ICLR", 3));
        assert_eq!(request.lists[0].target.to_string(), "iclr-2025");
    }

    #[test]
    fn a_function_of_one_source_takes_no_other() {
        let all = json!({"CONFERENCE": "NIPS"});
        assert_eq!(asked("NEURIPS", all).unwrap().name, "NEURIPS");
        assert_eq!(
            error("NEURIPS", json!({"CONFERENCE": "icml"})),
            "this function takes papers of NEURIPS alone, and the event names ICML: PaperScraper_ICML takes those"
        );
        let both = error("ICLR", json!({"CONFERENCE": "BOTH"}));
        assert!(
            both.ends_with("names BOTH: PapersScraper takes those"),
            "{both}"
        );
        let half = asked("BOTH", json!({"CONFERENCE": "ICML"})).unwrap();
        assert_eq!(half.name, "ICML");
        let event = serde_json::from_value(json!({"CONFERENCE": "ICLR"})).unwrap();
        let whole = Request::whole(&event, &settings("MLSYS"));
        assert!(
            matches!(whole, Err(RequestError::OtherSource { .. })),
            "{whole:?}"
        );
        assert!(error("ICLR", json!({"CONFERENCE": "CVPR"})).starts_with("no source `CVPR`"));
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
    fn any_is_no_source_and_a_wrong_setting_is_refused() {
        assert!(error("ANY", json!({})).starts_with("CONFERENCE is not in the event"));
        assert!(error("CVPR", json!({})).starts_with("no source `CVPR`"));
        let whole = Request::whole(&ScraperEvent::default(), &settings("ARXIV"));
        let endless = ScrapeRequestError::Endless;
        assert_eq!(whole.unwrap_err(), RequestError::Asked(endless));
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
    fn a_span_before_now_keeps_its_cursor() {
        let target = |since: &str, hour: u32| {
            let now = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
            let now = now.and_hms_opt(hour, 0, 0).unwrap().and_utc();
            let since = Since::parse(since, now).unwrap();
            let query = Query::new(&settings("ARXIV").arxiv_query, None, None, Some(&since));
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
