use std::collections::BTreeMap;
use std::process::ExitCode;

use annapurna_contract::{AgentConfig, Bucket, Queue};
use annapurna_local::emulator::{ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
use annapurna_local::torch::{self, InstallPlan, TorchPython};
use annapurna_local::{Home, doctor};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::{Environment, LocalSettings, SearchSettings};
use annapurna_stack::outputs::Output;
use annapurna_stack::parameters::Parameter;
use annapurna_stack::plan::{Deployment, merge_change_set};
use aws_sdk_cloudformation::types::StackEvent;

use super::plan::{DeployPlan, compare};
use super::{Context, EnvironmentArg, reconcile, sample};
use crate::assets::{self, Assets};
use crate::cloud::Cloud;
use crate::engine::{self, ChangeSet, Deployed, Engine, TemplateSource};
use crate::error::CommandError;
use crate::local::agent::{self, Agent};
use crate::local::{self, Services};
use crate::{index, ui};

/// Deploy the stack, the functions and the agent of an environment
///
/// Builds, uploads what is missing, shows the change set, asks, executes it, brings the index's mapping
/// up to date and prints the outputs. A failed deploy leaves the previous state. Interrupted and run
/// again, it goes on from there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra deploy local               Everything on this machine, then ten sample papers
  cargo infra deploy local --no-sample
  cargo infra deploy prod                Shows the changes and asks
  cargo infra deploy prod --yes          Does not ask")]
pub(super) struct DeployArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Do not push the sample papers through a local pipeline
    #[arg(long)]
    no_sample: bool,
}

pub(super) async fn run(cx: &Context, args: DeployArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let template = cx.template(&environment)?;
    match environment.local() {
        None => deploy_to_aws(cx, &args, &environment, template).await,
        Some(settings) => deploy_here(cx, &args, &environment, settings, template).await,
    }
}

async fn deploy_to_aws(
    cx: &Context,
    args: &DeployArgs,
    environment: &Environment,
    template: Template,
) -> Result<ExitCode, CommandError> {
    let cloud = Cloud::connect(environment, None).await;
    let account = cloud.guard(environment).await?;
    cx.ui
        .status(format!("Account {account}, region {}", environment.region));
    let assets = assets::build(&cx.root, environment).await?;
    cx.ui.done("Functions and agent are built");
    let deployment = Rollout {
        cx,
        args,
        environment,
        cloud: &cloud,
        account,
        assets: &assets,
    };
    let Some(deployed) = deployment.stack(template, BTreeMap::new()).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let (deployed, plan) = deployed;
    if plan.agent.is_some()
        && let Some(instance) = deployed.outputs.find(Output::TrainiumInstanceId)
    {
        restart_agent(cx, &cloud, instance).await?;
    }
    report(cx, environment, &deployed)?;
    Ok(ExitCode::SUCCESS)
}

