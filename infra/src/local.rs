//! The environment on this machine: which services it has, and how they start, are seen and stop.
//!
//! `annapurna-local` knows how to run a service; this module knows which ones this environment needs
//! and what they are told. Two of them, the model and the paper site, are this same program with a
//! hidden command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use annapurna_contract::AgentConfig;
use annapurna_local::emulator::{self, EmulatorOptions};
use annapurna_local::model::Backend;
use annapurna_local::process::{self, Detached, ServiceSpec};
use annapurna_local::{Home, LocalError, Progress, opensearch, python, torch};
use annapurna_stack::environment::{Environment, LocalSettings, ModelSettings, SearchSettings};
use annapurna_stack::parameters::Parameter;

use crate::error::CommandError;

/// The model's service.
pub const MODEL: &str = "model";
/// The paper site's service.
pub const PAPER_SITE: &str = "paper-site";
/// The agent's service.
pub const AGENT: &str = "agent";
/// Variable with which the model's process is told its backend; not an argument, since it may hold a
/// key and arguments are visible to every user.
pub const BACKEND_VARIABLE: &str = "ANNAPURNA_MODEL_BACKEND";
/// Variable that names another site than the sample papers, for tests with recorded responses.
pub const PAPER_SITE_VARIABLE: &str = "ANNAPURNA_PAPER_SITE_URL";

/// How long a service may take to end.
const GRACE: Duration = Duration::from_secs(20);
const START_LIMIT: Duration = Duration::from_secs(30);

/// Addresses of the services that the stack refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// The emulator, or the one the environment names.
    pub endpoint_url: String,
    /// What answers for Bedrock.
    pub model_url: String,
    /// The site with the sample papers.
    pub paper_site_url: String,
}

impl Services {
    /// The template's parameters that name them.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (Parameter::ModelUrl.name(), self.model_url.clone()),
            (Parameter::PaperSiteUrl.name(), self.paper_site_url.clone()),
        ])
    }
}

/// The backend that the environment's file names.
///
/// # Errors
///
/// When the file names a variable for the key that is not set.
pub fn backend(settings: &ModelSettings) -> Result<Backend, CommandError> {
    Ok(match settings {
        ModelSettings::OfflineRules => Backend::OfflineRules,
        ModelSettings::OpenAi {
            base_url,
            model,
            api_key_variable,
            embeddings_model,
        } => {
            let api_key = api_key_variable.as_ref().map(|name| {
                std::env::var(name).map_err(|_| CommandError::Usage {
                    problem: format!("local.model.api-key-variable names {name}, which is not set"),
                    hint: format!("export {name}=…, or remove the key"),
                })
            });
            Backend::OpenAi {
                base_url: base_url.clone(),
                model: model.clone(),
                api_key: api_key.transpose()?,
                embeddings_model: embeddings_model.clone(),
            }
        }
        ModelSettings::Bedrock { region, profile } => Backend::Bedrock {
            region: region.clone(),
            profile: profile.clone(),
        },
    })
}

/// The services as they run now; `None` when one that the stack refers to does not.
pub fn running(home: &Home, settings: &LocalSettings) -> Option<Services> {
    let on = |name| process::running(home, name)?.port.map(loopback);
    let own = || emulator::running(home).map(|it| it.endpoint_url);
    Some(Services {
        endpoint_url: settings.endpoint_url.clone().or_else(own)?,
        model_url: on(MODEL)?,
        paper_site_url: paper_site_override().or_else(|| on(PAPER_SITE))?,
    })
}

