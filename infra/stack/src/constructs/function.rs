//! A Lambda function with its role, its log group and, for a consumer, its event source mapping.

use std::collections::BTreeMap;

use annapurna_contract::{Function as Name, Principal};
use serde_json::json;

use super::limits::{BatchSize, FunctionTimeout, MaxConcurrency, MemoryMib};
use super::permissions::{Targets, add_role};
use super::queue::QueueHandle;
use crate::cloudformation::iam::Statement;
use crate::cloudformation::lambda::{
    Code, Environment, EventSourceMapping, Function, LoggingConfig, Permission,
};
use crate::cloudformation::logs::LogGroup;
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

/// How large a function is and how long it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionSize {
    /// Memory, and with it the share of a processor.
    pub memory: MemoryMib,
    /// Time of one call.
    pub timeout: FunctionTimeout,
}

/// Defines a function of this workspace.
#[derive(Debug)]
pub struct RustFunction {
    /// Which one.
    pub name: Name,
    /// Its name in this environment.
    pub deployed_name: String,
    /// For people.
    pub description: String,
    /// Its size.
    pub size: FunctionSize,
    /// `arm64` or `x86_64`.
    pub architecture: &'static str,
    /// Its variables.
    pub variables: Vec<(&'static str, Expr)>,
    /// Where its code is.
    pub code: Code,
    /// Days its logs are kept.
    pub retention_days: u32,
}

/// A function other resources refer to.
#[derive(Debug, Clone)]
pub struct FunctionHandle {
    /// First part of the ids of everything that belongs to it.
    pub id: LogicalId,
    /// Its ARN.
    pub arn: Expr,
    /// Its role's ARN.
    pub role_arn: Expr,
}

impl RustFunction {
    /// Adds the role with the contract's grants, the log group and the function.
    pub fn add_to(self, template: &mut Template, targets: &Targets) -> FunctionHandle {
        let id = LogicalId::new(self.name.name());
        let log_group_name = format!("/aws/lambda/{}", self.deployed_name);
        let logs = template.add(
            id.part("Logs"),
            Resource::new(LogGroup {
                log_group_name: log_group_name.clone(),
                retention_in_days: self.retention_days,
            }),
        );
        let streams = Expr::arn("logs", format!("log-group:{log_group_name}:*"));
        let role = add_role(
            template,
            id.part("Role"),
            vec![Statement::trust(
                "Service",
                Expr::from("lambda.amazonaws.com"),
            )],
            Principal::Function(self.name).grants(),
            targets,
            vec![Statement::allow(
                "WriteOwnLogs",
                &["logs:CreateLogStream", "logs:PutLogEvents"],
                vec![streams],
            )],
            Vec::new(),
        );
        let role_arn = Expr::attribute(&role, "Arn");
        let variables: BTreeMap<&'static str, Expr> = self.variables.into_iter().collect();
        let function = template.add(
            id.clone(),
            Resource::new(Function {
                function_name: self.deployed_name,
                description: self.description,
                runtime: "provided.al2023",
                handler: "bootstrap",
                architectures: vec![self.architecture],
                code: self.code,
                role: role_arn.clone(),
                timeout: self.size.timeout.get(),
                memory_size: self.size.memory.get(),
                environment: Environment { variables },
                logging_config: LoggingConfig {
                    log_group: Expr::reference(&logs),
                },
                reserved_concurrent_executions: None,
            }),
        );
        FunctionHandle {
            id,
            arn: Expr::attribute(&function, "Arn"),
            role_arn,
        }
    }
}

impl FunctionHandle {
    /// Lets a queue's messages invoke this function, which reports the ones that failed.
    pub fn consume(
        &self,
        template: &mut Template,
        queue: &QueueHandle,
        batch_size: BatchSize,
        concurrency: MaxConcurrency,
    ) {
        template.add(
            self.id.part("Messages"),
            Resource::new(EventSourceMapping {
                event_source_arn: queue.arn.clone(),
                function_name: Expr::reference(&self.id),
                batch_size: batch_size.get(),
                maximum_batching_window_in_seconds: None,
                function_response_types: vec!["ReportBatchItemFailures"],
                scaling_config: Some(json!({"MaximumConcurrency": concurrency.get()})),
            }),
        );
    }

    /// Lets S3 invoke this function for one bucket of this account.
    pub fn allow_bucket(&self, template: &mut Template, bucket_name: &str) -> LogicalId {
        template.add(
            self.id.part("BucketPermission"),
            Resource::new(Permission {
                action: "lambda:InvokeFunction",
                function_name: self.arn.clone(),
                principal: "s3.amazonaws.com",
                source_account: Expr::account(),
                source_arn: Expr::global_arn("s3", bucket_name),
            }),
        )
    }
}
