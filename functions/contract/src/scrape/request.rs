//! What may be asked of a scrape: the one check of a [`ScraperEvent`], for whoever sends one and for the
//! function that gets it.
//!
//! Which years a conference was held in, the table of lists in `paper-sources` knows; here are the bounds
//! of any year. A cursor is checked where the list is read, since it names that list.

use chrono::{DateTime, Utc};

use super::Since;
use crate::Source;
use crate::events::ScraperEvent;
use crate::text::{clean, excerpt};

/// The first year that a conference can have: NeurIPS 1987.
pub const FIRST_YEAR: u16 = 1987;
/// The last year that can be asked for; the sites know which they have.
pub const LAST_YEAR: u16 = 2100;
/// Papers of one scrape, or one call, at most; a cursor goes on from there. arXiv lists no more of one
/// query. Source: arXiv API user's manual, "start and max_results paging".
pub const MOST_PAPERS_OF_SCRAPE: u32 = 30_000;
/// Papers of one whole scrape of arXiv at most: what it lists, 200 at a time and slowly, in a function's
/// time.
pub const MOST_PAPERS_OF_ARXIV: u32 = 10_000;

/// Characters of a stranger's value that an error quotes.
const QUOTED: usize = 60;

/// Whose papers: one source's, or those of both conferences that share a season.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceChoice {
    /// The papers of this source alone.
    One(Source),
    /// ICLR and ICML, one after the other.
    Both,
}

impl SourceChoice {
    /// Reads a source's name, or `BOTH`, in any case; `None` for anything else.
    pub fn parse(name: &str) -> Option<Self> {
        if name.trim().eq_ignore_ascii_case(Self::Both.name()) {
            return Some(Self::Both);
        }
        Source::parse(name).map(Self::One)
    }

    /// The name in events, answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One(source) => source.name(),
            Self::Both => "BOTH",
        }
    }

    /// The sources, in the order they are taken.
    pub fn sources(self) -> Vec<Source> {
        match self {
            Self::One(source) => vec![source],
            Self::Both => vec![Source::Iclr, Source::Icml],
        }
    }

    /// arXiv is a server, not a conference: it has neither topics nor an end.
    pub fn is_arxiv(self) -> bool {
        self == Self::One(Source::Arxiv)
    }
}

/// Why a scrape cannot do what an event asks. The words are an event's; a command has its own for its
/// options.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScrapeRequestError {
    /// Neither the event nor whoever reads it names a source.
    #[error(
        "CONFERENCE is not in the event, and this function has none of its own: {}",
        known_names()
    )]
    NoSource,
    /// A name that is no source.
    #[error("no source `{0}`: {known}", known = known_names())]
    UnknownSource(String),
    /// A year before [`FIRST_YEAR`] or after [`LAST_YEAR`].
    #[error("CONFERENCE_YEAR must be {FIRST_YEAR} to {LAST_YEAR}, got {0}")]
    Year(u32),
    /// No paper, or more than may be taken at once.
    #[error("MAX_PAPERS must be 1 to {most}, got {value}")]
    MaxPapers {
        /// The number asked for.
        value: u32,
        /// The most there may be.
        most: u32,
    },
    /// arXiv sorts by categories, not topics.
    #[error("topic_filter works with conferences, not with ARXIV: use search_term")]
    TopicAtArxiv,
    /// Conferences are listed by year.
    #[error("since works with ARXIV only: a conference is taken by CONFERENCE_YEAR")]
    SinceAtConference(SourceChoice),
    /// arXiv has millions of papers.
    #[error("a whole scrape of ARXIV needs since or MAX_PAPERS: arXiv has millions of papers")]
    Endless,
    /// A time that cannot be read.
    #[error(
        "since must be a day before today such as `2026-11-20`, or a span such as `2d` or `36h`, got `{0}`"
    )]
    Since(String),
    /// A topic without a word.
    #[error("topic_filter has no letter or digit: `{0}`")]
    EmptyTopic(String),
    /// Words that are none.
    #[error("search_term has no letter or digit: `{0}`")]
    EmptySearch(String),
}

fn known_names() -> String {
    let names = Source::ALL.map(Source::name);
    format!("{}, or BOTH for ICLR and ICML", names.join(", "))
}

