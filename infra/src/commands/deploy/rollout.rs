//! The stack of a deployment: its code in S3, each change set as a plan that a person agrees to, its index.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::{Environment, SearchSettings};
use annapurna_stack::outputs::Output;
use annapurna_stack::parameters::Parameter;
use annapurna_stack::plan::{ChangeSetEntry, Deployment, changes, merge_change_set};
use annapurna_stack::protection::{is_open, stack_policy};

use super::DeployArgs;
use super::consent::Consent;
use crate::assets::{Assets, AssetsBucket, Turn};
use crate::cloud::Cloud;
use crate::commands::Context;
use crate::commands::interrupt::Held;
use crate::commands::plan::{DeployPlan, compare};
use crate::commands::progress::{Follower, ProgressStyle};
use crate::engine::{
    ChangeSet, Deployed, Engine, Found, Operator, Outcome, Protection, Standing, TemplateSource,
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
    pub(super) bucket: AssetsBucket,
    pub(super) assets: &'a Assets,
    /// The instances, which are shown and agreed to with the rest.
    pub(super) fleet: &'a Fleet<'a>,
}

impl Rollout<'_> {
    /// Brings the stack and the index to what is wanted. Nothing is uploaded, and nothing of the stack is
    /// removed, before the person has agreed to the plan.
    ///
    /// # Errors
    ///
    /// [`CommandError::Declined`] when the person says no.
    pub(super) async fn stack(
        &self,
        template: Template,
        mut parameters: BTreeMap<String, String>,
    ) -> Result<Deployed, CommandError> {
        let ui = &self.cx.ui;
        let engine = Engine::new(self.cloud, self.environment.stack_name());
        if engine.at_rest(&|text| ui.status(text)).await? == Standing::Stuck {
            return Err(engine.stuck().await);
        }
        let found = self.close_what_was_left_open(&engine).await?;
        let bucket = self.bucket.name().to_owned();
        parameters.insert(Parameter::AssetsBucket.name(), bucket);
        // Their keys are their content's digests, so the plan needs no upload.
        parameters.extend(self.assets.parameters());
        let wanted = Deployment {
            template: template.to_json()?,
            parameters,
        };
        let mut person = Person::new(self, &wanted, &engine, &found);
        let Some(plan) = person.agrees_to_plan(&found).await? else {
            return Err(CommandError::Declined {
                left: "nothing was changed".to_owned(),
                again: None,
            });
        };
        if let Some(remnant) = &found.remnant {
            let step = ui.begin("Removing what a failed deployment left");
            engine.remove(remnant, &|_| {}).await?;
            drop(step);
        }
        self.publish().await?;
        if self.environment.protected || plan.protection.is_some() {
            person.turn = self.turn(&engine).await?;
            // Somebody else's operation may have been under way until now.
            engine.at_rest(&|text| ui.status(text)).await?;
        }
        if let Some(deployed) = &found.deployed
            && plan.indexes.status_index == index::IndexPlan::Create
        {
            // Before the functions that write it.
            self.index(deployed).await?;
        }
        let done = self.carry_out(&person, &plan).await;
        if let Some(turn) = person.turn.take() {
            self.give_back(turn).await;
        }
        done
    }

    /// Brings the stack and the index to what was agreed to.
    async fn carry_out(
        &self,
        person: &Person<'_>,
        plan: &DeployPlan,
    ) -> Result<Deployed, CommandError> {
        let (engine, wanted) = (person.engine, person.wanted);
        if plan.protection == Some(Protection::Lift) {
            // First, since the policy would deny what may be replaced now.
            engine.lift_protection().await?;
            self.cx.ui.done("The stack's protection is lifted");
        }
        match engine.roll_out(wanted, person).await? {
            Outcome::Declined { has_adopted } => {
                Err(declined(&self.environment.name, has_adopted, &person.done))
            }
            Outcome::Done(now) => {
                if self.environment.protected {
                    person.holds_the_turn().await?;
                    engine.protect(&stack_policy(&[wanted], &[])).await?;
                }
                self.index(&now).await?;
                Ok(*now)
            }
        }
    }

    /// What is there. A deployment that was killed may have left a protected stack's policy open for what it replaced:
    /// it is closed, unless its deployment is alive.
    async fn close_what_was_left_open(&self, engine: &Engine) -> Result<Found, CommandError> {
        let found = engine.found().await?;
        if !self.environment.protected || !has_open_policy(engine, &found).await? {
            return Ok(found);
        }
        let turn = self.turn(engine).await?;
        engine.at_rest(&|text| self.cx.ui.status(text)).await?;
        let found = engine.found().await?;
        if let Some(deployed) = &found.deployed
            && has_open_policy(engine, &found).await?
        {
            let closed = stack_policy(&[&deployed.deployment], &[]);
            engine.set_policy(&closed).await?;
            self.cx.ui.status(
                "The stack's policy was open, such as a killed deploy leaves it; it is closed",
            );
        }
        if let Some(turn) = turn {
            self.give_back(turn).await;
        }
        Ok(found)
    }

    async fn turn(&self, engine: &Engine) -> Result<Option<Turn>, CommandError> {
        let stack = self.environment.stack_name();
        let say = |text| self.cx.ui.status(text);
        self.bucket.turn(&stack, engine.token().await?, &say).await
    }

    async fn give_back(&self, turn: Turn) {
        if let Err(error) = turn.give_back().await {
            let text = format!("the next deploy waits for a minute before it begins: {error}");
            self.cx.ui.warn(text);
        }
    }

    async fn publish(&self) -> Result<(), CommandError> {
        let demands_tls = self.environment.local().is_none();
        self.bucket.ensure(demands_tls).await?;
        let zips: Vec<_> = self
            .assets
            .functions
            .values()
            .chain(&self.assets.agent_bundle)
            .collect();
        let step = self.cx.ui.begin_counted("uploading code", zips.len());
        let mut uploaded = 0;
        for (number, zip) in zips.iter().enumerate() {
            uploaded += usize::from(self.bucket.publish(zip).await?);
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
        let step = self
            .cx
            .ui
            .begin("Bringing the indexes' mappings up to date");
        let done = index::apply(&index::search(self.cloud, endpoint)?, replicas).await?;
        drop(step);
        if done != index::IndexPlans::UP_TO_DATE {
            self.cx.ui.done(done.to_string().trim());
        }
        Ok(())
    }
}

