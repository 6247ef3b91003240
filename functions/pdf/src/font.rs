//! What a font says of its codes: characters and widths, each asked for once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use hayro_cmap::BfString;
use hayro_font::{CMapResolverFn, FontCache, FontGlyph, FontQuery, FontResolverFn, StandardFont};
use hayro_syntax::object::dict::keys::BASE_FONT;
use hayro_syntax::object::{Dict, Name};
use hayro_syntax::page::Resources;

/// Units of an em that widths are in.
const UNITS: f64 = 1000.0;

/// The fonts of a file.
pub(crate) struct Fonts<'a> {
    cache: FontCache<'a>,
    /// Those that were asked for, by the font itself: a name means another font on another page.
    known: HashMap<(u32, i32), Option<Rc<Font<'a>>>>,
    resolver: FontResolverFn,
    maps: CMapResolverFn,
    stand_in: Option<Rc<Font<'a>>>,
}

impl Default for Fonts<'_> {
    fn default() -> Self {
        let resolver: FontResolverFn = Arc::new(|query| match query {
            FontQuery::Standard(font) => Some(font.get_font_data()),
            FontQuery::Fallback(font) => Some(font.pick_standard_font().get_font_data()),
        });
        let cache = FontCache::new();
        let helvetica = cache.standard_font(StandardFont::Helvetica, &resolver);
        Self {
            stand_in: helvetica.map(|font| Rc::new(Font::new(font, false))),
            cache,
            known: HashMap::new(),
            resolver,
            maps: Arc::new(|_| None),
        }
    }
}

impl<'a> Fonts<'a> {
    /// The font that the resources have by this name; Helvetica in the place of one that is not there or
    /// broken.
    pub(crate) fn get(
        &mut self,
        name: &Name<'_>,
        resources: &Resources<'a>,
    ) -> Option<Rc<Font<'a>>> {
        let Some(dict) = resources.get_font(name) else {
            return self.stand_in.clone();
        };
        let id = dict.obj_id().map(|id| (id.obj_number, id.gen_number));
        if let Some(font) = id.and_then(|id| self.known.get(&id)) {
            return font.clone();
        }
        let font = self.cache.font(&dict, &self.resolver, &self.maps);
        let font = font.map(|font| Rc::new(Font::new(font, is_bold(&dict))));
        let font = font.or_else(|| self.stand_in.clone());
        if let Some(id) = id {
            self.known.insert(id, font.clone());
        }
        font
    }
}

/// Whether a font's name says so; TeX's bold fonts are CMBX, CMSSBX and the like.
fn is_bold(dict: &Dict<'_>) -> bool {
    let Some(name) = dict.get::<Name<'_>>(BASE_FONT) else {
        return false;
    };
    let name = String::from_utf8_lossy(&name).to_lowercase();
    [
        "bold", "black", "heavy", "medi", "demi", "cmbx", "ssbx", "-bd", "sfbx",
    ]
    .iter()
    .any(|part| name.contains(part))
}

/// A font, and what was asked of it.
pub(crate) struct Font<'a> {
    font: hayro_font::Font<'a>,
    pub(crate) is_bold: bool,
    codes: RefCell<HashMap<u32, (Rc<str>, f64)>>,
}

/// What the first code of a string shows.
pub(crate) struct Shown {
    pub(crate) code: u32,
    pub(crate) n_bytes: usize,
    pub(crate) text: Rc<str>,
    /// In ems.
    pub(crate) width: f64,
}

impl<'a> Font<'a> {
    fn new(font: hayro_font::Font<'a>, is_bold: bool) -> Self {
        Self {
            font,
            is_bold,
            codes: RefCell::default(),
        }
    }

    /// What the first code of the bytes, of which there is one at least, shows.
    pub(crate) fn shown(&self, bytes: &[u8]) -> Shown {
        let (code, n_bytes) = self.font.read_code(bytes, 0);
        let mut codes = self.codes.borrow_mut();
        let (text, width) = codes.entry(code).or_insert_with(|| self.ask(code));
        Shown {
            code,
            n_bytes,
            text: Rc::clone(text),
            width: *width,
        }
    }

    fn ask(&self, code: u32) -> (Rc<str>, f64) {
        let text = match self.font.glyph(self.font.map_code(code), code) {
            FontGlyph::Outline(glyph) => glyph.as_unicode(),
            FontGlyph::Type3(glyph) => glyph.as_unicode(),
        };
        let text = match text {
            Some(BfString::Char(character)) => Rc::from(character.encode_utf8(&mut [0; 4]) as &str),
            Some(BfString::String(text)) => Rc::from(text),
            None => Rc::from(""),
        };
        (text, self.font.code_advance(code).x / UNITS)
    }
}
