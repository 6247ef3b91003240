//! A Lambda function with its role and its log group, and what lets messages and buckets invoke it.

use std::collections::BTreeMap;

use annapurna_contract::{Function, Principal};

use super::limits::{BatchSize, FunctionTimeout, MaxConcurrency, MemoryMib};
use super::queue::{FailedEvents, QueueHandle};
use super::role::{Role, RoleHandle};
use crate::cloudformation::iam::{Principal as Trusted, ServicePrincipal, Statement};
use crate::cloudformation::lambda::{
    self, Architecture, Code, DestinationConfig, Environment, EventInvokeConfig,
    EventSourceMapping, FunctionResponseType, LoggingConfig, OnFailure, Permission, Runtime,
    ScalingConfig,
};
use crate::cloudformation::logs::LogGroup;
use crate::cloudformation::{Arn, Exception, Expr, LogicalId, Name, Resource, Rule, Template};

/// How large a function is and how long it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FunctionSize {
    /// Memory, and with it the share of a processor.
    pub(crate) memory: MemoryMib,
    /// Time of one call.
    pub(crate) timeout: FunctionTimeout,
}

/// Defines a function of this workspace.
#[derive(Debug)]
pub(crate) struct RustFunction {
    /// Which one, and its name in this environment.
    pub(crate) handle: FunctionHandle,
    /// What Lambda's console shows.
    pub(crate) description: String,
    pub(crate) size: FunctionSize,
    pub(crate) architecture: Architecture,
    pub(crate) variables: Vec<(&'static str, Expr)>,
    pub(crate) code: Code,
    /// What the contract grants it.
    pub(crate) grants: Vec<Statement>,
    /// Days its logs are kept, one of `RETENTION_DAYS`.
    pub(crate) retention_days: u32,
    /// Whether Scheduler or S3 call it, who do not wait for its answer.
    pub(crate) is_told_events: bool,
}

const EXCEPTIONS: [Exception; 4] = [
    Exception {
        rules: &[Rule::Checkov("CKV_AWS_115")],
        reason: "Reserving takes from the account's concurrency, which is 10 in a new account; what runs at once is \
                 bounded by the event source mappings and by the state machine's two windows.",
    },
    Exception {
        rules: &[Rule::Checkov("CKV_AWS_116")],
        reason: "False for functions that are called by queues with dead-letter queues, or by somebody who waits; \
                 those that are told events have a destination on failure, which the rule does not read.",
    },
    Exception {
        rules: &[Rule::Checkov("CKV_AWS_117")],
        reason: "It asks sites of the internet or APIs of AWS and serves nobody; a VPC would add NAT gateways and \
                 close nothing that IAM leaves open.",
    },
    Exception {
        rules: &[Rule::Checkov("CKV_AWS_173")],
        reason: "The variables are names and numbers, no secrets, and Lambda encrypts them with a key of its own.",
    },
];

/// What every log group of the stack has.
pub(super) const LOG_EXCEPTIONS: [Exception; 1] = [Exception {
    rules: &[Rule::Checkov("CKV_AWS_158")],
    reason: "CloudWatch Logs encrypts it with keys of its own; titles and reasons of published papers need no key \
             that a person manages.",
}];

/// Lets a queue's messages invoke a function, which reports the ones that failed.
#[derive(Debug)]
pub(crate) struct QueueConsumer<'a> {
    pub(crate) function: &'a FunctionHandle,
    pub(crate) queue: &'a QueueHandle,
    /// Messages of one call, at most.
    pub(crate) batch_size: BatchSize,
    /// Copies of the function at once, at most.
    pub(crate) concurrency: MaxConcurrency,
}

/// A function other resources refer to. It is made of names alone, so that a bucket can tell a function that is
/// defined later; `validate` finds one that never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionHandle {
    function: Function,
    name: String,
}

impl FunctionHandle {
    /// A function by its name in this environment.
    pub(crate) fn new(function: Function, name: String) -> Self {
        Self { function, name }
    }

    /// What stands for it in a state machine's definition.
    pub(crate) fn substitution(&self) -> String {
        format!("${{{}}}", self.id())
    }

    /// First part of the ids of everything that belongs to it.
    pub(crate) fn id(&self) -> LogicalId {
        LogicalId::new(self.function.name())
    }

