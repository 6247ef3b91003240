//! The text of a PDF.
//!
//! In: the bytes of a file that a stranger made. Out: its text in reading order of the file, or one of
//! three clean errors. Nothing in a file makes this panic, run for ever or fill the memory, by two
//! steps:
//!
//! 1. lopdf reads the file with limits on what may be unpacked, and opens encryption without a password.
//! 2. Of each page only what text needs is copied into a new document: text operators with operands of
//!    the right kind, fonts, and form XObjects without cycles. pdf-extract, which trusts its input and
//!    panics where that is wrong, sees nothing else.
//!
//! The second step runs in a thread of its own with a large stack, page by page, each behind
//! `catch_unwind` (so no profile may set `panic = "abort"`): a page that fails is missing from the text,
//! the others are there. pdf-extract is built on an older lopdf without limits, hence both versions.
//! Images are deliberately not read: a scan without a text layer has no text here.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    time::{Duration, Instant},
};

use annapurna_contract::text::{first_chars, one_line};
use lopdf::{Dictionary, Document, Error, LoadOptions, Object, ObjectId, content::Content};
use pdf_extract as plain;

/// Most bytes one stream may unpack to.
const STREAM_LIMIT: usize = 16 << 20;
/// Most bytes all streams of a file may unpack to.
const TOTAL_LIMIT: usize = 192 << 20;
/// Most objects copied out of a file.
const OBJECT_LIMIT: usize = 20_000;
/// Most form XObjects within each other.
const FORM_DEPTH: usize = 8;
/// Most bytes of operators a page may come to when its forms are written out.
const PAGE_COST_LIMIT: usize = 32 << 20;
/// Most entries a font's character map may have.
const CMAP_LIMIT: u64 = 1 << 18;
/// The extracting thread's stack. Only touched pages of it use memory.
const STACK: usize = 64 << 20;

/// How much of a PDF is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Pages, from the first.
    pub pages: usize,
    /// Characters of text.
    pub characters: usize,
    /// Time; what was read until then is the text.
    pub time: Duration,
}

impl Default for Limits {
    /// Enough for every paper and its appendix.
    fn default() -> Self {
        Self {
            pages: 60,
            characters: 400_000,
            time: Duration::from_secs(30),
        }
    }
}

/// Why a PDF has no text to give.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PdfError {
    /// It opens with a password only, or is encrypted in a way that cannot be opened.
    #[error("PDF is encrypted: it needs a password")]
    Encrypted,
    /// It is not a PDF, or too damaged.
    #[error("PDF cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// Not even its first page was read in time.
    #[error("PDF gave no text within {} s", limit.as_secs())]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
}

/// The text of a PDF, without blocking the caller's other work.
///
/// # Errors
///
/// See [`PdfError`].
pub async fn text_of(bytes: Vec<u8>, limits: Limits) -> Result<String, PdfError> {
    tokio::task::spawn_blocking(move || text(bytes, limits))
        .await
        .unwrap_or_else(|error| {
            Err(PdfError::Unreadable {
                reason: error.to_string(),
            })
        })
}

/// The text of a PDF: pages in order, separated by an empty line; ligatures as letters. Empty when the
/// file has no text layer.
///
/// # Errors
///
/// See [`PdfError`].
pub fn text(bytes: Vec<u8>, limits: Limits) -> Result<String, PdfError> {
    let deadline = Instant::now() + limits.time;
    let (sender, pages) = mpsc::channel();
    let work = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            send_pages(&bytes, limits, deadline, &sender)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            Err(PdfError::Unreadable {
                reason: "its structure is damaged".to_owned(),
            })
        });
        if let Err(error) = outcome {
            // Nobody listens any more only when the time is over.
            let _ = sender.send(Err(error));
        }
    };
    std::thread::Builder::new()
        .name("pdf-text".to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| PdfError::Unreadable {
            reason: format!("no thread to read it in: {error}"),
        })?;
    collect(&pages, limits, deadline)
}

