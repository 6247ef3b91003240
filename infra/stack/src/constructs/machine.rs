//! The instance that runs generated programs: no way in, IMDSv2, managed by Systems Manager.

use annapurna_contract::{Principal, names};
use serde_json::json;

use super::permissions::{Targets, add_role};
use crate::cloudformation::ec2::{
    Base64, Instance, LaunchTemplate, LaunchTemplateData, LaunchTemplateReference, MetadataOptions,
    SecurityGroup, Tag,
};
use crate::cloudformation::iam::{InstanceProfile, Statement};
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

/// Changing it replaces the security group.
const DESCRIPTION: &str = "Annapurna Trainium agent: no ingress";

/// Defines the instance.
#[derive(Debug)]
pub struct Machine {
    /// Such as `trn1.2xlarge`.
    pub instance_type: String,
    /// Public SSM parameter that names the AMI.
    pub image_parameter: String,
    /// GiB of the root volume.
    pub volume_gib: u32,
    /// Subnet and its VPC; the default ones when absent.
    pub network: Option<(String, String)>,
    /// The first-boot script.
    pub user_data: Expr,
    /// Statements of the role besides the contract's grants.
    pub own: Vec<Statement>,
    /// Before the names of tags in environments with a prefix.
    pub name_prefix: String,
}

/// Adds the role of the machine that runs generated programs. `trust`: who is that machine.
pub fn add_agent_role(
    template: &mut Template,
    targets: &Targets,
    trust: Statement,
    own: Vec<Statement>,
    managed: Vec<Expr>,
) -> LogicalId {
    let id = LogicalId::new("TrainiumAgentRole");
    add_role(
        template,
        id,
        vec![trust],
        Principal::Agent.grants(),
        targets,
        own,
        managed,
    )
}

impl Machine {
    /// Adds the instance with its role, profile, launch template and security group; returns its id.
    pub fn add_to(self, template: &mut Template, targets: &Targets) -> Expr {
        let role = add_agent_role(
            template,
            targets,
            Statement::trust("Service", Expr::from("ec2.amazonaws.com")),
            self.own,
            vec![Expr::concat([
                Expr::from("arn:"),
                Expr::Ref("AWS::Partition".to_owned()),
                Expr::from(":iam::aws:policy/AmazonSSMManagedInstanceCore"),
            ])],
        );
        let profile = template.add(
            LogicalId::new("TrainiumProfile"),
            Resource::new(InstanceProfile {
                roles: vec![Expr::reference(&role)],
            }),
        );
        let (vpc, subnet) = self.network.unzip();
        let group = template.add(
            LogicalId::new("TrainiumFirewall"),
            Resource::new(no_way_in(vpc)),
        );
        let launch = template.add(
            LogicalId::new("TrainiumLaunch"),
            Resource::new(LaunchTemplate {
                launch_template_data: LaunchTemplateData {
                    instance_type: self.instance_type,
                    image_id: format!("resolve:ssm:{}", self.image_parameter),
                    iam_instance_profile: json!({"Arn": Expr::attribute(&profile, "Arn")}),
                    metadata_options: MetadataOptions {
                        http_tokens: "required",
                        http_put_response_hop_limit: 1,
                        http_endpoint: "enabled",
                    },
                    block_device_mappings: json!([{
                        "DeviceName": "/dev/sda1",
                        "Ebs": {"VolumeSize": self.volume_gib, "VolumeType": "gp3", "Encrypted": true}
                    }]),
                    security_group_ids: vec![Expr::attribute(&group, "GroupId")],
                    user_data: Base64 { text: self.user_data },
                },
            }),
        );
        let tag = |key, value: String| Tag { key, value };
        let instance = template.add(
            LogicalId::new("TrainiumInstance"),
            Resource::new(Instance {
                launch_template: LaunchTemplateReference {
                    launch_template_id: Expr::reference(&launch),
                    version: Expr::attribute(&launch, "LatestVersionNumber"),
                },
                subnet_id: subnet,
                tags: vec![
                    tag(
                        "Name",
                        format!("{}{}", self.name_prefix, names::INSTANCE_NAME),
                    ),
                    tag(
                        "Purpose",
                        format!("{}{}", self.name_prefix, names::INSTANCE_PURPOSE),
                    ),
                ],
            }),
        );
        Expr::reference(&instance)
    }
}

/// Nothing comes in. Out goes HTTPS to SQS, S3 and Systems Manager, and HTTP to Ubuntu's package mirrors;
/// rules for what goes out can be given with a VPC only, and the default VPC's stay open.
fn no_way_in(vpc_id: Option<String>) -> SecurityGroup {
    if vpc_id.is_none() {
        return SecurityGroup {
            group_description: DESCRIPTION.to_owned(),
            vpc_id,
            security_group_ingress: Vec::new(),
            security_group_egress: Vec::new(),
        };
    }
    SecurityGroup {
        group_description: DESCRIPTION.to_owned(),
        vpc_id,
        security_group_ingress: Vec::new(),
        security_group_egress: vec![
            json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0",
                   "Description": "AWS APIs"}),
            json!({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0",
                   "Description": "Package mirrors"}),
        ],
    }
}
