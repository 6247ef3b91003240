//! The stack of a deployment: its code in S3, each change set as a plan that a person agrees to, its index.

use std::collections::BTreeMap;

use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::{Environment, SearchSettings};
use annapurna_stack::outputs::Output;
use annapurna_stack::parameters::Parameter;
use annapurna_stack::plan::{Deployment, merge_change_set};

use super::DeployArgs;
use crate::assets::{self, Assets};
use crate::cloud::Cloud;
use crate::commands::Context;
use crate::commands::plan::{DeployPlan, bundle_changes, compare};
use crate::engine::{
    ChangeSet, Deployed, Engine, Event, Operator, Outcome, Progress, TemplateSource,
};
use crate::error::CommandError;
use crate::index;
use crate::instances::Fleet;

/// One deployment of a stack.
pub(super) struct Rollout<'a> {
    pub(super) cx: &'a Context,
    pub(super) args: &'a DeployArgs,
    pub(super) environment: &'a Environment,
    pub(super) cloud: &'a Cloud,
    /// The bucket of assets.
    pub(super) bucket: String,
    pub(super) assets: &'a Assets,
    /// The instances, which are shown and agreed to with the rest.
    pub(super) fleet: &'a Fleet<'a>,
}

/// A stack that was brought to what is wanted.
pub(super) struct RolledOut {
    pub(super) deployed: Deployed,
    /// Whether an instance that runs has an older bundle than the stack.
    pub(super) has_new_bundle: bool,
}

impl Rollout<'_> {
    /// Brings the stack and the index to what is wanted.
    ///
    /// # Errors
    ///
    /// [`CommandError::Declined`] when the person says no.
    pub(super) async fn stack(
        &self,
        template: Template,
        mut parameters: BTreeMap<String, String>,
    ) -> Result<RolledOut, CommandError> {
        let engine = Engine::new(self.cloud, self.environment.stack_name());
        engine.settle(&|text| self.cx.ui.status(text)).await?;
        self.publish().await?;
        parameters.insert(Parameter::AssetsBucket.name(), self.bucket.clone());
        parameters.extend(self.assets.parameters());
        let wanted = Deployment {
            template: template.to_json()?,
            parameters,
        };
        let operator = Person {
            rollout: self,
            wanted: &wanted,
        };
        match engine.roll_out(&wanted, &operator).await? {
            Outcome::Declined { has_adopted } => Err(declined(&self.environment.name, has_adopted)),
            Outcome::Done { before, now } => {
                self.index(&now).await?;
                Ok(RolledOut {
                    has_new_bundle: bundle_changes(before.as_ref(), &wanted),
                    deployed: *now,
                })
            }
        }
    }

    async fn publish(&self) -> Result<(), CommandError> {
        let bucket = &self.bucket;
        assets::ensure_bucket(self.cloud, bucket, &self.environment.region).await?;
        let zips: Vec<_> = self
            .assets
            .functions
            .values()
            .chain(&self.assets.agent_bundle)
            .collect();
        let step = self.cx.ui.begin_counted("uploading code", zips.len());
        let mut uploaded = 0;
        for (number, zip) in zips.iter().enumerate() {
            uploaded += usize::from(assets::publish(self.cloud, bucket, zip).await?);
            step.reached(number + 1);
        }
        drop(step);
        self.cx.ui.done(format!(
            "Code is in S3: {uploaded} of {} archives were new",
            zips.len()
        ));
        Ok(())
    }

    async fn index(&self, deployed: &Deployed) -> Result<(), CommandError> {
        let endpoint = deployed.outputs.get(Output::SearchEndpoint)?;
        let replicas = match &self.environment.search {
            SearchSettings::Domain { instance_count, .. } if self.environment.local().is_none() => {
                u32::from(*instance_count > 1)
            }
            _ => 0,
        };
        let step = self.cx.ui.begin("Bringing the index's mapping up to date");
        let done = index::apply(&index::search(self.cloud, endpoint)?, replicas).await?;
        drop(step);
        if done != index::IndexPlan::UpToDate {
            self.cx.ui.done(done.to_string().trim());
        }
        Ok(())
    }
}

/// The person at the terminal, who sees each change set as a plan.
struct Person<'a> {
    rollout: &'a Rollout<'a>,
    wanted: &'a Deployment,
}

