//! The instances that run programs: a stack of their own, brought to what is wanted after the pipeline's.
//!
//! In: the environment, what the pipeline's stack gives out, and whether instances of an older launch template are to be
//! replaced. Out: what would change, and the change itself. It begins with a stack that has the firewall alone, and
//! each instance is a change set of its own: one that EC2 refuses is rolled back by itself, the others stay, and the
//! next zone is tried. An instance that is replaced leaves the stack before its successor comes, so the quota is
//! taken once. Nothing here touches the pipeline's stack.

use std::collections::BTreeSet;

use annapurna_stack::environment::{Environment, TrainiumSettings};
use annapurna_stack::instances::{Instances, Placement, Slot, Steps, Wanted};
use annapurna_stack::outputs::{Output, Outputs};
use annapurna_stack::plan::{Change, Deployment, changes};

use crate::cloud::Cloud;
use crate::engine::{ChangeSet, Deployed, Engine, Event, Found, Remnant, Standing, TemplateSource};
use crate::error::CommandError;

mod refusal;
mod refused;
mod seen;
mod zones;

pub(crate) use refusal::TRN_QUOTA;
use refusal::{Refusal, no_capacity};
pub(crate) use refused::{in_words, refused_starts};
pub(crate) use seen::{Seen, seen};
pub(crate) use zones::Zones;

/// What a plan says of a subnet that is chosen when the instance is made.
const FIRST_WITH_ROOM: &str = "(the first zone that has room)";

/// What a plan says of a VPC that cannot be found, and of a launch template that the deployment makes.
const NOT_KNOWN_YET: &str = "(not known yet)";

/// The launch template that the pipeline's stack gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Launch {
    id: String,
    /// Its newest version, a number.
    version: String,
}

impl Launch {
    fn of(outputs: &Outputs) -> Option<Self> {
        Some(Self {
            id: outputs.find(Output::TrainiumLaunchTemplateId)?.to_owned(),
            version: outputs
                .find(Output::TrainiumLaunchTemplateVersion)?
                .to_owned(),
        })
    }
}

/// An environment's instances as they are now.
#[derive(Debug, Clone)]
pub(crate) struct Fleet<'a> {
    cloud: &'a Cloud,
    environment: &'a Environment,
    engine: Engine,
    deployed: Option<Deployed>,
    /// What a failed deployment left of the stack, which goes first.
    remnant: Option<Remnant>,
    current: Option<Instances>,
    /// Instances of the stack that somebody ended.
    gone: BTreeSet<Slot>,
    /// Whether those of an older launch template are to be replaced.
    replace: bool,
}

/// What the stack of the instances gives out: their ids. Nothing where it is not deployed.
///
/// # Errors
///
/// When CloudFormation cannot be asked.
pub(crate) async fn outputs(
    cloud: &Cloud,
    environment: &Environment,
) -> Result<Outputs, CommandError> {
    if environment.local().is_some() {
        return Ok(Outputs::default());
    }
    let engine = Engine::new(cloud, environment.instances_stack_name());
    Ok(engine
        .deployed()
        .await?
        .map_or_else(Outputs::default, |it| it.outputs))
}

/// What a deployment would do with the instances.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FleetPlan {
    /// The stack's resources, worst first.
    pub changes: Vec<Change>,
    /// What goes before all else.
    pub remnant: Option<Remnant>,
    /// What stays though it would be made differently today, and what could not be looked at; for people.
    pub notes: Vec<String>,
}

/// Who hears how a change of the instances goes.
#[derive(Clone, Copy)]
pub(crate) struct Listener<'a> {
    /// Hears each event of a resource once, in order.
    pub event: &'a (dyn Fn(&Event) + Sync),
    /// Hears what CloudFormation warns of.
    pub warning: &'a (dyn Fn(&str) + Sync),
}

