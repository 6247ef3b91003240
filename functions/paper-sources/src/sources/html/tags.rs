//! What is a tag in a page, and what only begins with its character.
//!
//! In: the source of a page or a piece of one. Out: its tags with their places, or the source with every
//! other `<` escaped. A name counts as a tag's only where HTML, SVG or MathML knows it.

use std::collections::HashMap;

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
pub(super) const INLINE: &str = " a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark nobr \
    q s samp small span strike strong sub sup tt u var ";

/// Elements that stand apart from the text around them.
pub(super) const BLOCKS: &str = " article blockquote br center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre \
    section table td th tr ul ";

/// Elements that need no end tag, so that their start opens no level.
const NEVER_DEEP: &str = " area base body br col colgroup dd dt embed head hr html img input li link \
    meta option p param source tbody td tfoot th thead tr track wbr ";

/// What icons are drawn with. It holds no text, and is often left without an end tag.
const SHAPES: &str = " circle ellipse line path polygon polyline rect use ";

/// Levels of a page. The sites' have about twenty; a parser's time grows with the square of them.
const MOST_LEVELS: usize = 200;

pub(super) fn is_in(names: &str, name: &str) -> bool {
    names
        .split_ascii_whitespace()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// A tag of HTML at the start of a text.
pub(crate) struct Tag<'a> {
    /// As written.
    pub(crate) name: &'a str,
    /// `</name>`.
    pub(crate) is_end: bool,
    /// What stands between name and `>`.
    pub(crate) attributes: &'a str,
    /// Bytes, both brackets included.
    pub(crate) length: usize,
}

impl Tag<'_> {
    /// True when an attribute's value has this word.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        self.attributes.split(|c| !is_part(c)).any(|it| it == word)
    }
}

/// The tags of a text, with their places.
pub(crate) fn tags(text: &str) -> impl Iterator<Item = (usize, Tag<'_>)> {
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
pub(super) fn escape_text(source: &str) -> Result<String, String> {
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
