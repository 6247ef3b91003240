//! The instances that run generated programs: where each is, of which version of the launch template, and no way in.

use crate::cloudformation::ec2::{
    Instance, IpProtocol, LaunchTemplateReference, SecurityGroup, SecurityGroupRule, Tag,
};
use crate::cloudformation::{Exception, Expr, LogicalId, Name, Resource, Rule, Template};

/// Changing it replaces the security group.
const DESCRIPTION: &str = "Annapurna Trainium agent: no ingress";

const EXCEPTIONS: [Exception; 3] = [
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-EC26")],
        reason: "False: its volume is in the launch template, encrypted; the rule reads the instance alone.",
    },
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-EC28")],
        reason: "The dispatcher looks at queue and instance every minute; metrics of every minute would cost and tell \
                 nobody more.",
    },
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-EC29")],
        reason: "It holds nothing: programs and results are in S3, and a new version ends the old one first, so that \
                 the quota serves for one.",
    },
];

/// The firewall of every instance of the stack. It is beside them and not in the launch template: an account without a
/// VPC has no place for it, and that must not fail the stack of the pipeline.
#[derive(Debug)]
pub(crate) struct TrainiumFirewall {
    /// Where the instances are.
    pub(crate) vpc_id: Expr,
    /// By its `Purpose` the deployer's policies know it.
    pub(crate) tags: Vec<Tag>,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct TrainiumInstance {
    /// Its id in the template.
    pub(crate) id: LogicalId,
    pub(crate) launch_template_id: Expr,
    /// A number. A newer version would replace the instance, so it stays at the one that it was made with.
    pub(crate) launch_template_version: Expr,
    pub(crate) subnet_id: Expr,
    /// Behind which it is.
    pub(crate) firewall: TrainiumFirewallHandle,
    /// Value of the tag `Name`, for people.
    pub(crate) name: String,
    /// By them the dispatcher finds it, and may start and stop it.
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug, Clone)]
pub(crate) struct TrainiumFirewallHandle(LogicalId);

#[derive(Debug)]
pub(crate) struct TrainiumInstanceHandle(LogicalId);

impl TrainiumFirewall {
    /// Nothing comes in. Out goes HTTPS to SQS, S3 and Systems Manager, and HTTP to Ubuntu's package mirrors.
    pub(crate) fn add_to(self, stack: &mut Template) -> TrainiumFirewallHandle {
        let rule = |port, description| SecurityGroupRule {
            ip_protocol: IpProtocol::Tcp,
            from_port: port,
            to_port: port,
            cidr_ip: "0.0.0.0/0",
            description,
        };
        let group = SecurityGroup {
            group_description: DESCRIPTION.to_owned(),
            vpc_id: self.vpc_id,
            security_group_ingress: Vec::new(),
            security_group_egress: vec![rule(443, "AWS APIs"), rule(80, "Package mirrors")],
            tags: self.tags,
        };
        let id = LogicalId::new("TrainiumFirewall");
        TrainiumFirewallHandle(stack.add(id, Resource::new(group)))
    }
}

impl TrainiumInstance {
    pub(crate) fn add_to(self, stack: &mut Template) -> TrainiumInstanceHandle {
        let name = Tag {
            key: "Name",
            value: self.name,
        };
        let instance = Instance {
            launch_template: LaunchTemplateReference {
                launch_template_id: self.launch_template_id,
                version: self.launch_template_version,
            },
            subnet_id: self.subnet_id,
            security_group_ids: vec![Expr::attribute(&self.firewall.0, "GroupId")],
            tags: [name].into_iter().chain(self.tags).collect(),
        };
        let resource = Resource::new(instance).except(&EXCEPTIONS);
        TrainiumInstanceHandle(stack.add(self.id, resource))
    }
}

impl TrainiumInstanceHandle {
    /// Its EC2 id, such as `i-0abc…`.
    pub(crate) fn instance_id(&self) -> Name {
        Name::of(&self.0)
    }
}