/// Puts the pages together until they, the characters or the time are over.
fn collect(
    pages: &mpsc::Receiver<Result<String, PdfError>>,
    limits: Limits,
    deadline: Instant,
) -> Result<String, PdfError> {
    let mut whole = String::new();
    let mut n_pages = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match pages.recv_timeout(left) {
            Ok(page) => {
                let page = tidy(&page?);
                if !whole.is_empty() && !page.is_empty() {
                    whole.push_str("\n\n");
                }
                whole.push_str(&page);
                n_pages += 1;
            }
            Err(mpsc::RecvTimeoutError::Timeout) if n_pages == 0 => {
                return Err(PdfError::TooSlow { limit: limits.time });
            }
            Err(_) => break,
        }
        if whole.len() >= limits.characters && whole.chars().count() >= limits.characters {
            break;
        }
    }
    Ok(first_chars(&whole, limits.characters).to_owned())
}

/// Reads the file and sends each page's text.
fn send_pages(
    bytes: &[u8],
    limits: Limits,
    deadline: Instant,
    sender: &mpsc::Sender<Result<String, PdfError>>,
) -> Result<(), PdfError> {
    let document = open(bytes)?;
    let pages: Vec<ObjectId> = document.page_iter().take(limits.pages).collect();
    if pages.is_empty() {
        return Err(PdfError::Unreadable {
            reason: "it has no pages".to_owned(),
        });
    }
    let mut extract = Extract::new(&document);
    let mut left = limits.characters;
    for page in pages {
        let out_of_time = Instant::now() >= deadline;
        if left == 0 || out_of_time {
            break;
        }
        let text = extract.page(page, left, deadline);
        left = left.saturating_sub(text.chars().count());
        if sender.send(Ok(text)).is_err() {
            break;
        }
    }
    Ok(())
}

fn open(bytes: &[u8]) -> Result<Document, PdfError> {
    let options = LoadOptions {
        max_decompressed_size: Some(4 * STREAM_LIMIT),
        ..LoadOptions::default()
    };
    let mut document = match Document::load_mem_with_options(bytes, options) {
        Ok(document) => document,
        Err(
            Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_),
        ) => return Err(PdfError::Encrypted),
        Err(error) => {
            return Err(PdfError::Unreadable {
                reason: one_line(&error.to_string(), 200),
            });
        }
    };
    // Loading opens what the empty password opens. What it could not open has the trailer's entry
    // only, or objects that nothing else can read either.
    let closed = document.trailer.has(b"Encrypt") && !document.was_encrypted();
    if closed && document.decrypt("").is_err() {
        return Err(PdfError::Encrypted);
    }
    Ok(document)
}

