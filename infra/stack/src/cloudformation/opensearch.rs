//! `AWS::OpenSearchService::*`. Source: CloudFormation template reference.

use serde::Serialize;
use serde_json::Value;

use super::iam::PolicyDocument;

/// `AWS::OpenSearchService::Domain`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Domain {
    /// 3 to 28 characters: lower-case letters, digits and hyphens.
    pub domain_name: String,
    /// Such as `OpenSearch_3.3`.
    pub engine_version: String,
    /// Nodes.
    pub cluster_config: ClusterConfig,
    /// Volumes of the nodes.
    #[serde(rename = "EBSOptions")]
    pub ebs_options: EbsOptions,
    /// Who may call it.
    pub access_policies: PolicyDocument,
    /// TLS.
    pub domain_endpoint_options: Value,
    /// At rest.
    pub encryption_at_rest_options: Value,
    /// Between nodes.
    pub node_to_node_encryption_options: Value,
}

/// `ClusterConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClusterConfig {
    /// Such as `t3.small.search`.
    pub instance_type: String,
    /// Data nodes.
    pub instance_count: u32,
}

/// `EBSOptions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EbsOptions {
    /// Always with EBS.
    #[serde(rename = "EBSEnabled")]
    pub ebs_enabled: bool,
    /// GiB a node.
    #[serde(rename = "VolumeSize")]
    pub volume_size: u32,
    /// `gp3`.
    #[serde(rename = "VolumeType")]
    pub volume_type: &'static str,
}
