//! What is deployed, as types: settings in, a CloudFormation template and the plan of its changes out.
//!
//! `cloudformation` is what CloudFormation knows (L1), `constructs` what we mean (L2), `pipeline` what
//! exists, `environment` the settings it is made from, `parameters` and `outputs` what a deployment gives to
//! the template and the stack gives out. `validate` says what AWS would refuse of a
//! template, and `plan` what deploying it would change. There is deliberately no AWS SDK, network,
//! terminal or process here: the crate `infra` does what these values say.

pub mod adoption;
pub mod cloudformation;
pub mod constructs;
pub mod environment;
pub mod origin;
pub mod outputs;
pub mod parameters;
pub mod pipeline;
pub mod plan;
pub mod scrape_machine;
pub mod validate;
