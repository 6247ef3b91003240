//! Finds properties that CloudFormation's schemas do not know, miss or refuse.
//!
//! In: a resource's properties as JSON. Out: a violation for each, which names the property by its path, the value
//! and what is allowed. A value that CloudFormation computes is not known yet and passes: an intrinsic function, or
//! a text with a dynamic reference. What a schema leaves open, such as a policy's document, passes too.

use std::collections::{BTreeMap, BTreeSet};

use annapurna_contract::nearest;
use serde_json::{Map, Value};

use super::Violation;
use crate::cloudformation::LogicalId;
use crate::cloudformation::facts::{self, TypeFacts};
use crate::cloudformation::schema::{Kind, Schema};
use crate::plan::shown;

/// Most values that a fix lists; there are a thousand kinds of instances.
const MOST_LISTED: usize = 24;

/// Every violation of one resource's properties.
pub(super) fn check(id: &LogicalId, type_name: &str, properties: &Value) -> Vec<Violation> {
    let facts = match facts::of(type_name) {
        Ok(facts) => facts,
        Err(error) => {
            let fix = "run infra/stack/facts.py";
            return vec![super::violation(id, error.to_string(), fix)];
        }
    };
    let mut check = Check {
        id,
        type_name,
        facts,
        found: Vec::new(),
    };
    check.value("", &facts.shape, properties);
    for path in &facts.read_only {
        if stands(properties, &mut path.segments()) {
            let path: Vec<&str> = path.segments().collect();
            let subject = check.subject(&path.join("."));
            check.report(format!("{subject} is set by AWS"), "take it out");
        }
    }
    check.found
}

struct Check<'a> {
    id: &'a LogicalId,
    type_name: &'a str,
    facts: &'a TypeFacts,
    found: Vec<Violation>,
}

