//! From lines to sections.

use std::collections::HashMap;

use crate::headings::{self, Heading};
use crate::paper::{Section, SectionKind};
use crate::wire::{Line, Page};

/// Most lines of an algorithm's box.
const BOX_LINES: usize = 80;
/// A step down by so many ems begins a paragraph, and ends an algorithm's box.
const PARAGRAPH: f32 = 1.75;
const BOX_END: f32 = 2.6;

/// The sections of a paper without its furniture.
pub(crate) fn of(pages: &[Page]) -> Vec<Section> {
    let mut writer = Writer::new(body_size(pages));
    for page in pages {
        writer.begin_page();
        for line in &page.lines {
            writer.line(line);
        }
    }
    writer.finish()
}

/// The font size of most characters.
fn body_size(pages: &[Page]) -> f32 {
    let mut n_characters: HashMap<u32, usize> = HashMap::new();
    for line in pages.iter().flat_map(|page| &page.lines) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's cast saturates"
        )]
        let size = (line.size * 4.0).round() as u32;
        *n_characters.entry(size).or_default() += line.text.len();
    }
    let most = n_characters.into_iter().max_by_key(|(size, n)| (*n, *size));
    #[allow(clippy::cast_precision_loss, reason = "points of a font")]
    let size = most.map_or(10.0, |(size, _)| size as f32 / 4.0);
    size
}

struct Writer {
    body: f32,
    done: Vec<Section>,
    open: Section,
    /// Algorithms in their boxes within the open section, which goes on around them.
    boxes: Vec<Section>,
    /// Lines of the box that is being written.
    in_box: Option<usize>,
    above: Option<Line>,
    /// Whether the line above is the open section's heading, which may go on.
    heading: bool,
    place: Place,
}

/// How far the paper has come.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// What the section is about that the next heading may be within.
    parent: SectionKind,
    begun: bool,
    experiments: bool,
    appendix: bool,
}

impl Writer {
    fn new(body: f32) -> Self {
        Self {
            body,
            done: Vec::new(),
            open: section(String::new(), SectionKind::Front),
            boxes: Vec::new(),
            in_box: None,
            above: None,
            heading: false,
            place: Place {
                parent: SectionKind::Front,
                begun: false,
                experiments: false,
                appendix: false,
            },
        }
    }

    fn begin_page(&mut self) {
        self.above = None;
        self.in_box = None;
    }

    fn line(&mut self, line: &Line) {
        if let Some(title) = headings::algorithm(line) {
            self.boxes.push(section(title, SectionKind::Algorithm));
            self.in_box = Some(0);
            self.heading = false;
        } else if let Some(heading) = self.heading(line) {
            self.begin(heading);
        } else if self.goes_on_as_heading(line) {
            self.open.title.push(' ');
            self.open.title.push_str(line.text.trim());
        } else {
            self.text(line);
        }
        self.above = Some(line.clone());
    }

    /// The heading that a line is at this place: in front of the first, large print is the title, and letters
    /// number sections behind the bibliography only.
    fn heading(&self, line: &Line) -> Option<Heading> {
        let heading = headings::of(line, self.body)?;
        let letters = self.place.appendix || self.open.kind == SectionKind::References;
        if heading.lettered && !letters {
            return None;
        }
        let beginning = matches!(
            heading.kind,
            Some(SectionKind::Abstract | SectionKind::Introduction)
        );
        let first = beginning || heading.title.starts_with(|c: char| c.is_ascii_digit());
        (self.place.begun || first).then_some(heading)
    }

    fn goes_on_as_heading(&self, line: &Line) -> bool {
        let Some(above) = self.above.as_ref().filter(|_| self.heading) else {
            return false;
        };
        let step = above.y - line.y;
        let same = (above.size - line.size).abs() < 0.3 && above.bold == line.bold;
        let stands_out = line.bold || line.size > 1.07 * self.body;
        same && stands_out && step > 0.0 && step < 1.6 * line.size && self.open.title.len() < 200
    }

    fn begin(&mut self, heading: Heading) {
        self.close();
        let kind = self.place.kind(&heading);
        self.open = section(heading.title, kind);
        self.open.text = heading.rest;
        self.heading = self.open.text.is_empty();
        self.in_box = None;
    }

    fn text(&mut self, line: &Line) {
        self.heading = false;
        let step = self.above.as_ref().map_or(0.0, |above| above.y - line.y);
        if let Some(n_lines) = self.in_box {
            let ends = n_lines >= BOX_LINES || step > BOX_END * line.size || step < -line.size;
            self.in_box = (!ends).then_some(n_lines + 1);
        }
        let target = match (self.in_box, self.boxes.last_mut()) {
            (Some(_), Some(section)) => section,
            _ => &mut self.open,
        };
        append(
            &mut target.text,
            line.text.trim(),
            step > PARAGRAPH * line.size,
        );
    }

    fn close(&mut self) {
        let open = std::mem::replace(&mut self.open, section(String::new(), SectionKind::Front));
        if !open.title.is_empty() || !open.text.is_empty() {
            self.done.push(open);
        }
        self.done.append(&mut self.boxes);
    }

    fn finish(mut self) -> Vec<Section> {
        self.close();
        self.done
    }
}

