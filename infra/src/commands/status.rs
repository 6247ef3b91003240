use std::path::PathBuf;
use std::process::ExitCode;

use annapurna_contract::AgentHealth;
use annapurna_local::{Home, process};
use annapurna_stack::environment::{Environment, LocalSettings, SearchSettings};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::cost;
use super::queues::{self, Count};
use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::engine::{Deployed, Engine};
use crate::error::CommandError;
use crate::local::agent;
use crate::local::service::Service;
use crate::{instances, local, ui};

mod agents;
mod scrapes;

/// Show each part of an environment: what runs, where, and what waits
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra status local               Each part, its address and log, and the queues
  cargo infra status prod --json")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A part of an environment, as `--json` prints it; what a part does not have is left out.
#[derive(Debug, Default, Serialize)]
struct Part {
    part: String,
    state: State,
    /// URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Process id, of a process on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<PathBuf>,
    /// AWS's own name or id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Version of the Python that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    python: Option<String>,
    /// When it began, to the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// What is not said by a field, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// How a part is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Runs,
    Stopped,
    /// Another than this program runs it.
    External,
    NotDeployed,
    /// A removal was begun, and may have been cut off.
    BeingDestroyed,
    CloudIsStopped,
    Present,
    Missing,
    Active,
    Changing,
    Failed,
    /// The agent takes none.
    Refused,
    /// AWS's own word, or the agent's of its isolation.
    Said(String),
}

impl State {
    /// As the table and `--json` show it.
    fn as_str(&self) -> &str {
        match self {
            Self::Unknown => "unknown",
            Self::Runs => "runs",
            Self::Stopped => "stopped",
            Self::External => "external",
            Self::NotDeployed => "not deployed",
            Self::BeingDestroyed => "being destroyed",
            Self::CloudIsStopped => "cloud is stopped",
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Active => "active",
            Self::Changing => "changing",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Said(word) => word,
        }
    }

