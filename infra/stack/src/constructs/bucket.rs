//! A private, encrypted bucket that tells a function of new objects, where it should.

use annapurna_contract::Bucket;

use super::function::FunctionHandle;
use super::role::RoleHandle;
use crate::cloudformation::iam::{Effect, PolicyDocument, Principal, Statement};
use crate::cloudformation::s3::{
    self, BucketEncryption, BucketEvent, BucketPolicy, LambdaConfiguration, LifecycleAction,
    LifecycleConfiguration, LifecycleRule, NotificationConfiguration, NotificationFilter,
    PublicAccessBlock, ServerSideEncryptionByDefault, ServerSideEncryptionRule, SseAlgorithm,
    Status, VersioningConfiguration,
};
use crate::cloudformation::{
    Arn, DeletionPolicy, Exception, Expr, LogicalId, Resource, Rule, Template,
};

const EXCEPTIONS: [Exception; 1] = [Exception {
    rules: &[Rule::Checkov("CKV_AWS_18"), Rule::CdkNag("AwsSolutions-S1")],
    reason: "Only this account's roles read and write it, each within its prefixes; a log of every request would be \
             more objects than the pipeline writes, and CloudTrail's data events serve where an audit is wanted.",
}];

/// Defines a bucket that nobody outside the account reads, encrypted and with versions.
#[derive(Debug)]
pub(crate) struct PrivateBucket<'a> {
    /// Which one, and its global name.
    pub(crate) handle: BucketHandle,
    /// What becomes of it when the stack goes.
    pub(crate) removal: DeletionPolicy,
    pub(crate) versions: Versions,
    /// Refuse plain HTTP; an emulator on loopback speaks nothing else.
    pub(crate) encrypted_transport: bool,
    /// Roles that can delete nothing in it, whatever their own policies say.
    pub(crate) undeletable_by: Vec<RoleHandle>,
    /// Whom S3 tells of new objects.
    pub(crate) notification: Option<ObjectNotification<'a>>,
    /// Where what nobody needs for long is put: it goes after a week.
    pub(crate) passing: Option<&'static str>,
}

/// How long versions stay that were replaced or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// They stay for ever: nothing in the bucket can be lost by writing over it.
    Forever,
    /// They stay for 30 days.
    Month,
}

/// Whom to tell about which new objects.
#[derive(Debug)]
pub(crate) struct ObjectNotification<'a> {
    /// The function that S3 invokes.
    pub(crate) function: &'a FunctionHandle,
    /// How the keys end, such as `.json`.
    pub(crate) suffix: &'static str,
}

/// A bucket other resources refer to. Its name is known before it exists, so nothing waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketHandle {
    bucket: Bucket,
    name: String,
}

/// The handles of all of the pipeline's buckets.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    /// Raw papers and verdicts.
    pub(crate) papers: BucketHandle,
    /// Generated programs.
    pub(crate) code: BucketHandle,
    /// What the programs put out.
    pub(crate) outputs: BucketHandle,
    /// Data sets the programs load.
    pub(crate) datasets: BucketHandle,
}

impl Buckets {
    /// The buckets with the names they have in an environment.
    pub(crate) fn named(name: impl Fn(Bucket) -> String) -> Self {
        let handle = |bucket| BucketHandle {
            bucket,
            name: name(bucket),
        };
        Self {
            papers: handle(Bucket::Papers),
            code: handle(Bucket::Code),
            outputs: handle(Bucket::Outputs),
            datasets: handle(Bucket::Datasets),
        }
    }

    pub(crate) fn get(&self, bucket: Bucket) -> &BucketHandle {
        match bucket {
            Bucket::Papers => &self.papers,
            Bucket::Code => &self.code,
            Bucket::Outputs => &self.outputs,
            Bucket::Datasets => &self.datasets,
        }
    }
}

impl BucketHandle {
    pub(crate) fn name(&self) -> Expr {
        Expr::from(self.name.as_str())
    }

    pub(crate) fn arn(&self) -> Arn {
        Arn::global("s3", self.name.as_str())
    }

    fn id(&self) -> LogicalId {
        LogicalId::new(match self.bucket {
            Bucket::Papers => "PapersBucket",
            Bucket::Code => "CodeBucket",
            Bucket::Outputs => "OutputsBucket",
            Bucket::Datasets => "DatasetsBucket",
        })
    }
}

