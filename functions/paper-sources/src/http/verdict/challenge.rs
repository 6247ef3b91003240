//! Whether a page holds programs off instead of being what was asked for.
//!
//! A challenge has little to say and says it in its title, or holds the widget that people are to
//! click. A paper's page may speak of captchas at any length: its words are text, never the title's
//! beginning nor markup, and it carries the bibliographic tags of its publisher or more text than any
//! challenge. Seen: OpenReview's challenge is a title and a script; arXiv's is a form with a widget and
//! 900 characters of text; the shortest recorded page of a paper has 200.

/// What titles of challenges begin with, in lower case.
const TITLES: [&str; 14] = [
    "verifying your browser",
    "just a moment",
    "checking your browser",
    "attention required",
    "access denied",
    "access to this page has been denied",
    "are you a robot",
    "are you human",
    "robot check",
    "security check",
    "human verification",
    "one more step",
    "pardon our interruption",
    "ddos-guard",
];

/// What titles and texts of challenges hold, in lower case.
const WORDS: [&str; 12] = [
    "verifying your browser",
    "checking your browser",
    "verify you are human",
    "verify that you are human",
    "you are not a robot",
    "automated access",
    "unusual traffic",
    "unusual download activity",
    "access denied",
    "just a moment",
    "complete the security check",
    "enable javascript and cookies",
];

/// Markup of the widgets, in lower case. Cloudflare also puts scripts into pages that it lets through,
/// which is why its host's name alone is not among them.
const WIDGETS: [&str; 11] = [
    "g-recaptcha",
    "recaptcha/api.js",
    "h-captcha",
    "hcaptcha.com",
    "cf-turnstile",
    "challenges.cloudflare.com/turnstile",
    "_cf_chl_opt",
    "orchestrate/chl_page",
    "captcha-delivery.com",
    "px-captcha",
    "awswafcaptcha",
];

/// Text of a challenge, in characters, is never longer.
const MOST_TEXT: usize = 2_000;
/// A page with a widget and less text than this has nothing else.
const NO_TEXT: usize = 300;
/// Bytes of a challenge, scripts included, are never more.
const MOST_BYTES: usize = 512 * 1024;

/// True for a page that came with success and yet is a challenge.
pub(super) fn stands_in(body: &[u8]) -> bool {
    Parts::of(body).is_some_and(|page| {
        page.has_title_of_challenge()
            || page.has_widget() && (page.text_length() < NO_TEXT || page.has_words())
    })
}

/// True for a page of an error that is one of the blocks' kind: here words are enough, since there is
/// no document that they could belong to.
pub(super) fn refuses(body: &[u8]) -> bool {
    Parts::of(body)
        .is_some_and(|page| page.has_title_of_challenge() || page.has_widget() || page.has_words())
}

/// A page apart, in lower case.
struct Parts {
    title: String,
    /// Tags with their attributes, and what scripts hold.
    markup: String,
    /// What a reader sees, white space collapsed.
    text: String,
}

impl Parts {
    /// `None` for a page that is too long for a challenge, or has a publisher's bibliographic tags.
    fn of(body: &[u8]) -> Option<Self> {
        if body.len() > MOST_BYTES {
            return None;
        }
        let page = String::from_utf8_lossy(body).to_lowercase();
        let (markup, text) = split(&page);
        let parts = Self {
            title: title_of(&page),
            markup,
            text,
        };
        let is_paper =
            parts.markup.contains("name=\"citation_") || parts.markup.contains("name='citation_");
        (!is_paper && parts.text_length() <= MOST_TEXT).then_some(parts)
    }

    fn text_length(&self) -> usize {
        self.text.chars().count()
    }

    fn has_title_of_challenge(&self) -> bool {
        TITLES.iter().any(|start| self.title.starts_with(start))
            || WORDS[..6].iter().any(|words| self.title.contains(words))
    }

    fn has_widget(&self) -> bool {
        WIDGETS.iter().any(|widget| self.markup.contains(widget))
    }

    fn has_words(&self) -> bool {
        WORDS.iter().any(|words| self.text.contains(words))
    }
}

