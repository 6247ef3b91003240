//! The operators of a page, one after the other: those that place text, and forms.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use hayro_font::kurbo::Affine;
use hayro_syntax::content::{TypedIter, ops::TypedInstruction};
use hayro_syntax::object::dict::keys::{CONTENTS, MATRIX, RESOURCES, SUBTYPE};
use hayro_syntax::object::{Array, Dict, Name, Object, Stream};
use hayro_syntax::page::{Page, Resources};

use crate::font::{Font, Fonts};
use crate::layout::{Glyph, Layout};
use crate::wire::Line;

/// Most form XObjects within each other.
const FORMS: usize = 8;
/// Most graphics states within each other: PDF readers promise 28.
const STATES: usize = 256;
/// Most lines of a page: as many as a table in the smallest print has cells.
const LINES: usize = 20_000;
/// After so many operators the clock is looked at.
const BETWEEN_LOOKS: usize = 4096;
/// Most bytes of operators of a page with its forms written out; what comes behind them is not read.
const CONTENT: usize = 64 << 20;

/// A page that is being read.
pub(crate) struct Content<'a, 'f> {
    fonts: &'f mut Fonts<'a>,
    layout: Layout,
    state: State<'a>,
    saved: Vec<State<'a>>,
    matrix: Affine,
    line_matrix: Affine,
    /// Bytes that the text may have, and that the operators may still have.
    text: usize,
    content: usize,
    n_operators: usize,
    depth: usize,
    deadline: Instant,
    /// Nothing more is read of the page, whatever form it is in.
    over: bool,
}

/// What `q` saves.
#[derive(Clone)]
struct State<'a> {
    to_page: Affine,
    font: Option<Rc<Font<'a>>>,
    size: f64,
    character_space: f64,
    word_space: f64,
    /// Of widths, 1 for as they are.
    scale: f64,
    leading: f64,
    rise: f64,
}

impl<'a, 'f> Content<'a, 'f> {
    pub(crate) fn new(fonts: &'f mut Fonts<'a>, text: usize, deadline: Instant) -> Self {
        Self {
            fonts,
            layout: Layout::default(),
            state: State {
                to_page: Affine::IDENTITY,
                font: None,
                size: 1.0,
                character_space: 0.0,
                word_space: 0.0,
                scale: 1.0,
                leading: 0.0,
                rise: 0.0,
            },
            saved: Vec::new(),
            matrix: Affine::IDENTITY,
            line_matrix: Affine::IDENTITY,
            text,
            content: CONTENT,
            n_operators: 0,
            depth: 0,
            deadline,
            over: false,
        }
    }

    /// The page's lines.
    pub(crate) fn finish(self) -> Vec<Line> {
        self.layout.finish()
    }

    /// Runs operators until they, the text or the time are over.
    pub(crate) fn run(&mut self, content: &[u8], resources: &Resources<'a>) {
        let content = &content[..content.len().min(self.content)];
        self.content -= content.len();
        let mut operators = TypedIter::new(content);
        while let Some(operator) = operators.next() {
            self.n_operators += 1;
            if self.is_over() {
                break;
            }
            self.operator(&operator, resources);
        }
    }

    fn is_over(&mut self) -> bool {
        let looks = self.n_operators.is_multiple_of(BETWEEN_LOOKS);
        let is_full = self.layout.n_bytes() >= self.text || self.layout.n_lines() >= LINES;
        self.over |= is_full || looks && Instant::now() >= self.deadline;
        self.over
    }

    fn operator(&mut self, operator: &TypedInstruction<'_, '_>, resources: &Resources<'a>) {
        use TypedInstruction as T;
        match operator {
            T::SaveState(_) if self.saved.len() < STATES => self.saved.push(self.state.clone()),
            T::RestoreState(_) => {
                if let Some(state) = self.saved.pop() {
                    self.state = state;
                }
            }
            T::Transform(m) => {
                let matrix = [m.0, m.1, m.2, m.3, m.4, m.5].map(|number| number.as_f64());
                self.state.to_page *= Affine::new(matrix);
            }
            T::BeginText(_) => self.set_matrix(Affine::IDENTITY),
            T::SetTextMatrix(m) => {
                let matrix = [m.0, m.1, m.2, m.3, m.4, m.5].map(|number| number.as_f64());
                self.set_matrix(Affine::new(matrix));
            }
            T::TextFont(font) => {
                self.state.size = font.1.as_f64();
                self.state.font = self.fonts.get(font.0, resources);
            }
            T::CharacterSpacing(space) => self.state.character_space = space.0.as_f64(),
            T::WordSpacing(space) => self.state.word_space = space.0.as_f64(),
            T::HorizontalScaling(scale) => self.state.scale = scale.0.as_f64() / 100.0,
            T::TextLeading(leading) => self.state.leading = leading.0.as_f64(),
            T::TextRise(rise) => self.state.rise = rise.0.as_f64(),
            T::XObject(object) => self.form(object.0, resources),
            _ => self.text_operator(operator),
        }
    }

