//! Whether an instance could start: quota, zones, a subnet with a way out, and the image.
//!
//! Nothing of this stops a deploy of the pipeline: programs wait in their queue until an instance takes them. So what is
//! wrong here is said, and is no reason to refuse.

use std::collections::BTreeSet;

use annapurna_local::doctor::{Check, State};
use annapurna_stack::environment::TrainiumSettings;
use aws_sdk_ec2::types::{Filter, InstanceType, LocationType, RouteState, RouteTable, Subnet};
use serde_json::json;

use super::signed::Service;
use super::{Subject, check as finding, image, unseen, without};
use crate::error::CommandError;

/// "Running On-Demand Trn instances", counted in vCPUs. Source: Service Quotas, Amazon EC2.
const QUOTA: &str = "L-2C3B7624";

pub(super) async fn check(subject: &Subject<'_>) -> Vec<Check> {
    let Some(settings) = &subject.environment.trainium else {
        return Vec::new();
    };
    let (quota, network, image) = tokio::join!(
        quota(subject, settings),
        network(subject, settings),
        image::look(subject, settings),
    );
    let seen = |state: Result<State, CommandError>| state.unwrap_or_else(|error| unseen(&error));
    vec![
        finding("Trainium quota", "starting the instance", seen(quota)),
        finding("Trainium network", "zone, subnet, way out", seen(network)),
        finding("Trainium image", "PyTorch for the device", seen(image)),
    ]
}

async fn quota(subject: &Subject<'_>, settings: &TrainiumSettings) -> Result<State, CommandError> {
    let kind = settings.instance_type.as_str();
    let described = subject
        .cloud
        .ec2
        .describe_instance_types()
        .instance_types(InstanceType::from(kind))
        .send()
        .await;
    let described = described.map_err(CommandError::aws(format!("describe {kind}")))?;
    let cores = described.instance_types().first();
    let cores = cores.and_then(|it| it.v_cpu_info()?.default_v_cpus());
    let Some(wanted) = cores else {
        return Ok(without(
            format!("EC2 does not know {kind} in {}", subject.environment.region),
            format!(
                "choose another region, or another instance-type in {}",
                subject.file()
            ),
        ));
    };
    let granted = granted(subject).await?;
    let region = &subject.environment.region;
    if granted >= f64::from(wanted) {
        return Ok(State::Ok(format!("{granted} vCPUs, {kind} takes {wanted}")));
    }
    Ok(without(
        format!("{granted} vCPUs of Trn instances, {kind} takes {wanted}: no instance can start"),
        format!(
            "aws service-quotas request-service-quota-increase --region {region} --service-code ec2 --quota-code {QUOTA} \
             --desired-value {wanted}"
        ),
    ))
}

/// The account's own value, or the one that every account has.
async fn granted(subject: &Subject<'_>) -> Result<f64, CommandError> {
    let body = json!({"ServiceCode": "ec2", "QuotaCode": QUOTA});
    let ask = |operation: &'static str| {
        let target = format!("ServiceQuotasV20190624.{operation}");
        let body = &body;
        async move {
            let call = subject.signed.call(Service::Quotas, &target, body);
            call.await
        }
    };
    let own = match ask("GetServiceQuota").await {
        Err(error) if error.is("NoSuchResourceException") => ask("GetAWSDefaultServiceQuota").await,
        own => own,
    };
    let own = own.map_err(|error| error.of("read the quota of Trn instances"))?;
    own["Quota"]["Value"]
        .as_f64()
        .ok_or_else(|| CommandError::Aws {
            doing: "read the quota of Trn instances".to_owned(),
            reason: "the answer has no value".to_owned(),
        })
}

