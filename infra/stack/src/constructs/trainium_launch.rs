//! How an instance that runs generated programs is launched: its role, its disk, IMDSv2, its first boot, and its
//! management by Systems Manager. The instances themselves are a stack of their own, whose failure leaves this one as
//! it is: `super::trainium_instances`.

use annapurna_contract::{AgentConfig, Backend, Principal};

use self::first_boot::FirstBoot;
use super::function::LOG_EXCEPTIONS;
use super::role::{Role, RoleHandle};
use crate::cloudformation::ec2::{
    Base64, BlockDeviceMapping, Ebs, HttpEndpoint, HttpTokens, IamInstanceProfile, LaunchTemplate,
    LaunchTemplateData, MetadataOptions, Tag, TagSpecification, TaggedType, VolumeType,
};
use crate::cloudformation::iam::{
    InstanceProfile, Principal as Trusted, ServicePrincipal, Statement,
};
use crate::cloudformation::logs::LogGroup;
use crate::cloudformation::{Arn, Expr, LogicalId, Resource, Template, ssm};

mod first_boot;

/// Defines how an instance is launched, and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct TrainiumLaunch {
    /// Such as `trn1.2xlarge`.
    pub(crate) instance_type: String,
    /// The AMI's id, or `resolve:ssm:` and the parameter that names it.
    pub(crate) image: String,
    /// What programs train on there.
    pub(crate) backend: Backend,
    /// GiB of the root volume.
    pub(crate) volume_gib: u32,
    pub(crate) logs: AgentLogs,
    /// Minutes without work after which it stops itself.
    pub(crate) idle_stop_minutes: u32,
    /// Of the launch template; by its `Purpose` the deployer's policies know it.
    pub(crate) tags: Vec<Tag>,
    /// The agent's queue and buckets.
    pub(crate) config: AgentConfig<Expr>,
    pub(crate) bundle: AgentBundle,
    /// What the contract grants the agent.
    pub(crate) grants: Vec<Statement>,
}

/// Where the journal of each instance goes, and with it the metric of an agent that takes no batch.
#[derive(Debug)]
pub(crate) struct AgentLogs {
    /// Name of the log group.
    pub(crate) group: String,
    /// One of the numbers CloudWatch Logs allows.
    pub(crate) retention_days: u32,
}

/// The stack's one launch template.
#[derive(Debug, Clone)]
pub(crate) struct TrainiumLaunchHandle(LogicalId);

/// The agent's binary and what runs beside it, packed into one object.
#[derive(Debug)]
pub(crate) struct AgentBundle {
    pub(crate) bucket: Expr,
    /// Its key, which changes with its content.
    pub(crate) key: Expr,
    /// The parameter of Systems Manager that names it. The agent reads that whenever it starts, so a new bundle
    /// does not replace the instance.
    pub(crate) parameter_name: String,
}

/// Defines the role of an agent that is a process of somebody's machine: the account's users assume it.
#[derive(Debug)]
pub(crate) struct AgentProcess {
    /// What the contract grants the agent.
    pub(crate) grants: Vec<Statement>,
}

impl TrainiumLaunchHandle {
    /// Its EC2 id, such as `lt-0abc…`.
    pub(crate) fn template_id(&self) -> Expr {
        Expr::reference(&self.0)
    }

    /// Its newest version, a number.
    pub(crate) fn latest_version(&self) -> Expr {
        Expr::attribute(&self.0, "LatestVersionNumber")
    }
}

impl AgentProcess {
    pub(crate) fn add_to(self, stack: &mut Template) -> RoleHandle {
        let role = Role {
            handle: RoleHandle::of(Principal::Agent),
            trust: Statement::trust(Trusted::Aws(vec![Arn::account_root()])),
            policy_name: "grants",
            statements: self.grants,
            managed: Vec::new(),
        };
        role.add_to(stack)
    }
}

impl AgentLogs {
    /// Adds the group; what the instance needs to write there.
    fn add_to(self, stack: &mut Template) -> Statement {
        let streams = Arn::in_account("logs", format!("log-group:{}:*", self.group));
        let group = LogGroup {
            log_group_name: self.group,
            retention_in_days: self.retention_days,
        };
        let group = Resource::new(group).except(&LOG_EXCEPTIONS);
        stack.add(LogicalId::new("TrainiumAgentLogs"), group);
        let write = ["logs:CreateLogStream", "logs:PutLogEvents"];
        Statement::allow("WriteOwnLogs", &write, vec![streams])
    }
}

