//! One file a command: load, plan, show, ask, act, report.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use annapurna_local::{Home, process};
use annapurna_stack::cloudformation::Template;
use annapurna_stack::environment::Environment;
use annapurna_stack::instances::Slot;
use annapurna_stack::{instances, pipeline, validate};
use clap::{Args, Parser, Subcommand};
use futures::FutureExt;

use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine};
use crate::error::CommandError;
use crate::local;
use crate::local::service::Service;
use crate::ui::Ui;

mod deploy;
mod destroy;
mod doctor;
mod invoke;
mod logs;
mod outputs;
mod papers;
mod plan;
mod progress;
mod queues;
mod reconcile;
mod rollback;
mod sample;
mod scrape;
mod serve;
mod status;
mod synth;

const EXAMPLES: &str = "\
Examples:
  cargo infra deploy local              The whole pipeline on this machine, with ten sample papers
  cargo infra plan prod                 What a deploy would change; changes nothing
  cargo infra deploy prod               Build, upload, show the change set, ask, execute
  cargo infra scrape prod neurips --year 2025 --follow
  cargo infra invoke local PaperScraper_ICLR '{\"MAX_PAPERS\": \"5\"}'
  cargo infra logs local PapersJudge --since 15m --follow
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
    Synth(synth::SynthArgs),
    #[command(visible_alias = "diff")]
    Plan(plan::PlanArgs),
    Deploy(deploy::DeployArgs),
    Rollback(rollback::RollbackArgs),
    Destroy(destroy::DestroyArgs),
    Status(status::StatusArgs),
    Outputs(outputs::OutputsArgs),
    Scrape(scrape::ScrapeArgs),
    Invoke(invoke::InvokeArgs),
    Logs(logs::LogsArgs),
    Queues(queues::QueuesArgs),
    Papers(papers::PapersArgs),
    Doctor(doctor::DoctorArgs),
    #[command(hide = true)]
    ServeModel(serve::ServeArgs),
    #[command(hide = true)]
    ServePapers(serve::ServeArgs),
}

/// The environment that most commands are about.
#[derive(Debug, Args)]
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
}

/// Runs a command and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let ui = Ui::new();
    let mut dispatched = pin!(dispatch(cli, ui.clone()));
    let outcome = tokio::select! {
        biased;
        outcome = &mut dispatched => outcome,
        // A command that has something to say of Ctrl-C says it, also when it is asked a moment too early.
        _ = tokio::signal::ctrl_c() => {
            let said = dispatched.now_or_never();
            said.unwrap_or(Err(CommandError::Interrupted))
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

async fn dispatch(cli: Cli, ui: Ui) -> Result<ExitCode, CommandError> {
    match cli.command {
        Command::ServeModel(args) => return serve::model(args).await,
        Command::ServePapers(args) => return serve::papers(args).await,
        _ => {}
    }
    let root = find_project(cli.project)?;
    let state = cli.state.unwrap_or_else(|| root.join(".annapurna"));
    let cx = Context { ui, root, state };
    match cli.command {
        Command::Synth(args) => synth::run(&cx, args),
        Command::Plan(args) => plan::run(&cx, args).await,
        Command::Deploy(args) => deploy::run(&cx, args).await,
        Command::Rollback(args) => rollback::run(&cx, args).await,
        Command::Destroy(args) => destroy::run(&cx, args).await,
        Command::Status(args) => status::run(&cx, args).await,
        Command::Outputs(args) => outputs::run(&cx, args).await,
        Command::Scrape(args) => scrape::run(&cx, args).await,
        Command::Invoke(args) => invoke::run(&cx, args).await,
        Command::Logs(args) => logs::run(&cx, args).await,
        Command::Queues(args) => queues::run(&cx, args).await,
        Command::Papers(args) => papers::run(&cx, args).await,
        Command::Doctor(args) => doctor::run(&cx, args).await,
        Command::ServeModel(args) => serve::model(args).await,
        Command::ServePapers(args) => serve::papers(args).await,
    }
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

    /// The environment's clients; `None` when it is local and nothing of it was ever started.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`] when the emulator has died.
    async fn cloud(&self, environment: &Environment) -> Result<Option<Cloud>, CommandError> {
        let Some(settings) = environment.local() else {
            return Ok(Some(Cloud::connect(environment, None).await));
        };
        let home = self.home(environment);
        match local::cloud_url(&home, settings) {
            Some(url) if process::was_started(&home, local::MODEL) => {
                Ok(Some(Cloud::connect(environment, Some(&url)).await))
            }
            None if Service::Cloud.has_died(&home) => Err(CommandError::Stopped {
                environment: environment.name.clone(),
                services: local::service::in_words(&[Service::Cloud]),
            }),
            _ => Ok(None),
        }
    }

    /// The environment as deployed.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotDeployed`], and [`CommandError::Stopped`] when the emulator has died.
    async fn target(&self, name: &EnvironmentArg) -> Result<Target, CommandError> {
        self.target_with(name, &[]).await
    }

    /// The environment as deployed, with services that must run if they are this machine's. Others that
    /// have died are told.
    async fn target_with(
        &self,
        name: &EnvironmentArg,
        needed: &[Service],
    ) -> Result<Target, CommandError> {
        let environment = self.environment(name)?;
        let not_deployed = || CommandError::NotDeployed {
            environment: environment.name.clone(),
        };
        let cloud = self.cloud(&environment).await?.ok_or_else(not_deployed)?;
        self.require_services(&environment, needed)?;
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

    fn require_services(
        &self,
        environment: &Environment,
        needed: &[Service],
    ) -> Result<(), CommandError> {
        if environment.local().is_none() {
            return Ok(());
        }
        let home = self.home(environment);
        let died = Service::ALL.into_iter().filter(|it| it.has_died(&home));
        let (needed, others): (Vec<Service>, Vec<Service>) =
            died.partition(|it| needed.contains(it));
        let stopped = |services: &[Service]| CommandError::Stopped {
            environment: environment.name.clone(),
            services: local::service::in_words(services),
        };
        if !needed.is_empty() {
            return Err(stopped(&needed));
        }
        if !others.is_empty() {
            let stopped = stopped(&others);
            let hint = stopped.hint().map(|hint| format!("; {hint}"));
            self.ui
                .warn(format!("{stopped}{}", hint.unwrap_or_default()));
        }
        Ok(())
    }
}
