//! `AWS::EC2::*`. Source: CloudFormation template reference.

use serde::Serialize;
use serde_json::Value;

use super::Expr;

/// `AWS::EC2::Instance` from a launch template.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// Template and version.
    pub launch_template: LaunchTemplateReference,
    /// Subnet; the default VPC's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// Tags of the instance.
    pub tags: Vec<Tag>,
}

/// Which version of which launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchTemplateReference {
    /// Its id.
    pub launch_template_id: Expr,
    /// Its version.
    pub version: Expr,
}

/// `AWS::EC2::LaunchTemplate`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchTemplate {
    /// What every instance of it has.
    pub launch_template_data: LaunchTemplateData,
}

/// `LaunchTemplateData`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchTemplateData {
    /// Such as `trn1.2xlarge`.
    pub instance_type: String,
    /// AMI, or `resolve:ssm:PARAMETER`.
    pub image_id: String,
    /// The instance profile.
    pub iam_instance_profile: Value,
    /// The metadata service.
    pub metadata_options: MetadataOptions,
    /// Volumes.
    pub block_device_mappings: Value,
    /// Security groups.
    pub security_group_ids: Vec<Expr>,
    /// `Fn::Base64` of the first-boot script.
    pub user_data: Base64,
}

/// `MetadataOptions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetadataOptions {
    /// `required`: IMDSv2 only.
    pub http_tokens: &'static str,
    /// 1: not from a container.
    pub http_put_response_hop_limit: u32,
    /// `enabled`.
    pub http_endpoint: &'static str,
}

/// `Fn::Base64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Base64 {
    /// The text.
    #[serde(rename = "Fn::Base64")]
    pub text: Expr,
}

/// `AWS::EC2::SecurityGroup`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityGroup {
    /// For people; changing it replaces the group.
    pub group_description: String,
    /// VPC; the default one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// What may come in.
    pub security_group_ingress: Vec<Value>,
    /// What may go out; everything when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_group_egress: Vec<Value>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// Key.
    pub key: &'static str,
    /// Value.
    pub value: String,
}
