//! What all lists of a year say of its papers: one list says which there are, the others add to them.

use std::collections::HashMap;

use annapurna_contract::normalize_title;
use url::Url;

use crate::paper::BrokenEntry;
use crate::sources::listed::{ListKind, Listed, ListedPaper, UnreadFile, UnusedList};

/// The papers of a year, put together.
pub(super) struct Whole {
    /// The list that says which papers there are.
    pub(super) base: ListKind,
    /// Its number among the year's lists.
    pub(super) row: u64,
    pub(super) papers: Vec<Merged>,
    pub(super) broken: Vec<BrokenEntry>,
    pub(super) problems: Vec<BrokenEntry>,
    pub(super) unread_abstracts: Option<UnreadFile>,
}

/// A paper with what every list says of it.
pub(super) struct Merged {
    pub(super) listed: ListedPaper,
    pub(super) kind: ListKind,
    /// Addresses of the PDF in the lists that only add.
    pub(super) added_pdf_urls: Vec<Url>,
    pub(super) added: Vec<(ListKind, serde_json::Value)>,
    pub(super) unread_list: Option<String>,
}

impl Whole {
    pub(super) fn new(row: u64, base: ListKind, listed: Listed) -> Self {
        let papers = listed.papers.into_iter();
        let mut problems = listed.problems;
        problems.extend(listed.unread_abstracts.as_ref().map(|file| BrokenEntry {
            entry: format!("abstracts of {}", base.name()),
            reason: file.reason.clone(),
        }));
        Self {
            base,
            row,
            papers: papers.map(|listed| Merged::new(base, listed)).collect(),
            broken: listed.broken,
            problems,
            unread_abstracts: listed.unread_abstracts,
        }
    }

    /// Whether a list can add something. Proceedings have the PDFs for everybody, in one page;
    /// OpenReview is thousands of notes, and often closed.
    pub(super) fn is_wanting(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::VirtualFeed | ListKind::VirtualPages => false,
            ListKind::Proceedings | ListKind::Pmlr => !self.papers.is_empty(),
            ListKind::OpenReview => self.papers.iter().any(Merged::has_no_pdf),
        }
    }

    /// Finds the papers again by OpenReview forum, by their id in the proceedings, or by a title that
    /// only one paper has, here and there.
    pub(super) fn add(&mut self, kind: ListKind, listed: Listed) {
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
        self.problems.extend(listed.problems);
    }

    /// A paper whose PDF nobody else names waits for a list that can be had later.
    pub(super) fn wait_for(&mut self, list: &UnusedList) {
        if !list.is_there() {
            return;
        }
        let UnusedList { kind, error } = list;
        let reason = format!("the list of {} could not be had: {error}", kind.name());
        for paper in self.papers.iter_mut().filter(|paper| paper.has_no_pdf()) {
            paper.unread_list = Some(reason.clone());
        }
    }
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
