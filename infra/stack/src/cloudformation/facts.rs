//! What CloudFormation's own schemas say of the resource types of this stack: the one home of these facts.
//!
//! `facts.json` is written by `facts.py` from the schemas in the PyPI package cfn-lint, and names its version.
//! `plan` reads the name people know and what replaces a resource, `validate` reads which properties exist and what
//! they may hold. What no schema says, the data a type holds, stands beside the type in `template`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::schema::Schema;

static FACTS: LazyLock<Result<Facts, serde_json::Error>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../facts.json")));

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    #[expect(dead_code, reason = "for people, and compared by `facts.py --check`")]
    source: serde_json::Value,
    types: BTreeMap<String, TypeFacts>,
}

/// What is not known of a resource type.
#[derive(Debug, thiserror::Error)]
pub enum NoFacts {
    /// The file itself.
    #[error("facts.json cannot be read: {0}")]
    Unreadable(&'static serde_json::Error),
    /// No template of this program has the type.
    #[error("facts.json says nothing of {0}")]
    UnknownType(String),
    /// People give the type no name.
    #[error("facts.json names no property with the name of {0}")]
    Unnamed(String),
}

/// The facts of one resource type.
pub(crate) fn of(type_name: &str) -> Result<&'static TypeFacts, NoFacts> {
    let facts = FACTS.as_ref().map_err(NoFacts::Unreadable)?;
    let unknown = || NoFacts::UnknownType(type_name.to_owned());
    facts.types.get(type_name).ok_or_else(unknown)
}

/// What the template calls its resources of a type; one that CloudFormation is to name is not among them.
///
/// # Errors
///
/// When the facts do not know the type, or no name of it.
pub fn names<'a>(template: &'a Value, type_name: &str) -> Result<Vec<&'a str>, NoFacts> {
    let property = of(type_name)?.name_property.as_deref();
    let property = property.ok_or_else(|| NoFacts::Unnamed(type_name.to_owned()))?;
    let resources = template["Resources"].as_object().into_iter();
    let resources = resources.flat_map(|it| it.values());
    Ok(resources
        .filter(|it| it["Type"] == type_name)
        .filter_map(|it| it["Properties"][property].as_str())
        .collect())
}

/// What CloudFormation says of one resource type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct TypeFacts {
    #[expect(dead_code, reason = "for people, and compared by `facts.py --check`")]
    digest: String,
    /// The property that holds the name people know; an event source mapping has none.
    pub(crate) name_property: Option<String>,
    create_only: Vec<PropertyPath>,
    conditional_create_only: Vec<PropertyPath>,
    /// Attributes that AWS sets: they have no place in a template.
    pub(crate) read_only: Vec<PropertyPath>,
    pub(crate) shape: Schema,
    /// What the properties are made of, by name.
    pub(crate) definitions: BTreeMap<String, Schema>,
}

/// What changing a property does to the physical resource: "Update requires" of the template reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UpdateRequires {
    NoReplacement,
    /// Some values replace it, some do not.
    PerhapsReplacement,
    Replacement,
}

impl TypeFacts {
    /// What a change at `path`, or anywhere below it, requires.
    pub(crate) fn update_requires(&self, path: &str) -> UpdateRequires {
        let among = |paths: &[PropertyPath]| paths.iter().any(|it| it.overlaps(path));
        if among(&self.create_only) {
            UpdateRequires::Replacement
        } else if among(&self.conditional_create_only) {
            UpdateRequires::PerhapsReplacement
        } else {
            UpdateRequires::NoReplacement
        }
    }
}

/// A property by its names from the resource on, with dots; `*` stands for every element of a list.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct PropertyPath(String);

