//! The pages of the conferences' virtual sites, for years whose JSON list is not there.
//!
//! In: `papers.html`, which names every paper, and the pages of single papers. Out: papers, each once,
//! though the site has one per event (talk and poster, two cities). A link counts as a paper when its
//! path is that of a paper's event in the year asked for; sessions, workshops and other years do not.

use std::collections::{BTreeMap, HashMap};

use annapurna_contract::{PaperHost, normalize_title};
use scraper::ElementRef;
use serde_json::json;
use url::Url;

use super::hosts::Hosts;
use super::html::{self, Document};
use super::listed::{Edition, ListError, Listed, ListedPaper, PLACES};
use crate::http::{Expect, Http, Page};
use crate::paper::{BrokenEntry, Details, RepeatedEntry};
use crate::sites::join;

/// Kinds of events that are papers.
const KINDS: [&str; 4] = ["poster", "oral", "spotlight", "paper"];

/// Between the names of authors.
const BETWEEN_NAMES: [char; 3] = ['\u{b7}', '\u{22c5}', '\u{2022}'];

/// Every paper of a conference's year.
///
/// # Errors
///
/// [`ListError::Absent`] when the site has no such page, [`ListError::Wrong`] when it names no paper.
pub async fn list(http: &Http, hosts: &Hosts, edition: Edition) -> Result<Listed, ListError> {
    let path = format!("virtual/{}/papers.html", edition.year);
    let url = join(&hosts[PaperHost::VirtualSite], &path);
    let read = |page: Page| parse_list(&page.body, &url, hosts, edition);
    let listed = http.get_with(&url, Expect::Html, read).await;
    listed.map_err(html::list_error)
}

/// Reads `papers.html` as it is served: one link for each event. The cards that a browser makes of it are
/// never fetched.
///
/// # Errors
///
/// Words for a log, when the page is cut short or names no paper.
pub fn parse_list(
    body: &[u8],
    page: &Url,
    hosts: &Hosts,
    edition: Edition,
) -> Result<Listed, String> {
    let document = Document::parse(body)?;
    let mut events: BTreeMap<u64, Event> = BTreeMap::new();
    for link in document.all("a[href]") {
        let Some((id, kind, url)) = paper_link(link, page, hosts, edition) else {
            continue;
        };
        let event = events.entry(id).or_insert(Event {
            id,
            kind,
            url,
            title: None,
        });
        if event.title.is_none() {
            event.title = html::text_of(link).filter(|text| !is_label(text));
        }
    }
    let listed = merge(events, page);
    if listed.papers.is_empty() {
        return Err(format!("it names no paper of {}", edition.year));
    }
    Ok(listed)
}

/// Id, kind and address of the paper's event that a link leads to.
fn paper_link(
    link: ElementRef<'_>,
    page: &Url,
    hosts: &Hosts,
    edition: Edition,
) -> Option<(u64, &'static str, Url)> {
    let href = link.attr("href")?;
    let mut url = hosts.on_configured_host(href, page, &[PaperHost::VirtualSite])?;
    url.set_query(None);
    let segments: Vec<&str> = url.path_segments()?.filter(|it| !it.is_empty()).collect();
    let start = segments.iter().position(|segment| *segment == "virtual")?;
    let year = edition.year.to_string();
    let (kind, id) = match &segments[start + 1..] {
        [of, kind, id] if *of == year => (kind, id),
        // One of the cities of a conference that meets in several.
        [of, "loc", _, kind, id] if *of == year => (kind, id),
        _ => return None,
    };
    let kind = KINDS.into_iter().find(|known| known == kind)?;
    let id = id.parse().ok().filter(|id| *id < PLACES)?;
    Some((id, kind, url))
}

/// What the page says of one event.
#[derive(Debug)]
struct Event {
    id: u64,
    kind: &'static str,
    url: Url,
    title: Option<String>,
}

