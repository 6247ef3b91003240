//! Instances as EC2 shows them.

use std::collections::BTreeSet;

use annapurna_contract::names::{ENVIRONMENT_TAG, INSTANCE_PURPOSE, PURPOSE_TAG};
use annapurna_stack::environment::Environment;
use aws_sdk_ec2::types::{Filter, InstanceStateName as State};

use crate::cloud::Cloud;
use crate::error::CommandError;

/// An instance that was not ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Such as `i-0abc…`.
    pub id: String,
    /// EC2's word, such as `running`.
    pub state: String,
    /// Such as `us-east-1a`; empty when EC2 does not say.
    pub zone: String,
}

impl Seen {
    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state == State::Running.as_str()
    }
}

/// The instances that run the environment's programs, as the tester finds them, by their ids.
///
/// # Errors
///
/// When EC2 cannot be asked.
pub async fn seen(cloud: &Cloud, environment: &Environment) -> Result<Vec<Seen>, CommandError> {
    let Some(settings) = &environment.trainium else {
        return Ok(Vec::new());
    };
    let purpose = environment.named(INSTANCE_PURPOSE);
    let filters = match &settings.instance_id {
        Some(id) => vec![filter("instance-id", [id.clone()])],
        None => vec![
            filter(&format!("tag:{PURPOSE_TAG}"), [purpose]),
            filter(
                &format!("tag:{ENVIRONMENT_TAG}"),
                [environment.name.clone()],
            ),
        ],
    };
    describe(cloud, filters).await
}

/// Those of these instances that were not ended. An id that EC2 has forgotten is no error in a filter.
pub(super) async fn living(
    cloud: &Cloud,
    ids: BTreeSet<String>,
) -> Result<BTreeSet<String>, CommandError> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let these = filter("instance-id", ids.iter().cloned());
    let living = describe(cloud, vec![these]).await?;
    let living = living.into_iter().map(|it| it.id);
    Ok(living.filter(|id| ids.contains(id)).collect())
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    let values = values.into_iter().collect();
    Filter::builder()
        .name(name)
        .set_values(Some(values))
        .build()
}

async fn describe(cloud: &Cloud, filters: Vec<Filter>) -> Result<Vec<Seen>, CommandError> {
    let request = cloud.ec2.describe_instances().set_filters(Some(filters));
    let mut pages = request.into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws("describe the instances"))?;
        let reservations = page.reservations.into_iter().flatten();
        let instances = reservations.flat_map(|it| it.instances.into_iter().flatten());
        seen.extend(instances.filter_map(|it| {
            let state = it.state?.name?;
            let has_ended = matches!(state, State::Terminated | State::ShuttingDown);
            let zone = it.placement.and_then(|it| it.availability_zone);
            it.instance_id.filter(|_| !has_ended).map(|id| Seen {
                id,
                state: state.as_str().to_owned(),
                zone: zone.unwrap_or_default(),
            })
        }));
    }
    seen.sort();
    Ok(seen)
}