/// Copies pages into a document that pdf-extract can be trusted with, and takes their text.
struct Extract<'a> {
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
    fn new(source: &'a Document) -> Self {
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
    fn page(&mut self, page: ObjectId, characters: usize, deadline: Instant) -> String {
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

/// Collects operators that pdf-extract can run without a panic.
struct TextOperators<'a> {
    resources: &'a plain::Dictionary,
    operations: Vec<plain::content::Operation>,
    /// Whether a font is set, here and in the saved states.
    font: bool,
    saved: Vec<bool>,
}

impl<'a> TextOperators<'a> {
    fn new(resources: &'a plain::Dictionary) -> Self {
        Self {
            resources,
            operations: Vec::new(),
            font: false,
            saved: Vec::new(),
        }
    }

    fn keep(&mut self, operator: &str, operands: Vec<Object>) {
        let numbers: Option<Vec<plain::Object>> = operands.iter().map(number).collect();
        match (operator, operands.as_slice(), numbers) {
            ("q", ..) => {
                self.saved.push(self.font);
                self.push("q", vec![]);
            }
            ("Q", ..) => {
                self.font = self.saved.pop().unwrap_or(self.font);
                self.push("Q", vec![]);
            }
            ("BT" | "ET" | "T*", ..) => self.push(operator, vec![]),
            ("Td" | "TD", [_, _], Some(numbers))
            | ("Tm" | "cm", [_, _, _, _, _, _], Some(numbers))
            | ("Tc" | "Tw" | "Tz" | "TL" | "Ts", [_], Some(numbers)) => {
                self.push(operator, numbers);
            }
            ("Tf", [Object::Name(name), size], _) => self.set_font(name, size),
            ("Tj", [Object::String(text, _)], _) => self.show(text),
            ("'", [Object::String(text, _)], _) => {
                self.push("T*", vec![]);
                self.show(text);
            }
            ("\"", [word, character, Object::String(text, _)], _) => {
                self.push_number("Tw", word);
                self.push_number("Tc", character);
                self.push("T*", vec![]);
                self.show(text);
            }
            ("TJ", [Object::Array(parts)], _) if self.font => {
                let parts: Vec<plain::Object> = parts.iter().filter_map(shown).collect();
                self.push("TJ", vec![parts.into()]);
            }
            ("Do", [Object::Name(name)], _) => {
                self.push("Do", vec![plain::Object::Name(name.clone())]);
            }
            _ => {}
        }
    }

    /// The form that the operands of `Do` name, when the resources have it.
    fn form(&self, operands: &[Object]) -> Option<ObjectId> {
        let [Object::Name(name)] = operands else {
            return None;
        };
        self.resource(b"XObject", name)?.as_reference().ok()
    }

    fn set_font(&mut self, name: &[u8], size: &Object) {
        let known = self.resource(b"Font", name).is_some();
        if let (true, Some(size)) = (known, number(size)) {
            self.font = true;
            self.push("Tf", vec![plain::Object::Name(name.to_vec()), size]);
        }
    }

    fn show(&mut self, text: &[u8]) {
        if self.font {
            let text = plain::Object::String(text.to_vec(), plain::StringFormat::Literal);
            self.push("Tj", vec![text]);
        }
    }

    fn push_number(&mut self, operator: &str, operand: &Object) {
        if let Some(number) = number(operand) {
            self.push(operator, vec![number]);
        }
    }

    fn push(&mut self, operator: &str, operands: Vec<plain::Object>) {
        self.operations
            .push(plain::content::Operation::new(operator, operands));
    }

    fn resource(&self, kind: &[u8], name: &[u8]) -> Option<&plain::Object> {
        let entries = self.resources.get(kind).ok()?.as_dict().ok()?;
        entries.get(name).ok()
    }

    fn encode(self) -> Option<Vec<u8>> {
        let operations = self.operations;
        plain::content::Content { operations }.encode().ok()
    }
}

fn number(object: &Object) -> Option<plain::Object> {
    match object {
        Object::Integer(number) => Some(plain::Object::Integer(*number)),
        Object::Real(number) if number.is_finite() => Some(plain::Object::Real(*number)),
        _ => None,
    }
}

/// A part of what `TJ` shows: text, or a shift.
fn shown(part: &Object) -> Option<plain::Object> {
    match part {
        Object::String(text, _) => Some(plain::Object::String(
            text.clone(),
            plain::StringFormat::Literal,
        )),
        part => number(part),
    }
}

/// Whether a stream is no character map, or one whose ranges are few enough to be written out, as
/// pdf-extract does: `<0000> <FFFFFFFF>` alone would fill the memory.
fn bounded_cmap(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let mut entries: u64 = 0;
    for kind in ["beginbfrange", "begincidrange"] {
        for section in text.split(kind).skip(1) {
            let section = section.split("end").next().unwrap_or_default();
            match range_entries(section) {
                Some(count) => entries = entries.saturating_add(count),
                None => return false,
            }
        }
    }
    entries <= CMAP_LIMIT
}

/// Entries of a section of ranges, each `<first> <last>` and a target; `None` for any other form.
fn range_entries(section: &str) -> Option<u64> {
    let mut entries: u64 = 0;
    let mut rest = section.trim_start();
    while !rest.is_empty() {
        let (first, after) = code(rest)?;
        let (last, after) = code(after)?;
        entries = entries.saturating_add(last.checked_sub(first)?.saturating_add(1));
        let after = after.trim_start();
        let end = match after.chars().next()? {
            '<' => after.find('>')? + 1,
            '[' => after.find(']')? + 1,
            digit if digit.is_ascii_digit() => after
                .find(|end: char| !end.is_ascii_digit())
                .unwrap_or(after.len()),
            _ => return None,
        };
        rest = after[end..].trim_start();
    }
    Some(entries)
}

/// The hexadecimal code a text begins with, and what comes after it.
fn code(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.trim_start().strip_prefix('<')?.split_once('>')?;
    let digits: String = digits.split_whitespace().collect();
    Some((u64::from_str_radix(&digits, 16).ok()?, rest))
}

/// pdf-extract's plain text, until there is enough of it or no time left.
struct Bounded<'a> {
    inner: plain::PlainTextOutput<&'a mut String>,
    left: usize,
    deadline: Instant,
}

