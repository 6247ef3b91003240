//! `AWS::OpenSearchService::*`. Source: CloudFormation template reference.

use serde::Serialize;
use serde_json::Value;

use super::iam::PolicyDocument;

/// `AWS::OpenSearchService::Domain`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Domain {
    /// 3 to 28 characters: lower-case letters, digits and hyphens.
    pub(crate) domain_name: String,
    /// Such as `OpenSearch_3.3`.
    pub(crate) engine_version: String,
    /// Nodes.
    pub(crate) cluster_config: ClusterConfig,
    /// Volumes of the nodes.
    #[serde(rename = "EBSOptions")]
    pub(crate) ebs_options: EbsOptions,
    /// Who may call it.
    pub(crate) access_policies: PolicyDocument,
    /// TLS.
    pub(crate) domain_endpoint_options: Value,
    /// At rest.
    pub(crate) encryption_at_rest_options: Value,
    /// Between nodes.
    pub(crate) node_to_node_encryption_options: Value,
}

/// `ClusterConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ClusterConfig {
    /// Such as `t3.small.search`.
    pub(crate) instance_type: String,
    /// Data nodes.
    pub(crate) instance_count: u32,
}

/// `EBSOptions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EbsOptions {
    /// Always with EBS.
    #[serde(rename = "EBSEnabled")]
    pub(crate) ebs_enabled: bool,
    /// GiB a node.
    #[serde(rename = "VolumeSize")]
    pub(crate) volume_size: u32,
    /// `gp3`.
    #[serde(rename = "VolumeType")]
    pub(crate) volume_type: &'static str,
}