impl AgentBundle {
    fn add_to(&self, stack: &mut Template) {
        let address = [
            Expr::from("s3://"),
            self.bucket.clone(),
            Expr::from("/"),
            self.key.clone(),
        ];
        let parameter = ssm::Parameter {
            name: self.parameter_name.clone(),
            parameter_type: ssm::ParameterType::String,
            description: "The agent's bundle, fetched whenever the agent starts".to_owned(),
            value: Expr::concat(address),
        };
        stack.add(
            LogicalId::new("TrainiumAgentBundle"),
            Resource::new(parameter),
        );
    }

    /// What the instance needs to fetch it.
    fn grants(&self) -> [Statement; 3] {
        let bundles = Arn::global("s3", self.bucket.clone()).followed_by("/trainium-agent/*");
        let name = Arn::in_account("ssm", format!("parameter{}", self.parameter_name));
        [
            Statement::allow("ReadOwnBundles", &["s3:GetObject"], vec![bundles]),
            Statement::allow(
                "ReadOwnBundleName",
                &["ssm:GetParameter"],
                vec![name.clone()],
            ),
            // The managed policy of Systems Manager allows every parameter of the account.
            Statement::deny_all_but(
                "NoOtherParameter",
                &[
                    "ssm:GetParameter",
                    "ssm:GetParameters",
                    "ssm:GetParametersByPath",
                    "ssm:GetParameterHistory",
                ],
                vec![name],
            ),
        ]
    }
}

impl TrainiumLaunch {
    /// Adds the launch template with the name of the bundle, role and profile.
    pub(crate) fn add_to(self, stack: &mut Template) -> TrainiumLaunchHandle {
        self.bundle.add_to(stack);
        let log_group = self.logs.group.clone();
        let write_logs = self.logs.add_to(stack);
        let grants = self.grants.into_iter().chain(self.bundle.grants());
        let profile = add_profile(stack, grants.chain([write_logs]).collect());
        let first_boot = FirstBoot {
            config: self.config,
            instance_type: self.instance_type.clone(),
            backend: self.backend,
            log_group,
            idle_stop_minutes: self.idle_stop_minutes,
            bundle_parameter: self.bundle.parameter_name,
        };
        let template = LaunchTemplate {
            launch_template_data: LaunchTemplateData {
                instance_type: self.instance_type,
                image_id: self.image,
                iam_instance_profile: IamInstanceProfile {
                    arn: Arn::of(&profile),
                },
                metadata_options: MetadataOptions {
                    http_tokens: HttpTokens::Required,
                    http_put_response_hop_limit: 1,
                    http_endpoint: HttpEndpoint::Enabled,
                },
                block_device_mappings: vec![root_volume(self.volume_gib)],
                user_data: Base64 {
                    text: first_boot.script(),
                },
            },
            tag_specifications: vec![TagSpecification {
                resource_type: TaggedType::LaunchTemplate,
                tags: self.tags,
            }],
        };
        let id = LogicalId::new("TrainiumLaunch");
        TrainiumLaunchHandle(stack.add(id, Resource::new(template)))
    }
}

/// The agent's role as EC2 assumes it, in a profile of its own.
fn add_profile(stack: &mut Template, statements: Vec<Statement>) -> LogicalId {
    let role = Role {
        handle: RoleHandle::of(Principal::Agent),
        trust: Statement::trust(Trusted::Service([ServicePrincipal::Ec2])),
        policy_name: "grants",
        statements,
        managed: vec![Arn::managed_policy("AmazonSSMManagedInstanceCore")],
    };
    let profile = InstanceProfile {
        roles: [role.add_to(stack).name()],
    };
    stack.add(LogicalId::new("TrainiumProfile"), Resource::new(profile))
}

fn root_volume(gib: u32) -> BlockDeviceMapping {
    BlockDeviceMapping {
        device_name: "/dev/sda1",
        ebs: Ebs {
            volume_size: gib,
            volume_type: VolumeType::Gp3,
            encrypted: true,
        },
    }
}
