//! The OpenSearch domain that holds the index, open to the pipeline's roles only.

use crate::cloudformation::iam::{PolicyDocument, Principal, Statement};
use crate::cloudformation::opensearch::{
    ClusterConfig, Domain, DomainEndpointOptions, EbsOptions, EncryptionOptions, TlsSecurityPolicy,
    VolumeType,
};
use crate::cloudformation::{Arn, DeletionPolicy, Expr, LogicalId, Resource, Template};

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
        let this_account = Statement::allow(
            "ThisAccountOnly",
            &["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut"],
            vec![arn.followed_by("/*")],
        );
        let this_account = this_account.about(Principal::Aws(vec![Arn::account_root()]));
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
                volume_type: VolumeType::Gp3,
            },
            access_policies: PolicyDocument::new(vec![this_account]),
            domain_endpoint_options: DomainEndpointOptions {
                enforce_https: true,
                tls_security_policy: TlsSecurityPolicy::MinTls12Pfs,
            },
            encryption_at_rest_options: EncryptionOptions { enabled: true },
            node_to_node_encryption_options: EncryptionOptions { enabled: true },
        };
        let id = stack.add(
            LogicalId::new("SearchDomain"),
            Resource::new(domain).on_removal(self.removal),
        );
        SearchDomainHandle {
            arn,
            host: Expr::attribute(&id, "DomainEndpoint"),
        }
    }
}
