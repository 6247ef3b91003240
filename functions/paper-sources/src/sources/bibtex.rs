//! BibTeX as PMLR writes it, and the LaTeX in its names and abstracts.
//!
//! In: a volume's bibliography, one file for all its papers. Out: their authors and abstracts. Entries
//! are read one by one: the abstracts are whatever the authors typed, and one with a brace too many
//! must not cost the other three thousand, as it does in a parser of the whole file. A value that
//! does not end where it should is left out.

use annapurna_contract::text::clean_option;
use unicode_normalization::UnicodeNormalization;

use super::html::{in_speaking_order, plain_text};

/// A paper of a bibliography.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its key, in lower case and without the volume: `abe24a` of `pmlr-v235-abe24a`.
    pub key: String,
    /// In order, given names first.
    pub authors: Vec<String>,
    /// Cleaned; formulas stay LaTeX.
    pub abstract_text: Option<String>,
}

/// Reads the papers of a bibliography; the volume itself is none.
pub fn parse(bibliography: &str) -> Vec<Entry> {
    let starts: Vec<usize> = entry_starts(bibliography).collect();
    let ends = starts.iter().copied().skip(1).chain([bibliography.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| entry(&bibliography[start + 1..end]))
        .collect()
}

/// Places of the `@` of every line that begins with one.
fn entry_starts(bibliography: &str) -> impl Iterator<Item = usize> {
    bibliography.match_indices('@').filter_map(|(place, _)| {
        let line_start = bibliography[..place]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        bibliography[line_start..place]
            .trim()
            .is_empty()
            .then_some(place)
    })
}

fn entry(text: &str) -> Option<Entry> {
    let (kind, rest) = text.split_once('{')?;
    let not_papers = ["proceedings", "comment", "string", "preamble"];
    let kind = kind.trim().to_ascii_lowercase();
    if kind.contains(char::is_whitespace) || not_papers.contains(&kind.as_str()) {
        return None;
    }
    let (key, mut rest) = rest.split_once(',')?;
    let mut entry = Entry {
        key: short_key(key),
        ..Entry::default()
    };
    while let Some((name, value, after)) = field(rest) {
        match name.to_ascii_lowercase().as_str() {
            "author" => entry.authors = authors(value),
            "abstract" => entry.abstract_text = plain_text(value).and_then(|text| prose(&text)),
            _ => {}
        }
        rest = after;
    }
    Some(entry)
}

/// `abe24a` of `pmlr-v235-abe24a`.
fn short_key(key: &str) -> String {
    let key = key.trim().to_ascii_lowercase();
    let volume_and_paper = key.strip_prefix("pmlr-v");
    let paper = volume_and_paper.and_then(|key| key.split_once('-'));
    paper.map_or(key.clone(), |(_, paper)| paper.to_owned())
}

/// The next field: its name, its value without delimiters, and what follows it.
fn field(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == ',');
    let rest = rest.trim_start();
    let (value, after) = match rest.as_bytes().first()? {
        b'{' => delimited(rest, b'}')?,
        b'"' => delimited(rest, b'"')?,
        _ => rest.split_at(rest.find([',', '}'])?),
    };
    // Behind a value stands a comma or the entry's end; anything else is a brace too many in it.
    let after = after.trim_start();
    let is_end = |rest: &str| rest.trim_start().is_empty() || rest.trim_start().starts_with('%');
    match after.strip_prefix(',') {
        Some(after) => Some((name, value, after)),
        None => after
            .strip_prefix('}')
            .filter(|rest| is_end(rest))
            .map(|rest| (name, value, rest)),
    }
}

/// The inside of a delimited value and what follows it. An escaped brace is a character.
fn delimited(text: &str, end: u8) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut place = 1;
    loop {
        match *bytes.get(place)? {
            byte if byte == end && depth == 0 => {
                return Some((&text[1..place], &text[place + 1..]));
            }
            b'\\' => place += 1,
            b'{' => depth += 1,
            b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        place += 1;
    }
}

/// `Yip, Kai Hou and {A Consortium} and others`.
fn authors(value: &str) -> Vec<String> {
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    value
        .split(" and ")
        .filter(|name| *name != "others")
        .filter_map(|author| {
            let is_whole = author.starts_with('{') && author.ends_with('}');
            let name = person_name(author)?;
            Some(if is_whole {
                name
            } else {
                in_speaking_order(&name)
            })
        })
        .collect()
}

