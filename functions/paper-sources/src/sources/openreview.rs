//! OpenReview's lists, of both its APIs.
//!
//! In: a conference and year. Out: its accepted papers, or why the list could not be had. A list is
//! read in pages by number until it holds as many notes as it says; one that changes meanwhile is read
//! again. Which API, lists and marks of acceptance a year has is [`group`]'s; what a page is, [`page`]'s;
//! what a note says, [`note`]'s. Logging in is deliberately absent: where OpenReview shows programs a
//! browser check instead of its list, that is reported as the block it is.

pub mod group;
pub mod note;
pub mod page;

use std::collections::{HashMap, HashSet};

use annapurna_contract::{PaperHost, normalize_title};
use serde_json::Value;

use crate::http::{Expect, Http, HttpError, Page};
use crate::paper::RepeatedEntry;
use crate::sources::hosts::Hosts;
use crate::sources::listed::{Edition, ListError, Listed, ListedPaper};
use group::Group;
pub use group::group_of;
use note::{Entry, Reader, UNNUMBERED, field, note_id, pdf_hash};

/// Times a list is read that changes while it is read.
const READINGS: u32 = 3;
/// Places of one list, so that papers of several never share a place.
const PLACES_OF_A_LIST: u64 = 1_000_000;
/// Within a list, numbers come before and notes without a number of their own after.
const FIRST_UNNUMBERED: u64 = PLACES_OF_A_LIST / 2;

/// Lists the accepted papers of a conference's year.
///
/// `source_id` is the forum, and `place` the note's number, counted on from list to list. Two notes of
/// one title with the very same PDF are one paper, the lower number's (NeurIPS 2021 has 300 twice).
///
/// # Errors
///
/// - [`ListError::Absent`]: OpenReview has nothing of the year, or its main list is empty, as it also is
///   on the other API's host.
/// - [`ListError::Http`]: blocked, unreachable, or an error in OpenReview's own words.
/// - [`ListError::Wrong`]: another number of notes than the list says, whatever is tried; or notes, and
///   none marked as accepted.
pub async fn list(http: &Http, hosts: &Hosts, edition: Edition) -> Result<Listed, ListError> {
    let Some(group) = group_of(edition) else {
        let url = hosts[PaperHost::OpenReviewApiV2].to_string();
        return Err(ListError::Absent { url });
    };
    let mut listed = Listed::default();
    let mut n_notes = 0;
    for (index, name) in group.lists.iter().enumerate() {
        let reader = Reader {
            edition,
            group: &group,
            list: name,
            hosts,
        };
        let found = read_list(http, &reader).await?;
        if index == 0 && found.count == 0 {
            return Err(ListError::Absent {
                url: url_of(&group, hosts),
            });
        }
        n_notes += found.count;
        listed.broken.extend(found.listed.broken);
        let papers = placed(found.listed.papers, index as u64 * PLACES_OF_A_LIST);
        listed.papers.extend(papers);
    }
    listed.papers = keep_each_once(listed.papers);
    if listed.papers.is_empty() {
        let problem = format!("has {n_notes} notes and marks none as accepted");
        let url = url_of(&group, hosts);
        return Err(ListError::Wrong { url, problem });
    }
    Ok(listed)
}

fn url_of(group: &Group, hosts: &Hosts) -> String {
    let main = group.lists.first().map(String::as_str).unwrap_or_default();
    group.page(hosts, main, 0).into()
}

/// What has been read of one list.
#[derive(Debug, Default)]
struct Found {
    count: u64,
    ids: HashSet<String>,
    n_nameless: u64,
    listed: Listed,
}

impl Found {
    /// Notes that come back at the border of two pages are taken once.
    fn add(&mut self, reader: &Reader<'_>, note: Value, index: u64) {
        match note_id(&note) {
            Some(id) if !self.ids.insert(id.to_owned()) => return,
            Some(_) => {}
            None => self.n_nameless += 1,
        }
        match reader.read(note, index) {
            Entry::Paper(paper) => self.listed.papers.push(*paper),
            Entry::Broken(entry) => self.listed.broken.push(entry),
            Entry::NotAccepted => {}
        }
    }