/// What counts where an event says nothing.
#[derive(Debug, Clone, Copy)]
pub struct ScrapeDefaults<'a> {
    /// A source's name or `BOTH`; `None` when the event must name one.
    pub source: Option<&'a str>,
    /// Year of a conference, not yet checked against [`FIRST_YEAR`] and [`LAST_YEAR`].
    pub year: u32,
}

/// Which papers a checked request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrapedPapers {
    /// A year of one conference or both.
    Conference {
        /// The conference's, [`FIRST_YEAR`] to [`LAST_YEAR`].
        year: u16,
        /// Only this topic and all below it.
        topic: Option<String>,
        /// Only papers with these words; they hold a letter or a digit.
        search: Option<String>,
    },
    /// Papers of arXiv, newest first.
    Arxiv {
        /// Only those submitted in this year.
        year: Option<u16>,
        /// These words, which hold a letter or a digit, in place of the configured query.
        search: Option<String>,
        /// Only those submitted since then.
        since: Option<Since>,
    },
}

/// A checked request. [`ScrapeRequest::whole`] and [`ScrapeRequest::of_call`] are the only ways to get one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeRequest {
    choice: SourceChoice,
    papers: ScrapedPapers,
    max_papers: u32,
}

impl ScrapeRequest {
    /// Checks what is asked of a whole scrape: every paper, but of arXiv only what the event bounds. A
    /// span counts back from `now`.
    ///
    /// # Errors
    ///
    /// The first [`ScrapeRequestError`] that the event meets.
    pub fn whole(
        event: &ScraperEvent,
        defaults: ScrapeDefaults<'_>,
        now: DateTime<Utc>,
    ) -> Result<Self, ScrapeRequestError> {
        let choice = choice(event, defaults)?;
        let most = if choice.is_arxiv() {
            MOST_PAPERS_OF_ARXIV
        } else {
            MOST_PAPERS_OF_SCRAPE
        };
        fits_source(choice, event)?;
        if choice.is_arxiv() && event.since.is_none() && event.max_papers.is_none() {
            return Err(ScrapeRequestError::Endless);
        }
        Self::checked(choice, event, defaults, (most, most), now)
    }

