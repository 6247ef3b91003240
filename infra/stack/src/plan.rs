//! Compares a synthesised template with the deployed one and says what each change will do.
//!
//! In: two templates as JSON, each with its parameter values. Out: a list of changes, worst first.
//! Nothing here calls AWS or prints; the commands do both, so every rule can be a unit test.
//! Which property changes replace a resource, and which property names it, comes from CloudFormation's own
//! resource schemas, by way of `cloudformation::facts`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use annapurna_contract::text::escaped;
use serde::Serialize;
use serde_json::Value;

use crate::cloudformation::Holds;
use crate::cloudformation::facts::{self, UpdateRequires};

/// What the sign in front of each line means, as help and README say it.
pub const SIGNS: &str = "`+` create, `=` import, `~` update in place, `!` replace or may replace, `-` destroy, `?` leave behind";

/// What a change does to the physical resource, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// It goes, and what it holds goes with it.
    Destroy,
    /// A new one takes its place.
    Replace,
    /// CloudFormation cannot tell before it knows a value that changes with another resource.
    MayReplace,
    /// It stays, but leaves the stack.
    Orphan,
    /// It changes in place and keeps what it holds.
    Update,
    /// It is there already and becomes the stack's, with what it holds.
    Import,
    /// It is new.
    Create,
}

impl Impact {
    /// What is done with the resource, as the plan and its summary say it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Destroy => "destroy",
            Self::Replace => "replace",
            Self::MayReplace => "may replace",
            Self::Orphan => "leave behind",
            Self::Update => "update",
            Self::Import => "import",
            Self::Create => "create",
        }
    }

    /// The sign in front of a line.
    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Destroy => '-',
            Self::Replace | Self::MayReplace => '!',
            Self::Orphan => '?',
            Self::Update => '~',
            Self::Import => '=',
            Self::Create => '+',
        }
    }
}

/// A property that differs, with what it was and what it will be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PropertyChange {
    /// Such as `Environment.Variables.MAX_PAPERS`.
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Value>,
}

/// What happens to one resource, and which properties are the reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Worst of its properties' impacts.
    pub impact: Impact,
    /// Its id in the template, such as `ResearchQueue`.
    pub resource: String,
    /// Such as `AWS::SQS::Queue`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The name people know, where the resource has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What differs; empty for new and removed resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) properties: Vec<PropertyChange>,
}

impl Change {
    /// What is lost where the physical resource goes.
    pub fn holds(&self) -> Holds {
        Holds::of(&self.type_name)
    }

    /// Whether data, messages or a running program may be lost.
    pub fn is_dangerous(&self) -> bool {
        let goes = matches!(
            self.impact,
            Impact::Destroy | Impact::Replace | Impact::MayReplace
        );
        goes && self.holds() != Holds::Nothing
    }
}

/// What CloudFormation's own change set says of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSetEntry {
    /// Its id in the template, such as `ResearchQueue`.
    pub resource: String,
    /// Such as `AWS::SQS::Queue`.
    pub type_name: String,
    /// What CloudFormation would do.
    pub action: ChangeSetAction,
    /// Whether a new one takes its place.
    pub replacement: Replacement,
}

/// What a change set does with a resource. Source: CloudFormation API reference, `ResourceChange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeSetAction {
    /// It is created.
    Add,
    /// It changes, or is replaced.
    Modify,
    /// It leaves the stack.
    Remove,
    /// It is there already and becomes the stack's.
    Import,
    /// CloudFormation cannot tell yet, or has a word for it that this program does not know.
    Undetermined,
}

/// Whether a change set puts a new resource in a resource's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// It stays, is new, or goes.
    No,
    /// It is replaced.
    Yes,
    /// It depends on a value that CloudFormation does not know yet.
    Conditional,
}

