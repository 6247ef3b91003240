//! Instances as EC2 shows them.

use std::collections::BTreeSet;

use annapurna_contract::names::{ENVIRONMENT_TAG, INSTANCE_PURPOSE, PURPOSE_TAG};
use annapurna_stack::environment::Environment;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName as State};

use crate::cloud::Cloud;
use crate::error::CommandError;

const DOING: &str = "describe the instances";

/// An instance that was not ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    /// Such as `i-0abc…`.
    pub id: String,
    /// EC2's word, such as `running`.
    pub state: String,
    /// Such as `us-east-1a`; `None` when EC2 does not say.
    pub zone: Option<String>,
}

impl Seen {
    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.state == State::Running.as_str()
    }
}

/// The instances that run the environment's programs, as the tester finds them, by their ids.
///
/// # Errors
///
/// When EC2 cannot be asked.
pub(crate) async fn seen(
    cloud: &Cloud,
    environment: &Environment,
) -> Result<Vec<Seen>, CommandError> {
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
        let page = page.map_err(CommandError::aws(DOING))?;
        let reservations = page.reservations.into_iter().flatten();
        for instance in reservations.flat_map(|it| it.instances.into_iter().flatten()) {
            seen.extend(unless_ended(instance)?);
        }
    }
    seen.sort();
    Ok(seen)
}

/// An instance that EC2 shows; `None` for one that was ended. One that it shows without its state may run: taken for
/// ended, it would be made a second time.
fn unless_ended(instance: Instance) -> Result<Option<Seen>, CommandError> {
    let id = instance.instance_id;
    let id = id.ok_or_else(|| CommandError::lacks(DOING, "id of an instance"))?;
    let state = instance.state.and_then(|it| it.name);
    let state = state.ok_or_else(|| CommandError::lacks(DOING, &format!("state of {id}")))?;
    let has_ended = matches!(state, State::Terminated | State::ShuttingDown);
    let zone = instance.placement.and_then(|it| it.availability_zone);
    Ok((!has_ended).then(|| Seen {
        id,
        state: state.as_str().to_owned(),
        zone,
    }))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::InstanceState;

    use super::*;

    #[test]
    fn an_instance_without_a_state_is_an_error_and_not_an_ended_one() {
        let shown = |id: Option<&str>, state: Option<State>| {
            let state = state.map(|it| InstanceState::builder().name(it).build());
            let instance = Instance::builder().set_instance_id(id.map(str::to_owned));
            unless_ended(instance.set_state(state).build())
        };
        for (state, is_there) in [
            (State::Pending, true),
            (State::Running, true),
            (State::Stopped, true),
            (State::ShuttingDown, false),
            (State::Terminated, false),
        ] {
            let seen = shown(Some("i-1"), Some(state.clone())).unwrap();
            assert_eq!(seen.is_some(), is_there, "{state}");
        }
        let error = shown(Some("i-1"), None).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot describe the instances: the answer has no state of i-1"
        );
        let error = shown(None, Some(State::Running)).unwrap_err().to_string();
        assert!(error.ends_with("no id of an instance"), "{error}");
    }
}
