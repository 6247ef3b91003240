//! What the readers of the sites' pages share: parsing that loses no text, and the texts of a page.
//!
//! In: the body of a page. Out: elements and cleaned text. Titles and abstracts hold bare `<` from
//! maths (`$W<d$`) and words such as `<projektor>`, in which an HTML parser loses everything up to the
//! next `>`; so [`tags`] escapes whatever is no tag of HTML before a page is parsed. Nothing here follows a
//! link: [`super::hosts::on_configured_host`] alone turns one into an address.

mod tags;

use std::collections::{BTreeSet, HashSet};

use annapurna_contract::text::clean_option;
use chrono::NaiveDate;
use scraper::{ElementRef, Html, Node, Selector};
use url::Url;

use super::hosts::Hosts;
use super::listed::ListError;
use crate::http::HttpError;
use crate::text::decode_entities;
use tags::{BLOCKS, INLINE, escape_text, is_in};
pub(super) use tags::{Tag, tags};

/// A page, parsed, beside the text it was parsed from.
pub(super) struct Document {
    source: String,
    tree: Html,
}

impl Document {
    /// Parses a whole page.
    ///
    /// # Errors
    ///
    /// Words for a log, when the page is cut short or no page that can be read in reasonable time.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let source = std::str::from_utf8(body).map_err(|_| "it is not text in UTF-8")?;
        let source = source.to_owned();
        let escaped = escape_text(&source)?;
        if !has_end(&escaped) {
            return Err("it ends before its </html>".to_owned());
        }
        Ok(Self {
            tree: Html::parse_document(&escaped),
            source,
        })
    }

    /// The page as it came.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The elements that a selector names, in the page's order.
    pub(super) fn all(&self, css: &str) -> Vec<ElementRef<'_>> {
        all(self.tree.root_element(), css)
    }

    /// The cleaned text of the first element that a selector names and that has any.
    pub(super) fn text(&self, css: &str) -> Option<String> {
        self.all(css).into_iter().find_map(text_of)
    }

    /// The contents of the `meta` tags of one name, cleaned, in the page's order.
    pub(super) fn meta(&self, name: &str) -> Vec<String> {
        let content = |meta: ElementRef<'_>| {
            let is_it = meta
                .attr("name")
                .is_some_and(|it| it.eq_ignore_ascii_case(name));
            is_it.then(|| tidy(meta.attr("content")?)).flatten()
        };
        self.all("meta[content]")
            .into_iter()
            .filter_map(content)
            .collect()
    }

    /// The `citation_author` tags, as people write names.
    pub(super) fn cited_authors(&self) -> Vec<String> {
        let names = self.meta("citation_author");
        names.iter().map(|name| in_speaking_order(name)).collect()
    }

    /// The day of `citation_publication_date`; a year alone is none.
    pub(super) fn cited_date(&self) -> Option<String> {
        let dates = self.meta("citation_publication_date");
        dates.iter().find_map(|text| date(text))
    }

    /// The OpenReview forum of the page's paper: that of the link called OpenReview, or the only one
    /// that the page links to.
    pub(super) fn forum(&self, hosts: &Hosts) -> Option<String> {
        let forum = |link: &ElementRef<'_>| hosts.forum_id(link.attr("href")?);
        let links = self.all("a[href]");
        let is_named = |link: &&ElementRef<'_>| {
            let title = link.attr("title").map(str::to_owned);
            let name = title.or_else(|| text_of(**link)).unwrap_or_default();
            name.trim().eq_ignore_ascii_case("openreview")
        };
        if let Some(named) = links.iter().filter(is_named).find_map(forum) {
            return Some(named);
        }
        let mut forums: BTreeSet<String> = links.iter().filter_map(forum).collect();
        forums.pop_first().filter(|_| forums.is_empty())
    }
}

/// The elements below another that a selector names, in the page's order.
pub(super) fn all<'a>(root: ElementRef<'a>, css: &str) -> Vec<ElementRef<'a>> {
    let Ok(selector) = Selector::parse(css) else {
        // Selectors are constants of this crate.
        return Vec::new();
    };
    root.select(&selector).collect()
}

