//! What CloudFormation knows: templates, intrinsic functions and resource properties (L1).
//!
//! A [`Template`] holds typed resources and renders to the JSON that CloudFormation takes. Nothing
//! here has an opinion; our defaults are in `constructs`, and what exists is in `pipeline`.

pub(crate) mod budgets;
pub(crate) mod cloudwatch;
pub(crate) mod ec2;
pub(crate) mod exceptions;
pub(crate) mod expr;
pub(crate) mod facts;
pub(crate) mod iam;
pub(crate) mod lambda;
pub(crate) mod logs;
pub(crate) mod opensearch;
pub(crate) mod s3;
pub(crate) mod scheduler;
pub(crate) mod schema;
pub(crate) mod sns;
pub(crate) mod sqs;
pub(crate) mod ssm;
pub(crate) mod step_functions;
pub(crate) mod template;
pub(crate) mod values;

pub(crate) use exceptions::{Exception, Rule};
pub(crate) use expr::{Expr, LogicalId};
pub use facts::{NoFacts, names};
pub(crate) use template::{DeletionPolicy, Properties, Resource};
pub use template::{Holds, Template};
pub(crate) use values::{Arn, Name, Url};
