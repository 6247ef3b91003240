//! ICLR, ICML, NeurIPS and MLSys: one year's papers, put together from the lists that have them.
//!
//! In: a conference, a year, filters. Out: its papers in the order of the list that counts
//! ([`super::editions`]), or why none of its lists can be used. A position is one more than a paper's
//! place there, so it stays right when the list changes meanwhile, wherever the site numbers its papers;
//! it also says which list it is of, so that no list is gone on with at a place of another. Other lists only add to a paper
//! what the first leaves out, found again by OpenReview forum, by their id in the
//! proceedings, or by normalised title.

use std::collections::BTreeSet;
use std::sync::Arc;

use annapurna_contract::text::excerpt;
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::OnceCell;
use url::Url;

use super::editions::{is_later_than_known, known_years, lists_of};
use super::hosts::Hosts;
use super::listed::{Edition, ListError, ListKind, Listed, PLACES, UnusedList};
use super::{openreview, pmlr, proceedings, titles, virtual_feed, virtual_pages};
use crate::http::{Expect, Http, HttpError, Page};
use crate::paper::{BrokenEntry, Details, DetailsKind, DetailsPage, Paper, without_repeats};
use crate::paper_source::{Listing, PaperSource, SourceError};
use crate::text::is_web_address;

mod merged;

use merged::{Merged, Whole};

/// Which papers of a conference are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `Deep Learning` and all below it, or `Deep Learning->Large Language Models`.
    pub topic: Option<String>,
    /// Words that must all occur in the title, the abstract or the keywords, as far as the lists have them.
    pub words: Option<String>,
}

/// One year of a conference.
#[derive(Debug)]
pub struct Conference {
    http: Arc<Http>,
    edition: Edition,
    hosts: Hosts,
    filter: Filter,
    /// Read once, however many pages are made of it: a list is tens of megabytes.
    wanted: OnceCell<Wanted>,
}

/// What a search comes to.
#[derive(Debug)]
struct Wanted {
    /// The number of the list that positions are of, among the year's lists.
    row: u64,
    /// Ordered by position.
    papers: Vec<Paper>,
    broken: Vec<BrokenEntry>,
    problems: Vec<BrokenEntry>,
}

impl Conference {
    /// Sets up a conference's year; nothing is requested yet.
    pub fn new(http: Arc<Http>, hosts: Hosts, edition: Edition, filter: Filter) -> Self {
        Self {
            http,
            edition,
            hosts,
            filter,
            wanted: OnceCell::new(),
        }
    }

    async fn list_of(&self, kind: ListKind) -> Result<Listed, ListError> {
        let (http, hosts, edition) = (self.http.as_ref(), &self.hosts, self.edition);
        match kind {
            ListKind::VirtualFeed => virtual_feed::list(http, hosts, edition).await,
            ListKind::VirtualPages => virtual_pages::list(http, hosts, edition).await,
            ListKind::Proceedings => proceedings::list(http, hosts, edition).await,
            ListKind::Pmlr => pmlr::list(http, hosts, edition).await,
            ListKind::OpenReview => openreview::list(http, hosts, edition).await,
        }
    }

    /// The lists in the order in which they are tried, each with its number in the row. Which comes first
    /// is the list that a position is of, since no other can be gone on with.
    fn tried(&self, from: u64) -> Vec<(u64, ListKind)> {
        let mut lists: Vec<_> = (0..).zip(lists_of(self.edition).iter().copied()).collect();
        lists.sort_by_key(|(row, _)| from > 0 && *row != from / PLACES);
        lists
    }

    /// The papers of the first list that can be used, with what the others add. One that is blocked,
    /// broken or empty when the client has retried it leaves the year to the next: a paper is the same
    /// by its title and authors, whichever list it comes from.
    async fn whole(&self, from: u64) -> Result<Whole, SourceError> {
        let mut unused: Vec<UnusedList> = Vec::new();
        for (row, kind) in self.tried(from) {
            let listed = self.list_of(kind).await.and_then(Listed::not_empty);
            let error = match listed {
                Ok(listed) => {
                    let whole = self.completed(Whole::new(row, kind, listed), &unused).await;
                    match self.problem(&whole, &unused) {
                        None => return Ok(whole),
                        Some(error) => error,
                    }
                }
                Err(error) => error,
            };
            tracing::warn!(list = kind.name(), %error, "a list cannot be used");
            unused.push(UnusedList { kind, error });
        }
        Err(self.no_list(unused))
    }

