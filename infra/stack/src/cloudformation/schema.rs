//! The words of JSON Schema in which CloudFormation describes the properties of its resource types.
//!
//! Read from `facts.json`; checked against by `validate::properties`. A word that is not here is an error when
//! the file is read, so that no rule of CloudFormation is passed over in silence. An own reading instead of a
//! JSON Schema library, since a template's intrinsic functions fit no schema and pass everywhere, and since
//! `requiredXor`, `dependentExcluded` and `maxUniqueItems` are words of cfn-lint's own.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What a value has to be. An empty one allows everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Schema {
    /// A definition of the same type, whose rules hold beside these.
    #[serde(rename = "$ref")]
    pub(crate) reference: Option<DefinitionName>,
    #[serde(rename = "type", deserialize_with = "one_or_more")]
    pub(crate) kinds: Vec<Kind>,
    #[serde(rename = "enum")]
    pub(crate) allowed: Option<Vec<Value>>,
    #[serde(rename = "const")]
    pub(crate) only: Option<Value>,
    pub(crate) any_of: Vec<Self>,
    pub(crate) one_of: Vec<Self>,

    pub(crate) pattern: Option<Pattern>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,

    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,

    pub(crate) items: Option<Box<Self>>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) unique_items: bool,
    pub(crate) max_unique_items: Option<usize>,

    pub(crate) properties: BTreeMap<String, Self>,
    #[serde(deserialize_with = "by_pattern")]
    pub(crate) pattern_properties: Vec<(Pattern, Self)>,
    /// Whether properties may stand there that are not described. Where it is not said, they may unless some are.
    pub(crate) additional_properties: Option<bool>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) required: Vec<String>,
    /// Exactly one of these.
    pub(crate) required_xor: Vec<String>,
    /// What must stand beside a property.
    pub(crate) dependent_required: BTreeMap<String, Vec<String>>,
    /// What must not stand beside a property.
    pub(crate) dependent_excluded: BTreeMap<String, Vec<String>>,
}

impl Schema {
    /// Whether a property that is not described is wrong.
    pub(crate) fn is_closed(&self) -> bool {
        let describes = !self.properties.is_empty() || !self.pattern_properties.is_empty();
        !self.additional_properties.unwrap_or(!describes)
    }
}

/// The JSON types of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

impl Kind {
    pub(crate) fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer, Value::Number(number)) => {
                number.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            (Self::String, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Array, Value::Array(_))
            | (Self::Object, Value::Object(_)) => true,
            _ => false,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}

/// The name in `#/definitions/NAME`.
#[derive(Debug)]
pub(crate) struct DefinitionName(pub(crate) String);

impl<'de> Deserialize<'de> for DefinitionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        match path.strip_prefix("#/definitions/") {
            Some(name) => Ok(Self(name.to_owned())),
            None => Err(D::Error::custom(format!("`{path}` is no definition"))),
        }
    }
}

/// A pattern in ECMAScript's words, as JSON Schema has them. It is looked for anywhere in a text.
pub(crate) struct Pattern {
    text: String,
    regex: regress::Regex,
}

impl Pattern {
    /// AWS's patterns are written for several engines: some escape what Unicode mode wants bare, and
    /// `\p{L}` is a letter in Unicode mode alone. So that mode is tried first.
    fn new(text: String) -> Result<Self, regress::Error> {
        let regex = match regress::Regex::with_flags(&text, "u") {
            Ok(regex) => regex,
            Err(error) if text.contains(r"\p{") => return Err(error),
            Err(_) => regress::Regex::new(&text)?,
        };
        Ok(Self { text, regex })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.find(text).is_some()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text.clone())
            .map_err(|error| D::Error::custom(format!("pattern `{text}`: {error}")))
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kind>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(Kind),
        More(Vec<Kind>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(kind) => vec![kind],
        OneOrMore::More(kinds) => kinds,
    })
}

fn by_pattern<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(Pattern, Schema)>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(Pattern, Schema)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("schemas by pattern")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text.to_owned()).unwrap()
    }

    #[test]
    fn patterns_look_ahead_and_know_unicode_as_ecmascript_does() {
        let no_aws = pattern(r"^(?=[/\.\-_A-Za-z0-9]+)((?!aws\.).*)$");
        assert!(no_aws.matches("research"));
        assert!(!no_aws.matches("aws.research"));
        let tag = pattern(r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$");
        assert!(tag.matches("Müller 3"));
        assert!(!tag.matches("a#b"));
        // A bracket in a class is a character, and an escape that Unicode mode refuses stands for itself.
        assert!(pattern(r"^([a-z,. _\-:/()#,@[\]+=&;\{\}!$*])*$").matches("a[b]"));
        assert!(pattern(r"^([a-z])([A-Za-z0-9\_]*)$").matches("a_1"));
    }

    #[test]
    fn a_pattern_of_letters_that_does_not_compile_is_an_error_and_never_another_pattern() {
        assert!(Pattern::new(r"^[\p{L}\_]$".to_owned()).is_err());
        assert!(serde_json::from_str::<Schema>(r#"{"pattern": "("}"#).is_err());
    }

    #[test]
    fn a_word_that_is_not_known_is_an_error() {
        let error = serde_json::from_str::<Schema>(r#"{"multipleOf": 60}"#).unwrap_err();
        assert!(error.to_string().contains("multipleOf"), "{error}");
        assert!(serde_json::from_str::<Schema>(r#"{"type": "null"}"#).is_err());
        assert!(serde_json::from_str::<Schema>(r##"{"$ref": "#/properties/X"}"##).is_err());
    }

    #[test]
    fn what_is_described_is_closed_unless_it_says_otherwise() {
        let closed = |text: &str| serde_json::from_str::<Schema>(text).unwrap().is_closed();
        assert!(closed(r#"{"properties": {"Name": {}}}"#));
        assert!(closed(r#"{"additionalProperties": false}"#));
        assert!(!closed(
            r#"{"additionalProperties": true, "properties": {"Name": {}}}"#
        ));
        assert!(!closed(r#"{"type": "object"}"#));
    }
}
