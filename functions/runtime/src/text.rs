//! Small rules for text that strangers wrote.

/// The first `limit` characters of a text; never splits one.
pub fn first_chars(text: &str, limit: usize) -> &str {
    match text.char_indices().nth(limit) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// One line for a log or an index field: control characters become spaces, at most `limit`
/// characters.
pub fn one_line(text: &str, limit: usize) -> String {
    let line: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(limit)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(first_chars("aéß", 2), "aé");
        assert_eq!(first_chars("aéß", 9), "aéß");
    }

    #[test]
    fn terminal_control_characters_do_not_survive() {
        assert_eq!(one_line("a\u{1b}[31m\nb\u{9b}", 80), "a [31m b");
    }
}