    /// Checks what is asked of one call, which takes `usual` papers when the event names no number.
    ///
    /// # Errors
    ///
    /// The first [`ScrapeRequestError`] that the event meets.
    pub fn of_call(
        event: &ScraperEvent,
        defaults: ScrapeDefaults<'_>,
        usual: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, ScrapeRequestError> {
        let choice = choice(event, defaults)?;
        fits_source(choice, event)?;
        Self::checked(choice, event, defaults, (usual, MOST_PAPERS_OF_SCRAPE), now)
    }

    fn checked(
        choice: SourceChoice,
        event: &ScraperEvent,
        defaults: ScrapeDefaults<'_>,
        (usual, most): (u32, u32),
        now: DateTime<Utc>,
    ) -> Result<Self, ScrapeRequestError> {
        let max_papers = event.max_papers.unwrap_or(usual);
        if !(1..=most).contains(&max_papers) {
            let value = max_papers;
            return Err(ScrapeRequestError::MaxPapers { value, most });
        }
        let search = worded(event.search_term.as_ref(), ScrapeRequestError::EmptySearch);
        let papers = if choice.is_arxiv() {
            ScrapedPapers::Arxiv {
                // The default is a conference's year; only an event can narrow arXiv to one.
                year: event.conference_year.map(year).transpose()?,
                since: event
                    .since
                    .as_deref()
                    .map(|it| since(it, now))
                    .transpose()?,
                search: search?,
            }
        } else {
            ScrapedPapers::Conference {
                year: year(event.conference_year.unwrap_or(defaults.year))?,
                topic: worded(event.topic_filter.as_ref(), ScrapeRequestError::EmptyTopic)?,
                search: search?,
            }
        };
        Ok(Self {
            choice,
            papers,
            max_papers,
        })
    }

    /// Which source's papers are asked for, or both conferences'.
    pub fn choice(&self) -> SourceChoice {
        self.choice
    }

    /// Which of the sources' papers: year, topic, words.
    pub fn papers(&self) -> &ScrapedPapers {
        &self.papers
    }

    /// How many at most, all sources together.
    pub fn max_papers(&self) -> u32 {
        self.max_papers
    }
}

fn choice(
    event: &ScraperEvent,
    defaults: ScrapeDefaults<'_>,
) -> Result<SourceChoice, ScrapeRequestError> {
    let name = event.conference.as_deref().or(defaults.source);
    let name = name.ok_or(ScrapeRequestError::NoSource)?;
    SourceChoice::parse(name).ok_or_else(|| ScrapeRequestError::UnknownSource(quoted(name)))
}

/// Refuses what one kind of source has and the other has not.
fn fits_source(choice: SourceChoice, event: &ScraperEvent) -> Result<(), ScrapeRequestError> {
    match choice.is_arxiv() {
        true if event.topic_filter.is_some() => Err(ScrapeRequestError::TopicAtArxiv),
        false if event.since.is_some() => Err(ScrapeRequestError::SinceAtConference(choice)),
        _ => Ok(()),
    }
}

fn year(year: u32) -> Result<u16, ScrapeRequestError> {
    let checked = u16::try_from(year).ok();
    checked
        .filter(|year| (FIRST_YEAR..=LAST_YEAR).contains(year))
        .ok_or(ScrapeRequestError::Year(year))
}

fn since(text: &str, now: DateTime<Utc>) -> Result<Since, ScrapeRequestError> {
    Since::parse(text, now).ok_or_else(|| ScrapeRequestError::Since(quoted(text)))
}

fn worded(
    text: Option<&String>,
    error: fn(String) -> ScrapeRequestError,
) -> Result<Option<String>, ScrapeRequestError> {
    match text {
        Some(text) if !clean(text).contains(char::is_alphanumeric) => Err(error(quoted(text))),
        text => Ok(text.cloned()),
    }
}

fn quoted(text: &str) -> String {
    excerpt(text.as_bytes(), QUOTED)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T04:00:00Z".parse().unwrap()
    }

