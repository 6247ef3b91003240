//! From glyphs in the order of the file to lines.
//!
//! In: glyphs with their places. Out: lines with spaces where there is room for one, `_` and `^` before what is
//! smaller and lower or higher, accents composed with their letters, and ligatures as letters. Lines keep the
//! file's order: programs that set papers write one column after the other.

use crate::accents;
use crate::wire::Line;

/// A glyph on its page, in points.
#[derive(Debug, Clone)]
pub(crate) struct Glyph {
    pub(crate) text: String,
    /// Where its baseline begins.
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Which way its baseline runs: a unit vector.
    pub(crate) direction: (f64, f64),
    pub(crate) width: f64,
    /// Points of an em.
    pub(crate) size: f64,
    pub(crate) bold: bool,
}

/// Room between two glyphs that is a space, in ems. TeX sets a third and shrinks it to a fifth at least; kerns
/// take a tenth.
const SPACE: f64 = 0.14;
/// Room before or behind a script that is a space.
const SPACE_AT_SCRIPT: f64 = 0.22;
/// How far two glyphs of one line may stand apart, in ems: the columns of a table.
const FAR: f64 = 12.0;
/// How far a baseline may move within a line, in ems of the larger glyph.
const SAME_BASELINE: f64 = 0.1;
const SCRIPT_SHIFT: f64 = 0.75;
/// How far the origin of a hanging symbol may be above or below its line, in ems.
const HANGING_SHIFT: f64 = 1.6;
/// What is smaller than this part of its neighbour is a script where its baseline is another.
const SCRIPT_SIZE: f64 = 0.88;

/// Puts glyphs together.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    lines: Vec<Line>,
    /// Bytes of their texts.
    n_bytes: usize,
    open: Option<Open>,
    /// An accent that may belong to the glyph behind it.
    accent: Option<Glyph>,
}

/// The line that is being written.
#[derive(Debug)]
struct Open {
    line: Line,
    direction: (f64, f64),
    /// The main baseline's distance from the origin.
    baseline: f64,
    size: f64,
    /// Where the last glyph begins and ends along the line.
    last: (f64, f64),
    /// Where the last glyph's text begins in the line's.
    last_byte: usize,
    script: Option<Script>,
    n_bold: usize,
    n_glyphs: usize,
    /// Glyphs that are letters or digits.
    n_letters: usize,
    space: bool,
}

/// A sub- or superscript that is being written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Script {
    /// Behind its mark in the line's text.
    byte: usize,
    /// Where it begins along the line.
    start: f64,
    shift: f64,
}

/// What a glyph is to the line before it.
enum Place {
    Same,
    Script(f64),
    /// A symbol that hangs from the line's top: a root, a large bracket.
    Hanging,
    /// Its neighbours before it were scripts of it, or hang.
    Larger,
    New,
}

impl Layout {
    /// The next glyph of the file.
    pub(crate) fn push(&mut self, mut glyph: Glyph) {
        if let Some(accent) = self.accent.take() {
            match compose_before(&accent, &glyph) {
                Some(text) => glyph.text = text,
                None => self.put(accent),
            }
        }
        if accents::combining(&glyph.text).is_some() {
            if !self.compose_behind(&glyph) {
                self.accent = Some(glyph);
            }
            return;
        }
        self.put(glyph);
    }

    /// Text of the lines so far, in bytes.
    pub(crate) fn n_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.line.text.len());
        self.n_bytes + open
    }

    pub(crate) fn n_lines(&self) -> usize {
        self.lines.len()
    }

    /// All lines.
    pub(crate) fn finish(mut self) -> Vec<Line> {
        if let Some(accent) = self.accent.take() {
            self.put(accent);
        }
        self.close();
        self.lines
    }

    fn put(&mut self, glyph: Glyph) {
        if glyph
            .text
            .chars()
            .all(|c| c.is_whitespace() || c.is_control())
        {
            if let Some(open) = &mut self.open {
                open.space = true;
            }
            return;
        }
        let place = self
            .open
            .as_ref()
            .map_or(Place::New, |open| open.place(&glyph));
        if matches!(place, Place::New) {
            self.close();
            self.open = Some(Open::new(&glyph));
        }
        if let Some(open) = &mut self.open {
            open.add(&glyph, &place);
        }
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.end_script();
            open.line.bold = 2 * open.n_bold > open.n_glyphs;
            #[allow(clippy::cast_possible_truncation, reason = "points of a page")]
            let size = open.size as f32;
            open.line.size = size;
            self.n_bytes += open.line.text.len();
            self.lines.push(open.line);
        }
    }

    /// Whether the accent stands over the last letter, which then has it.
    fn compose_behind(&mut self, accent: &Glyph) -> bool {
        let (Some(open), Some(mark)) = (&mut self.open, accents::combining(&accent.text)) else {
            return false;
        };
        let (along, across) = accent.along(open.direction);
        let middle = along + accent.width / 2.0;
        let (start, end) = open.last;
        let near = (across - open.baseline).abs() < open.size;
        if open.space || !near || middle < start || middle > end {
            return false;
        }
        match accents::composed(&open.line.text[open.last_byte..], mark) {
            Some(text) => {
                open.line.text.truncate(open.last_byte);
                open.line.text.push_str(&text);
                true
            }
            None => false,
        }
    }
}

