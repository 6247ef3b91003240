//! What users send to the functions. Numbers may come as strings, as the aws CLI makes them easily; a field that is
//! not known is an error, since the function would do something else than was meant.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::nearest_known;
use crate::plan::Plan;

/// The `errorType` of a call whose event asks for something that cannot be: only another event can do better.
pub const INVALID_REQUEST: &str = "InvalidRequest";

/// Reads an event.
///
/// # Errors
///
/// What is wrong with it; of an unknown field or action also the nearest known one, of a missing action the known
/// ones.
pub fn read<T: DeserializeOwned>(event: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(event.clone()).map_err(|error| {
        let problem = error.to_string();
        match (nearest_known(&problem), known_actions::<T>(event, &problem)) {
            (Some(nearest), _) => {
                serde_json::Error::custom(format!("{problem}; the nearest is `{nearest}`"))
            }
            (None, Some(known)) => serde_json::Error::custom(format!("{problem}, {known}")),
            (None, None) => error,
        }
    })
}

/// `expected one of …`: what serde says of an unknown action, for an event that has none.
fn known_actions<T: DeserializeOwned>(mut event: Value, problem: &str) -> Option<String> {
    const ACTION: &str = "action";
    if problem != format!("missing field `{ACTION}`") {
        return None;
    }
    event.as_object_mut()?.insert(ACTION.to_owned(), "".into());
    let unknown = serde_json::from_value::<T>(event).err()?.to_string();
    Some(unknown.strip_prefix("unknown variant ``, ")?.to_owned())
}

/// A number, or a text that `read` makes one of.
fn lenient<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
    read: impl Fn(&str) -> Option<u32>,
) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Number(u32),
        Text(String),
    }
    match Option::<Lenient>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Lenient::Number(number)) => Ok(Some(number)),
        Some(Lenient::Text(text)) => read(text.trim())
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom(format!("expected {expected}, got `{text}`"))),
    }
}

/// Takes `5`, `"5"` and `null`.
fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    lenient(deserializer, "a whole number from 0", |text| {
        text.parse().ok()
    })
}

/// Takes `true`, `"true"` and `null`.
fn lenient_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Flag(bool),
        Text(String),
    }
    match Option::<Lenient>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Lenient::Flag(flag)) => Ok(Some(flag)),
        Some(Lenient::Text(text)) => text
            .trim()
            .to_ascii_lowercase()
            .parse()
            .map(Some)
            .map_err(|_| serde::de::Error::custom(format!("expected true or false, got `{text}`"))),
    }
}

/// Takes what [`lenient_number`] takes, and a moment, whose year it is.
fn lenient_year<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let expected = "a year such as 2025, or a moment such as 2025-06-02T05:23:00Z";
    lenient(deserializer, expected, |text| {
        let (year, rest) = text.split_at_checked(4).unwrap_or((text, ""));
        let is_moment = rest.is_empty() || (rest.starts_with('-') && rest.contains('T'));
        year.parse().ok().filter(|_| is_moment)
    })
}

/// An event of a scraper. Fields that AWS adds to an event are passed over, see [`is_of_aws`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ScraperEvent {
    /// Papers to take at most.
    #[serde(
        rename = "MAX_PAPERS",
        alias = "max_papers",
        default,
        deserialize_with = "lenient_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_papers: Option<u32>,
    /// ICLR, ICML, NEURIPS (or NIPS), MLSYS, ARXIV or BOTH (ICLR and ICML).
    #[serde(
        rename = "CONFERENCE",
        alias = "conference",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub conference: Option<String>,
    /// The conference's year. A schedule can only put its own time into an event: the time's year then counts.
    #[serde(
        rename = "CONFERENCE_YEAR",
        alias = "conference_year",
        default,
        deserialize_with = "lenient_year",
        skip_serializing_if = "Option::is_none"
    )]
    pub conference_year: Option<u32>,
    /// `Deep Learning` (and all below it) or `Deep Learning->Large Language Models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_filter: Option<String>,
    /// Words to search for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_term: Option<String>,
    /// arXiv only: papers first submitted since then. A day, `2026-11-20`, or a span before now, `2d` or `36h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Where an earlier run stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Serialize for ScraperEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The one that is derived: it is inherent, and so comes before the trait's.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ScraperEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let is_envelope = fields.contains_key("detail-type");
        fields.retain(|name, _| !is_of_aws(name, is_envelope));
        // The one that is derived.
        Self::deserialize(Value::Object(fields)).map_err(D::Error::custom)
    }
}

