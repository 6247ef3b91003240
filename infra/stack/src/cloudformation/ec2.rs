//! `AWS::EC2::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::{Arn, Expr};

/// `AWS::EC2::Instance` from a launch template.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Instance {
    pub(crate) launch_template: LaunchTemplateReference,
    pub(crate) subnet_id: Expr,
    /// Of the subnet's VPC; a change does not replace the instance.
    pub(crate) security_group_ids: Vec<Expr>,
    pub(crate) tags: Vec<Tag>,
}

/// Which version of which launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplateReference {
    pub(crate) launch_template_id: Expr,
    pub(crate) version: Expr,
}

/// `AWS::EC2::LaunchTemplate`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplate {
    /// What every instance of it has.
    pub(crate) launch_template_data: LaunchTemplateData,
    /// Its own tags; those of the stack do not reach it. Source: its schema, `tagging`.
    pub(crate) tag_specifications: Vec<TagSpecification>,
}

/// Tags of what a launch template makes, or of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagSpecification {
    pub(crate) resource_type: TaggedType,
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TaggedType {
    LaunchTemplate,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplateData {
    /// Such as `trn1.2xlarge`.
    pub(crate) instance_type: String,
    /// AMI, or `resolve:ssm:PARAMETER`.
    pub(crate) image_id: String,
    pub(crate) iam_instance_profile: IamInstanceProfile,
    pub(crate) metadata_options: MetadataOptions,
    pub(crate) block_device_mappings: Vec<BlockDeviceMapping>,
    /// `Fn::Base64` of the first-boot script.
    pub(crate) user_data: Base64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetadataOptions {
    pub(crate) http_tokens: HttpTokens,
    /// How many hosts an answer may pass, 1 to 64; 1 keeps it from containers.
    pub(crate) http_put_response_hop_limit: u32,
    pub(crate) http_endpoint: HttpEndpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HttpTokens {
    /// IMDSv2 only.
    Required,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HttpEndpoint {
    Enabled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IamInstanceProfile {
    pub(crate) arn: Arn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BlockDeviceMapping {
    /// The AMI's own name of it, such as `/dev/sda1`.
    pub(crate) device_name: &'static str,
    pub(crate) ebs: Ebs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ebs {
    /// GiB, no less than the AMI's snapshot.
    pub(crate) volume_size: u32,
    pub(crate) volume_type: VolumeType,
    pub(crate) encrypted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VolumeType {
    Gp3,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Base64 {
    #[serde(rename = "Fn::Base64")]
    pub(crate) text: Expr,
}

/// `AWS::EC2::SecurityGroup`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroup {
    /// For people; changing it replaces the group.
    pub(crate) group_description: String,
    pub(crate) vpc_id: Expr,
    /// What may come in; nothing when empty.
    pub(crate) security_group_ingress: Vec<SecurityGroupRule>,
    /// What may go out; it would be everything when empty.
    pub(crate) security_group_egress: Vec<SecurityGroupRule>,
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroupRule {
    pub(crate) ip_protocol: IpProtocol,
    /// First and last port, of TCP.
    pub(crate) from_port: u16,
    pub(crate) to_port: u16,
    pub(crate) cidr_ip: &'static str,
    pub(crate) description: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IpProtocol {
    Tcp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: &'static str,
    pub(crate) value: String,
}