    /// Its ARN, which waits for the function.
    pub(crate) fn arn(&self) -> Arn {
        Arn::of(&self.id())
    }

    /// Its ARN as its name makes it, which waits for nothing.
    pub(crate) fn arn_by_name(&self) -> Arn {
        Arn::in_account("lambda", format!("function:{}", self.name))
    }

    /// Lets S3 invoke it for one bucket of this account.
    pub(super) fn allow_bucket(&self, stack: &mut Template, bucket: Arn) -> LogicalId {
        let permission = Permission {
            action: "lambda:InvokeFunction",
            function_name: self.arn(),
            principal: ServicePrincipal::S3,
            source_account: Expr::account(),
            source_arn: bucket,
        };
        stack.add(
            self.id().part("BucketPermission"),
            Resource::new(permission),
        )
    }
}

impl RustFunction {
    /// Adds the role with the contract's grants, the log group and the function.
    pub(crate) fn add_to(self, stack: &mut Template) -> FunctionHandle {
        let id = self.handle.id();
        let log_group_name = format!("/aws/lambda/{}", self.handle.name);
        let streams = Arn::in_account("logs", format!("log-group:{log_group_name}:*"));
        let log_group = LogGroup {
            log_group_name,
            retention_in_days: self.retention_days,
        };
        let log_group = Resource::new(log_group).except(&LOG_EXCEPTIONS);
        let logs = stack.add(id.part("Logs"), log_group);
        let mut statements = self.grants;
        let write = ["logs:CreateLogStream", "logs:PutLogEvents"];
        statements.push(Statement::allow("WriteOwnLogs", &write, vec![streams]));
        if self.is_told_events {
            let failed = vec![FailedEvents::arn()];
            let keep = Statement::allow("KeepFailedEvents", &["sqs:SendMessage"], failed);
            statements.push(keep);
        }
        let role = execution_role(self.handle.function, statements).add_to(stack);
        let variables: BTreeMap<&'static str, Expr> = self.variables.into_iter().collect();
        let function = lambda::Function {
            function_name: self.handle.name.clone(),
            description: self.description,
            runtime: Runtime::ProvidedAl2023,
            handler: "bootstrap",
            architectures: vec![self.architecture],
            code: self.code,
            role: role.arn(),
            timeout: self.size.timeout.get(),
            memory_size: self.size.memory.get(),
            environment: Environment { variables },
            logging_config: LoggingConfig {
                log_group: Expr::reference(&logs),
            },
        };
        stack.add(id.clone(), Resource::new(function).except(&EXCEPTIONS));
        if self.is_told_events {
            add_destination(stack, &id);
        }
        self.handle
    }
}

/// The role that Lambda runs it with.
fn execution_role(function: Function, statements: Vec<Statement>) -> Role {
    Role {
        handle: RoleHandle::of(Principal::Function(function)),
        trust: Statement::trust(Trusted::Service([ServicePrincipal::Lambda])),
        policy_name: "grants",
        statements,
        managed: Vec::new(),
    }
}

/// Lambda repeats an event twice, and what fails again goes to the queue of failed events.
/// Source: Lambda guide, "How Lambda handles errors and retries with asynchronous invocation".
fn add_destination(stack: &mut Template, function: &LogicalId) {
    let config = EventInvokeConfig {
        function_name: Name::of(function),
        qualifier: "$LATEST",
        destination_config: DestinationConfig {
            on_failure: OnFailure {
                destination: FailedEvents::arn(),
            },
        },
    };
    stack.add(function.part("Events"), Resource::new(config));
}

impl QueueConsumer<'_> {
    /// Adds the event source mapping, to which nothing refers.
    pub(crate) fn add_to(self, stack: &mut Template) {
        let id = self.function.id();
        let mapping = EventSourceMapping {
            event_source_arn: self.queue.arn(),
            function_name: Name::of(&id),
            batch_size: self.batch_size.get(),
            maximum_batching_window_in_seconds: None,
            function_response_types: vec![FunctionResponseType::ReportBatchItemFailures],
            scaling_config: ScalingConfig {
                maximum_concurrency: self.concurrency.get(),
            },
        };
        stack.add(id.part("Messages"), Resource::new(mapping));
    }
}