impl PropertyPath {
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.split('.')
    }

    /// Whether one of the two paths leads to, or through, the other.
    fn overlaps(&self, path: &str) -> bool {
        self.segments()
            .zip(path.split('.'))
            .all(|(mine, other)| mine == "*" || mine == other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudformation::Properties;

    #[test]
    fn the_facts_are_of_the_types_in_use_and_of_no_others() {
        let facts = FACTS.as_ref().unwrap();
        let known: Vec<&str> = facts.types.keys().map(String::as_str).collect();
        let mut used = Properties::TYPE_NAMES.to_vec();
        used.sort_unstable();
        assert_eq!(known, used, "run facts.py");
    }

    #[test]
    fn a_type_without_facts_is_named() {
        let error = of("AWS::DynamoDB::Table").unwrap_err();
        assert_eq!(
            error.to_string(),
            "facts.json says nothing of AWS::DynamoDB::Table"
        );
    }

    #[test]
    fn every_definition_that_is_used_is_there() {
        for (type_name, facts) in &FACTS.as_ref().unwrap().types {
            let mut schemas: Vec<&Schema> = vec![&facts.shape];
            schemas.extend(facts.definitions.values());
            while let Some(schema) = schemas.pop() {
                if let Some(reference) = &schema.reference {
                    let name = &reference.0;
                    assert!(facts.definitions.contains_key(name), "{type_name}: {name}");
                }
                schemas.extend(schema.properties.values());
                schemas.extend(schema.pattern_properties.iter().map(|(_, it)| it));
                schemas.extend(schema.items.as_deref());
                schemas.extend(schema.any_of.iter().chain(&schema.one_of));
            }
        }
    }

    #[test]
    fn a_name_is_the_property_that_people_know() {
        let name = |type_name: &str| of(type_name).unwrap().name_property.as_deref();
        assert_eq!(name("AWS::SQS::Queue"), Some("QueueName"));
        assert_eq!(name("AWS::SNS::Topic"), Some("TopicName"));
        assert_eq!(name("AWS::SSM::Parameter"), Some("Name"));
        assert_eq!(name("AWS::EC2::SecurityGroup"), Some("GroupName"));
        // The function's name, and not its own.
        assert_eq!(name("AWS::Lambda::Permission"), None);
        assert_eq!(name("AWS::EC2::Instance"), None);
    }

    #[test]
    fn the_names_of_a_type_are_the_templates_and_an_unknown_type_is_an_error() {
        let template = serde_json::json!({"Resources": {
            "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a.fifo"}},
            "B": {"Type": "AWS::SQS::Queue", "Properties": {}},
            "C": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "c"}},
        }});
        let names = |kind| names(&template, kind).map_err(|error| error.to_string());
        assert_eq!(names("AWS::SQS::Queue").unwrap(), ["a.fifo"]);
        assert_eq!(names("AWS::S3::Bucket").unwrap(), ["c"]);
        assert!(names("AWS::SNS::Topic").unwrap().is_empty());
        for kind in ["AWS::SQS::Queues", "AWS::EC2::Instance"] {
            let error = names(kind).unwrap_err();
            assert!(error.ends_with(kind), "{error}");
        }
    }

    #[test]
    fn a_change_below_or_above_a_fixed_property_replaces() {
        let instance = of("AWS::EC2::Instance").unwrap();
        let domain = of("AWS::OpenSearchService::Domain").unwrap();
        for (facts, path, requires) in [
            (instance, "LaunchTemplate", UpdateRequires::Replacement),
            (
                instance,
                "LaunchTemplate.Version",
                UpdateRequires::Replacement,
            ),
            (instance, "UserData", UpdateRequires::PerhapsReplacement),
            (instance, "Tags", UpdateRequires::NoReplacement),
            (
                domain,
                "EncryptionAtRestOptions",
                UpdateRequires::PerhapsReplacement,
            ),
            (
                domain,
                "EncryptionAtRestOptions.Enabled",
                UpdateRequires::PerhapsReplacement,
            ),
            (
                domain,
                "EBSOptions.VolumeSize",
                UpdateRequires::NoReplacement,
            ),
            (domain, "DomainNames", UpdateRequires::NoReplacement),
        ] {
            assert_eq!(facts.update_requires(path), requires, "{path}");
        }
    }
}
