//! The OpenSearch domain that holds the index, open to the pipeline's roles only.

use std::collections::BTreeMap;

use super::function::LOG_EXCEPTIONS;
use crate::cloudformation::iam::{PolicyDocument, Principal, Statement};
use crate::cloudformation::logs::{LogGroup, ResourcePolicy};
use crate::cloudformation::opensearch::{
    ClusterConfig, Domain, DomainEndpointOptions, DomainLog, EbsOptions, EncryptionOptions,
    LogPublishingOption, TlsSecurityPolicy, VolumeType, ZoneAwarenessConfig,
};
use crate::cloudformation::{
    Arn, DeletionPolicy, Exception, Expr, LogicalId, Resource, Rule, Template,
};

const EXCEPTIONS: [Exception; 4] = [
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-OS1")],
        reason: "The functions are in no VPC; the domain answers signed requests of this account's roles alone.",
    },
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-OS3")],
        reason: "Lambda's addresses are not known beforehand; who may call is told by signature and role.",
    },
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-OS4")],
        reason: "Three dedicated masters would cost more than the data nodes of an index of some thousand papers.",
    },
    Exception {
        rules: &[Rule::Checkov("CKV_AWS_317")],
        reason: "The audit log is of OpenSearch's own users, and the domain has none: IAM decides.",
    },
];

/// Of a domain of one node.
const ONE_NODE: Exception = Exception {
    rules: &[Rule::CdkNag("AwsSolutions-OS7")],
    reason: "The environment's settings ask for one node, which cannot be in two zones.",
};

/// The logs that are kept, and the last part of their groups' names.
const LOGS: [(DomainLog, &str); 3] = [
    (DomainLog::Application, "application"),
    (DomainLog::IndexSlow, "index-slow"),
    (DomainLog::SearchSlow, "search-slow"),
];

#[derive(Debug)]
pub(crate) struct SearchDomain {
    /// Its name; also part of its ARN.
    pub(crate) name: String,
    /// Such as `OpenSearch_3.3`.
    pub(crate) engine_version: &'static str,
    /// Such as `t3.small.search`.
    pub(crate) instance_type: String,
    pub(crate) instance_count: u32,
    /// GiB of each node's volume.
    pub(crate) volume_gib: u32,
    /// What becomes of it when the stack goes.
    pub(crate) removal: DeletionPolicy,
    /// Days its logs are kept, one of `RETENTION_DAYS`; `None` on this machine, where the node logs to a file.
    pub(crate) log_retention_days: Option<u32>,
}

/// A search domain other resources refer to.
#[derive(Debug, Clone)]
pub(crate) struct SearchDomainHandle {
    /// Its ARN, made of its name, so that roles do not wait for the domain.
    pub(crate) arn: Arn,
    /// Its host, without a scheme.
    pub(crate) host: Expr,
}

impl SearchDomain {
    /// Adds the domain.
    ///
    /// Identity policies decide who may call it; the domain's own policy only keeps the calls within
    /// this account.
    pub(crate) fn add_to(self, stack: &mut Template) -> SearchDomainHandle {
        let arn = Arn::in_account("es", format!("domain/{}", self.name));
        let logs = self
            .log_retention_days
            .map(|days| add_logs(stack, &self.name, days));
        let (logs, policy) = logs.unzip();
        let zones = zones(self.instance_count);
        let domain = Domain {
            domain_name: self.name,
            engine_version: self.engine_version.to_owned(),
            cluster_config: ClusterConfig {
                instance_type: self.instance_type,
                instance_count: self.instance_count,
                zone_awareness_enabled: zones.is_some(),
                zone_awareness_config: zones.map(|availability_zone_count| ZoneAwarenessConfig {
                    availability_zone_count,
                }),
            },
            ebs_options: EbsOptions {
                ebs_enabled: true,
                volume_size: self.volume_gib,
                volume_type: VolumeType::Gp3,
            },
            access_policies: PolicyDocument::new(vec![this_account_only(&arn)]),
            domain_endpoint_options: DomainEndpointOptions {
                enforce_https: true,
                tls_security_policy: TlsSecurityPolicy::MinTls12Pfs,
            },
            encryption_at_rest_options: EncryptionOptions { enabled: true },
            node_to_node_encryption_options: EncryptionOptions { enabled: true },
            log_publishing_options: logs.into_iter().flatten().collect(),
        };
        let resource = Resource::new(domain).on_removal(self.removal);
        let resource = resource.except(&EXCEPTIONS);
        let resource = match zones {
            None => resource.except(&[ONE_NODE]),
            Some(_) => resource,
        };
        // The service tries whether it may write before it takes a log group.
        let resource = policy.iter().fold(resource, Resource::after);
        let id = stack.add(LogicalId::new("SearchDomain"), resource);
        SearchDomainHandle {
            arn,
            host: Expr::attribute(&id, "DomainEndpoint"),
        }
    }
}

