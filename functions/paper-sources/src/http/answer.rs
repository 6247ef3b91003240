//! An answer as bytes: read up to a limit, decompressed, with the pause the server asks for.

use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use url::Url;

use super::encoding::to_utf8;
use super::error::{Failure, HttpError};
use super::hosts::LONGEST_REST;
use super::{Expect, Page};

/// Reads the rest of an answer, and the pause it asks for.
pub(super) async fn read(
    url: &Url,
    mut response: reqwest::Response,
    expect: Expect,
) -> Result<(Page, Option<Duration>), Failure> {
    let said_in_headers = said_in_headers(response.headers());
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type =
        content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let content_type = content_type.unwrap_or_default();
    let status = response.status().as_u16();
    let is_document = response.status().is_success() || (status == 400 && expect == Expect::Atom);
    let body = if is_document {
        let body = body(url, &mut response, expect).await?;
        let body = gunzip(url, body, expect)?;
        to_utf8(body, &content_type, expect).map_err(|reason| unreadable(url, &reason))?
    } else {
        words(&mut response).await
    };
    let page = Page {
        status,
        content_type,
        body,
    };
    let asked_pause = said_in_headers.or_else(|| said_in_words(&page));
    Ok((page, asked_pause.map(|pause| pause.min(LONGEST_REST))))
}

/// What is not text in the encoding it declares may be on its way, like what is cut short.
fn unreadable(url: &Url, reason: &str) -> Failure {
    Failure::again(HttpError::Unreadable {
        url: url.to_string(),
        reason: reason.to_owned(),
    })
}

/// Reads the body; one over the limit is refused, or cut where [`Expect`] says so.
async fn body(
    url: &Url,
    response: &mut reqwest::Response,
    expect: Expect,
) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let chunk = |error| Failure::network(url, &error);
    while let Some(chunk) = response.chunk().await.map_err(chunk)? {
        body.extend_from_slice(&chunk);
        if body.len() > expect.limit_bytes() {
            return cut(url, body, expect);
        }
    }
    Ok(body)
}

/// Reads what comes with a status that says enough by itself: as much of it as there is. A block
/// stays one when its page is cut short, damaged or endless.
async fn words(response: &mut reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_WORDS {
            break;
        }
    }
    if !body.starts_with(GZIP) {
        return body;
    }
    let mut plain = Vec::new();
    let mut reader = MultiGzDecoder::new(body.as_slice()).take(MOST_WORDS as u64);
    // Damage ends the text.
    let _ = reader.read_to_end(&mut plain);
    plain
}

/// Bytes of a page that comes with a refusal or a fault which are enough to know it by.
const MOST_WORDS: usize = 1 << 20;
/// How gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// What becomes of a body over the limit.
fn cut(url: &Url, mut body: Vec<u8>, expect: Expect) -> Result<Vec<u8>, Failure> {
    let limit = expect.limit_bytes();
    if expect != Expect::Robots {
        return Err(Failure::last(HttpError::TooLarge {
            url: url.to_string(),
            limit,
        }));
    }
    // One byte more tells the reader of robots rules whether the last line is whole.
    body.truncate(limit + 1);
    Ok(body)
}

/// Decompresses what is gzip, whatever the headers say; a bomb stops at the limit.
fn gunzip(url: &Url, body: Vec<u8>, expect: Expect) -> Result<Vec<u8>, Failure> {
    if !body.starts_with(GZIP) {
        return Ok(body);
    }
    let limit = expect.limit_bytes();
    let mut plain = Vec::new();
    let reader = MultiGzDecoder::new(body.as_slice());
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| {
            let reason = format!("the gzip stream is damaged: {error}");
            Failure::again(HttpError::Network {
                url: url.to_string(),
                reason,
            })
        })?;
    if plain.len() > limit {
        return cut(url, plain, expect);
    }
    Ok(plain)
}

/// The pause a server asks for: `Retry-After` in either form, else OpenReview's `ratelimit-reset`
/// once nothing remains. A pause of nothing is none.
fn said_in_headers(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let retry_after =
        text(RETRY_AFTER.as_str()).and_then(|value| seconds(value).or_else(|| until(value)));
    let is_used_up = text("ratelimit-remaining").is_some_and(|remaining| remaining == "0");
    let reset = text("ratelimit-reset").filter(|_| is_used_up);
    let pause = retry_after.or_else(|| reset.and_then(seconds));
    pause.filter(|pause| !pause.is_zero())
}