/// The person at the terminal, who agrees to a plan and to what a change set has beyond it.
struct Person<'a> {
    rollout: &'a Rollout<'a>,
    wanted: &'a Deployment,
    engine: &'a Engine,
    consent: Consent<'a>,
    /// Whether there was a stack at first.
    was_there: bool,
    /// What is done by the time a change set is asked about, for a person who then says no.
    done: String,
    /// Keeps the program until a change set is gone that was answered with Ctrl-C.
    held: RefCell<Option<Held>>,
    /// In which the policy of a protected stack may be touched.
    turn: Option<Turn>,
}

impl<'a> Person<'a> {
    fn new(
        rollout: &'a Rollout<'a>,
        wanted: &'a Deployment,
        engine: &'a Engine,
        found: &Found,
    ) -> Self {
        let DeployArgs {
            yes,
            allow_replace,
            confirm,
            ..
        } = rollout.args;
        Self {
            rollout,
            wanted,
            engine,
            consent: Consent::new(rollout.environment, *yes, allow_replace, confirm.as_deref()),
            was_there: found.deployed.is_some(),
            done: done(found.remnant.is_some(), rollout.bucket.name()),
            held: RefCell::default(),
            turn: None,
        }
    }

    async fn holds_the_turn(&self) -> Result<(), CommandError> {
        match &self.turn {
            Some(turn) => turn.holds().await,
            None => Ok(()),
        }
    }

    /// Shows the plan and asks; `None` after a no.
    async fn agrees_to_plan(&self, found: &Found) -> Result<Option<DeployPlan>, CommandError> {
        let Rollout {
            cx,
            environment,
            cloud,
            assets,
            fleet,
            ..
        } = self.rollout;
        let plan = compare(cx, environment, cloud, found, self.wanted, assets, fleet).await?;
        let deployed = found.deployed.iter().flat_map(|it| it.deployment.ids());
        let left = found.remnant.iter().flat_map(|it| &it.resources);
        let known: BTreeSet<&str> = deployed
            .chain(left.map(|it| it.resource.as_str()))
            .chain(self.wanted.ids())
            .collect();
        let agrees = self.consent.to_plan(&cx.ui, &plan, &known).await?;
        Ok(agrees.then_some(plan))
    }

    /// How long a change set may take, where that is known.
    async fn estimate(&self, entries: &[ChangeSetEntry]) -> Option<Duration> {
        let Rollout {
            cx, environment, ..
        } = self.rollout;
        // The emulator is done in seconds, and its times say nothing.
        if environment.local().is_some() {
            return None;
        }
        let estimate = self.engine.estimate(entries).await;
        estimate.unwrap_or_else(|error| {
            cx.ui
                .warn(format!("how long it takes is not known: {error}"));
            None
        })
    }