/// The first element below another that a selector names.
pub(super) fn first<'a>(root: ElementRef<'a>, css: &str) -> Option<ElementRef<'a>> {
    all(root, css).into_iter().next()
}

/// The text of an element, as [`tidy`] leaves it; `None` when there is none.
pub(super) fn text_of(element: ElementRef<'_>) -> Option<String> {
    tidy(&raw_text_of(element))
}

/// The text of an element as it stands: blanks where blocks begin, no scripts.
pub(super) fn raw_text_of(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    for node in element.descendants() {
        match node.value() {
            Node::Text(part) => {
                let parent = node.parent().and_then(ElementRef::wrap);
                let is_code = |parent: ElementRef<'_>| is_in("script style", parent.value().name());
                if !parent.is_some_and(is_code) {
                    text.push_str(part);
                }
            }
            Node::Element(element) if is_in(BLOCKS, element.name()) => text.push(' '),
            _ => {}
        }
    }
    text
}

/// Undoes a second escaping (`&amp;quot;` is `&quot;` after the parser) and collapses white space.
pub(super) fn tidy(text: &str) -> Option<String> {
    clean_option(Some(&decode_entities(text)))
}

/// The text of a piece of HTML: tags of running text go, entities are decoded, all else stays.
///
/// For abstracts, cut from their page or found in a bibliography, where a parser would lose text.
pub(super) fn plain_text(fragment: &str) -> Option<String> {
    let closed: HashSet<String> = tags(fragment)
        .filter(|(_, tag)| tag.is_end)
        .map(|(_, tag)| tag.name.to_ascii_lowercase())
        .collect();
    let mut text = String::with_capacity(fragment.len());
    let mut done = 0;
    for (start, tag) in tags(fragment) {
        let is_block = is_in(BLOCKS, tag.name);
        // `<s>` of a formula has no `</s>`.
        let is_inline = is_in(INLINE, tag.name) && closed.contains(&tag.name.to_ascii_lowercase());
        if !is_block && !is_inline {
            continue;
        }
        text.push_str(&fragment[done..start]);
        if is_block {
            text.push(' ');
        }
        done = start + tag.length;
    }
    text.push_str(&fragment[done..]);
    // Where an entity is left after the first time, it was escaped twice.
    tidy(&decode_entities(&text))
}

/// True when the page was sent to its end.
fn has_end(page: &str) -> bool {
    let is_end = |place: usize| {
        page.get(place..place + 6)
            .is_some_and(|tag| tag.eq_ignore_ascii_case("</html"))
    };
    page.rmatch_indices("</").any(|(place, _)| is_end(place))
}

/// Words that belong to the name before the comma.
const SUFFIXES: &str = " jr jr. sr sr. ii iii iv ";

/// The names of a list with commas, where `Jr.` is no name.
pub(super) fn split_names(text: &str, separators: &[char]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(separators).filter_map(tidy) {
        match names.last_mut() {
            Some(last) if is_in(SUFFIXES, &name) => {
                last.push_str(", ");
                last.push_str(&name);
            }
            _ => names.push(name),
        }
    }
    names
}

/// `Ada Lovelace` for `Lovelace, Ada`.
pub(super) fn in_speaking_order(name: &str) -> String {
    let parts: Vec<&str> = name.split(',').map(str::trim).collect();
    match parts.as_slice() {
        [family, given] if !given.is_empty() && !is_in(SUFFIXES, given) => {
            format!("{given} {family}")
        }
        [family, suffix, given] if is_in(SUFFIXES, suffix) => {
            format!("{given} {family}, {suffix}")
        }
        _ => name.to_owned(),
    }
}

/// `2024-12-16`, also written with slashes.
fn date(text: &str) -> Option<String> {
    let date: NaiveDate = text.replace('/', "-").parse().ok()?;
    Some(date.to_string())
}

/// Adds an address once.
pub(super) fn push_once(urls: &mut Vec<Url>, url: Option<Url>) {
    urls.extend(url.filter(|url| !urls.contains(url)));
}