impl<'a> Fleet<'a> {
    /// Looks at the stack, and at EC2 whether its instances are there.
    ///
    /// # Errors
    ///
    /// When AWS cannot be asked, or the stack is not of this program's making.
    pub(crate) async fn look(
        cloud: &'a Cloud,
        environment: &'a Environment,
        replace: bool,
    ) -> Result<Self, CommandError> {
        let stack = environment.instances_stack_name();
        let engine = Engine::new(cloud, stack.clone());
        let Found { deployed, remnant } = match environment.local() {
            // Its agent is a process.
            Some(_) => Found::default(),
            None => engine.found().await?,
        };
        let current = match &deployed {
            None => None,
            Some(deployed) => match Instances::of(&deployed.deployment) {
                Some(current) => Some(current),
                None => {
                    return Err(CommandError::Usage {
                        problem: format!("stack `{stack}` is not one of instances"),
                        hint: "rename the environment, or delete that stack if it is yours"
                            .to_owned(),
                    });
                }
            },
        };
        let mut fleet = Self {
            cloud,
            environment,
            engine,
            deployed,
            remnant,
            current,
            gone: BTreeSet::new(),
            replace,
        };
        fleet.gone = fleet.find_gone().await?;
        Ok(fleet)
    }

    /// [`Self::look`] when nothing is under way any more: what is agreed to is what is then done. `say` hears of the
    /// wait.
    ///
    /// # Errors
    ///
    /// As [`Self::look`], and when the stack does not come to rest in time.
    pub(crate) async fn look_at_rest(
        cloud: &'a Cloud,
        environment: &'a Environment,
        replace: bool,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Self, CommandError> {
        if environment.local().is_none() {
            let engine = Engine::new(cloud, environment.instances_stack_name());
            engine.at_rest(say).await?;
        }
        Self::look(cloud, environment, replace).await
    }

    async fn find_gone(&self) -> Result<BTreeSet<Slot>, CommandError> {
        let (Some(current), Some(deployed)) = (&self.current, &self.deployed) else {
            return Ok(BTreeSet::new());
        };
        let id_of = |slot: &Slot| {
            let id = deployed.outputs.find(Output::TrainiumInstanceId(*slot))?;
            Some(id.to_owned())
        };
        let ids = current.each.keys().filter_map(id_of).collect();
        let living = seen::living(self.cloud, ids).await?;
        let is_gone = |slot: &&Slot| id_of(slot).is_none_or(|id| !living.contains(&id));
        Ok(current.each.keys().filter(is_gone).copied().collect())
    }

    /// What a deployment would change. `pipeline` is what its stack gives out; `None` when it is new, or its launch
    /// template is about to change.
    ///
    /// # Errors
    ///
    /// When the template cannot be written as JSON.
    pub(crate) async fn plan(&self, pipeline: Option<&Outputs>) -> Result<FleetPlan, CommandError> {
        let none = Deployment::none();
        let before = self.deployed.as_ref().map_or(&none, |it| &it.deployment);
        let Some(settings) = self.settings() else {
            return Ok(FleetPlan {
                changes: changes(before, &none),
                remnant: self.remnant.clone(),
                notes: Vec::new(),
            });
        };
        let mut plan = FleetPlan {
            remnant: self.remnant.clone(),
            ..FleetPlan::default()
        };
        let zones = match Zones::find(self.cloud, settings).await {
            Ok(zones) => Some(zones),
            Err(error) => {
                let hint = self.hint(&error).map(|hint| format!("; {hint}"));
                plan.notes.push(format!(
                    "the instances cannot be made: {error}{}",
                    hint.unwrap_or_default()
                ));
                None
            }
        };
        let launch = pipeline.and_then(Launch::of);
        let wanted = self.wanted(settings, launch.as_ref(), zones.as_ref());
        let steps = Steps::between(self.current.as_ref(), &wanted);
        plan.notes.extend(steps.outdated.iter().map(|slot| {
            format!("{slot} stays as it was made; --replace-instances ends it and makes a new one")
        }));
        let after = self.after(&steps, launch.as_ref(), &wanted);
        plan.changes = changes(before, &after.deployment(self.environment)?);
        Ok(plan)
    }

    /// `[trainium]`, unless the environment is to have no instance of its own.
    fn settings(&self) -> Option<&'a TrainiumSettings> {
        let has_instances = !Slot::of(self.environment).is_empty();
        self.environment.trainium.as_ref().filter(|_| has_instances)
    }