impl Check<'_> {
    /// A place in words; the empty path is the resource itself.
    fn subject(&self, path: &str) -> String {
        match path {
            "" => self.type_name.to_owned(),
            path => format!("`{path}` of {}", self.type_name),
        }
    }

    fn report(&mut self, problem: impl Into<String>, fix: impl Into<String>) {
        self.found.push(super::violation(self.id, problem, fix));
    }

    fn refuse(&mut self, path: &str, value: &Value, fix: impl Into<String>) {
        let problem = format!("{} is {}", self.subject(path), quoted(value));
        self.report(problem, fix);
    }

    fn value(&mut self, path: &str, schema: &Schema, value: &Value) {
        if is_computed(value) {
            return;
        }
        if !schema.kinds.is_empty() && !schema.kinds.iter().any(|kind| kind.holds(value)) {
            let kinds: Vec<&str> = schema.kinds.iter().copied().map(Kind::word).collect();
            return self.refuse(path, value, format!("give {}", kinds.join(" or ")));
        }
        if let Some(name) = &schema.reference {
            match self.facts.definitions.get(&name.0) {
                Some(definition) => self.value(path, definition, value),
                None => self.report(
                    format!("facts.json has no definition `{}`", name.0),
                    "run infra/stack/facts.py",
                ),
            }
        }
        self.choice(path, schema, value);
        match value {
            Value::String(text) => self.text(path, schema, text),
            Value::Number(number) => self.number(path, schema, number),
            Value::Array(elements) => self.list(path, schema, elements),
            Value::Object(map) => self.object(path, schema, map),
            Value::Bool(_) | Value::Null => {}
        }
        self.alternatives(path, schema, value);
    }

    fn choice(&mut self, path: &str, schema: &Schema, value: &Value) {
        let allowed = match (&schema.allowed, &schema.only) {
            (Some(allowed), _) => allowed.as_slice(),
            (None, Some(only)) => std::slice::from_ref(only),
            (None, None) => return,
        };
        if !allowed.contains(value) {
            let allowed: Vec<String> = allowed.iter().map(|it| shown(Some(it))).collect();
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            self.refuse(path, value, choices(&shown(Some(value)), &allowed));
        }
    }

    fn text(&mut self, path: &str, schema: &Schema, text: &str) {
        let value = || Value::from(text);
        let length = text.chars().count();
        if let Some(range) = outside(length, schema.min_length, schema.max_length) {
            let problem = format!("{} has {length} characters", self.subject(path));
            self.report(problem, format!("give {range}"));
        }
        if let Some(pattern) = &schema.pattern
            && !pattern.matches(text)
        {
            let fix = format!("give a text that fits the pattern {}", pattern.as_str());
            self.refuse(path, &value(), fix);
        }
    }

    fn number(&mut self, path: &str, schema: &Schema, number: &serde_json::Number) {
        let range = number
            .as_f64()
            .and_then(|number| outside(number, schema.minimum, schema.maximum));
        if let Some(range) = range {
            self.refuse(path, &number.clone().into(), format!("give {range}"));
        }
    }

    fn list(&mut self, path: &str, schema: &Schema, elements: &[Value]) {
        let count = elements.len();
        if let Some(range) = outside(count, schema.min_items, schema.max_items) {
            let problem = format!("{} has {count} elements", self.subject(path));
            self.report(problem, format!("give {range}"));
        }
        let distinct = elements
            .iter()
            .map(Value::to_string)
            .collect::<BTreeSet<_>>()
            .len();
        if schema.unique_items && distinct < count {
            let problem = format!("{} has an element twice", self.subject(path));
            self.report(problem, "take one out");
        }
        if let Some(range) = outside(distinct, None, schema.max_unique_items) {
            let problem = format!("{} has {distinct} elements", self.subject(path));
            self.report(problem, format!("give {range}"));
        }
        if let Some(items) = &schema.items {
            for (at, element) in elements.iter().enumerate() {
                self.value(&below(path, &at.to_string()), items, element);
            }
        }
    }

    fn object(&mut self, path: &str, schema: &Schema, map: &Map<String, Value>) {
        for (key, value) in map {
            let below = below(path, key);
            if let Some(property) = schema.properties.get(key) {
                self.value(&below, property, value);
                continue;
            }
            let mut by_pattern = schema.pattern_properties.iter();
            match by_pattern.find(|(pattern, _)| pattern.matches(key)) {
                Some((_, property)) => self.value(&below, property, value),
                None if schema.is_closed() => self.unknown(path, key, schema),
                None => {}
            }
        }
        for key in schema.required.iter().filter(|key| !map.contains_key(*key)) {
            self.report(format!("{} lacks `{key}`", self.subject(path)), "add it");
        }
        if let Some(range) = outside(map.len(), schema.min_properties, None) {
            let problem = format!("{} has {} properties", self.subject(path), map.len());
            self.report(problem, format!("give {range}"));
        }
        self.combinations(path, schema, map);
    }

    fn unknown(&mut self, path: &str, key: &str, schema: &Schema) {
        let problem = format!("{} has no property `{key}`", self.subject(path));
        let keys: Vec<&str> = schema.properties.keys().map(String::as_str).collect();
        let patterns = schema.pattern_properties.iter().map(|(it, _)| it.as_str());
        let patterns: Vec<&str> = patterns.collect();
        let fix = match (nearest(key, keys.iter().copied()), patterns.as_slice()) {
            (Some(nearest), _) => format!("write `{nearest}`"),
            (None, []) => choices(key, &keys),
            (None, patterns) => format!("name it by the pattern {}", patterns.join(" or ")),
        };
        self.report(problem, fix);
    }

    fn combinations(&mut self, path: &str, schema: &Schema, map: &Map<String, Value>) {
        let stands = |key: &&String| map.contains_key(*key);
        let together = schema.required_xor.iter().filter(stands).count();
        if !schema.required_xor.is_empty() && together != 1 {
            let names = listed(schema.required_xor.iter().map(String::as_str));
            let problem = format!("{} has {together} of {names}", self.subject(path));
            self.report(problem, "give exactly one of them");
        }
        for (key, missing) in entries(&schema.dependent_required, map, false) {
            let problem = format!("{} has `{key}` without `{missing}`", self.subject(path));
            self.report(problem, format!("add `{missing}`"));
        }
        let pairs = entries(&schema.dependent_excluded, map, true);
        let pairs: BTreeSet<_> = pairs
            .map(|(one, other)| (one.min(other), one.max(other)))
            .collect();
        for (one, other) in pairs {
            let problem = format!("{} has both `{one}` and `{other}`", self.subject(path));
            self.report(problem, "take one out");
        }
    }

    /// `anyOf` and `oneOf`. What a branch refuses is told where none fits.
    fn alternatives(&mut self, path: &str, schema: &Schema, value: &Value) {
        for (branches, most) in [(&schema.any_of, usize::MAX), (&schema.one_of, 1)] {
            let outcomes: Vec<Vec<Violation>> = branches
                .iter()
                .map(|branch| self.apart(path, branch, value))
                .collect();
            let fitting = outcomes.iter().filter(|found| found.is_empty()).count();
            if branches.is_empty() || (1..=most).contains(&fitting) {
                continue;
            }
            let subject = self.subject(path);
            if fitting > 1 {
                let problem = format!("{subject} fits {fitting} of its forms");
                self.report(problem, "give what belongs to one of them");
                continue;
            }
            let reasons = outcomes.iter().filter_map(|found| found.first());
            let reasons: Vec<&str> = reasons.map(|it| it.problem.as_str()).collect();
            let problem = format!("{subject} fits none of its forms");
            self.report(problem, format!("mend one of: {}", reasons.join("; ")));
        }
    }

    /// What a schema alone finds.
    fn apart(&self, path: &str, schema: &Schema, value: &Value) -> Vec<Violation> {
        let mut check = Check {
            found: Vec::new(),
            ..*self
        };
        check.value(path, schema, value);
        check.found
    }
}

