//! What the child tells its parent: JSON, one frame a line.

use serde::{Deserialize, Serialize};

use crate::PdfError;

/// One line of the child's output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// Pages that the file has, also those behind the limit.
    Opened(usize),
    /// The next page.
    Page(Page),
    /// Everything within the limits was read.
    Done,
    /// Nothing can be read.
    Failed(PdfError),
}

/// The lines of a page in the file's order.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page {
    /// Height in points: what is near 0 or it is a header or footer.
    pub(crate) height: f32,
    pub(crate) lines: Vec<Line>,
}

/// Glyphs that stand beside each other.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Where its baseline begins, in points from the page's lower left corner.
    pub(crate) x: f32,
    pub(crate) y: f32,
    /// Points of an em of its main font.
    pub(crate) size: f32,
    pub(crate) bold: bool,
    /// Runs from left to right.
    pub(crate) upright: bool,
}
