//! The mappings of the two indexes: a step that CloudFormation cannot do. Idempotent, and part of the plan.

use annapurna_contract::names::{INDEX, STATUS_INDEX};
use annapurna_contract::{PaperRecord, StatusRecord};
use annapurna_runtime::search::Search;
use serde_json::{Map, Value};

use crate::cloud::Cloud;
use crate::error::CommandError;

/// What a deployment will do to an index.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub(crate) enum IndexPlan {
    /// The index is not there, and gets the whole mapping.
    Create,
    /// The record has fields that the mapping lacks; a mapping only grows.
    AddFields {
        /// Their names, as in the record; of a part of it with a dot between.
        fields: Vec<String>,
    },
    /// The mapping has every field of the record.
    UpToDate,
}

/// The same of both.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct IndexPlans {
    /// The accepted papers.
    pub index: IndexPlan,
    /// The states of all papers.
    pub status_index: IndexPlan,
}

impl IndexPlans {
    /// Where nothing is deployed.
    pub(crate) const NEW: Self = Self {
        index: IndexPlan::Create,
        status_index: IndexPlan::Create,
    };
    /// Where nothing changes.
    pub(crate) const UP_TO_DATE: Self = Self {
        index: IndexPlan::UpToDate,
        status_index: IndexPlan::UpToDate,
    };
}

/// The index of a deployed environment.
///
/// # Errors
///
/// When the endpoint is not an address.
pub(crate) fn search(cloud: &Cloud, endpoint: &str) -> Result<Search, CommandError> {
    Ok(Search::new(&cloud.config, endpoint, INDEX)?)
}

/// Compares the indexes' mappings with the records'.
///
/// # Errors
///
/// [`CommandError::IndexConflict`] when a field is there with another type.
pub(crate) async fn plan(search: &Search) -> Result<IndexPlans, CommandError> {
    let papers = PaperRecord::mapping_properties();
    let states = StatusRecord::mapping_properties();
    Ok(IndexPlans {
        index: compare(INDEX, search.mapping().await?, &papers)?,
        status_index: compare(STATUS_INDEX, search.states().mapping().await?, &states)?,
    })
}

fn compare(
    index: &str,
    actual: Option<Map<String, Value>>,
    wanted: &Map<String, Value>,
) -> Result<IndexPlan, CommandError> {
    let Some(actual) = actual else {
        return Ok(IndexPlan::Create);
    };
    let mut found = Differences::default();
    found.look(&actual, wanted, "");
    if !found.conflicts.is_empty() {
        return Err(CommandError::IndexConflict {
            index: index.to_owned(),
            fields: found.conflicts,
        });
    }
    Ok(match found.missing {
        fields if fields.is_empty() => IndexPlan::UpToDate,
        fields => IndexPlan::AddFields { fields },
    })
}

/// How a mapping differs from the one that is wanted.
#[derive(Default)]
struct Differences {
    missing: Vec<String>,
    conflicts: Vec<String>,
}

impl Differences {
    fn look(&mut self, actual: &Map<String, Value>, wanted: &Map<String, Value>, part: &str) {
        for (name, mapping) in wanted {
            let field = format!("{part}{name}");
            let Some(there) = actual.get(name) else {
                self.missing.push(field);
                continue;
            };
            let inner = |it: &Value| it.get("properties").and_then(Value::as_object).cloned();
            if let Some(wanted) = inner(mapping) {
                let actual = inner(there).unwrap_or_default();
                self.look(&actual, &wanted, &format!("{field}."));
            }
            let differs = |key: &str| there.get(key) != mapping.get(key);
            // OpenSearch does not repeat what an object is by itself.
            let is_object = |it: &Value| it["type"] == "object" || it.get("properties").is_some();
            let is_other = differs("type") && !(is_object(there) && is_object(mapping));
            if is_other || differs("dimension") {
                let (is, not) = (&there["type"], &mapping["type"]);
                self.conflicts
                    .push(format!("`{field}` is {is} and not {not}"));
            }
        }
    }
}

