//! The outputs: what a person or a command wants to know of the deployed stack.

use annapurna_contract::Principal;

use super::Pipeline;
use super::parts::url_of;
use crate::cloudformation::{Expr, Url};
use crate::constructs::role::RoleHandle;
use crate::constructs::state_machine::StateMachineHandle;
use crate::constructs::trainium_launch::TrainiumLaunchHandle;
use crate::outputs::Output;

impl Pipeline<'_> {
    /// Adds those that this environment's stack has.
    pub(super) fn add_outputs(
        &mut self,
        index: &Url,
        scrape_conference: &StateMachineHandle,
        launch: Option<&TrainiumLaunchHandle>,
    ) {
        for output in Output::ALL {
            let value: Option<Expr> = match output {
                Output::SearchEndpoint => Some(index.clone().into()),
                Output::QueueUrl(queue) => Some(url_of(queue)),
                Output::BucketName(bucket) => Some(self.targets.buckets.get(bucket).name()),
                Output::ScrapeConferenceArn => Some(scrape_conference.arn().into()),
                Output::TrainiumLaunchTemplateId => launch.map(TrainiumLaunchHandle::template_id),
                Output::TrainiumLaunchTemplateVersion => {
                    launch.map(TrainiumLaunchHandle::latest_version)
                }
                Output::TrainiumAgentRoleArn => match launch {
                    Some(_) => None,
                    None => Some(RoleHandle::of(Principal::Agent).arn().into()),
                },
                Output::TrainiumInstanceId(_) => None,
            };
            if let Some(value) = value {
                self.stack
                    .output(&output.name(), output.description(), value);
            }
        }
    }
}
