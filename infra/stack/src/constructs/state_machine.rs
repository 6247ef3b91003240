//! A state machine with the role it acts with, which may call the machine's functions and nothing else.

use serde_json::json;

use super::function::FunctionHandle;
use crate::cloudformation::iam::{Policy, PolicyDocument, Role, Statement};
use crate::cloudformation::step_functions::{Definition, StateMachine};
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

/// Defines a state machine.
#[derive(Debug)]
pub struct Workflow<'a> {
    /// Its logical id.
    pub id: &'static str,
    /// Its name in this environment.
    pub name: String,
    /// What it does. Its tasks name their functions with [`resource`].
    pub definition: Definition,
    /// The functions it calls.
    pub functions: Vec<&'a FunctionHandle>,
}

/// What stands for a function in a definition.
pub fn resource(function: &FunctionHandle) -> String {
    format!("${{{}}}", function.id)
}

impl Workflow<'_> {
    /// Adds the role and the machine, and returns the machine's ARN.
    ///
    /// The role trusts Step Functions on behalf of this one machine only; its ARN is made of its name, so
    /// that neither waits for the other.
    pub fn add_to(self, template: &mut Template) -> Expr {
        let id = LogicalId::new(self.id);
        let own_arn = Expr::arn("states", format!("stateMachine:{}", self.name));
        let trust = Statement::trust("Service", Expr::from("states.amazonaws.com")).when(json!({
            "StringEquals": {"aws:SourceAccount": Expr::account()},
            "ArnEquals": {"aws:SourceArn": own_arn},
        }));
        let arns = self.functions.iter().map(|it| it.arn.clone()).collect();
        let invoke = Statement::allow("CallOwnFunctions", &["lambda:InvokeFunction"], arns);
        let role = template.add(
            id.part("Role"),
            Resource::new(Role {
                assume_role_policy_document: PolicyDocument::new(vec![trust]),
                policies: vec![Policy {
                    policy_name: "invoke".to_owned(),
                    policy_document: PolicyDocument::new(vec![invoke]),
                }],
                managed_policy_arns: Vec::new(),
            }),
        );
        let substitutions = self
            .functions
            .iter()
            .map(|it| (it.id.as_str().to_owned(), it.arn.clone()));
        let machine = template.add(
            id,
            Resource::new(StateMachine {
                state_machine_name: self.name,
                state_machine_type: "STANDARD",
                definition: self.definition,
                definition_substitutions: substitutions.collect(),
                role_arn: Expr::attribute(&role, "Arn"),
            }),
        );
        Expr::reference(&machine)
    }
}
