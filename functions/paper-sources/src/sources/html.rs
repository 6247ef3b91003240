//! What the readers of the sites' pages share: parsing that loses no text, and the texts of a page.
//!
//! In: the body of a page. Out: elements and cleaned text. Titles and abstracts hold bare `<` from
//! maths (`$W<d$`) and words such as `<projektor>`, in which an HTML parser loses everything up to the
//! next `>`; so whatever is no tag of HTML is escaped before a page is parsed. Nothing here follows a
//! link: [`super::hosts::on_configured_host`] alone turns one into an address.

use std::collections::{BTreeSet, HashMap, HashSet};

use annapurna_contract::text::clean_option;
use chrono::NaiveDate;
use scraper::{ElementRef, Html, Node, Selector};
use url::Url;

use super::hosts::Hosts;
use super::listed::ListError;
use crate::http::HttpError;
use crate::text::decode_entities;

/// Elements of HTML, and those of SVG and MathML that icons and formulas on the pages are made of.
const ELEMENTS: &str = " a abbr acronym address annotation area article aside audio b base bdi bdo big \
    blockquote body br button canvas caption center circle cite clippath code col colgroup data \
    datalist dd defs del details dfn dialog div dl dt ellipse em embed fieldset figcaption figure font \
    footer form g h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend \
    li line link main map mark math menu meta meter mfrac mi mn mo mrow mspace mstyle msub msubsup msup \
    mtext nav nobr noscript object ol optgroup option output p param path picture polygon polyline pre \
    progress q rect rp rt ruby s samp script search section select semantics slot small source span \
    strike strong style sub summary sup svg symbol table tbody td template textarea tfoot th thead time \
    title tr track tt u ul use var video wbr ";

/// Elements of running text. Their tags may be words of a formula: `a<b and c>d`.
const INLINE: &str = " a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark nobr \
    q s samp small span strike strong sub sup tt u var ";

/// Elements that stand apart from the text around them.
const BLOCKS: &str = " article blockquote br center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre \
    section table td th tr ul ";

/// Elements that need no end tag, so that their start opens no level.
const NEVER_DEEP: &str = " area base body br col colgroup dd dt embed head hr html img input li link \
    meta option p param source tbody td tfoot th thead tr track wbr ";

/// What icons are drawn with. It holds no text, and is often left without an end tag.
const SHAPES: &str = " circle ellipse line path polygon polyline rect use ";

/// Levels of a page. The sites' have about twenty; a parser's time grows with the square of them.
const MOST_LEVELS: usize = 200;

fn is_in(names: &str, name: &str) -> bool {
    names
        .split_ascii_whitespace()
        .any(|known| known.eq_ignore_ascii_case(name))
}

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
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let source = String::from_utf8_lossy(body).into_owned();
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

/// A tag of HTML at the start of a text.
pub(super) struct Tag<'a> {
    /// As written.
    pub(super) name: &'a str,
    /// `</name>`.
    pub(super) is_end: bool,
    /// What stands between name and `>`.
    pub(super) attributes: &'a str,
    /// Bytes, both brackets included.
    pub(super) length: usize,
}

impl Tag<'_> {
    /// True when an attribute's value has this word.
    pub(super) fn has_word(&self, word: &str) -> bool {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        self.attributes.split(|c| !is_part(c)).any(|it| it == word)
    }
}

/// The tags of a text, with their places.
pub(super) fn tags(text: &str) -> impl Iterator<Item = (usize, Tag<'_>)> {
    let mut place = 0;
    std::iter::from_fn(move || {
        loop {
            let start = place + text.get(place..)?.find('<')?;
            match tag_at(&text[start..]) {
                Some(tag) => {
                    place = start + tag.length;
                    return Some((start, tag));
                }
                None => place = start + 1,
            }
        }
    })
}