    fn no_list(&self, lists: Vec<UnusedList>) -> SourceError {
        let (conference, year) = (self.edition.source.name(), self.edition.year);
        if lists.iter().any(UnusedList::is_there) {
            return SourceError::NoList {
                conference,
                year,
                lists,
            };
        }
        let urls = lists.iter().filter_map(|list| match &list.error {
            ListError::Absent { url } => Some(url.as_str()),
            _ => None,
        });
        let urls: Vec<&str> = urls.collect();
        let known = known_years(self.edition.source);
        if urls.is_empty() {
            return SourceError::NoSuchYear {
                conference,
                year,
                known,
            };
        }
        SourceError::ListAbsent {
            conference,
            year,
            urls: urls.join(", "),
            known: is_later_than_known(self.edition).then_some(known),
        }
    }

    /// Adds what the other lists know. One that cannot be had spoils nothing: it is reported, and a paper
    /// whose PDF nobody else names waits for it.
    async fn completed(&self, mut whole: Whole, unused: &[UnusedList]) -> Whole {
        let there = unused.iter().filter(|list| list.is_there());
        whole.problems.extend(there.map(UnusedList::problem));
        for kind in lists_of(self.edition).iter().copied() {
            if kind == whole.base || !whole.is_wanting(kind) {
                continue;
            }
            if let Some(known) = unused.iter().find(|list| list.kind == kind) {
                whole.wait_for(known);
                continue;
            }
            match self.list_of(kind).await {
                Ok(listed) => whole.add(kind, listed),
                Err(error) => {
                    let list = UnusedList { kind, error };
                    whole.wait_for(&list);
                    whole
                        .problems
                        .extend(list.is_there().then(|| list.problem()));
                }
            }
        }
        whole
    }

    /// Why a list cannot be taken as it is.
    fn problem(&self, whole: &Whole, unused: &[UnusedList]) -> Option<ListError> {
        let papers = &whole.papers;
        let knows_nothing = |paper: &&Merged| {
            paper.listed.abstract_text.is_none() && paper.listed.details_url.is_none()
        };
        let n_without = papers.iter().filter(knows_nothing).count();
        if n_without * 2 > papers.len() {
            if let Some(file) = &whole.unread_abstracts {
                return Some(ListError::UnreadAbstracts(file.clone()));
            }
            let url = virtual_feed::file_url(&self.hosts, self.edition, "abstracts");
            return Some(ListError::NoAbstracts { url: url.into() });
        }
        // Where the list that has topics is broken, that is what a person must hear.
        let stands_in = unused.iter().any(UnusedList::is_there);
        let has_topics = papers.iter().any(|paper| !paper.listed.topics.is_empty());
        (self.filter.topic.is_some() && stands_in && !has_topics).then_some(ListError::NoTopics)
    }

    /// Keeps the papers of the wanted topic.
    fn by_topic(&self, papers: &mut Vec<Merged>) -> Result<(), SourceError> {
        let Some(topic) = &self.filter.topic else {
            return Ok(());
        };
        let existing: BTreeSet<&String> = papers
            .iter()
            .flat_map(|paper| &paper.listed.topics)
            .collect();
        if !papers.iter().any(|paper| paper.listed.has_topic(topic)) {
            let existing: Vec<&str> = existing.into_iter().map(String::as_str).collect();
            return Err(SourceError::NoSuchTopic {
                filter: excerpt(topic.as_bytes(), 100),
                conference: self.edition.source.name(),
                year: self.edition.year,
                existing: match existing.join(", ") {
                    none if none.is_empty() => "none, this list has no topics".to_owned(),
                    some => some,
                },
            });
        }
        papers.retain(|paper| paper.listed.has_topic(topic));
        Ok(())
    }

    /// The papers of this search, where a list that has position `from` goes before the others.
    async fn wanted(&self, from: u64) -> Result<Wanted, SourceError> {
        let mut whole = self.whole(from).await?;
        self.by_topic(&mut whole.papers)?;
        if let Some(words) = &self.filter.words {
            whole.papers.retain(|paper| paper.listed.has_words(words));
        }
        let row = whole.row;
        let papers = whole.papers.into_iter();
        Ok(Wanted {
            row,
            papers: papers.map(|merged| self.paper(row, merged)).collect(),
            broken: whole.broken,
            problems: whole.problems,
        })
    }