/// The domain's own policy.
fn this_account_only(domain: &Arn) -> Statement {
    let calls = ["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut"];
    let paths = vec![domain.followed_by("/*")];
    let statement = Statement::allow("ThisAccountOnly", &calls, paths);
    statement.about(Principal::Aws(vec![Arn::account_root()]))
}

/// Over how many zones nodes are spread: two where they are even, or else three, of which AWS wants the nodes to
/// be a multiple or at least as many; `None` for one node.
/// Source: OpenSearch Service developer guide, "Configuring a multi-AZ domain".
fn zones(instance_count: u32) -> Option<u32> {
    match instance_count {
        0 | 1 => None,
        even if even % 2 == 0 => Some(2),
        _ => Some(3),
    }
}

/// Adds a group for each log and lets the domain write to them; answers with the logs and the id of the policy.
fn add_logs(
    stack: &mut Template,
    domain: &str,
    days: u32,
) -> (BTreeMap<DomainLog, LogPublishingOption>, LogicalId) {
    let prefix = format!("/aws/opensearch/{domain}/");
    let mut options = BTreeMap::new();
    for (log, part) in LOGS {
        let group = LogGroup {
            log_group_name: format!("{prefix}{part}"),
            retention_in_days: days,
        };
        let id = LogicalId::new(&format!("SearchDomain-{log:?}-Logs"));
        let id = stack.add(id, Resource::new(group).except(&LOG_EXCEPTIONS));
        let option = LogPublishingOption {
            cloud_watch_logs_log_group_arn: Arn::of(&id),
            enabled: true,
        };
        options.insert(log, option);
    }
    let policy = ResourcePolicy {
        policy_name: format!("{domain}-logs"),
        policy_document: may_write(&format!("log-group:{prefix}*"), domain),
    };
    let policy = stack.add(
        LogicalId::new("SearchDomainLogsPolicy"),
        Resource::new(policy),
    );
    (options, policy)
}

/// The policy as the text that CloudWatch Logs takes.
/// Source: OpenSearch Service developer guide, "Monitoring OpenSearch logs with Amazon CloudWatch Logs".
fn may_write(groups: &str, domain: &str) -> Expr {
    let groups = Arn::in_account("logs", groups);
    let domain = Arn::in_account("es", format!("domain/{domain}"));
    Expr::concat([
        Expr::from(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"es.amazonaws.com"},"#,
        ),
        Expr::from(r#""Action":["logs:PutLogEvents","logs:CreateLogStream"],"Resource":""#),
        groups.into(),
        Expr::from(r#"","Condition":{"StringEquals":{"aws:SourceAccount":""#),
        Expr::account(),
        Expr::from(r#""},"ArnEquals":{"aws:SourceArn":""#),
        domain.into(),
        Expr::from(r#""}}}]}"#),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_spread_over_zones_as_the_service_takes_them() {
        let zones: Vec<Option<u32>> = (1..=6).map(zones).collect();
        assert_eq!(zones, [None, Some(2), Some(3), Some(2), Some(3), Some(2)]);
    }

    #[test]
    fn the_policy_of_the_logs_is_json_that_names_the_domain() {
        let text = serde_json::to_value(may_write("log-group:/x/*", "papers")).unwrap();
        let text = text["Fn::Sub"].as_str().unwrap();
        let policy: serde_json::Value = serde_json::from_str(text).unwrap();
        let statement = &policy["Statement"][0];
        let source = &statement["Condition"]["ArnEquals"]["aws:SourceArn"];
        assert!(source.as_str().unwrap().ends_with(":domain/papers"));
        assert!(
            statement["Resource"]
                .as_str()
                .unwrap()
                .ends_with(":log-group:/x/*")
        );
    }
}
