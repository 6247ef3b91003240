//! `AWS::EC2::*`. Source: CloudFormation template reference.

use serde::Serialize;
use serde_json::Value;

use super::Expr;

/// `AWS::EC2::Instance` from a launch template.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Instance {
    /// Template and version.
    pub(crate) launch_template: LaunchTemplateReference,
    /// Subnet; the default VPC's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subnet_id: Option<String>,
    /// Tags of the instance.
    pub(crate) tags: Vec<Tag>,
}

/// Which version of which launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplateReference {
    /// Its id.
    pub(crate) launch_template_id: Expr,
    /// Its version.
    pub(crate) version: Expr,
}

/// `AWS::EC2::LaunchTemplate`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplate {
    /// What every instance of it has.
    pub(crate) launch_template_data: LaunchTemplateData,
}

/// `LaunchTemplateData`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LaunchTemplateData {
    /// Such as `trn1.2xlarge`.
    pub(crate) instance_type: String,
    /// AMI, or `resolve:ssm:PARAMETER`.
    pub(crate) image_id: String,
    /// The instance profile.
    pub(crate) iam_instance_profile: Value,
    /// The metadata service.
    pub(crate) metadata_options: MetadataOptions,
    /// Volumes.
    pub(crate) block_device_mappings: Value,
    /// Security groups.
    pub(crate) security_group_ids: Vec<Expr>,
    /// `Fn::Base64` of the first-boot script.
    pub(crate) user_data: Base64,
}

/// `MetadataOptions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetadataOptions {
    /// `required`: IMDSv2 only.
    pub(crate) http_tokens: &'static str,
    /// 1: not from a container.
    pub(crate) http_put_response_hop_limit: u32,
    /// `enabled`.
    pub(crate) http_endpoint: &'static str,
}

/// `Fn::Base64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Base64 {
    /// The text.
    #[serde(rename = "Fn::Base64")]
    pub(crate) text: Expr,
}

/// `AWS::EC2::SecurityGroup`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroup {
    /// For people; changing it replaces the group.
    pub(crate) group_description: String,
    /// VPC; the default one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_id: Option<String>,
    /// What may come in.
    pub(crate) security_group_ingress: Vec<Value>,
    /// What may go out; everything when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) security_group_egress: Vec<Value>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    /// Key.
    pub(crate) key: &'static str,
    /// Value.
    pub(crate) value: String,
}