    /// Does `execution` while the policy of a protected stack is open for what was named, and closes it on every way
    /// out. At Ctrl-C it is closed before the program ends, and CloudFormation goes on by itself: what is not
    /// replaced by then may be denied, and all of it be undone.
    async fn while_open(
        &self,
        before: Option<&Deployed>,
        execution: impl Future<Output = Result<(), CommandError>>,
    ) -> Result<(), CommandError> {
        let Rollout {
            cx, environment, ..
        } = self.rollout;
        let Some(before) = before.filter(|_| environment.protected) else {
            return execution.await;
        };
        let deployments = [&before.deployment, self.wanted];
        let _held = cx.interrupt.hold();
        let executed = cx.interrupt.or(async {
            self.holds_the_turn().await?;
            let opened = stack_policy(&deployments, self.consent.allowed);
            self.engine.set_policy(&opened).await?;
            execution.await
        });
        let executed = executed.await;
        let closed = stack_policy(&deployments, &[]);
        let closed = match self.holds_the_turn().await {
            Ok(()) => self.engine.set_policy(&closed).await,
            // It is for the other deploy to close what is open.
            lost => lost,
        };
        if let (Err(_), Err(error)) = (&executed, &closed) {
            cx.ui.warn(format!(
                "the stack's policy stays open until the next deploy: {error}"
            ));
        }
        executed.and(closed)?;
        // It may have been pressed while the policy was being closed.
        match cx.interrupt.is_pressed() {
            true => Err(CommandError::Interrupted),
            false => Ok(()),
        }
    }
}

impl Operator for Person<'_> {
    /// In the request, or in S3 when it is too large for one.
    async fn source(&self, template: &serde_json::Value) -> Result<TemplateSource, CommandError> {
        let body = template.to_string();
        if body.len() <= Template::MAX_INLINE_BYTES {
            return Ok(TemplateSource::Body(body));
        }
        let url = self.rollout.bucket.publish_template(&body).await?;
        Ok(TemplateSource::Url(url))
    }

    async fn agrees(
        &self,
        before: Option<&Deployed>,
        set: Option<&ChangeSet>,
    ) -> Result<bool, CommandError> {
        let Some(set) = set else {
            return Ok(true);
        };
        let cx = self.rollout.cx;
        let ui = &cx.ui;
        for warning in &set.warnings {
            ui.warn(warning);
        }
        let none = Deployment::none();
        let is_there = before.is_some();
        let before = before.map_or(&none, |it| &it.deployment);
        let mut resources = changes(before, self.wanted);
        merge_change_set(&mut resources, &set.entries);
        let held = cx.interrupt.hold();
        let asked = self.consent.to_change_set(ui, &resources);
        let answer = cx.interrupt.or(asked).await;
        if matches!(answer, Err(CommandError::Interrupted)) {
            self.held.replace(Some(held));
            let has_adopted = is_there && !self.was_there;
            ui.status(left(has_adopted, &self.done));
        }
        answer
    }

    async fn execute(
        &self,
        before: Option<&Deployed>,
        set: &ChangeSet,
    ) -> Result<(), CommandError> {
        let Rollout {
            cx,
            args,
            environment,
            ..
        } = self.rollout;
        let style = ProgressStyle::or_by_itself(args.progress, &cx.ui);
        let stack = environment.stack_name();
        let estimate = self.estimate(&set.entries).await;
        // CloudFormation itself holds the update to what was agreed to.
        self.while_open(before, async {
            let follower = Follower::new(&cx.ui, style, &stack, set.entries.len(), estimate);
            set.execute(&|event| follower.show(event)).await
        })
        .await?;
        cx.ui
            .done(format!("Stack {stack}: {} changes", set.entries.len()));
        Ok(())
    }
}

/// Whether a stack's policy lets something of it go; not that of a stack that is not there.
async fn has_open_policy(engine: &Engine, found: &Found) -> Result<bool, CommandError> {
    Ok(match &found.deployed {
        Some(deployed) => is_open(&engine.policy().await?, &deployed.deployment),
        None => false,
    })
}

/// What a deploy has done before it asks about a change set.
fn done(had_remnant: bool, bucket: &str) -> String {
    let uploaded = format!("what is to be deployed was uploaded to bucket `{bucket}`");
    match had_remnant {
        true => format!("what a failed deployment left was removed, and {uploaded}"),
        false => uploaded,
    }
}

/// How things are left by a person who does not agree to a change set, when `done` is done.
fn left(has_adopted: bool, done: &str) -> String {
    match has_adopted {
        false => format!("nothing was changed but this: {done}"),
        true => "the stack has what was there already, without its settings".to_owned(),
    }
}

/// The error of a person who says no to a change set.
fn declined(environment: &str, has_adopted: bool, done: &str) -> CommandError {
    CommandError::Declined {
        left: left(has_adopted, done),
        again: has_adopted.then(|| format!("cargo infra deploy {environment}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_stops_halfway_is_told_what_was_done_by_then() {
        let stopped = declined("dev", false, &done(false, "b"));
        assert_eq!(
            stopped.to_string(),
            "declined; nothing was changed but this: what is to be deployed was uploaded to bucket `b`"
        );
        assert_eq!((stopped.exit_code(), stopped.hint()), (130, None));
        let cleared = declined("dev", false, &done(true, "b")).to_string();
        assert!(
            cleared.contains("what a failed deployment left was removed"),
            "{cleared}"
        );
        let halfway = declined("dev", true, &done(false, "b"));
        assert!(!halfway.to_string().contains("nothing"), "{halfway}");
        let hint = halfway.hint().unwrap();
        assert!(hint.ends_with("cargo infra deploy dev"), "{hint}");
    }
}
