//! OpenReview's lists, asked of a local stand-in that answers as the site does.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr
)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use annapurna_contract::{PaperHost, Source};
use annapurna_paper_sources::http::{Http, HttpError};
use annapurna_paper_sources::sites::Sites;
use annapurna_paper_sources::sources::hosts::Hosts;
use annapurna_paper_sources::sources::listed::{Edition, ListError, Listed, ListedPaper};
use annapurna_paper_sources::sources::openreview::note::{Entry, Reader};
use annapurna_paper_sources::sources::openreview::page::{self, PageError};
use annapurna_paper_sources::sources::openreview::{self, group_of};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};

use annapurna_test_data::outside;
use support::{addresses, hasty, serve};

const V2_NOTES: &str = include_str!("fixtures/openreview_v2_notes.json");
const V1_NOTES: &str = include_str!("fixtures/openreview_v1_notes.json");
const V1_REPLIES: &str = include_str!("fixtures/openreview_v1_replies.json");

const ICLR_2025: Edition = edition(Source::Iclr, 2025);
const ICLR_2023: Edition = edition(Source::Iclr, 2023);

const fn edition(source: Source, year: u16) -> Edition {
    Edition { source, year }
}

/// An answer of the stand-in, before it goes out.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        let content_type = "application/json; charset=utf-8".to_owned();
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type)],
            body: body.to_string(),
        }
    }

    fn html(status: u16, body: &str) -> Self {
        let content_type = "text/html; charset=utf-8".to_owned();
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type)],
            body: body.to_owned(),
        }
    }

    /// The answer in a recorded file.
    fn recorded(bytes: &[u8]) -> Self {
        let file: Value = serde_json::from_slice(bytes).unwrap();
        let response = &file["response"];
        let headers = response["headers"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: match &response["text"] {
                Value::String(text) => text.clone(),
                _ => response["json"].to_string(),
            },
        }
    }

    /// The same page with something else in it.
    fn edited(&self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut page = serde_json::from_str(&self.body).unwrap();
        edit(&mut page);
        Self::json(self.status, &page)
    }
}

/// One request: which API, and its query.
#[derive(Debug, Clone)]
struct Asked {
    api: String,
    query: BTreeMap<String, String>,
}

impl Asked {
    fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name)?.parse().ok()
    }
}

/// What the stand-in does to its `n`th answer, counted from 1.
type Twist = Arc<dyn Fn(usize, Answer) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Site {
    /// Notes by API and list.
    lists: Arc<HashMap<(String, String), Vec<Value>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    twist: Twist,
}

impl Site {
    fn new<'a>(lists: impl IntoIterator<Item = (&'a str, &'a str, Vec<Value>)>) -> Self {
        let lists = lists
            .into_iter()
            .map(|(api, list, notes)| ((api.to_owned(), list.to_owned()), notes));
        Self {
            lists: Arc::new(lists.collect()),
            asked: Arc::default(),
            twist: Arc::new(|_, answer| answer),
        }
    }

    fn of_iclr_2025(notes: Vec<Value>) -> Self {
        Self::new([("v2", "ICLR.cc/2025/Conference", notes)])
    }

    /// A stand-in that answers with a recorded file, whatever is asked.
    fn replaying(bytes: &[u8]) -> Self {
        let recorded = Answer::recorded(bytes);
        Self::new([]).twisted(move |_, _| recorded.clone())
    }

    fn twisted(mut self, twist: impl Fn(usize, Answer) -> Answer + Send + Sync + 'static) -> Self {
        self.twist = Arc::new(twist);
        self
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    async fn list(&self, edition: Edition) -> Result<Listed, ListError> {
        let router = Router::new()
            .route("/{api}/notes", get(answer))
            .with_state(self.clone());
        let hosts = hosts(&serve(router).await, edition);
        let http = Http::new(hasty()).unwrap();
        openreview::list(&http, &hosts, edition).await
    }

    async fn papers(&self, edition: Edition) -> Vec<ListedPaper> {
        self.list(edition).await.unwrap().papers
    }

    async fn error(&self, edition: Edition) -> ListError {
        self.list(edition).await.unwrap_err()
    }
}

fn hosts(site: &str, edition: Edition) -> Hosts {
    let mut addresses = addresses(site);
    addresses[PaperHost::OpenReviewApiV1] = format!("{site}/v1");
    addresses[PaperHost::OpenReviewApiV2] = format!("{site}/v2");
    Hosts::of(edition.source, &Sites::new(addresses).unwrap()).unwrap()
}