fn is_word(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// The letter with an accent that the file has before it and the page above it.
fn compose_before(accent: &Glyph, letter: &Glyph) -> Option<String> {
    let mark = accents::combining(&accent.text)?;
    let (accent_at, accent_across) = accent.along(letter.direction);
    let (start, across) = letter.along(letter.direction);
    let middle = accent_at + accent.width / 2.0;
    let over = start - 0.05 * letter.size <= middle && middle <= start + letter.width.max(0.1);
    if !over || (across - accent_across).abs() > letter.size.max(accent.size) {
        return None;
    }
    accents::composed(&letter.text, mark)
}

impl Glyph {
    /// Its place along a baseline of this direction, and across it.
    fn along(&self, (dx, dy): (f64, f64)) -> (f64, f64) {
        (self.x * dx + self.y * dy, self.y * dx - self.x * dy)
    }
}

impl Open {
    fn new(glyph: &Glyph) -> Self {
        let (along, across) = glyph.along(glyph.direction);
        #[allow(clippy::cast_possible_truncation, reason = "points of a page")]
        let (x, y) = (glyph.x as f32, glyph.y as f32);
        Self {
            line: Line {
                x,
                y,
                upright: glyph.direction.0 > 0.99,
                ..Line::default()
            },
            direction: glyph.direction,
            baseline: across,
            size: glyph.size,
            last: (along, along),
            last_byte: 0,
            script: None,
            n_bold: 0,
            n_glyphs: 0,
            n_letters: 0,
            space: false,
        }
    }

    fn place(&self, glyph: &Glyph) -> Place {
        let turned = self.direction.0 * glyph.direction.0 + self.direction.1 * glyph.direction.1;
        if turned < 0.99 {
            return Place::New;
        }
        let (along, across) = glyph.along(self.direction);
        let em = self.size.max(glyph.size);
        let (shift, room) = (across - self.baseline, along - self.last.1);
        let beside = room > -0.35 * em;
        if shift.abs() <= SAME_BASELINE * em && beside && room < FAR * em {
            return Place::Same;
        }
        let near = shift.abs() < SCRIPT_SHIFT * em && room < 0.6 * em;
        // A superscript over a subscript begins where that one began.
        let stacked = self
            .script
            .is_some_and(|script| along >= script.start - 0.1 * em);
        if near && glyph.size < SCRIPT_SIZE * self.size && (beside || stacked) {
            return Place::Script(shift);
        }
        if near && beside && self.size < SCRIPT_SIZE * glyph.size && self.script.is_none() {
            return Place::Larger;
        }
        if shift.abs() < HANGING_SHIFT * em && room < 0.6 * em && beside {
            if self.n_letters == 0 {
                return Place::Larger;
            }
            if !is_word(&glyph.text) && glyph.size >= SCRIPT_SIZE * self.size {
                return Place::Hanging;
            }
        }
        Place::New
    }

    fn add(&mut self, glyph: &Glyph, place: &Place) {
        let (along, across) = glyph.along(self.direction);
        let em = self.size.max(glyph.size);
        let room = along - self.last.1;
        let was_script = self.script;
        match place {
            Place::Script(shift) => self.go_on_as_script(*shift, along),
            Place::Larger => {
                self.baseline = across;
                self.size = glyph.size;
                self.space |= self.n_letters > 0;
            }
            Place::Same | Place::Hanging | Place::New => self.end_script(),
        }
        let enough = if was_script.is_some() || self.script.is_some() {
            SPACE_AT_SCRIPT
        } else {
            SPACE
        };
        let is_new_script = self.script != was_script && self.script.is_some();
        if self.n_glyphs > 0 && !is_new_script && (self.space || room > enough * em) {
            self.line.text.push(' ');
        }
        self.space = false;
        self.last_byte = self.line.text.len();
        self.line.text.push_str(&accents::letters(&glyph.text));
        self.last = (along, along + glyph.width);
        self.n_glyphs += 1;
        self.n_letters += usize::from(is_word(&glyph.text));
        self.n_bold += usize::from(glyph.bold);
    }

    fn go_on_as_script(&mut self, shift: f64, along: f64) {
        let same = |script: Script| script.shift.signum() == shift.signum();
        if self.script.is_some_and(same) {
            return;
        }
        self.end_script();
        self.line.text.push(if shift > 0.0 { '^' } else { '_' });
        self.script = Some(Script {
            byte: self.line.text.len(),
            start: along,
            shift,
        });
    }

    /// Braces around a script of more than one character.
    fn end_script(&mut self) {
        if let Some(script) = self.script.take()
            && self.line.text[script.byte..].chars().nth(1).is_some()
        {
            self.line.text.insert(script.byte, '{');
            self.line.text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyph(text: &str, x: f64, y: f64, size: f64) -> Glyph {
        Glyph {
            text: text.to_owned(),
            x,
            y,
            direction: (1.0, 0.0),
            width: size / 2.0,
            size,
            bold: false,
        }
    }

    fn lines(glyphs: Vec<Glyph>) -> Vec<String> {
        let mut layout = Layout::default();
        glyphs.into_iter().for_each(|glyph| layout.push(glyph));
        layout.finish().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn room_is_a_space_and_another_baseline_a_line() {
        let glyphs = vec![
            glyph("a", 0.0, 0.0, 10.0),
            glyph("b", 5.3, 0.0, 10.0),
            glyph("c", 13.0, 0.0, 10.0),
            glyph("d", 0.0, -12.0, 10.0),
        ];
        assert_eq!(lines(glyphs), ["ab c", "d"]);
    }

    #[test]
    fn scripts_are_marked_and_the_line_goes_on() {
        let glyphs = vec![
            glyph("x", 0.0, 0.0, 10.0),
            glyph("2", 5.0, 4.0, 7.0),
            glyph("i", 5.0, -2.0, 7.0),
            glyph("j", 8.5, -2.0, 7.0),
            glyph("y", 12.5, 0.0, 10.0),
        ];
        assert_eq!(lines(glyphs), ["x^2_{ij}y"]);
    }

    #[test]
    fn a_mark_before_its_line_does_not_part_it() {
        let glyphs = vec![
            glyph("1", 0.0, 4.0, 6.0),
            glyph("W", 3.2, 0.0, 10.0),
            glyph("e", 8.2, 0.0, 10.0),
        ];
        assert_eq!(lines(glyphs), ["1 We"]);
    }

    #[test]
    fn a_root_hangs_in_its_line() {
        let glyphs = vec![
            glyph("a", 0.0, 0.0, 10.0),
            glyph("\u{221a}", 5.0, 8.0, 10.0),
            glyph("b", 10.0, 0.0, 10.0),
        ];
        assert_eq!(lines(glyphs), ["a\u{221a}b"]);
        let first = vec![
            glyph("\u{221a}", 0.0, 8.0, 10.0),
            glyph("b", 5.0, 0.0, 10.0),
        ];
        assert_eq!(lines(first), ["\u{221a}b"]);
    }

    #[test]
    fn an_accent_goes_to_the_letter_under_it_from_either_side() {
        let before = vec![
            glyph("G", 0.0, 0.0, 10.0),
            glyph("\u{a8}", 5.0, 0.0, 10.0),
            glyph("o", 5.0, 0.0, 10.0),
        ];
        assert_eq!(lines(before), ["G\u{f6}"]);
        let behind = vec![
            glyph("e", 0.0, 0.0, 10.0),
            glyph("\u{b4}", 0.0, 2.0, 10.0),
            glyph("s", 5.0, 0.0, 10.0),
        ];
        assert_eq!(lines(behind), ["\u{e9}s"]);
        let apart = vec![glyph("~", 0.0, 0.0, 10.0), glyph("5", 5.0, 0.0, 10.0)];
        assert_eq!(lines(apart), ["~5"]);
    }

    #[test]
    fn turned_text_is_a_line_of_its_own() {
        let mut turned = glyph("b", 5.0, 0.0, 10.0);
        turned.direction = (0.0, 1.0);
        let mut layout = Layout::default();
        layout.push(glyph("a", 0.0, 0.0, 10.0));
        layout.push(turned);
        let lines = layout.finish();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].upright && !lines[1].upright);
    }
}
