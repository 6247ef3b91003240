//! The agent as a process of this machine, with the credentials of its role.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_contract::text::{chain, one_line};
use annapurna_contract::{AgentConfig, AgentHealth, Backend, Isolation, PaperId};
use annapurna_local::process::{self, ServiceSpec};
use annapurna_local::{Home, emulator, ours};
use annapurna_stack::environment::LocalSandbox;

use crate::error::CommandError;

/// Name of its service: `logs/agent.log`, `run/agent.json`.
pub(crate) const AGENT: &str = "agent";

/// What the agent is told.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    /// The program, as this deploy built it.
    pub binary: &'a Path,
    /// Folder of `dataset_loader.py`.
    pub python_path: PathBuf,
    /// Interpreter of generated programs; without one the agent takes the first it finds.
    pub python: Option<PathBuf>,
    /// What programs train on.
    pub backend: Backend,
    /// What keeps programs from the rest of this machine.
    pub sandbox: LocalSandbox,
    /// Its queue and buckets.
    pub config: AgentConfig<String>,
    /// ARN of the role it assumes.
    pub role_arn: String,
    /// Region that its calls are signed for.
    pub region: &'a str,
    /// Address of the emulator, where all its calls go.
    pub endpoint_url: &'a str,
}

/// Starts the agent, or starts it again when its binary or what it is told has changed.
///
/// # Errors
///
/// When it does not answer in time.
pub(crate) async fn start(home: &Home, agent: Agent<'_>) -> Result<(), CommandError> {
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
    let own: [(&str, OsString); 10] = [
        ("AWS_CONFIG_FILE", aws.into()),
        ("AWS_PROFILE", "agent".into()),
        ("AWS_ENDPOINT_URL", agent.endpoint_url.into()),
        ("AWS_REGION", agent.region.into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("AGENT_STATE_DIR", state.into()),
        ("AGENT_BACKEND", agent.backend.as_str().into()),
        ("AGENT_ISOLATION", agent.sandbox.as_str().into()),
        ("AGENT_PYTHONPATH", agent.python_path.into()),
        ("AGENT_LISTEN", format!("127.0.0.1:{port}").into()),
    ];
    env.extend(own.map(|(name, value)| (name.into(), value)));
    env.extend(
        agent
            .python
            .map(|path| ("AGENT_PYTHON".into(), path.into())),
    );
    // Without root it asks the person's service manager, whose socket is below the second, for a control group.
    for name in ["PATH", "XDG_RUNTIME_DIR"] {
        env.extend(std::env::var_os(name).map(|value| (name.into(), value)));
    }
    let spec = ServiceSpec {
        name: AGENT,
        program: agent.binary.to_owned(),
        args: Vec::new(),
        env,
        cwd: home.root().to_owned(),
        user: None,
        port: Some(port),
    };
    ours::start(home, spec, port, emulator_start(home).as_deref()).await?;
    Ok(())
}

/// Why [`start`] would start it (again); `None` when it would not, as far as its binary and the emulator decide.
pub(crate) fn outdated(home: &Home, binary: &Path) -> Option<&'static str> {
    let is_cut_off = || ours::relied_on(home, AGENT) != emulator_start(home);
    ours::outdated(home, AGENT, binary).or_else(|| {
        is_cut_off()
            .then_some("the emulator was started again, and the session of its role ended with it")
    })
}

/// The start of the emulator, with which the session of the agent's role ends; one that is not ours says nothing of it.
fn emulator_start(home: &Home) -> Option<String> {
    process::running(home, emulator::SERVICE).map(|it| it.start_mark)
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

/// The port of its HTTP API on this machine; `None` when it does not run.
pub(crate) fn port(home: &Home) -> Option<u16> {
    process::running(home, AGENT)?.port
}

/// What the agent says about itself; `None` when it does not run.
///
/// # Errors
///
/// When it does not answer within five seconds, or with something else: why, in a line.
pub(crate) async fn health(home: &Home) -> Option<Result<AgentHealth, String>> {
    let port = port(home)?;
    Some(health_on(port).await.map_err(|error| chain(&error)))
}

async fn health_on(port: u16) -> Result<AgentHealth, reqwest::Error> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let url = format!("http://127.0.0.1:{port}/health");
    let answer = client.get(url).send().await?;
    answer.error_for_status()?.json().await
}

/// What keeps an agent that asks for a sandbox from having one.
pub(crate) fn refusal(health: &AgentHealth, sandbox: LocalSandbox) -> Option<String> {
    let is_refused =
        sandbox == LocalSandbox::Bubblewrap && health.isolation == Isolation::NotConfined;
    is_refused.then(|| match &health.reason {
        Some(reason) => one_line(reason, 1000),
        None => "the agent does not say why".to_owned(),
    })
}

/// The last fault of the agent's own, for which some program has no result yet: its word, and what was said of it.
pub(crate) fn last_fault(health: &AgentHealth) -> Option<(&'static str, String)> {
    let fault = health.faults.first()?;
    let paper = fault.paper_id.as_ref().map_or("none", PaperId::as_str);
    let said = format!("{}, paper {paper}: {}", fault.at, fault.error);
    Some((fault.status.as_str(), one_line(&said, 300)))
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};

    use super::*;

    #[test]
    fn the_newest_fault_is_the_last() {
        let fault = |error: &str| {
            serde_json::json!({
                "at": "2026-01-02T03:04:05.000Z", "paper_id": "adam", "batch_id": "b1",
                "status": "agent_error", "error": error,
            })
        };
        let health = |faults: Vec<serde_json::Value>| -> AgentHealth {
            serde_json::from_value(serde_json::json!({
                "status": "healthy", "isolation": "bubblewrap", "reason": null, "python": "3.12.3",
                "torch": null, "neuron": false, "busy": 0, "slots": 1, "faults": faults,
            }))
            .unwrap()
        };
        assert_eq!(last_fault(&health(Vec::new())), None);
        let (word, said) =
            last_fault(&health(vec![fault("no program\nthere"), fault("older")])).unwrap();
        assert_eq!(word, "agent_error");
        assert_eq!(
            said,
            "2026-01-02T03:04:05.000Z, paper adam: no program there"
        );
    }

    #[test]
    fn only_who_asks_for_a_sandbox_misses_one() {
        let health = |isolation: &str| -> AgentHealth {
            serde_json::from_value(serde_json::json!({
                "status": "unhealthy", "isolation": isolation, "reason": "no\ncontrol group", "python": "3.12.3",
                "torch": null, "neuron": false, "busy": 0, "slots": 1, "faults": [],
            }))
            .unwrap()
        };
        let (none, wanted) = (health("none"), LocalSandbox::Bubblewrap);
        assert_eq!(refusal(&none, wanted).unwrap(), "no control group");
        assert_eq!(refusal(&none, LocalSandbox::None), None);
        assert_eq!(refusal(&health("bubblewrap"), wanted), None);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_health_is_an_error_and_not_an_agent_without_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/health", get(|| async { r#"{"status": "healthy"}"# }));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let error = health_on(port).await.unwrap_err();
        assert!(error.is_decode(), "{error:?}");
        assert!(chain(&error).contains("isolation"), "{}", chain(&error));
        server.abort();
        let _ = server.await;
        assert!(health_on(port).await.unwrap_err().is_connect());
    }
}
