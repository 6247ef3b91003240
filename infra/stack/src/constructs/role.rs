//! A role: who may assume it, and the one inline policy of what it may do.

use annapurna_contract::Principal;

use crate::cloudformation::iam::{Policy, PolicyDocument, Role as Properties, Statement};
use crate::cloudformation::{Arn, LogicalId, Name, Resource, Template};

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

impl Role {
    pub(crate) fn add_to(self, stack: &mut Template) -> RoleHandle {
        let policy = Policy {
            policy_name: self.policy_name.to_owned(),
            policy_document: PolicyDocument::new(self.statements),
        };
        let is_empty = policy.policy_document.statement.is_empty();
        let properties = Properties {
            assume_role_policy_document: PolicyDocument::new(vec![self.trust]),
            policies: if is_empty { Vec::new() } else { vec![policy] },
            managed_policy_arns: self.managed,
        };
        stack.add(self.handle.0.clone(), Resource::new(properties));
        self.handle
    }
}