async fn network(
    subject: &Subject<'_>,
    settings: &TrainiumSettings,
) -> Result<State, CommandError> {
    let kind = settings.instance_type.as_str();
    let (zones, subnets) = tokio::try_join!(zones(subject, kind), subnets(subject, settings))?;
    let region = &subject.environment.region;
    if zones.is_empty() {
        return Ok(without(
            format!("no zone of {region} offers {kind}"),
            "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-regions.html",
        ));
    }
    if subnets.is_empty() {
        return Ok(without(
            match settings.subnet_id.as_deref() {
                Some(id) => format!("subnet {id} is not there"),
                None => format!("{region} has no default VPC"),
            },
            format!(
                "`aws ec2 create-default-vpc --region {region}`, or subnet-id and vpc-id in {}",
                subject.file()
            ),
        ));
    }
    let in_zone = |subnet: &&Subnet| {
        subnet
            .availability_zone()
            .is_some_and(|it| zones.contains(it))
    };
    let fitting: Vec<&Subnet> = subnets.iter().filter(in_zone).collect();
    if fitting.is_empty() {
        let zones: Vec<&str> = zones.iter().map(String::as_str).collect();
        return Ok(without(
            format!(
                "no subnet is in a zone that offers {kind} ({})",
                zones.join(", ")
            ),
            format!(
                "name one that is in {}: subnet-id and vpc-id",
                subject.file()
            ),
        ));
    }
    way_out(subject, &fitting).await
}

/// Zones of the region that offer the type.
async fn zones(subject: &Subject<'_>, kind: &str) -> Result<BTreeSet<String>, CommandError> {
    let offerings = subject
        .cloud
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", kind))
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await;
    let offerings: Vec<_> =
        offerings.map_err(CommandError::aws(format!("find zones that offer {kind}")))?;
    Ok(offerings.into_iter().filter_map(|it| it.location).collect())
}

/// The named subnet, or those of the default VPC.
async fn subnets(
    subject: &Subject<'_>,
    settings: &TrainiumSettings,
) -> Result<Vec<Subnet>, CommandError> {
    let wanted = match settings.subnet_id.as_deref() {
        Some(id) => filter("subnet-id", id),
        None => filter("default-for-az", "true"),
    };
    let subnets = subject.cloud.ec2.describe_subnets().filters(wanted);
    let found = subnets.into_paginator().items().send().try_collect().await;
    found.map_err(CommandError::aws("look at the subnets"))
}

/// The instance fetches its image's packages and calls AWS: its subnet needs a route to the internet.
async fn way_out(subject: &Subject<'_>, subnets: &[&Subnet]) -> Result<State, CommandError> {
    let vpcs: BTreeSet<&str> = subnets.iter().filter_map(|it| it.vpc_id()).collect();
    let mut tables: Vec<RouteTable> = Vec::new();
    for vpc in vpcs {
        let found = subject.cloud.ec2.describe_route_tables();
        let found = found.filters(filter("vpc-id", vpc)).into_paginator();
        let found: Result<Vec<_>, _> = found.items().send().try_collect().await;
        tables.extend(found.map_err(CommandError::aws("look at the routes"))?);
    }
    let open = subnets.iter().find(|it| has_way_out(it, &tables));
    Ok(match open {
        Some(subnet) => State::Ok(format!(
            "{} in {} has a way out",
            subnet.subnet_id().unwrap_or_default(),
            subnet.availability_zone().unwrap_or_default()
        )),
        None => without(
            "no fitting subnet has a route to the internet",
            "give its route table 0.0.0.0/0 to an internet or NAT gateway: \
             https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html",
        ),
    })
}

/// A subnet uses the table that names it, else the main one of its VPC.
fn has_way_out(subnet: &Subnet, tables: &[RouteTable]) -> bool {
    let of_subnet = |table: &&RouteTable| {
        let mut associations = table.associations().iter();
        associations.any(|it| it.subnet_id().is_some() && it.subnet_id() == subnet.subnet_id())
    };
    let main = |table: &&RouteTable| {
        let mut associations = table.associations().iter();
        table.vpc_id() == subnet.vpc_id() && associations.any(|it| it.main() == Some(true))
    };
    let table = tables.iter().find(of_subnet);
    let Some(table) = table.or_else(|| tables.iter().find(main)) else {
        return false;
    };
    table.routes().iter().any(|route| {
        route.destination_cidr_block() == Some("0.0.0.0/0")
            && route.state() != Some(&RouteState::Blackhole)
            && (route.gateway_id().is_some_and(|it| it.starts_with("igw-"))
                || route.nat_gateway_id().is_some()
                || route.transit_gateway_id().is_some()
                || route.network_interface_id().is_some())
    })
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}
