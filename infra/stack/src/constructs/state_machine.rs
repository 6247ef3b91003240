//! A state machine with the role it acts with, which may call the machine's functions and nothing else.

use super::function::FunctionHandle;
use super::role::{Role, RoleHandle};
use crate::cloudformation::iam::{Condition, Principal, ServicePrincipal, Statement};
use crate::cloudformation::step_functions::{self, Definition, StateMachineType};
use crate::cloudformation::{Arn, Exception, Expr, LogicalId, Resource, Rule, Template};

const EXCEPTIONS: [Exception; 2] = [
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-SF1")],
        reason: "The history of a standard execution holds every event for 90 days; delivering it to a log needs \
                 permissions on all log deliveries of the account.",
    },
    Exception {
        rules: &[Rule::CdkNag("AwsSolutions-SF2")],
        reason: "Its only task is one function, whose own log lines and metrics say what X-Ray would.",
    },
];

#[derive(Debug)]
pub(crate) struct StateMachine<'a> {
    pub(crate) id: &'static str,
    pub(crate) name: String,
    /// What it does. Its tasks name their functions with [`FunctionHandle::substitution`].
    pub(crate) definition: Definition,
    /// The functions it calls.
    pub(crate) functions: Vec<&'a FunctionHandle>,
}

/// A state machine other resources refer to.
#[derive(Debug, Clone)]
pub(crate) struct StateMachineHandle(LogicalId);

impl StateMachineHandle {
    /// Its ARN, for who starts it.
    pub(crate) fn arn(&self) -> Arn {
        Arn::of_reference(&self.0)
    }

    pub(crate) fn id(&self) -> &LogicalId {
        &self.0
    }
}

impl StateMachine<'_> {
    /// Adds the role and the state machine.
    ///
    /// The role trusts Step Functions on behalf of this one state machine only; its ARN is made of its name,
    /// so that neither waits for the other.
    pub(crate) fn add_to(self, stack: &mut Template) -> StateMachineHandle {
        let id = LogicalId::new(self.id);
        let own_arn = Arn::in_account("states", format!("stateMachine:{}", self.name));
        let on_its_behalf = Condition::string_equals("aws:SourceAccount", Expr::account())
            .and_arn_equals("aws:SourceArn", own_arn);
        let arns = self.functions.iter().map(|it| it.arn()).collect();
        let role = Role {
            handle: RoleHandle::part_of(&id),
            trust: Statement::trust(Principal::Service([ServicePrincipal::StepFunctions]))
                .when(on_its_behalf),
            policy_name: "invoke",
            statements: vec![Statement::allow(
                "CallOwnFunctions",
                &["lambda:InvokeFunction"],
                arns,
            )],
            managed: Vec::new(),
        };
        let role = role.add_to(stack);
        let substitutions = self
            .functions
            .iter()
            .map(|it| (it.id().to_string(), it.arn().into()));
        let properties = step_functions::StateMachine {
            state_machine_name: self.name,
            state_machine_type: StateMachineType::Standard,
            definition: self.definition,
            definition_substitutions: substitutions.collect(),
            role_arn: role.arn(),
        };
        let resource = Resource::new(properties).except(&EXCEPTIONS);
        StateMachineHandle(stack.add(id, resource))
    }
}
