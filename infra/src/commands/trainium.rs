use std::process::ExitCode;

use annapurna_contract::names::INSTANCE_NAME;
use annapurna_contract::{AgentHealth, Queue, RefusedStart};
use annapurna_stack::environment::Environment;
use serde::Serialize;

use super::queues::messages;
use super::{Context, EnvironmentArg, Target};
use crate::error::CommandError;
use crate::instances::{self, Seen};
use crate::local::agent;
use crate::ui;

mod power;
mod session;

pub(super) use power::start_stopped;

/// See, start and stop the instances that run the programs, or open a session on one
///
/// Sessions go through Systems Manager: there is no SSH, no key and no open port. They need the AWS CLI and its Session
/// Manager plugin on this machine. In `local` the agent is a process: `status` shows it, `tunnel` says its address.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra trainium prod status
  cargo infra trainium prod start                Each that is stopped, after a question; it stops itself when idle
  cargo infra trainium prod stop --yes
  cargo infra trainium prod shell                A shell on the instance that runs
  cargo infra trainium prod tunnel --port 9000   The agent's HTTP API at 127.0.0.1:9000, until Ctrl-C
  cargo infra trainium local status --json")]
pub(super) struct TrainiumArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// What to do
    #[arg(value_enum)]
    action: Action,
    /// The instance, where there are several
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Port of this machine for `tunnel`
    #[arg(long, default_value_t = session::AGENT_PORT)]
    port: u16,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON, for `status`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Which instances there are, how they are, and what waits for them
    Status,
    /// Start those that are stopped
    Start,
    /// Stop those that run; what they are running is run again later
    Stop,
    /// Open a shell on an instance
    Shell,
    /// Forward a port of this machine to the agent's HTTP API
    Tunnel,
}

/// As `--json` prints it.
#[derive(Debug, Serialize)]
struct Status {
    environment: String,
    batches_waiting: u64,
    batches_running: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instances: Vec<Instance>,
    /// What the agent says of itself, where it is a process of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentHealth>,
    /// Why it says nothing, though it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Instance {
    id: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    /// Why it does not start, though it is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedStart>,
}

pub(super) async fn run(cx: &Context, args: TrainiumArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    let environment = &target.environment;
    let selected = async || selected(&target, args.instance.as_deref()).await;
    match args.action {
        Action::Status => {
            let status = status(cx, &target).await?;
            show(cx, &status, args.json)?;
            Ok(ExitCode::SUCCESS)
        }
        action if environment.local().is_some() => of_this_machine(cx, environment, action),
        Action::Start => power::start(cx, &target, &selected().await?, args.yes).await,
        Action::Stop => power::stop(cx, &target, &selected().await?, args.yes).await,
        Action::Shell => session::shell(environment, &running(environment, &selected().await?)?),
        Action::Tunnel => {
            let id = running(environment, &selected().await?)?;
            let address = format!("http://127.0.0.1:{}", args.port);
            cx.ui.status(format!(
                "The agent of {id} answers at {address} until Ctrl-C, such as `curl {address}/health`"
            ));
            session::tunnel(environment, &id, args.port)
        }
    }
}

async fn status(cx: &Context, target: &Target) -> Result<Status, CommandError> {
    let environment = &target.environment;
    let queue = environment.named(&Queue::CodeTesting.name());
    let counts = messages(&target.cloud.sqs, &queue).await?;
    let refused = instances::refused_starts(&target.cloud, &target.deployed).await?;
    let seen = instances::seen(&target.cloud, environment).await?;
    let instances = seen.into_iter().map(|it| Instance {
        refused: refused.iter().find(|why| why.instance_id == it.id).cloned(),
        id: it.id,
        state: it.state,
        zone: it.zone,
    });
    let health = match environment.local() {
        Some(_) => agent::health(&cx.home(environment)).await,
        None => None,
    };
    let (agent, agent_error) = match health {
        None => (None, None),
        Some(Ok(health)) => (Some(health), None),
        Some(Err(why)) => (None, Some(why)),
    };
    Ok(Status {
        environment: environment.name.clone(),
        batches_waiting: counts.waiting,
        batches_running: counts.in_flight,
        instances: instances.collect(),
        agent,
        agent_error,
    })
}

