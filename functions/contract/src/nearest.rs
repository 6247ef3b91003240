//! The name that was meant: a misspelt field or key is answered with the known one that is most like it.

/// Likeness, 0 to 1, from which a name counts as the one that was meant: Jaro and Winkler's measure, whatever the
/// case.
const LIKE: f64 = 0.8;

/// The known name most like an unknown one; `None` when none is like it.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowercase = unknown.to_lowercase();
    // Of two that differ in case alone, the one in the case of the unknown.
    let likeness = |known: &str| {
        let like = strsim::jaro_winkler(&lowercase, &known.to_lowercase());
        (like > LIKE).then(|| like + strsim::jaro_winkler(unknown, known) / 1_000.0)
    };
    known
        .into_iter()
        .filter_map(|known| Some((likeness(known)?, known)))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// [`nearest`] of serde's "unknown field `x`, expected one of `a`, `b`", or unknown variant; `None` also when the
/// problem is another.
pub fn nearest_known(problem: &str) -> Option<&str> {
    let kinds = ["unknown field ", "unknown variant "];
    let rest = kinds.iter().find_map(|kind| problem.strip_prefix(kind))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_known_name_is_meant_and_none_when_none_is_like_it() {
        let problem = |unknown: &str| {
            format!(
                "unknown field `{unknown}`, expected one of `MAX_PAPERS`, `CONFERENCE`, `since`"
            )
        };
        for (unknown, meant) in [
            ("MAX_PAPER", Some("MAX_PAPERS")),
            ("maxPapers", Some("MAX_PAPERS")),
            ("conferences", Some("CONFERENCE")),
            ("Since", Some("since")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest_known(&problem(unknown)), meant, "{unknown}");
        }
        assert_eq!(
            nearest_known("unknown field `day`, expected `days`"),
            Some("days")
        );
        assert_eq!(
            nearest_known("unknown variant `dispach`, expected `dispatch` or `collect`"),
            Some("dispatch")
        );
        assert_eq!(nearest_known("missing field `MAX_PAPERS`"), None);
    }
}