/// A number of seconds; one too large for a number is the largest.
fn seconds(digits: &str) -> Option<Duration> {
    number(digits).map(Duration::from_secs)
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The time until a date; none when it is past.
fn until(date: &str) -> Option<Duration> {
    let date = chrono::DateTime::parse_from_rfc2822(date).ok()?;
    let pause = date.to_utc().signed_duration_since(chrono::Utc::now());
    Some(pause.to_std().unwrap_or_default())
}

/// OpenReview's words in its 429: `Please try again in 30 minutes and 8 seconds`. Nothing else's words
/// are read, since any text can hold such.
fn said_in_words(page: &Page) -> Option<Duration> {
    if page.status != 429 || !page.body.starts_with(b"{") {
        return None;
    }
    let head = String::from_utf8_lossy(&page.body[..page.body.len().min(WORDS_WITHIN)]);
    let (_, rest) = head.split_once("Please try again in ")?;
    let is_mark = |c: char| !c.is_ascii_alphanumeric();
    let mut words = rest
        .split_whitespace()
        .map(|word| word.trim_end_matches(is_mark))
        .filter(|word| *word != "and");
    let mut pause = 0_u64;
    while let (Some(count), Some(unit)) = (words.next().and_then(number), words.next()) {
        let seconds = match unit {
            "hour" | "hours" => 3600,
            "minute" | "minutes" => 60,
            "second" | "seconds" => 1,
            _ => break,
        };
        pause = pause.saturating_add(count.saturating_mul(seconds));
    }
    (pause > 0).then_some(Duration::from_secs(pause))
}

/// Bytes of a refusal among which its words are.
const WORDS_WITHIN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(reqwest::header::HeaderName, reqwest::header::HeaderValue)>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn headers_can_ask_for_a_pause_in_three_ways() {
        let said = |pairs: &[(&'static str, &str)]| said_in_headers(&headers(pairs));
        let secs = |n| Some(Duration::from_secs(n));
        assert_eq!(said(&[("retry-after", "7")]), secs(7));
        let past = ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(said(&[past]), None);
        let reset = ("ratelimit-reset", "9");
        assert_eq!(said(&[reset]), None);
        let used_up = ("ratelimit-remaining", "0");
        assert_eq!(said(&[reset, used_up]), secs(9));
        let junk = ("retry-after", "soon");
        assert_eq!(said(&[junk, reset, used_up]), secs(9));
        for nothing in ["0", "-1", "", "１", "1.5"] {
            assert_eq!(said(&[("retry-after", nothing)]), None, "{nothing}");
        }
    }

    #[test]
    fn a_pause_may_be_absurd() {
        for absurd in [
            "99999999",
            "18446744073709551615",
            "18446744073709551616000",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            let pause = said_in_headers(&headers(&[("retry-after", absurd)])).unwrap();
            assert!(pause > LONGEST_REST, "{absurd}");
        }
    }

    #[test]
    fn openreviews_words_are_a_pause_in_a_429_only() {
        let page = |status, body: &str| Page {
            status,
            content_type: "application/json".to_owned(),
            body: body.as_bytes().to_vec(),
        };
        let said = |wait: &str| {
            let body = format!(
                r#"{{"name":"RateLimitError","message":"Too many requests: You have made 102 requests, surpassing the limit of 98 requests. Please try again in {wait}"}}"#
            );
            said_in_words(&page(429, &body)).map(|pause| pause.as_secs())
        };
        for (wait, seconds) in [
            ("30 minutes and 8 seconds (2026-09-27-8520693)", Some(1808)),
            ("1 minute and 1 second.", Some(61)),
            ("2 hours, 5 minutes and 1 second", Some(7501)),
            ("12 seconds", Some(12)),
            ("99999999999999999999999 hours", Some(u64::MAX)),
            ("a moment", None),
            ("-5 seconds", None),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(said(wait), seconds, "{wait}");
        }
        let words = r#"{"message":"Please try again in 8 seconds"}"#;
        assert!(said_in_words(&page(429, words)).is_some());
        assert_eq!(said_in_words(&page(403, words)), None);
        assert_eq!(said_in_words(&page(200, words)), None);
        assert_eq!(
            said_in_words(&page(429, "Please try again in 8 seconds")),
            None
        );
    }

    fn pack(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_read_whatever_the_headers_say_and_a_bomb_is_not() {
        let url = Url::parse("http://a.example/").unwrap();
        let packed = pack(b"{}");
        let plain = gunzip(&url, packed.clone(), Expect::Json).ok().unwrap();
        assert_eq!(plain, b"{}");
        let bomb = pack(&vec![0; Expect::Atom.limit_bytes() + 1]);
        let refused = gunzip(&url, bomb, Expect::Atom).err().unwrap();
        assert!(matches!(*refused.error, HttpError::TooLarge { .. }));
        let cut = packed[..packed.len() - 4].to_vec();
        let damaged = gunzip(&url, cut, Expect::Json).err().unwrap();
        assert!(damaged.retry && damaged.error.to_string().contains("gzip stream is damaged"));
    }

    #[test]
    fn robots_rules_are_cut_at_their_limit_instead_of_refused() {
        let url = Url::parse("http://a.example/robots.txt").unwrap();
        let long = pack(&vec![b'#'; 1 << 20]);
        let rules = gunzip(&url, long, Expect::Robots).ok().unwrap();
        assert_eq!(rules.len(), robotxt::BYTE_LIMIT + 1);
    }
}
