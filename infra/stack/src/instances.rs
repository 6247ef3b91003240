//! The stack of the instances that run programs, beside that of the pipeline: a missing quota, a zone without capacity
//! or an account without a VPC fails this one and leaves the pipeline as it is.
//!
//! In: an environment's settings, and where each instance is to be. Out: a template with the firewall and those
//! instances, and the values of its parameters. An instance keeps the version of the launch template that it was made
//! with, and the subnet that had room for it: both are parameters, so a newer version of the template changes nothing
//! here. [`Steps`] says which instances go and which come. They go first: CloudFormation's own replacement starts the
//! new one before it ends the old one, which takes the quota twice.

use std::collections::{BTreeMap, BTreeSet};

use annapurna_contract::Queue;
use annapurna_contract::names::{
    ALARM_TOPIC, ENVIRONMENT_TAG, INSTANCE_NAME, INSTANCE_PURPOSE, PURPOSE_TAG,
};

use crate::cloudformation::ec2::Tag;
use crate::cloudformation::{LogicalId, Template};
use crate::constructs::alarm::{AlarmTopicHandle, IdleInstance};
use crate::constructs::trainium_instances::{TrainiumFirewall, TrainiumInstance};
use crate::environment::Environment;
use crate::outputs::Output;
use crate::plan::Deployment;

mod steps;
#[cfg(test)]
mod tests;

pub use crate::slot::Slot;
pub use steps::{Steps, Wanted};

const VPC_ID: &str = "TrainiumVpcId";

/// What one instance was made of, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Version of the launch template, a number.
    pub version: String,
    /// Its subnet, and with it its zone.
    pub subnet_id: String,
}

/// The stack as it is, or as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances {
    /// Where the firewall is, and with it every instance.
    pub vpc_id: String,
    /// The pipeline's launch template.
    pub launch_template_id: String,
    /// The instances; the firewall stays while there is none.
    pub each: BTreeMap<Slot, Placement>,
}

impl Instances {
    /// What is deployed; `None` when the stack is not of this kind, or has an instance with an id of another form,
    /// which a deployment would end unasked.
    pub fn of(deployed: &Deployment) -> Option<Self> {
        let value = |name: &str| deployed.parameters.get(name).cloned();
        let resources = deployed.template["Resources"].as_object()?;
        let instances = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::EC2::Instance");
        let placements = instances.map(|(id, _)| {
            let slot = Slot::parse(id)?;
            let placement = Placement {
                version: value(&slot.version())?,
                subnet_id: value(&slot.subnet_id())?,
            };
            Some((slot, placement))
        });
        Some(Self {
            vpc_id: value(VPC_ID)?,
            launch_template_id: value(&launch_template_id())?,
            each: placements.collect::<Option<_>>()?,
        })
    }

    /// Template and parameters.
    ///
    /// # Errors
    ///
    /// When the template cannot be written as JSON.
    pub fn deployment(&self, environment: &Environment) -> Result<Deployment, serde_json::Error> {
        let slots: BTreeSet<Slot> = self.each.keys().copied().collect();
        let mut parameters = BTreeMap::from([
            (VPC_ID.to_owned(), self.vpc_id.clone()),
            (launch_template_id(), self.launch_template_id.clone()),
        ]);
        for (slot, placement) in &self.each {
            parameters.insert(slot.version(), placement.version.clone());
            parameters.insert(slot.subnet_id(), placement.subnet_id.clone());
        }
        Ok(Deployment {
            template: stack(environment, &slots).to_json()?,
            parameters,
        })
    }
}

/// The parameter that takes the pipeline's output of this name.
fn launch_template_id() -> String {
    Output::TrainiumLaunchTemplateId.name().into_owned()
}

/// What tells the instances, and what belongs to them, from everything else in an account's EC2.
pub(crate) fn tags(environment: &Environment) -> Vec<Tag> {
    let tag = |key, value| Tag { key, value };
    vec![
        tag(PURPOSE_TAG, environment.named(INSTANCE_PURPOSE)),
        tag(ENVIRONMENT_TAG, environment.name.clone()),
    ]
}

/// Builds the stack with these instances.
pub fn stack(environment: &Environment, slots: &BTreeSet<Slot>) -> Template {
    let mut stack = Template::new(format!(
        "Annapurna, environment {}: the instances that run programs",
        environment.name
    ));
    let mut given =
        |name: &str, description: &str| stack.parameter(LogicalId::new(name), description);
    let vpc_id = given(VPC_ID, "VPC of the instances");
    let launch_template_id = given(&launch_template_id(), "The pipeline's launch template");
    let placed: Vec<_> = slots
        .iter()
        .map(|slot| {
            let version = given(&slot.version(), "Version of the launch template");
            (*slot, version, given(&slot.subnet_id(), "Its subnet"))
        })
        .collect();
    let firewall = TrainiumFirewall {
        vpc_id,
        tags: tags(environment),
    };
    let firewall = firewall.add_to(&mut stack);
    for (slot, launch_template_version, subnet_id) in placed {
        let instance = TrainiumInstance {
            id: LogicalId::new(&slot.to_string()),
            launch_template_id: launch_template_id.clone(),
            launch_template_version,
            subnet_id,
            firewall: firewall.clone(),
            name: environment.named(INSTANCE_NAME),
            tags: tags(environment),
        };
        let instance_id = instance.add_to(&mut stack).instance_id();
        if environment.has_alarms() {
            let topic = AlarmTopicHandle::named(environment.named(ALARM_TOPIC));
            let idle = IdleInstance {
                id: LogicalId::new(&format!("{slot}IdleAlarm")),
                name: environment.named(&format!("{slot}Idle")),
                instance_id: instance_id.clone(),
                queue_name: environment.named(&Queue::CodeTesting.name()),
                topic: &topic,
            };
            idle.add_to(&mut stack);
        }
        let output = Output::TrainiumInstanceId(slot);
        stack.output(&output.name(), output.description(), instance_id.into());
    }
    stack
}