async fn deploy_here(
    cx: &Context,
    args: &DeployArgs,
    environment: &Environment,
    settings: &LocalSettings,
    template: Template,
) -> Result<ExitCode, CommandError> {
    let home = cx.home(environment);
    let found = doctor::look(&home, settings.python.as_deref()).await;
    super::doctor::require(cx, found.checks)?;
    let programs = torch::plan(settings.python.as_deref(), found.torch).await;
    let programs = agreed_to_install(cx, args, programs)?;
    // The compiler and the download of OpenSearch have different bottlenecks: they run side by side.
    cx.ui
        .status("Building the functions and the agent; starting the local cloud and OpenSearch");
    let services = async {
        let machine = local::prepare(&home, environment, &programs, &cx.ui).await?;
        let services = local::start(&home, &machine, environment, settings, &cx.ui).await?;
        Ok((machine, services))
    };
    let (assets, (machine, services)) =
        tokio::try_join!(assets::build(&cx.root, environment), services)?;
    cx.ui
        .done("Functions and agent are built; the local cloud and OpenSearch run");
    let cloud = Cloud::connect(environment, Some(&services.endpoint_url)).await;
    let account = cloud.guard(environment).await?;
    let deployment = Rollout {
        cx,
        args,
        environment,
        cloud: &cloud,
        account,
        assets: &assets,
    };
    let Some((deployed, _)) = deployment.stack(template, services.parameters()).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    start_agent(
        cx,
        environment,
        machine.torch.as_ref(),
        &home,
        &services,
        &assets,
        &deployed,
    )
    .await?;
    report(cx, environment, &deployed)?;
    cx.ui.status(format!(
        "model: {}\nFor the aws CLI, with --endpoint-url {}:\n  export AWS_DEFAULT_REGION={} \
         AWS_ACCESS_KEY_ID={ROOT_ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ROOT_SECRET_KEY}",
        local::backend(&settings.model)?.label(),
        services.endpoint_url,
        environment.region,
    ));
    reconcile::after_start(cx, &home, environment, &cloud, &deployed).await?;
    if !args.no_sample {
        sample::run(cx, environment, &cloud, &deployed).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks once for everything the machine lacks for running generated programs, and says what stays as it is.
fn agreed_to_install(
    cx: &Context,
    args: &DeployArgs,
    plan: InstallPlan,
) -> Result<InstallPlan, CommandError> {
    if let Some(obstacle) = &plan.obstacle {
        cx.ui.warn(obstacle);
    }
    if plan.is_empty() {
        return Ok(plan);
    }
    cx.ui.status(format!(
        "To run generated programs this machine lacks:\n  {}",
        plan.lines.join("\n  ")
    ));
    if args.yes || cx.ui.confirm("Install it?")? {
        return Ok(plan);
    }
    cx.ui
        .warn("without it, programs run with what is there; a result without torch says so");
    Ok(plan.declined())
}

/// One deployment of a stack.
struct Rollout<'a> {
    cx: &'a Context,
    args: &'a DeployArgs,
    environment: &'a Environment,
    cloud: &'a Cloud,
    account: String,
    assets: &'a Assets,
}

impl Rollout<'_> {
    /// Brings the stack and the index to what is wanted; `None` when the person declines.
    async fn stack(
        &self,
        template: Template,
        mut parameters: BTreeMap<String, String>,
    ) -> Result<Option<(Deployed, DeployPlan)>, CommandError> {
        let bucket = assets::bucket_name(&self.account, &self.environment.region);
        let engine = Engine::new(self.cloud, self.environment.stack_name());
        engine.settle(&|text| self.cx.ui.status(text)).await?;
        self.publish(&bucket).await?;
        parameters.insert(Parameter::AssetsBucket.name(), bucket.clone());
        parameters.extend(self.assets.parameters());
        let before = engine.deployed().await?;
        let wanted = Deployment {
            template: template.to_json()?,
            parameters,
        };
        let (cx, cloud) = (self.cx, self.cloud);
        let before = before.as_ref();
        let mut plan = compare(cx, self.environment, cloud, before, &wanted, self.assets).await?;
        let step = cx.ui.begin("CloudFormation prepares a change set");
        let (set, adopts) = self.prepare(&engine, &bucket, &wanted).await?;
        drop(step);
        if let Some(set) = &set {
            merge_change_set(&mut plan.resources, &set.entries);
        }
        cx.ui.result(&plan)?;
        if let Some(set) = &set {
            if !self.agreed(&plan, set)? {
                set.discard().await?;
                cx.ui.status("Nothing was changed.");
                return Ok(None);
            }
            self.execute(set).await?;
        }
        if adopts {
            let source = self.source(&bucket, &wanted.template).await?;
            if let Some(set) = engine.prepare(source, &wanted.parameters).await? {
                self.execute(&set).await?;
            }
        }
        let deployed = engine
            .deployed()
            .await?
            .ok_or_else(|| CommandError::NotDeployed {
                environment: self.environment.name.clone(),
            })?;
        self.index(&deployed).await?;
        Ok(Some((deployed, plan)))
    }

    /// The next change set, if anything changes; true when it only takes up what is there already, and
    /// another must follow.
    async fn prepare(
        &self,
        engine: &Engine,
        bucket: &str,
        wanted: &Deployment,
    ) -> Result<(Option<ChangeSet>, bool), CommandError> {
        let source = self.source(bucket, &wanted.template).await?;
        match engine.prepare(source, &wanted.parameters).await {
            Err(CommandError::Unretained { .. }) => {}
            Ok(Some(set)) if set.imports().next().is_some() => set.discard().await?,
            other => return Ok((other?, false)),
        }
        let first = engine::adopting(&wanted.template);
        let source = self.source(bucket, &first).await?;
        let set = engine.prepare_adoption(source, &wanted.parameters).await?;
        Ok((set, true))
    }

    /// Where CloudFormation reads the template: in the request, or in S3 when it is too large for one.
    async fn source(
        &self,
        bucket: &str,
        template: &serde_json::Value,
    ) -> Result<TemplateSource, CommandError> {
        let (cloud, region) = (self.cloud, &self.environment.region);
        let body = template.to_string();
        if body.len() <= Template::MAX_INLINE_BYTES {
            return Ok(TemplateSource::Body(body));
        }
        let url = assets::publish_template(cloud, bucket, region, &body).await?;
        Ok(TemplateSource::Url(url))
    }

    async fn publish(&self, bucket: &str) -> Result<(), CommandError> {
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

    /// In AWS every change is asked about; on this machine only what could lose something.
    fn agreed(&self, plan: &DeployPlan, set: &ChangeSet) -> Result<bool, CommandError> {
        for import in set.imports() {
            let id = ui::safe(&import.resource);
            let ui = &self.cx.ui;
            ui.status(format!("{id} is there already and becomes the stack's"));
        }
        let dangerous = plan.resources.iter().any(|change| change.is_dangerous());
        if self.args.yes || (self.environment.local().is_some() && !dangerous) {
            return Ok(true);
        }
        let warning = if dangerous {
            " Some resources are replaced or destroyed."
        } else {
            ""
        };
        self.cx
            .ui
            .confirm(&format!("Deploy `{}`?{warning}", self.environment.name))
    }

    async fn execute(&self, set: &ChangeSet) -> Result<(), CommandError> {
        let step = self.cx.ui.begin_counted("resources", set.entries.len());
        let finished = std::sync::atomic::AtomicUsize::new(0);
        let stack_name = self.environment.stack_name();
        set.execute(&|event| {
            let id = event.logical_resource_id().unwrap_or_default();
            if id == stack_name {
                return;
            }
            let status = event.resource_status().map_or("", |status| status.as_str());
            if status.ends_with("_COMPLETE") && !status.contains("ROLLBACK") {
                let done = finished.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                step.reached(done);
            }
            step.says(format!("{status} {id}"));
            if status.ends_with("_FAILED") {
                self.cx.ui.warn(event_line(event));
            }
        })
        .await?;
        drop(step);
        self.cx
            .ui
            .done(format!("Stack {stack_name}: {} changes", set.entries.len()));
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

fn event_line(event: &StackEvent) -> String {
    let id = event.logical_resource_id().unwrap_or_default();
    let status = event.resource_status().map_or("", |status| status.as_str());
    ui::safe(&format!(
        "{id} {status}: {}",
        event.resource_status_reason().unwrap_or_default()
    ))
}

#[allow(clippy::too_many_arguments)]
async fn start_agent(
    cx: &Context,
    environment: &Environment,
    torch: Option<&TorchPython>,
    home: &Home,
    services: &Services,
    assets: &Assets,
    deployed: &Deployed,
) -> Result<(), CommandError> {
    let Some(binary) = &assets.agent_binary else {
        return Ok(());
    };
    let output = |output| deployed.outputs.get(output).map(str::to_owned);
    if torch.is_none() {
        cx.ui
            .warn("no Python with torch: programs will fail and their results will say why");
    }
    let step = cx.ui.begin("Starting the agent");
    let agent = Agent {
        binary,
        python_path: cx.root.join("trainium").join("python"),
        python: torch.map(|it| it.path.clone()),
        config: AgentConfig {
            testing_queue_url: output(Output::QueueUrl(Queue::CodeTesting))?,
            code_bucket: output(Output::BucketName(Bucket::Code))?,
            outputs_bucket: output(Output::BucketName(Bucket::Outputs))?,
            datasets_bucket: output(Output::BucketName(Bucket::Datasets))?,
        },
        role_arn: output(Output::TrainiumAgentRoleArn)?,
        region: &environment.region,
        endpoint_url: &services.endpoint_url,
    };
    agent::start(home, agent).await?;
    drop(step);
    cx.ui.done("The agent runs");
    Ok(())
}

/// Has a running instance fetch the new bundle; a stopped one does so when it starts.
async fn restart_agent(cx: &Context, cloud: &Cloud, instance: &str) -> Result<(), CommandError> {
    let described = cloud
        .ec2
        .describe_instances()
        .instance_ids(instance)
        .send()
        .await;
    let described = described.map_err(CommandError::aws("describe the instance"))?;
    let state = described
        .reservations()
        .iter()
        .flat_map(|reservation| reservation.instances())
        .find_map(|it| it.state()?.name().cloned());
    if state != Some(aws_sdk_ec2::types::InstanceStateName::Running) {
        return Ok(());
    }
    let request = cloud
        .ssm
        .send_command()
        .document_name("AWS-RunShellScript")
        .instance_ids(instance)
        .parameters(
            "commands",
            vec!["systemctl restart annapurna-agent".to_owned()],
        );
    match request.send().await {
        Ok(_) => cx
            .ui
            .done("The agent on the instance restarts with the new bundle"),
        // A new instance is not managed yet for its first minutes, and then starts the new bundle anyway.
        Err(error) => cx.ui.warn(format!(
            "the agent restarts with its instance only: {}",
            CommandError::aws("restart the agent")(error)
        )),
    }
    Ok(())
}

fn report(
    cx: &Context,
    environment: &Environment,
    deployed: &Deployed,
) -> Result<(), CommandError> {
    let rows: Vec<Vec<String>> = deployed
        .outputs
        .iter()
        .map(|(name, value)| vec![name.to_owned(), ui::safe(value)])
        .collect();
    cx.ui.result(ui::table(&["OUTPUT", "VALUE"], &rows))?;
    cx.ui.done(format!("`{}` is deployed", environment.name));
    Ok(())
}