/// The tag that a text starts with; `None` when its `<` is only a character.
fn tag_at(text: &str) -> Option<Tag<'_>> {
    let inner = text.strip_prefix('<')?;
    let (is_end, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (name, rest) = inner.split_at(name_end);
    if !rest.starts_with([' ', '\t', '\n', '\r', '\u{c}', '/', '>']) || !is_in(ELEMENTS, name) {
        return None;
    }
    let end = tag_end(rest)?;
    let attributes = &rest[..end];
    // `a<b and c>d` would be a tag with two attributes, none of which has a value.
    let has_words = !attributes
        .trim_matches(['/', ' ', '\n', '\t', '\r'])
        .is_empty();
    if has_words && !attributes.contains('=') && is_in(INLINE, name) {
        return None;
    }
    let length = text.len() - inner.len() + name_end + end + 1;
    Some(Tag {
        name,
        is_end,
        attributes,
        length,
    })
}

/// The place of a tag's `>`, which may also stand in a value. No tag goes on past another `<`.
fn tag_end(attributes: &str) -> Option<usize> {
    let bytes = attributes.as_bytes();
    let mut place = 0;
    let mut after_equals = false;
    loop {
        match *bytes.get(place)? {
            b'>' => return Some(place),
            b'<' => return None,
            quote @ (b'"' | b'\'') if after_equals => {
                let value = &bytes[place + 1..];
                place += 1 + value.iter().position(|byte| *byte == quote)?;
                after_equals = false;
            }
            byte => {
                let still = after_equals && byte.is_ascii_whitespace();
                after_equals = byte == b'=' || still;
            }
        }
        place += 1;
    }
}

/// Escapes every `<` that begins neither a tag nor a comment, and leaves out the shapes of icons.
fn escape_text(source: &str) -> Result<String, String> {
    let mut escaped = String::with_capacity(source.len() + source.len() / 50);
    let mut rest = source;
    let mut levels = Levels::default();
    while let Some(start) = rest.find('<') {
        escaped.push_str(&rest[..start]);
        rest = &rest[start..];
        let (kept, length) = match tag_at(rest) {
            Some(tag) if is_in(SHAPES, tag.name) => ("", tag.length),
            Some(tag) => {
                levels.pass(&tag)?;
                let length = with_raw_text(rest, &tag);
                (&rest[..length], length)
            }
            None => match comment_length(rest) {
                0 => ("&lt;", 1),
                length => (&rest[..length], length),
            },
        };
        escaped.push_str(kept);
        rest = &rest[length..];
    }
    escaped.push_str(rest);
    Ok(escaped)
}

/// The elements open at a place of a page.
#[derive(Debug, Default)]
struct Levels {
    open: HashMap<String, usize>,
    depth: usize,
}

impl Levels {
    /// Goes past a tag. An end tag without its start ends nothing.
    fn pass(&mut self, tag: &Tag<'_>) -> Result<(), String> {
        if is_in(NEVER_DEEP, tag.name) {
            return Ok(());
        }
        let open = self.open.entry(tag.name.to_ascii_lowercase()).or_default();
        if !tag.is_end {
            *open += 1;
            self.depth += 1;
        } else if *open > 0 {
            *open -= 1;
            self.depth -= 1;
        }
        if self.depth > MOST_LEVELS {
            return Err(format!("its elements are nested over {MOST_LEVELS} deep"));
        }
        Ok(())
    }
}

/// The length of a tag, with the text behind it when that is a program or a style sheet.
fn with_raw_text(text: &str, tag: &Tag<'_>) -> usize {
    if tag.is_end || !is_in("script style", tag.name) {
        return tag.length;
    }
    let is_own = |place: &usize| {
        text.get(place + 2..place + 2 + tag.name.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(tag.name))
    };
    let mut ends = text[tag.length..].match_indices("</");
    ends.find_map(|(place, _)| Some(tag.length + place).filter(is_own))
        .unwrap_or(tag.length)
}

/// The length of a comment or of the document's type, which without an end take the rest of the page;
/// 0 when the text starts with neither.
fn comment_length(text: &str) -> usize {
    let end = if text.starts_with("<!--") {
        "-->"
    } else if text
        .get(..9)
        .is_some_and(|head| head.eq_ignore_ascii_case("<!doctype"))
    {
        ">"
    } else {
        return 0;
    };
    text.find(end).map_or(text.len(), |place| place + end.len())
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