fn paper_site_override() -> Option<String> {
    std::env::var(PAPER_SITE_VARIABLE)
        .ok()
        .filter(|url| !url.is_empty())
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Installs and starts everything but the agent, each part unless it is there already.
///
/// # Errors
///
/// [`LocalError`] with the tail of the log of the service that did not start.
pub async fn start(
    home: &Home,
    environment: &Environment,
    settings: &LocalSettings,
    progress: &dyn Progress,
) -> Result<Services, CommandError> {
    python::ensure_venv(home, progress).await?;
    let search = match &environment.search {
        SearchSettings::Url(_) => None,
        SearchSettings::Domain { .. } => {
            opensearch::prepare(home, progress).await?;
            progress.note("starting OpenSearch");
            Some(opensearch::start(home, &Detached).await?.host_and_port)
        }
    };
    let endpoint_url = match &settings.endpoint_url {
        Some(url) => url.clone(),
        None => {
            progress.note("starting the cloud emulator");
            let options = EmulatorOptions {
                search_endpoint: search,
                region: environment.region.clone(),
                ..EmulatorOptions::default()
            };
            emulator::start(home, &options, &Detached)
                .await?
                .endpoint_url
        }
    };
    let backend = serde_json::to_string(&backend(&settings.model)?)?;
    let model = own_service(
        home,
        MODEL,
        "serve-model",
        vec![(BACKEND_VARIABLE.into(), backend.into())],
    );
    let papers = own_service(home, PAPER_SITE, "serve-papers", Vec::new());
    let (model_url, own_papers) = tokio::try_join!(model, papers)?;
    Ok(Services {
        endpoint_url,
        model_url,
        paper_site_url: paper_site_override().unwrap_or(own_papers),
    })
}

/// Starts this program with a hidden command, unless it runs with the same program and variables.
async fn own_service(
    home: &Home,
    name: &'static str,
    command: &str,
    mut env: Vec<(OsString, OsString)>,
) -> Result<String, CommandError> {
    let program = std::env::current_exe().map_err(CommandError::file("find", "this program"))?;
    let port = process::remembered_port(home, name)?;
    env.extend(inherited());
    let spec = ServiceSpec {
        name,
        program: program.clone(),
        args: vec![command.into(), "--port".into(), port.to_string().into()],
        env,
        cwd: home.root().to_owned(),
        user: None,
        port: Some(port),
    };
    start_current(home, spec, "").await?;
    let url = loopback(port);
    let health = format!("{url}/health");
    process::wait_for_answer(home, name, START_LIMIT, async || {
        process::answers(&health).await
    })
    .await?;
    Ok(url)
}

/// What this program's own services may know of this process's environment: where to find the user's
/// AWS configuration (for the Bedrock backend), certificates and proxies.
fn inherited() -> Vec<(OsString, OsString)> {
    std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            ["PATH", "HOME", "RUST_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR"].contains(&name.as_ref())
                || ["AWS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
                    .iter()
                    .any(|it| name.starts_with(it))
        })
        .collect()
}

/// Starts a service, or starts it again when its program, what it is told or what it `relies_on` has
/// changed since.
async fn start_current(
    home: &Home,
    spec: ServiceSpec,
    relies_on: &str,
) -> Result<(), CommandError> {
    let told = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(format!(
        "{:?}{:?}{:?}{:?}{relies_on}",
        spec.program,
        spec.args,
        spec.env,
        modified(&spec.program)
    )));
    let note = home.run().join(format!("{}.told", spec.name));
    let unchanged = std::fs::read_to_string(&note).is_ok_and(|known| known == told);
    if unchanged && process::running(home, spec.name).is_some() {
        return Ok(());
    }
    process::stop(home, spec.name, GRACE).await?;
    process::spawn(home, &spec)?;
    std::fs::write(&note, told).map_err(CommandError::file("write", note))?;
    Ok(())
}

fn modified(path: &Path) -> Option<Duration> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    time.duration_since(UNIX_EPOCH).ok()
}

/// What the agent is told.
#[derive(Debug)]
pub struct Agent<'a> {
    /// Its binary.
    pub binary: &'a Path,
    /// Folder of `dataset_loader.py`.
    pub python_path: PathBuf,
    /// Interpreter with torch, when one was found.
    pub python: Option<PathBuf>,
    /// Its queue and buckets.
    pub config: AgentConfig<String>,
    /// ARN of the role it assumes.
    pub role_arn: String,
    /// AWS region.
    pub region: &'a str,
    /// The emulator.
    pub endpoint_url: &'a str,
}

