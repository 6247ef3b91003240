//! Whether an instance could start: quota, zones, a subnet with a way out, and the image.
//!
//! Nothing of this stops a deploy of the pipeline: programs wait in their queue until an instance takes them. So what is
//! wrong here is said, and is no reason to refuse.

use annapurna_local::doctor::{Check, State};
use annapurna_stack::environment::TrainiumSettings;
use aws_sdk_ec2::types::{Filter, InstanceType, RouteState, RouteTable};
use serde_json::json;

use super::signed::Service;
use super::{Subject, check as finding, image, unseen, without};
use crate::error::CommandError;
use crate::instances::{TRN_QUOTA, Zones};

pub(super) async fn check(subject: &Subject<'_>) -> Vec<Check> {
    let settings = subject.environment.trainium.as_ref();
    let Some(settings) = settings.filter(|it| it.instances > 0) else {
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
    let cores = cores.and_then(|it| u32::try_from(it.v_cpu_info()?.default_v_cpus()?).ok());
    let Some(cores) = cores else {
        return Ok(without(
            format!("EC2 does not know {kind} in {}", subject.environment.region),
            format!(
                "choose another region, or another instance-type in {}",
                subject.file()
            ),
        ));
    };
    let wanted = cores * settings.instances;
    let granted = granted(subject).await?;
    let region = &subject.environment.region;
    let each = format!("{} x {kind} takes {wanted}", settings.instances);
    if granted >= f64::from(wanted) {
        return Ok(State::Ok(format!("{granted} vCPUs, {each}")));
    }
    Ok(without(
        format!("{granted} vCPUs of Trn instances, {each}: not all can start"),
        format!(
            "aws service-quotas request-service-quota-increase --region {region} --service-code ec2 --quota-code {TRN_QUOTA} \
             --desired-value {wanted}"
        ),
    ))
}

/// The account's own value, or the one that every account has.
async fn granted(subject: &Subject<'_>) -> Result<f64, CommandError> {
    let body = json!({"ServiceCode": "ec2", "QuotaCode": TRN_QUOTA});
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

/// Where the deploy would try to make it, and whether it could reach anything from there.
async fn network(
    subject: &Subject<'_>,
    settings: &TrainiumSettings,
) -> Result<State, CommandError> {
    match Zones::find(subject.cloud, settings).await {
        Ok(zones) => way_out(subject, &zones).await,
        Err(CommandError::Usage { problem, hint }) => Ok(without(problem, hint)),
        Err(error) => Err(error),
    }
}

/// The instance fetches its image's packages and calls AWS: its subnet needs a route to the internet.
async fn way_out(subject: &Subject<'_>, zones: &Zones) -> Result<State, CommandError> {
    let of_vpc = Filter::builder().name("vpc-id").values(&zones.vpc_id);
    let found = subject.cloud.ec2.describe_route_tables();
    let found = found.filters(of_vpc.build()).into_paginator();
    let tables: Result<Vec<_>, _> = found.items().send().try_collect().await;
    let tables = tables.map_err(CommandError::aws("look at the routes"))?;
    let open = zones.subnets.iter().find(|it| has_way_out(&it.id, &tables));
    Ok(match open {
        Some(subnet) => State::Ok(format!("{} in {} has a way out", subnet.id, subnet.zone)),
        None => without(
            "no fitting subnet has a route to the internet",
            "give its route table 0.0.0.0/0 to an internet or NAT gateway: \
             https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html",
        ),
    })
}

/// A subnet uses the table of its VPC that names it, else the main one.
fn has_way_out(subnet: &str, tables: &[RouteTable]) -> bool {
    let of_subnet = |table: &&RouteTable| {
        let mut associations = table.associations().iter();
        associations.any(|it| it.subnet_id() == Some(subnet))
    };
    let main = |table: &&RouteTable| {
        let mut associations = table.associations().iter();
        associations.any(|it| it.main() == Some(true))
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
