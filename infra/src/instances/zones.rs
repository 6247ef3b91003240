//! Where instances of a type can be made: the zones that offer it, and a subnet in each.

use std::collections::BTreeSet;

use annapurna_stack::environment::TrainiumSettings;
use aws_sdk_ec2::types::{Filter, LocationType};

use crate::cloud::Cloud;
use crate::error::CommandError;

/// A subnet in a zone that offers the instance type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subnet {
    /// Its zone, such as `us-east-1a`; zones are tried in their order.
    pub zone: String,
    /// Such as `subnet-0abc…`.
    pub id: String,
}

/// The subnets to try, all of one VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zones {
    /// What they offer, such as `trn1.2xlarge`.
    pub(super) instance_type: String,
    /// The VPC.
    pub vpc_id: String,
    /// One a zone at least, in the order of the zones.
    pub subnets: Vec<Subnet>,
}

impl Zones {
    /// Those of the subnet that the settings name, or of the default VPC.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where there is no VPC, no subnet, or no zone that offers the type.
    pub(crate) async fn find(
        cloud: &Cloud,
        settings: &TrainiumSettings,
    ) -> Result<Self, CommandError> {
        let kind = &settings.instance_type;
        let vpc_id = match &settings.vpc_id {
            Some(vpc_id) => vpc_id.clone(),
            None => default_vpc(cloud).await?,
        };
        let offered = offered(cloud, kind).await?;
        let subnets = subnets(cloud, &vpc_id, settings.subnet_id.as_deref()).await?;
        let there: BTreeSet<&str> = subnets.iter().map(|it| it.zone.as_str()).collect();
        let there: Vec<&str> = there.into_iter().collect();
        let usable: BTreeSet<Subnet> = subnets
            .iter()
            .filter(|it| offered.contains(&it.zone))
            .cloned()
            .collect();
        if usable.is_empty() {
            return Err(CommandError::Usage {
                problem: format!(
                    "{kind} is offered in {}, and {vpc_id} has subnets in {}",
                    listed(offered.iter().map(String::as_str)),
                    listed(there),
                ),
                hint: "name vpc-id and a subnet-id in such a zone in [trainium], or choose another region"
                    .to_owned(),
            });
        }
        Ok(Self {
            instance_type: kind.clone(),
            vpc_id,
            subnets: usable.into_iter().collect(),
        })
    }

    /// Their zones, each once.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.subnets.iter().map(|it| it.zone.as_str()).collect()
    }
}

/// Names with commas, or that there is none.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.is_empty() {
        true => "no zone".to_owned(),
        false => names.join(", "),
    }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

async fn default_vpc(cloud: &Cloud) -> Result<String, CommandError> {
    let request = cloud.ec2.describe_vpcs();
    let answer = request.filters(filter("is-default", "true")).send().await;
    let answer = answer.map_err(CommandError::aws("find the default VPC"))?;
    let vpcs = answer.vpcs.unwrap_or_default();
    let id = vpcs.into_iter().find_map(|it| it.vpc_id);
    id.ok_or_else(|| CommandError::Usage {
        problem: "the account has no default VPC in this region".to_owned(),
        hint: "make one: aws ec2 create-default-vpc; or name vpc-id and subnet-id in [trainium]"
            .to_owned(),
    })
}

async fn offered(cloud: &Cloud, kind: &str) -> Result<BTreeSet<String>, CommandError> {
    let request = cloud.ec2.describe_instance_type_offerings();
    let request = request
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", kind));
    let mut pages = request.into_paginator().send();
    let mut zones = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws(format!("learn which zones offer {kind}")))?;
        let offerings = page.instance_type_offerings.into_iter().flatten();
        zones.extend(offerings.filter_map(|it| it.location));
    }
    Ok(zones)
}

async fn subnets(
    cloud: &Cloud,
    vpc_id: &str,
    only: Option<&str>,
) -> Result<Vec<Subnet>, CommandError> {
    let mut request = cloud
        .ec2
        .describe_subnets()
        .filters(filter("vpc-id", vpc_id));
    request = match only {
        Some(id) => request.filters(filter("subnet-id", id)),
        // Another subnet of the default VPC need not have a way out.
        None => request.filters(filter("default-for-az", "true")),
    };
    let mut pages = request.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws(format!("list the subnets of {vpc_id}")))?;
        let subnets = page.subnets.into_iter().flatten();
        found.extend(subnets.filter_map(|it| {
            Some(Subnet {
                zone: it.availability_zone?,
                id: it.subnet_id?,
            })
        }));
    }
    match (found.is_empty(), only) {
        (true, Some(id)) => Err(CommandError::Usage {
            problem: format!("{vpc_id} has no subnet {id}"),
            hint: "correct vpc-id and subnet-id in [trainium]".to_owned(),
        }),
        _ => Ok(found),
    }
}
