//! The OpenSearch domain that holds the index, open to the pipeline's roles only.

use serde_json::json;

use crate::cloudformation::iam::{PolicyDocument, Statement};
use crate::cloudformation::opensearch::{ClusterConfig, Domain, EbsOptions};
use crate::cloudformation::{DeletionPolicy, Expr, LogicalId, Resource, Template};

/// Defines a search domain.
#[derive(Debug)]
pub struct SearchDomain {
    /// Its name; also part of its ARN.
    pub name: String,
    /// Such as `OpenSearch_3.3`.
    pub engine_version: &'static str,
    /// Such as `t3.small.search`.
    pub instance_type: String,
    /// Data nodes.
    pub instance_count: u32,
    /// GiB a node.
    pub volume_gib: u32,
    /// What becomes of it when the stack goes.
    pub removal: DeletionPolicy,
}

impl SearchDomain {
    /// The domain's ARN, known before the domain exists, so that roles do not wait for it.
    pub fn arn(&self) -> Expr {
        Expr::arn("es", format!("domain/{}", self.name))
    }

    /// Adds the domain and returns its endpoint, a host without a scheme.
    ///
    /// Identity policies decide who may call it; the domain's own policy only keeps the calls within
    /// this account.
    pub fn add_to(self, template: &mut Template) -> Expr {
        let objects = Expr::concat([self.arn(), Expr::from("/*")]);
        let account = Expr::account_root();
        let mut statement = Statement::allow(
            "ThisAccountOnly",
            &[
                "es:ESHttpGet",
                "es:ESHttpHead",
                "es:ESHttpPost",
                "es:ESHttpPut",
            ],
            vec![objects],
        );
        statement.principal = Some([("AWS", vec![account])].into_iter().collect());
        let domain = Domain {
            domain_name: self.name,
            engine_version: self.engine_version.to_owned(),
            cluster_config: ClusterConfig {
                instance_type: self.instance_type,
                instance_count: self.instance_count,
            },
            ebs_options: EbsOptions {
                ebs_enabled: true,
                volume_size: self.volume_gib,
                volume_type: "gp3",
            },
            access_policies: PolicyDocument::new(vec![statement]),
            domain_endpoint_options: json!({
                "EnforceHTTPS": true, "TLSSecurityPolicy": "Policy-Min-TLS-1-2-PFS-2023-10"
            }),
            encryption_at_rest_options: json!({"Enabled": true}),
            node_to_node_encryption_options: json!({"Enabled": true}),
        };
        let id = template.add(
            LogicalId::new("SearchDomain"),
            Resource::new(domain).on_removal(self.removal),
        );
        Expr::attribute(&id, "DomainEndpoint")
    }
}
