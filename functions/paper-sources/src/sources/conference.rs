//! ICLR, ICML, NeurIPS and MLSys: one year's papers, put together from the lists that have them.
//!
//! In: a conference, a year, filters. Out: its papers in the order of the list that counts
//! ([`super::editions`]). A position is one more than a paper's place there, so it stays right when
//! the list changes meanwhile, wherever the site numbers its papers. Other lists only add to a paper
//! what the first leaves out, found again by OpenReview forum, by their id in the
//! proceedings, or by normalised title.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use annapurna_contract::normalize_title;
use annapurna_contract::text::excerpt;
use async_trait::async_trait;
use serde_json::json;
use url::Url;

use super::editions::{ListKind, known_years, lists_of};
use super::hosts::Hosts;
use super::listed::{Edition, ListError, Listed, ListedPaper};
use super::{openreview, pmlr, proceedings, virtual_feed, virtual_pages};
use crate::http::{Expect, Http, HttpError, Page};
use crate::paper::{BrokenEntry, Details, DetailsKind, DetailsPage, Paper, without_repeats};
use crate::paper_source::{Listing, PaperSource, SourceError};
use crate::text::is_web_address;

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
}

/// The papers of a year, put together.
struct Whole {
    papers: Vec<Merged>,
    broken: Vec<BrokenEntry>,
    problems: Vec<BrokenEntry>,
}

/// A paper with what every list says of it.
struct Merged {
    listed: ListedPaper,
    kind: ListKind,
    /// Addresses of the PDF in the lists that only add.
    added_pdf_urls: Vec<Url>,
    added: Vec<(ListKind, serde_json::Value)>,
    unread_list: Option<String>,
}

