//! Reads arXiv's Atom feeds, both dialects: by namespace and name, never by prefix or order.
//!
//! In: the bytes of a feed. Out: an [`AtomFeed`], or arXiv's own error message, or why the bytes are
//! no feed. Entities that a document type could define are not expanded.

use annapurna_contract::text::{clean, clean_option, excerpt};
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use serde::Serialize;

const ATOM: &str = "http://www.w3.org/2005/Atom";
const ARXIV: &str = "http://arxiv.org/schemas/atom";
const OPENSEARCH: &str = "http://a9.com/-/spec/opensearch/1.1/";
/// In the id of an error's entry, whatever host and scheme a year puts before it.
const ERROR_MARK: &str = "/api/errors#";
/// Elements within elements; a feed needs four.
const DEEPEST: usize = 16;

/// Why bytes are not a feed of arXiv.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AtomError {
    /// Not XML, or cut short.
    #[error("the XML is damaged: {0}")]
    Xml(String),
    /// XML of another kind.
    #[error("the XML is not an Atom feed but `{0}`")]
    NotAFeed(String),
    /// Elements nested beyond reason.
    #[error("the XML is nested more than {DEEPEST} deep")]
    TooDeep,
    /// A count is absent or not a number.
    #[error("the feed has no {0}")]
    NoCount(&'static str),
}

/// What a feed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A page of a list.
    Feed(AtomFeed),
    /// arXiv refuses the request, in these words.
    Error(String),
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtomFeed {
    /// Papers of the whole list.
    pub total: u64,
    /// Position of the first entry.
    pub start: u64,
    /// The entries of this page.
    pub entries: Vec<AtomEntry>,
}

/// An entry, every field as arXiv gives it, white space collapsed. Serialised, it is the record of
/// everything the source said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AtomEntry {
    /// `http://arxiv.org/abs/2104.12255v1`.
    pub id: String,
    /// Title; `0` is one. Empty when there is none.
    pub title: String,
    /// The abstract, its line breaks undone.
    pub summary: Option<String>,
    /// Time of version 1.
    pub published: Option<String>,
    /// Time of this version.
    pub updated: Option<String>,
    /// Authors in order.
    pub authors: Vec<AtomAuthor>,
    /// arXiv's own and those of other classifications, the primary one among them.
    pub categories: Vec<String>,
    /// arXiv's `primary_category`, such as `cs.LG`.
    pub primary_category: Option<String>,
    /// What the authors wrote beside it, such as its pages or where it appeared.
    pub comment: Option<String>,
    /// Where it was published.
    pub(crate) journal_ref: Option<String>,
    /// Digital object identifier.
    pub doi: Option<String>,
    /// To the page, the PDF and the DOI, as the feed has them.
    pub links: Vec<AtomLink>,
}

/// An author of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AtomAuthor {
    /// Whole, as the feed writes it.
    pub name: String,
    /// Affiliations, seldom given.
    pub affiliations: Vec<String>,
}

/// A link of an entry, of whatever relation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AtomLink {
    /// The address as it is written, which is not followed as it is.
    pub href: String,
    /// `alternate`, `related`.
    pub rel: Option<String>,
    /// MIME type.
    #[serde(rename = "type")]
    pub(crate) media_type: Option<String>,
    /// `pdf`, `doi`.
    pub title: Option<String>,
}

impl AtomEntry {
    /// The address of the PDF, when the entry names one.
    pub fn pdf_link(&self) -> Option<&str> {
        let is_pdf = |link: &&AtomLink| {
            link.title.as_deref() == Some("pdf")
                || link.media_type.as_deref() == Some("application/pdf")
        };
        self.links
            .iter()
            .find(is_pdf)
            .map(|link| link.href.as_str())
    }

    /// The address of the abstract's page, when the entry names one.
    pub fn page_link(&self) -> Option<&str> {
        let is_page = |link: &&AtomLink| link.rel.as_deref() == Some("alternate");
        self.links
            .iter()
            .find(is_page)
            .map(|link| link.href.as_str())
    }
}

/// Reads a feed.
///
/// # Errors
///
/// See [`AtomError`].
pub fn parse(xml: &[u8]) -> Result<Answer, AtomError> {
    let root = read_tree(xml)?;
    if !root.is(ATOM, "feed") {
        return Err(AtomError::NotAFeed(excerpt(root.name.as_bytes(), 40)));
    }
    let entries: Vec<AtomEntry> = root.all(ATOM, "entry").map(entry_of).collect();
    if let Some(error) = entries.iter().find(|entry| entry.id.contains(ERROR_MARK)) {
        let message = error.summary.clone();
        return Ok(Answer::Error(message.unwrap_or_else(|| error.id.clone())));
    }
    Ok(Answer::Feed(AtomFeed {
        total: root.count("totalResults")?,
        start: root.count("startIndex")?,
        entries,
    }))
}