/// A page that its reader refused to the last is a list that is wrong.
pub(super) fn list_error(error: HttpError) -> ListError {
    match error {
        HttpError::Unusable {
            url,
            reason,
            evidence,
        } => ListError::Wrong {
            url,
            problem: format!("cannot be read: {reason}; {evidence}"),
        },
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> String {
        format!("<!DOCTYPE html>\n<html><body>{body}</body></html>")
    }

    fn text(body: &str, css: &str) -> Option<String> {
        Document::parse(page(body).as_bytes()).unwrap().text(css)
    }

    #[test]
    fn what_is_no_tag_stays_as_text() {
        for (html, expected) in [
            ("$W<d$ and $1<p\\le2$, $k<n$", "$W<d$ and $1<p\\le2$, $k<n$"),
            ("a<b and c>d", "a<b and c>d"),
            (
                "<projektor> of <human, action>",
                "<projektor> of <human, action>",
            ),
            ("<https://example.org/x>", "<https://example.org/x>"),
            ("x <= 3 </3 <!3 <?php", "x <= 3 </3 <!3 <?php"),
            ("a<sub>1</sub><br/>b <EM class='x'>c</EM>", "a1 b c"),
            (
                "R&amp;D &lt;b&gt; &amp;quot;so&amp;quot; &mdash; &amp;eacute;",
                "R&D <b> \"so\" — é",
            ),
            (
                "AT&T and A & B &nosuch; 5 &lt 6",
                "AT&T and A & B &nosuch; 5 < 6",
            ),
        ] {
            let body = format!("<h5>{html}</h5>");
            assert_eq!(text(&body, "h5").as_deref(), Some(expected));
        }
    }

    #[test]
    fn plain_text_keeps_what_a_formula_wrote() {
        let plain = |fragment| plain_text(fragment);
        assert_eq!(
            plain("if a<b and <s> is a state, <em>then</em> c>d<p>next &amp;lt; &amp; last")
                .as_deref(),
            Some("if a<b and <s> is a state, then c>d next < & last")
        );
        assert_eq!(
            plain("the <script> tag").as_deref(),
            Some("the <script> tag")
        );
        assert_eq!(plain(" <p> </p>\n"), None);
    }

    #[test]
    fn programs_and_attributes_do_not_become_text() {
        let body = "<script>if (a<b) { document.write('<h5>no</h5>'); }</script>\
            <h5 title='a<b > c'>yes<script>no()</script></h5>";
        assert_eq!(text(body, "h5").as_deref(), Some("yes"));
        let icons = "<svg viewBox=\"0 0 1 1\"><path d=\"M0\"/><path d='M1' /></svg>".repeat(1000);
        let body = format!("<h5>{icons} with icons</h5>");
        assert_eq!(text(&body, "h5").as_deref(), Some("with icons"));
    }

    #[test]
    fn a_page_cut_short_or_nested_without_end_is_refused() {
        let whole = page("<p>a</p>");
        assert!(Document::parse(whole.as_bytes()).is_ok());
        assert!(Document::parse(&whole.as_bytes()[..whole.len() - 8]).is_err());
        for tag in [
            "<div>",
            "<div/>",
            "<div></b>",
            "<b x=1>",
            "<svg>",
            "<table>",
        ] {
            let deep = page(&tag.repeat(300_000));
            assert!(Document::parse(deep.as_bytes()).is_err(), "{tag}");
        }
    }

    #[test]
    fn names_are_split_and_turned_round() {
        let names = split_names("A. One, B. Two, Jr., C&eacute;line  Three", &[',']);
        assert_eq!(names, ["A. One", "B. Two, Jr.", "Céline Three"]);
        for (name, expected) in [
            ("Lovelace, Ada", "Ada Lovelace"),
            ("King, Jr., Martin", "Martin King, Jr."),
            ("Ada Lovelace", "Ada Lovelace"),
            ("Two, Jr.", "Two, Jr."),
        ] {
            assert_eq!(in_speaking_order(name), expected);
        }
    }

    #[test]
    fn a_year_is_no_date() {
        assert_eq!(date("2024/07/08").as_deref(), Some("2024-07-08"));
        assert_eq!(date("2024-12-16").as_deref(), Some("2024-12-16"));
        assert_eq!((date("1987"), date("2024-13-40")), (None, None));
    }
}
