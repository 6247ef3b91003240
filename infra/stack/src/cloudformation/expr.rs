//! Values of a template that are text once the stack exists: literals, references and their joins.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The name of a resource, parameter or output within its template: letters and digits only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogicalId(String);

impl LogicalId {
    /// Derives a logical id from a construct's id, and from nothing else, so the same code always
    /// gives the same template. Characters that CloudFormation refuses are left out.
    pub(crate) fn new(id: &str) -> Self {
        Self(id.chars().filter(char::is_ascii_alphanumeric).collect())
    }

    /// The id of a part of this construct.
    pub(crate) fn part(&self, part: &str) -> Self {
        Self::new(&format!("{}{part}", self.0))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogicalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for LogicalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A text value, known now or by CloudFormation later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    Literal(String),
    /// `Ref`: a resource's main identifier, a parameter's value or a pseudo parameter.
    Ref(String),
    /// `Fn::GetAtt`: an attribute that the resource has once it is made.
    GetAtt(LogicalId, &'static str),
    /// `Fn::Sub`: the parts one after the other.
    Concat(Vec<Expr>),
}

impl Expr {
    /// A resource's or parameter's `Ref`.
    pub(crate) fn reference(id: &LogicalId) -> Self {
        Self::Ref(id.as_str().to_owned())
    }

    pub(crate) fn attribute(id: &LogicalId, attribute: &'static str) -> Self {
        Self::GetAtt(id.clone(), attribute)
    }

    /// The parts one after the other.
    pub(crate) fn concat(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::Concat(parts.into_iter().collect())
    }

    /// The stack's account, 12 digits.
    pub(crate) fn account() -> Self {
        Self::Ref("AWS::AccountId".to_owned())
    }

    /// The stack's region, such as `us-east-1`.
    pub(crate) fn region() -> Self {
        Self::Ref("AWS::Region".to_owned())
    }

    /// Whether a part that is known now is such a text.
    pub(crate) fn has_literal(&self, is_it: fn(&str) -> bool) -> bool {
        match self {
            Self::Literal(text) => is_it(text),
            Self::Ref(_) | Self::GetAtt(..) => false,
            Self::Concat(parts) => parts.iter().any(|part| part.has_literal(is_it)),
        }
    }

    /// As a text of `Fn::Sub` has it, in which `${!` stands for `${` itself.
    fn in_a_text(&self) -> String {
        match self {
            Self::Literal(text) => text.replace("${", "${!"),
            Self::Ref(name) => format!("${{{name}}}"),
            Self::GetAtt(id, attribute) => format!("${{{id}.{attribute}}}"),
            Self::Concat(parts) => parts.iter().map(Self::in_a_text).collect(),
        }
    }

    /// The logical ids this value depends on; pseudo parameters are not among them.
    pub(crate) fn dependencies(&self) -> Vec<&str> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Ref(name) if name.starts_with("AWS::") => Vec::new(),
            Self::Ref(name) => vec![name],
            Self::GetAtt(id, _) => vec![id.as_str()],
            Self::Concat(parts) => parts.iter().flat_map(Self::dependencies).collect(),
        }
    }
}

impl From<&str> for Expr {
    fn from(text: &str) -> Self {
        Self::Literal(text.to_owned())
    }
}

impl From<String> for Expr {
    fn from(text: String) -> Self {
        Self::Literal(text)
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Literal(text) => serializer.serialize_str(text),
            Self::Ref(name) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("Ref", name)?;
                map.end()
            }
            Self::GetAtt(id, attribute) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("Fn::GetAtt", &[id.as_str(), attribute])?;
                map.end()
            }
            Self::Concat(parts) => {
                let mut map = serializer.serialize_map(Some(1))?;
                let text: String = parts.iter().map(Self::in_a_text).collect();
                map.serialize_entry("Fn::Sub", &text)?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_render_as_cloudformation_writes_them() {
        let queue = LogicalId::new("Queue");
        let value = Expr::concat([
            Expr::from("a-${HOME}-"),
            Expr::reference(&queue),
            Expr::attribute(&queue, "Arn"),
        ]);
        assert_eq!(
            serde_json::to_value(&value).unwrap(),
            json!({"Fn::Sub": "a-${!HOME}-${Queue}${Queue.Arn}"})
        );
        assert_eq!(value.dependencies(), ["Queue", "Queue"]);
    }

    #[test]
    fn logical_ids_hold_letters_and_digits_only() {
        assert_eq!(
            LogicalId::new("PaperScraper_ICLR").as_str(),
            "PaperScraperICLR"
        );
    }
}
