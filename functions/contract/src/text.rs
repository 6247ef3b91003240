//! Text that strangers wrote, made safe to print, to keep, to quote and to ask a model about; and an
//! error with its causes in one line, since causes quote strangers.
//!
//! Papers, pages, answers of a model and output of programs are hostile: they may move a terminal's
//! cursor, reverse the order of what stands beside them, forge a line of a log, or carry words that a
//! model reads and a person does not see. One function per use; all of them go by [`is_hidden`]:
//!
//! | for | function | hidden characters | line breaks | length |
//! | --- | --- | --- | --- | --- |
//! | the terminal, whole | [`safe`] | become spaces | become spaces | as given |
//! | the terminal, several lines | [`safe_lines`] | become spaces | kept | as given |
//! | a log, an index field, a table | [`one_line`] | become spaces | become spaces | bounded |
//! | evidence in an error | [`escaped`], [`excerpt`] | shown as `\u{…}` | shown as `\n` | bounded |
//! | titles, names, abstracts to keep | [`clean`] | gone | become spaces | as given |
//! | a prompt | [`for_model`] | gone | kept | as given |
//!
//! What none of them does: quote for a shell, for HTML or for JSON. That is the writer's own work.

use std::error::Error;

/// Ends a text that was cut.
const CUT: char = '…';
/// Characters of an error with its causes.
const LONGEST_CHAIN: usize = 2_000;
/// What the AWS SDK's outer errors say: where in the SDK it failed, and not why.
const SAYS_NOTHING: [&str; 3] = ["service error", "dispatch failure", "other"];

/// Whether a character shows nothing itself and may change what is around it: control characters,
/// separators of lines, and everything that Unicode has as ignorable by default, which is what reorders
/// text (bidirectional controls), joins or hides it (zero width, fillers, variation selectors) or
/// smuggles it (tags).
///
/// Source: Unicode, `DerivedCoreProperties.txt`, `Default_Ignorable_Code_Point`; with it U+2028, U+2029
/// and the interlinear annotations U+FFF9 to U+FFFB.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text on one line, with a space for each hidden character: nothing in it is obeyed by a terminal.
pub fn safe(text: &str) -> String {
    let visible = |character| {
        if is_hidden(character) { ' ' } else { character }
    };
    text.chars().map(visible).collect()
}

/// The text with its lines, each of them [`safe`].
pub fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// The text trimmed, [`safe`], and at most `limit` characters long; `…` is the last of them when
/// something is left out.
pub fn one_line(text: &str, limit: usize) -> String {
    let line = safe(text);
    let line = line.trim();
    if line.chars().nth(limit).is_none() {
        return line.to_owned();
    }
    let kept = first_chars(line, limit.saturating_sub(1));
    kept.chars().chain([CUT].into_iter().take(limit)).collect()
}

/// The text trimmed, with each hidden character written out (`\n`, `\u{202e}`), at most `limit`
/// characters long: what a stranger sent, as evidence. `…` ends it when something is left out; no
/// escape is ever cut.
pub fn escaped(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut n_shown = 0;
    let mut fits = 0;
    for character in text.trim().chars() {
        let piece: String = if is_hidden(character) {
            character.escape_default().collect()
        } else {
            character.to_string()
        };
        n_shown += piece.chars().count();
        if n_shown > limit {
            shown.truncate(fits);
            shown.extend([CUT].into_iter().take(limit));
            return shown;
        }
        shown.push_str(&piece);
        if n_shown < limit {
            fits = shown.len();
        }
    }
    shown
}

/// The start of a body that may be no text at all, [`escaped`]. What is not UTF-8 shows as `U+FFFD`.
pub fn excerpt(body: &[u8], limit: usize) -> String {
    let body = body.trim_ascii();
    // A character has four bytes at most, so nothing that would be shown is left out here.
    let head = &body[..body.len().min((limit + 1).saturating_mul(4))];
    escaped(&String::from_utf8_lossy(head), limit)
}