    fn said(word: &str) -> Self {
        Self::Said(word.to_owned())
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Part {
    /// The third column of the table.
    fn line(&self) -> String {
        let address = self.address.as_deref().map(|url| match self.pid {
            Some(_) => url.trim_start_matches("http://").to_owned(),
            None => url.to_owned(),
        });
        let pid = self.pid.map(|pid| format!("pid {pid}"));
        let log = self.log.as_ref();
        let log = log.map(|log| format!("log {}", log.display()));
        let python = self.python.as_ref();
        let python = python.map(|version| format!("Python {version}"));
        let since = self
            .since
            .map(|at| format!("begun {}", at.format("%Y-%m-%d %H:%M UTC")));
        let named = [self.name.clone(), self.version.clone(), python, since];
        let words = named
            .into_iter()
            .chain([address, pid, self.detail.clone(), log]);
        words.flatten().collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug, Serialize)]
struct Status {
    environment: String,
    parts: Vec<Part>,
    queues: Vec<Count>,
}

fn part(part: &str, state: State) -> Part {
    Part {
        part: part.to_owned(),
        state,
        ..Part::default()
    }
}

/// A part that AWS has under this name or id.
fn named(label: &str, state: State, name: &str) -> Part {
    Part {
        name: Some(name.to_owned()),
        ..part(label, state)
    }
}

/// A part that the environment's file names and `infra` does not run.
fn external(name: &str, url: &str) -> Part {
    Part {
        address: Some(url.to_owned()),
        ..part(name, State::External)
    }
}

/// A service of this machine, and what else is to be said about it.
fn service(home: &Home, service: Service, detail: Option<String>) -> Part {
    let name = service.name();
    let running = process::running(home, name);
    let state = match running {
        Some(_) => State::Runs,
        None => State::Stopped,
    };
    let has_died = running.is_none() && service.has_died(home);
    let died = has_died.then(|| "it has died: `deploy` starts it again".to_owned());
    let details: Vec<String> = died.into_iter().chain(detail).collect();
    let port = running.as_ref().and_then(|state| state.port);
    let log = process::log_file(home, name);
    Part {
        address: port.map(|port| format!("http://127.0.0.1:{port}")),
        log: log.exists().then_some(log),
        pid: running.map(|state| state.pid),
        detail: (!details.is_empty()).then(|| details.join(", ")),
        ..part(service.part(), state)
    }
}

pub(super) async fn run(cx: &Context, args: StatusArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let home = cx.home(&environment);
    let mut parts = match environment.local() {
        Some(settings) => local_parts(&home, settings, &environment.search).await,
        None => Vec::new(),
    };
    let (of_stack, counts) = stack_or_why_not(cx, &environment).await?;
    parts.extend(of_stack);
    let status = Status {
        environment: environment.name.clone(),
        parts,
        queues: counts,
    };
    if args.json {
        cx.ui.json(&status)?;
    } else {
        show(cx, &status)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// As [`stack_parts`]; that its cloud has died, or dies meanwhile, is one line of the answer.
async fn stack_or_why_not(
    cx: &Context,
    environment: &Environment,
) -> Result<(Vec<Part>, Vec<Count>), CommandError> {
    let watch = cx.watch(environment);
    let parts = stack_parts(cx, environment);
    match watch.during(&[Service::Cloud], parts).await {
        Err(error @ CommandError::Stopped { .. }) => {
            let stack = Part {
                detail: error.hint(),
                ..named("stack", State::CloudIsStopped, &environment.stack_name())
            };
            Ok((vec![stack], Vec::new()))
        }
        outcome => outcome,
    }
}

/// The stack with what is in it, and its queues.
async fn stack_parts(
    cx: &Context,
    environment: &Environment,
) -> Result<(Vec<Part>, Vec<Count>), CommandError> {
    let name = environment.stack_name();
    let alone = |state| Ok((vec![named("stack", state, &name)], Vec::new()));
    let Some(cloud) = cx.cloud(environment).await? else {
        return alone(match cx.remains(environment) {
            Some(_) => State::BeingDestroyed,
            None => State::NotDeployed,
        });
    };
    let Some(deployed) = Engine::new(&cloud, name.clone()).deployed().await? else {
        return alone(State::NotDeployed);
    };
    let mut parts = vec![named("stack", State::said(deployed.status.as_str()), &name)];
    let counts = queues::counts(&cloud, environment).await?;
    parts.extend(domain_part(&cloud, &deployed).await?);
    parts.extend(instance_parts(&cloud, &deployed, environment).await?);
    parts.extend(agents::refusing(&cloud, environment).await?);
    parts.push(models_part(&cloud, environment).await);
    parts.extend(scrapes::parts(&cloud, &deployed).await?);
    Ok((parts, counts))
}

fn show(cx: &Context, status: &Status) -> Result<(), CommandError> {
    let rows: Vec<Vec<String>> = status
        .parts
        .iter()
        .map(|it| vec![it.part.clone(), it.state.as_str().to_owned(), it.line()])
        .collect();
    cx.ui
        .result(ui::table(&["PART", "STATE", "DETAIL"], &rows))?;
    if !status.queues.is_empty() {
        cx.ui
            .result(format!("\n{}", queues::table(&status.queues)))?;
    }
    Ok(())
}

async fn local_parts(home: &Home, settings: &LocalSettings, search: &SearchSettings) -> Vec<Part> {
    let model = format!("model: {}", local::model_label(&settings.model));
    let mut parts = vec![
        match &settings.endpoint_url {
            Some(url) => external("cloud", url),
            None => service(home, Service::Cloud, None),
        },
        match search {
            SearchSettings::Url(url) => external("search", url),
            SearchSettings::Domain { .. } => service(home, Service::Search, None),
        },
        service(home, Service::Model, Some(model)),
        service(home, Service::Papers, None),
        service(home, Service::Agent, None),
    ];
    match agent::health(home).await {
        None => {}
        Some(Err(why)) => parts.push(detailed("isolation", State::Unknown, &why)),
        Some(Ok(health)) => {
            let isolation = State::said(health.isolation.as_str());
            parts.push(detailed("isolation", isolation, "of generated programs"));
            let refused = health.reason.as_deref();
            parts.extend(refused.map(|reason| detailed("batches", State::Refused, reason)));
            let fault = agent::last_fault(&health);
            parts
                .extend(fault.map(|(word, said)| detailed("last fault", State::said(word), &said)));
            parts.push(torch_part(health));
        }
    }
    parts
}

fn detailed(label: &str, state: State, detail: &str) -> Part {
    Part {
        detail: Some(detail.to_owned()),
        ..part(label, state)
    }
}

/// The torch of the Python that runs generated programs.
fn torch_part(health: AgentHealth) -> Part {
    let state = match &health.torch {
        Some(_) => State::Present,
        None => State::Missing,
    };
    let is_missing = health.torch.is_none();
    Part {
        version: health.torch,
        python: Some(health.python),
        detail: is_missing.then(|| "programs that need it get no result".to_owned()),
        ..part("torch", state)
    }
}

/// What models cost today, and whether they are asked any more.
async fn models_part(cloud: &Cloud, environment: &Environment) -> Part {
    let spent = cost::today(cloud, environment).await;
    let budget = environment.models.budget_per_day_usd;
    match spent {
        Ok(spent) if spent >= budget => detailed(
            "models",
            State::said("over budget"),
            &format!("{spent:.2} of {budget:.2} USD are spent: papers wait until 00:00 UTC"),
        ),
        Ok(spent) => detailed(
            "models",
            State::said("within budget"),
            &format!("{spent:.2} of {budget:.2} USD are spent since 00:00 UTC"),
        ),
        Err(error) => detailed("models", State::Unknown, &error.to_string()),
    }
}

/// The search domain of the stack; `None` when the environment names its own OpenSearch.
async fn domain_part(cloud: &Cloud, deployed: &Deployed) -> Result<Option<Part>, CommandError> {
    let Some(name) = deployed.deployment.search_domain() else {
        return Ok(None);
    };
    let answer = cloud
        .opensearch
        .describe_domain()
        .domain_name(name)
        .send()
        .await;
    let answer = answer.map_err(CommandError::aws(format!("describe the domain {name}")))?;
    let status = answer.domain_status();
    let state = match status {
        Some(status) if status.processing() == Some(true) => State::Changing,
        Some(_) => State::Active,
        None => State::Unknown,
    };
    let version = status.and_then(|it| it.engine_version());
    Ok(Some(Part {
        version: version.map(str::to_owned),
        ..named("domain", state, name)
    }))
}

/// The stack of the instances, and each of them.
async fn instance_parts(
    cloud: &Cloud,
    pipeline: &Deployed,
    environment: &Environment,
) -> Result<Vec<Part>, CommandError> {
    if environment.trainium.is_none() {
        return Ok(Vec::new());
    }
    let stack = environment.instances_stack_name();
    let deployed = Engine::new(cloud, stack.clone()).deployed().await?;
    let state = deployed.map_or(State::NotDeployed, |it| State::said(it.status.as_str()));
    let stack = named("instances", state, &stack);
    let seen = instances::seen(cloud, environment).await?;
    let refused = instances::refused_starts(cloud, pipeline).await?;
    let each = seen.into_iter().map(|it| {
        let why = refused.iter().find(|why| why.instance_id == it.id);
        let words = it.zone.into_iter().chain(why.map(instances::in_words));
        let detail = words.collect::<Vec<_>>().join(", ");
        Part {
            detail: (!detail.is_empty()).then_some(detail),
            ..named("instance", State::Said(it.state), &it.id)
        }
    });
    Ok(std::iter::once(stack).chain(each).collect())
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn a_running_service_has_address_process_and_log_as_fields() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let spec = process::ServiceSpec {
            name: Service::Papers.name(),
            program: "/bin/sleep".into(),
            args: vec!["600".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: None,
            port: Some(21_234),
        };
        let as_json = |part: &Part| serde_json::to_value(part).unwrap();
        let state = process::spawn(&home, &spec).unwrap();
        let part = service(&home, Service::Papers, Some("deep".to_owned()));
        assert!(!Service::Papers.has_died(&home));
        kill(Pid::from_raw(state.pid), Signal::SIGKILL).unwrap();
        let log = home.logs().join("paper-site.log");
        assert_eq!(
            as_json(&part),
            serde_json::json!({
                "part": "papers", "state": "runs", "address": "http://127.0.0.1:21234",
                "pid": state.pid, "log": log, "detail": "deep",
            })
        );
        let (pid, file) = (state.pid, log.display());
        let line = format!("127.0.0.1:21234, pid {pid}, deep, log {file}");
        assert_eq!(part.line(), line);
        while process::running(&home, Service::Papers.name()).is_some() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(Service::Papers.has_died(&home));
        let dead = service(&home, Service::Papers, Some("deep".to_owned()));
        assert_eq!(
            as_json(&dead),
            serde_json::json!({
                "part": "papers", "state": "stopped", "log": log,
                "detail": "it has died: `deploy` starts it again, deep",
            })
        );
        process::stop_now(&home, Service::Papers.name(), std::time::Duration::ZERO).unwrap();
        assert!(!Service::Papers.has_died(&home));
        let stopped = service(&home, Service::Papers, None);
        assert_eq!(
            as_json(&stopped),
            serde_json::json!({"part": "papers", "state": "stopped", "log": log})
        );
    }

    #[test]
    fn what_a_part_is_called_its_version_and_its_beginning_are_fields() {
        let health = |torch: serde_json::Value| {
            serde_json::from_value::<AgentHealth>(serde_json::json!({
                "status": "healthy", "isolation": "bubblewrap", "reason": null, "python": "3.12.3",
                "torch": torch, "neuron": false, "busy": 0, "slots": 1,
            }))
        };
        let torch = torch_part(health("2.9.0".into()).unwrap());
        assert_eq!(
            serde_json::to_value(&torch).unwrap(),
            serde_json::json!({
                "part": "torch", "state": "present", "version": "2.9.0", "python": "3.12.3",
            })
        );
        assert_eq!(torch.line(), "2.9.0, Python 3.12.3");
        let torch = torch_part(health(serde_json::Value::Null).unwrap());
        assert_eq!(torch.state, State::Missing);
        assert_eq!(
            torch.line(),
            "Python 3.12.3, programs that need it get no result"
        );
        let scrape = Part {
            since: DateTime::from_timestamp(1_767_323_045, 0),
            ..named("scrape", State::Runs, "iclr-2025")
        };
        assert_eq!(
            serde_json::to_value(&scrape).unwrap(),
            serde_json::json!({
                "part": "scrape", "state": "runs", "name": "iclr-2025",
                "since": "2026-01-02T03:04:05Z",
            })
        );
        assert_eq!(scrape.line(), "iclr-2025, begun 2026-01-02 03:04 UTC");
    }

    #[test]
    fn a_part_elsewhere_has_its_address_and_no_process() {
        let part = external("search", "http://search.example:9200");
        assert_eq!(
            serde_json::to_value(&part).unwrap(),
            serde_json::json!({
                "part": "search", "state": "external", "address": "http://search.example:9200",
            })
        );
        assert_eq!(part.line(), "http://search.example:9200");
    }
}
