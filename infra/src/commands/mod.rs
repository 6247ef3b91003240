//! One file a command: load, plan, show, ask, act, report.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use annapurna_local::{Home, process};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::Environment;
use annapurna_stack::instances::Slot;
use annapurna_stack::parameters::function_packages;
use annapurna_stack::{instances, pipeline, validate};
use clap::{Args, Parser, Subcommand};
use futures::FutureExt;

use crate::assets::{self, Assets};
use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine};
use crate::error::CommandError;
use crate::local;
use crate::local::removal::Remains;
use crate::local::service::Service;
use crate::local::watch::Watch;
use crate::ui::Ui;
use interrupt::Interrupt;

mod ami;
mod build;
mod check_code;
mod cost;
mod datasets;
mod deploy;
mod destroy;
mod doctor;
mod generate;
mod interrupt;
mod invoke;
mod judge;
mod logs;
mod outputs;
mod papers;
mod plan;
mod progress;
mod queues;
mod reconcile;
mod results;
mod rollback;
mod sample;
mod scrape;
mod serve;
mod status;
mod synth;
mod test_code;
mod trainium;

const EXAMPLES: &str = "\
Examples:
  cargo infra deploy local              The whole pipeline on this machine, with ten sample papers
  cargo infra plan prod                 What a deploy would change; changes nothing
  cargo infra deploy prod               Build, upload, show the change set, ask, execute
  cargo infra scrape prod neurips --year 2025 --follow
  cargo infra invoke local PaperScraper_ICLR '{\"MAX_PAPERS\": \"5\"}'
  cargo infra logs local PapersJudge --since 15m --follow
  cargo infra results local
  cargo infra destroy local             Stop everything and remove it";

/// The stack of the paper pipeline: plan, deploy and remove its environments
#[derive(Debug, Parser)]
#[command(name = "infra", bin_name = "cargo infra", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Folder of the project [default: the one around the working directory]
    #[arg(long, global = true, env = "ANNAPURNA_PROJECT", hide_env = true)]
    project: Option<PathBuf>,
    /// Folder of local environments [default: `.annapurna` in the project]
    #[arg(long, global = true, env = "ANNAPURNA_STATE", hide_env = true)]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Of(EnvironmentCommand),
    CheckCode(check_code::CheckCodeArgs),
    #[command(hide = true)]
    ServeModel(serve::ServeArgs),
    #[command(hide = true)]
    ServePapers(serve::ServeArgs),
}

/// A person's command, each about one environment.
#[derive(Debug, Subcommand)]
enum EnvironmentCommand {
    Synth(synth::SynthArgs),
    #[command(visible_alias = "diff")]
    Plan(plan::PlanArgs),
    Build(build::BuildArgs),
    Deploy(deploy::DeployArgs),
    Rollback(rollback::RollbackArgs),
    Destroy(destroy::DestroyArgs),
    Status(status::StatusArgs),
    Outputs(outputs::OutputsArgs),
    Scrape(scrape::ScrapeArgs),
    Generate(generate::GenerateArgs),
    Invoke(invoke::InvokeArgs),
    Logs(logs::LogsArgs),
    Queues(queues::QueuesArgs),
    Papers(papers::PapersArgs),
    Reconcile(reconcile::ReconcileArgs),
    Cost(cost::CostArgs),
    Judge(judge::JudgeArgs),
    Datasets(datasets::DatasetsArgs),
    Results(results::ResultsArgs),
    TestCode(test_code::TestCodeArgs),
    Trainium(trainium::TrainiumArgs),
    Doctor(doctor::DoctorArgs),
    Ami(ami::AmiArgs),
}

impl EnvironmentCommand {
    const fn environment(&self) -> &EnvironmentArg {
        match self {
            Self::Synth(args) => &args.environment,
            Self::Plan(args) => &args.environment,
            Self::Build(args) => &args.environment,
            Self::Deploy(args) => &args.environment,
            Self::Rollback(args) => &args.environment,
            Self::Destroy(args) => &args.environment,
            Self::Status(args) => &args.environment,
            Self::Outputs(args) => &args.environment,
            Self::Scrape(args) => &args.environment,
            Self::Generate(args) => &args.environment,
            Self::Invoke(args) => &args.environment,
            Self::Logs(args) => &args.environment,
            Self::Queues(args) => &args.environment,
            Self::Papers(args) => &args.environment,
            Self::Reconcile(args) => &args.environment,
            Self::Cost(args) => &args.environment,
            Self::Judge(args) => args.environment(),
            Self::Datasets(args) => &args.environment,
            Self::Results(args) => &args.environment,
            Self::TestCode(args) => &args.environment,
            Self::Trainium(args) => &args.environment,
            Self::Doctor(args) => &args.environment,
            Self::Ami(args) => &args.environment,
        }
    }

