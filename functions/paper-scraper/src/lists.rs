//! Reading the lists of a request, page by page, up to the number of papers it asks for.
//!
//! In: a checked request, and what is to be done with a page. Out: what was wrong with the lists; the
//! request says where each goes on. A direct call takes a page's papers before the next page is read, a
//! plan keeps them all.

use std::collections::HashMap;

use annapurna_contract::scrape::ScrapeSummary;
use annapurna_contract::{Source, normalize_title};
use annapurna_paper_sources::paper::{BrokenEntry, Paper};
use annapurna_paper_sources::paper_source::{Listing, PaperSource};
use tokio::time::{Instant, timeout_at};

use crate::error::RunError;
use crate::identity::are_one_paper;
use crate::record::name_of;
use crate::report::Report;
use crate::request::{Request, RequestedList, Target};
use crate::scraper::Scraper;

/// A page of a list.
pub(crate) struct ListPage<'a> {
    pub(crate) target: &'a Target,
    pub(crate) source: &'a dyn PaperSource,
    /// Where the page begins.
    pub(crate) from: u64,
    /// Papers of no page before, in their order.
    pub(crate) papers: Vec<Paper>,
}

/// What became of a page.
pub(crate) enum PageEnd {
    /// All of its papers are taken; those that were known before count for nothing.
    Taken { n_known: usize },
    /// Those behind this position are not: the list goes on there in another call.
    StoppedAt(u64),
}

/// The lists of a request while they are read.
struct Reader<'a> {
    scraper: &'a Scraper,
    deadline: Instant,
    report: Report,
    summary: ScrapeSummary,
    seen: Seen,
    n_pages: usize,
    /// Papers that count, and entries that are none.
    n_entries: usize,
    /// A list had an entry, be it known before.
    has_entries: bool,
}