    /// Those that move to another line or show text.
    fn text_operator(&mut self, operator: &TypedInstruction<'_, '_>) {
        use TypedInstruction as T;
        match operator {
            T::NextLine(to) => self.next_line(to.0.as_f64(), to.1.as_f64()),
            T::NextLineAndSetLeading(to) => {
                self.state.leading = -to.1.as_f64();
                self.next_line(to.0.as_f64(), to.1.as_f64());
            }
            T::NextLineUsingLeading(_) => self.next_line(0.0, -self.state.leading),
            T::ShowText(text) => self.show(text.0.as_bytes()),
            T::NextLineAndShowText(text) => {
                self.next_line(0.0, -self.state.leading);
                self.show(text.0.as_bytes());
            }
            T::ShowTextWithParameters(text) => {
                self.state.word_space = text.0.as_f64();
                self.state.character_space = text.1.as_f64();
                self.next_line(0.0, -self.state.leading);
                self.show(text.2.as_bytes());
            }
            T::ShowTexts(parts) => {
                for part in parts.0.iter::<Object<'_>>() {
                    match part {
                        Object::Number(shift) => {
                            self.advance(
                                -shift.as_f64() / 1000.0 * self.state.size * self.state.scale,
                            );
                        }
                        Object::String(text) => self.show(text.as_bytes()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn set_matrix(&mut self, matrix: Affine) {
        self.matrix = matrix;
        self.line_matrix = matrix;
    }

    fn next_line(&mut self, x: f64, y: f64) {
        self.set_matrix(self.line_matrix * Affine::translate((x, y)));
    }

    fn advance(&mut self, by: f64) {
        self.matrix *= Affine::translate((by, 0.0));
    }

    fn show(&mut self, bytes: &[u8]) {
        let Some(font) = self.state.font.clone() else {
            return;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let shown = font.shown(rest);
            rest = &rest[shown.n_bytes.clamp(1, rest.len())..];
            let width = shown.width * self.state.size;
            if !shown.text.is_empty() {
                self.glyph(&shown.text, width, font.is_bold);
            }
            let is_space = shown.n_bytes == 1 && shown.code == u32::from(b' ');
            let word = if is_space { self.state.word_space } else { 0.0 };
            self.advance((width + self.state.character_space + word) * self.state.scale);
        }
    }

    /// Puts a glyph where the text is.
    fn glyph(&mut self, text: &str, width: f64, bold: bool) {
        let place = self.state.to_page * self.matrix * Affine::translate((0.0, self.state.rise));
        let [a, b, c, d, x, y] = place.as_coeffs();
        let (along, across) = (a.hypot(b), c.hypot(d));
        let is_seen = along > 0.0 && (along + across + x + y).is_finite();
        if is_seen {
            self.layout.push(Glyph {
                text: text.to_owned(),
                x,
                y,
                direction: (a / along, b / along),
                width: width * self.state.scale * along,
                size: (self.state.size * across).abs().max(0.01),
                bold,
            });
        }
    }

    /// Runs a form's operators in its own coordinates, with its own resources.
    fn form(&mut self, name: &Name<'_>, resources: &Resources<'a>) {
        if self.depth >= FORMS || self.content == 0 {
            return;
        }
        let Some(form) = resources.get_x_object(name) else {
            return;
        };
        let subtype = form.dict().get::<Name<'_>>(SUBTYPE);
        if subtype.is_none_or(|subtype| &*subtype != b"Form") {
            return;
        }
        let Ok(content) = form.decoded_data() else {
            return;
        };
        let own = form.dict().get::<Dict<'a>>(RESOURCES).map(Resources::new);
        let outside = (self.state.clone(), self.matrix, self.line_matrix);
        let saved = std::mem::take(&mut self.saved);
        if let Some(matrix) = form.dict().get::<[f64; 6]>(MATRIX) {
            self.state.to_page *= Affine::new(matrix);
        }
        self.depth += 1;
        self.run(&content, own.as_ref().unwrap_or(resources));
        self.depth -= 1;
        self.saved = saved;
        (self.state, self.matrix, self.line_matrix) = outside;
    }
}

/// The operators of a page.
pub(crate) fn operators<'a>(page: &Page<'a>) -> Cow<'a, [u8]> {
    let one = page.raw().get::<Stream<'a>>(CONTENTS);
    if let Some(content) = one.and_then(|stream| stream.decoded_data().ok()) {
        return content;
    }
    let mut whole = Vec::new();
    let many = page.raw().get::<Array<'a>>(CONTENTS);
    for stream in many.iter().flat_map(|streams| streams.iter::<Stream<'a>>()) {
        if let Ok(content) = stream.decoded_data() {
            whole.extend_from_slice(&content);
            // Neither operands nor operators go on in the next stream.
            whole.push(b' ');
        }
        if whole.len() >= CONTENT {
            break;
        }
    }
    Cow::Owned(whole)
}
