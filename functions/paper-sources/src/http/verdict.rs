//! What an answer means: the document, a block, a fault, or nothing there.

mod challenge;

use std::collections::HashMap;

use serde::de::IgnoredAny;

use super::{Expect, Page};

/// How an answer is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A document of the kind that was asked for.
    Good,
    /// The site holds us off.
    Blocked,
    /// The site does not have it.
    Missing,
    /// The site has it, not for us.
    Refused,
    /// The site is not well.
    ServerFault,
    /// Something else than was expected, in words.
    Misfit(&'static str),
}

/// Judges an answer by status and body; headers alone are believed for nothing.
pub(super) fn of(page: &Page, expect: Expect) -> Verdict {
    let is_html = is_html(page);
    match page.status {
        429 => Verdict::Blocked,
        404 | 410 => Verdict::Missing,
        200..=299 => of_success(page, expect, is_html),
        _ if is_html && challenge::refuses(&page.body) => Verdict::Blocked,
        // 408 says that the request came too slowly, which is nothing about the document.
        408 | 500..=599 => Verdict::ServerFault,
        400 if expect == Expect::Atom && is_xml(&page.body) && !is_html => Verdict::Good,
        // Closed robots rules are no rules (RFC 9309, 2.3.1.3).
        401 | 403 if expect == Expect::Robots => Verdict::Refused,
        // A paper's PDF can be closed while the site is open, and an API says so in its own words: a
        // server's bare page may be a ban. A closed list is a closed site.
        401 | 403 if expect == Expect::Pdf && is_json_object(&page.body) => Verdict::Refused,
        401 | 403 => Verdict::Blocked,
        400..=499 => Verdict::Refused,
        _ => Verdict::Misfit("an unexpected status"),
    }
}

fn of_success(page: &Page, expect: Expect, is_html: bool) -> Verdict {
    let body = &page.body;
    if expect == Expect::Pdf && has_pdf_header(body) {
        return of_pdf(body);
    }
    if is_plain_refusal(body) || (is_html && is_block(body, expect)) {
        return Verdict::Blocked;
    }
    let first = first_byte(body);
    match (expect, first) {
        (Expect::Robots, _) => Verdict::Good,
        (_, None) => Verdict::Misfit("an empty body"),
        (Expect::Text, Some(_)) => Verdict::Good,
        (Expect::Html, _) if is_html || is_xhtml(body) => Verdict::Good,
        (Expect::Atom, Some(b'<')) | (Expect::Json, Some(b'{' | b'[')) => Verdict::Good,
        _ => Verdict::Misfit("something else"),
    }
}

fn is_json_object(body: &[u8]) -> bool {
    type Object = HashMap<String, IgnoredAny>;
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice::<Object>(body).is_ok()
}

/// A page for people is a block where data is expected. Where pages are, and for robots rules, which
/// careless sites answer with their home page, only a challenge is.
fn is_block(body: &[u8], expect: Expect) -> bool {
    match expect {
        Expect::Atom | Expect::Json | Expect::Pdf | Expect::Text => true,
        Expect::Html | Expect::Robots => challenge::stands_in(body),
    }
}

/// `%PDF-` in the first 1024 bytes, as readers accept it.
fn has_pdf_header(body: &[u8]) -> bool {
    contains(&body[..body.len().min(1024)], b"%PDF-")
}