impl Scraper {
    /// Reads the lists of a request and hands `take_page` each page, with the summary to count in.
    ///
    /// # Errors
    ///
    /// See [`RunError`]; only when no list has an entry. Else the summary has what went wrong.
    pub(crate) async fn read_lists(
        &self,
        request: &mut Request,
        deadline: Instant,
        report: Report,
        mut take_page: impl AsyncFnMut(ListPage<'_>, &mut ScrapeSummary) -> PageEnd,
    ) -> Result<ScrapeSummary, RunError> {
        let mut reader = Reader {
            scraper: self,
            deadline,
            report,
            summary: ScrapeSummary::default(),
            seen: Seen::default(),
            n_pages: 0,
            n_entries: 0,
            has_entries: false,
        };
        let mut first_error = None;
        let n_lists = request.lists.len();
        let open = request.lists.iter_mut().enumerate();
        for (place, list) in open.filter(|(_, list)| !list.is_done) {
            // The lists share the number; what the first leaves over goes to the next.
            let left = request.max_papers.saturating_sub(reader.n_entries);
            let share = left.div_ceil(n_lists - place);
            if let Err(error) = reader.read(list, share, &mut take_page).await {
                // One list's trouble spoils neither what was taken nor the other list.
                let problem = list_problem(list, &error);
                report.add_broken(&mut reader.summary, problem);
                first_error.get_or_insert(error);
            }
        }
        if reader.n_pages == 0
            && let Some(list) = request.lists.iter().find(|list| !list.is_done)
        {
            return Err(first_error.unwrap_or_else(|| out_of_time(list)));
        }
        match first_error {
            Some(error) if !reader.has_entries => Err(error),
            _ => Ok(reader.summary),
        }
    }
}

impl Reader<'_> {
    /// Reads at most `limit` entries of a list that are not known before, and leaves in `list` where to go on.
    async fn read(
        &mut self,
        list: &mut RequestedList,
        limit: usize,
        take_page: &mut impl AsyncFnMut(ListPage<'_>, &mut ScrapeSummary) -> PageEnd,
    ) -> Result<(), RunError> {
        let source = self.scraper.source(&list.target)?;
        let last = self.n_entries + limit;
        let n_pages_before = self.n_pages;
        while !list.is_done && self.n_entries < last && Instant::now() < self.deadline {
            let page = source.list(list.from, last - self.n_entries);
            let Ok(listing) = timeout_at(self.deadline, page).await else {
                // A later page that came too late only ends this call.
                return match self.n_pages == n_pages_before {
                    true => Err(out_of_time(list)),
                    false => Ok(()),
                };
            };
            let listing = listing?;
            let next = listing.next;
            let n_before = self.n_entries;
            let page = ListPage {
                target: &list.target,
                source: source.as_ref(),
                from: list.from,
                papers: self.note(listing),
            };
            let n_papers = page.papers.len();
            match take_page(page, &mut self.summary).await {
                // Nothing new: an earlier request has told what is wrong with its entries, too.
                PageEnd::Taken { n_known } if n_known > 0 && n_known == n_papers => {
                    self.n_entries = n_before
                }
                PageEnd::Taken { n_known } => self.n_entries -= n_known,
                PageEnd::StoppedAt(position) => {
                    list.from = position;
                    return Ok(());
                }
            }
            list.from = next.unwrap_or(list.from);
            list.is_done = next.is_none();
        }
        Ok(())
    }

    /// Counts a page, and keeps of its papers those seen for the first time.
    fn note(&mut self, listing: Listing) -> Vec<Paper> {
        self.n_pages += 1;
        self.n_entries += listing.broken.len();
        self.summary.found += listing.broken.len();
        for problem in listing.broken.into_iter().chain(listing.problems) {
            self.report.add_broken(&mut self.summary, problem);
        }
        let mut papers = Vec::new();
        for mut paper in listing.papers {
            let entry = entry_of(&paper, &paper.source_id, &paper.title);
            for repeat in std::mem::take(&mut paper.repeated_as) {
                let name = (repeat.entry.as_str(), repeat.title.as_str());
                self.report.add_repeat(&mut self.summary, name, &entry);
            }
            match self.seen.note(&paper) {
                None => papers.push(paper),
                Some(first) => {
                    let name = (paper.source_id.as_str(), paper.title.as_str());
                    self.report.add_repeat(&mut self.summary, name, &first);
                }
            }
        }
        self.n_entries += papers.len();
        self.has_entries |= self.n_entries > 0;
        papers
    }
}

/// The papers of a call's lists so far: lists repeat papers, and pages shift while they are read.
#[derive(Default)]
struct Seen {
    /// Titles by the source and its name of the paper.
    names: HashMap<(Source, String), String>,
    /// By the source and the normalised title.
    titles: HashMap<(Source, String), Vec<SeenPaper>>,
}

struct SeenPaper {
    source_id: String,
    authors: Vec<String>,
    abstract_text: Option<String>,
    /// Its own page may still name authors and abstract.
    has_page: bool,
}

impl Seen {
    /// Notes a paper, or says which entry before it was of the same one. What the paper's own page has yet to
    /// say may tell two papers apart, which then shows when they are taken.
    fn note(&mut self, paper: &Paper) -> Option<String> {
        let name = (paper.source, paper.source_id.clone());
        if let Some(title) = self.names.get(&name) {
            return Some(entry_of(paper, &paper.source_id, title));
        }
        self.names.insert(name, paper.title.clone());
        let title = (paper.source, normalize_title(&paper.title));
        let namesakes = self.titles.entry(title).or_default();
        if let Some(same) = namesakes.iter().find(|it| it.is(paper)) {
            let first = (paper.source, same.source_id.clone());
            let title = self.names.get(&first).unwrap_or(&paper.title);
            return Some(entry_of(paper, &same.source_id, title));
        }
        namesakes.push(SeenPaper {
            source_id: paper.source_id.clone(),
            authors: paper.authors.clone(),
            abstract_text: paper.abstract_text.clone(),
            has_page: paper.details.is_some(),
        });
        None
    }
}

impl SeenPaper {
    fn is(&self, other: &Paper) -> bool {
        let have_authors = !self.authors.is_empty() && !other.authors.is_empty();
        let is_known = have_authors || !(self.has_page || other.details.is_some());
        let own = (self.authors.as_slice(), self.abstract_text.as_deref());
        let theirs = (other.authors.as_slice(), other.abstract_text.as_deref());
        is_known && are_one_paper(own, theirs)
    }
}

/// An entry of a paper's list for a person: `ICLR 2025 28123: Adam`.
fn entry_of(paper: &Paper, id: &str, title: &str) -> String {
    format!("{}: {title}", name_of(paper.source, paper.year, id))
}

fn out_of_time(list: &RequestedList) -> RunError {
    RunError::OutOfTime {
        target: list.target.in_words(),
    }
}

fn list_problem(list: &RequestedList, error: &RunError) -> BrokenEntry {
    BrokenEntry {
        entry: list.target.in_words(),
        reason: error.to_string(),
    }
}
