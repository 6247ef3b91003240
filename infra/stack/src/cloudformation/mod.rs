//! What CloudFormation knows: templates, intrinsic functions and resource properties (L1).
//!
//! A [`Template`] holds typed resources and renders to the JSON that CloudFormation takes. Nothing
//! here has an opinion; our defaults are in `constructs`, and what exists is in `pipeline`.

pub mod cloudwatch;
pub mod ec2;
pub mod expr;
pub(crate) mod facts;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod opensearch;
pub mod s3;
pub mod scheduler;
pub(crate) mod schema;
pub mod sqs;
pub mod ssm;
pub mod step_functions;
pub mod template;
pub mod values;

pub use expr::{Expr, LogicalId};
pub use template::{DeletionPolicy, Holds, Output, Parameter, Properties, Resource, Template};
pub use values::{Arn, Name, Url};
