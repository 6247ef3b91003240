//! What several stages are made of: functions, who calls them, and addresses.

use annapurna_contract::{Function, Principal, Queue};

use super::Pipeline;
use super::sizes::{MODEL_BATCH_SIZE, MODEL_CONCURRENCY};
use crate::cloudformation::lambda::Code;
use crate::cloudformation::{DeletionPolicy, Expr};
use crate::constructs::function::{FunctionHandle, FunctionSize, QueueConsumer, RustFunction};
use crate::constructs::queue::QueueHandle;
use crate::constructs::role::RoleHandle;
use crate::parameters::{Parameter, given};

impl Pipeline<'_> {
    /// A function with what all functions have in common: the environment's processor and retention of logs, the
    /// code of this deployment, and the role with what the contract grants it.
    pub(super) fn add_function(
        &mut self,
        name: Function,
        description: &str,
        size: FunctionSize,
        variables: Vec<(&'static str, Expr)>,
    ) -> FunctionHandle {
        let function = RustFunction {
            handle: self.handle(name),
            description: description.to_owned(),
            size,
            architecture: self.environment.architecture(),
            variables,
            code: Code {
                s3_bucket: given(Parameter::AssetsBucket),
                s3_key: given(Parameter::CodeKey(name.package())),
            },
            grants: self.targets.granted(Principal::Function(name)),
            retention_days: self.environment.log_retention_days,
            // Scheduler calls both, and S3 the tester.
            is_told_events: matches!(name, Function::Generator | Function::Tester),
        };
        function.add_to(&mut self.stack)
    }

    /// Has Lambda call the function with the queue's messages.
    pub(super) fn add_consumer(&mut self, function: &FunctionHandle, queue: Queue) {
        let consumer = QueueConsumer {
            function,
            queue: &QueueHandle::of(queue),
            batch_size: MODEL_BATCH_SIZE,
            concurrency: MODEL_CONCURRENCY,
        };
        consumer.add_to(&mut self.stack);
    }

    /// The function by its name in this environment, whether or not it is defined yet.
    pub(super) fn handle(&self, function: Function) -> FunctionHandle {
        FunctionHandle::new(function, self.environment.named(function.name()))
    }

    /// What becomes, when the stack goes, of data that another run could make again.
    pub(super) fn removal(&self) -> DeletionPolicy {
        if self.environment.retain_data {
            DeletionPolicy::Retain
        } else {
            DeletionPolicy::Delete
        }
    }

    /// Where the functions reach Bedrock, or what answers for it on this machine.
    pub(super) fn model_endpoint(&self) -> Expr {
        if self.environment.local().is_some() {
            return given(Parameter::ModelUrl);
        }
        Expr::concat([
            Expr::from("https://bedrock-runtime."),
            Expr::region(),
            Expr::from("."),
            Expr::Ref("AWS::URLSuffix".to_owned()),
        ])
    }
}

/// A queue's address, as a function's variable.
pub(super) fn url_of(queue: Queue) -> Expr {
    QueueHandle::of(queue).url().into()
}

/// The roles of everything that runs in the pipeline.
pub(super) fn roles() -> impl Iterator<Item = RoleHandle> {
    let functions = Function::ALL.into_iter().map(Principal::Function);
    functions.chain([Principal::Agent]).map(RoleHandle::of)
}