impl ChangeSetEntry {
    /// What it says beyond a comparison of templates.
    const fn impact(&self) -> Option<Impact> {
        match (self.replacement, self.action) {
            (Replacement::Yes, _) => Some(Impact::Replace),
            (Replacement::Conditional, _) | (_, ChangeSetAction::Undetermined) => {
                Some(Impact::MayReplace)
            }
            // As the templates say; where they do not, somebody deployed since they were compared.
            (Replacement::No, ChangeSetAction::Remove) => Some(Impact::Destroy),
            (Replacement::No, ChangeSetAction::Import) => Some(Impact::Import),
            (Replacement::No, _) => None,
        }
    }
}

/// Brings what CloudFormation's change set says into the changes: it follows references that a comparison of
/// templates cannot, such as an instance's to the newest version of its launch template.
pub fn merge_change_set(changes: &mut Vec<Change>, entries: &[ChangeSetEntry]) {
    for entry in entries {
        let Some(impact) = entry.impact() else {
            continue;
        };
        match changes
            .iter_mut()
            .find(|change| change.resource == entry.resource)
        {
            // What is retained is left behind.
            Some(_) if entry.action == ChangeSetAction::Remove => {}
            Some(change) => change.impact = change.impact.min(impact),
            None => changes.push(Change {
                impact,
                resource: entry.resource.clone(),
                type_name: entry.type_name.clone(),
                name: None,
                properties: Vec::new(),
            }),
        }
    }
    sort(changes);
}

/// Says of what a new stack would create that it is there already, by logical id: CloudFormation imports it.
pub fn import(changes: &mut [Change], there: &BTreeSet<String>) {
    for change in changes.iter_mut() {
        if change.impact == Impact::Create && there.contains(&change.resource) {
            change.impact = Impact::Import;
        }
    }
    sort(changes);
}

fn sort(changes: &mut [Change]) {
    changes.sort_by(|one, other| (one.impact, &one.resource).cmp(&(other.impact, &other.resource)));
}

/// A template with the values of its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// As CloudFormation takes it; null where nothing is deployed.
    pub template: Value,
    /// Values by name, as a deployment gives them.
    pub parameters: BTreeMap<String, String>,
}

impl Deployment {
    /// Name of the search domain that holds the index; `None` when the template has none.
    pub fn search_domain(&self) -> Option<&str> {
        let resources = self.template["Resources"].as_object()?;
        let of_type = |it: &&Value| it["Type"].as_str().map(Holds::of) == Some(Holds::Documents);
        name_of(resources.values().find(of_type)?)
    }

    /// The ids of its resources in the template.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let resources = self.template["Resources"].as_object();
        resources.into_iter().flatten().map(|(id, _)| id.as_str())
    }

    /// Nothing deployed yet.
    pub fn none() -> Self {
        Self {
            template: Value::Null,
            parameters: BTreeMap::new(),
        }
    }

    /// The resources, with parameter references replaced by values.
    fn resources(&self) -> BTreeMap<String, Value> {
        let resources = self.template["Resources"].as_object();
        resources
            .into_iter()
            .flatten()
            .map(|(id, resource)| (id.clone(), self.resolved(resource)))
            .collect()
    }

    fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let parameter = map
                    .get("Ref")
                    .filter(|_| map.len() == 1)
                    .and_then(|name| self.parameters.get(name.as_str()?));
                match parameter {
                    Some(text) => Value::String(text.clone()),
                    None => map
                        .iter()
                        .map(|(key, value)| (key.clone(), self.resolved(value)))
                        .collect(),
                }
            }
            Value::Array(values) => values.iter().map(|value| self.resolved(value)).collect(),
            other => other.clone(),
        }
    }
}

/// The changes from what is deployed to what is wanted, worst first, then by logical id.
pub fn changes(deployed: &Deployment, wanted: &Deployment) -> Vec<Change> {
    let (before, after) = (deployed.resources(), wanted.resources());
    let removed = before
        .iter()
        .filter(|(id, _)| !after.contains_key(*id))
        .map(|(id, old)| {
            let policy = old["DeletionPolicy"].as_str().unwrap_or_default();
            let retained = policy.starts_with("Retain");
            change(
                id,
                old,
                if retained {
                    Impact::Orphan
                } else {
                    Impact::Destroy
                },
                Vec::new(),
            )
        });
    let kept = after.iter().filter_map(|(id, new)| match before.get(id) {
        None => Some(change(id, new, Impact::Create, Vec::new())),
        Some(old) if old == new => None,
        Some(old) => Some(modification(id, old, new)),
    });
    let mut changes: Vec<Change> = removed.chain(kept).collect();
    sort(&mut changes);
    changes
}

