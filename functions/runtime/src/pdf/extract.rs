//! Pages, copied into a document that pdf-extract can be trusted with.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use lopdf::{Dictionary, Document, Object, ObjectId, content::Content};
use pdf_extract as plain;

use super::STREAM_LIMIT;
use super::cmap::bounded_cmap;
use super::operators::TextOperators;
use super::page_text::Bounded;

/// Most bytes all streams of a file may unpack to.
const TOTAL_LIMIT: usize = 192 << 20;
/// Most objects copied out of a file.
const OBJECT_LIMIT: usize = 20_000;
/// Most form XObjects within each other.
const FORM_DEPTH: usize = 8;
/// Most bytes of operators a page may come to when its forms are written out.
const PAGE_COST_LIMIT: usize = 32 << 20;

/// Copies pages into a document that pdf-extract can be trusted with, and takes their text.
pub(super) struct Extract<'a> {
    source: &'a Document,
    target: plain::Document,
    /// Objects that are in the target or will be.
    copied: HashSet<ObjectId>,
    /// Objects that the target refers to and does not have yet.
    wanted: Vec<ObjectId>,
    /// Forms seen; `None` while one is being copied, so a cycle ends there, and when it was refused.
    forms: HashMap<ObjectId, Option<Form>>,
    bytes_left: usize,
}

/// A form XObject that is in the target.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// Forms within each other from here on down.
    height: usize,
    /// Bytes of operators with the inner forms written out.
    cost: usize,
}

/// Text operators of a page or form, encoded.
struct Operators {
    content: Vec<u8>,
    size: Form,
}

/// Ids in the target that no copied object has: a generation of its own.
const OWN_GENERATION: u16 = u16::MAX;
const CATALOG: ObjectId = (1, OWN_GENERATION);
const PAGES: ObjectId = (2, OWN_GENERATION);
const PAGE: ObjectId = (3, OWN_GENERATION);
const CONTENT: ObjectId = (4, OWN_GENERATION);

impl<'a> Extract<'a> {
    pub(super) fn new(source: &'a Document) -> Self {
        let mut target = plain::Document::with_version("1.7");
        let entries = [
            (
                CATALOG,
                vec![("Type", "Catalog".into()), ("Pages", PAGES.into())],
            ),
            (
                PAGES,
                vec![
                    ("Type", "Pages".into()),
                    ("Kids", vec![plain::Object::Reference(PAGE)].into()),
                    ("Count", 1.into()),
                ],
            ),
        ];
        for (id, fields) in entries {
            target.objects.insert(id, dictionary(fields).into());
        }
        target
            .trailer
            .set("Root", plain::Object::Reference(CATALOG));
        Self {
            source,
            target,
            copied: HashSet::new(),
            wanted: Vec::new(),
            forms: HashMap::new(),
            bytes_left: TOTAL_LIMIT,
        }
    }

    /// A page's text; empty when the page is too damaged.
    pub(super) fn page(&mut self, page: ObjectId, characters: usize, deadline: Instant) -> String {
        let limit = self.bytes_left.min(STREAM_LIMIT);
        let Ok(content) = self.source.get_page_content_with_limit(page, limit) else {
            return String::new();
        };
        self.bytes_left -= content.len().min(self.bytes_left);
        let mut resources = match self.page_resources(page) {
            Some(resources) => self.copy_resources(resources, 0),
            None => plain::Dictionary::new(),
        };
        let Some(operators) = self.text_operators(&content, &resources) else {
            return String::new();
        };
        let (text, complete) = self.take_text(&operators.content, &resources, characters, deadline);
        if complete {
            return text;
        }
        // One broken font loses a whole page, so the broken ones are found and replaced.
        self.replace_broken_fonts(&mut resources, deadline);
        let again = self.take_text(&operators.content, &resources, characters, deadline);
        if again.0.len() > text.len() {
            again.0
        } else {
            text
        }
    }

