//! Which resources of a new stack are there already: CloudFormation imports them, and the plan names them.
//!
//! Asked about are buckets and the search domain, which outlive their stack. What else of its names is in the account
//! ends a deploy before there is a plan, by `preflight`. A stack that is there imports nothing.

use std::collections::BTreeSet;

use annapurna_stack::environment::Environment;
use annapurna_stack::plan::{Change, Impact, import};

use crate::cloud::Cloud;
use crate::engine::Found;
use crate::error::CommandError;
use crate::preflight::names::{Owner, has_domain, owner};

/// Says of what would be created that it is imported, where it is there. What could not be seen is returned, a line
/// each: nothing is known of it, and CloudFormation still says it before anything is done.
///
/// # Errors
///
/// When it is not known whose the credentials are.
pub(super) async fn mark(
    cloud: &Cloud,
    environment: &Environment,
    found: &Found,
    resources: &mut [Change],
) -> Result<Vec<String>, CommandError> {
    if found.deployed.is_some() {
        return Ok(Vec::new());
    }
    let account = cloud.guard(environment).await?;
    let left = found.remnant.iter().flat_map(|it| &it.resources);
    let going = left.filter(|it| it.impact == Impact::Destroy);
    let going: BTreeSet<&str> = going.map(|it| it.resource.as_str()).collect();
    let mut there = BTreeSet::new();
    let mut unseen = Vec::new();
    for change in resources.iter() {
        if change.impact != Impact::Create || going.contains(change.resource.as_str()) {
            continue;
        }
        match is_there(cloud, &account, change).await {
            Ok(true) => {
                there.insert(change.resource.clone());
            }
            Ok(false) => {}
            Err(error) => unseen.push(format!(
                "whether `{}` is there already could not be seen: {error}",
                change.resource
            )),
        }
    }
    import(resources, &there);
    Ok(unseen)
}

/// Whether a resource of this name is in the account, of the types that outlive their stack.
async fn is_there(cloud: &Cloud, account: &str, change: &Change) -> Result<bool, CommandError> {
    let Some(name) = change.name.as_deref() else {
        return Ok(false);
    };
    match change.type_name.as_str() {
        "AWS::S3::Bucket" => Ok(owner(cloud, account, name).await? == Owner::Us),
        "AWS::OpenSearchService::Domain" => has_domain(cloud, name).await,
        _ => Ok(false),
    }
}