/// The keys of `map` with those beside them that a rule names, which are there or are not.
fn entries<'a>(
    rule: &'a BTreeMap<String, Vec<String>>,
    map: &'a Map<String, Value>,
    there: bool,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    rule.iter()
        .filter(|(key, _)| map.contains_key(*key))
        .flat_map(|(key, others)| {
            others
                .iter()
                .map(move |other| (key.as_str(), other.as_str()))
        })
        .filter(move |(_, other)| map.contains_key(*other) == there)
}

/// Whether CloudFormation makes this value: `Ref`, `Fn::…` or a dynamic reference.
fn is_computed(value: &Value) -> bool {
    match value {
        Value::Object(map) if map.len() == 1 => map
            .keys()
            .all(|key| key == "Ref" || key.starts_with("Fn::")),
        Value::String(text) => text.contains("{{resolve:"),
        _ => false,
    }
}

/// Whether a value stands at a path, where `*` is any element of a list.
fn stands<'a>(value: &Value, path: &mut (impl Iterator<Item = &'a str> + Clone)) -> bool {
    match (path.next(), value) {
        (None, _) => true,
        (Some("*"), Value::Array(elements)) => {
            elements.iter().any(|it| stands(it, &mut path.clone()))
        }
        (Some(key), Value::Object(map)) => map.get(key).is_some_and(|it| stands(it, path)),
        _ => false,
    }
}

fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// The range in words, where a value is outside it.
fn outside<T: PartialOrd + std::fmt::Display>(
    value: T,
    least: Option<T>,
    most: Option<T>,
) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) if least == most && value != least => {
            Some(format!("exactly {least}"))
        }
        (Some(least), Some(most)) if value < least || value > most => {
            Some(format!("{least} to {most}"))
        }
        (Some(least), None) if value < least => Some(format!("at least {least}")),
        (None, Some(most)) if value > most => Some(format!("at most {most}")),
        _ => None,
    }
}

/// A value in a sentence.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(_) => format!("`{}`", shown(Some(value))),
        other => shown(Some(other)),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// What may stand in the place of a value: all of a short list, or how many there are.
fn choices(given: &str, allowed: &[&str]) -> String {
    let count = allowed.len();
    match (nearest(given, allowed.iter().copied()), count) {
        (_, 0) => "take it out".to_owned(),
        (_, 1..=MOST_LISTED) => format!("give one of {}", listed(allowed.iter().copied())),
        (Some(nearest), _) => format!("give one of {count}, such as `{nearest}`"),
        (None, _) => {
            let first = listed(allowed.iter().copied().take(MOST_LISTED));
            format!("give one of {count}: {first} and others")
        }
    }
}

#[cfg(test)]
mod tests;
