//! The instance that runs generated programs: no way in, IMDSv2, managed by Systems Manager.

use annapurna_contract::names::{ENVIRONMENT_TAG, PURPOSE_TAG};
use annapurna_contract::{AgentConfig, Principal};

use self::first_boot::FirstBoot;
use super::role::{Role, RoleHandle};
use crate::cloudformation::ec2::{
    Base64, BlockDeviceMapping, Ebs, HttpEndpoint, HttpTokens, IamInstanceProfile, Instance,
    IpProtocol, LaunchTemplate, LaunchTemplateData, LaunchTemplateReference, MetadataOptions,
    SecurityGroup, SecurityGroupRule, Tag, VolumeType,
};
use crate::cloudformation::iam::{
    InstanceProfile, Principal as Trusted, ServicePrincipal, Statement,
};
use crate::cloudformation::{Arn, Expr, LogicalId, Name, Resource, Template, ssm};

mod first_boot;

/// Changing it replaces the security group.
const DESCRIPTION: &str = "Annapurna Trainium agent: no ingress";

/// Defines the instance and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct TrainiumInstance {
    /// Such as `trn1.2xlarge`.
    pub(crate) instance_type: String,
    /// Public SSM parameter that names the AMI.
    pub(crate) image_parameter: String,
    /// GiB of the root volume.
    pub(crate) volume_gib: u32,
    /// Where it is; the default VPC's subnet when absent.
    pub(crate) network: Option<Network>,
    /// The agent's queue and buckets.
    pub(crate) config: AgentConfig<Expr>,
    pub(crate) bundle: AgentBundle,
    /// What the contract grants the agent.
    pub(crate) grants: Vec<Statement>,
    pub(crate) name_tag: String,
    /// The instance's `Purpose` tag, by which the dispatcher finds it and may start and stop it.
    pub(crate) purpose_tag: String,
    /// Its `Environment` tag, likewise.
    pub(crate) environment_tag: String,
}

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) vpc_id: String,
    pub(crate) subnet_id: String,
}

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

#[derive(Debug, Clone)]
pub(crate) struct TrainiumInstanceHandle(LogicalId);

impl TrainiumInstanceHandle {
    /// The stack's one instance, which need not be defined yet.
    pub(crate) fn new() -> Self {
        Self(LogicalId::new("TrainiumInstance"))
    }

    /// Its EC2 id, such as `i-0abc…`.
    pub(crate) fn instance_id(&self) -> Name {
        Name::of(&self.0)
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

impl TrainiumInstance {
    /// Adds the instance with the name of its bundle, role, profile, launch template and security group.
    pub(crate) fn add_to(self, stack: &mut Template) -> TrainiumInstanceHandle {
        self.bundle.add_to(stack);
        let grants = self.grants.into_iter().chain(self.bundle.grants());
        let profile = add_profile(stack, grants.collect());
        let (vpc_id, subnet_id) = self
            .network
            .map(|network| (network.vpc_id, network.subnet_id))
            .unzip();
        let group = stack.add(
            LogicalId::new("TrainiumFirewall"),
            Resource::new(no_way_in(vpc_id)),
        );
        let first_boot = FirstBoot {
            config: self.config,
            instance_type: self.instance_type.clone(),
            bundle_parameter: self.bundle.parameter_name,
        };
        let launch = LaunchTemplateData {
            instance_type: self.instance_type,
            image_id: format!("resolve:ssm:{}", self.image_parameter),
            iam_instance_profile: IamInstanceProfile {
                arn: Arn::of(&profile),
            },
            metadata_options: MetadataOptions {
                http_tokens: HttpTokens::Required,
                http_put_response_hop_limit: 1,
                http_endpoint: HttpEndpoint::Enabled,
            },
            block_device_mappings: vec![root_volume(self.volume_gib)],
            security_group_ids: vec![Expr::attribute(&group, "GroupId")],
            user_data: Base64 {
                text: first_boot.script(),
            },
        };
        let tags = vec![
            tag("Name", self.name_tag),
            tag(PURPOSE_TAG, self.purpose_tag),
            tag(ENVIRONMENT_TAG, self.environment_tag),
        ];
        add_instance(stack, launch, subnet_id, tags)
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

fn add_instance(
    stack: &mut Template,
    launch_template_data: LaunchTemplateData,
    subnet_id: Option<String>,
    tags: Vec<Tag>,
) -> TrainiumInstanceHandle {
    let template = LaunchTemplate {
        launch_template_data,
    };
    let launch = stack.add(LogicalId::new("TrainiumLaunch"), Resource::new(template));
    let handle = TrainiumInstanceHandle::new();
    let instance = Instance {
        launch_template: LaunchTemplateReference {
            launch_template_id: Expr::reference(&launch),
            version: Expr::attribute(&launch, "LatestVersionNumber"),
        },
        subnet_id,
        tags,
    };
    stack.add(handle.0.clone(), Resource::new(instance));
    handle
}

fn tag(key: &'static str, value: String) -> Tag {
    Tag { key, value }
}

/// Nothing comes in. Out goes HTTPS to SQS, S3 and Systems Manager, and HTTP to Ubuntu's package mirrors;
/// rules for what goes out can be given with a VPC only, and the default VPC's stay open.
fn no_way_in(vpc_id: Option<String>) -> SecurityGroup {
    let rule = |port, description| SecurityGroupRule {
        ip_protocol: IpProtocol::Tcp,
        from_port: port,
        to_port: port,
        cidr_ip: "0.0.0.0/0",
        description,
    };
    let egress = match &vpc_id {
        Some(_) => vec![rule(443, "AWS APIs"), rule(80, "Package mirrors")],
        None => Vec::new(),
    };
    SecurityGroup {
        group_description: DESCRIPTION.to_owned(),
        vpc_id,
        security_group_ingress: Vec::new(),
        security_group_egress: egress,
    }
}