/// Creates the indexes, or adds the fields they lack.
///
/// # Errors
///
/// As [`plan`].
pub(crate) async fn apply(search: &Search, replicas: u32) -> Result<IndexPlans, CommandError> {
    let plans = plan(search).await?;
    let states = search.states();
    match &plans.index {
        IndexPlan::Create => search.create_index_if_absent(replicas).await?,
        IndexPlan::AddFields { fields } => {
            let wanted = PaperRecord::mapping_properties();
            search.add_fields(only(wanted, fields)).await?;
        }
        IndexPlan::UpToDate => {}
    }
    match &plans.status_index {
        IndexPlan::Create => states.create_index_if_absent(replicas).await?,
        IndexPlan::AddFields { fields } => {
            let wanted = StatusRecord::mapping_properties();
            states.add_fields(only(wanted, fields)).await?;
        }
        IndexPlan::UpToDate => {}
    }
    Ok(plans)
}

/// The mappings of these fields; a part of a record goes whole, since a field that is there may be named again.
fn only(wanted: Map<String, Value>, fields: &[String]) -> Map<String, Value> {
    let is_named = |name: &str| fields.iter().any(|it| it.split('.').next() == Some(name));
    let wanted = wanted.into_iter();
    wanted.filter(|(name, _)| is_named(name)).collect()
}

impl IndexPlan {
    fn in_words(&self, index: &str) -> String {
        match self {
            Self::Create => format!("+ create  index {index}"),
            Self::AddFields { fields } => {
                format!("~ update  index {index}: new fields {}", fields.join(", "))
            }
            Self::UpToDate => format!("  index {index} is up to date"),
        }
    }
}

/// A line for each index that changes.
impl std::fmt::Display for IndexPlans {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plans = [(&self.index, INDEX), (&self.status_index, STATUS_INDEX)];
        let changes = plans
            .into_iter()
            .filter(|(plan, _)| **plan != IndexPlan::UpToDate);
        let lines: Vec<String> = changes.map(|(plan, index)| plan.in_words(index)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_field_is_added_and_another_type_refused() {
        let wanted = PaperRecord::mapping_properties();
        let plan = |actual: &Map<String, Value>| compare(INDEX, Some(actual.clone()), &wanted);
        assert_eq!(compare(INDEX, None, &wanted).unwrap(), IndexPlan::Create);
        assert_eq!(plan(&wanted).unwrap(), IndexPlan::UpToDate);
        let mut older = wanted.clone();
        older.remove("profiler_files");
        let fields = vec!["profiler_files".to_owned()];
        assert_eq!(plan(&older).unwrap(), IndexPlan::AddFields { fields });
        older.insert("title".to_owned(), json!({"type": "keyword"}));
        let error = plan(&older).unwrap_err().to_string();
        assert!(error.contains("`title` is \"keyword\""), "{error}");
    }

    #[test]
    fn a_new_field_of_a_part_of_a_state_is_added_with_its_part() {
        let wanted = StatusRecord::mapping_properties();
        let plan =
            |actual: &Map<String, Value>| compare(STATUS_INDEX, Some(actual.clone()), &wanted);
        assert_eq!(plan(&wanted).unwrap(), IndexPlan::UpToDate);
        let mut older = wanted.clone();
        let inner = older["tested"]["properties"].as_object_mut().unwrap();
        inner.remove("outcome");
        let fields = vec!["tested.outcome".to_owned()];
        let added = only(wanted.clone(), &fields);
        assert_eq!(added.keys().collect::<Vec<_>>(), ["tested"]);
        assert_eq!(plan(&older).unwrap(), IndexPlan::AddFields { fields });
        older["judged"]["properties"]["reason"] = json!({"type": "keyword"});
        let error = plan(&older).unwrap_err().to_string();
        assert!(error.contains("`judged.reason` is \"keyword\""), "{error}");
        assert!(error.contains(STATUS_INDEX), "{error}");
    }
}
