//! The proceedings of NeurIPS, MLSys and ICLR, which run the same software.
//!
//! In: a conference and year. Out: the papers of all its books, in their order, and what each paper's
//! page says. NeurIPS 2025 is two books of which the year's page is the smaller one, and the data sets'
//! papers of NeurIPS 2021 are on a host of their own. Only links of the software's own shape, a hash of
//! 32 digits, count as papers. Abstracts are cut from the page's source, see [`parse_details`].

use std::collections::{HashSet, VecDeque};

use annapurna_contract::text::excerpt;
use annapurna_contract::{PaperHost, Source};
use scraper::ElementRef;
use serde_json::json;
use url::Url;

use super::editions::lists_of;
use super::hosts::Hosts;
use super::html::{self, Document, Tag};
use super::listed::{Edition, ListError, ListKind, Listed, ListedPaper};
use crate::http::{Expect, Http, Page};
use crate::paper::{BrokenEntry, Details};
use crate::sites::join;

/// The year whose data sets' papers have proceedings apart.
const DATASETS_APART: Edition = Edition {
    source: Source::Neurips,
    year: 2021,
};

/// Books of one year; NeurIPS 2025 has two.
const MOST_BOOKS: usize = 20;

/// Every paper of a year, from all its books.
///
/// # Errors
///
/// [`ListError::Absent`] when there are no proceedings of that year (yet), [`ListError::Wrong`] when a
/// book does not hold as many papers as it says or a book it names is not there.
pub async fn list(http: &Http, hosts: &Hosts, edition: Edition) -> Result<Listed, ListError> {
    let year = edition.year.to_string();
    let start = join(
        &hosts[PaperHost::Proceedings],
        &format!("paper_files/paper/{year}"),
    );
    if !lists_of(edition).contains(&ListKind::Proceedings) {
        return Err(ListError::Absent {
            url: start.to_string(),
        });
    }
    let mut shelf = Shelf::default();
    let mut queue = VecDeque::from([start.clone()]);
    let mut seen = HashSet::from([start.clone()]);
    while let Some(url) = queue.pop_front() {
        let book = match fetch(http, &url, hosts).await {
            Err(ListError::Absent { url: missing }) if url != start => {
                let problem = format!("names another book, and there is nothing at {missing}");
                return Err(wrong(&start, problem));
            }
            other => other?,
        };
        for other in &book.see_also {
            if is_of_year(other, &year) && seen.insert(other.clone()) {
                queue.push_back(other.clone());
            }
        }
        if seen.len() > MOST_BOOKS {
            return Err(wrong(&start, format!("names more than {MOST_BOOKS} books")));
        }
        shelf.add(book, false);
    }
    if edition == DATASETS_APART
        && let Some(book) = datasets_book(http, hosts, &year).await?
    {
        shelf.add(book, true);
    }
    Ok(shelf.listed)
}

/// The book of the data sets' papers. It has been seen at the second address alone.
async fn datasets_book(http: &Http, hosts: &Hosts, year: &str) -> Result<Option<Book>, ListError> {
    for folder in ["paper_files/paper", "paper"] {
        let url = join(
            &hosts[PaperHost::DatasetsProceedings],
            &format!("{folder}/{year}"),
        );
        match fetch(http, &url, hosts).await {
            Err(ListError::Absent { .. }) => {}
            other => return other.map(Some),
        }
    }
    Ok(None)
}

async fn fetch(http: &Http, url: &Url, hosts: &Hosts) -> Result<Book, ListError> {
    let read = |page: Page| {
        let book = parse_book(&page.body, url, hosts)?;
        book.check().map(|()| book)
    };
    let book = http.get_with(url, Expect::Html, read).await;
    book.map_err(html::list_error)
}

fn wrong(url: &Url, problem: String) -> ListError {
    ListError::Wrong {
        url: url.to_string(),
        problem,
    }
}

/// True for `…/paper/2025/vol38-main-conference`, and for no paper.
fn is_of_year(url: &Url, year: &str) -> bool {
    let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    let is_year = segments
        .windows(2)
        .any(|pair| pair[0] == "paper" && pair[1] == year);
    is_year && !segments.iter().any(|it| matches!(*it, "hash" | "file"))
}

/// The hosts that pages of proceedings may link to.
pub(super) const HOSTS: [PaperHost; 2] = [PaperHost::Proceedings, PaperHost::DatasetsProceedings];

