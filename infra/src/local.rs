//! The environment on this machine: which services it has, and how they start, are seen and stop.
//!
//! `annapurna-local` knows how to run a service; this module knows which ones this environment needs
//! and what they are told. Two of them, the model and the paper site, are this same program with a
//! hidden command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;

use annapurna_local::doctor::Wanted;
use annapurna_local::emulator::{self, EmulatorOptions};
use annapurna_local::installation::{self, Installation};
use annapurna_local::model::Backend;
use annapurna_local::process::{self, Detached, ServiceSpec};
use annapurna_local::torch::InstallPlan;
use annapurna_local::{Home, LocalError, Progress, lock, opensearch, ours};
use annapurna_stack::environment::{
    Environment, LocalSandbox, LocalSettings, ModelSettings, SearchSettings,
};
use annapurna_stack::parameters::Parameter;

use crate::error::CommandError;

pub(crate) mod agent;
pub(crate) mod removal;
pub(crate) mod service;
pub(crate) mod watch;

/// The service that answers for Bedrock: `logs/model.log`, `run/model.json`.
pub(crate) const MODEL: &str = "model";
/// The service that answers for every paper site.
pub(crate) const PAPER_SITE: &str = "paper-site";
/// Variable with which the model's process is told its backend; not an argument, since it may hold a
/// key and arguments are visible to every user.
pub const BACKEND_VARIABLE: &str = "ANNAPURNA_MODEL_BACKEND";
/// Variable that names another site than the sample papers, for tests with recorded responses.
const PAPER_SITE_VARIABLE: &str = "ANNAPURNA_PAPER_SITE_URL";

/// Addresses of the services that the stack refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Services {
    /// The emulator, or the one the environment names.
    pub endpoint_url: String,
    /// What answers for Bedrock: `http://127.0.0.1:PORT`.
    pub model_url: String,
    /// The site with the sample papers.
    pub paper_site_url: String,
}