fn change(id: &str, resource: &Value, impact: Impact, properties: Vec<PropertyChange>) -> Change {
    Change {
        impact,
        resource: id.to_owned(),
        type_name: resource["Type"].as_str().unwrap_or_default().to_owned(),
        name: name_of(resource).map(str::to_owned),
        properties,
    }
}

/// The name that people know a resource by; `None` when AWS or another resource gives it.
fn name_of(resource: &Value) -> Option<&str> {
    let facts = facts::of(resource["Type"].as_str()?).ok()?;
    resource["Properties"][facts.name_property.as_deref()?].as_str()
}

fn modification(id: &str, old: &Value, new: &Value) -> Change {
    let mut properties = Vec::new();
    differences(
        String::new(),
        Some(&old["Properties"]),
        Some(&new["Properties"]),
        &mut properties,
    );
    let impact = impact_of(old, new, &properties);
    for attribute in ["DeletionPolicy", "UpdateReplacePolicy", "DependsOn"] {
        differences(
            attribute.to_owned(),
            old.get(attribute),
            new.get(attribute),
            &mut properties,
        );
    }
    change(id, new, impact, properties)
}

/// What changed properties do to a resource, by its type's facts.
fn impact_of(old: &Value, new: &Value, properties: &[PropertyChange]) -> Impact {
    if old["Type"] != new["Type"] {
        return Impact::Replace;
    }
    let facts = new["Type"].as_str().and_then(|name| facts::of(name).ok());
    let requires = facts.and_then(|facts| {
        let each = properties.iter().map(|it| facts.update_requires(&it.path));
        each.max()
    });
    match requires {
        Some(UpdateRequires::Replacement) => Impact::Replace,
        Some(UpdateRequires::PerhapsReplacement) => Impact::MayReplace,
        Some(UpdateRequires::NoReplacement) | None => Impact::Update,
    }
}

fn differences(
    path: String,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Vec<PropertyChange>,
) {
    if old == new {
        return;
    }
    let (unpacked_old, unpacked_new) = (old.and_then(unpacked), new.and_then(unpacked));
    let (old, new) = match (&unpacked_old, &unpacked_new) {
        (Some(before), Some(after)) => (Some(before), Some(after)),
        _ => (old, new),
    };
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (old, new) else {
        found.push(PropertyChange {
            path,
            from: old.cloned(),
            to: new.cloned(),
        });
        return;
    };
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        differences(below, before.get(key), after.get(key), found);
    }
}

/// What a property's text holds, when that is a JSON object: a schedule's event, a machine's definition.
fn unpacked(value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|text| text.starts_with('{'))?;
    serde_json::from_str(text).ok().filter(Value::is_object)
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            impact,
            resource,
            type_name,
            name,
            ..
        } = self;
        write!(
            formatter,
            "{} {:<7} {}",
            impact.sign(),
            impact.word(),
            name.as_ref().unwrap_or(resource)
        )?;
        write!(formatter, "  ({type_name})")?;
        for PropertyChange { path, from, to } in &self.properties {
            write!(
                formatter,
                "\n      {path}: {} → {}",
                shown(from.as_ref()),
                shown(to.as_ref())
            )?;
        }
        Ok(())
    }
}

/// A value in a line: cut, since a policy or a script would fill the screen.
pub(crate) fn shown(value: Option<&Value>) -> String {
    const MOST: usize = 72;
    match value {
        None => "(none)".to_owned(),
        Some(Value::String(text)) => escaped(text, MOST),
        Some(other) => escaped(&other.to_string(), MOST),
    }
}

#[cfg(test)]
mod tests;
