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
use crate::engine::{Deployed, Engine, Event, Remnant, Standing, TemplateSource};
use crate::error::CommandError;

mod refusal;
mod seen;
mod zones;

pub(crate) use refusal::TRN_QUOTA;
use refusal::{Refusal, no_capacity};
pub use seen::{Seen, seen};
pub use zones::Zones;

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
pub struct Fleet<'a> {
    cloud: &'a Cloud,
    environment: &'a Environment,
    engine: Engine,
    deployed: Option<Deployed>,
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
pub async fn outputs(cloud: &Cloud, environment: &Environment) -> Result<Outputs, CommandError> {
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
pub struct FleetPlan {
    /// The stack's resources, worst first.
    pub changes: Vec<Change>,
    /// What goes before all else.
    pub remnant: Option<Remnant>,
    /// What stays though it would be made differently today, and what could not be looked at; for people.
    pub notes: Vec<String>,
}

impl<'a> Fleet<'a> {
    /// Looks at the stack, and at EC2 whether its instances are there.
    ///
    /// # Errors
    ///
    /// When AWS cannot be asked, or the stack is not of this program's making.
    pub async fn look(
        cloud: &'a Cloud,
        environment: &'a Environment,
        replace: bool,
    ) -> Result<Self, CommandError> {
        let stack = environment.instances_stack_name();
        let engine = Engine::new(cloud, stack.clone());
        let deployed = match environment.local() {
            // Its agent is a process.
            Some(_) => None,
            None => engine.deployed().await?,
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
            current,
            gone: BTreeSet::new(),
            replace,
        };
        fleet.gone = fleet.find_gone().await?;
        Ok(fleet)
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
    pub async fn plan(&self, pipeline: Option<&Outputs>) -> Result<FleetPlan, CommandError> {
        let none = Deployment::none();
        let before = self.deployed.as_ref().map_or(&none, |it| &it.deployment);
        let Some(settings) = self.settings() else {
            return Ok(FleetPlan {
                changes: changes(before, &none),
                ..FleetPlan::default()
            });
        };
        let mut plan = FleetPlan::default();
        let zones = match Zones::find(self.cloud, settings).await {
            Ok(zones) => Some(zones),
            Err(error) => {
                plan.notes
                    .push(format!("the instances cannot be made: {error}"));
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

    /// The same, looked at when no operation is under way any more: one that a killed deployment began may have failed
    /// since the plan was made.
    async fn again(&self, event: &(dyn Fn(&Event) + Sync)) -> Result<Self, CommandError> {
        match self.engine.at_rest(&|_| {}).await? {
            Standing::Remnant => self.engine.delete(event).await?,
            Standing::Stuck => return Err(self.engine.stuck().await),
            Standing::Absent | Standing::Review | Standing::Whole => {}
        }
        Self::look(self.cloud, self.environment, self.replace).await
    }

    /// Brings the instances to what is wanted. `pipeline` is what its stack gives out; `event` hears what happens to
    /// each resource.
    ///
    /// # Errors
    ///
    /// [`CommandError::Instances`], with what to do; instances that were made by then stay.
    pub async fn roll_out(
        &self,
        pipeline: &Outputs,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), CommandError> {
        let brought = async {
            let now = self.again(event).await?;
            match (now.settings(), &now.deployed) {
                (Some(settings), _) => now.bring(settings, pipeline, event).await,
                (None, Some(_)) => now.engine.delete(event).await,
                (None, None) => Ok(()),
            }
        };
        brought.await.map_err(|error| match error {
            told @ CommandError::Instances { .. } => told,
            error => CommandError::Instances {
                environment: self.environment.name.clone(),
                problem: error.to_string(),
                hint: error.hint(),
            },
        })
    }

    async fn bring(
        &self,
        settings: &TrainiumSettings,
        pipeline: &Outputs,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), CommandError> {
        let launch = Launch {
            id: pipeline.get(Output::TrainiumLaunchTemplateId)?.to_owned(),
            version: pipeline
                .get(Output::TrainiumLaunchTemplateVersion)?
                .to_owned(),
        };
        let zones = Zones::find(self.cloud, settings).await?;
        let wanted = self.wanted(settings, Some(&launch), Some(&zones));
        let steps = Steps::between(self.current.as_ref(), &wanted);
        let mut now = base(self.current.as_ref(), &steps, &wanted);
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
        self.deploy(&now, event).await?;
        for slot in &steps.add {
            let placement = self.place(*slot, &now, &launch, &zones, event).await?;
            now.each.insert(*slot, placement);
        }
        Ok(())
    }

    /// Makes one instance, in the first zone that has room.
    async fn place(
        &self,
        slot: Slot,
        now: &Instances,
        launch: &Launch,
        zones: &Zones,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<Placement, CommandError> {
        for subnet in &zones.subnets {
            let placement = Placement {
                version: launch.version.clone(),
                subnet_id: subnet.id.clone(),
            };
            let mut with = now.clone();
            with.each.insert(slot, placement.clone());
            let cause = match self.deploy(&with, event).await {
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

    async fn deploy(
        &self,
        wanted: &Instances,
        event: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), CommandError> {
        let wanted = wanted.deployment(self.environment)?;
        let source = TemplateSource::Body(wanted.template.to_string());
        match self.engine.prepare(source, &wanted.parameters).await? {
            Some(set) => set.execute(event).await,
            None => Ok(()),
        }
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