/// Starts the agent, or starts it again when its binary or what it is told has changed.
///
/// # Errors
///
/// When it does not answer in time.
pub async fn start_agent(home: &Home, agent: Agent<'_>) -> Result<(), CommandError> {
    let port = process::remembered_port(home, AGENT)?;
    let state = home.data().join("agent");
    std::fs::create_dir_all(&state).map_err(CommandError::file("make", &state))?;
    let aws = write_agent_profile(home, &agent)?;
    let mut env: Vec<(OsString, OsString)> = agent
        .config
        .into_variables()
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let own: [(&str, OsString); 8] = [
        ("AWS_CONFIG_FILE", aws.into()),
        ("AWS_PROFILE", "agent".into()),
        ("AWS_ENDPOINT_URL", agent.endpoint_url.into()),
        ("AWS_REGION", agent.region.into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("AGENT_STATE_DIR", state.into()),
        ("AGENT_PYTHONPATH", agent.python_path.into()),
        ("AGENT_LISTEN", format!("127.0.0.1:{port}").into()),
    ];
    env.extend(own.map(|(name, value)| (name.into(), value)));
    env.extend(
        agent
            .python
            .map(|path| ("AGENT_PYTHON".into(), path.into())),
    );
    env.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
    let spec = ServiceSpec {
        name: AGENT,
        program: agent.binary.to_owned(),
        args: Vec::new(),
        env,
        cwd: home.root().to_owned(),
        user: None,
        port: Some(port),
    };
    // The role's session ends with the emulator that gave it.
    let emulator = process::running(home, emulator::SERVICE).map(|it| it.start_mark);
    start_current(home, spec, &emulator.unwrap_or_default()).await?;
    let health = format!("{}/health", loopback(port));
    process::wait_for_answer(home, AGENT, START_LIMIT, async || {
        process::answers(&health).await
    })
    .await?;
    Ok(())
}

/// A configuration with which every AWS SDK assumes the agent's role, so that its policies hold for the
/// agent on this machine as they do on the instance.
fn write_agent_profile(home: &Home, agent: &Agent<'_>) -> Result<PathBuf, CommandError> {
    let path = home.run().join("agent.aws");
    let text = format!(
        "[profile agent]\nrole_arn = {}\nsource_profile = root\nregion = {}\n\n\
         [profile root]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        agent.role_arn,
        agent.region,
        emulator::ROOT_ACCESS_KEY,
        emulator::ROOT_SECRET_KEY,
    );
    std::fs::write(&path, text).map_err(CommandError::file("write", &path))?;
    Ok(path)
}

/// What the agent says about itself, when it runs.
pub async fn agent_health(home: &Home) -> Option<serde_json::Value> {
    let port = process::running(home, AGENT)?.port?;
    let url = format!("{}/health", loopback(port));
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .ok()?;
    client.get(url).send().await.ok()?.json().await.ok()
}

/// The interpreter for generated programs: the one the settings name, or the first with torch.
pub async fn python_with_torch(
    home: &Home,
    settings: &LocalSettings,
) -> Option<torch::TorchPython> {
    torch::find(settings.python.as_deref(), home).await
}

/// Stops everything, the agent first and the index last, and removes the environment's folder.
///
/// # Errors
///
/// When a process cannot be ended or a file not removed.
pub async fn remove(home: &Home, progress: &dyn Progress) -> Result<(), CommandError> {
    stop(home, progress).await?;
    match std::fs::remove_dir_all(home.root()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CommandError::file("remove", home.root())(error))
        }
        _ => {
            // The folder of all environments goes with its last one; it stays while it holds another.
            let _ = home.root().parent().map(std::fs::remove_dir);
            Ok(())
        }
    }
}

/// Stops everything; what it stored stays.
///
/// # Errors
///
/// When a process cannot be ended.
pub async fn stop(home: &Home, progress: &dyn Progress) -> Result<(), LocalError> {
    for name in [AGENT, PAPER_SITE, MODEL] {
        progress.note(&format!("stopping {name}"));
        process::stop(home, name, GRACE).await?;
    }
    progress.note("stopping the cloud emulator");
    emulator::stop(home).await?;
    progress.note("stopping OpenSearch");
    opensearch::stop(home).await?;
    Ok(())
}

/// Why a deploy would start the agent (again); `None` when it runs and its binary is the current one.
pub fn agent_outdated(home: &Home, binary: &Path) -> Option<&'static str> {
    let Some(state) = process::running(home, AGENT) else {
        return Some("it does not run");
    };
    let newer = modified(binary)?.as_secs() > state.started_at;
    newer.then_some("its binary changed")
}
