use std::collections::BTreeMap;
use std::process::ExitCode;

use annapurna_contract::{AgentConfig, Bucket, Queue};
use annapurna_local::emulator::{ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
use annapurna_local::torch::{self, InstallPlan, TorchPython};
use annapurna_local::{Home, doctor};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::{Environment, LocalSandbox, LocalSettings};
use annapurna_stack::outputs::{Output, Outputs};

use super::doctor::{Consent, before_deploy, ensure_cargo_lambda};
use super::progress::{Follower, ProgressStyle};
use super::{Context, EnvironmentArg, reconcile, sample};
use crate::assets::{Assets, AssetsBucket};
use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine, Event, Standing};
use crate::error::CommandError;
use crate::instances::{self, Fleet, Listener};
use crate::local::agent::{self, Agent};
use crate::local::service::Service;
use crate::local::{self, Services, removal};

mod agents;
mod consent;
mod rollout;

use rollout::Rollout;

/// Deploy the stack, the functions and the agent of an environment
///
/// Builds, shows the plan, asks, uploads what is missing, executes the change set, brings the index's mapping up
/// to date and prints the outputs. What CloudFormation would do beyond the plan is asked about again; what
/// would lose data is refused unless it is named. A failed deploy leaves the previous state. Interrupted and
/// run again, it goes on from there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra deploy local               Everything on this machine, then ten sample papers
  cargo infra deploy local --no-sample
  cargo infra deploy prod                Shows the changes and asks
  cargo infra deploy prod --yes          Does not ask, and loses nothing
  cargo infra deploy dev --allow-replace ResearchQueue
  cargo infra deploy prod --replace-instances")]
pub(super) struct DeployArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Do not ask for confirmation of what loses nothing; also asks each model once that was not seen to answer, and
    /// installs what is missing to build
    #[arg(long)]
    yes: bool,
    /// End instances of an older launch template and make new ones; without it they stay as they were made
    #[arg(long)]
    replace_instances: bool,
    /// Logical id of a resource that may be replaced or destroyed with what it holds; repeatable
    #[arg(long, value_name = "ID")]
    allow_replace: Vec<String>,
    /// Answer the question for the name of a protected environment
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// How events are shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    progress: Option<ProgressStyle>,
    /// Do not push the sample papers through a local pipeline
    #[arg(long)]
    no_sample: bool,
    /// Do not look at the AWS account first, where `doctor` is mistaken about it
    #[arg(long)]
    no_preflight: bool,
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
    both_at_rest(cx, environment, &cloud).await?;
    let consent = Consent::of(args.yes);
    if !args.no_preflight {
        before_deploy(cx, environment, &template, &cloud, consent).await?;
    }
    ensure_cargo_lambda(cx, environment, consent).await?;
    let assets = cx.build(environment).await?;
    let say = |text| cx.ui.status(text);
    let fleet = Fleet::look_at_rest(&cloud, environment, args.replace_instances, &say).await?;
    let deployment = Rollout {
        cx,
        args,
        environment,
        cloud: &cloud,
        bucket: AssetsBucket::new(&cloud, &account, &environment.region),
        assets: &assets,
        fleet: &fleet,
    };
    let deployed = deployment.stack(template, BTreeMap::new()).await?;
    let restarted = agents::bring_up_to_date(cx, &cloud, environment).await;
    let brought = roll_out_instances(cx, args, environment, &fleet, &deployed).await;
    let instances = instances::outputs(&cloud, environment).await;
    let outputs = match &instances {
        Ok(instances) => deployed.outputs.with(instances),
        Err(_) => deployed.outputs,
    };
    report(cx, environment, &outputs)?;
    // Why the instances are not as wanted says more than that they cannot be read.
    let brought = brought.and(instances.map(drop));
    if let (Err(_), Err(error)) = (&brought, &restarted) {
        cx.ui.warn(error);
    }
    brought.and(restarted)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits before the long build until nothing is under way, and refuses a pipeline that takes no update. Once more after
/// the build, the plan is made of what is at rest then.
async fn both_at_rest(
    cx: &Context,
    environment: &Environment,
    cloud: &Cloud,
) -> Result<(), CommandError> {
    let say = |text| cx.ui.status(text);
    let pipeline = Engine::new(cloud, environment.stack_name());
    if pipeline.at_rest(&say).await? == Standing::Stuck {
        return Err(pipeline.stuck().await);
    }
    let instances = Engine::new(cloud, environment.instances_stack_name());
    instances.at_rest(&say).await.map(drop)
}

/// Brings the instances to what is wanted, which the person agreed to with the rest of the plan.
async fn roll_out_instances(
    cx: &Context,
    args: &DeployArgs,
    environment: &Environment,
    fleet: &Fleet<'_>,
    pipeline: &Deployed,
) -> Result<(), CommandError> {
    let style = ProgressStyle::or_by_itself(args.progress, &cx.ui);
    let stack = environment.instances_stack_name();
    let follower = Follower::new(&cx.ui, style, &stack, 0, None);
    let hears = Listener {
        event: &|event: &Event| follower.show(event),
        warning: &|warning: &str| cx.ui.warn(warning),
    };
    fleet.roll_out(&pipeline.outputs, hears).await
}

