//! Accents that a font has as glyphs of their own, and ligatures.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Spacing accents of the Adobe Glyph List, and the characters that combine.
const ACCENTS: [(char, char); 15] = [
    ('`', '\u{300}'),
    ('\u{2cb}', '\u{300}'),
    ('\u{b4}', '\u{301}'),
    ('\u{2c6}', '\u{302}'),
    ('^', '\u{302}'),
    ('\u{2dc}', '\u{303}'),
    ('~', '\u{303}'),
    ('\u{af}', '\u{304}'),
    ('\u{2d8}', '\u{306}'),
    ('\u{2d9}', '\u{307}'),
    ('\u{a8}', '\u{308}'),
    ('\u{2da}', '\u{30a}'),
    ('\u{2dd}', '\u{30b}'),
    ('\u{2c7}', '\u{30c}'),
    ('\u{b8}', '\u{327}'),
];

/// The combining character of a glyph that is an accent.
pub(crate) fn combining(text: &str) -> Option<char> {
    let mut characters = text.chars();
    let (accent, None) = (characters.next()?, characters.next()) else {
        return None;
    };
    if ('\u{300}'..='\u{36f}').contains(&accent) {
        return Some(accent);
    }
    let known = ACCENTS.iter().find(|(spacing, _)| *spacing == accent);
    known.map(|(_, combining)| *combining)
}

/// One letter with the mark on it; `None` where it is no letter.
pub(crate) fn composed(letter: &str, mark: char) -> Option<String> {
    let mut characters = letter.chars();
    let (first, None) = (characters.next()?, characters.next()) else {
        return None;
    };
    let base = match first {
        '\u{131}' => 'i',
        '\u{237}' => 'j',
        first => first,
    };
    base.is_alphabetic()
        .then(|| [base, mark].into_iter().nfc().collect())
}

/// Letters for ligatures, nothing for what cannot be seen.
pub(crate) fn letters(text: &str) -> Cow<'_, str> {
    const LIGATURES: [&str; 7] = ["ff", "fi", "fl", "ffi", "ffl", "st", "st"];
    let is_odd =
        |c: char| c.is_control() || ('\u{fb00}'..='\u{fb06}').contains(&c) || c == '\u{ad}';
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{fb00}'..='\u{fb06}' => plain.push_str(LIGATURES[character as usize - 0xfb00]),
            '\u{ad}' => plain.push('-'),
            control if control.is_control() => {}
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_take_accents_and_digits_do_not() {
        assert_eq!(composed("\u{131}", '\u{308}').as_deref(), Some("\u{ef}"));
        assert_eq!(composed("x", '\u{302}').as_deref(), Some("x\u{302}"));
        assert_eq!(composed("5", '\u{303}'), None);
        assert_eq!(combining("\u{a8}"), Some('\u{308}'));
        assert_eq!(combining("ab"), None);
    }

    #[test]
    fn ligatures_become_letters_and_control_characters_nothing() {
        assert_eq!(letters("e\u{fb03}cient\u{0}"), "efficient");
        assert_eq!(letters("plain"), "plain");
    }
}