impl Place {
    /// What the section of the next heading is about.
    fn kind(&mut self, heading: &Heading) -> SectionKind {
        use SectionKind::{Appendix, Background, Experiments, Front, Introduction};
        use SectionKind::{Method, References, Related, Statements};
        self.begun = true;
        self.appendix |= heading.lettered
            || heading.kind == Some(Appendix)
            || self.parent == References && heading.kind.is_none();
        let unnamed = match self.parent {
            _ if self.appendix => Appendix,
            // The points of a check list.
            Statements => Statements,
            _ if self.experiments => Experiments,
            _ => Method,
        };
        if heading.level > 1 {
            // What is said of other people's work is theirs.
            let is_others = matches!(self.parent, Introduction | Background | Related);
            let own = heading.kind.filter(|_| !is_others);
            return own.unwrap_or(if self.parent == Front {
                unnamed
            } else {
                self.parent
            });
        }
        self.parent = heading.kind.unwrap_or(unnamed);
        self.experiments |= self.parent == Experiments;
        self.parent
    }
}

fn section(title: String, kind: SectionKind) -> Section {
    Section {
        title,
        kind,
        text: String::new(),
    }
}

/// Adds a line; what the line above broke is one word again.
fn append(text: &mut String, line: &str, new_paragraph: bool) {
    if line.is_empty() {
        return;
    }
    if is_broken(text, line) {
        let word = text.rsplit(char::is_whitespace).next().unwrap_or_default();
        let has_own_hyphen = word.trim_end_matches('-').contains('-');
        if !has_own_hyphen {
            text.pop();
        }
    } else if !text.is_empty() {
        text.push_str(if new_paragraph { "\n\n" } else { "\n" });
    }
    text.push_str(line);
}

/// Whether the text ends within a word that the line goes on with.
fn is_broken(text: &str, line: &str) -> bool {
    let before = text
        .strip_suffix('-')
        .and_then(|text| text.chars().next_back());
    before.is_some_and(char::is_lowercase) && line.starts_with(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of one page, each with its size, 12 points under each other; an empty one is room.
    fn sections(lines: &[(&str, f32)]) -> Vec<Section> {
        let lines = lines
            .iter()
            .enumerate()
            .filter(|(_, (text, _))| !text.is_empty());
        let lines = lines.map(|(place, (text, size))| Line {
            text: (*text).to_owned(),
            x: 72.0,
            y: 700.0 - 12.0 * place as f32,
            size: *size,
            bold: *size > 10.0,
            upright: true,
        });
        let lines = lines.collect();
        of(&[Page {
            height: 792.0,
            lines,
        }])
    }

    fn kinds(sections: &[Section]) -> Vec<(&str, SectionKind)> {
        let kinds = sections
            .iter()
            .map(|section| (section.title.as_str(), section.kind));
        kinds.collect()
    }

    const TEXT: (&str, f32) = (
        "a sentence of the text that is long enough to tell its size",
        10.0,
    );

    #[test]
    fn a_paper_falls_into_its_sections() {
        use SectionKind as K;
        let sections = sections(&[
            ("A Method for Everything", 17.0),
            ("Some Author", 10.0),
            ("Abstract", 12.0),
            TEXT,
            ("1 Introduction", 12.0),
            TEXT,
            ("2 Related Work", 12.0),
            TEXT,
            ("3 The Everything Machine", 12.0),
            TEXT,
            ("3.1 Attention", 11.0),
            TEXT,
            ("4 Training", 12.0),
            TEXT,
            ("5 Experiments", 12.0),
            ("5.1 Implementation details", 11.0),
            TEXT,
            ("5.2 Images", 11.0),
            TEXT,
            ("6 Conclusion", 12.0),
            TEXT,
            ("Acknowledgments", 12.0),
            TEXT,
            ("References", 12.0),
            TEXT,
            ("A Proof of Lemma 1", 12.0),
            TEXT,
            ("B Hyperparameters", 12.0),
            TEXT,
            ("C More", 12.0),
            TEXT,
        ]);
        assert_eq!(
            kinds(&sections),
            [
                ("", K::Front),
                ("Abstract", K::Abstract),
                ("1 Introduction", K::Introduction),
                ("2 Related Work", K::Related),
                ("3 The Everything Machine", K::Method),
                ("3.1 Attention", K::Method),
                ("4 Training", K::Settings),
                ("5 Experiments", K::Experiments),
                ("5.1 Implementation details", K::Settings),
                ("5.2 Images", K::Experiments),
                ("6 Conclusion", K::Conclusion),
                ("Acknowledgments", K::Statements),
                ("References", K::References),
                ("A Proof of Lemma 1", K::Proofs),
                ("B Hyperparameters", K::Settings),
                ("C More", K::Appendix),
            ]
        );
        assert_eq!(sections[0].text, "A Method for Everything\nSome Author");
    }

    #[test]
    fn an_algorithm_is_a_section_of_its_own_and_its_section_goes_on() {
        let sections = sections(&[
            ("1 Method", 12.0),
            ("We show it in", 10.0),
            ("Algorithm 1: Adam", 10.0),
            ("Require: a step size", 10.0),
            ("return the parameters", 10.0),
            ("", 0.0),
            ("", 0.0),
            ("our box above.", 10.0),
        ]);
        assert_eq!(sections.len(), 2);
        assert_eq!(sections[0].text, "We show it in\n\nour box above.");
        assert_eq!(sections[1].kind, SectionKind::Algorithm);
        assert_eq!(
            sections[1].text,
            "Require: a step size\nreturn the parameters"
        );
    }

    #[test]
    fn broken_words_are_joined_and_hyphens_of_words_stay() {
        let joined = |above: &str, below: &str| {
            let mut text = above.to_owned();
            append(&mut text, below, false);
            text
        };
        assert_eq!(joined("a hyphen-", "ated word"), "a hyphenated word");
        assert_eq!(joined("state-of-the-", "art work"), "state-of-the-art work");
        assert_eq!(joined("the range 1-", "2 of"), "the range 1-\n2 of");
        assert_eq!(joined("of Smith-", "Jones"), "of Smith-\nJones");
    }
}