    /// The services of a deployed `local` without which it comes to nothing; of others that have died it only tells.
    const fn needed(&self) -> &'static [Service] {
        match self {
            // `deploy` starts them and `status` shows them: both look for themselves while they are at it.
            Self::Synth(_)
            | Self::Build(_)
            | Self::Deploy(_)
            | Self::Destroy(_)
            | Self::Status(_)
            | Self::Doctor(_)
            | Self::Ami(_) => &[],
            Self::Cost(args) if !args.actual => &[],
            Self::Rollback(_)
            | Self::Cost(_)
            | Self::Outputs(_)
            | Self::Logs(_)
            | Self::Queues(_)
            | Self::Datasets(_)
            | Self::Trainium(_) => &[Service::Cloud],
            Self::Plan(_) | Self::Papers(_) | Self::Results(_) => {
                &[Service::Cloud, Service::Search]
            }
            Self::TestCode(_) => &[Service::Cloud, Service::Search, Service::Agent],
            // A measurement asks for none.
            Self::Judge(judge::JudgeArgs::Eval(_)) => &[],
            Self::Reconcile(_)
            | Self::Scrape(_)
            | Self::Generate(_)
            | Self::Invoke(_)
            | Self::Judge(judge::JudgeArgs::Paper(_)) => &Service::OF_FUNCTIONS,
        }
    }

    async fn run(self, cx: &Context) -> Result<ExitCode, CommandError> {
        match self {
            Self::Synth(args) => synth::run(cx, args),
            Self::Plan(args) => plan::run(cx, args).await,
            Self::Build(args) => build::run(cx, args).await,
            Self::Deploy(args) => deploy::run(cx, args).await,
            Self::Rollback(args) => rollback::run(cx, args).await,
            Self::Destroy(args) => destroy::run(cx, args).await,
            Self::Status(args) => status::run(cx, args).await,
            Self::Outputs(args) => outputs::run(cx, args).await,
            Self::Scrape(args) => scrape::run(cx, args).await,
            Self::Generate(args) => generate::run(cx, args).await,
            Self::Invoke(args) => invoke::run(cx, args).await,
            Self::Logs(args) => logs::run(cx, args).await,
            Self::Queues(args) => queues::run(cx, args).await,
            Self::Papers(args) => papers::run(cx, args).await,
            Self::Reconcile(args) => reconcile::run(cx, args).await,
            Self::Cost(args) => cost::run(cx, args).await,
            Self::Judge(args) => judge::run(cx, args).await,
            Self::Datasets(args) => datasets::run(cx, args).await,
            Self::Results(args) => results::run(cx, args).await,
            Self::TestCode(args) => test_code::run(cx, args).await,
            Self::Trainium(args) => trainium::run(cx, args).await,
            Self::Doctor(args) => doctor::run(cx, args).await,
            Self::Ami(args) => ami::run(cx, args).await,
        }
    }
}

/// The environment that most commands are about.
#[derive(Debug, Clone, Args)]
struct EnvironmentArg {
    /// Environment: a file name in environments/ without `.toml`
    environment: String,
}

/// What every command has.
#[derive(Debug)]
pub struct Context {
    /// All that a command says to a person goes through it.
    pub ui: Ui,
    /// Folder of the project.
    pub root: PathBuf,
    /// Folder of local environments.
    pub state: PathBuf,
    /// Ctrl-C.
    interrupt: Interrupt,
}

