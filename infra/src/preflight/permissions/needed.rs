//! The list: which actions on which resources.
//!
//! In a resource, `{…}` is filled with the environment's own for the simulation; in the policy of the docs, which serves
//! every environment of an account, it is `*`. Source: Service Authorization Reference; the permissions of the handlers
//! in CloudFormation's resource schemas.

use super::super::Subject;

/// Actions on the same resources.
#[derive(Debug)]
pub(super) struct Needed {
    /// As the policy calls the statement: letters and digits.
    pub(super) sid: &'static str,
    pub(super) actions: &'static [&'static str],
    pub(super) resources: &'static [&'static str],
}

impl Needed {
    /// The resources of one environment. A simulation takes no wildcard, so that one name stands for all.
    /// Source: IAM API reference, `SimulatePrincipalPolicy`.
    pub(super) fn real_resources(&self, subject: &Subject<'_>) -> Vec<String> {
        let environment = subject.environment;
        let prefix = environment.named("");
        let stack = environment.stack_name();
        let values = [
            ("*", "x"),
            ("{account}", subject.account.as_str()),
            ("{region}", environment.region.as_str()),
            ("{prefix}", prefix.as_str()),
            ("{suffix}", environment.bucket_suffix()),
            ("{stack}", stack.as_str()),
        ];
        let fill = |text: String, (key, value): &(&str, &str)| text.replace(key, value);
        let filled = |resource: &&str| match *resource {
            "*" => "*".to_owned(),
            resource => values.iter().fold(resource.to_owned(), fill),
        };
        self.resources.iter().map(filled).collect()
    }
}

pub(super) const NEEDED: [Needed; 13] = [
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
            "arn:aws:sqs:{region}:{account}:{prefix}*.fifo",
            "arn:aws:sqs:{region}:{account}:{prefix}failed-events",
        ],
    },
    Needed {
        sid: "Functions",
        actions: &[
            "lambda:AddPermission",
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:DeleteFunctionEventInvokeConfig",
            "lambda:GetFunction",
            "lambda:GetFunctionConfiguration",
            "lambda:GetFunctionEventInvokeConfig",
            "lambda:GetPolicy",
            "lambda:InvokeFunction",
            "lambda:ListTags",
            "lambda:PutFunctionEventInvokeConfig",
            "lambda:RemovePermission",
            "lambda:TagResource",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:UpdateFunctionEventInvokeConfig",
        ],
        resources: &["arn:aws:lambda:{region}:{account}:function:{prefix}Paper*"],
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
    },
    Needed {
        sid: "Roles",
        actions: &[
            "iam:AttachRolePolicy",
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:PassRole",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UpdateAssumeRolePolicy",
        ],
        resources: &["arn:aws:iam::{account}:role/{stack}-*"],
    },
    Needed {
        sid: "Profiles",
        actions: &[
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
        ],
        resources: &["arn:aws:iam::{account}:instance-profile/{stack}-*"],
    },
    Needed {
        sid: "Schedules",
        actions: &[
            "scheduler:CreateSchedule",
            "scheduler:DeleteSchedule",
            "scheduler:GetSchedule",
            "scheduler:UpdateSchedule",
        ],
        resources: &["arn:aws:scheduler:{region}:{account}:schedule/*"],
    },
    Needed {
        sid: "Scrapes",
        actions: &[
            "states:CreateStateMachine",
            "states:DeleteStateMachine",
            "states:DescribeStateMachine",
            "states:ListExecutions",
            "states:ListTagsForResource",
            "states:StartExecution",
            "states:TagResource",
            "states:UpdateStateMachine",
        ],
        resources: &["arn:aws:states:{region}:{account}:stateMachine:{prefix}ScrapeConference"],
    },
    Needed {
        sid: "Runs",
        actions: &["states:DescribeExecution", "states:GetExecutionHistory"],
        resources: &["arn:aws:states:{region}:{account}:execution:{prefix}ScrapeConference:*"],
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
    },
    // What knows no resources, or names that nobody can know before.
    Needed {
        sid: "Others",
        actions: &[
            "aws-marketplace:Subscribe",
            "aws-marketplace:ViewSubscriptions",
            "bedrock:GetFoundationModel",
            "bedrock:GetFoundationModelAvailability",
            "bedrock:GetUseCaseForModelAccess",
            "bedrock:InvokeModel",
            "budgets:ModifyBudget",
            "budgets:ViewBudget",
            "cloudwatch:DeleteAlarms",
            "cloudwatch:DeleteDashboards",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:GetDashboard",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutDashboard",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:CreateLaunchTemplate",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:CreateSecurityGroup",
            "ec2:CreateTags",
            "ec2:DeleteLaunchTemplate",
            "ec2:DeleteSecurityGroup",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
            "ec2:DescribeVpcs",
            "ec2:ModifyLaunchTemplate",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RunInstances",
            "ec2:TerminateInstances",
            "iam:GetRole",
            "iam:SimulatePrincipalPolicy",
            "lambda:CreateEventSourceMapping",
            "lambda:DeleteEventSourceMapping",
            "lambda:GetAccountSettings",
            "lambda:GetEventSourceMapping",
            "lambda:ListFunctions",
            "lambda:UpdateEventSourceMapping",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:DeleteResourcePolicy",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:FilterLogEvents",
            "logs:ListTagsForResource",
            "logs:PutResourcePolicy",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "scheduler:ListSchedules",
            "servicequotas:GetAWSDefaultServiceQuota",
            "servicequotas:GetServiceQuota",
            "sns:Unsubscribe",
            "ssm:AddTagsToResource",
            "ssm:DeleteParameter",
            "ssm:GetParameter",
            "ssm:GetParameters",
            "ssm:PutParameter",
            "ssm:SendCommand",
            "states:ListStateMachines",
        ],
        resources: &["*"],
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

#[cfg(test)]
mod tests;
