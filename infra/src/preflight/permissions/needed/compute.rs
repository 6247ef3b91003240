//! What runs, and with which rights: functions, roles, schedules, scrapes, instances, models.

use super::{Condition, Needed};

pub(super) const NEEDED: [Needed; 17] = [
    Needed {
        sid: "Functions",
        actions: &[
            "lambda:AddPermission",
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:DeleteFunctionEventInvokeConfig",
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetFunctionConfiguration",
            "lambda:GetFunctionEventInvokeConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:GetFunctionScalingConfig",
            "lambda:GetPolicy",
            "lambda:GetRuntimeManagementConfig",
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
        only_if: None,
    },
    // A mapping's name is a number; it is known by its function.
    Needed {
        sid: "NewMappings",
        actions: &["lambda:CreateEventSourceMapping"],
        resources: &["*"],
        only_if: Some(OF_FUNCTIONS),
    },
    Needed {
        sid: "Mappings",
        actions: &[
            "lambda:DeleteEventSourceMapping",
            "lambda:GetEventSourceMapping",
            "lambda:UpdateEventSourceMapping",
        ],
        resources: &["arn:aws:lambda:{region}:{account}:event-source-mapping:*"],
        only_if: Some(OF_FUNCTIONS),
    },
    Needed {
        sid: "Roles",
        actions: &[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UpdateAssumeRolePolicy",
        ],
        resources: &["arn:aws:iam::{account}:role/{stack}-*"],
        only_if: None,
    },
    // The one policy of AWS that a role of the stack has: no other can be attached.
    Needed {
        sid: "RolesOwnPolicies",
        actions: &["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
        resources: &["arn:aws:iam::{account}:role/{stack}-*"],
        only_if: Some(Condition {
            key: "iam:PolicyARN",
            values: &["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"],
        }),
    },
    Needed {
        sid: "PassRoles",
        actions: &["iam:PassRole"],
        resources: &["arn:aws:iam::{account}:role/{stack}-*"],
        only_if: Some(Condition {
            key: "iam:PassedToService",
            values: &[
                "ec2.amazonaws.com",
                "lambda.amazonaws.com",
                "scheduler.amazonaws.com",
                "states.amazonaws.com",
            ],
        }),
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
        only_if: None,
    },
    Needed {
        sid: "Schedules",
        actions: &[
            "scheduler:CreateSchedule",
            "scheduler:DeleteSchedule",
            "scheduler:GetSchedule",
            "scheduler:UpdateSchedule",
        ],
        resources: &["arn:aws:scheduler:{region}:{account}:schedule/default/{stack}-*"],
        only_if: None,
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
        only_if: None,
    },
    Needed {
        sid: "Runs",
        actions: &["states:DescribeExecution", "states:GetExecutionHistory"],
        resources: &["arn:aws:states:{region}:{account}:execution:{prefix}ScrapeConference:*"],
        only_if: None,
    },
    Needed {
        sid: "Instances",
        actions: &[
            "ec2:CreateLaunchTemplateVersion",
            "ec2:DeleteLaunchTemplate",
            "ec2:DeleteSecurityGroup",
            "ec2:ModifyLaunchTemplate",
            "ec2:StartInstances",
            "ec2:StopInstances",
            "ec2:TerminateInstances",
        ],
        resources: &[
            "arn:aws:ec2:{region}:{account}:instance/*",
            "arn:aws:ec2:{region}:{account}:launch-template/*",
            "arn:aws:ec2:{region}:{account}:security-group/*",
        ],
        only_if: Some(Condition {
            key: "aws:ResourceTag/Purpose",
            values: &["{prefix}PapersCodeTester"],
        }),
    },
    // Only while something is made: a tag on what is there would open the statement above.
    Needed {
        sid: "Tags",
        actions: &["ec2:CreateTags"],
        resources: &[
            "arn:aws:ec2:{region}:{account}:instance/*",
            "arn:aws:ec2:{region}:{account}:launch-template/*",
            "arn:aws:ec2:{region}:{account}:security-group/*",
        ],
        only_if: Some(Condition {
            key: "ec2:CreateAction",
            values: &[
                "RunInstances",
                "CreateLaunchTemplate",
                "CreateSecurityGroup",
            ],
        }),
    },
    Needed {
        sid: "Restart",
        actions: &["ssm:SendCommand"],
        resources: &["arn:aws:ec2:{region}:{account}:instance/*"],
        only_if: Some(Condition {
            key: "ssm:resourceTag/Purpose",
            values: &["{prefix}PapersCodeTester"],
        }),
    },
    // A command needs the right to its document, too; this one is AWS's.
    Needed {
        sid: "RestartByScript",
        actions: &["ssm:SendCommand"],
        resources: &["arn:aws:ssm:{region}::document/AWS-RunShellScript"],
        only_if: None,
    },
    Needed {
        sid: "Images",
        actions: &["ssm:GetParameter", "ssm:GetParameters"],
        resources: &[
            "arn:aws:ssm:{region}:{account}:parameter/annapurna/*",
            "arn:aws:ssm:{region}::parameter/aws/service/*",
        ],
        only_if: None,
    },
    Needed {
        sid: "Models",
        actions: &["bedrock:GetFoundationModel", "bedrock:InvokeModel"],
        resources: &[
            "arn:aws:bedrock:*::foundation-model/*",
            "arn:aws:bedrock:{region}:{account}:inference-profile/*",
        ],
        only_if: None,
    },
    // What knows no resources, only reads, or makes what has no name before it is made.
    Needed {
        sid: "Others",
        actions: &[
            "aws-marketplace:Subscribe",
            "aws-marketplace:ViewSubscriptions",
            "bedrock:GetFoundationModelAvailability",
            "bedrock:GetUseCaseForModelAccess",
            "cloudwatch:DescribeAlarms",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:CreateLaunchTemplate",
            "ec2:CreateSecurityGroup",
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
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RunInstances",
            "iam:GetRole",
            "iam:SimulatePrincipalPolicy",
            "lambda:GetAccountSettings",
            "lambda:ListFunctions",
            "logs:DeleteResourcePolicy",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:PutResourcePolicy",
            "scheduler:ListSchedules",
            "servicequotas:GetAWSDefaultServiceQuota",
            "servicequotas:GetServiceQuota",
            "sns:Unsubscribe",
            "states:ListStateMachines",
        ],
        resources: &["*"],
        only_if: None,
    },
];

const OF_FUNCTIONS: Condition = Condition {
    key: "lambda:FunctionArn",
    values: &["arn:aws:lambda:{region}:{account}:function:{prefix}Paper*"],
};