/// A title, a name or an abstract as it is kept: words with single spaces between them, without hidden
/// characters.
///
/// Control characters vanish from within a word and other hidden ones part it, as [`normalize_title`]
/// reads them: cleaning a text never changes the id of its paper.
///
/// [`normalize_title`]: crate::normalize_title
pub fn clean(text: &str) -> String {
    let parts = |character: char| {
        character.is_whitespace() || (is_hidden(character) && !character.is_control())
    };
    text.split(parts)
        .map(|word| word.chars().filter(|it| !it.is_control()).collect())
        .filter(|word: &String| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// [`clean`] text, or `None` when nothing is left of it. `0` is text.
pub fn clean_option(text: Option<&str>) -> Option<String> {
    text.map(clean).filter(|text| !text.is_empty())
}

/// Text for a prompt: a model reads what a person would see and nothing else. Line breaks and tabs stay.
pub fn for_model(text: &str) -> String {
    text.chars()
        .filter(|character| matches!(character, '\n' | '\t') || !is_hidden(*character))
        .collect()
}

/// The first `limit` characters of a text; never splits one.
pub fn first_chars(text: &str, limit: usize) -> &str {
    match text.char_indices().nth(limit) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// An error and what caused it, outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'a)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error with its causes in [`one_line`], outermost first, at most 2,000 characters: for logs, and
/// for errors that cannot carry their source.
///
/// A cause that the text before it contains is left out, since some errors repeat their source's; so
/// are the words with which the AWS SDK only says where in the SDK a request failed.
pub fn chain(error: &dyn Error) -> String {
    let mut line = String::new();
    for cause in causes(error).map(ToString::to_string) {
        if SAYS_NOTHING.contains(&cause.as_str()) || line.contains(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    if line.is_empty() {
        line = error.to_string();
    }
    one_line(&line, LONGEST_CHAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize_title;

    /// Every character there is, with its neighbours to hide or reorder.
    fn every_text() -> impl Iterator<Item = (char, String)> {
        (char::MIN..=char::MAX).map(|character| (character, format!("a{character}b")))
    }

    /// Fixed words of what attacks are made of, put together in every order a small generator finds.
    fn hostile_texts() -> impl Iterator<Item = String> {
        const PARTS: [&str; 16] = [
            "\u{1b}[2J",
            "\u{9b}31m",
            "\r\n",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{e0041}",
            "\u{fe0f}",
            "\u{2028}",
            "\0",
            "é",
            "e\u{301}",
            "深度",
            "🤖",
            "\\u{1b}",
            "  word ",
        ];
        (0..4_000_u32).map(|seed| {
            let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
            let mut text = String::new();
            for _ in 0..seed % 40 {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                text.push_str(PARTS[state as usize % PARTS.len()]);
            }
            text
        })
    }

    #[test]
    fn what_steers_a_terminal_or_hides_text_is_hidden() {
        let bidirectional = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter();
        let bidirectional = bidirectional.chain('\u{202a}'..='\u{202e}');
        let bidirectional = bidirectional.chain('\u{2066}'..='\u{2069}');
        let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
        let others = [
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{feff}',
            '\u{ad}',
            '\u{fe0f}',
            '\u{e0101}',
        ];
        let tags = '\u{e0020}'..='\u{e007f}';
        for character in bidirectional.chain(controls).chain(others).chain(tags) {
            assert!(is_hidden(character), "{character:?}");
        }
        for character in "aé深\u{301}\u{a0} \u{fffd}🤖ﬃ\u{e000}".chars() {
            assert!(!is_hidden(character), "{character:?}");
        }
    }

    #[test]
    fn no_character_gets_through_anything() {
        for (character, text) in every_text().filter(|(character, _)| is_hidden(*character)) {
            let lines = safe_lines(&text).replace('\n', "");
            let made = [
                safe(&text),
                lines,
                one_line(&text, 9),
                escaped(&text, 99),
                clean(&text),
            ];
            for text in made {
                assert!(!text.contains(is_hidden), "{character:?}: {text:?}");
            }
            let kept = for_model(&text);
            assert_eq!(
                kept.len() > 2,
                matches!(character, '\n' | '\t'),
                "{character:?}"
            );
        }
    }

    #[test]
    fn what_is_not_hidden_stays_as_it_is() {
        for (character, text) in every_text().filter(|(character, _)| !is_hidden(*character)) {
            assert_eq!(safe(&text), text);
            assert_eq!(one_line(&text, 3), text);
            assert_eq!(escaped(&text, 3), text);
            assert_eq!(for_model(&text), text);
            assert_eq!(
                clean(&text) == text,
                character == ' ' || !character.is_whitespace()
            );
        }
    }

    #[test]
    fn hostile_texts_stay_within_their_bounds_and_hide_nothing() {
        for text in hostile_texts() {
            for limit in [0, 1, 2, 7, 40, 500] {
                for short in [
                    one_line(&text, limit),
                    escaped(&text, limit),
                    excerpt(text.as_bytes(), limit),
                ] {
                    assert!(short.chars().count() <= limit, "{limit}: {short:?}");
                    assert!(!short.contains(is_hidden), "{short:?}");
                    assert!(!short.starts_with(char::is_whitespace), "{short:?}");
                }
                assert!(first_chars(&text, limit).chars().count() <= limit);
            }
            assert_eq!(clean(&clean(&text)), clean(&text));
            assert_eq!(safe(&safe(&text)), safe(&text));
        }
    }

    #[test]
    fn an_escape_is_shown_whole_or_not_at_all() {
        assert_eq!(escaped("\u{1b}[2J<html>\n", 99), "\\u{1b}[2J<html>");
        assert_eq!(escaped("a\u{202e}b", 9), "a…");
        assert_eq!(escaped("a\u{202e}b", 10), "a\\u{202e}b");
        assert_eq!(escaped("a\u{202e}bc", 10), "a\\u{202e}…");
        assert_eq!(escaped("a\nb", 99), "a\\nb");
        assert_eq!(escaped("ab", 0), "");
    }

    #[test]
    fn a_body_that_is_no_text_is_shown_too() {
        assert_eq!(excerpt("ééé".as_bytes(), 2), "é…");
        assert_eq!(excerpt(&[0xff, 0xfe], 9), "\u{fffd}\u{fffd}");
        assert_eq!(excerpt("🤖".repeat(9).as_bytes(), 9), "🤖".repeat(9));
    }

    #[test]
    fn a_cut_line_says_so_within_its_limit() {
        assert_eq!(one_line("attention", 4), "att…");
        assert_eq!(one_line(" a\u{1b}[31m\nb\u{9b}", 80), "a [31m b");
        assert_eq!(one_line("abc", 3), "abc");
        assert_eq!(first_chars("aéß", 2), "aé");
        assert_eq!(safe_lines("a\u{1b}[2J\nb"), "a [2J\nb");
    }

    #[test]
    fn words_have_single_spaces_and_a_zero_is_text() {
        assert_eq!(clean("  Long-\n  Horizon\tTasks "), "Long- Horizon Tasks");
        assert_eq!(clean("a\u{1b}[31mb\u{200b}c"), "a[31mb c");
        assert_eq!(clean_option(Some("0")).as_deref(), Some("0"));
        assert_eq!(clean_option(Some(" \n\u{feff} ")), None);
    }

    #[test]
    fn cleaning_a_title_never_changes_its_papers_id() {
        // Fillers are letters to Unicode; a control character was never part of a kept title.
        let is_filler = |it: char| matches!(it, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
        for (character, text) in every_text() {
            let is_changed =
                character.is_whitespace() || (is_hidden(character) && !character.is_control());
            if is_changed && !is_filler(character) {
                assert_eq!(
                    normalize_title(&clean(&text)),
                    normalize_title(&text),
                    "{character:?}"
                );
            }
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: String,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&str]) -> Layer {
        let mut source = None;
        for text in texts.iter().rev() {
            let text = (*text).to_owned();
            source = Some(Box::new(Layer { text, source }));
        }
        *source.unwrap()
    }

    #[test]
    fn causes_follow_each_other_once_and_say_why() {
        let line = |texts: &[&str]| chain(&layers(texts));
        assert_eq!(
            line(&["index", "no answer", "refused"]),
            "index: no answer: refused"
        );
        assert_eq!(
            line(&["no answer: refused", "refused"]),
            "no answer: refused"
        );
        assert_eq!(line(&["service error", "AccessDenied"]), "AccessDenied");
        assert_eq!(line(&["dispatch failure", "other", "refused"]), "refused");
        assert_eq!(line(&["service error"]), "service error");
        assert_eq!(causes(&layers(&["a", "b"])).count(), 2);
    }

    #[test]
    fn a_cause_that_a_stranger_wrote_is_harmless_and_short() {
        let line = chain(&layers(&[
            "page",
            &format!("\u{1b}[2J\n\u{202e}{}", "x".repeat(9_000)),
        ]));
        assert!(!line.contains(is_hidden), "{line}");
        assert_eq!(line.chars().count(), LONGEST_CHAIN);
    }
}
