//! An answer as bytes: read up to a limit, decompressed, with the pause the server asks for.

use std::io::Read;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use url::Url;

use super::error::{Failure, HttpError};
use super::{Expect, Page};

/// Reads the rest of an answer, and the pause it asks for.
pub(super) async fn read(
    url: &Url,
    mut response: reqwest::Response,
    expect: Expect,
) -> Result<(Page, Option<Duration>), Failure> {
    let asked_pause = asked_pause(response.headers());
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type =
        content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let status = response.status().as_u16();
    let body = body(url, &mut response, expect).await?;
    let page = Page {
        status,
        content_type: content_type.unwrap_or_default(),
        body: gunzip(url, body, expect)?,
    };
    Ok((page, asked_pause))
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
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let limit = expect.limit_bytes();
    let mut plain = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(body.as_slice());
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
/// once nothing remains.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        let pause = date.with_timezone(&chrono::Utc) - chrono::Utc::now();
        return Some(pause.to_std().unwrap_or_default());
    }
    let is_used_up = text("ratelimit-remaining").is_some_and(|remaining| remaining == "0");
    let seconds = text("ratelimit-reset")
        .filter(|_| is_used_up)?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_ask_for_a_pause_in_three_ways() {
        let headers = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(
            asked_pause(&headers("retry-after", "7")),
            Some(Duration::from_secs(7))
        );
        let past = headers("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(asked_pause(&past), Some(Duration::ZERO));
        let mut used_up = headers("ratelimit-reset", "9");
        assert_eq!(asked_pause(&used_up), None);
        used_up.insert("ratelimit-remaining", "0".parse().unwrap());
        assert_eq!(asked_pause(&used_up), Some(Duration::from_secs(9)));
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