/// Whether a field of an event comes from AWS: what Step Functions adds where one execution starts another, and the
/// envelope of EventBridge, by whose `detail-type` a rule's event is known. Sources: Step Functions developer
/// guide, "Start workflow executions from a task state"; EventBridge user guide, "Event structure".
fn is_of_aws(name: &str, is_envelope: bool) -> bool {
    const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";
    const ENVELOPE: [&str; 9] = [
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    ];
    name == STARTED_BY || (is_envelope && ENVELOPE.contains(&name))
}

/// Which of the papers that a request means get a program, and of what it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Papers at most; `None`: as the action says.
    pub max_papers: Option<u32>,
    /// Only papers that came in the last so many days; `None`: as the action says.
    pub days: Option<u32>,
    /// Read the paper's PDF; without it the program is written from the abstract.
    pub include_full_content: bool,
    /// Write a program though there is one, or though the last one was refused.
    pub force: bool,
}

/// A request for programs: what the action names, and the fields that every such action takes.
macro_rules! generation_request {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Papers at most.
            #[serde(default, deserialize_with = "lenient_number", skip_serializing_if = "Option::is_none")]
            pub max_papers: Option<u32>,
            /// Only papers that came in the last so many days.
            #[serde(default, deserialize_with = "lenient_number", skip_serializing_if = "Option::is_none")]
            pub days: Option<u32>,
            /// Whether the paper's PDF is read; `true` when absent.
            #[serde(default, deserialize_with = "lenient_flag", skip_serializing_if = "Option::is_none")]
            pub include_full_content: Option<bool>,
            /// Write a program though there is one; `false` when absent.
            #[serde(default, deserialize_with = "lenient_flag", skip_serializing_if = "Option::is_none")]
            pub force: Option<bool>,
        }

        impl $name {
            /// A request without limits.
            pub const fn of($($field: $type),*) -> Self {
                Self { $($field,)* max_papers: None, days: None, include_full_content: None, force: None }
            }

            /// What it says besides the papers.
            pub fn limits(&self) -> Limits {
                Limits {
                    max_papers: self.max_papers,
                    days: self.days,
                    include_full_content: self.include_full_content.unwrap_or(true),
                    force: self.force.unwrap_or(false),
                }
            }
        }
    };
}

generation_request! {
    /// The paper with a title: one that has it, or words of it, all but a few of which are the title's.
    ByTitle {
        /// The title, or words of it.
        title: String,
    }
}

generation_request! {
    /// The paper that has an id.
    ById {
        /// As [`crate::PaperId`] takes it; checked by the generator, not here.
        paper_id: String,
    }
}

generation_request! {
    /// The papers of several ids, each answered by itself.
    ByIds {
        /// As in [`ById`].
        paper_ids: Vec<String>,
    }
}

generation_request! {
    /// Papers of an author.
    ByAuthor {
        /// A name or a part of one; each word of it must be an author's.
        author: String,
    }
}

generation_request! {
    /// Papers that match words.
    ByKeywords {
        /// One text, or several words.
        keywords: Keywords,
    }
}

generation_request! {
    /// Papers that came in lately and have no program yet.
    Recent {}
}

/// An event of the generator that is not a batch of messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum GeneratorEvent {
    /// One paper unless `max_papers` says more.
    GenerateByTitle(ByTitle),
    /// By its id.
    GenerateById(ById),
    /// By several ids.
    GenerateByIds(ByIds),
    /// Five at most unless `max_papers` says otherwise.
    GenerateByAuthor(ByAuthor),
    /// Five at most unless `max_papers` says otherwise.
    GenerateByKeywords(ByKeywords),
    /// Five at most of 30 days unless `max_papers` and `days` say otherwise.
    GenerateRecent(Recent),
    /// Papers whose wait for their text is over go to the generator's queue. The schedule's every minute.
    EndWaits(EndWaits),
    /// What the index knows of a paper.
    GetPaperInfo(PaperInfo),
    /// What a program has of a plan's claims, as the examining model sees it. Nothing is stored.
    Examine(Box<Examine>),
}

