//! What CloudFormation calls in the deployer's name, held against what the deployer may do.
//!
//! `handlers.json` has, for each type of the stacks whose schema names them, the permissions of the handlers that create,
//! read, update and delete it. Source: CloudFormation's resource schemas as PyPI's localstack-core 2026.3.0 carries them;
//! cfn-lint's, of which `facts.json` is made, leave the handlers out. Of a type that is not there, such as an instance,
//! only what makes it is known (`tests.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::needed;

/// What handlers call only for what no resource of the stacks has, and why that is so; a service's name is all of it.
const NOT_NEEDED: [(&[&str], &str); 11] = [
    (
        &[
            "ec2:DescribeNetworkInterfaces",
            "elasticfilesystem:",
            "lambda:GetLayerVersion",
            "lambda:PassCapacityProvider",
        ],
        "no function is in a VPC, or has a file system, a layer or instances of its own",
    ),
    (
        &[
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:DeleteFunctionConcurrency",
            "lambda:GetCodeSigningConfig",
            "lambda:PublishVersion",
            "lambda:PutFunctionCodeSigningConfig",
            "lambda:PutFunctionConcurrency",
            "lambda:PutFunctionRecursionConfig",
            "lambda:PutFunctionScalingConfig",
            "lambda:PutRuntimeManagementConfig",
        ],
        "no function has a version, signed code, or a limit or manner of running of its own",
    ),
    (
        &["kms:", "logs:AssociateKmsKey", "logs:DisassociateKmsKey"],
        "nothing has a key of its own",
    ),
    (&["s3:GetObjectVersion"], "code is named by its key alone"),
    (
        &[
            "firehose:",
            "logs:CreateLogDelivery",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutDataProtectionPolicy",
            "s3:REST.PUT.OBJECT",
            "sns:PutDataProtectionPolicy",
        ],
        "no log and no topic has a policy of what is masked in it",
    ),
    (
        &["logs:DeleteRetentionPolicy"],
        "every log has a time after which it goes",
    ),
    (
        &[
            "logs:ListTagsLogGroup",
            "logs:TagLogGroup",
            "logs:UntagLogGroup",
        ],
        "older calls for what TagResource and ListTagsForResource do",
    ),
    (
        &[
            "es:RemoveTags",
            "iam:UntagRole",
            "lambda:UntagResource",
            "s3:UntagResource",
            "sns:UntagResource",
            "sqs:UntagQueue",
            "ssm:RemoveTagsFromResource",
            "states:UntagResource",
        ],
        "of these no resource has a tag of its own, and none that CloudFormation gives goes while the stack stays",
    ),
    (
        &[
            "iam:DeleteRolePermissionsBoundary",
            "iam:PutRolePermissionsBoundary",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
        ],
        "no role has a boundary, a description or a length of its sessions",
    ),
    (
        &["es:UpdateDomain", "es:UpgradeDomain"],
        "the call is UpdateDomainConfig, and the engine's version is the project's",
    ),
    (
        &[
            "S3:GetBucketWebsite",
            "s3:CreateBucketMetadataTableConfiguration",
            "s3:DeleteBucketAnalyticsConfiguration",
            "s3:DeleteBucketCors",
            "s3:DeleteBucketEncryption",
            "s3:DeleteBucketLifecycle",
            "s3:DeleteBucketMetadataTableConfiguration",
            "s3:DeleteBucketMetricsConfiguration",
            "s3:DeleteBucketReplication",
            "s3:DeleteBucketWebsite",
            "s3:GetBucketAcl",
            "s3:PutAccelerateConfiguration",
            "s3:PutAnalyticsConfiguration",
            "s3:PutBucketAbac",
            "s3:PutBucketAcl",
            "s3:PutBucketCORS",
            "s3:PutBucketLogging",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutBucketReplication",
            "s3:PutBucketWebsite",
            "s3:PutIntelligentTieringConfiguration",
            "s3:PutInventoryConfiguration",
            "s3:PutMetricsConfiguration",
            "s3:PutObjectAcl",
            "s3:PutObjectLockConfiguration",
            "s3:PutReplicationConfiguration",
            "s3:UpdateBucketMetadataInventoryTableConfiguration",
            "s3:UpdateBucketMetadataJournalTableConfiguration",
            "s3tables:",
        ],
        "what else a bucket may have, such as a website or tables; the first is written otherwise in the list",
    ),
];

#[test]
fn whatever_cloudformation_calls_for_a_resource_the_deployer_may_do() {
    let handlers: BTreeMap<String, Vec<String>> =
        serde_json::from_str(include_str!("handlers.json")).unwrap();
    let listed: BTreeSet<&str> = needed().flat_map(|it| it.actions).copied().collect();
    let mut unused: BTreeSet<&str> = NOT_NEEDED.iter().flat_map(|it| it.0).copied().collect();
    for (kind, actions) in &handlers {
        for action in actions.iter().filter(|it| !listed.contains(it.as_str())) {
            let mut exceptions = NOT_NEEDED.iter().flat_map(|it| it.0).copied();
            let is_it = |it: &&str| {
                action.as_str() == *it || (it.ends_with(':') && action.starts_with(*it))
            };
            let exception = exceptions.find(is_it);
            let exception = exception.unwrap_or_else(|| {
                panic!("{kind} takes {action}: put it on the list, or say here why not")
            });
            unused.remove(exception);
        }
    }
    assert_eq!(unused, BTreeSet::new(), "exceptions for nothing");
    assert!(handlers.len() > 12, "{}", handlers.len());
}