impl Conference {
    /// Sets up a conference's year; nothing is requested yet.
    pub fn new(http: Arc<Http>, hosts: Hosts, edition: Edition, filter: Filter) -> Self {
        Self {
            http,
            edition,
            hosts,
            filter,
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

    fn error(&self, error: ListError) -> SourceError {
        let conference = self.edition.source.name();
        match error {
            ListError::Http(error) => SourceError::Http {
                source_name: conference,
                error,
            },
            error => SourceError::List {
                conference,
                year: self.edition.year,
                error: Box::new(error),
            },
        }
    }

    /// The first list that exists, with those before it that cannot be read.
    async fn base(&self) -> Result<(ListKind, Listed, Vec<BrokenEntry>), SourceError> {
        let mut absent = Vec::new();
        let mut unreadable = Vec::new();
        for kind in lists_of(self.edition) {
            match self.list_of(*kind).await {
                Ok(listed) => return Ok((*kind, listed, unreadable)),
                Err(ListError::Absent { url }) => absent.push(url),
                // Pages change their shape; proceedings after them in the row have the papers, too.
                Err(ListError::Wrong { url, problem }) if *kind == ListKind::VirtualPages => {
                    unreadable.push(unread(*kind, &format!("the list at {url} {problem}")));
                    absent.push(url);
                }
                Err(error) => return Err(self.error(error)),
            }
        }
        Err(SourceError::NoSuchYear {
            conference: self.edition.source.name(),
            year: self.edition.year,
            urls: if absent.is_empty() {
                "any site".to_owned()
            } else {
                absent.join(", ")
            },
            known: known_years(self.edition.source),
        })
    }

    /// Puts the lists together. A list that only adds and cannot be had spoils nothing: it is reported,
    /// and a paper whose PDF nobody else names waits for it.
    async fn whole(&self) -> Result<Whole, SourceError> {
        let (base, listed, problems) = self.base().await?;
        let mut whole = Whole {
            papers: listed
                .papers
                .into_iter()
                .map(|listed| Merged::new(base, listed))
                .collect(),
            broken: listed.broken,
            problems,
        };
        for kind in lists_of(self.edition).iter().copied() {
            if kind == base || !whole.is_wanting(kind) {
                continue;
            }
            match self.list_of(kind).await {
                Ok(listed) => whole.add(kind, listed),
                Err(ListError::Absent { .. }) => {}
                Err(error) => whole.miss(kind, &error.to_string()),
            }
        }
        Ok(whole)
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

    /// A list without abstracts must not be taken as it is: papers are known by their abstracts.
    fn refuse_without_abstracts(&self, papers: &[Merged]) -> Result<(), SourceError> {
        let knows_nothing = |paper: &&Merged| {
            paper.listed.abstract_text.is_none() && paper.listed.details_url.is_none()
        };
        let n_without = papers.iter().filter(knows_nothing).count();
        if n_without * 2 <= papers.len() {
            return Ok(());
        }
        Err(SourceError::NoAbstracts {
            conference: self.edition.source.name(),
            year: self.edition.year,
            url: virtual_feed::file_url(&self.hosts, self.edition, "abstracts").to_string(),
        })
    }

    fn paper(&self, merged: Merged) -> Paper {
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
            position: listed.place + 1,
            title: listed.title,
            authors: listed.authors,
            abstract_text: listed.abstract_text,
            date: listed.date,
            url: listed.url.filter(|url| is_web_address(url)),
            unread_list: unread_list.filter(|_| pdf_urls.is_empty()),
            pdf_urls: without_repeats(pdf_urls),
            details: listed.details_url.and_then(|url| {
                let kind = kind.details()?;
                Some(DetailsPage { kind, url })
            }),
            source_record: json!({"list": kind.name(), "paper": listed.record, "other_lists": others}),
        }
    }
}

impl ListKind {
    const fn name(self) -> &'static str {
        match self {
            Self::VirtualFeed => "virtual site",
            Self::VirtualPages => "virtual site's pages",
            Self::Proceedings => "proceedings",
            Self::Pmlr => "PMLR",
            Self::OpenReview => "OpenReview",
        }
    }

    /// How a paper's own page in this list is read.
    const fn details(self) -> Option<DetailsKind> {
        match self {
            Self::VirtualFeed | Self::VirtualPages => Some(DetailsKind::VirtualSite),
            Self::Proceedings => Some(DetailsKind::Proceedings),
            Self::Pmlr => Some(DetailsKind::Pmlr),
            Self::OpenReview => None,
        }
    }
}

impl Whole {
    /// Whether a list can add something. Proceedings have the PDFs for everybody, in one page;
    /// OpenReview is thousands of notes, and often closed.
    fn is_wanting(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::VirtualFeed | ListKind::VirtualPages => false,
            ListKind::Proceedings | ListKind::Pmlr => !self.papers.is_empty(),
            ListKind::OpenReview => self.papers.iter().any(Merged::has_no_pdf),
        }
    }

    /// Finds the papers again by OpenReview forum, by their id in the proceedings, or by a title that
    /// only one paper has, here and there.
    fn add(&mut self, kind: ListKind, listed: Listed) {
        let own = || self.papers.iter().map(|paper| &paper.listed);
        let by_forum = places(own(), |paper| paper.forum.clone());
        let by_id = places(own(), |paper| paper.proceedings_id.clone());
        let by_title = places(own(), title_key);
        let titles = places(listed.papers.iter(), title_key);
        for other in listed.papers {
            let find = |places: &HashMap<String, usize>, key: Option<&String>| {
                key.and_then(|key| places.get(key)).copied()
            };
            let title = title_key(&other).filter(|title| titles.contains_key(title));
            let place = find(&by_forum, other.forum.as_ref())
                .or_else(|| find(&by_id, other.proceedings_id.as_ref()))
                .or_else(|| {
                    let place = find(&by_title, title.as_ref())?;
                    // One title on two papers: the forums or the ids tell them apart.
                    let own = &self.papers[place].listed;
                    let may_be = |one: &Option<String>, other: &Option<String>| {
                        one.is_none() || other.is_none() || one == other
                    };
                    (may_be(&own.forum, &other.forum)
                        && may_be(&own.proceedings_id, &other.proceedings_id))
                    .then_some(place)
                });
            if let Some(place) = place {
                self.papers[place].add(kind, other);
            }
        }
        // What is broken in a list that only adds is no paper of its own.
        self.problems.extend(listed.broken);
    }