fn show(cx: &Context, status: &Status, as_json: bool) -> Result<(), CommandError> {
    if as_json {
        return cx.ui.json(status);
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for it in &status.instances {
        let refused = it.refused.as_ref().map(instances::in_words);
        let words = it.zone.clone().into_iter().chain(refused);
        let detail = words.collect::<Vec<_>>().join(", ");
        rows.push(vec![it.id.clone(), it.state.clone(), detail]);
    }
    rows.extend(status.agent.as_ref().map(|health| {
        let torch = health.torch.as_deref().unwrap_or("missing");
        let (busy, slots) = (health.busy, health.slots);
        let detail = format!("{busy} of {slots} places taken, torch {torch}");
        vec![
            "agent".to_owned(),
            health.status.as_str().to_owned(),
            detail,
        ]
    }));
    let silent = status.agent_error.iter();
    rows.extend(silent.map(|why| vec!["agent".to_owned(), "unknown".to_owned(), why.clone()]));
    if rows.is_empty() {
        cx.ui
            .status(format!("`{}` has no instance", status.environment));
    } else {
        cx.ui
            .result(ui::table(&["INSTANCE", "STATE", "DETAIL"], &rows))?;
    }
    cx.ui.result(format!(
        "\nbatches: {} waiting, {} being run",
        status.batches_waiting, status.batches_running
    ))
}

/// What the actions are where the agent is a process of this machine.
fn of_this_machine(
    cx: &Context,
    environment: &Environment,
    action: Action,
) -> Result<ExitCode, CommandError> {
    let name = &environment.name;
    let port = agent::port(&cx.home(environment));
    let refusal = |problem: String, hint: String| Err(CommandError::Usage { problem, hint });
    match (action, port) {
        (Action::Tunnel, Some(port)) => {
            cx.ui.result(format!("http://127.0.0.1:{port}"))?;
            Ok(ExitCode::SUCCESS)
        }
        (Action::Start, Some(_)) => {
            cx.ui.status("The agent of this machine runs already.");
            Ok(ExitCode::SUCCESS)
        }
        (Action::Start | Action::Tunnel, None) => refusal(
            format!("the agent of `{name}` does not run"),
            format!("start it: cargo infra deploy {name}"),
        ),
        (Action::Stop, _) => refusal(
            format!("the agent of `{name}` is a process of this machine and costs nothing"),
            format!("end all of it: cargo infra destroy {name}"),
        ),
        (Action::Shell | Action::Status, _) => refusal(
            format!("`{name}` has no instance: its agent is a process of this machine"),
            format!("cargo infra trainium {name} status shows it, in your own shell"),
        ),
    }
}

/// The instances that an action is about.
async fn selected(target: &Target, id: Option<&str>) -> Result<Vec<Seen>, CommandError> {
    let environment = &target.environment;
    let seen = instances::seen(&target.cloud, environment).await?;
    if seen.is_empty() {
        return Err(CommandError::Usage {
            problem: format!("`{}` has no {INSTANCE_NAME}", environment.name),
            hint: format!(
                "set `instances` in [trainium] and deploy: cargo infra deploy {}",
                environment.name
            ),
        });
    }
    let Some(id) = id else { return Ok(seen) };
    let known: Vec<String> = seen.iter().map(|it| it.id.clone()).collect();
    match seen.into_iter().find(|it| it.id == id) {
        Some(one) => Ok(vec![one]),
        None => Err(CommandError::Usage {
            problem: format!(
                "`{}` has no instance {}",
                environment.name,
                ui::one_line(id, 40)
            ),
            hint: format!("its instances: {}", known.join(", ")),
        }),
    }
}

/// The one to open a session on: the first that runs.
fn running(environment: &Environment, seen: &[Seen]) -> Result<String, CommandError> {
    let running = seen.iter().find(|it| it.runs());
    let running = running.ok_or_else(|| CommandError::Usage {
        problem: "no instance runs".to_owned(),
        hint: format!("start it: cargo infra trainium {} start", environment.name),
    })?;
    Ok(running.id.clone())
}