    /// The nearest resources on the way up the page tree.
    fn page_resources(&self, page: ObjectId) -> Option<&'a Dictionary> {
        let (direct, referred) = self.source.get_page_resources(page).ok()?;
        let nearest = referred.first().copied();
        direct.or_else(|| self.source.get_dictionary(nearest?).ok())
    }

    /// Fonts and forms of a page's or form's resources, as the target has them.
    fn copy_resources(&mut self, resources: &'a Dictionary, depth: usize) -> plain::Dictionary {
        let mut fonts = plain::Dictionary::new();
        for (name, font) in self.entries(resources, b"Font") {
            let subtype = self.dictionary(font).map(|font| font.has(b"Subtype"));
            if subtype == Some(true) {
                fonts.set(name.clone(), self.convert(font));
            }
        }
        self.copy_wanted();
        let mut forms = plain::Dictionary::new();
        for (name, form) in self.entries(resources, b"XObject") {
            let Ok(id) = form.as_reference() else {
                continue;
            };
            if self.copy_form(id, resources, depth).is_some() {
                forms.set(name.clone(), plain::Object::Reference(id));
            }
        }
        dictionary(vec![("Font", fonts.into()), ("XObject", forms.into())])
    }

    /// The entries of one kind of resource.
    fn entries(&self, resources: &'a Dictionary, kind: &[u8]) -> Vec<(&'a Vec<u8>, &'a Object)> {
        let found = resources
            .get(kind)
            .ok()
            .and_then(|entries| self.dictionary(entries));
        found.map_or_else(Vec::new, |entries| entries.iter().collect())
    }

    /// The dictionary that an object is or refers to.
    fn dictionary(&self, object: &'a Object) -> Option<&'a Dictionary> {
        let (_, object) = self.source.dereference(object).ok()?;
        object.as_dict().ok()
    }

    /// Copies a form with everything in it, unless it is one already, is too deep or contains itself.
    fn copy_form(&mut self, id: ObjectId, inherited: &'a Dictionary, depth: usize) -> Option<Form> {
        if let Some(known) = self.forms.get(&id) {
            return *known;
        }
        if depth >= FORM_DEPTH || id.1 == OWN_GENERATION {
            return None;
        }
        let stream = self.source.get_object(id).ok()?.as_stream().ok()?;
        let subtype = stream.dict.get(b"Subtype").and_then(Object::as_name);
        if subtype.ok() != Some(b"Form".as_slice()) {
            return None;
        }
        self.forms.insert(id, None);
        let content = self.unpack(stream)?;
        let own = stream.dict.get(b"Resources").ok();
        let resources = own
            .and_then(|own| self.dictionary(own))
            .unwrap_or(inherited);
        let resources = self.copy_resources(resources, depth + 1);
        let operators = self.text_operators(&content, &resources)?;
        let size = Form {
            height: operators.size.height + 1,
            cost: operators.size.cost,
        };
        if size.height > FORM_DEPTH {
            return None;
        }
        let fields = vec![("Subtype", "Form".into()), ("Resources", resources.into())];
        let form = plain::Stream::new(dictionary(fields), operators.content);
        self.target.objects.insert(id, form.into());
        self.forms.insert(id, Some(size));
        Some(size)
    }

    /// Copies what fonts refer to. A list and no recursion: a file may chain any number of objects.
    fn copy_wanted(&mut self) {
        while let Some(id) = self.wanted.pop() {
            let copy = match self.source.objects.get(&id) {
                Some(Object::Stream(stream)) => self.copy_stream(stream).into(),
                Some(object) => self.convert(object),
                None => plain::Object::Null,
            };
            self.target.objects.insert(id, copy);
        }
    }

    /// A stream unpacked; empty when it is too large, damaged or a character map without bounds.
    fn copy_stream(&mut self, stream: &'a lopdf::Stream) -> plain::Stream {
        let content = self.unpack(stream).filter(|content| bounded_cmap(content));
        let mut fields = self.convert_dictionary(&stream.dict);
        for packing in [b"Filter".as_slice(), b"DecodeParms", b"Length"] {
            fields.remove(packing);
        }
        plain::Stream::new(fields, content.unwrap_or_default())
    }

    fn unpack(&mut self, stream: &lopdf::Stream) -> Option<Vec<u8>> {
        let limit = self.bytes_left.min(STREAM_LIMIT);
        let content = stream.decompressed_content_with_limit(limit).ok()?;
        self.bytes_left = self.bytes_left.checked_sub(content.len())?;
        Some(content)
    }

    /// An object in the older lopdf's type, and what it refers to noted down. Nesting is bounded by
    /// the parser.
    fn convert(&mut self, object: &'a Object) -> plain::Object {
        match object {
            Object::Null | Object::Stream(_) => plain::Object::Null,
            Object::Boolean(flag) => plain::Object::Boolean(*flag),
            Object::Integer(number) => plain::Object::Integer(*number),
            Object::Real(number) => plain::Object::Real(*number),
            Object::Name(name) => plain::Object::Name(name.clone()),
            Object::String(bytes, _) => {
                plain::Object::String(bytes.clone(), plain::StringFormat::Literal)
            }
            Object::Array(items) => items
                .iter()
                .map(|item| self.convert(item))
                .collect::<Vec<_>>()
                .into(),
            Object::Dictionary(fields) => self.convert_dictionary(fields).into(),
            Object::Reference(id) => self.refer(*id),
        }
    }

    fn convert_dictionary(&mut self, fields: &'a Dictionary) -> plain::Dictionary {
        // Glyph programs of Type 3 fonts and links upwards lead to most of a file and to no text.
        const UNUSED: [&[u8]; 3] = [b"CharProcs", b"Resources", b"Parent"];
        let mut copy = plain::Dictionary::new();
        for (name, value) in fields {
            if !UNUSED.contains(&name.as_slice()) {
                copy.set(name.clone(), self.convert(value));
            }
        }
        // pdf-extract panics where a CID font has no descriptor, as many files leave it out, and reads
        // nothing of the one that is there.
        let subtype = fields.get(b"Subtype").and_then(Object::as_name);
        if subtype.is_ok_and(|subtype| subtype.starts_with(b"CIDFontType")) {
            copy.set("FontDescriptor", plain::Dictionary::new());
        }
        copy
    }

    fn refer(&mut self, id: ObjectId) -> plain::Object {
        if id.1 == OWN_GENERATION || self.copied.len() >= OBJECT_LIMIT {
            return plain::Object::Null;
        }
        if self.copied.insert(id) {
            self.wanted.push(id);
        }
        plain::Object::Reference(id)
    }

    /// Of a page's or form's operators those that place text, with operands of the right kind, naming
    /// fonts and forms that are there. `None` when nothing can be read or it comes to too much.
    fn text_operators(&self, content: &[u8], resources: &plain::Dictionary) -> Option<Operators> {
        let decoded = Content::decode(content).ok()?;
        let mut kept = TextOperators::new(resources);
        let mut size = Form { height: 0, cost: 0 };
        for operation in decoded.operations {
            if operation.operator == "Do" {
                let form = kept.form(&operation.operands);
                let Some(form) = form.and_then(|id| *self.forms.get(&id)?) else {
                    continue;
                };
                size.height = size.height.max(form.height);
                size.cost = size.cost.saturating_add(form.cost);
            }
            kept.keep(&operation.operator, operation.operands);
            if size.cost > PAGE_COST_LIMIT {
                return None;
            }
        }
        let content = kept.encode()?;
        size.cost = size.cost.saturating_add(content.len());
        Some(Operators { content, size })
    }

    /// The target's text with these operators as its only page, and whether that went well.
    fn take_text(
        &mut self,
        content: &[u8],
        resources: &plain::Dictionary,
        characters: usize,
        deadline: Instant,
    ) -> (String, bool) {
        let paper = [0, 0, 612, 792].map(plain::Object::from).to_vec();
        let page = dictionary(vec![
            ("Type", "Page".into()),
            ("Parent", PAGES.into()),
            ("MediaBox", paper.into()),
            ("Resources", resources.clone().into()),
            ("Contents", CONTENT.into()),
        ]);
        let content = plain::Stream::new(plain::Dictionary::new(), content.to_vec());
        self.target.objects.insert(PAGE, page.into());
        self.target.objects.insert(CONTENT, content.into());
        let mut text = String::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut output = Bounded {
                inner: plain::PlainTextOutput::new(&mut text),
                left: characters,
                deadline,
            };
            // An error here is the bound reached; what was read until then counts.
            let _ = plain::output_doc_page(&self.target, &mut output, 1);
        }));
        (text, outcome.is_ok())
    }

    /// Tries each font alone, and puts Helvetica in the place of one that cannot be used.
    fn replace_broken_fonts(&mut self, resources: &mut plain::Dictionary, deadline: Instant) {
        let fonts = resources.get(b"Font").and_then(plain::Object::as_dict);
        let Ok(fonts) = fonts.cloned() else {
            return;
        };
        let mut usable = fonts.clone();
        for (name, _) in &fonts {
            let mut only = TextOperators::new(resources);
            only.keep("Tf", vec![Object::Name(name.clone()), Object::Integer(1)]);
            let Some(content) = only.encode() else {
                continue;
            };
            if !self.take_text(&content, resources, 1, deadline).1 {
                let stand_in = vec![
                    ("Type", "Font".into()),
                    ("Subtype", "Type1".into()),
                    ("BaseFont", "Helvetica".into()),
                ];
                usable.set(name.clone(), dictionary(stand_in));
            }
        }
        resources.set("Font", usable);
    }
}

fn dictionary(fields: Vec<(&str, plain::Object)>) -> plain::Dictionary {
    let mut dictionary = plain::Dictionary::new();
    for (name, value) in fields {
        dictionary.set(name, value);
    }
    dictionary
}