fn entry_of(entry: &Element) -> AtomEntry {
    let text = |namespace, name| entry.first(namespace, name).and_then(Element::clean_text);
    AtomEntry {
        id: text(ATOM, "id").unwrap_or_default(),
        title: text(ATOM, "title").unwrap_or_default(),
        summary: text(ATOM, "summary"),
        published: text(ATOM, "published"),
        updated: text(ATOM, "updated"),
        authors: entry.all(ATOM, "author").filter_map(author_of).collect(),
        categories: entry
            .all(ATOM, "category")
            .filter_map(|c| c.attribute("term"))
            .collect(),
        primary_category: entry
            .first(ARXIV, "primary_category")
            .and_then(|c| c.attribute("term")),
        comment: text(ARXIV, "comment"),
        journal_ref: text(ARXIV, "journal_ref"),
        doi: text(ARXIV, "doi"),
        links: entry.all(ATOM, "link").filter_map(link_of).collect(),
    }
}

fn author_of(author: &Element) -> Option<AtomAuthor> {
    Some(AtomAuthor {
        name: author.first(ATOM, "name")?.clean_text()?,
        affiliations: author
            .all(ARXIV, "affiliation")
            .filter_map(Element::clean_text)
            .collect(),
    })
}

fn link_of(link: &Element) -> Option<AtomLink> {
    Some(AtomLink {
        href: link.attribute("href")?,
        rel: link.attribute("rel"),
        media_type: link.attribute("type"),
        title: link.attribute("title"),
    })
}

/// An element with everything in it.
#[derive(Debug, Default)]
struct Element {
    namespace: String,
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Self>,
}

impl Element {
    fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    fn all<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children
            .iter()
            .filter(move |child| child.is(namespace, name))
    }

    fn first(&self, namespace: &str, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let (_, value) = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(clean(value))
    }

    fn clean_text(&self) -> Option<String> {
        clean_option(Some(&self.text))
    }

    fn count(&self, name: &'static str) -> Result<u64, AtomError> {
        let text = self.first(OPENSEARCH, name).and_then(Self::clean_text);
        text.and_then(|text| text.parse().ok())
            .ok_or(AtomError::NoCount(name))
    }
}

/// Reads the whole document. Text of inner elements also counts as text of the outer ones, so that
/// markup within a title does not lose words.
fn read_tree(xml: &[u8]) -> Result<Element, AtomError> {
    let xml = std::str::from_utf8(xml).map_err(|error| AtomError::Xml(error.to_string()))?;
    let mut reader = NsReader::from_str(xml);
    let mut open: Vec<Element> = Vec::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(damaged)?;
        match event {
            Event::Start(start) => {
                if open.len() >= DEEPEST {
                    return Err(AtomError::TooDeep);
                }
                let element = element_of(&namespace, &start)?;
                open.push(element);
            }
            Event::Empty(start) => {
                let element = element_of(&namespace, &start)?;
                if let Some(root) = close(&mut open, element) {
                    return Ok(root);
                }
            }
            Event::End(_) => {
                let closed = open
                    .pop()
                    .ok_or_else(|| AtomError::Xml("an end without a start".to_owned()))?;
                if let Some(root) = close(&mut open, closed) {
                    return Ok(root);
                }
            }
            Event::Text(text) => add_text(&mut open, &text.xml10_content()),
            Event::CData(text) => add_text(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let entity = format!("&{};", reference.xml10_content());
                add_text(&mut open, &crate::text::decode_entities(&entity));
            }
            Event::Eof => {
                return Err(AtomError::Xml(
                    "it ends before its root element does".to_owned(),
                ));
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
        }
    }
}

fn add_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Hands a finished element to the one around it; the outermost is the document.
fn close(open: &mut [Element], closed: Element) -> Option<Element> {
    let Some(parent) = open.last_mut() else {
        return Some(closed);
    };
    parent.text.push_str(&closed.text);
    parent.children.push(closed);
    None
}

fn element_of(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<Element, AtomError> {
    let mut element = Element {
        namespace: match namespace {
            ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
            ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
        },
        name: start.local_name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(damaged)?;
        let value = crate::text::decode_entities(&attribute.value);
        element
            .attributes
            .push((attribute.key.as_ref().to_owned(), value));
    }
    Ok(element)
}

fn damaged(error: impl std::fmt::Display) -> AtomError {
    AtomError::Xml(excerpt(error.to_string().as_bytes(), 200))
}