impl Services {
    /// The template's parameters that name them.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
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
pub(crate) fn backend(settings: &ModelSettings) -> Result<Backend, CommandError> {
    let mut backend = backend_without_key(settings);
    if let Backend::OpenAi { api_key, .. } = &mut backend
        && let ModelSettings::OpenAi {
            api_key_variable: Some(name),
            ..
        } = settings
    {
        let key = std::env::var(name).map_err(|_| CommandError::Usage {
            problem: format!("local.model.api-key-variable names {name}, which is not set"),
            hint: format!("export {name}=…, or remove the key"),
        })?;
        *api_key = Some(key);
    }
    Ok(backend)
}

/// What the backend of the environment's file is called, whether or not it can be used.
pub(crate) fn model_label(settings: &ModelSettings) -> String {
    backend_without_key(settings).label()
}

fn backend_without_key(settings: &ModelSettings) -> Backend {
    match settings {
        ModelSettings::OfflineRules => Backend::OfflineRules,
        ModelSettings::OpenAi {
            base_url,
            model,
            embeddings_model,
            ..
        } => Backend::OpenAi {
            base_url: base_url.clone(),
            model: model.clone(),
            api_key: None,
            embeddings_model: embeddings_model.clone(),
        },
        ModelSettings::Bedrock { region, profile } => Backend::Bedrock {
            region: region.clone(),
            profile: profile.clone(),
        },
    }
}

/// The address of the environment's cloud; `None` where its emulator does not run.
pub(crate) fn cloud_url(home: &Home, settings: &LocalSettings) -> Option<String> {
    let own = || emulator::running(home).map(|it| it.endpoint_url);
    settings.endpoint_url.clone().or_else(own)
}

/// The services as they run now; `None` when one that the stack refers to does not.
pub(crate) fn running(home: &Home, settings: &LocalSettings) -> Option<Services> {
    let on = |name| process::running(home, name)?.port.map(loopback);
    Some(Services {
        endpoint_url: cloud_url(home, settings)?,
        model_url: on(MODEL)?,
        paper_site_url: paper_site_override().or_else(|| on(PAPER_SITE))?,
    })
}

/// Keeps other deployments and removals of the environment off as long as the value lives.
///
/// # Errors
///
/// [`CommandError::Usage`] when another process is at it.
pub(crate) fn alone(home: &Home, environment: &Environment) -> Result<File, CommandError> {
    let name = &environment.name;
    lock::claim(&home.root().join("deploy.lock"))?.map_err(|holder| {
        let who = match holder {
            Some(pid) => format!("process {pid}"),
            None => "another process".to_owned(),
        };
        CommandError::Usage {
            problem: format!("{who} is deploying or destroying `{name}`"),
            hint: format!("wait until it has ended; cargo infra status {name} shows what runs"),
        }
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

/// What `environment` wants of this machine.
pub(crate) fn wanted<'a>(environment: &Environment, settings: &'a LocalSettings) -> Wanted<'a> {
    Wanted {
        torch_python: settings.python.as_deref(),
        opensearch: wants_opensearch(environment),
        sandbox: settings.sandbox == LocalSandbox::Bubblewrap,
    }
}

/// Whether this machine runs an OpenSearch for the environment: its file may name another one.
pub(crate) fn wants_opensearch(environment: &Environment) -> bool {
    matches!(environment.search, SearchSettings::Domain { .. })
}

/// Installs what this environment needs of the machine: its services, and what `programs` plans.
///
/// # Errors
///
/// [`LocalError::Download`] names the file, the reason and what mends it.
pub(crate) async fn prepare(
    home: &Home,
    environment: &Environment,
    programs: &InstallPlan,
    progress: &dyn Progress,
) -> Result<Installation, LocalError> {
    installation::prepare(home, wants_opensearch(environment), programs, progress).await
}

/// Starts everything but the agent, each part unless it runs already.
///
/// # Errors
///
/// [`LocalError`] with the tail of the log of the service that did not start.
pub(crate) async fn start(
    home: &Home,
    installed: &Installation,
    environment: &Environment,
    settings: &LocalSettings,
    progress: &dyn Progress,
) -> Result<Services, CommandError> {
    let search = match &installed.opensearch {
        None => None,
        Some(distribution) => {
            progress.note("starting OpenSearch");
            let search = opensearch::start(home, distribution, &Detached).await?;
            Some(search.host_and_port)
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
            emulator::start(home, &installed.venv, &options, &Detached)
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
        program,
        args: vec![command.into(), "--port".into(), port.to_string().into()],
        env,
        cwd: home.root().to_owned(),
        user: None,
        port: Some(port),
    };
    Ok(ours::start(home, spec, port, None).await?)
}

/// What this program's own services may know of this process's environment: where to find the user's
/// AWS configuration (for the Bedrock backend), certificates and proxies.
fn inherited() -> Vec<(OsString, OsString)> {
    std::env::vars_os()
        .filter(|(name, _)| is_inherited(&name.to_string_lossy()))
        .collect()
}

/// Programs take the names of proxies in either case.
fn is_inherited(name: &str) -> bool {
    let is_proxy = |proxy: &&str| name.eq_ignore_ascii_case(proxy);
    ["PATH", "HOME", "RUST_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR"].contains(&name)
        || name.starts_with("AWS_")
        || ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
            .iter()
            .any(is_proxy)
}

/// Stops everything, the agent first and the index last; what it stored stays.
///
/// # Errors
///
/// When a process cannot be ended.
async fn stop(home: &Home, progress: &dyn Progress) -> Result<(), LocalError> {
    for name in [agent::AGENT, PAPER_SITE, MODEL] {
        progress.note(&format!("stopping {name}"));
        ours::stop(home, name).await?;
    }
    progress.note("stopping the cloud emulator");
    emulator::stop(home).await?;
    progress.note("stopping OpenSearch");
    opensearch::stop(home).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_are_told_of_proxies_in_either_case_and_of_no_keys() {
        for name in ["https_proxy", "HTTPS_PROXY", "no_proxy", "AWS_PROFILE"] {
            assert!(is_inherited(name), "{name}");
        }
        for name in ["OPENAI_API_KEY", "path", "MY_HTTPS_PROXY", "aws_profile"] {
            assert!(!is_inherited(name), "{name}");
        }
    }
}