/// A PDF ends with `%%EOF`, give or take what servers append; one that does not was cut short.
fn of_pdf(body: &[u8]) -> Verdict {
    let tail = &body[body.len().saturating_sub(2048)..];
    if contains(tail, b"%%EOF") {
        Verdict::Good
    } else {
        Verdict::Misfit("one that ends before its %%EOF")
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// The first byte that is neither white space nor a byte order mark.
fn first_byte(body: &[u8]) -> Option<u8> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.iter()
        .copied()
        .find(|byte| !byte.is_ascii_whitespace())
}

fn is_xml(body: &[u8]) -> bool {
    first_byte(body) == Some(b'<')
}

fn is_html(page: &Page) -> bool {
    let head = lower_head(&page.body, 512);
    let says_so = page
        .content_type
        .to_ascii_lowercase()
        .starts_with("text/html");
    let begins = head.trim_start_matches('\u{feff}').trim_start();
    begins.starts_with("<!doctype html")
        || begins.starts_with("<html")
        || (says_so && is_xml(&page.body) && !begins.starts_with("<?xml"))
}

/// An old page that begins as XML does.
fn is_xhtml(body: &[u8]) -> bool {
    let head = lower_head(body, 512);
    is_xml(body) && (head.contains("<!doctype html") || head.contains("<html"))
}

/// arXiv's `Rate exceeded.` and its like: short plain text with a word of refusal. Data and pages may
/// hold such words, and robots rules too, in a comment.
fn is_plain_refusal(body: &[u8]) -> bool {
    let is_data = matches!(first_byte(body), Some(b'<' | b'{' | b'['));
    if is_data || body.len() >= 512 {
        return false;
    }
    let text = lower_head(body, 512);
    !text.contains("user-agent:")
        && ["rate exceeded", "rate limit", "too many requests"]
            .iter()
            .any(|words| text.contains(words))
}

fn lower_head(body: &[u8], length: usize) -> String {
    String::from_utf8_lossy(&body[..body.len().min(length)]).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NGINX_403: &str = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

    fn page(status: u16, content_type: &str, body: &str) -> Page {
        Page {
            status,
            content_type: content_type.to_owned(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_block_is_never_taken_for_a_document() {
        let blocks = [
            (page(429, "text/plain", "Rate exceeded."), Expect::Atom),
            (page(200, "text/plain", "Rate exceeded."), Expect::Atom),
            (
                page(
                    200,
                    "text/html",
                    "<!DOCTYPE html><title>Verifying your browser | OpenReview</title>",
                ),
                Expect::Json,
            ),
            (
                page(200, "application/pdf", "  <html><body>captcha"),
                Expect::Pdf,
            ),
            (
                page(200, "text/html; charset=utf-8", "<body>hello"),
                Expect::Atom,
            ),
            (
                page(503, "text/html", "<html>Just a moment...</html>"),
                Expect::Json,
            ),
            (
                page(403, "text/html", "<html>verify you are human</html>"),
                Expect::Pdf,
            ),
            (page(403, "application/json", "{}"), Expect::Json),
            (
                page(200, "text/html", "<title>Just a moment...</title>"),
                Expect::Html,
            ),
            (
                page(200, "text/html", "<title>Just a moment...</title>"),
                Expect::Robots,
            ),
            (page(200, "text/plain", "Too many requests"), Expect::Html),
            (page(403, "text/html", "<html>Forbidden"), Expect::Html),
            (page(403, "text/html", NGINX_403), Expect::Pdf),
            (page(401, "text/html", NGINX_403), Expect::Pdf),
            (page(403, "", ""), Expect::Pdf),
            (page(403, "text/plain", "Forbidden"), Expect::Pdf),
            (page(403, "application/json", "{\"cut"), Expect::Pdf),
            (page(403, "application/json", "\"Forbidden\""), Expect::Pdf),
        ];
        for (page, expect) in blocks {
            assert_eq!(of(&page, expect), Verdict::Blocked, "{page:?}");
        }
    }

    #[test]
    fn what_a_site_does_not_have_is_not_a_block() {
        let html = "<!DOCTYPE html><title>404 Not Found</title>";
        assert_eq!(
            of(&page(404, "text/html", html), Expect::Pdf),
            Verdict::Missing
        );
        let closed = page(403, "application/json", r#"{"name":"ForbiddenError"}"#);
        assert_eq!(of(&closed, Expect::Pdf), Verdict::Refused);
        assert_eq!(of(&page(408, "", ""), Expect::Pdf), Verdict::ServerFault);
        assert_eq!(
            of(&page(500, "text/html", "<html>oops"), Expect::Json),
            Verdict::ServerFault
        );
    }

    #[test]
    fn documents_are_recognised_by_their_bytes() {
        let feed = "<?xml version='1.0'?><feed/>";
        assert_eq!(
            of(&page(200, "text/html", feed), Expect::Atom),
            Verdict::Good
        );
        assert_eq!(
            of(&page(400, "application/atom+xml", feed), Expect::Atom),
            Verdict::Good
        );
        assert_eq!(
            of(&page(200, "", "\u{feff} {\"a\":1}"), Expect::Json),
            Verdict::Good
        );
        assert_eq!(
            of(
                &page(200, "text/html", "junk %PDF-1.4 .. %%EOF\n"),
                Expect::Pdf
            ),
            Verdict::Good
        );
    }

    #[test]
    fn words_of_refusal_in_data_are_only_words() {
        let list = r#"{"results":[{"name":"Too many requests: a study of rate limits"}]}"#;
        assert_eq!(
            of(&page(200, "application/json", list), Expect::Json),
            Verdict::Good
        );
        let rules = "# Mind the rate limit.\nUser-agent: *\nDisallow: /x";
        assert_eq!(
            of(&page(200, "text/plain", rules), Expect::Robots),
            Verdict::Good
        );
    }

    #[test]
    fn robots_rules_that_are_closed_or_a_home_page_are_no_rules_and_no_block() {
        for (status, verdict) in [(403, Verdict::Refused), (200, Verdict::Good)] {
            let home = page(status, "text/html", "<!DOCTYPE html><title>Welcome</title>");
            assert_eq!(of(&home, Expect::Robots), verdict);
        }
        assert_eq!(of(&page(200, "", ""), Expect::Robots), Verdict::Good);
    }

    #[test]
    fn a_page_for_people_begins_as_one() {
        for good in [
            "<!DOCTYPE html><p>x",
            "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"x\">",
            " <div>x</div>",
        ] {
            assert_eq!(
                of(&page(200, "text/html", good), Expect::Html),
                Verdict::Good,
                "{good}"
            );
        }
        for bad in ["", "{}", "oops"] {
            let verdict = of(&page(200, "text/html", bad), Expect::Html);
            assert!(matches!(verdict, Verdict::Misfit(_)), "{bad}");
        }
    }

    #[test]
    fn a_truncated_or_empty_body_is_a_misfit() {
        let cut = page(200, "application/pdf", "%PDF-1.7 and then nothing");
        assert!(matches!(of(&cut, Expect::Pdf), Verdict::Misfit(_)));
        assert!(matches!(
            of(&page(200, "", " \n"), Expect::Json),
            Verdict::Misfit(_)
        ));
        assert!(matches!(
            of(&page(200, "", "oops"), Expect::Json),
            Verdict::Misfit(_)
        ));
    }
}