fn title_of(page: &str) -> String {
    let title = page.split_once("<title").and_then(|(_, rest)| {
        let (_, rest) = rest.split_once('>')?;
        Some(rest.split('<').next().unwrap_or_default())
    });
    collapsed(title.unwrap_or_default())
}

/// Divides a page into markup and text. A bare `<` of maths is text, as browsers take it.
fn split(page: &str) -> (String, String) {
    let (mut markup, mut text) = (String::new(), String::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        let tag = &rest[start..];
        if !tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
        {
            text.push('<');
            rest = &tag[1..];
            continue;
        }
        let end = end_of(tag);
        markup.push_str(&tag[..end]);
        text.push(' ');
        rest = &tag[end..];
    }
    text.push_str(rest);
    (markup, collapsed(&text))
}

/// Where a tag ends; a comment, a script, a style or a title with what is in it.
fn end_of(tag: &str) -> usize {
    let after = |mark: &str| tag.find(mark).map(|at| at + mark.len());
    let whole = [
        ("<!--", "-->"),
        ("<script", "</script>"),
        ("<style", "</style>"),
        ("<title", "</title>"),
    ];
    let block = whole.iter().find(|(start, _)| tag.starts_with(start));
    let end = block.map_or_else(|| after(">"), |(_, end)| after(end));
    end.unwrap_or(tag.len())
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDY: &str = "We break every captcha, Turnstile included, and verify you are human. ";

    #[test]
    fn a_challenge_is_known_by_its_title_or_its_widget() {
        for page in [
            "<!DOCTYPE html><html><head><title>Verifying your browser | OpenReview</title></head><body>…</body></html>",
            "<title>\n Just a moment... </title><noscript>Enable JavaScript and cookies to continue</noscript>",
            "<html><title>Just a Moment",
            "<title>arXiv.org - Automated Access Detected</title><p>x",
            "<body><h1>Automated Access Detected</h1><div class=\"g-recaptcha\"></div></body>",
            "<html><body><script src='https://challenges.cloudflare.com/turnstile/v0/api.js'></script></body>",
            "<html><script>window._cf_chl_opt={cvId:'3'}</script>",
        ] {
            assert!(stands_in(page.as_bytes()), "{page}");
        }
    }

    #[test]
    fn a_page_that_speaks_of_captchas_is_none() {
        let text = WORDY.repeat(10);
        for page in [
            format!("<html><title>Breaking CAPTCHAs at Scale</title><p class=abstract>{text}</p>"),
            // Cloudflare's script in a page that it lets through.
            format!(
                "<title>A paper</title><p>{text}<script src=/cdn-cgi/challenge-platform/scripts/jsd/main.js></script>"
            ),
            // A form with a widget below a long text.
            format!(
                "<title>A list</title><p>{}<form><div class=\"h-captcha\"></div></form>",
                WORDY.repeat(40)
            ),
            // Markup quoted in a text is text.
            "<title>A paper</title><p>&lt;div class=\"g-recaptcha\"&gt;</p>".to_owned(),
            // A title that begins as a challenge's does.
            format!(
                "<title>Just a Moment: Attention in Time</title><meta name=\"citation_title\" content=\"x\">{text}"
            ),
            "<p>where $W<d$ and a < b</p>".to_owned(),
        ] {
            assert!(!stands_in(page.as_bytes()), "{page}");
        }
    }

    #[test]
    fn an_errors_page_needs_only_the_words() {
        assert!(refuses(b"<html>Please verify you are human</html>"));
        assert!(refuses(b"<html><h1>Access denied</h1>"));
        assert!(!refuses(b"<html><h1>502 Bad Gateway</h1>"));
        assert!(!stands_in(b"<html>Please verify you are human</html>"));
    }

    #[test]
    fn any_bytes_can_be_divided() {
        for page in [
            "",
            "<",
            "<<<",
            "a<",
            "<script",
            "<!--",
            "<\u{131}>",
            "\u{fffd}<é>",
        ] {
            let (markup, text) = split(page);
            assert!(markup.len() + text.len() <= page.len() + 2, "{page}");
        }
    }
}