/// Runs a command and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let ui = Ui::new();
    let interrupt = Interrupt::new();
    let mut dispatched = pin!(dispatch(cli, ui.clone(), interrupt.clone()));
    let outcome = tokio::select! {
        biased;
        outcome = &mut dispatched => outcome,
        _ = tokio::signal::ctrl_c() => {
            interrupt.press();
            // A command that has something to say of Ctrl-C says it, also when it is asked a moment too early.
            match (&mut dispatched).now_or_never() {
                Some(said) => said,
                None if interrupt.is_held() => tokio::select! {
                    said = dispatched => said,
                    _ = tokio::signal::ctrl_c() => Err(CommandError::Interrupted),
                },
                None => Err(CommandError::Interrupted),
            }
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(cli: Cli, ui: Ui, interrupt: Interrupt) -> Result<ExitCode, CommandError> {
    let command = match cli.command {
        Command::Of(command) => command,
        Command::CheckCode(args) => return check_code::run(&ui, &args),
        Command::ServeModel(args) => return serve::model(args).await,
        Command::ServePapers(args) => return serve::papers(args).await,
    };
    let root = find_project(cli.project)?;
    let state = cli.state.unwrap_or_else(|| root.join(".annapurna"));
    let cx = Context {
        ui,
        root,
        state,
        interrupt,
    };
    let environment = cx.environment(command.environment())?;
    if let Some(remains) = cx.remains(&environment) {
        cx.ui.warn(remains.in_words(&environment.name));
    }
    let watch = cx.watch(&environment);
    let needed = command.needed();
    if let Some(stopped) = watch.stopped() {
        if watch.lacks(needed) {
            return Err(stopped);
        }
        let hint = stopped.hint().map(|hint| format!("; {hint}"));
        cx.ui.warn(format!("{stopped}{}", hint.unwrap_or_default()));
    }
    watch.during(needed, command.run(&cx)).await
}

/// The nearest folder, from `from` or the working directory upwards, that has `environments/` and
/// `Cargo.toml`.
fn find_project(from: Option<PathBuf>) -> Result<PathBuf, CommandError> {
    let from = match from {
        Some(folder) => std::path::absolute(&folder).map_err(CommandError::file("find", folder))?,
        None => {
            std::env::current_dir().map_err(CommandError::file("find", "the working directory"))?
        }
    };
    let is_project = |folder: &&Path| {
        folder.join("environments").is_dir() && folder.join("Cargo.toml").is_file()
    };
    match from.ancestors().find(is_project) {
        Some(folder) => Ok(folder.to_owned()),
        None => Err(CommandError::NoProject { from }),
    }
}

/// The template of the instances, with as many as the environment's file says.
fn instances_template(environment: &Environment) -> Template {
    instances::stack(environment, &Slot::of(environment))
}

/// A deployed environment with its clients.
struct Target {
    environment: Environment,
    cloud: Cloud,
    deployed: Deployed,
}

impl Context {
    fn environment(&self, name: &EnvironmentArg) -> Result<Environment, CommandError> {
        Ok(Environment::load(
            &self.root.join("environments"),
            &name.environment,
        )?)
    }

    fn home(&self, environment: &Environment) -> Home {
        Home::new(self.state.join(&environment.name))
    }

    /// Where our own tools for building for AWS are, one place for all environments.
    fn tools(&self) -> Home {
        Home::new(self.state.join(".tools"))
    }

    /// What a removal of a local environment has left that was cut off; of one in AWS there is no folder here.
    fn remains(&self, environment: &Environment) -> Option<Remains> {
        Remains::of(&self.home(environment))
    }

    fn watch(&self, environment: &Environment) -> Watch {
        Watch::over(environment, self.home(environment))
    }

    /// The pipeline's template; neither it nor that of the instances has a violation. What is likely to be wrong with its models is said.
    fn template(&self, environment: &Environment) -> Result<Template, CommandError> {
        let today = chrono::Utc::now().date_naive().to_string();
        for warning in environment.model_warnings(&today) {
            self.ui.warn(warning);
        }
        let template = pipeline::stack(environment)?;
        let mut violations = validate::violations(&template);
        violations.extend(validate::violations(&instances_template(environment)));
        if violations.is_empty() {
            Ok(template)
        } else {
            Err(CommandError::Violations {
                environment: environment.name.clone(),
                violations,
            })
        }
    }

    /// Builds what is deployed, and says so before and after: where nobody sees cargo's bar, minutes go by in silence.
    ///
    /// # Errors
    ///
    /// As [`assets::build`].
    async fn build(&self, environment: &Environment) -> Result<Assets, CommandError> {
        self.ui.status(format!(
            "Building {} and the agent; the first time this takes minutes",
            function_packages().join(", ")
        ));
        let begun = Instant::now();
        let assets = assets::build(&self.root, environment, &self.tools()).await?;
        for difference in &assets.differences {
            self.ui.warn(format!(
                "{difference}: another person's build of this code has other bytes, and their deploy changes every function"
            ));
        }
        let secs = begun.elapsed().as_secs();
        self.ui.done(format!(
            "Functions and agent are built, in {} min {} s",
            secs / 60,
            secs % 60
        ));
        Ok(assets)
    }

    /// The environment's clients; `None` when it is local and nothing of it was ever started.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`] when the emulator has died.
    async fn cloud(&self, environment: &Environment) -> Result<Option<Cloud>, CommandError> {
        let Some(settings) = environment.local() else {
            return Ok(Some(Cloud::connect(environment, None).await));
        };
        let (home, watch) = (self.home(environment), self.watch(environment));
        match local::cloud_url(&home, settings) {
            Some(url) if process::was_started(&home, local::MODEL) => {
                Ok(Some(Cloud::connect(environment, Some(&url)).await))
            }
            // It may have died since the command began.
            None if watch.lacks(&[Service::Cloud]) => watch.stopped().map_or(Ok(None), Err),
            _ => Ok(None),
        }
    }

    /// The environment as deployed.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotDeployed`], and [`CommandError::Stopped`] when the emulator has died.
    async fn target(&self, name: &EnvironmentArg) -> Result<Target, CommandError> {
        let environment = self.environment(name)?;
        let not_deployed = || CommandError::NotDeployed {
            environment: environment.name.clone(),
        };
        let cloud = self.cloud(&environment).await?.ok_or_else(not_deployed)?;
        let deployed = Engine::new(&cloud, environment.stack_name())
            .deployed()
            .await?;
        let deployed = deployed.ok_or_else(not_deployed)?;
        Ok(Target {
            environment,
            cloud,
            deployed,
        })
    }

    /// Whether a person, or the command line, says yes; in a protected environment by its name alone, which `confirm` may
    /// have.
    async fn agreed(
        &self,
        environment: &Environment,
        question: &str,
        yes: bool,
        confirm: Option<&str>,
    ) -> Result<bool, CommandError> {
        let name = &environment.name;
        match environment.protected {
            true if confirm == Some(name) => Ok(true),
            true => {
                let flag = format!("--confirm {name}");
                self.ui.confirm_by_name(question, name, &flag).await
            }
            false => Ok(yes || self.ui.confirm(question).await?),
        }
    }
}