async fn answer(
    State(site): State<Site>,
    Path(api): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response<Body> {
    let asked = Asked { api, query };
    let n_asked = {
        let mut all = site.asked.lock().unwrap();
        all.push(asked.clone());
        all.len()
    };
    let answer = (site.twist)(n_asked, notes_of(&site, &asked));
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).unwrap());
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// What the site does with a query: refuses more than 1000, knows only its own API's lists, counts
/// only when an offset is given (v2), sorts and brings replies only when asked.
fn notes_of(site: &Site, asked: &Asked) -> Answer {
    let limit = asked.number("limit").unwrap_or(1000);
    if limit > 1000 {
        return Answer::json(
            400,
            &json!({"name": "ValidationError", "message": "limit must be <= 1000", "status": 400}),
        );
    }
    let name = if asked.api == "v1" {
        "invitation"
    } else {
        "content.venueid"
    };
    let key = (asked.api.clone(), asked.query[name].clone());
    let mut notes = site.lists.get(&key).cloned().unwrap_or_default();
    if asked
        .query
        .get("sort")
        .is_some_and(|sort| sort == "number:asc")
    {
        notes.sort_by_key(|note| note["number"].as_u64().unwrap_or(u64::MAX));
    }
    let has_replies = asked
        .query
        .get("details")
        .is_some_and(|details| details == "directReplies");
    for note in notes.iter_mut().filter(|_| !has_replies) {
        note.as_object_mut().unwrap().remove("details");
    }
    let count = notes.len();
    let offset = asked.number("offset");
    let page: Vec<Value> = notes
        .into_iter()
        .skip(offset.unwrap_or(0) as usize)
        .take(limit as usize)
        .collect();
    let mut body = json!({"notes": page});
    if asked.api == "v1" || offset.is_some() {
        body["count"] = json!(count);
    }
    Answer::json(200, &body)
}

fn fixture(text: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(text).unwrap();
    page["notes"].as_array().unwrap().clone()
}

/// An accepted paper of ICLR 2025.
fn note(number: usize) -> Value {
    json!({
        "id": format!("note{number:06}"), "forum": format!("note{number:06}"), "number": number,
        "content": {
            "title": {"value": format!("Synthetic Paper {number}")},
            "pdf": {"value": format!("/pdf/{number:040x}.pdf")},
            "venueid": {"value": "ICLR.cc/2025/Conference"},
        },
    })
}

fn notes(n_notes: usize) -> Vec<Value> {
    (1..=n_notes).map(note).collect()
}

fn ids(papers: &[ListedPaper]) -> Vec<&str> {
    papers
        .iter()
        .map(|paper| paper.source_id.as_str())
        .collect()
}

fn pdfs(paper: &ListedPaper) -> Vec<String> {
    let path = |url: &url::Url| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    paper.pdf_urls.iter().map(path).collect()
}

// Paging.

#[tokio::test]
async fn pages_of_1000_notes_are_read_until_the_count() {
    // Backwards, so that nothing but the sorting asked for puts them in order.
    let site = Site::of_iclr_2025(notes(2500).into_iter().rev().collect());
    let papers = site.papers(ICLR_2025).await;
    assert_eq!(papers.len(), 2500);
    assert!(papers.windows(2).all(|pair| pair[0].place < pair[1].place));
    assert_eq!((papers[0].place, papers[2499].place), (1, 2500));
    let asked = site.asked();
    let offsets: Vec<_> = asked.iter().map(|asked| asked.number("offset")).collect();
    assert_eq!(offsets, [Some(0), Some(1000), Some(2000)]);
    assert!(
        asked
            .iter()
            .all(|asked| asked.api == "v2" && asked.number("limit") == Some(1000))
    );
    assert!(
        asked
            .iter()
            .all(|asked| asked.query["sort"] == "number:asc")
    );
}

#[tokio::test]
async fn a_list_that_ends_with_a_full_page_needs_no_further_one() {
    let site = Site::of_iclr_2025(notes(2000));
    assert_eq!(site.papers(ICLR_2025).await.len(), 2000);
    assert_eq!(site.asked().len(), 2);
}

#[tokio::test]
async fn a_page_with_too_few_notes_is_asked_for_again() {
    for n_left in [0, 7] {
        let site = Site::of_iclr_2025(notes(2500)).twisted(move |n, answer| match n {
            2 => answer.edited(|page| page["notes"].as_array_mut().unwrap().truncate(n_left)),
            _ => answer,
        });
        assert_eq!(site.papers(ICLR_2025).await.len(), 2500, "{n_left}");
        let offsets: Vec<_> = site
            .asked()
            .iter()
            .map(|it| it.number("offset").unwrap())
            .collect();
        assert_eq!(offsets, [0, 1000, 1000, 2000], "{n_left}");
    }
}

#[tokio::test]
async fn a_page_that_stays_too_short_is_reported_and_is_not_the_end() {
    let site = Site::of_iclr_2025(notes(1200)).twisted(|n, answer| match n {
        1 => answer,
        _ => answer.edited(|page| page["notes"].as_array_mut().unwrap().truncate(7)),
    });
    let error = site.error(ICLR_2025).await;
    let ListError::Http(HttpError::Unusable { url, reason, .. }) = error else {
        panic!("{error}");
    };
    assert!(url.contains("offset=1000"), "{url}");
    let words = "the page holds 7 notes and must hold 200: it begins at 1000 of 1200";
    assert_eq!(reason, words);
    assert_eq!(site.asked().len(), 1 + 3);
}

#[tokio::test]
async fn a_page_without_its_count_is_asked_for_again() {
    let site = Site::of_iclr_2025(notes(3)).twisted(|n, answer| match n {
        1 => answer.edited(|page| {
            page.as_object_mut().unwrap().remove("count");
        }),
        _ => answer,
    });
    assert_eq!(site.papers(ICLR_2025).await.len(), 3);
}