async fn deploy_here(
    cx: &Context,
    args: &DeployArgs,
    environment: &Environment,
    settings: &LocalSettings,
    template: Template,
) -> Result<ExitCode, CommandError> {
    let home = cx.home(environment);
    let _alone = local::alone(&home, environment)?;
    removal::call_off(&home)?;
    let here = ready(cx, args, environment, settings, &home).await?;
    // From here on they run, and nothing of what follows ends one of them.
    let watch = cx.watch(environment);
    let onto_them = deploy_onto(cx, args, environment, &here, template);
    let (cloud, deployed) = watch.during(&Service::OF_FUNCTIONS, onto_them).await?;
    if !args.no_sample {
        let sample = sample::run(cx, environment, &cloud, &deployed);
        watch.during(&Service::ALL, sample).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings stack, agent and papers to where they should be, on services that run.
async fn deploy_onto(
    cx: &Context,
    args: &DeployArgs,
    environment: &Environment,
    here: &Ready,
    template: Template,
) -> Result<(Cloud, Deployed), CommandError> {
    let home = cx.home(environment);
    let (services, assets) = (&here.services, &here.assets);
    let cloud = Cloud::connect(environment, Some(&services.endpoint_url)).await;
    let account = cloud.guard(environment).await?;
    let fleet = Fleet::look(&cloud, environment, false).await?;
    let deployment = Rollout {
        cx,
        args,
        environment,
        cloud: &cloud,
        bucket: AssetsBucket::new(&cloud, &account, &environment.region),
        assets,
        fleet: &fleet,
    };
    let deployed = deployment.stack(template, services.parameters()).await?;
    start_agent(cx, environment, &home, here, &deployed).await?;
    report(cx, environment, &deployed.outputs)?;
    cx.ui.status(format!(
        "model: {}\nFor the aws CLI, with --endpoint-url {}:\n  export AWS_DEFAULT_REGION={} \
         AWS_ACCESS_KEY_ID={ROOT_ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ROOT_SECRET_KEY}",
        here.model, services.endpoint_url, environment.region,
    ));
    reconcile::after_start(cx, &home, environment, &cloud, &deployed).await?;
    Ok((cloud, deployed))
}

/// What a local stack is deployed onto and with.
struct Ready {
    /// What the model is called.
    model: String,
    /// What generated programs run in.
    sandbox: LocalSandbox,
    torch: Option<TorchPython>,
    services: Services,
    assets: Assets,
}

/// Installs what this machine lacks, starts the services and builds the code.
async fn ready(
    cx: &Context,
    args: &DeployArgs,
    environment: &Environment,
    settings: &LocalSettings,
    home: &Home,
) -> Result<Ready, CommandError> {
    let wanted = local::wanted(environment, settings);
    let found = doctor::look(home, wanted).await;
    super::doctor::require(cx, "this machine lacks something", found.checks)?;
    let programs = torch::plan(settings.python.as_deref(), found.torch).await;
    let programs = agreed_to_install(cx, args, programs).await?;
    if wanted.sandbox && !programs.bubblewrap {
        // Whoever wants nothing installed hears before the build what follows from it.
        super::doctor::require(
            cx,
            "programs cannot be confined",
            vec![doctor::sandbox().await],
        )?;
    }
    // The compiler and the download of OpenSearch have different bottlenecks: they run side by side.
    cx.ui.status("Starting the local cloud and OpenSearch");
    let services = async {
        let installed = local::prepare(home, environment, &programs, &cx.ui).await?;
        let services = local::start(home, &installed, environment, settings, &cx.ui).await?;
        Ok((installed.torch, services))
    };
    let (assets, (torch, services)) = tokio::try_join!(cx.build(environment), services)?;
    cx.ui
        .done("All code is there; the local cloud and OpenSearch run");
    Ok(Ready {
        model: local::model_label(&settings.model),
        sandbox: settings.sandbox,
        torch,
        services,
        assets,
    })
}

/// Asks once for everything the machine lacks for running generated programs, and says what stays as it is.
async fn agreed_to_install(
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
    if args.yes || (cx.ui.can_ask() && cx.ui.confirm("Install it?").await?) {
        return Ok(plan);
    }
    cx.ui.warn(
        "without it, programs run with what is there; a result without torch says so; --yes installs it",
    );
    Ok(plan.declined())
}

async fn start_agent(
    cx: &Context,
    environment: &Environment,
    home: &Home,
    here: &Ready,
    deployed: &Deployed,
) -> Result<(), CommandError> {
    let Some(binary) = &here.assets.agent_binary else {
        return Ok(());
    };
    let torch = here.torch.as_ref();
    let output = |output| deployed.outputs.get(output).map(str::to_owned);
    if torch.is_none() {
        cx.ui
            .warn("no Python with torch: programs wait for one; `cargo infra status` says so");
    }
    let step = cx.ui.begin("Starting the agent");
    let agent = Agent {
        binary,
        python_path: cx.root.join("trainium").join("python"),
        python: torch.map(|it| it.path.clone()),
        backend: environment.backend(),
        sandbox: here.sandbox,
        config: AgentConfig {
            testing_queue_url: output(Output::QueueUrl(Queue::CodeTesting))?,
            code_bucket: output(Output::BucketName(Bucket::Code))?,
            outputs_bucket: output(Output::BucketName(Bucket::Outputs))?,
            datasets_bucket: output(Output::BucketName(Bucket::Datasets))?,
        },
        role_arn: output(Output::TrainiumAgentRoleArn)?,
        region: &environment.region,
        endpoint_url: &here.services.endpoint_url,
    };
    agent::start(home, agent).await?;
    drop(step);
    let health = agent::health(home).await;
    let refusal = health.and_then(|health| agent::refusal(&health.ok()?, here.sandbox));
    if let Some(problem) = refusal {
        return Err(CommandError::Usage {
            problem,
            hint: doctor::without_sandbox("mend that and deploy again"),
        });
    }
    cx.ui.done("The agent runs");
    Ok(())
}

fn report(cx: &Context, environment: &Environment, outputs: &Outputs) -> Result<(), CommandError> {
    cx.ui.result(super::outputs::table(outputs))?;
    cx.ui.done(format!("`{}` is deployed", environment.name));
    Ok(())
}