    fn wanted<'w>(
        &'w self,
        settings: &'w TrainiumSettings,
        launch: Option<&'w Launch>,
        zones: Option<&'w Zones>,
    ) -> Wanted<'w> {
        let current = self.current.as_ref();
        // What is not known is as it is.
        let known = |value: Option<&'w str>, is: fn(&Instances) -> &str| {
            value.or(current.map(is)).unwrap_or(NOT_KNOWN_YET)
        };
        Wanted {
            slots: Slot::of(self.environment),
            launch_template_id: known(launch.map(|it| it.id.as_str()), |it| &it.launch_template_id),
            version: launch.map(|it| it.version.as_str()),
            vpc_id: known(zones.map(|it| it.vpc_id.as_str()), |it| &it.vpc_id),
            subnet_id: settings.subnet_id.as_deref(),
            gone: self.gone.clone(),
            replace: self.replace,
        }
    }

    /// The stack when all steps are taken, as far as that is known before.
    fn after(&self, steps: &Steps, launch: Option<&Launch>, wanted: &Wanted<'_>) -> Instances {
        let mut after = base(self.current.as_ref(), steps, wanted);
        for slot in &steps.add {
            let version = launch.map_or("(the newest)", |it| it.version.as_str());
            let placement = Placement {
                version: version.to_owned(),
                subnet_id: FIRST_WITH_ROOM.to_owned(),
            };
            after.each.insert(*slot, placement);
        }
        after
    }

    /// The same, looked at once more: an operation may have been begun since the plan was made, and have failed. What
    /// it left of the stack goes only where the plan said so.
    async fn again(&self, event: &(dyn Fn(&Event) + Sync)) -> Result<Self, CommandError> {
        match (self.engine.at_rest(&|_| {}).await?, &self.remnant) {
            (Standing::Remnant, Some(remnant)) => self.engine.remove(remnant, event).await?,
            (Standing::Remnant, None) => {
                let name = &self.environment.name;
                return Err(self.refused(
                    "their stack failed since the plan was agreed to, and what is left of it has to go".to_owned(),
                    Some(format!("see what it is and agree to it: cargo infra deploy {name}")),
                ));
            }
            (Standing::Stuck, _) => return Err(self.engine.stuck().await),
            (Standing::Absent | Standing::Review | Standing::Whole, _) => {}
        }
        Self::look(self.cloud, self.environment, self.replace).await
    }

    /// Brings the instances to what is wanted. `pipeline` is what its stack gives out.
    ///
    /// # Errors
    ///
    /// [`CommandError::Instances`], with what to do; instances that were made by then stay.
    pub(crate) async fn roll_out(
        &self,
        pipeline: &Outputs,
        hears: Listener<'_>,
    ) -> Result<(), CommandError> {
        let brought = async {
            let now = self.again(hears.event).await?;
            match (now.settings(), &now.deployed) {
                (Some(settings), _) => now.bring(settings, pipeline, hears).await,
                (None, Some(_)) => now.engine.delete(hears.event).await,
                (None, None) => Ok(()),
            }
        };
        brought.await.map_err(|error| match error {
            told @ CommandError::Instances { .. } => told,
            error => CommandError::Instances {
                environment: self.environment.name.clone(),
                problem: error.to_string(),
                hint: self.hint(&error),
            },
        })
    }

    /// What to do about an error; one of AWS that says no more than its reason is most often a permission's.
    fn hint(&self, error: &CommandError) -> Option<String> {
        let name = &self.environment.name;
        let is_of_aws = matches!(error, CommandError::Aws { .. });
        let look = || format!("what is denied or missing is named by: cargo infra doctor {name}");
        error.hint().or_else(|| is_of_aws.then(look))
    }

    async fn bring(
        &self,
        settings: &TrainiumSettings,
        pipeline: &Outputs,
        hears: Listener<'_>,
    ) -> Result<(), CommandError> {
        let launch = Launch {
            id: pipeline.get(Output::TrainiumLaunchTemplateId)?.to_owned(),
            version: pipeline
                .get(Output::TrainiumLaunchTemplateVersion)?
                .to_owned(),
        };
        let zones = Zones::find(self.cloud, settings).await?;
        let wanted = self.wanted(settings, Some(&launch), Some(&zones));
        let mut steps = Steps::between(self.current.as_ref(), &wanted);
        let now = base(self.current.as_ref(), &steps, &wanted);
        if self.current.is_none() && steps.is_empty() {
            return Ok(());
        }
        let is_elsewhere =
            now.vpc_id != wanted.vpc_id || now.launch_template_id != wanted.launch_template_id;
        if is_elsewhere && !steps.add.is_empty() {
            return Err(self.refused(
                "instances that stay are in another VPC, or of another launch template".to_owned(),
                Some(format!(
                    "replace them: cargo infra deploy {} --replace-instances",
                    self.environment.name
                )),
            ));
        }
        let mut now = self.clear(now, &mut steps, &wanted, hears).await?;
        for slot in steps.add.clone() {
            let with = (&now, &steps);
            let placement = self.place(slot, with, &launch, &zones, hears).await?;
            now.each.insert(slot, placement);
        }
        Ok(())
    }

    /// Has the instances go that go, and the rest of the stack become as wanted. What CloudFormation would replace in
    /// place goes first too, if that was asked for. What is left then is returned.
    async fn clear(
        &self,
        mut now: Instances,
        steps: &mut Steps,
        wanted: &Wanted<'_>,
        hears: Listener<'_>,
    ) -> Result<Instances, CommandError> {
        let mut set = self.prepare(&now, hears).await?;
        if let Some(prepared) = &set
            && self.replace
        {
            let replaced = steps.unasked(&prepared.entries);
            if !replaced.is_empty() {
                prepared.discard().await?;
                steps.also_replace(replaced);
                now = base(self.current.as_ref(), steps, wanted);
                set = self.prepare(&now, hears).await?;
            }
        }
        self.execute(set, steps, hears).await?;
        Ok(now)
    }

    /// Makes one instance beside those that are there, in the first zone that has room.
    async fn place(
        &self,
        slot: Slot,
        (now, steps): (&Instances, &Steps),
        launch: &Launch,
        zones: &Zones,
        hears: Listener<'_>,
    ) -> Result<Placement, CommandError> {
        for subnet in &zones.subnets {
            let placement = Placement {
                version: launch.version.clone(),
                subnet_id: subnet.id.clone(),
            };
            let mut with = now.clone();
            with.each.insert(slot, placement.clone());
            let set = self.prepare(&with, hears).await?;
            let cause = match self.execute(set, steps, hears).await {
                Ok(()) => return Ok(placement),
                Err(CommandError::RolledBack { cause, .. }) => cause,
                Err(error) => return Err(error),
            };
            match Refusal::of(&cause) {
                Refusal::Zone => {}
                Refusal::Quota => {
                    let region = &self.environment.region;
                    let hint = refusal::raise_quota(region, &zones.instance_type);
                    return Err(self.refused(cause, Some(hint)));
                }
                Refusal::Other => return Err(self.refused(cause, None)),
            }
        }
        let (problem, hint) = no_capacity(self.environment, zones);
        Err(self.refused(problem, Some(hint)))
    }

    async fn prepare(
        &self,
        wanted: &Instances,
        hears: Listener<'_>,
    ) -> Result<Option<ChangeSet>, CommandError> {
        let wanted = wanted.deployment(self.environment)?;
        let source = TemplateSource::Body(wanted.template.to_string());
        let set = self.engine.prepare(source, &wanted.parameters).await?;
        for warning in set.iter().flat_map(|it| &it.warnings) {
            (hears.warning)(warning);
        }
        Ok(set)
    }

    /// Executes a change set that ends no instance beyond the steps, and discards any other.
    async fn execute(
        &self,
        set: Option<ChangeSet>,
        steps: &Steps,
        hears: Listener<'_>,
    ) -> Result<(), CommandError> {
        let Some(set) = set else {
            return Ok(());
        };
        let unasked = steps.unasked(&set.entries);
        if unasked.is_empty() {
            return set.execute(hears.event).await;
        }
        set.discard().await?;
        let ids: Vec<String> = unasked.iter().map(|slot| format!("`{slot}`")).collect();
        Err(self.refused(
            format!("CloudFormation would replace {}, which nobody asked for", ids.join(", ")),
            Some(format!(
                "if what runs there may be given back to its queue: cargo infra deploy {} --replace-instances",
                self.environment.name
            )),
        ))
    }

    fn refused(&self, problem: String, hint: Option<String>) -> CommandError {
        CommandError::Instances {
            environment: self.environment.name.clone(),
            problem,
            hint,
        }
    }
}

/// The stack when the instances that go are gone, and before others come. An empty one moves to where they are wanted.
fn base(current: Option<&Instances>, steps: &Steps, wanted: &Wanted<'_>) -> Instances {
    let stays = current.map(|current| {
        let mut stays = current.clone();
        stays.each.retain(|slot, _| !steps.remove.contains(slot));
        stays
    });
    stays
        .filter(|stays| !stays.each.is_empty())
        .unwrap_or_else(|| Instances {
            vpc_id: wanted.vpc_id.to_owned(),
            launch_template_id: wanted.launch_template_id.to_owned(),
            each: std::collections::BTreeMap::new(),
        })
}