/// A program to examine, which need not be of a paper of the index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examine {
    /// The paper's title.
    pub title: String,
    /// The paper's abstract.
    #[serde(rename = "abstract")]
    pub abstract_text: String,
    /// The claims that are looked for.
    pub plan: Plan,
    /// The program.
    pub code: String,
}

/// The schedule says nothing more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndWaits {}

/// Which paper is asked about: an id goes before a title.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperInfo {
    /// As in [`ById`].
    #[serde(default)]
    pub paper_id: Option<String>,
    /// Words of its title: the paper that matches best is told.
    #[serde(default)]
    pub title: Option<String>,
}

/// Keywords as one text or as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Keywords {
    /// Words with spaces between them: `"attention sparse"`.
    Text(String),
    /// One word or phrase each: `["attention", "sparse"]`.
    List(Vec<String>),
}

impl Keywords {
    /// The words as one query.
    pub fn query(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(words) => words.join(" "),
        }
    }
}

/// An event of the tester that is not an S3 notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum TesterEvent {
    /// Hands a batch to the agent when one is due; `force` takes whatever waits.
    Dispatch {
        /// Do not wait for the batch to fill.
        #[serde(default)]
        force: bool,
    },
    /// Reads results again that the index may have missed.
    Collect {
        /// The papers whose results to read.
        paper_ids: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_come_as_strings() {
        let event: ScraperEvent =
            serde_json::from_str(r#"{"MAX_PAPERS":"5","CONFERENCE_YEAR":2025}"#).unwrap();
        assert_eq!(event.max_papers, Some(5));
        assert_eq!(event.conference_year, Some(2025));
        let scheduled = r#"{"CONFERENCE_YEAR":"2026-06-02T05:23:00Z"}"#;
        let event: ScraperEvent = serde_json::from_str(scheduled).unwrap();
        assert_eq!(event.conference_year, Some(2026));
        for bad in ["2026-06", "20256", "next", "", "２０２５"] {
            let event = serde_json::json!({"CONFERENCE_YEAR": bad});
            assert!(
                serde_json::from_value::<ScraperEvent>(event).is_err(),
                "{bad}"
            );
        }
        let error = serde_json::from_str::<ScraperEvent>(r#"{"MAX_PAPERS":"five"}"#).unwrap_err();
        assert!(error.to_string().contains("got `five`"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest_known_one() {
        let refused = |event: Value| read::<ScraperEvent>(event).unwrap_err().to_string();
        for (field, nearest) in [
            ("MAX_PAPER", "MAX_PAPERS"),
            ("Max_Papers", "max_papers"),
            ("maxpapers", "max_papers"),
            ("CONFERENCE_YEARS", "CONFERENCE_YEAR"),
            ("TOPIC_FILTER", "topic_filter"),
            ("search_terms", "search_term"),
            ("conferance", "conference"),
        ] {
            let error = refused(serde_json::json!({"CONFERENCE": "ICML", field: "5"}));
            let (start, end) = (
                format!("unknown field `{field}`, expected"),
                format!("; the nearest is `{nearest}`"),
            );
            assert!(error.starts_with(&start), "{error}");
            assert!(error.ends_with(&end), "{error}");
        }
        let error = refused(serde_json::json!({"key1": "value1"}));
        assert!(error.starts_with("unknown field `key1`"), "{error}");
        let generator = serde_json::json!({"action": "generate_recent", "max_paper": 5});
        let error = read::<GeneratorEvent>(generator).unwrap_err().to_string();
        assert!(error.ends_with("; the nearest is `max_papers`"), "{error}");
        let tester = serde_json::json!({"action": "dispatch", "forced": true});
        let error = read::<TesterEvent>(tester).unwrap_err().to_string();
        assert!(error.contains("unknown field `forced`"), "{error}");
    }

    #[test]
    fn an_unknown_action_and_a_missing_one_are_told_with_the_known_ones() {
        let generator = |event: Value| read::<GeneratorEvent>(event).unwrap_err().to_string();
        let tester = |event: Value| read::<TesterEvent>(event).unwrap_err().to_string();
        let error = generator(serde_json::json!({"action": "generate_by_titel", "title": "Adam"}));
        assert!(error.contains("`get_paper_info`"), "{error}");
        assert!(
            error.ends_with("; the nearest is `generate_by_title`"),
            "{error}"
        );
        let error = tester(serde_json::json!({"action": "Dispatch"}));
        assert!(error.ends_with("; the nearest is `dispatch`"), "{error}");
        for event in [
            serde_json::json!({}),
            serde_json::json!({"Action": "collect"}),
        ] {
            assert_eq!(
                tester(event.clone()),
                "missing field `action`, expected `dispatch` or `collect`"
            );
            let error = generator(event);
            assert!(error.contains("`action`, expected one of `gen"), "{error}");
        }
        let error = tester(serde_json::json!([]));
        assert!(!error.contains("nearest"), "{error}");
    }

    #[test]
    fn what_aws_adds_to_an_event_is_passed_over() {
        let rule = serde_json::json!({
            "version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "123456789012", "time": "2026-11-24T00:00:00Z", "region": "us-east-1",
            "resources": ["arn:aws:events:us-east-1:123456789012:rule/r"], "detail": {}});
        assert_eq!(read::<ScraperEvent>(rule).unwrap(), ScraperEvent::default());
        let nested = serde_json::json!({"CONFERENCE": "ICLR", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn"});
        let event: ScraperEvent = read(nested).unwrap();
        assert_eq!(event.conference.as_deref(), Some("ICLR"));
        // Without the envelope it is somebody's word for the conference.
        assert!(read::<ScraperEvent>(serde_json::json!({"source": "ICML"})).is_err());
    }

    #[test]
    fn an_event_reads_back_what_it_wrote() {
        let event = ScraperEvent {
            max_papers: Some(5),
            conference: Some("ICML".to_owned()),
            ..ScraperEvent::default()
        };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"MAX_PAPERS": 5, "CONFERENCE": "ICML"})
        );
        assert_eq!(read::<ScraperEvent>(json).unwrap(), event);
    }

    #[test]
    fn the_generators_actions_are_read_as_users_write_them() {
        let event: GeneratorEvent =
            serde_json::from_str(r#"{"action":"generate_recent","max_papers":5}"#).unwrap();
        assert_eq!(
            event,
            GeneratorEvent::GenerateRecent(Recent {
                max_papers: Some(5),
                ..Recent::of()
            })
        );
        let event = r#"{"action":"generate_by_id","paper_id":"x","include_full_content":"False","force":true}"#;
        let event: GeneratorEvent = serde_json::from_str(event).unwrap();
        let GeneratorEvent::GenerateById(request) = event else {
            panic!("{event:?}");
        };
        let limits = request.limits();
        assert!(limits.force && !limits.include_full_content);
        for action in ["title", "author", "keywords"] {
            let event = serde_json::json!({"action": format!("generate_by_{action}"), action: "x",
                "max_papers": "2", "days": 7, "include_full_content": true, "force": "false"});
            read::<GeneratorEvent>(event).unwrap();
        }
        let event: GeneratorEvent = serde_json::from_str(
            r#"{"action":"generate_by_keywords","keywords":["sparse","attention"]}"#,
        )
        .unwrap();
        assert!(
            matches!(event, GeneratorEvent::GenerateByKeywords(it) if it.keywords.query() == "sparse attention")
        );
    }

    #[test]
    fn the_schedule_dispatches_without_force() {
        let event: TesterEvent = serde_json::from_str(r#"{"action":"dispatch"}"#).unwrap();
        assert_eq!(event, TesterEvent::Dispatch { force: false });
    }
}