/// One book's list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book {
    /// Its papers, in its order. Their `source_id` is the hash, which two books may share.
    pub papers: Vec<ListedPaper>,
    /// Entries that are no papers.
    pub broken: Vec<BrokenEntry>,
    /// Papers it says it has.
    pub stated: Option<usize>,
    /// Books it links to, on its own host.
    pub see_also: Vec<Url>,
}

impl Book {
    /// Compares what was read with what the book says it has.
    ///
    /// # Errors
    ///
    /// Words for a log, when the two differ or there is nothing at all.
    pub fn check(&self) -> Result<(), String> {
        let found = self.papers.len() + self.broken.len();
        match self.stated {
            Some(stated) if stated != found => Err(format!(
                "it says that it has {stated} papers and lists {found}"
            )),
            _ if found == 0 && self.see_also.is_empty() => Err("it lists no paper".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Reads a book's list.
///
/// # Errors
///
/// Words for a log, when the page is cut short or is none.
pub fn parse_book(body: &[u8], page: &Url, hosts: &Hosts) -> Result<Book, String> {
    let document = Document::parse(body)?;
    let mut book = Book {
        stated: document.text(".paper-count").as_deref().and_then(count),
        see_also: see_also(&document, page, hosts),
        ..Book::default()
    };
    let mut items = document.all("ul.paper-list > li");
    if items.is_empty() {
        let has_paper = |item: &ElementRef<'_>| !html::all(*item, "a[href*='/hash/']").is_empty();
        items = document.all("li").into_iter().filter(has_paper).collect();
    }
    for (place, item) in items.into_iter().enumerate() {
        match listed_paper(item, place as u64, page, hosts) {
            Ok(paper) => book.papers.push(paper),
            Err(reason) => book.broken.push(BrokenEntry {
                entry: format!("entry {} of {page}", place + 1),
                reason,
            }),
        }
    }
    Ok(book)
}

/// `4493` of `4,493 papers`.
fn count(text: &str) -> Option<usize> {
    let number = text.split(' ').next()?.replace(',', "");
    number.parse().ok()
}

fn see_also(document: &Document, page: &Url, hosts: &Hosts) -> Vec<Url> {
    let links = document.all(".book-see-also a[href]");
    let here = |link: ElementRef<'_>| {
        let mut url = hosts.on_configured_host(link.attr("href")?, page, &[])?;
        url.set_query(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Some(url)
    };
    let mut books = Vec::new();
    for link in links {
        html::push_once(&mut books, here(link));
    }
    books
}

fn listed_paper(
    item: ElementRef<'_>,
    place: u64,
    page: &Url,
    hosts: &Hosts,
) -> Result<ListedPaper, String> {
    let links = html::all(item, "a[href]").into_iter();
    let mut papers = links.filter_map(|link| {
        let href = link.attr("href")?;
        let url = hosts.on_configured_host(href, page, &HOSTS)?;
        let path = PaperPath::parse(&url)?;
        Some((link, href, url, path))
    });
    let Some((link, href, mut url, path)) = papers.next() else {
        let text = html::text_of(item).unwrap_or_default();
        let text = excerpt(text.as_bytes(), 80);
        return Err(format!("it has no link to a paper's page: `{text}`"));
    };
    let title = html::text_of(link).ok_or_else(|| format!("paper {} has no title", path.hash))?;
    url.set_query(None);
    let authors = ["span.paper-authors", "i"]
        .into_iter()
        .flat_map(|css| html::all(item, css))
        .find(|found| !is_within(*found, link))
        .map(html::raw_text_of);
    let authors = html::split_names(&authors.unwrap_or_default(), &[',']);
    Ok(ListedPaper {
        source_id: path.hash.clone(),
        proceedings_id: Some(path.hash.clone()),
        place,
        url: Some(url.to_string()),
        pdf_urls: vec![path.pdf(&url)],
        record: json!({
            "list": page.as_str(), "href": href, "title": title, "authors": authors, "track": path.track,
        }),
        title,
        authors,
        details_url: Some(url),
        ..ListedPaper::default()
    })
}

/// A title's `<i>` is not where the authors are.
fn is_within(element: ElementRef<'_>, outer: ElementRef<'_>) -> bool {
    element.ancestors().any(|node| node.id() == outer.id())
}

/// The path of a paper's page: `…/hash/<32 digits>-Abstract-<track>.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PaperPath {
    folder: String,
    hash: String,
    /// `Conference`, `Datasets_and_Benchmarks_Track`, `round1`; empty up to 2021.
    track: String,
}

impl PaperPath {
    fn parse(url: &Url) -> Option<Self> {
        let (folder, file) = url.path().rsplit_once("/hash/")?;
        let (hash, track) = file.strip_suffix(".html")?.split_once("-Abstract")?;
        let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let track = match track.strip_prefix('-') {
            Some(track) => track,
            None if track.is_empty() => "",
            None => return None,
        };
        let is_track = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (is_hash && track.len() <= 60 && track.chars().all(is_track)).then(|| Self {
            folder: folder.to_owned(),
            hash: hash.to_ascii_lowercase(),
            track: track.to_owned(),
        })
    }

    /// Where the software keeps the PDF; the paper's page knows better.
    fn pdf(&self, page: &Url) -> Url {
        let Self {
            folder,
            hash,
            track,
        } = self;
        let dash = if track.is_empty() { "" } else { "-" };
        let mut url = page.clone();
        url.set_path(&format!("{folder}/file/{hash}-Paper{dash}{track}.pdf"));
        url
    }
}

/// The books of a year, one after the other.
#[derive(Debug, Default)]
struct Shelf {
    listed: Listed,
    ids: HashSet<String>,
    pages: HashSet<Url>,
}

impl Shelf {
    /// Adds a book's papers that are new. A hash is made from a number that some books count anew,
    /// so it names a paper only together with the track there.
    fn add(&mut self, book: Book, counts_anew: bool) {
        self.listed.broken.extend(book.broken);
        for mut paper in book.papers {
            let Some(page) = paper.details_url.clone() else {
                continue;
            };
            if !self.pages.insert(page.clone()) {
                continue;
            }
            if counts_anew || self.ids.contains(&paper.source_id) {
                let track = PaperPath::parse(&page).map(|path| path.track);
                paper.source_id = format!("{}-{}", paper.source_id, track.unwrap_or_default());
            }
            if !self.ids.insert(paper.source_id.clone()) {
                self.listed.broken.push(BrokenEntry {
                    entry: format!("paper {page}"),
                    reason: format!("another paper is called {} too", paper.source_id),
                });
                continue;
            }
            paper.place = self.listed.papers.len() as u64;
            self.listed.papers.push(paper);
        }
    }
}

/// What stands for an abstract where there is none, in the oldest volumes.
const NO_ABSTRACT: &str = "abstract missing";

/// Reads a paper's page.
///
/// The `<p>` of an abstract is not closed and holds formulas as their authors typed them, so the
/// abstract is the source text up to where it must end, less the tags of running text.
///
/// # Errors
///
/// Words for a log, when the page is cut short or is not the page of a paper.
pub fn parse_details(body: &[u8], page: &Url, hosts: &Hosts) -> Result<Details, String> {
    let document = Document::parse(body)?;
    let mut titles = document.meta("citation_title");
    titles.extend(document.text("h1.paper-title"));
    if titles.is_empty() {
        return Err("it is not the page of a paper: it has no title of one".to_owned());
    }
    let mut authors = document.cited_authors();
    if authors.is_empty() {
        let line = document.all(".paper-authors").into_iter().next();
        let line = line.map(html::raw_text_of).unwrap_or_default();
        authors = html::split_names(&line, &[',']);
    }
    let abstract_text = abstract_source(document.source()).and_then(html::plain_text);
    Ok(Details {
        titles,
        problem: None,
        authors,
        abstract_text: abstract_text.filter(|text| !text.eq_ignore_ascii_case(NO_ABSTRACT)),
        date: document.cited_date(),
        forum: document.forum(hosts),
        pdf_urls: pdf_urls(&document, page, hosts),
    })
}

/// The PDF that the page cites, then the one behind its button.
fn pdf_urls(document: &Document, page: &Url, hosts: &Hosts) -> Vec<Url> {
    let mut urls = Vec::new();
    for address in document.meta("citation_pdf_url") {
        html::push_once(&mut urls, hosts.on_configured_host(&address, page, &HOSTS));
    }
    for link in document.all("a[href*='-Paper']") {
        let href = link.attr("href").filter(|href| href.ends_with(".pdf"));
        let url = href.and_then(|href| hosts.on_configured_host(href, page, &HOSTS));
        html::push_once(&mut urls, url);
    }
    urls
}

/// The source of the abstract: behind `p.paper-abstract`, or behind the heading `Abstract`.
fn abstract_source(source: &str) -> Option<&str> {
    let paragraph = html::tags(source)
        .find(|(_, tag)| !tag.is_end && tag.name == "p" && tag.has_word("paper-abstract"))
        .map(|(start, tag)| start + tag.length);
    let heading = || {
        let (start, _) = html::tags(source).find(|(start, tag)| {
            let before = source[..*start].trim_end();
            tag.is_end && is_heading(tag) && before.ends_with(">Abstract")
        })?;
        Some(start + source[start..].find('>')? + 1)
    };
    let inside = &source[paragraph.or_else(heading)?..];
    Some(&inside[..abstract_end(inside)])
}

/// Where an abstract ends: at the end of what it is in, at a heading, at a `</p>` that no further
/// plain `<p>` follows, or where an element of the page's frame begins.
fn abstract_end(text: &str) -> usize {
    const FRAME: [&str; 8] = [
        "section", "div", "main", "article", "body", "html", "footer", "header",
    ];
    let mut paragraphs = 0_usize;
    for (start, tag) in html::tags(text) {
        let is_plain = tag.attributes.is_empty();
        match tag.name {
            "p" if !tag.is_end && is_plain => paragraphs += 1,
            "p" if !tag.is_end => return start,
            "p" if paragraphs > 0 => paragraphs -= 1,
            "p" if text[start + tag.length..].trim_start().starts_with("<p>") => {}
            "p" => return start,
            // Authors write of `<div>` in their abstracts; the page's own have classes.
            name if FRAME.contains(&name) && (tag.is_end || !is_plain) => return start,
            _ if is_heading(&tag) => return start,
            _ => {}
        }
    }
    text.len()
}

fn is_heading(tag: &Tag<'_>) -> bool {
    matches!(tag.name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abstract_ends_where_its_page_goes_on() {
        for (source, expected) in [
            (
                "<p class=\"paper-abstract\">a $W<d$ b.</section>x",
                "a $W<d$ b.",
            ),
            (
                "<p class='small paper-abstract'>a</p>\n<p><a href='x'>x</a></p></section>",
                "a</p>\n<p><a href='x'>x</a></p>",
            ),
            ("<p class=paper-abstract>a</p><p class=doi>x", "a"),
            (
                "<p class=\"paper-abstract\"><p>a</p>\n<p>b</p>\n</section>x",
                "<p>a</p>\n<p>b</p>\n",
            ),
            (
                "<h4>Abstract</h4>\n<p><p>a <div> b</p></p>\n</div>x",
                "\n<p><p>a <div> b</p></p>\n",
            ),
            ("<p class=\"paper-abstract\">a<h2 class=x>DOI</h2>", "a"),
        ] {
            assert_eq!(abstract_source(source), Some(expected), "{source}");
        }
        assert_eq!(abstract_source("<p class=\"paper-abstracts\">a</p>"), None);
    }

    #[test]
    fn only_the_software_s_own_paths_are_papers() {
        let path = |path: &str| {
            let url = Url::parse("https://proceedings.neurips.cc").unwrap();
            PaperPath::parse(&url.join(path).unwrap())
        };
        let hash = "0123456789abcdef0123456789abcdef";
        let good = path(&format!("/paper/2020/hash/{hash}-Abstract.html")).unwrap();
        assert_eq!((good.hash.as_str(), good.track.as_str()), (hash, ""));
        for bad in [
            format!("/paper/2020/hash/{hash}-Metadata.json"),
            format!("/paper/2020/hash/{hash}-Abstracts.html"),
            format!("/paper/2020/hash/{hash}0-Abstract.html"),
            format!("/paper/2020/hash/{hash}-Abstract-%2e%2e.html"),
            format!("/paper/2020/hash/../{hash}-Abstract.html"),
        ] {
            assert_eq!(path(&bad), None, "{bad}");
        }
    }

    #[test]
    fn thousands_may_be_set_off() {
        assert_eq!(count("4,493 papers"), Some(4493));
        assert_eq!(count("papers"), None);
    }
}