impl plain::OutputDev for Bounded<'_> {
    fn begin_page(
        &mut self,
        page: u32,
        media_box: &plain::MediaBox,
        art_box: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), plain::OutputError> {
        self.inner.begin_page(page, media_box, art_box)
    }

    fn end_page(&mut self) -> Result<(), plain::OutputError> {
        self.inner.end_page()
    }

    fn output_character(
        &mut self,
        position: &plain::Transform,
        width: f64,
        spacing: f64,
        font_size: f64,
        character: &str,
    ) -> Result<(), plain::OutputError> {
        // A look at the clock for each character would cost more than the character.
        let late = self.left.is_multiple_of(256) && Instant::now() >= self.deadline;
        if self.left == 0 || late {
            return Err(plain::OutputError::FormatError(std::fmt::Error));
        }
        self.left -= 1;
        self.inner
            .output_character(position, width, spacing, font_size, character)
    }

    fn begin_word(&mut self) -> Result<(), plain::OutputError> {
        self.inner.begin_word()
    }

    fn end_word(&mut self) -> Result<(), plain::OutputError> {
        self.inner.end_word()
    }

    fn end_line(&mut self) -> Result<(), plain::OutputError> {
        self.inner.end_line()
    }
}

/// Letters for ligatures, spaces for control characters, no space at line ends, one empty line at most.
fn tidy(page: &str) -> String {
    const LIGATURES: [&str; 7] = ["ff", "fi", "fl", "ffi", "ffl", "st", "st"];
    let mut text = String::with_capacity(page.len());
    let mut n_empty = 0;
    for line in page.lines() {
        let line = line.trim_end();
        n_empty = if line.is_empty() { n_empty + 1 } else { 0 };
        if n_empty > 1 || (line.is_empty() && text.is_empty()) {
            continue;
        }
        for character in line.chars() {
            match character {
                '\u{fb00}'..='\u{fb06}' => {
                    text.push_str(LIGATURES[character as usize - 0xfb00]);
                }
                control if control.is_control() => text.push(' '),
                other => text.push(other),
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use lopdf::{Stream, dictionary};

    use super::*;

    const HELLO: &str = "BT /F1 12 Tf 72 700 Td (Hello, paper) Tj ET";

    fn read(bytes: Vec<u8>) -> Result<String, PdfError> {
        text(bytes, Limits::default())
    }

    fn helvetica() -> Dictionary {
        dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica"}
    }

    /// A file of one page with these operators, this font and these further objects' changes.
    fn file(content: &str, font: Dictionary, change: impl Fn(&mut Document, ObjectId)) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let pages = document.new_object_id();
        let content = document.add_object(Stream::new(dictionary! {}, content.into()));
        let font = document.add_object(font);
        let page = document.add_object(dictionary! {
            "Type" => "Page",
            "Parent" => pages,
            "Contents" => content,
            "MediaBox" => vec![0.into(), 0.into(), 612.into(), 792.into()],
            "Resources" => dictionary! {"Font" => dictionary! {"F1" => font}},
        });
        let tree = dictionary! {"Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1};
        document.objects.insert(pages, tree.into());
        let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => pages});
        document.trailer.set("Root", catalog);
        change(&mut document, page);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    fn set_forms(document: &mut Document, page: ObjectId, forms: Dictionary) {
        let page = document
            .get_object_mut(page)
            .unwrap()
            .as_dict_mut()
            .unwrap();
        let resources = page.get_mut(b"Resources").unwrap().as_dict_mut().unwrap();
        resources.set("XObject", forms);
    }

    #[test]
    fn a_files_text_is_read() {
        let bytes = file(HELLO, helvetica(), |_, _| {});
        assert_eq!(read(bytes).unwrap(), "Hello, paper");
    }

    #[test]
    fn operators_with_wrong_operands_cost_nothing_but_themselves() {
        let broken =
            "/Nope cs 1 scn /X Do (no font yet) Tj 1 cm /F9 3 Tf Tj [(a) /b 3] TJ BT (x) Td ET Q ";
        let bytes = file(&format!("{broken}{HELLO}"), helvetica(), |_, _| {});
        assert_eq!(read(bytes).unwrap(), "Hello, paper");
    }

    #[test]
    fn quote_operators_show_text_too() {
        let bytes = file(
            "BT /F1 12 Tf 14 TL 72 700 Td (one) ' 1 2 (two) \" ET",
            helvetica(),
            |_, _| {},
        );
        let text = read(bytes).unwrap();
        assert!(text.contains("one") && text.contains("two"), "{text}");
    }

    #[test]
    fn a_broken_font_does_not_lose_the_page() {
        let mut font = helvetica();
        font.set("Encoding", "NoSuchEncoding");
        let bytes = file(HELLO, font, |_, _| {});
        assert_eq!(read(bytes).unwrap(), "Hello, paper");
    }

    #[test]
    fn text_inside_forms_is_read_and_forms_inside_themselves_end() {
        let bytes = file("/A Do", helvetica(), |document, page| {
            let font = document.add_object(helvetica());
            let form = document.new_object_id();
            let resources = dictionary! {
                "Font" => dictionary! {"F1" => font},
                "XObject" => dictionary! {"A" => form},
            };
            let fields =
                dictionary! {"Type" => "XObject", "Subtype" => "Form", "Resources" => resources};
            let content = format!("{HELLO} /A Do");
            document
                .objects
                .insert(form, Stream::new(fields, content.into()).into());
            set_forms(document, page, dictionary! {"A" => form});
        });
        assert_eq!(read(bytes).unwrap(), "Hello, paper");
    }

    #[test]
    fn forms_that_multiply_are_left_out() {
        let bytes = file(&format!("{HELLO} /L0 Do"), helvetica(), |document, page| {
            let ids: Vec<ObjectId> = (0..8).map(|_| document.new_object_id()).collect();
            for (level, id) in ids.iter().enumerate() {
                let next = ids.get(level + 1).copied();
                let inner = next.map_or_else(Dictionary::new, |next| dictionary! {"N" => next});
                let fields = dictionary! {
                    "Subtype" => "Form", "Resources" => dictionary! {"XObject" => inner},
                };
                let content = "/N Do ".repeat(1_000) + "q Q ";
                document
                    .objects
                    .insert(*id, Stream::new(fields, content.into()).into());
            }
            set_forms(document, page, dictionary! {"L0" => ids[0]});
        });
        assert_eq!(read(bytes).unwrap(), "Hello, paper");
    }

    #[test]
    fn a_packed_bomb_is_not_unpacked() {
        let bytes = file("", helvetica(), |document, page| {
            let mut bomb = Stream::new(dictionary! {}, vec![b' '; STREAM_LIMIT + 1]);
            bomb.compress().unwrap();
            let bomb = document.add_object(bomb);
            let page = document
                .get_object_mut(page)
                .unwrap()
                .as_dict_mut()
                .unwrap();
            page.set("Contents", bomb);
        });
        assert!(bytes.len() < 1 << 20);
        assert_eq!(read(bytes).unwrap(), "");
    }

    #[test]
    fn a_character_map_without_bounds_is_not_used() {
        let cmap =
            |ranges: &str| bounded_cmap(format!("1 beginbfrange {ranges} endbfrange").as_bytes());
        assert!(cmap("<0000> <FFFF> <0041>"));
        assert!(cmap("<00> <02> [<0041> <0042> <0043>] <03> <04> <0050>"));
        assert!(!cmap("<00000000> <FFFFFFFF> <0041>"));
        assert!(!cmap("<0000> % <0001>\n<FFFFFFFF> <0041>"));
        assert!(!cmap("(a) (z) <0041>"));
        assert!(bounded_cmap(b"\x00\xff a font"));
    }

    #[test]
    fn limits_on_characters_hold() {
        let limits = Limits {
            characters: 5,
            ..Limits::default()
        };
        let bytes = file(HELLO, helvetica(), |_, _| {});
        assert_eq!(text(bytes, limits).unwrap(), "Hello");
    }

    #[test]
    fn what_is_no_pdf_is_a_clean_error() {
        for bytes in [
            &b""[..],
            b"<html>captcha</html>",
            b"%PDF-1.7\n%%EOF",
            &[0xff; 4096],
        ] {
            let error = read(bytes.to_vec()).unwrap_err();
            assert!(matches!(error, PdfError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn cut_and_changed_files_never_panic() {
        let whole = file(HELLO, helvetica(), |_, _| {});
        for cut in (0..whole.len()).step_by(37) {
            let _ = read(whole[..cut].to_vec());
            let mut changed = whole.clone();
            changed[cut] ^= 0x15;
            let _ = read(changed);
        }
    }

    #[test]
    fn ligatures_become_letters_and_control_characters_spaces() {
        assert_eq!(
            tidy("\n e\u{fb03}cient \u{fb02}ow\u{0}x  \n\n\n\nend\n"),
            " efficient flow x\n\nend"
        );
    }

    /// Files of the project, by the words that their text has.
    const FILES: [(&str, &str); 3] = [
        ("latex_multicolumn_ccbysa.pdf", "Two-Column Document"),
        ("ligatures_one_line.pdf", "abcdef"),
        ("encrypted_empty_user_password.pdf", ""),
    ];

    fn assert_texts(texts: &[(&str, &str)], bytes_of: impl Fn(&str) -> Vec<u8>) {
        let mut wrong = Vec::new();
        for (name, words) in texts {
            match read(bytes_of(&format!("pdf/{name}"))) {
                Ok(text) if text.contains(words) && !text.contains(['\u{fb00}', '\u{fb01}']) => {}
                other => wrong.push(format!("{name}: {:.300}", format!("{other:?}"))),
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn files_of_other_programs_give_their_text() {
        assert_texts(&FILES, annapurna_test_data::file);
        let form = annapurna_test_data::file("pdf/encrypted_empty_user_password.pdf");
        assert!(
            read(form).unwrap().len() > 2_000,
            "opens without a password"
        );
    }

    #[test]
    fn a_file_with_a_password_is_encrypted_and_a_scan_has_no_text() {
        let closed = annapurna_test_data::file("pdf/encrypted_user_password_openpassword.pdf");
        assert_eq!(read(closed), Err(PdfError::Encrypted));
        let scan = annapurna_test_data::file("pdf/image_only_ccitt_fax_scan.pdf");
        assert_eq!(read(scan).as_deref(), Ok(""));
    }

    #[test]
    fn columns_come_one_after_the_other_as_the_file_has_them() {
        let content = "BT /F1 10 Tf 72 700 Td (The left column ends with a hyphen-) Tj 0 -12 Td \
            (ated word.) Tj ET BT /F1 10 Tf 320 700 Td (The right column) Tj 0 -12 Td \
            (has its own.) Tj ET";
        let text = read(file(content, helvetica(), |_, _| {})).unwrap();
        let place = |words: &str| {
            text.find(words)
                .unwrap_or_else(|| panic!("{words}: {text}"))
        };
        assert!(place("hyphen-") < place("ated word."), "{text}");
        assert!(place("ated word.") < place("The right column"), "{text}");
        assert!(place("The right column") < place("has its own."), "{text}");
    }

    #[test]
    #[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
    fn real_papers_give_their_own_sentences() {
        let expected = [
            (
                "arxiv_1706.03762_attention_neurips2017_style.pdf",
                "Attention Is All You Need",
            ),
            (
                "arxiv_1512.03385_resnet_two_column.pdf",
                "Deep Residual Learning",
            ),
            ("arxiv_2205.14135_flashattention_math.pdf", "IO-Awareness"),
            (
                "arxiv_2002.08909_realm_icml_two_column.pdf",
                "Language Model Pre-Training",
            ),
            ("arxiv_1910.02054_zero_systems.pdf", "Memory Optimizations"),
            (
                "arxiv_2203.14465_star_neurips_style.pdf",
                "Bootstrapping Reasoning",
            ),
            (
                "arxiv_1503.02531_distillation_quartz_resaved.pdf",
                "Distilling the Knowledge",
            ),
            ("adam_iclr2015_pdfium_resaved.pdf", "first-order"),
            ("pondernet_icml_automl_workshop.pdf", "PonderNet"),
            ("pmlr_v220_carrion-ojeda23a.pdf", "NeurIPS"),
            ("pmlr_v220_mazeika23a_luatex.pdf", "Trojan"),
            ("naacl06_two_column_dvipdfm.pdf", "Information Extraction"),
            ("tracemonkey_two_column.pdf", "Trace-based"),
            (
                "corrupted_zen_of_python.pdf",
                "Beautiful is better than ugly",
            ),
        ];
        assert_texts(&expected, annapurna_test_data::outside);
    }

    #[test]
    #[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
    fn a_real_file_of_aes_256_is_encrypted_and_a_damaged_one_ends() {
        let closed = annapurna_test_data::outside("pdf/encrypted_aes256_user_password_foo.pdf");
        assert_eq!(read(closed), Err(PdfError::Encrypted));
        let damaged =
            annapurna_test_data::outside("pdf/damaged_no_startxref_recursive_xobjects.pdf");
        assert!(read(damaged).unwrap().len() < 100);
    }
}
