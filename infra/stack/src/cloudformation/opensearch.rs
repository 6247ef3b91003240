//! `AWS::OpenSearchService::*`. Source: CloudFormation template reference.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Arn;
use super::iam::PolicyDocument;

/// `AWS::OpenSearchService::Domain`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Domain {
    /// 3 to 28 characters: lower-case letters, digits and hyphens.
    pub(crate) domain_name: String,
    /// Such as `OpenSearch_3.3`.
    pub(crate) engine_version: String,
    pub(crate) cluster_config: ClusterConfig,
    #[serde(rename = "EBSOptions")]
    pub(crate) ebs_options: EbsOptions,
    /// Who may call it.
    pub(crate) access_policies: PolicyDocument,
    pub(crate) domain_endpoint_options: DomainEndpointOptions,
    pub(crate) encryption_at_rest_options: EncryptionOptions,
    pub(crate) node_to_node_encryption_options: EncryptionOptions,
    /// Which logs go where.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) log_publishing_options: BTreeMap<DomainLog, LogPublishingOption>,
}

/// A log of the nodes. The audit log is not among them: it is there only with users of OpenSearch's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum DomainLog {
    /// Errors and warnings.
    #[serde(rename = "ES_APPLICATION_LOGS")]
    Application,
    /// Writes that took longer than the index's settings allow.
    #[serde(rename = "INDEX_SLOW_LOGS")]
    IndexSlow,
    /// Searches that did.
    #[serde(rename = "SEARCH_SLOW_LOGS")]
    SearchSlow,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LogPublishingOption {
    pub(crate) cloud_watch_logs_log_group_arn: Arn,
    pub(crate) enabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ClusterConfig {
    /// Such as `t3.small.search`.
    pub(crate) instance_type: String,
    pub(crate) instance_count: u32,
    /// Whether the nodes, and each shard with its replica, are in different zones.
    pub(crate) zone_awareness_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone_awareness_config: Option<ZoneAwarenessConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ZoneAwarenessConfig {
    /// 2 or 3.
    pub(crate) availability_zone_count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DomainEndpointOptions {
    #[serde(rename = "EnforceHTTPS")]
    pub(crate) enforce_https: bool,
    #[serde(rename = "TLSSecurityPolicy")]
    pub(crate) tls_security_policy: TlsSecurityPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum TlsSecurityPolicy {
    /// TLS 1.2 and 1.3, with keys that do not open earlier traffic.
    #[serde(rename = "Policy-Min-TLS-1-2-PFS-2023-10")]
    MinTls12Pfs,
}

/// At rest, with the key AWS keeps for the account, and between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EncryptionOptions {
    pub(crate) enabled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VolumeType {
    Gp3,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EbsOptions {
    /// Whether nodes have volumes; types without storage of their own need them.
    #[serde(rename = "EBSEnabled")]
    pub(crate) ebs_enabled: bool,
    /// GiB a node.
    #[serde(rename = "VolumeSize")]
    pub(crate) volume_size: u32,
    #[serde(rename = "VolumeType")]
    pub(crate) volume_type: VolumeType,
}