#[tokio::test]
async fn a_list_that_grows_while_it_is_read_is_read_again() {
    // A paper joins in front after the first page: the thousandth comes back as the first of page two.
    let site = Site::of_iclr_2025(notes(1500)).twisted(|n, answer| match n {
        2 => answer.edited(|page| {
            page["count"] = json!(1501);
            page["notes"].as_array_mut().unwrap().insert(0, note(1000));
        }),
        _ => answer,
    });
    let papers = site.papers(ICLR_2025).await;
    let unique: BTreeSet<&str> = ids(&papers).into_iter().collect();
    assert_eq!((papers.len(), unique.len()), (1500, 1500));
    assert_eq!(site.asked().len(), 4);
}

#[tokio::test]
async fn a_note_that_comes_back_over_a_border_is_one_and_what_it_displaced_is_missed() {
    let site = Site::of_iclr_2025(notes(1500)).twisted(|n, answer| match n {
        2 | 4 | 6 => answer.edited(|page| page["notes"][0] = note(1000)),
        _ => answer,
    });
    let error = site.error(ICLR_2025).await;
    let ListError::Wrong { url, problem } = error else {
        panic!("{error}");
    };
    assert!(
        url.contains("content.venueid=ICLR.cc%2F2025%2FConference"),
        "{url}"
    );
    assert_eq!(problem, "says that it has 1500 notes and has 1499");
    assert_eq!(site.asked().len(), 6);
}

#[tokio::test]
async fn a_count_that_falls_to_nothing_is_no_end() {
    let site = Site::of_iclr_2025(notes(1500)).twisted(|n, answer| match n % 2 {
        0 => Answer::json(200, &json!({"notes": [], "count": 0})),
        _ => answer,
    });
    let problem = site.error(ICLR_2025).await.to_string();
    assert!(problem.contains("had 1500 notes and has 0"), "{problem}");
}

// Blocks, errors, and lists that are not there.

