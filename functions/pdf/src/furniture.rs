//! What is on a page and not of the paper: headers, footers, page and line numbers, stamps, notices.

use std::collections::{HashMap, HashSet};

use crate::wire::{Line, Page};

/// Part of a page's height at its top and bottom where headers and footers are.
const MARGIN: f32 = 0.095;
/// Part of the first page, from its bottom, where notices are.
const NOTICES: f32 = 0.3;
/// As many pure numbers on a page are line numbers.
const MANY_NUMBERS: usize = 20;

/// Takes it all out.
pub(crate) fn remove(pages: &mut [Page]) {
    let repeated = repeated(pages);
    for (place, page) in pages.iter_mut().enumerate() {
        let height = page.height;
        let numbers = line_numbers(&page.lines);
        page.lines.retain(|line| {
            let in_margin = is_in_margin(line, height);
            let is_furniture = in_margin
                && (is_page_number(&line.text) || repeated.contains(&pattern(&line.text)));
            let is_line_number = is_number(&line.text) && numbers.contains(&column(line));
            !is_furniture && !is_line_number && !is_stamp(line)
        });
        if place == 0 {
            remove_notices(page);
        }
    }
}

fn is_in_margin(line: &Line, height: f32) -> bool {
    line.y < MARGIN * height || line.y > (1.0 - MARGIN) * height
}

/// What stands in the margins of several pages, numbers aside.
fn repeated(pages: &[Page]) -> HashSet<String> {
    let mut n_pages: HashMap<String, usize> = HashMap::new();
    for page in pages {
        let in_margin = |line: &&Line| is_in_margin(line, page.height);
        let patterns = page.lines.iter().filter(in_margin);
        let patterns: HashSet<String> = patterns.map(|line| pattern(&line.text)).collect();
        for pattern in patterns {
            *n_pages.entry(pattern).or_default() += 1;
        }
    }
    let enough = if pages.len() < 5 { 2 } else { 3 };
    n_pages.retain(|_, n| *n >= enough);
    n_pages.into_keys().collect()
}

/// A line with one sign for any number.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.trim().chars() {
        if !character.is_ascii_digit() {
            pattern.extend(character.to_lowercase());
        } else if !pattern.ends_with('#') {
            pattern.push('#');
        }
    }
    pattern
}

fn is_page_number(text: &str) -> bool {
    let pattern = pattern(text);
    matches!(
        pattern.as_str(),
        "#" | "page #" | "# / #" | "page # of #" | "- # -" | "#/#" | "p. #"
    )
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where a line begins, so coarsely that numbers under each other are one.
fn column(line: &Line) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "a float's cast saturates")]
    let column = (line.x / 12.0).round() as i32;
    column
}

/// Columns with the line numbers that papers under review have.
fn line_numbers(lines: &[Line]) -> HashSet<i32> {
    let mut n_numbers: HashMap<i32, usize> = HashMap::new();
    for line in lines.iter().filter(|line| is_number(&line.text)) {
        *n_numbers.entry(column(line)).or_default() += 1;
    }
    n_numbers.retain(|_, n| *n >= MANY_NUMBERS);
    n_numbers.into_keys().collect()
}

/// arXiv prints its identifier up the first page's side.
fn is_stamp(line: &Line) -> bool {
    !line.upright && line.text.trim_start().starts_with("arXiv:")
}

/// Takes out the first page's notices of the publisher: each goes on to the end of its block.
fn remove_notices(page: &mut Page) {
    let mut kept = Vec::with_capacity(page.lines.len());
    let mut notice: Option<Line> = None;
    for line in std::mem::take(&mut page.lines) {
        let goes_on = notice.as_ref().is_some_and(|above| {
            let below = above.y - line.y;
            (above.size - line.size).abs() < 0.5 && below > 0.0 && below < 1.6 * line.size
        });
        if goes_on || (line.y < NOTICES * page.height && is_notice(&line.text)) {
            notice = Some(line);
        } else {
            notice = None;
            kept.push(line);
        }
    }
    page.lines = kept;
}

fn is_notice(text: &str) -> bool {
    const BEGINNINGS: [&str; 9] = [
        "proceedings of the",
        "copyright ",
        "\u{a9}",
        "preprint",
        "under review",
        "permission to make digital",
        "published as a",
        "accepted at",
        "to appear in",
    ];
    let text = text.trim().to_lowercase();
    // "31st Conference on Neural Information Processing Systems"
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let ordinal = digits.len() < text.len()
        && [
            "st ", "nd ", "rd ", "th ", "^{st} ", "^{nd} ", "^{rd} ", "^{th} ",
        ]
        .iter()
        .filter_map(|ending| digits.strip_prefix(ending))
        .any(|rest| rest.contains("conference") || rest.contains("workshop"));
    ordinal
        || BEGINNINGS
            .iter()
            .any(|beginning| text.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, y: f32) -> Line {
        Line {
            text: text.to_owned(),
            x: 72.0,
            y,
            size: 10.0,
            bold: false,
            upright: true,
        }
    }

    fn texts(page: &Page) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn headers_and_page_numbers_go_and_text_that_repeats_stays() {
        let mut pages: Vec<Page> = (1..=6)
            .map(|number| Page {
                height: 792.0,
                lines: vec![
                    line(&format!("Published as a paper at ICLR {number}"), 760.0),
                    line("We say the same again.", 400.0),
                    line(&number.to_string(), 30.0),
                ],
            })
            .collect();
        remove(&mut pages);
        assert!(
            pages
                .iter()
                .all(|page| texts(page) == ["We say the same again."]),
            "{pages:?}"
        );
    }

    #[test]
    fn a_stamp_line_numbers_and_notices_go() {
        let mut stamp = line("arXiv:1706.03762v7 [cs.CL] 2 Aug 2023", 300.0);
        stamp.upright = false;
        let mut lines = vec![stamp, line("A sentence of arXiv:1 and others.", 500.0)];
        lines.extend(
            (0..54).map(|number| line(&format!("{number:03}"), 700.0 - 10.0 * number as f32)),
        );
        lines.push(line(
            "31st Conference on Neural Information Processing",
            80.0,
        ));
        lines.push(line("Systems (NIPS 2017), Long Beach, CA, USA.", 70.0));
        let mut pages = vec![Page {
            height: 792.0,
            lines,
        }];
        remove(&mut pages);
        assert_eq!(texts(&pages[0]), ["A sentence of arXiv:1 and others."]);
    }

    #[test]
    fn a_few_numbers_are_a_table() {
        let lines: Vec<Line> = (0..6)
            .map(|n| line(&n.to_string(), 500.0 - n as f32))
            .collect();
        let mut pages = vec![Page {
            height: 792.0,
            lines: lines.clone(),
        }];
        remove(&mut pages);
        assert_eq!(pages[0].lines, lines);
    }
}