/// A name with its LaTeX decoded: `Ondřej` for `Ond\vrej`, as the sources write it, and for `Ond\v{r}ej`.
pub fn person_name(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some((decoded, after)) = command(rest, true) {
            name.push_str(&decoded);
            rest = after;
            continue;
        }
        match character {
            '{' | '}' => {}
            '~' => name.push(' '),
            other => name.push(other),
        }
        rest = &rest[character.len_utf8()..];
    }
    clean_option(Some(&name))
}

/// Text with its LaTeX decoded where that only stands for characters; formulas stay.
pub fn prose(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(['\\', '$']) {
        decoded.push_str(&rest[..place]);
        rest = &rest[place..];
        let length = formula_length(rest);
        if length > 0 {
            decoded.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if let Some((characters, after)) = wrapped(rest).or_else(|| command(rest, false)) {
            decoded.push_str(&characters);
            rest = after;
        } else {
            // Either is one byte.
            decoded.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    decoded.push_str(rest);
    clean_option(Some(&decoded))
}

/// The length of the formula that a text starts with; 0 for none.
fn formula_length(text: &str) -> usize {
    let pairs = [("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")];
    pairs
        .iter()
        .find(|(start, _)| text.starts_with(start))
        .and_then(|(start, end)| Some(start.len() + text[start.len()..].find(end)? + end.len()))
        .unwrap_or(0)
}

/// `\emph{so}`: what is inside, and what follows.
fn wrapped(text: &str) -> Option<(String, &str)> {
    let commands = [
        r"\emph{",
        r"\textit{",
        r"\textbf{",
        r"\texttt{",
        r"\textsc{",
        r"\textrm{",
        r"\textsf{",
        r"\url{",
        r"\underline{",
        r"\mbox{",
    ];
    let command = commands.iter().find(|it| text.starts_with(**it))?;
    let (inside, after) = delimited(&text[command.len() - 1..], b'}')?;
    // Without braces nothing can be wrapped once more, so this goes one level down and no further.
    let inside = if inside.contains('\\') && !inside.contains(['{', '}']) {
        prose(inside)?
    } else {
        inside.to_owned()
    };
    Some((inside, after))
}

/// The characters that a command of LaTeX stands for, and what follows it. In names any accent may
/// run into its letter; in prose `\varepsilon` is no accent.
fn command(text: &str, in_name: bool) -> Option<(String, &str)> {
    let rest = text.strip_prefix('\\')?;
    let first = rest.chars().next()?;
    if matches!(first, '&' | '%' | '_' | '#' | '$') {
        return Some((first.to_string(), &rest[1..]));
    }
    if first == '-' && in_name {
        return Some((String::new(), &rest[1..]));
    }
    if let Some(accent) = sign_accent(first) {
        return accented(&rest[1..], accent, in_name);
    }
    let word_end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(word_end);
    if let Some(letter) = letter(word) {
        let after = after.strip_prefix("{}").unwrap_or(after);
        let after = after.strip_prefix(' ').unwrap_or(after);
        return Some((letter.to_owned(), after));
    }
    let accent = letter_accent(word.chars().next()?)?;
    match (word.len(), in_name) {
        (1, true) => accented(after, accent, true),
        (1, false) if after.starts_with('{') => accented(after, accent, false),
        (_, true) => accented(&rest[1..], accent, true),
        (_, false) => None,
    }
}

/// A letter, in braces or not, under its accent. In prose only where Unicode has one character for both.
fn accented(text: &str, accent: char, in_name: bool) -> Option<(String, &str)> {
    let text = if in_name { text.trim_start() } else { text };
    let (base, after) = match text.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => {
            let dotless = text
                .strip_prefix('\\')
                .filter(|text| text.starts_with(['i', 'j']));
            let character = dotless.unwrap_or(text).chars().next()?;
            let length = character.len_utf8() + usize::from(dotless.is_some());
            text.split_at(length)
        }
    };
    // `\i` and `\j` have no dot in LaTeX, so that an accent finds room; in Unicode the letter has it.
    let base = base.trim().trim_start_matches('\\').trim_end();
    let mut letters = base.chars();
    let letter = letters.next().filter(|letter| letter.is_alphabetic())?;
    let composed: String = [letter, accent].into_iter().nfc().collect();
    if !in_name && (composed.chars().count() > 1 || letters.as_str() != "") {
        return None;
    }
    Some((composed + letters.as_str(), after))
}

fn sign_accent(sign: char) -> Option<char> {
    Some(match sign {
        '`' => '\u{300}',
        '\'' => '\u{301}',
        '^' => '\u{302}',
        '~' => '\u{303}',
        '=' => '\u{304}',
        '.' => '\u{307}',
        '"' => '\u{308}',
        _ => return None,
    })
}

fn letter_accent(letter: char) -> Option<char> {
    Some(match letter {
        'u' => '\u{306}',
        'r' => '\u{30a}',
        'H' => '\u{30b}',
        'v' => '\u{30c}',
        'd' => '\u{323}',
        'c' => '\u{327}',
        'k' => '\u{328}',
        'b' => '\u{331}',
        _ => return None,
    })
}

fn letter(command: &str) -> Option<&'static str> {
    Some(match command {
        "ss" => "ß",
        "ae" => "æ",
        "AE" => "Æ",
        "oe" => "œ",
        "OE" => "Œ",
        "o" => "ø",
        "O" => "Ø",
        "l" => "ł",
        "L" => "Ł",
        "aa" => "å",
        "AA" => "Å",
        "dj" => "đ",
        "DJ" => "Đ",
        "dh" => "ð",
        "DH" => "Ð",
        "th" => "þ",
        "TH" => "Þ",
        "ng" => "ŋ",
        "i" => "ı",
        "j" => "ȷ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_however_their_accents_are_written() {
        for (latex, expected) in [
            (r"Ond\vrej", "Ondřej"),
            (r"Ond\v{r}ej", "Ondřej"),
            (r"Carri\'{o}n-Ojeda", "Carrión-Ojeda"),
            (r#"G\"urtler"#, "Gürtler"),
            (r#"{G{\"{u}}rtler}"#, "Gürtler"),
            (r"Jo\~ao", "João"),
            (r"C\^{o}t\'e", "Côté"),
            (r"Ji\v{r}\'{\i}", "Jiří"),
            (r"Mart\'\inez", "Martínez"),
            (r"Lloren\c{c}", "Llorenç"),
            (r"S\o ren {\L}ukasz \ss{}a", "Søren Łukasz ßa"),
            (r"Erd\H{o}s~P\'al", "Erdős Pál"),
            (r"O'Brien", "O'Brien"),
            (r"Straße 深度", "Straße 深度"),
            (r"back\", r"back\"),
            (r"\v{", r"\v"),
        ] {
            assert_eq!(person_name(latex).as_deref(), Some(expected), "{latex}");
        }
    }

    #[test]
    fn formulas_of_an_abstract_stay_latex() {
        for (latex, expected) in [
            (
                r"The \emph{VisDA} set of G\'{o}mez: 5\% \& more",
                "The VisDA set of Gómez: 5% & more",
            ),
            (
                r"$\{x_1\}$ and \(\'{e}\) cost \$5",
                r"$\{x_1\}$ and \(\'{e}\) cost $5",
            ),
            (
                r"$$\v{r}$$ \varepsilon \cite{a}",
                r"$$\v{r}$$ \varepsilon \cite{a}",
            ),
            (r"don\'t, 5$ \", r"don\'t, 5$ \"),
            (r"\emph{open", r"\emph{open"),
        ] {
            assert_eq!(prose(latex).as_deref(), Some(expected), "{latex}");
        }
    }

    #[test]
    fn an_abstract_with_a_brace_too_many_costs_only_itself() {
        let bibliography = r#"
@Proceedings{X, title = {None}, volume = 9}
@InProceedings{pmlr-v9-One20a,
  title =	 {One},
  author =	 {One, Ada and {The Many, Inc} and Two, Jr., Bo and others},
  abstract =	 {A brace { too many.},
  url = {x}
}
@InProceedings{two20a, author = "Two, B.", abstract = {Closed} too early.},
}
@InProceedings{three20a,
  year = 2020,
  abstract = {Good $\{a\}$ <em>and</em> whole, = fine.}
}
@InProceedings{four20a, abstract = {cut"#;
        let entries = parse(bibliography);
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["one20a", "two20a", "three20a", "four20a"]);
        assert_eq!(
            entries[0].authors,
            ["Ada One", "The Many, Inc", "Bo Two, Jr."]
        );
        let texts: Vec<Option<&str>> = entries
            .iter()
            .map(|entry| entry.abstract_text.as_deref())
            .collect();
        let good = r"Good $\{a\}$ and whole, = fine.";
        assert_eq!(texts, [None, None, Some(good), None]);
    }

    #[test]
    fn damaged_bibliographies_never_panic() {
        let whole = "@a{k, author = {\\'{e} \\vř and B}, abstract = {$x$ \\emph{é}}}";
        for start in 0..whole.len() {
            if whole.is_char_boundary(start) {
                parse(&whole[..start]);
                let _ = (prose(&whole[start..]), person_name(&whole[start..]));
            }
        }
    }
}