    /// What the notes found say against the list's count.
    fn problem(&self) -> Option<String> {
        let n_notes = self.ids.len() as u64 + self.n_nameless;
        let count = self.count;
        (n_notes != count).then(|| format!("says that it has {count} notes and has {n_notes}"))
    }
}

/// Reads a whole list, from its beginning again when it does not hold together.
async fn read_list(http: &Http, reader: &Reader<'_>) -> Result<Found, ListError> {
    let mut reading = 1;
    loop {
        let problem = match read_once(http, reader).await? {
            Ok(found) => return Ok(found),
            Err(problem) => problem,
        };
        if reading == READINGS {
            let url = reader.group.page(reader.hosts, reader.list, 0).into();
            return Err(ListError::Wrong { url, problem });
        }
        tracing::warn!(
            list = reader.list,
            reading,
            problem,
            "reading the list again"
        );
        reading += 1;
    }
}

/// Reads a list page by page; the inner error says what does not hold together.
async fn read_once(http: &Http, reader: &Reader<'_>) -> Result<Result<Found, String>, ListError> {
    let limit = reader.group.page_notes();
    let mut found = Found::default();
    let mut offset = 0;
    loop {
        let url = reader.group.page(reader.hosts, reader.list, offset);
        let read = |page: Page| page::parse(&page.body, offset, limit);
        let page = http
            .get_with(&url, Expect::Json, read)
            .await
            .map_err(in_openreviews_words)?;
        if offset > 0 && page.count != found.count {
            let (before, now) = (found.count, page.count);
            let problem = format!("had {before} notes and has {now}: it changes while it is read");
            return Ok(Err(problem));
        }
        found.count = page.count;
        for note in page.notes {
            found.add(reader, note, offset);
            offset += 1;
        }
        if offset >= found.count {
            break;
        }
    }
    Ok(match found.problem() {
        Some(problem) => Err(problem),
        None => Ok(found),
    })
}

/// A 404 says that there is no list, unless OpenReview itself says what is not there.
fn in_openreviews_words(error: HttpError) -> ListError {
    match error {
        HttpError::Missing { ref evidence, .. } if evidence.excerpt.contains("NotFoundError") => {
            ListError::Http(error)
        }
        error => error.into(),
    }
}

/// Gives each paper a place of its own, in the order of the places.
fn placed(mut papers: Vec<ListedPaper>, first: u64) -> Vec<ListedPaper> {
    let mut taken = HashSet::new();
    for (index, paper) in papers.iter_mut().enumerate() {
        let number = paper.place;
        let is_usable =
            (UNNUMBERED + 1..FIRST_UNNUMBERED).contains(&number) && taken.insert(number);
        let place = if is_usable {
            number
        } else {
            FIRST_UNNUMBERED + index as u64
        };
        paper.place = first + place;
    }
    papers.sort_by_key(|paper| paper.place);
    papers
}

/// Joins to the first a paper that comes again: in another list, or as another note with the same title and
/// file.
fn keep_each_once(papers: Vec<ListedPaper>) -> Vec<ListedPaper> {
    let mut kept: Vec<ListedPaper> = Vec::new();
    let mut forums: HashMap<String, usize> = HashMap::new();
    let mut files: HashMap<(String, String), usize> = HashMap::new();
    for paper in papers {
        let path = field(&paper.record["content"], "pdf").as_str();
        let hash = path.and_then(pdf_hash);
        let file = hash.map(|hash| (hash.to_owned(), normalize_title(&paper.title)));
        let by_file = || file.as_ref().and_then(|file| files.get(file));
        let first = forums.get(&paper.source_id).or_else(by_file).copied();
        let place = first.unwrap_or(kept.len());
        forums.insert(paper.source_id.clone(), place);
        if let Some(file) = file {
            files.entry(file).or_insert(place);
        }
        match first.and_then(|place| kept.get_mut(place)) {
            Some(first) => first.repeated_as.push(RepeatedEntry {
                entry: paper.source_id,
                title: paper.title,
            }),
            None => kept.push(paper),
        }
    }
    kept
}
