//! A private, encrypted bucket that stays when its stack goes.

use serde_json::json;

use crate::cloudformation::iam::{PolicyDocument, Statement};
use crate::cloudformation::s3::{
    Bucket, BucketPolicy, LambdaConfiguration, NotificationConfiguration, NotificationFilter,
    PublicAccessBlock,
};
use crate::cloudformation::{DeletionPolicy, Expr, LogicalId, Resource, Template};

/// Defines a bucket.
#[derive(Debug)]
pub struct PrivateBucket {
    /// Its logical id.
    pub id: &'static str,
    /// Its global name.
    pub name: String,
    /// What becomes of it when the stack goes.
    pub removal: DeletionPolicy,
    /// What becomes of replaced versions.
    pub versions: Versions,
    /// Refuse plain HTTP; an emulator on loopback speaks nothing else.
    pub encrypted_transport: bool,
    /// Invoke this function for new objects with this key ending.
    pub notify: Option<ObjectNotification>,
}

/// What becomes of replaced versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// They stay for ever: nothing in the bucket can be lost by writing over it.
    Forever,
    /// They stay for 30 days.
    Month,
}

/// Whom to tell about which new objects.
#[derive(Debug)]
pub struct ObjectNotification {
    /// ARN of the function. A literal one, since a reference would close a circle through the
    /// function's role.
    pub function: Expr,
    /// The key ending.
    pub suffix: &'static str,
    /// The permission that must exist before the bucket names the function.
    pub permission: LogicalId,
}

impl PrivateBucket {
    /// Adds the bucket and a policy of what holds whatever the callers' own policies say.
    pub fn add_to(self, template: &mut Template, protection: Option<Statement>) -> LogicalId {
        let id = LogicalId::new(self.id);
        let arn = Expr::global_arn("s3", self.name.clone());
        let after = self.notify.as_ref().map(|notify| notify.permission.clone());
        let bucket = Bucket {
            bucket_name: self.name,
            public_access_block_configuration: PublicAccessBlock {
                block_public_acls: true,
                block_public_policy: true,
                ignore_public_acls: true,
                restrict_public_buckets: true,
            },
            bucket_encryption: json!({"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]}),
            versioning_configuration: Some(json!({"Status": "Enabled"})),
            lifecycle_configuration: Some(lifecycle(self.versions)),
            notification_configuration: self.notify.map(|notify| NotificationConfiguration {
                lambda_configurations: vec![LambdaConfiguration {
                    event: "s3:ObjectCreated:*",
                    function: notify.function,
                    filter: NotificationFilter {
                        suffix: notify.suffix,
                    },
                }],
            }),
        };
        let mut resource = Resource::new(bucket).on_removal(self.removal);
        if let Some(permission) = after {
            resource = resource.after(&permission);
        }
        let id = template.add(id, resource);
        let encrypted = self
            .encrypted_transport
            .then(|| encrypted_transport_only(&arn));
        let statements: Vec<Statement> = encrypted.into_iter().chain(protection).collect();
        if !statements.is_empty() {
            let policy = BucketPolicy::on(&id, PolicyDocument::new(statements));
            template.add(id.part("Policy"), Resource::new(policy));
        }
        id
    }
}

/// Unfinished uploads go after a week.
fn lifecycle(versions: Versions) -> serde_json::Value {
    let mut rules = vec![json!({
        "Id": "unfinished-uploads", "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}
    })];
    if versions == Versions::Month {
        rules.push(json!({
            "Id": "replaced-versions", "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30}
        }));
    }
    json!({ "Rules": rules })
}

fn everyone(
    effect: &'static str,
    sid: &str,
    action: &[&'static str],
    resource: Vec<Expr>,
) -> Statement {
    let principal = [("AWS", vec![Expr::from("*")])].into_iter().collect();
    Statement {
        effect,
        principal: Some(principal),
        ..Statement::allow(sid, action, resource)
    }
}

fn encrypted_transport_only(bucket_arn: &Expr) -> Statement {
    let objects = Expr::concat([bucket_arn.clone(), Expr::from("/*")]);
    everyone(
        "Deny",
        "EncryptedTransportOnly",
        &["s3:*"],
        vec![bucket_arn.clone(), objects],
    )
    .when(json!({"Bool": {"aws:SecureTransport": "false"}}))
}

/// Refuses these roles to delete, or to weaken what protects, the objects of a bucket, whatever
/// their own policies say.
pub fn deny_deletion(bucket_name: &str, roles: Vec<Expr>) -> Statement {
    let arn = Expr::global_arn("s3", bucket_name);
    let objects = Expr::concat([arn.clone(), Expr::from("/*")]);
    let actions = [
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:DeleteBucket",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketVersioning",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
    ];
    let mut statement = everyone(
        "Deny",
        "PapersAreNeverDeleted",
        &actions,
        vec![arn, objects],
    );
    statement.principal = Some([("AWS", roles)].into_iter().collect());
    statement
}