    const DEFAULTS: ScrapeDefaults<'_> = ScrapeDefaults {
        source: None,
        year: 2025,
    };

    fn whole(event: Value) -> Result<ScrapeRequest, ScrapeRequestError> {
        ScrapeRequest::whole(&serde_json::from_value(event).unwrap(), DEFAULTS, now())
    }

    fn call(event: Value, usual: u32) -> Result<ScrapeRequest, ScrapeRequestError> {
        let event = serde_json::from_value(event).unwrap();
        ScrapeRequest::of_call(&event, DEFAULTS, usual, now())
    }

    fn refused(event: Value) -> String {
        whole(event).unwrap_err().to_string()
    }

    #[test]
    fn a_name_is_a_source_or_both() {
        assert_eq!(SourceChoice::parse(" both"), Some(SourceChoice::Both));
        assert_eq!(
            SourceChoice::Both.sources(),
            [Source::Iclr, Source::Icml],
            "the answer has them in this order"
        );
        for source in Source::ALL {
            let choice = SourceChoice::parse(source.key_part()).unwrap();
            assert_eq!(
                (choice.name(), choice.sources()),
                (source.name(), vec![source])
            );
        }
        for bad in ["", "ANY", "BOTH ICLR", "cvpr"] {
            assert_eq!(SourceChoice::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_event_wins_over_the_defaults() {
        let event = json!({"CONFERENCE": "icml", "CONFERENCE_YEAR": "2024", "MAX_PAPERS": "5"});
        let request = call(event, 3).unwrap();
        assert_eq!(request.choice(), SourceChoice::One(Source::Icml));
        assert!(matches!(
            request.papers(),
            ScrapedPapers::Conference { year: 2024, .. }
        ));
        assert_eq!(request.max_papers(), 5);
        let mine = ScrapeDefaults {
            source: Some("Both"),
            ..DEFAULTS
        };
        let request = ScrapeRequest::of_call(&ScraperEvent::default(), mine, 3, now()).unwrap();
        assert_eq!(request.choice(), SourceChoice::Both);
        assert!(matches!(
            request.papers(),
            ScrapedPapers::Conference { year: 2025, .. }
        ));
        assert_eq!(request.max_papers(), 3);
    }

    #[test]
    fn what_cannot_be_done_says_what_can() {
        let known = "ICLR, ICML, NEURIPS, MLSYS, ARXIV, or BOTH for ICLR and ICML";
        for (event, expected) in [
            (
                json!({}),
                format!(
                    "CONFERENCE is not in the event, and this function has none of its own: {known}"
                ),
            ),
            (
                json!({"CONFERENCE": "CVPR"}),
                format!("no source `CVPR`: {known}"),
            ),
            (
                json!({"CONFERENCE": "ICLR", "topic_filter": "->"}),
                "topic_filter has no letter or digit: `->`".to_owned(),
            ),
            (
                json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": 1, "search_term": "\"\""}),
                "search_term has no letter or digit: `\"\"`".to_owned(),
            ),
        ] {
            assert_eq!(refused(event), expected);
        }
        // A filler of Hangul is a letter that nobody sees.
        let unseen = refused(json!({"CONFERENCE": "ICLR", "search_term": "\u{115f}"}));
        assert!(unseen.starts_with("search_term has no letter"), "{unseen}");
        let topic = refused(json!({"CONFERENCE": "ARXIV", "topic_filter": "x"}));
        assert!(topic.contains("use search_term"), "{topic}");
        let since = refused(json!({"CONFERENCE": "BOTH", "since": "2d"}));
        assert!(since.contains("taken by CONFERENCE_YEAR"), "{since}");
        let soon = refused(json!({"CONFERENCE": "ARXIV", "since": "soon\u{1b}[2J"}));
        assert!(soon.ends_with("got `soon\\u{1b}[2J`"), "{soon}");
    }

    #[test]
    fn a_year_has_bounds_for_every_source() {
        for source in ["NEURIPS", "BOTH", "ARXIV"] {
            let asked = |year: u32| {
                whole(json!({"CONFERENCE": source, "CONFERENCE_YEAR": year, "MAX_PAPERS": 1}))
            };
            for good in [1987, 2025, 2100] {
                assert!(asked(good).is_ok(), "{source} {good}");
            }
            for bad in [0, 25, 1986, 2101, 65_536 + 2025, u32::MAX] {
                let error = asked(bad).unwrap_err();
                assert_eq!(error, ScrapeRequestError::Year(bad), "{source}");
            }
        }
        let error = ScrapeRequestError::Year(25).to_string();
        assert_eq!(error, "CONFERENCE_YEAR must be 1987 to 2100, got 25");
    }

    #[test]
    fn a_whole_scrape_of_arxiv_is_bounded_by_the_event() {
        let n_papers = |event| whole(event).unwrap().max_papers();
        assert_eq!(n_papers(json!({"CONFERENCE": "ICLR"})), 30_000);
        assert_eq!(
            n_papers(json!({"CONFERENCE": "ARXIV", "since": "7d"})),
            10_000
        );
        assert_eq!(
            n_papers(json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": "9"})),
            9
        );
        let endless = whole(json!({"CONFERENCE": "ARXIV", "search_term": "a"}));
        assert_eq!(endless.unwrap_err(), ScrapeRequestError::Endless);
        let many = refused(json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": 10_001}));
        assert_eq!(many, "MAX_PAPERS must be 1 to 10000, got 10001");
        let none = refused(json!({"CONFERENCE": "ICLR", "MAX_PAPERS": 0}));
        assert_eq!(none, "MAX_PAPERS must be 1 to 30000, got 0");
        // A call is a part, and goes on from its cursor.
        let call = |n: u32| call(json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": n}), 3);
        assert_eq!(call(30_000).unwrap().max_papers(), 30_000);
        assert!(call(30_001).is_err());
    }

    #[test]
    fn a_default_that_is_out_of_bounds_is_refused_too() {
        assert!(call(json!({"CONFERENCE": "ICLR"}), 0).is_err());
        let defaults = ScrapeDefaults {
            source: Some("ICLR"),
            year: 1,
        };
        let error = ScrapeRequest::whole(&ScraperEvent::default(), defaults, now());
        assert_eq!(error.unwrap_err(), ScrapeRequestError::Year(1));
    }
}