impl Operator for Person<'_> {
    /// In the request, or in S3 when it is too large for one.
    async fn source(&self, template: &serde_json::Value) -> Result<TemplateSource, CommandError> {
        let Rollout { cloud, bucket, .. } = self.rollout;
        let body = template.to_string();
        if body.len() <= Template::MAX_INLINE_BYTES {
            return Ok(TemplateSource::Body(body));
        }
        let region = &self.rollout.environment.region;
        let url = assets::publish_template(cloud, bucket, region, &body).await?;
        Ok(TemplateSource::Url(url))
    }

    async fn agrees(
        &self,
        before: Option<&Deployed>,
        set: Option<&ChangeSet>,
    ) -> Result<bool, CommandError> {
        let Rollout {
            cx,
            environment,
            cloud,
            assets,
            fleet,
            ..
        } = self.rollout;
        let wanted = self.wanted;
        let mut plan = compare(cx, environment, cloud, before, wanted, assets, fleet).await?;
        if let Some(set) = set {
            merge_change_set(&mut plan.resources, &set.entries);
        }
        cx.ui.result(&plan)?;
        if set.is_none() && plan.instances.is_empty() {
            return Ok(true);
        }
        for import in set.into_iter().flat_map(ChangeSet::imports) {
            let id = &import.resource;
            cx.ui
                .status(format!("{id} is there already and becomes the stack's"));
        }
        match question(environment, &plan) {
            Some(question) if !self.rollout.args.yes => cx.ui.confirm(&question),
            _ => Ok(true),
        }
    }

    async fn execute(&self, set: &ChangeSet) -> Result<(), CommandError> {
        let ui = &self.rollout.cx.ui;
        let step = ui.begin_counted("resources", set.entries.len());
        let finished = std::sync::atomic::AtomicUsize::new(0);
        let stack_name = self.rollout.environment.stack_name();
        set.execute(&|event| {
            if event.resource == stack_name {
                return;
            }
            if event.progress == Progress::Done {
                let done = finished.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                step.reached(done);
            }
            step.says(format!("{} {}", event.status, event.resource));
            if event.progress == Progress::Failed {
                ui.warn(event_line(event));
            }
        })
        .await?;
        drop(step);
        ui.done(format!("Stack {stack_name}: {} changes", set.entries.len()));
        Ok(())
    }
}

/// What a person is asked about a plan. In AWS that is every change; on this machine only what could lose
/// something.
fn question(environment: &Environment, plan: &DeployPlan) -> Option<String> {
    let is_dangerous = plan.changes().any(|change| change.is_dangerous());
    let warning = match is_dangerous {
        true => " Some resources are replaced or destroyed.",
        false if environment.local().is_some() => return None,
        false => "",
    };
    Some(format!("Deploy `{}`?{warning}", environment.name))
}

fn declined(environment: &str, has_adopted: bool) -> CommandError {
    match has_adopted {
        false => CommandError::Declined {
            left: "nothing was changed",
            again: None,
        },
        true => CommandError::Declined {
            left: "the stack has what was there already, without its settings",
            again: Some(format!("cargo infra deploy {environment}")),
        },
    }
}

pub(super) fn event_line(event: &Event) -> String {
    let Event {
        resource, status, ..
    } = event;
    let reason = event.reason.as_deref().unwrap_or("no reason given");
    format!("{resource} {status}: {reason}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use annapurna_stack::plan::{Change, Impact};

    use super::*;
    use crate::index::IndexPlan;

    fn asked(environment: &str, impact: Impact, type_name: &str) -> Option<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        let environment = Environment::load(&folder, environment).unwrap();
        let change = Change {
            impact,
            resource: "It".to_owned(),
            type_name: type_name.to_owned(),
            name: None,
            properties: Vec::new(),
        };
        let plan = DeployPlan {
            environment: environment.name.clone(),
            resources: vec![change],
            instances: Vec::new(),
            index: IndexPlan::UpToDate,
            agent: None,
            notes: Vec::new(),
        };
        question(&environment, &plan)
    }

    #[test]
    fn what_may_lose_something_is_asked_everywhere_and_the_rest_in_aws() {
        let queue = "AWS::SQS::Queue";
        for environment in ["local", "dev"] {
            for impact in [Impact::Replace, Impact::MayReplace, Impact::Destroy] {
                let question = asked(environment, impact, queue).unwrap();
                assert!(question.ends_with("replaced or destroyed."), "{question}");
            }
        }
        assert_eq!(asked("local", Impact::Update, queue), None);
        assert_eq!(
            asked("dev", Impact::Update, queue).unwrap(),
            "Deploy `dev`?"
        );
    }

    #[test]
    fn a_person_who_stops_halfway_is_not_told_that_nothing_changed() {
        let nothing = declined("dev", false);
        assert_eq!(nothing.to_string(), "declined; nothing was changed");
        assert_eq!((nothing.exit_code(), nothing.hint()), (130, None));
        let halfway = declined("dev", true);
        assert!(!halfway.to_string().contains("nothing"), "{halfway}");
        let hint = halfway.hint().unwrap();
        assert!(hint.ends_with("cargo infra deploy dev"), "{hint}");
    }
}
