use std::collections::BTreeMap;
use std::process::ExitCode;

use annapurna_local::ours;
use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use annapurna_stack::parameters::Parameter;
use annapurna_stack::plan::{Change, Deployment, SIGNS, changes};
use serde::Serialize;

use super::{Context, EnvironmentArg};
use crate::assets::{self, Assets};
use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine};
use crate::error::CommandError;
use crate::index::{self, IndexPlan};
use crate::local;
use crate::local::agent::AGENT;

/// Show what a deploy would change; changes nothing
///
/// Builds the functions, since their code is part of what is deployed.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Signs: {SIGNS}\n\nExamples:
  cargo infra plan prod                  What a deploy would change, sign by sign
  cargo infra plan dev --json            The same for a script"))]
pub(super) struct PlanArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything a deploy would do.
#[derive(Debug, Serialize)]
pub(super) struct DeployPlan {
    pub(super) environment: String,
    pub(super) resources: Vec<Change>,
    pub(super) index: IndexPlan,
    /// Why the agent would be started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<&'static str>,
}

impl DeployPlan {
    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.index == IndexPlan::UpToDate && self.agent.is_none()
    }
}

impl std::fmt::Display for DeployPlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return write!(formatter, "Nothing changes in `{}`.", self.environment);
        }
        for change in &self.resources {
            writeln!(formatter, "{change}")?;
        }
        if self.index != IndexPlan::UpToDate {
            writeln!(formatter, "{}", self.index)?;
        }
        if let Some(reason) = self.agent {
            writeln!(formatter, "~ restart agent  ({reason})")?;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for change in &self.resources {
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
    deployed: Option<&Deployed>,
    wanted: &Deployment,
    assets: &Assets,
) -> Result<DeployPlan, CommandError> {
    let none = Deployment::none();
    let before = deployed.map_or(&none, |it| &it.deployment);
    let endpoint = deployed.and_then(|it| it.outputs.find(Output::SearchEndpoint));
    let index = match endpoint {
        None => IndexPlan::Create,
        Some(endpoint) => index::plan(&index::search(cloud, endpoint)?).await?,
    };
    let home = cx.home(environment);
    let agent = match &assets.agent_binary {
        Some(binary) => ours::outdated(&home, AGENT, binary),
        None => bundle_changes(deployed, wanted)
            .then_some("its bundle changed; what it runs is given back to the queue"),
    };
    Ok(DeployPlan {
        environment: environment.name.clone(),
        resources: changes(before, wanted),
        index,
        agent,
    })
}

/// Whether a stack that is there gets another agent.
pub(super) fn bundle_changes(deployed: Option<&Deployed>, wanted: &Deployment) -> bool {
    let name = Parameter::AgentKey.name();
    let key = |deployment: &Deployment| deployment.parameters.get(&name).cloned();
    deployed.is_some_and(|deployed| key(&deployed.deployment) != key(wanted))
}

pub(super) async fn run(cx: &Context, args: PlanArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let template = cx.template(&environment)?.to_json()?;
    let cloud = cx.cloud(&environment).await?;
    let deployed = match &cloud {
        Some(cloud) => {
            cloud.guard(&environment).await?;
            Engine::new(cloud, environment.stack_name())
                .deployed()
                .await?
        }
        None => None,
    };
    let plan = match (cloud, deployed) {
        (Some(cloud), Some(deployed)) => {
            let assets = assets::build(&cx.root, &environment).await?;
            let mut parameters = deployed.deployment.parameters.clone();
            parameters.extend(assets.parameters());
            if let Some(settings) = environment.local()
                && let Some(services) = local::running(&cx.home(&environment), settings)
            {
                parameters.extend(services.parameters());
            }
            let wanted = Deployment {
                template,
                parameters,
            };
            compare(cx, &environment, &cloud, Some(&deployed), &wanted, &assets).await?
        }
        // With nothing deployed everything is new, whatever the code is: no need to build it.
        _ => DeployPlan {
            environment: environment.name.clone(),
            resources: changes(
                &Deployment::none(),
                &Deployment {
                    template,
                    parameters: BTreeMap::new(),
                },
            ),
            index: IndexPlan::Create,
            agent: environment.local().map(|_| "it is new"),
        },
    };
    if args.json {
        cx.ui.json(&plan)?
    } else {
        cx.ui.result(&plan)?
    }
    Ok(ExitCode::SUCCESS)
}
