//! Which of an environment's services have died: before a command begins, and while it is under way.
//!
//! Every command passes here. Clients of AWS and of the index try again for half a minute when nobody answers, which is
//! right for a network and wrong for a process of this machine that is gone: whoever waits for one is told so at once.

use std::pin::pin;
use std::time::Duration;

use annapurna_local::Home;
use annapurna_stack::environment::Environment;
use tokio::time::{sleep, timeout};

use super::service::Service;
use super::wants_opensearch;
use crate::error::CommandError;

/// Between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a command may still say what it has in hand, after a service that it needs has died. As long may a process
/// that answers no more take to end: its sockets close before it is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The services that this machine runs for one environment; none for an environment in AWS.
#[derive(Debug)]
pub(crate) struct Watch {
    environment: String,
    home: Home,
    services: Vec<Service>,
}

impl Watch {
    /// Those that the environment's file does not say somebody else runs.
    pub(crate) fn over(environment: &Environment, home: Home) -> Self {
        let services = environment.local().map_or_else(Vec::new, |settings| {
            let is_here = |it: &Service| match it {
                Service::Cloud => settings.endpoint_url.is_none(),
                Service::Search => wants_opensearch(environment),
                Service::Model | Service::Papers | Service::Agent => true,
            };
            Service::ALL.into_iter().filter(is_here).collect()
        });
        Self {
            environment: environment.name.clone(),
            home,
            services,
        }
    }

    /// Every service that has died, as an error; `None` when none has.
    pub(crate) fn stopped(&self) -> Option<CommandError> {
        let died = self.services.iter().filter(|it| it.has_died(&self.home));
        let services: Vec<Service> = died.copied().collect();
        (!services.is_empty()).then(|| CommandError::Stopped {
            environment: self.environment.clone(),
            services,
        })
    }

    /// Whether one of these has died.
    pub(crate) fn lacks(&self, needed: &[Service]) -> bool {
        let here = self.services.iter().filter(|it| needed.contains(it));
        here.into_iter().any(|it| it.has_died(&self.home))
    }

    /// Runs a command, or a part of one, that comes to nothing without the services it needs.
    ///
    /// # Errors
    ///
    /// Its own, or [`CommandError::Stopped`] within seconds when one of them dies meanwhile.
    pub(crate) async fn during<T>(
        &self,
        needed: &[Service],
        command: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        if !self.services.iter().any(|it| needed.contains(it)) {
            return command.await;
        }
        let mut command = pin!(command);
        let outcome = tokio::select! {
            biased;
            outcome = &mut command => outcome,
            stopped = self.death(needed) => match timeout(LAST_WORDS, &mut command).await {
                Ok(outcome) => outcome,
                // Several that are killed at once are not gone at once.
                Err(_) => Err(self.stopped().unwrap_or(stopped)),
            }
        };
        match outcome {
            Err(error) if error.is_of_a_service() => {
                let death = timeout(LAST_WORDS, self.death(needed)).await;
                Err(death.unwrap_or(error))
            }
            outcome => outcome,
        }
    }

    /// Waits until one of these has died, and says all that have.
    async fn death(&self, needed: &[Service]) -> CommandError {
        loop {
            if self.lacks(needed)
                && let Some(stopped) = self.stopped()
            {
                return stopped;
            }
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use annapurna_local::process::{self, ServiceSpec};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;
    use crate::error::Obstacle;

    fn watch(environment: &str, folder: &Path) -> Watch {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
        let environment = Environment::load(&files, environment).unwrap();
        Watch::over(&environment, Home::new(folder))
    }

    /// Starts something in the service's place and returns its process id.
    fn begin(watch: &Watch, service: Service) -> Pid {
        let spec = ServiceSpec {
            name: service.name(),
            program: "/bin/sleep".into(),
            args: vec!["600".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: None,
            port: None,
        };
        Pid::from_raw(process::spawn(&watch.home, &spec).unwrap().pid)
    }

    fn network() -> CommandError {
        CommandError::Passing {
            doing: "ask".to_owned(),
            obstacle: Obstacle::Network,
            reason: "connection refused".to_owned(),
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_service_that_dies_is_told_within_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let watch = watch("local", folder.path());
        let emulator = begin(&watch, Service::Cloud);
        let model = begin(&watch, Service::Model);
        let begun = Instant::now();
        let hangs = async {
            kill(emulator, Signal::SIGKILL).unwrap();
            kill(model, Signal::SIGKILL).unwrap();
            std::future::pending::<Result<(), CommandError>>().await
        };
        let error = watch.during(&[Service::Cloud], hangs).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(
            error.to_string(),
            "stopped in `local`: the cloud emulator and the model"
        );
        let hint = error.hint().unwrap();
        assert!(hint.contains("`cargo infra deploy local` starts"), "{hint}");
        assert!(hint.contains("restarts the agent"), "{hint}");
    }

    #[tokio::test]
    async fn an_error_is_the_services_only_where_the_command_needs_one_that_died() {
        let folder = tempfile::tempdir().unwrap();
        let watch = watch("local", folder.path());
        let model = begin(&watch, Service::Model);
        let emulator = begin(&watch, Service::Cloud);
        let fails = async || {
            // A second time it may be gone.
            let _ = kill(model, Signal::SIGKILL);
            Err::<(), _>(network())
        };
        let error = watch.during(&[Service::Cloud], fails()).await.unwrap_err();
        assert!(matches!(error, CommandError::Passing { .. }), "{error}");
        let error = watch.during(&[Service::Model], fails()).await.unwrap_err();
        assert_eq!(error.to_string(), "stopped in `local`: the model");
        let usage = async { Err::<(), _>(CommandError::Interrupted) };
        let error = watch.during(&[Service::Model], usage).await.unwrap_err();
        assert!(matches!(error, CommandError::Interrupted), "{error}");
        let done = watch.during(&[Service::Model], async { Ok(7) }).await;
        assert_eq!(done.unwrap(), 7, "an answer that is there is given");
        kill(emulator, Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn an_environment_in_aws_has_no_service_here() {
        let folder = tempfile::tempdir().unwrap();
        let watch = watch("dev", folder.path());
        let model = begin(&watch, Service::Model);
        kill(model, Signal::SIGKILL).unwrap();
        let fails = async { Err::<(), _>(network()) };
        let error = watch.during(&Service::ALL, fails).await.unwrap_err();
        assert!(matches!(error, CommandError::Passing { .. }), "{error}");
        assert!(watch.stopped().is_none());
    }
}
