//! A role: who may assume it, and the one inline policy of what it may do.

use annapurna_contract::Principal;

use crate::cloudformation::iam::{Policy, PolicyDocument, Role as Properties, Statement};
use crate::cloudformation::{Arn, Exception, LogicalId, Name, Resource, Rule, Template};

#[derive(Debug)]
pub(crate) struct Role {
    /// Which one. Its name is CloudFormation's.
    pub(crate) handle: RoleHandle,
    /// Who may assume it.
    pub(crate) trust: Statement,
    /// The inline policy's name within the role.
    pub(crate) policy_name: &'static str,
    /// What it may do; none makes a role without an inline policy.
    pub(crate) statements: Vec<Statement>,
    /// ARNs of policies that AWS maintains.
    pub(crate) managed: Vec<Arn>,
}

/// A role other resources refer to. It is made of the logical id alone, so that a policy can name a role before
/// it is defined; `validate` finds one that never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleHandle(LogicalId);

impl RoleHandle {
    /// The role of a construct with this id, other than the contract's principals.
    pub(crate) fn part_of(id: &LogicalId) -> Self {
        Self(id.part("Role"))
    }

    /// The role of a function or of the agent.
    pub(crate) fn of(principal: Principal) -> Self {
        match principal {
            Principal::Function(function) => Self::part_of(&LogicalId::new(function.name())),
            Principal::Agent => Self(LogicalId::new("TrainiumAgentRole")),
        }
    }

    /// Its ARN, for who assumes it and for policies about it.
    pub(crate) fn arn(&self) -> Arn {
        Arn::of(&self.0)
    }

    /// Its name, for an instance profile.
    pub(crate) fn name(&self) -> Name {
        Name::of(&self.0)
    }
}

/// Of roles whose statements have a `*` in a resource.
const PATTERNS: Exception = Exception {
    rules: &[Rule::CdkNag("AwsSolutions-IAM5")],
    reason: "No action has a wildcard. In a resource it stands for the rest of a key below a prefix, of a document's \
             path or of a log stream, for a region of an inference profile, for an instance told by its tag, or, with \
             ec2:DescribeInstances alone, for what has no resource-level permission. A test asks every role about \
             its neighbours' resources.",
};

/// Of roles with a policy that AWS maintains.
const MAINTAINED: Exception = Exception {
    rules: &[Rule::CdkNag("AwsSolutions-IAM4")],
    reason: "AmazonSSMManagedInstanceCore follows what Systems Manager's agent needs; its reading of every parameter \
             is denied beside it.",
};

/// Of roles that ask a model.
const MODEL: Exception = Exception {
    rules: &[Rule::Parliament("RESOURCE_MISMATCH bedrock:InvokeModel")],
    reason: "False: parliament wants an ARN of every kind that a model may be, and takes none with a version after a \
             colon; a role asks the model, or the profile, that the settings name.",
};

impl Role {
    pub(crate) fn add_to(self, stack: &mut Template) -> RoleHandle {
        let policy = Policy {
            policy_name: self.policy_name.to_owned(),
            policy_document: PolicyDocument::new(self.statements),
        };
        let statements = &policy.policy_document.statement;
        let is_empty = statements.is_empty();
        let allow_on = |is_it: fn(&str) -> bool| statements.iter().any(|it| it.allows_on(is_it));
        let exceptions = [
            allow_on(|text| text.contains('*')).then_some(PATTERNS),
            allow_on(|text| text.contains("foundation-model/")).then_some(MODEL),
            (!self.managed.is_empty()).then_some(MAINTAINED),
        ];
        let exceptions: Vec<Exception> = exceptions.into_iter().flatten().collect();
        let properties = Properties {
            assume_role_policy_document: PolicyDocument::new(vec![self.trust]),
            policies: if is_empty { Vec::new() } else { vec![policy] },
            managed_policy_arns: self.managed,
        };
        let resource = Resource::new(properties).except(&exceptions);
        stack.add(self.handle.0.clone(), resource);
        self.handle
    }
}
