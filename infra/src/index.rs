//! The index's mapping: a step that CloudFormation cannot do. Idempotent, and part of the plan.

use annapurna_contract::PaperRecord;
use annapurna_contract::names::INDEX;
use annapurna_runtime::search::Search;
use serde_json::{Map, Value};

use crate::cloud::Cloud;
use crate::error::CommandError;

/// What a deployment will do to the index.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub(crate) enum IndexPlan {
    /// The index is not there, and gets the whole mapping.
    Create,
    /// The record has fields that the mapping lacks; a mapping only grows.
    AddFields {
        /// Their names, as in the record.
        fields: Vec<String>,
    },
    /// The mapping has every field of the record.
    UpToDate,
}

/// The index of a deployed environment.
///
/// # Errors
///
/// When the endpoint is not an address.
pub(crate) fn search(cloud: &Cloud, endpoint: &str) -> Result<Search, CommandError> {
    Ok(Search::new(&cloud.config, endpoint, INDEX)?)
}

/// Compares the index's mapping with the record's.
///
/// # Errors
///
/// [`CommandError::IndexConflict`] when a field is there with another type.
pub(crate) async fn plan(search: &Search) -> Result<IndexPlan, CommandError> {
    let Some(actual) = search.mapping().await? else {
        return Ok(IndexPlan::Create);
    };
    compare(&actual, &PaperRecord::mapping_properties())
}

fn compare(
    actual: &Map<String, Value>,
    wanted: &Map<String, Value>,
) -> Result<IndexPlan, CommandError> {
    let mut missing = Vec::new();
    let mut conflicts = Vec::new();
    for (field, mapping) in wanted {
        match actual.get(field) {
            None => missing.push(field.clone()),
            Some(there)
                if there["type"] != mapping["type"]
                    || there["dimension"] != mapping["dimension"] =>
            {
                conflicts.push(format!(
                    "`{field}` is {} and not {}",
                    there["type"], mapping["type"]
                ));
            }
            Some(_) => {}
        }
    }
    if !conflicts.is_empty() {
        return Err(CommandError::IndexConflict {
            index: INDEX.to_owned(),
            fields: conflicts,
        });
    }
    Ok(if missing.is_empty() {
        IndexPlan::UpToDate
    } else {
        IndexPlan::AddFields { fields: missing }
    })
}

/// Creates the index, or adds the fields it lacks.
///
/// # Errors
///
/// As [`plan`].
pub(crate) async fn apply(search: &Search, replicas: u32) -> Result<IndexPlan, CommandError> {
    let plan = plan(search).await?;
    match &plan {
        IndexPlan::Create => search.create_index_if_absent(replicas).await?,
        IndexPlan::AddFields { fields } => {
            let wanted = PaperRecord::mapping_properties();
            let new = fields
                .iter()
                .filter_map(|it| Some((it.clone(), wanted.get(it)?.clone())));
            search.add_fields(new.collect()).await?;
        }
        IndexPlan::UpToDate => {}
    }
    Ok(plan)
}

impl std::fmt::Display for IndexPlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create => write!(formatter, "+ create  index {INDEX}"),
            Self::AddFields { fields } => {
                write!(
                    formatter,
                    "~ update  index {INDEX}: new fields {}",
                    fields.join(", ")
                )
            }
            Self::UpToDate => write!(formatter, "  index {INDEX} is up to date"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_field_is_added_and_another_type_refused() {
        let wanted = PaperRecord::mapping_properties();
        assert_eq!(compare(&wanted, &wanted).unwrap(), IndexPlan::UpToDate);
        let mut older = wanted.clone();
        older.remove("profiler_files");
        let plan = compare(&older, &wanted).unwrap();
        assert_eq!(
            plan,
            IndexPlan::AddFields {
                fields: vec!["profiler_files".to_owned()]
            }
        );
        older.insert("title".to_owned(), json!({"type": "keyword"}));
        let error = compare(&older, &wanted).unwrap_err();
        assert!(
            error.to_string().contains("`title` is \"keyword\""),
            "{error}"
        );
    }
}
