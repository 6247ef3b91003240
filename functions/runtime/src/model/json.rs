//! JSON as the SDK has it, and back.

use std::collections::HashMap;

use aws_smithy_types::{Document, Number};
use serde_json::Value;

/// JSON as the SDK's own type of it.
pub(super) fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(flag) => Document::Bool(*flag),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(document).collect()),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: HashMap<String, Document> = fields
                .map(|(name, value)| (name.clone(), document(value)))
                .collect();
            Document::Object(fields)
        }
        Value::Number(number) => {
            let whole = number.as_u64().map(Number::PosInt);
            let negative = || number.as_i64().map(Number::NegInt);
            let float = || number.as_f64().map(Number::Float);
            let number = whole.or_else(negative).or_else(float);
            number.map_or(Document::Null, Document::Number)
        }
    }
}

/// The SDK's type of JSON as JSON. A number that JSON cannot hold becomes null.
pub(super) fn value(document: Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(flag) => Value::Bool(flag),
        Document::String(text) => Value::String(text),
        Document::Array(items) => items.into_iter().map(value).collect(),
        Document::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, value(field)))
            .collect(),
        Document::Number(Number::PosInt(number)) => number.into(),
        Document::Number(Number::NegInt(number)) => number.into(),
        Document::Number(Number::Float(number)) => number.into(),
    }
}