impl PrivateBucket<'_> {
    /// Adds the bucket, a policy of what holds whatever the callers' own policies say, and the permission of S3
    /// to invoke the function it tells.
    pub(crate) fn add_to(self, stack: &mut Template) -> BucketHandle {
        let id = self.handle.id();
        let statements = self.statements(&id);
        let bucket = s3::Bucket {
            bucket_name: self.handle.name.clone(),
            public_access_block_configuration: PublicAccessBlock {
                block_public_acls: true,
                block_public_policy: true,
                ignore_public_acls: true,
                restrict_public_buckets: true,
            },
            bucket_encryption: encryption(),
            versioning_configuration: VersioningConfiguration {
                status: Status::Enabled,
            },
            lifecycle_configuration: lifecycle(self.versions, self.passing),
            notification_configuration: self.notification.as_ref().map(notification),
        };
        let mut resource = Resource::new(bucket)
            .on_removal(self.removal)
            .except(&EXCEPTIONS);
        if let Some(notification) = &self.notification {
            // S3 refuses a bucket that names a function it may not invoke.
            let permission = notification.function.allow_bucket(stack, self.handle.arn());
            resource = resource.after(&permission);
        }
        stack.add(id.clone(), resource);
        if !statements.is_empty() {
            let policy = BucketPolicy::on(&id, PolicyDocument::new(statements));
            stack.add(id.part("Policy"), Resource::new(policy));
        }
        self.handle
    }

    fn statements(&self, id: &LogicalId) -> Vec<Statement> {
        let bucket = Arn::of(id);
        let all = vec![bucket.clone(), bucket.followed_by("/*")];
        let undeletable = (!self.undeletable_by.is_empty())
            .then(|| deny_deletion(all.clone(), &self.undeletable_by));
        let encrypted = self
            .encrypted_transport
            .then(|| Statement::encrypted_transport_only("s3:*", all));
        encrypted.into_iter().chain(undeletable).collect()
    }
}

fn notification(notification: &ObjectNotification<'_>) -> NotificationConfiguration {
    NotificationConfiguration {
        lambda_configurations: vec![LambdaConfiguration {
            event: BucketEvent::ObjectCreated,
            // A reference would close a circle through the function's role.
            function: notification.function.arn_by_name(),
            filter: NotificationFilter::suffix(notification.suffix),
        }],
    }
}

fn encryption() -> BucketEncryption {
    let sse_algorithm = SseAlgorithm::Aes256;
    BucketEncryption {
        server_side_encryption_configuration: vec![ServerSideEncryptionRule {
            server_side_encryption_by_default: ServerSideEncryptionByDefault { sse_algorithm },
        }],
    }
}

/// Unfinished uploads go after a week.
fn lifecycle(versions: Versions, passing: Option<&'static str>) -> LifecycleConfiguration {
    let rule = |id, action| LifecycleRule {
        id,
        status: Status::Enabled,
        prefix: None,
        action,
    };
    let unfinished = LifecycleAction::AbortIncompleteMultipartUpload {
        days_after_initiation: 7,
    };
    let mut rules = vec![rule("unfinished-uploads", unfinished)];
    if versions == Versions::Month {
        let replaced = LifecycleAction::NoncurrentVersionExpiration {
            noncurrent_days: 30,
        };
        rules.push(rule("replaced-versions", replaced));
    }
    rules.extend(passing.map(|_| LifecycleRule {
        prefix: passing,
        ..rule("passing", LifecycleAction::ExpirationInDays(7))
    }));
    LifecycleConfiguration { rules }
}

/// Refuses these roles to delete, or to weaken what protects, the objects of a bucket.
fn deny_deletion(resource: Vec<Arn>, roles: &[RoleHandle]) -> Statement {
    let actions = [
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:DeleteBucket",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketVersioning",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
    ];
    let roles = Principal::Aws(roles.iter().map(RoleHandle::arn).collect());
    Statement {
        effect: Effect::Deny,
        ..Statement::allow("PapersAreNeverDeleted", &actions, resource)
    }
    .about(roles)
}
