//! What is deployed, as types: settings in, a CloudFormation template and the plan of its changes out.
//!
//! `cloudformation` is what CloudFormation knows (L1), `constructs` what we mean (L2), `pipeline` what
//! exists but for the instances, which are a stack of their own, `instances`. `environment` has the settings that
//! both are made from, `parameters` and `outputs` what a deployment gives to the template and the stack gives out.
//! `origin` says which setting an error of AWS is about, `validate` what AWS would refuse of a
//! template, and `plan` what deploying it would change. There is deliberately no AWS SDK, network,
//! terminal or process here: the crate `infra` does what these values say.

pub mod adoption;
pub mod cloudformation;
pub mod constructs;
pub mod environment;
pub mod instances;
pub mod origin;
pub mod outputs;
pub mod parameters;
pub mod pipeline;
pub mod plan;
pub mod protection;
pub mod scrape_machine;
mod slot;
pub mod validate;