/// Words of a link that are no title: `[Poster]` beside the talk.
fn is_label(text: &str) -> bool {
    let text = text.trim_matches(['[', ']', ' ']).to_lowercase();
    KINDS.contains(&text.as_str()) || matches!(text.as_str(), "abstract" | "details" | "view")
}

/// The names of a line. Where no point is between them, commas may be.
fn names_in(line: ElementRef<'_>) -> Vec<String> {
    let text = html::raw_text_of(line);
    if text.contains(BETWEEN_NAMES) {
        html::split_names(&text, &BETWEEN_NAMES)
    } else {
        html::split_names(&text, &[','])
    }
}

/// An element's text without the label that some layouts put before it.
fn abstract_of(element: ElementRef<'_>) -> Option<String> {
    let text = html::text_of(element)?;
    let text = text.strip_prefix("Abstract:").unwrap_or(&text).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Makes papers of events: one title is one paper, and its lowest id is its name.
fn merge(events: BTreeMap<u64, Event>, page: &Url) -> Listed {
    let mut listed = Listed::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for event in events.into_values() {
        let Some(title) = event.title.clone() else {
            listed.broken.push(BrokenEntry {
                entry: format!("{} {}", event.kind, event.id),
                reason: "it has no title".to_owned(),
            });
            continue;
        };
        let place = *places
            .entry(normalize_title(&title))
            .or_insert(listed.papers.len());
        match listed.papers.get_mut(place) {
            Some(paper) => note_event(paper, &event, title),
            None => listed.papers.push(paper_of(event, title, page)),
        }
    }
    listed
}

fn paper_of(event: Event, title: String, page: &Url) -> ListedPaper {
    ListedPaper {
        source_id: event.id.to_string(),
        place: event.id,
        record: json!({
            "list": page.as_str(), "title": title, "events": [event.url.path()],
        }),
        title,
        url: Some(event.url.to_string()),
        // The list has titles only.
        details_url: Some(event.url),
        ..ListedPaper::default()
    }
}

/// Notes another event of the paper.
fn note_event(paper: &mut ListedPaper, event: &Event, title: String) {
    let entry = event.id.to_string();
    paper.repeated_as.push(RepeatedEntry { entry, title });
    if let Some(events) = paper.record["events"].as_array_mut() {
        events.push(json!(event.url.path()));
    }
}

/// Where titles are, the newest layout first.
const TITLES: &str = "h1.event-title, .main-title, h2.card-title";
/// Where authors are, likewise.
const AUTHORS: &str = ".event-organizers, .card-subtitle";
/// Where abstracts are, each layout after the other.
const ABSTRACTS: [&str; 5] = [
    ".abstract-text-inner",
    "#abstractExample",
    ".abstract-text",
    "#abstract",
    ".abstract",
];

/// Reads a paper's page, of 2026 or of an earlier layout.
///
/// # Errors
///
/// Words for a log, when the page is cut short or is not the page of a paper.
pub fn parse_details(body: &[u8], page: &Url, hosts: &Hosts) -> Result<Details, String> {
    let document = Document::parse(body)?;
    let mut titles = document.meta("citation_title");
    titles.extend(document.text(TITLES));
    if titles.is_empty() {
        return Err("it is not the page of a paper: it has no title of one".to_owned());
    }
    let line = document.all(AUTHORS).into_iter().next();
    let mut authors = line.map(names_in).unwrap_or_default();
    if authors.is_empty() {
        authors = document.cited_authors();
    }
    let found = ABSTRACTS.iter().find_map(|css| {
        let elements = document.all(css);
        elements.into_iter().find_map(abstract_of)
    });
    let cited = || document.meta("citation_abstract").into_iter().next();
    let mut pdf_urls = Vec::new();
    for address in document.meta("citation_pdf_url") {
        let url = hosts.on_configured_host(&address, page, &[PaperHost::OpenReview]);
        html::push_once(&mut pdf_urls, url);
    }
    Ok(Details {
        titles,
        problem: None,
        authors,
        abstract_text: found.or_else(cited),
        date: document.cited_date(),
        forum: document.forum(hosts),
        pdf_urls,
    })
}
