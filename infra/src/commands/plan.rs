use std::collections::BTreeMap;
use std::process::ExitCode;

use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use annapurna_stack::parameters::Parameter;
use annapurna_stack::plan::{Change, Deployment, SIGNS, changes};
use serde::Serialize;
use serde_json::Value;

use super::{Context, EnvironmentArg};
use crate::assets::Assets;
use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine, Found, Protection, Remnant};
use crate::error::CommandError;
use crate::index::{self, IndexPlans};
use crate::instances::{Fleet, FleetPlan};
use crate::local::{self, agent};

mod imports;

/// Show what a deploy would change; changes nothing
///
/// Builds the functions, since their code is part of what is deployed.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Signs: {SIGNS}\n\nExamples:
  cargo infra plan prod                  What a deploy would change, sign by sign
  cargo infra plan dev --json            The same for a script"))]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything a deploy would do.
#[derive(Debug, Serialize)]
pub(super) struct DeployPlan {
    pub(super) environment: String,
    /// What goes before the pipeline's stack can be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remnant: Option<Remnant>,
    /// The same of the stack of the instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instances_remnant: Option<Remnant>,
    pub(super) resources: Vec<Change>,
    /// Of the stack of the instances.
    pub(super) instances: Vec<Change>,
    /// What becomes of the stack's protection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protection: Option<Protection>,
    #[serde(flatten)]
    pub(super) indexes: IndexPlans,
    /// Why the agent would be started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<&'static str>,
    /// What stays though it would be made differently today, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

impl DeployPlan {
    pub(super) fn is_empty(&self) -> bool {
        let stays = self.remnants().next().is_none() && self.changes().next().is_none();
        let stays = stays && self.protection.is_none();
        stays && self.indexes == IndexPlans::UP_TO_DATE && self.agent.is_none()
    }

    /// What goes before anything is made.
    pub(super) fn remnants(&self) -> impl Iterator<Item = &Remnant> {
        self.remnant.iter().chain(&self.instances_remnant)
    }

    /// The changes of both stacks.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.resources.iter().chain(&self.instances)
    }
}

impl std::fmt::Display for DeployPlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for note in &self.notes {
            writeln!(formatter, "  {note}")?;
        }
        if self.is_empty() {
            return write!(formatter, "Nothing changes in `{}`.", self.environment);
        }
        for remnant in self.remnants() {
            writeln!(formatter, "{remnant}")?;
        }
        for change in self.changes() {
            writeln!(formatter, "{change}")?;
        }
        if let Some(protection) = self.protection {
            writeln!(formatter, "{protection}")?;
        }
        if self.indexes != IndexPlans::UP_TO_DATE {
            writeln!(formatter, "{}", self.indexes)?;
        }
        if let Some(reason) = self.agent {
            writeln!(formatter, "~ restart agent  ({reason})")?;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for change in self.changes() {
            *counts.entry(change.impact.word()).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .into_iter()
            .map(|(word, count)| format!("{count} to {word}"))
            .collect();
        write!(
            formatter,
            "{}: {}",
            self.environment,
            if counts.is_empty() {
                "no resource changes".to_owned()
            } else {
                counts.join(", ")
            }
        )
    }
}

/// Compares what is wanted with what is deployed.
pub(super) async fn compare(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    found: &Found,
    wanted: &Deployment,
    assets: &Assets,
    fleet: &Fleet<'_>,
) -> Result<DeployPlan, CommandError> {
    let deployed = found.deployed.as_ref();
    let none = Deployment::none();
    let before = deployed.map_or(&none, |it| &it.deployment);
    let endpoint = deployed.and_then(|it| it.outputs.find(Output::SearchEndpoint));
    let indexes = match endpoint {
        None => IndexPlans::NEW,
        Some(endpoint) => index::plan(&index::search(cloud, endpoint)?).await?,
    };
    let engine = Engine::new(cloud, environment.stack_name());
    let protection = match deployed {
        Some(_) if environment.local().is_none() => {
            engine.protection(environment.protected).await?
        }
        _ => None,
    };
    let home = cx.home(environment);
    let agent = match &assets.agent_binary {
        Some(binary) => agent::outdated(&home, binary),
        None => bundle_changes(deployed, wanted)
            .then_some("its bundle changed; what it runs is given back to the queue"),
    };
    let mut resources = changes(before, wanted);
    let unseen = imports::mark(cloud, environment, found, &mut resources).await?;
    // What a stack gives out whose launch template changes is not what it will give out.
    let is_launch = |change: &Change| change.type_name == "AWS::EC2::LaunchTemplate";
    let launch_stays = !resources.iter().any(is_launch);
    let outputs = deployed.filter(|_| launch_stays).map(|it| &it.outputs);
    let fleet = fleet.plan(outputs).await?;
    Ok(DeployPlan {
        environment: environment.name.clone(),
        remnant: found.remnant.clone(),
        instances_remnant: fleet.remnant,
        resources,
        instances: fleet.changes,
        protection,
        indexes,
        agent,
        notes: [unseen, fleet.notes].concat(),
    })
}

/// Whether a stack that is there gets another agent; never one without `[trainium]`, whose template knows no bundle.
fn bundle_changes(deployed: Option<&Deployed>, wanted: &Deployment) -> bool {
    let name = Parameter::AgentKey.name();
    let key = deployed.and_then(|it| it.deployment.parameters.get(&name));
    key.is_some_and(|key| Some(key) != wanted.parameters.get(&name))
}

pub(super) async fn run(cx: &Context, args: PlanArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let template = cx.template(&environment)?.to_json()?;
    let plan = match cx.cloud(&environment).await? {
        Some(cloud) => {
            cloud.guard(&environment).await?;
            against(cx, &environment, &cloud, template).await?
        }
        None => first(&environment, template, FleetPlan::default()),
    };
    if args.json {
        cx.ui.json(&plan)?
    } else {
        cx.ui.result(&plan)?
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan against what is deployed in this cloud.
async fn against(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
    template: Value,
) -> Result<DeployPlan, CommandError> {
    let engine = Engine::new(cloud, environment.stack_name());
    let found = engine.found().await?;
    let fleet = Fleet::look(cloud, environment, false).await?;
    let Some(deployed) = &found.deployed else {
        let mut plan = first(environment, template, fleet.plan(None).await?);
        let unseen = imports::mark(cloud, environment, &found, &mut plan.resources).await?;
        plan.notes.extend(unseen);
        plan.remnant = found.remnant;
        return Ok(plan);
    };
    let assets = cx.build(environment).await?;
    let mut parameters = deployed.deployment.parameters.clone();
    parameters.extend(assets.parameters());
    if let Some(settings) = environment.local()
        && let Some(services) = local::running(&cx.home(environment), settings)
    {
        parameters.extend(services.parameters());
    }
    let wanted = Deployment {
        template,
        parameters,
    };
    compare(cx, environment, cloud, &found, &wanted, &assets, &fleet).await
}

/// With nothing deployed everything is new, whatever the code is: no need to build it.
fn first(environment: &Environment, template: Value, fleet: FleetPlan) -> DeployPlan {
    let wanted = Deployment {
        template,
        parameters: BTreeMap::new(),
    };
    DeployPlan {
        environment: environment.name.clone(),
        remnant: None,
        instances_remnant: fleet.remnant,
        resources: changes(&Deployment::none(), &wanted),
        instances: fleet.changes,
        protection: None,
        indexes: IndexPlans::NEW,
        agent: environment.local().map(|_| "it is new"),
        notes: fleet.notes,
    }
}
