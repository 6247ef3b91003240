//! What holds data, and what tells of it: stacks, buckets, queues, index, logs, alarms.

use super::Needed;

pub(super) const NEEDED: [Needed; 11] = [
    Needed {
        sid: "Stacks",
        actions: &[
            "cloudformation:ContinueUpdateRollback",
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeEvents",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStacks",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:GetTemplate",
            "cloudformation:ListChangeSets",
            "cloudformation:ListStackResources",
            "cloudformation:SetStackPolicy",
            "cloudformation:UpdateTerminationProtection",
        ],
        resources: &[
            "arn:aws:cloudformation:{region}:{account}:stack/{stack}/*",
            "arn:aws:cloudformation:{region}:{account}:stack/{stack}-trainium/*",
        ],
        only_if: None,
    },
    Needed {
        sid: "Buckets",
        actions: &[
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:GetBucketLocation",
            "s3:GetBucketPolicy",
            "s3:GetBucketVersioning",
            "s3:ListBucket",
            "s3:ListBucketVersions",
            "s3:PutBucketNotification",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
        ],
        resources: &BUCKETS,
        only_if: None,
    },
    Needed {
        sid: "Objects",
        actions: &[
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:GetObject",
            "s3:PutObject",
        ],
        resources: &OBJECTS,
        only_if: None,
    },
    Needed {
        sid: "Queues",
        actions: &[
            "sqs:CreateQueue",
            "sqs:DeleteQueue",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ListQueueTags",
            "sqs:SetQueueAttributes",
            "sqs:TagQueue",
        ],
        resources: &[
            "arn:aws:sqs:{region}:{account}:{prefix}researchQueue*.fifo",
            "arn:aws:sqs:{region}:{account}:{prefix}code-*.fifo",
            "arn:aws:sqs:{region}:{account}:{prefix}failed-events",
        ],
        only_if: None,
    },
    Needed {
        sid: "Index",
        actions: &[
            "es:AddTags",
            "es:CreateDomain",
            "es:DeleteDomain",
            "es:DescribeDomain",
            "es:DescribeDomainConfig",
            "es:ESHttpGet",
            "es:ESHttpPost",
            "es:ESHttpPut",
            "es:ListTags",
            "es:UpdateDomainConfig",
        ],
        resources: &[
            "arn:aws:es:{region}:{account}:domain/{prefix}research-papers",
            "arn:aws:es:{region}:{account}:domain/{prefix}research-papers/*",
        ],
        only_if: None,
    },
    Needed {
        sid: "Logs",
        actions: &[
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:FilterLogEvents",
            "logs:ListTagsForResource",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
        ],
        resources: &[
            "arn:aws:logs:{region}:{account}:log-group:/aws/lambda/{prefix}Paper*",
            "arn:aws:logs:{region}:{account}:log-group:/aws/opensearch/{prefix}research-papers/*",
        ],
        only_if: None,
    },
    Needed {
        sid: "Parameters",
        actions: &[
            "ssm:AddTagsToResource",
            "ssm:DeleteParameter",
            "ssm:PutParameter",
        ],
        resources: &["arn:aws:ssm:{region}:{account}:parameter/annapurna/*"],
        only_if: None,
    },
    Needed {
        sid: "Topic",
        actions: &[
            "sns:CreateTopic",
            "sns:DeleteTopic",
            "sns:GetTopicAttributes",
            "sns:ListSubscriptionsByTopic",
            "sns:ListTagsForResource",
            "sns:SetTopicAttributes",
            "sns:Subscribe",
            "sns:TagResource",
        ],
        resources: &["arn:aws:sns:{region}:{account}:{prefix}PipelineAlarms"],
        only_if: None,
    },
    Needed {
        sid: "Alarms",
        actions: &[
            "cloudwatch:DeleteAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
        ],
        resources: &[
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}*Stuck",
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}*DeadLetters",
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}FailedEvents",
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}Paper*Errors",
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}Paper*Throttles",
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}ScrapeConferenceFailed",
            "arn:aws:cloudwatch:{region}:{account}:alarm:{prefix}TrainiumInstance*Idle",
        ],
        only_if: None,
    },
    Needed {
        sid: "Dashboard",
        actions: &[
            "cloudwatch:DeleteDashboards",
            "cloudwatch:GetDashboard",
            "cloudwatch:PutDashboard",
        ],
        resources: &["arn:aws:cloudwatch::{account}:dashboard/{prefix}Annapurna"],
        only_if: None,
    },
    Needed {
        sid: "Budget",
        actions: &["budgets:ModifyBudget", "budgets:ViewBudget"],
        resources: &["arn:aws:budgets::{account}:budget/{prefix}annapurna-month"],
        only_if: None,
    },
];

const BUCKETS: [&str; 5] = [
    "arn:aws:s3:::{prefix}llm-research-papers{suffix}",
    "arn:aws:s3:::{prefix}papers-code-artifacts{suffix}",
    "arn:aws:s3:::{prefix}papers-test-outputs{suffix}",
    "arn:aws:s3:::{prefix}datasets-for-all-papers{suffix}",
    "arn:aws:s3:::annapurna-assets-{account}-{region}",
];

const OBJECTS: [&str; 5] = [
    "arn:aws:s3:::{prefix}llm-research-papers{suffix}/*",
    "arn:aws:s3:::{prefix}papers-code-artifacts{suffix}/*",
    "arn:aws:s3:::{prefix}papers-test-outputs{suffix}/*",
    "arn:aws:s3:::{prefix}datasets-for-all-papers{suffix}/*",
    "arn:aws:s3:::annapurna-assets-{account}-{region}/*",
];
