//! Operators that show text, with operands of the right kind.

use lopdf::{Object, ObjectId};
use pdf_extract as plain;

/// Collects operators that pdf-extract can run without a panic.
pub(super) struct TextOperators<'a> {
    resources: &'a plain::Dictionary,
    operations: Vec<plain::content::Operation>,
    /// Whether a font is set, here and in the saved states.
    font: bool,
    saved: Vec<bool>,
}

impl<'a> TextOperators<'a> {
    pub(super) fn new(resources: &'a plain::Dictionary) -> Self {
        Self {
            resources,
            operations: Vec::new(),
            font: false,
            saved: Vec::new(),
        }
    }

    pub(super) fn keep(&mut self, operator: &str, operands: Vec<Object>) {
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
    pub(super) fn form(&self, operands: &[Object]) -> Option<ObjectId> {
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

    pub(super) fn encode(self) -> Option<Vec<u8>> {
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