#[tokio::test]
async fn the_wrong_hosts_empty_list_is_absent() {
    let site = Site::new([("v1", "ICLR.cc/2025/Conference", notes(3))]);
    let error = site.error(ICLR_2025).await;
    assert!(
        matches!(error, ListError::Absent { ref url } if url.contains("/v2/notes?")),
        "{error}"
    );
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn a_year_that_openreview_does_not_have_is_absent_without_asking() {
    let site = Site::new([]);
    for (source, year) in [
        (Source::Iclr, 2015),
        (Source::Icml, 2022),
        (Source::Neurips, 2020),
    ] {
        let error = site.error(edition(source, year)).await;
        assert!(matches!(error, ListError::Absent { .. }), "{error}");
    }
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn a_browser_check_is_a_block_with_its_evidence() {
    let page = "<!DOCTYPE html>\n<html><head><title>Verifying your browser | OpenReview</title>";
    for status in [200, 403] {
        let site = Site::new([]).twisted(move |_, _| Answer::html(status, page));
        let error = site.error(ICLR_2025).await;
        let ListError::Http(HttpError::Blocked { evidence, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(evidence.status, status);
        assert!(evidence.content_type.starts_with("text/html"));
        assert!(
            evidence.excerpt.contains("Verifying your browser"),
            "{evidence}"
        );
    }
}

#[tokio::test]
async fn too_many_requests_is_a_block_that_can_pass() {
    let words =
        "Too many requests: You have made 102 requests, surpassing the limit of 98 requests.";
    let block = move || {
        let mut answer = Answer::json(429, &json!({"name": "RateLimitError", "message": words}));
        let headers = [
            ("ratelimit-policy", "500;w=3600"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "0"),
        ];
        answer
            .headers
            .extend(headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        answer
    };
    let passing = Site::of_iclr_2025(notes(2))
        .twisted(move |n, answer| if n == 1 { block() } else { answer });
    assert_eq!(passing.papers(ICLR_2025).await.len(), 2);
    let lasting = Site::of_iclr_2025(notes(2)).twisted(move |_, _| block());
    let error = lasting.error(ICLR_2025).await;
    assert!(
        matches!(error, ListError::Http(HttpError::Blocked { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("You have made 102 requests"),
        "{error}"
    );
}

#[tokio::test]
async fn openreviews_errors_are_errors_in_its_words_and_escaped() {
    let error = |status, name: &'static str| {
        let body = json!({"name": name, "message": "no \u{1b}[2J such thing", "status": status});
        Site::of_iclr_2025(notes(2)).twisted(move |_, _| Answer::json(status, &body))
    };
    let refused = error(400, "ValidationError").error(ICLR_2025).await;
    assert!(
        matches!(refused, ListError::Http(HttpError::Refused { .. })),
        "{refused}"
    );
    let missing = error(404, "NotFoundError").error(ICLR_2025).await;
    assert!(
        matches!(missing, ListError::Http(HttpError::Missing { .. })),
        "{missing}"
    );
    let unusable = error(200, "ForbiddenError").error(ICLR_2025).await;
    assert!(
        unusable
            .to_string()
            .contains("OpenReview answers `ForbiddenError: no "),
        "{unusable}"
    );
    for error in [refused, missing, unusable] {
        let text = error.to_string();
        assert!(
            text.contains("such thing") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
    let elsewhere = Site::new([]).twisted(|_, _| Answer::html(404, "<html>Not Found"));
    let elsewhere = elsewhere.error(ICLR_2025).await;
    assert!(matches!(elsewhere, ListError::Absent { .. }), "{elsewhere}");
}

#[tokio::test]
async fn notes_of_which_none_is_accepted_are_not_an_empty_conference() {
    let rejected = (1..=4).map(|number| {
        let mut note = note(number);
        note["content"]["venueid"]["value"] = json!("ICLR.cc/2025/Conference/Rejected_Submission");
        note
    });
    let error = Site::of_iclr_2025(rejected.collect())
        .error(ICLR_2025)
        .await;
    assert!(
        error
            .to_string()
            .ends_with("has 4 notes and marks none as accepted"),
        "{error}"
    );
}

// The newer API.

async fn v2_fixture() -> Listed {
    Site::of_iclr_2025(fixture(V2_NOTES))
        .list(ICLR_2025)
        .await
        .unwrap()
}

#[tokio::test]
async fn only_a_bare_venueid_is_accepted_whatever_its_case() {
    let listed = v2_fixture().await;
    assert_eq!(
        ids(&listed.papers),
        ["aaaaAAAA01", "ccccCCCC03", "ddddDDDD04", "hhhhHHHH08"]
    );
}

#[tokio::test]
async fn wrapped_values_are_unwrapped_and_cleaned() {
    let listed = v2_fixture().await;
    let paper = &listed.papers[0];
    assert_eq!(paper.title, "Sketches of Nothing in $W<d$ & More");
    assert_eq!(
        paper.authors,
        ["Ada Nowhere", "Research and Nonsense Group"]
    );
    assert_eq!(
        paper.abstract_text.as_deref(),
        Some("An abstract that is wrapped.")
    );
    assert_eq!(paper.keywords, ["sketches", "nothing"]);
    assert!(paper.topics.is_empty() && paper.details_url.is_none());
    assert_eq!(paper.forum.as_deref(), Some("aaaaAAAA01"));
    assert!(
        paper
            .url
            .as_deref()
            .unwrap()
            .ends_with("/forum?id=aaaaAAAA01")
    );
    assert_eq!(paper.record, fixture(V2_NOTES)[0]);
    assert_eq!(listed.papers[1].title, "0");
    assert_eq!(listed.papers[1].keywords, ["one", "two", "three"]);
    assert_eq!(
        listed.papers[3].authors,
        ["Ünal Ž. de la Cruz", "深度 学习"]
    );
}

#[tokio::test]
async fn hidden_absent_and_anonymous_authors_are_none() {
    let listed = v2_fixture().await;
    assert!(listed.papers[1].authors.is_empty(), "hidden");
    assert!(listed.papers[2].authors.is_empty(), "anonymous");
    let absent = Site::of_iclr_2025(notes(1)).papers(ICLR_2025).await;
    assert!(absent[0].authors.is_empty() && absent[0].abstract_text.is_none());
}

#[tokio::test]
async fn the_date_is_the_first_of_three_that_is_there() {
    let listed = v2_fixture().await;
    let dates: Vec<Option<&str>> = listed
        .papers
        .iter()
        .map(|paper| paper.date.as_deref())
        .collect();
    // The third has none; the fourth counts in another unit.
    assert_eq!(dates, [Some("2025-01-22"), Some("2024-09-22"), None, None]);
}

#[tokio::test]
async fn a_pdf_is_taken_by_its_hash_or_by_its_forum_and_never_from_elsewhere() {
    let listed = v2_fixture().await;
    let hashed = format!("/pdf/{}.pdf", "a".repeat(40));
    assert_eq!(
        pdfs(&listed.papers[0]),
        [hashed.as_str(), "/pdf?id=aaaaAAAA01"]
    );
    assert_eq!(
        pdfs(&listed.papers[1]),
        ["/pdf?id=ccccCCCC03"],
        "another host"
    );
    assert!(pdfs(&listed.papers[2]).is_empty(), "no file");
    assert_eq!(
        pdfs(&listed.papers[3]),
        ["/pdf?id=hhhhHHHH08"],
        "a path with `..`"
    );
    let all = listed.papers.iter().flat_map(|paper| &paper.pdf_urls);
    assert!(
        all.into_iter()
            .all(|url| url.host_str() == Some("127.0.0.1"))
    );
}

#[tokio::test]
async fn notes_that_cannot_be_read_are_reported_by_their_ids() {
    let listed = v2_fixture().await;
    let broken: Vec<String> = listed
        .broken
        .iter()
        .map(|it| format!("{}: {}", it.entry, it.reason))
        .collect();
    assert_eq!(
        broken,
        [
            "note eeeeEEEE05: it has no title",
            "note ffffFFFF06: it has no forum id",
            "note ggggGGGG07: it has no venueid"
        ]
    );
}

#[tokio::test]
async fn a_note_without_a_number_comes_after_those_with_one() {
    let listed = v2_fixture().await;
    let places: Vec<u64> = listed.papers.iter().map(|paper| paper.place).collect();
    assert_eq!(places[..3], [2, 4, 5]);
    assert!(places[3] > 5);
    // Nor do two notes with one number, or an absurd one, share a place.
    let odd = [1, 1, u64::MAX]
        .into_iter()
        .enumerate()
        .map(|(index, number)| {
            let mut note = note(index + 1);
            note["number"] = json!(number);
            note
        });
    let papers = Site::of_iclr_2025(odd.collect()).papers(ICLR_2025).await;
    let places: BTreeSet<u64> = papers.iter().map(|paper| paper.place).collect();
    assert_eq!((papers.len(), places.len()), (3, 3));
}

#[tokio::test]
async fn the_tracks_of_a_year_are_one_list_and_no_place_is_taken_twice() {
    let of = |venue: &str, number| {
        let mut note = note(number);
        note["content"]["venueid"]["value"] = json!(venue);
        note["id"] = json!(format!("{number}of{}", venue.len()));
        note["forum"] = note["id"].clone();
        note["content"]["title"]["value"] = json!(format!("Paper {number} of {venue}"));
        note
    };
    let venues = [
        "NeurIPS.cc/2025/Conference",
        "NeurIPS.cc/2025/Datasets_and_Benchmarks_Track",
        "NeurIPS.cc/2025/Position_Paper_Track",
    ];
    let lists = venues.map(|venue| ("v2", venue, vec![of(venue, 7), of(venue, 8)]));
    let papers = Site::new(lists.clone())
        .papers(edition(Source::Neurips, 2025))
        .await;
    assert_eq!(papers.len(), 6);
    assert!(papers.windows(2).all(|pair| pair[0].place < pair[1].place));
    // A track that is empty is none; a year without its main track is not there yet.
    let main = Site::new(lists[..1].to_vec());
    assert_eq!(main.papers(edition(Source::Neurips, 2025)).await.len(), 2);
    let tracks = Site::new(lists[1..].to_vec());
    let error = tracks.error(edition(Source::Neurips, 2025)).await;
    assert!(matches!(error, ListError::Absent { .. }), "{error}");
}

#[tokio::test]
async fn one_title_with_one_file_is_one_paper_and_one_file_alone_is_not() {
    let mut all = notes(4);
    all[2]["content"] = all[0]["content"].clone();
    all[2]["content"]["title"]["value"] = json!("synthetic  paper 1");
    all[3]["content"]["pdf"] = all[1]["content"]["pdf"].clone();
    let papers = Site::of_iclr_2025(all).papers(ICLR_2025).await;
    assert_eq!(ids(&papers), ["note000001", "note000002", "note000004"]);
}

// The older API.

fn v1_list(year: u16) -> String {
    group_of(edition(Source::Iclr, year)).unwrap().lists[0].clone()
}

#[tokio::test]
async fn in_the_older_api_the_venue_tells_and_the_venueid_does_not() {
    let site = Site::new([("v1", v1_list(2023).as_str(), fixture(V1_NOTES))]);
    let listed = site.list(ICLR_2023).await.unwrap();
    assert_eq!(ids(&listed.papers), ["v1accepted1", "v1accepted2"]);
    assert!(listed.broken.is_empty());
    let paper = &listed.papers[0];
    assert_eq!(paper.title, "Bare Values and Their Friends");
    assert_eq!(
        paper.authors,
        ["Ola Nobody", "Kim Someone", "Lee Person", "Max Other"]
    );
    assert_eq!(paper.date.as_deref(), Some("2022-09-22"));
    assert_eq!(paper.record, fixture(V1_NOTES)[0]);
    let asked = &site.asked()[0];
    assert_eq!(asked.api, "v1");
    assert_eq!(
        asked.query["invitation"],
        "ICLR.cc/2023/Conference/-/Blind_Submission"
    );
    assert!(!asked.query.contains_key("details"));
}

#[tokio::test]
async fn every_spelling_of_a_venue_is_understood() {
    let spellings = [
        (Source::Iclr, 2017, "ICLR 2017 Oral", true),
        (Source::Iclr, 2017, "ICLR 2017 Poster", true),
        (Source::Iclr, 2017, "ICLR 2017 Invite to Workshop", false),
        (Source::Iclr, 2017, "Submitted to ICLR 2017", false),
        (Source::Iclr, 2021, "ICLR 2021 Spotlight", true),
        (Source::Iclr, 2022, "ICLR 2022 Oral", true),
        (Source::Iclr, 2022, "ICLR 2022 Submitted", false),
        (Source::Iclr, 2023, "ICLR 2023 notable top 25%", true),
        (Source::Iclr, 2023, "Submitted to ICLR 2023", false),
        (Source::Iclr, 2023, "Tiny Papers @ ICLR 2023", false),
        (Source::Neurips, 2021, "NeurIPS 2021 Poster", true),
        (Source::Neurips, 2021, "NeurIPS 2021 Submitted", false),
        (
            Source::Neurips,
            2021,
            "NeurIPS 2021 Datasets and Benchmarks Track (Round 2)",
            true,
        ),
        (Source::Neurips, 2022, "NeurIPS 2022 Accept", true),
        (
            Source::Neurips,
            2022,
            "NeurIPS 2022 Datasets and Benchmarks ",
            true,
        ),
    ];
    let hosts = hosts("http://127.0.0.1:9", ICLR_2023);
    for (source, year, venue, is_accepted) in spellings {
        let edition = edition(source, year);
        let group = group_of(edition).unwrap();
        let reader = Reader {
            edition,
            group: &group,
            list: &group.lists[0],
            hosts: &hosts,
        };
        let note = json!({"id": "a", "content": {"title": "T", "venue": venue, "venueid": "x"}});
        let is_paper = matches!(reader.read(note, 0), Entry::Paper(_));
        assert_eq!(is_paper, is_accepted, "{venue}");
    }
}

#[tokio::test]
async fn from_2018_to_2020_a_reply_is_the_decision() {
    let iclr_2020 = edition(Source::Iclr, 2020);
    let site = Site::new([("v1", v1_list(2020).as_str(), fixture(V1_REPLIES))]);
    let papers = site.papers(iclr_2020).await;
    assert_eq!(ids(&papers), ["replied0001", "replied0005"]);
    let asked = &site.asked()[0];
    assert_eq!(asked.query["details"], "directReplies");
    assert!(
        asked.number("limit").unwrap() < 1000,
        "reviews make a page large"
    );
    // Reviews are not the paper's; its decision is.
    let replies = papers[0].record["details"]["directReplies"]
        .as_array()
        .unwrap();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0]["content"]["decision"], "Accept (Spotlight)");
}

#[tokio::test]
async fn the_decisions_of_2018_and_2019_have_other_names() {
    let accepted = |reply: Value| {
        let mut note = fixture(V1_REPLIES)[0].clone();
        note["details"]["directReplies"] = json!([reply]);
        note
    };
    let of_2018 = json!({"invitation": "ICLR.cc/2018/Conference/-/Acceptance_Decision", "content": {"decision": "Accept (Oral)"}});
    let of_2019 = json!({"invitation": "ICLR.cc/2019/Conference/-/Paper1/Meta_Review", "content": {"recommendation": "Accept (Poster)"}});
    for (year, reply) in [(2018, &of_2018), (2019, &of_2019)] {
        let mut invited = reply.clone();
        for value in invited["content"].as_object_mut().unwrap().values_mut() {
            *value = json!("Invite to Workshop Track");
        }
        let mut other = accepted(invited);
        other["id"] = json!("invited0002");
        let notes = vec![accepted(reply.clone()), other];
        let site = Site::new([("v1", v1_list(year).as_str(), notes)]);
        let papers = site.papers(edition(Source::Iclr, year)).await;
        assert_eq!(ids(&papers), ["replied0001"], "{year}");
    }
}

#[tokio::test]
async fn replies_left_out_are_noticed() {
    let site =
        Site::new([("v1", v1_list(2020).as_str(), fixture(V1_REPLIES))]).twisted(|_, answer| {
            answer.edited(|page| {
                for note in page["notes"].as_array_mut().unwrap() {
                    note.as_object_mut().unwrap().remove("details");
                }
            })
        });
    let error = site.error(edition(Source::Iclr, 2020)).await;
    assert!(matches!(error, ListError::Wrong { .. }), "{error}");
}

#[tokio::test]
async fn pages_with_replies_are_smaller_and_still_end_at_the_count() {
    let template = fixture(V1_REPLIES)[0].clone();
    let notes = (1..=450).map(|number| {
        let mut note = template.clone();
        note["id"] = json!(format!("n{number}"));
        note["forum"] = note["id"].clone();
        note["number"] = json!(number);
        note["content"]["title"] = json!(format!("Paper {number}"));
        note
    });
    let site = Site::new([("v1", v1_list(2020).as_str(), notes.collect())]);
    assert_eq!(site.papers(edition(Source::Iclr, 2020)).await.len(), 450);
    assert_eq!(site.asked().len(), 3);
}

#[tokio::test]
async fn authors_in_one_string_are_several() {
    let spellings = [
        ("Ada Nowhere, Ben Nobody", vec!["Ada Nowhere", "Ben Nobody"]),
        (
            "Ada Nowhere, Ben Nobody, and Cy Anyone",
            vec!["Ada Nowhere", "Ben Nobody", "Cy Anyone"],
        ),
        (
            "Ada Nowhere and Ben Nobody",
            vec!["Ada Nowhere", "Ben Nobody"],
        ),
        (
            "Nowhere, Ada; Nobody, Ben",
            vec!["Nowhere, Ada", "Nobody, Ben"],
        ),
        ("Andy Sandland", vec!["Andy Sandland"]),
        (" , ", vec![]),
    ];
    for (authors, names) in spellings {
        let note = json!({"id": "S1", "forum": "S1", "number": 6, "tcdate": 1478276540541_u64,
            "content": {"title": "T", "authors": authors, "venue": "ICLR 2017 Poster",
                "venueid": "ICLR.cc/2017/conference"}});
        let site = Site::new([("v1", "ICLR.cc/2017/conference/-/submission", vec![note])]);
        let papers = site.papers(edition(Source::Iclr, 2017)).await;
        assert_eq!(papers[0].authors, names, "{authors}");
        assert_eq!(papers[0].date.as_deref(), Some("2016-11-04"));
    }
}

#[tokio::test]
async fn in_2013_the_note_itself_is_decided_and_in_2014_nothing_is() {
    let note = |id: &str, decision: &str| {
        json!({"id": id, "forum": id, "number": 6, "content": {"title": id, "decision": decision,
            "pdf": "https://arxiv.org/abs/1301.00000"}})
    };
    let notes = vec![
        note("oral", "conferenceOral-iclr2013-conference"),
        note("poster", "conferencePoster-iclr2013-conference"),
        note("workshop", "conferencePoster-iclr2013-workshop"),
        note("rejected", "reject"),
    ];
    let site = Site::new([("v1", v1_list(2013).as_str(), notes)]);
    let papers = site.papers(edition(Source::Iclr, 2013)).await;
    assert_eq!(ids(&papers), ["oral", "poster"]);
    assert_eq!(pdfs(&papers[0]), ["/pdf?id=oral"], "arXiv's page is no PDF");
    let undecided = vec![
        note("one", "submitted, no decision"),
        note("two", "submitted, no decision"),
    ];
    let site = Site::new([("v1", v1_list(2014).as_str(), undecided)]);
    assert_eq!(
        ids(&site.papers(edition(Source::Iclr, 2014)).await),
        ["one", "two"]
    );
}

// Damage.

#[test]
fn a_page_cut_anywhere_is_damaged_and_nothing_panics() {
    for text in [V2_NOTES, V1_NOTES, V1_REPLIES] {
        let text = text.trim_end();
        for end in 0..text.len() {
            let cut = page::parse(&text.as_bytes()[..end], 0, 1000);
            assert!(matches!(cut, Err(PageError::Json(_))), "cut at {end}");
        }
        assert!(page::parse(text.as_bytes(), 0, 1000).is_ok());
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let hosts = hosts("http://127.0.0.1:9", ICLR_2023);
    let editions = [2013, 2014, 2018, 2023, 2025].map(|year| edition(Source::Iclr, year));
    let mut state = 1_u64;
    for document in [V2_NOTES, V1_NOTES, V1_REPLIES] {
        for _ in 0..2000 {
            let mut bytes = document.as_bytes().to_vec();
            for _ in 0..4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let place = (state >> 33) as usize % bytes.len();
                bytes[place] = (state >> 25) as u8;
            }
            let Ok(page) = page::parse(&bytes, 0, 1000) else {
                continue;
            };
            read_all(&editions, &hosts, &page.notes);
        }
    }
}

/// Every value of every note replaced by every kind of value.
#[test]
fn values_of_any_kind_never_panic() {
    let hosts = hosts("http://127.0.0.1:9", ICLR_2023);
    let editions =
        [2013, 2014, 2018, 2019, 2020, 2023, 2025].map(|year| edition(Source::Iclr, year));
    let kinds = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("\u{1b}[31m\u{0}"),
        json!([]),
        json!([[null]]),
        json!({}),
        json!({"value": {"value": 1}}),
    ];
    for text in [V2_NOTES, V1_NOTES, V1_REPLIES] {
        for note in fixture(text) {
            for pointer in pointers(&note, String::new()) {
                for kind in &kinds {
                    let mut odd = note.clone();
                    *odd.pointer_mut(&pointer).unwrap() = kind.clone();
                    read_all(&editions, &hosts, &[odd]);
                }
            }
        }
    }
}

fn read_all(editions: &[Edition], hosts: &Hosts, notes: &[Value]) {
    for edition in editions.iter().copied() {
        let group = group_of(edition).unwrap();
        let reader = Reader {
            edition,
            group: &group,
            list: &group.lists[0],
            hosts,
        };
        for note in notes {
            if let Entry::Paper(paper) = reader.read(note.clone(), 0) {
                assert!(!paper.title.is_empty() && !paper.source_id.is_empty());
                assert!(
                    paper
                        .pdf_urls
                        .iter()
                        .all(|url| url.host_str() == Some("127.0.0.1"))
                );
            }
        }
    }
}

fn pointers(value: &Value, at: String) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let escape = |name: &String| name.replace('~', "~0").replace('/', "~1");
            fields
                .iter()
                .map(|(name, value)| (format!("{at}/{}", escape(name)), value))
                .collect()
        }
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(index, value)| (format!("{at}/{index}"), value))
            .collect(),
        _ => Vec::new(),
    };
    let mut all = vec![at];
    all.extend(
        below
            .into_iter()
            .flat_map(|(at, value)| pointers(value, at)),
    );
    all
}

#[test]
fn json_that_is_no_page_of_notes_is_refused() {
    let error = |body: &str| page::parse(body.as_bytes(), 0, 1000).unwrap_err();
    assert_eq!(error("[1]"), PageError::Shape("object of notes"));
    assert_eq!(error("{}"), PageError::Shape("array `notes`"));
    assert_eq!(
        error(r#"{"notes": {}, "count": 1}"#),
        PageError::Shape("array `notes`")
    );
    assert_eq!(
        error(r#"{"notes": [], "count": "1"}"#),
        PageError::Shape("number `count`")
    );
    assert_eq!(
        error(r#"{"notes": [], "count": 9000000000}"#),
        PageError::TooMany(9_000_000_000)
    );
    let excess = error(r#"{"notes": [1, 2], "count": 1}"#);
    assert_eq!(
        excess,
        PageError::WrongLength {
            expected: 1,
            found: 2,
            offset: 0,
            count: 1
        }
    );
    let deep = "[".repeat(100_000);
    assert!(matches!(error(&deep), PageError::Json(_)));
}

// The recorded answers.

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_page_of_iclr_2025_is_read_and_its_rest_is_missed() {
    let bytes = outside("openreview/v2_iclr2025_notes_3_of_3703.json");
    let body = Answer::recorded(&bytes).body;
    let page = page::parse(body.as_bytes(), 0, 3).unwrap();
    assert_eq!((page.count, page.notes.len()), (3703, 3));
    let error = Site::replaying(&bytes).error(ICLR_2025).await;
    let problem = "the page holds 3 notes and must hold 1000: it begins at 0 of 3703";
    assert!(error.to_string().contains(problem), "{error}");
    let papers = Site::of_iclr_2025(page.notes).papers(ICLR_2025).await;
    assert_eq!(ids(&papers), ["P42DbV2nuV", "Q6a9W6kzv5", "JZLon6cvx8"]);
    let n_authors: Vec<usize> = papers.iter().map(|paper| paper.authors.len()).collect();
    let n_keywords: Vec<usize> = papers.iter().map(|paper| paper.keywords.len()).collect();
    assert_eq!((n_authors, n_keywords), (vec![5, 6, 4], vec![6, 2, 3]));
    assert!(
        papers
            .iter()
            .all(|paper| paper.abstract_text.is_some() && paper.date.is_none())
    );
    assert_eq!(
        pdfs(&papers[0])[0],
        "/pdf/8fddee1917f5289fe7908965f534e27f36e3f4db.pdf"
    );
    assert_eq!(papers[2].place, 4);
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_page_of_iclr_2021_is_one_of_2594_and_not_accepted() {
    let bytes = outside("openreview/v1_iclr2021_blind_listing_1_of_2594.json");
    let page = page::parse(Answer::recorded(&bytes).body.as_bytes(), 0, 1).unwrap();
    assert_eq!((page.count, page.notes.len()), (2594, 1));
    let iclr_2021 = edition(Source::Iclr, 2021);
    let error = Site::replaying(&bytes).error(iclr_2021).await;
    assert!(
        error
            .to_string()
            .contains("holds 1 notes and must hold 1000"),
        "{error}"
    );
    // That paper was rejected: it has no venue. With one it is read.
    let mut accepted = page.notes[0].clone();
    accepted["id"] = json!("another0001");
    accepted["forum"] = json!("another0001");
    accepted["content"]["venue"] = json!("ICLR 2021 Poster");
    let notes = vec![page.notes[0].clone(), accepted];
    let papers = Site::new([("v1", v1_list(2021).as_str(), notes)])
        .papers(iclr_2021)
        .await;
    assert_eq!(ids(&papers), ["another0001"]);
    assert_eq!(
        (papers[0].authors.len(), papers[0].date.as_deref()),
        (5, Some("2020-10-03"))
    );
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_count_of_iclr_2024_is_2260() {
    let bytes = outside("openreview/v2_iclr2024_count_offset0_select_id.json");
    let page = page::parse(Answer::recorded(&bytes).body.as_bytes(), 0, 1).unwrap();
    assert_eq!((page.count, page.notes.len()), (2260, 1));
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_browser_check_is_a_block() {
    let bytes = outside("openreview/v2_anonymous_challenge_200_html.json");
    let error = Site::replaying(&bytes)
        .error(edition(Source::Iclr, 2024))
        .await;
    assert!(
        matches!(error, ListError::Http(HttpError::Blocked { .. })),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("status 200") && text.contains("Verifying your browser"),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_errors_are_errors_in_openreviews_words() {
    for (file, words) in [
        (
            "v2_error_400_limit_over_1000",
            "limit must be <= 1000 (2026-09-27-8520693)",
        ),
        (
            "v2_error_404_note_not_found",
            "The Note g1SzIRLQXMM was not found",
        ),
    ] {
        let bytes = outside(&format!("openreview/{file}.json"));
        let site = Site::replaying(&bytes);
        let error = site.error(edition(Source::Iclr, 2024)).await;
        assert!(matches!(error, ListError::Http(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(
            site.asked().len(),
            1,
            "{file}: asking again changes nothing"
        );
    }
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_recorded_notes_of_a_workshop_are_read() {
    let bytes = outside("openreview/v1_real_notes_nips2018_workshop_submissions.json");
    let page = page::parse(&bytes, 0, 1000).unwrap();
    assert_eq!((page.count, page.notes.len()), (2, 2));
    // Any list of the older API that marks nothing shows how such notes are read.
    let site = Site::new([("v1", v1_list(2014).as_str(), page.notes)]);
    let papers = site.papers(edition(Source::Iclr, 2014)).await;
    assert_eq!(papers[0].title, "Targeted Dropout");
    assert_eq!(papers[1].title, "Rethinking the Value of Network Pruning");
    assert_eq!((papers[0].place, papers[1].place), (36, 49));
    assert_eq!((papers[0].authors.len(), papers[1].keywords.len()), (5, 4));
    assert_eq!(papers[0].date.as_deref(), Some("2018-10-20"));
}
