//! Text in UTF-8, whatever it was sent in: decoded by what its sender declares, or refused.
//!
//! A byte order mark counts before the header, the header before the document's own `charset`. Nothing is
//! ever replaced: what is not text in its encoding is an answer that cannot be used, since a name with a
//! hole in it would be kept for good.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Expect;

/// Bytes of a page among which it declares its encoding (HTML, 13.2.3.2: the first 1024).
const DECLARED_WITHIN: usize = 1024;

/// The body in UTF-8 without a byte order mark; what is no text stays as it is.
///
/// # Errors
///
/// Words for a log: the encoding that the body is said to be in and is not.
pub(super) fn to_utf8(
    body: Vec<u8>,
    content_type: &str,
    expect: Expect,
) -> Result<Vec<u8>, String> {
    if matches!(expect, Expect::Pdf | Expect::Robots) {
        return Ok(body);
    }
    if let Some((encoding, length)) = Encoding::for_bom(&body) {
        return decoded(encoding, &body[length..]);
    }
    // Nobody writes the longer characters of UTF-8 by chance, whatever a header says.
    if !body.is_ascii() && std::str::from_utf8(&body).is_ok() {
        return Ok(body);
    }
    let header = label_in(content_type.as_bytes());
    let declared = header.or_else(|| own_label(&body, expect));
    decoded(usable(declared.unwrap_or(UTF_8), &body), &body)
}

/// What is declared to be UTF-16 and has no zero byte is not: its tags would.
fn usable(declared: &'static Encoding, body: &[u8]) -> &'static Encoding {
    match [UTF_16BE, UTF_16LE].contains(&declared) && !body.contains(&0) {
        true => UTF_8,
        false => declared,
    }
}

fn decoded(encoding: &'static Encoding, body: &[u8]) -> Result<Vec<u8>, String> {
    encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .map(|text| text.into_owned().into_bytes())
        .ok_or_else(|| format!("it is not text in {}", encoding.name()))
}

/// What a page's `meta` tags or a feed's first line declare.
fn own_label(body: &[u8], expect: Expect) -> Option<&'static Encoding> {
    let head = &body[..body.len().min(DECLARED_WITHIN)];
    let (start, end): (&[u8], &[u8]) = match expect {
        Expect::Html => (b"<meta", b">"),
        Expect::Atom => (b"<?xml", b"?>"),
        Expect::Json | Expect::Text | Expect::Pdf | Expect::Robots => return None,
    };
    let mut rest = head;
    while let Some(place) = find(rest, start) {
        rest = &rest[place + start.len()..];
        let tag = &rest[..find(rest, end)?];
        if let Some(encoding) = label_in(tag) {
            return Some(encoding);
        }
    }
    None
}

/// The encoding that follows `charset=` or `encoding=`; none when nobody knows it.
fn label_in(text: &[u8]) -> Option<&'static Encoding> {
    let place = |key: &[u8]| find(text, key).map(|place| &text[place + key.len()..]);
    let value = place(b"charset=").or_else(|| place(b"encoding="))?;
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'' | b' ');
    let start = value.iter().position(|byte| !is_quote(byte))?;
    let value = &value[start..];
    let ends = |byte: &u8| is_quote(byte) || matches!(byte, b';' | b'/' | b'>');
    let end = value.iter().position(ends).unwrap_or(value.len());
    Encoding::for_label(&value[..end])
}

/// Where a lower-case text stands, in any case.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};

    use super::*;

    fn html(body: &[u8], content_type: &str) -> Result<String, String> {
        let text = to_utf8(body.to_vec(), content_type, Expect::Html)?;
        Ok(String::from_utf8(text).unwrap())
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn what_is_declared_is_decoded() {
        let page = "<html><head><meta charset=\"windows-1252\"></head>Gödel – “Thimbles”</html>";
        let (bytes, _, _) = WINDOWS_1252.encode(page);
        assert_eq!(html(&bytes, "text/html").as_deref(), Ok(page));
        let old = page.replace(
            "<meta charset=\"windows-1252\">",
            "<META http-equiv='Content-Type' content='text/html; charset=iso-8859-1'>",
        );
        let (bytes, _, _) = WINDOWS_1252.encode(&old);
        assert_eq!(html(&bytes, "").as_deref(), Ok(old.as_str()));
        let (bytes, _, _) = SHIFT_JIS.encode("<html>指ぬき</html>");
        let of_header = html(&bytes, "text/html; Charset=\"Shift_JIS\"");
        assert_eq!(of_header.as_deref(), Ok("<html>指ぬき</html>"));
        let wide = utf16("<html>指ぬき Gödel</html>");
        let of_header = html(&wide, "text/html;charset=utf-16le");
        assert_eq!(of_header.as_deref(), Ok("<html>指ぬき Gödel</html>"));
        let marked = [&[0xff, 0xfe], wide.as_slice()].concat();
        assert_eq!(html(&marked, "text/html;charset=utf-8"), of_header);
        assert_eq!(html(b"\xef\xbb\xbf<html>a", "").as_deref(), Ok("<html>a"));
        let feed = "<?xml version='1.0' encoding='ISO-8859-1'?><feed>Gödel</feed>";
        let (bytes, _, _) = WINDOWS_1252.encode(feed);
        let text = to_utf8(bytes.into_owned(), "application/atom+xml", Expect::Atom);
        assert_eq!(text.as_deref(), Ok(feed.as_bytes()));
    }

    #[test]
    fn a_wrong_declaration_never_leaves_a_hole() {
        let page = "<html><meta charset=windows-1252>Gödel 指ぬき</html>";
        assert_eq!(
            html(page.as_bytes(), "text/html; charset=big5").as_deref(),
            Ok(page)
        );
        let (bytes, _, _) = WINDOWS_1252.encode("<html>Gödel</html>");
        for said in ["", "text/html; charset=utf-8", "text/html; charset=no-such"] {
            assert_eq!(
                html(&bytes, said),
                Err("it is not text in UTF-8".to_owned())
            );
        }
        let shift_jis = html(b"<html>\x81\xff</html>", "charset=shift_jis");
        assert_eq!(shift_jis, Err("it is not text in Shift_JIS".to_owned()));
        assert_eq!(
            html(b"<html>a</html>", "charset=utf-16").as_deref(),
            Ok("<html>a</html>")
        );
        let odd = [utf16("<html>"), vec![0]].concat();
        assert_eq!(
            html(&odd, "charset=utf-16le"),
            Err("it is not text in UTF-16LE".to_owned())
        );
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        let bytes = vec![0xff, 0xfe, b'%', 0x80];
        assert_eq!(
            to_utf8(bytes.clone(), "charset=utf-8", Expect::Pdf),
            Ok(bytes)
        );
    }
}