    fn miss(&mut self, kind: ListKind, problem: &str) {
        let reason = format!("the list of {} could not be had: {problem}", kind.name());
        for paper in self.papers.iter_mut().filter(|paper| paper.has_no_pdf()) {
            paper.unread_list = Some(reason.clone());
        }
        self.problems.push(unread(kind, problem));
    }
}

fn unread(kind: ListKind, problem: &str) -> BrokenEntry {
    BrokenEntry {
        entry: format!("list of {}", kind.name()),
        reason: problem.to_owned(),
    }
}

fn title_key(paper: &ListedPaper) -> Option<String> {
    Some(normalize_title(&paper.title))
}

/// Places of papers by a key that only one of them has.
fn places<'a>(
    papers: impl Iterator<Item = &'a ListedPaper>,
    key: impl Fn(&ListedPaper) -> Option<String>,
) -> HashMap<String, usize> {
    let mut places = HashMap::new();
    let mut repeated = Vec::new();
    for (place, paper) in papers.enumerate() {
        if let Some(key) = key(paper)
            && places.insert(key.clone(), place).is_some()
        {
            repeated.push(key);
        }
    }
    for key in repeated {
        places.remove(&key);
    }
    places
}

impl Merged {
    fn new(kind: ListKind, listed: ListedPaper) -> Self {
        Self {
            listed,
            kind,
            added_pdf_urls: Vec::new(),
            added: Vec::new(),
            unread_list: None,
        }
    }

    fn has_no_pdf(&self) -> bool {
        self.listed.pdf_urls.is_empty()
            && self.added_pdf_urls.is_empty()
            && self.listed.forum.is_none()
            && self.listed.details_url.is_none()
    }

    /// Takes over what is not known yet.
    fn add(&mut self, kind: ListKind, other: ListedPaper) {
        let own = &mut self.listed;
        own.forum = own.forum.take().or(other.forum);
        own.date = own.date.take().or(other.date);
        own.url = own.url.take().or(other.url);
        if own.authors.is_empty() {
            own.authors = other.authors;
        }
        if own.abstract_text.is_none() && other.abstract_text.is_some() {
            own.abstract_text = other.abstract_text;
            own.details_url = None;
        }
        self.added_pdf_urls.extend(other.pdf_urls);
        self.added.push((kind, other.record));
    }
}

#[async_trait]
impl PaperSource for Conference {
    fn http(&self) -> &Http {
        &self.http
    }

    async fn list(&self, from: u64, limit: usize) -> Result<Listing, SourceError> {
        let Whole {
            mut papers,
            broken,
            problems,
        } = self.whole().await?;
        self.refuse_without_abstracts(&papers)?;
        self.by_topic(&mut papers)?;
        if let Some(words) = &self.filter.words {
            papers.retain(|paper| paper.listed.has_words(words));
        }
        papers.retain(|paper| paper.listed.place >= from);
        let next = papers.get(limit).map(|paper| paper.listed.place);
        let papers = papers.into_iter().take(limit);
        Ok(Listing {
            papers: papers.map(|merged| self.paper(merged)).collect(),
            // What has no place in the list is reported once, at its start.
            broken: if from == 0 { broken } else { Vec::new() },
            problems: if from == 0 { problems } else { Vec::new() },
            next,
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
        let mut details = self.http.get_with(url, Expect::Html, read).await?;
        let forum = details.forum.as_deref();
        details
            .pdf_urls
            .extend(forum.map(|forum| hosts.openreview_pdf(forum)));
        Ok(details)
    }
}