    fn paper(&self, row: u64, merged: Merged) -> Paper {
        let Merged {
            listed,
            kind,
            added_pdf_urls,
            added,
            unread_list,
        } = merged;
        let forum = listed.forum.as_deref();
        let mut pdf_urls = [added_pdf_urls, listed.pdf_urls].concat();
        pdf_urls.extend(forum.map(|forum| self.hosts.openreview_pdf(forum)));
        let others: serde_json::Map<String, serde_json::Value> = added
            .into_iter()
            .map(|(kind, record)| (kind.name().to_owned(), record))
            .collect();
        Paper {
            source: self.edition.source,
            year: self.edition.year,
            source_id: listed.source_id,
            forum: listed.forum,
            repeated_as: listed.repeated_as,
            position: row * PLACES + listed.place + 1,
            title: listed.title,
            authors: listed.authors,
            abstract_text: listed.abstract_text,
            date: listed.date,
            url: listed.url.filter(|url| is_web_address(url)),
            unread_list: unread_list.filter(|_| pdf_urls.is_empty()),
            page_problem: None,
            pdf_urls: without_repeats(pdf_urls),
            details: listed.details_url.and_then(|url| {
                let kind = kind.details()?;
                Some(DetailsPage { kind, url })
            }),
            source_record: json!({"list": kind.name(), "paper": listed.record, "other_lists": others}),
        }
    }
}

/// What a page says if it is the paper's own. Another paper's page gives it nothing.
fn own_details(paper: &Paper, url: &Url, page: Details) -> Details {
    let known = (paper.title.as_str(), paper.authors.as_slice());
    let is_own = |title: &String| titles::are_one(known, (title, &page.authors));
    if page.titles.iter().any(is_own) {
        return page;
    }
    let title = page.titles.first().map_or("", String::as_str);
    let title = excerpt(title.as_bytes(), 200);
    Details {
        problem: Some(format!("the page at {url} is another paper's, `{title}`")),
        ..Details::default()
    }
}

#[async_trait]
impl PaperSource for Conference {
    fn http(&self) -> &Http {
        &self.http
    }

    async fn list(&self, from: u64, limit: usize) -> Result<Listing, SourceError> {
        let wanted = self.wanted.get_or_try_init(|| self.wanted(from)).await?;
        // A position of a list that cannot be had now says nothing of another.
        let first = match from / PLACES == wanted.row {
            true => from,
            false => wanted.row * PLACES,
        };
        let n_before = wanted
            .papers
            .partition_point(|paper| paper.position <= first);
        let papers = &wanted.papers[n_before..];
        // What has no place in the list is reported once, at its start.
        let is_start = first == wanted.row * PLACES;
        let at_start = |entries: &[BrokenEntry]| match is_start {
            true => entries.to_vec(),
            false => Vec::new(),
        };
        Ok(Listing {
            papers: papers.iter().take(limit).cloned().collect(),
            broken: at_start(&wanted.broken),
            problems: at_start(&wanted.problems),
            next: papers.get(limit).map(|paper| paper.position - 1),
        })
    }

    async fn details(&self, paper: &Paper) -> Result<Details, HttpError> {
        let Some(DetailsPage { kind, url }) = &paper.details else {
            return Ok(Details::default());
        };
        let hosts = &self.hosts;
        let read = |page: Page| match kind {
            DetailsKind::Proceedings => proceedings::parse_details(&page.body, url, hosts),
            DetailsKind::Pmlr => pmlr::parse_details(&page.body, url, hosts),
            DetailsKind::VirtualSite => virtual_pages::parse_details(&page.body, url, hosts),
        };
        let mut details = match self.http.get_with(url, Expect::Html, read).await {
            Ok(page) => own_details(paper, url, page),
            // Of a page that nobody can read, a later run would have no more.
            Err(error @ HttpError::Unreadable { .. }) => Details {
                problem: Some(error.to_string()),
                ..Details::default()
            },
            Err(error) => return Err(error),
        };
        let forum = details.forum.as_deref();
        details
            .pdf_urls
            .extend(forum.map(|forum| hosts.openreview_pdf(forum)));
        Ok(details)
    }
}
