//! Text from the outside, made safe to keep and to print.

/// Characters an entity can have between `&` and `;`.
const LONGEST_ENTITY: usize = 10;

/// Replaces the predefined and the numeric entities; any other `&` stays as it is.
///
/// The sites' feeds hold names such as `Texas A&amp;M`, and titles with a bare `&` beside them.
pub(crate) fn decode_entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        // Only as far as an entity goes: a long text may have many `&` and no `;`.
        let end = rest
            .bytes()
            .take(LONGEST_ENTITY + 1)
            .position(|byte| byte == b';');
        let entity = end.map(|end| &rest[..=end]);
        match entity.and_then(|entity| Some((entity, quick_xml::escape::unescape(entity).ok()?))) {
            Some((entity, character)) => {
                decoded.push_str(&character);
                rest = &rest[entity.len()..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// Keeps printable ASCII and percent-encodes every other byte, and `%` itself, up to `limit` bytes.
///
/// S3 carries user metadata in HTTP headers: ASCII only, 2 KB in all.
pub fn ascii_header(text: &str, limit: usize) -> String {
    let mut header = String::new();
    for character in text.chars() {
        let mut buffer = [0; 4];
        let encoded: String = match character {
            '%' => "%25".to_owned(),
            ' '..='~' => character.to_string(),
            _ => character
                .encode_utf8(&mut buffer)
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect(),
        };
        if header.len() + encoded.len() > limit {
            break;
        }
        header.push_str(&encoded);
    }
    header
}

/// An address that a person may be shown as a link: `javascript:` and the like are none.
pub(crate) fn is_web_address(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_decoded_once_and_a_bare_ampersand_stays() {
        assert_eq!(
            decode_entities("Texas A&amp;M &#8212; AT&T"),
            "Texas A&M — AT&T"
        );
        assert_eq!(decode_entities("&amp;quot; & W<d"), "&quot; & W<d");
        assert_eq!(decode_entities("a &é; b"), "a &é; b");
    }

    #[test]
    fn a_header_is_ascii_and_never_cuts_a_character() {
        assert_eq!(ascii_header("100% Zoë", 99), "100%25 Zo%C3%AB");
        assert_eq!(ascii_header("深度学习", 20), "%E6%B7%B1%E5%BA%A6");
        assert!(ascii_header("a\r\nx-evil: 1", 99).starts_with("a%0D%0Ax"));
    }
}
