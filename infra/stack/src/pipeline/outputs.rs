//! The outputs: what a person or a command wants to know of the deployed stack.

use annapurna_contract::Principal;

use super::Pipeline;
use super::parts::url_of;
use crate::cloudformation::{Expr, Url};
use crate::constructs::role::RoleHandle;
use crate::constructs::state_machine::StateMachineHandle;
use crate::constructs::trainium_instance::TrainiumInstanceHandle;
use crate::outputs::Output;

impl Pipeline<'_> {
    /// Adds those that this environment's stack has.
    pub(super) fn add_outputs(&mut self, index: &Url, scrape_conference: &StateMachineHandle) {
        let has_instance = self.environment.trainium.is_some();
        for output in Output::ALL {
            let value: Option<Expr> = match output {
                Output::SearchEndpoint => Some(index.clone().into()),
                Output::QueueUrl(queue) => Some(url_of(queue)),
                Output::BucketName(bucket) => Some(self.targets.buckets.get(bucket).name()),
                Output::ScrapeConferenceArn => Some(scrape_conference.arn().into()),
                Output::TrainiumInstanceId => {
                    has_instance.then(|| TrainiumInstanceHandle::new().instance_id().into())
                }
                Output::TrainiumAgentRoleArn => {
                    (!has_instance).then(|| RoleHandle::of(Principal::Agent).arn().into())
                }
            };
            if let Some(value) = value {
                self.stack
                    .output(output.name(), output.description(), value);
            }
        }
    }
}
