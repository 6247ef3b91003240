//! The instance that runs the agent: started when work waits, stopped when none does.
//!
//! It costs money while it runs, so it is stopped when nothing is queued or being run and it has been up
//! for ten minutes. The rule needs no memory: a start begins the ten minutes anew.

use std::fmt;
use std::time::{Duration, SystemTime};

use annapurna_contract::text::chain;
use aws_config::SdkConfig;
use aws_sdk_ec2::{
    Client,
    error::SdkError,
    types::{Instance, InstanceStateName as State},
};
use serde::{Serialize, Serializer};
use tracing::{info, warn};

/// How long an instance is up before it may be stopped: long enough to boot and to ask for a batch.
const LEAST_UP: Duration = Duration::from_secs(600);

/// The instance of `TRAINIUM_INSTANCE_ID`, as EC2 shows it.
#[derive(Debug, Clone)]
pub(crate) struct TrainiumInstance {
    client: Client,
    instance_id: String,
}

/// How the instance is after a look at it; one word in an answer, or `error: ` and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum InstanceStatus {
    /// The agent is a process: there is none.
    #[default]
    None,
    /// It was stopped and is being started.
    Starting,
    /// It was idle and is being stopped.
    Stopping,
    /// It is left as it is.
    As(State),
    /// It could not be seen, started or stopped.
    Unseen(String),
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Starting => f.write_str("starting"),
            Self::Stopping => f.write_str("stopping"),
            Self::As(state) => f.write_str(state.as_str()),
            Self::Unseen(reason) => write!(f, "error: {reason}"),
        }
    }
}

impl Serialize for InstanceStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What to do about the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Stop,
    Leave,
}

impl TrainiumInstance {
    pub(crate) fn new(sdk: &SdkConfig, instance_id: String) -> Self {
        Self {
            client: Client::new(sdk),
            instance_id,
        }
    }

    /// Starts or stops the instance as the work demands, and says how it is. An error is said and not
    /// returned: batches wait in their queue and the next look, a minute later, tries again.
    pub(crate) async fn tend(&self, work_waits: bool) -> InstanceStatus {
        match self.try_tend(work_waits).await {
            Ok(state) => state,
            Err(reason) => {
                let instance = &self.instance_id;
                warn!(instance, reason, "cannot start, stop or see the instance");
                InstanceStatus::Unseen(reason)
            }
        }
    }

    async fn try_tend(&self, work_waits: bool) -> Result<InstanceStatus, String> {
        let id = &self.instance_id;
        let output = self
            .client
            .describe_instances()
            .instance_ids(id)
            .send()
            .await;
        let output = output.map_err(reason)?;
        let reservations = output.reservations.into_iter().flatten();
        let mut instances = reservations.flat_map(|it| it.instances.into_iter().flatten());
        let instance = instances.next().ok_or("there is no such instance")?;
        let state = instance.state.as_ref().and_then(|state| state.name.clone());
        let state = state.unwrap_or(State::Pending);
        match step(&state, up_for(&instance), work_waits) {
            Step::Start => {
                let sent = self.client.start_instances().instance_ids(id).send().await;
                sent.map_err(reason)?;
                info!(instance = id, "started: work waits");
                Ok(InstanceStatus::Starting)
            }
            Step::Stop => {
                let sent = self.client.stop_instances().instance_ids(id).send().await;
                sent.map_err(reason)?;
                info!(instance = id, "stopped: nothing to do");
                Ok(InstanceStatus::Stopping)
            }
            Step::Leave => Ok(InstanceStatus::As(state)),
        }
    }
}

fn step(state: &State, up_for: Option<Duration>, work_waits: bool) -> Step {
    match state {
        State::Stopped if work_waits => Step::Start,
        State::Running if !work_waits && up_for >= Some(LEAST_UP) => Step::Stop,
        _ => Step::Leave,
    }
}

/// `None` when EC2 does not say since when; then it is not known to have been up for long.
fn up_for(instance: &Instance) -> Option<Duration> {
    let launched = SystemTime::try_from(instance.launch_time?).ok()?;
    launched.elapsed().ok()
}

fn reason<E, R>(error: SdkError<E, R>) -> String
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    chain(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_starts_for_work_and_stops_without_it() {
        let minute = Some(Duration::from_secs(60));
        let long = Some(LEAST_UP);
        assert_eq!(step(&State::Stopped, minute, true), Step::Start);
        assert_eq!(step(&State::Stopped, minute, false), Step::Leave);
        assert_eq!(step(&State::Running, long, false), Step::Stop);
        assert_eq!(step(&State::Running, minute, false), Step::Leave);
        assert_eq!(step(&State::Running, None, false), Step::Leave);
        assert_eq!(step(&State::Running, Some(LEAST_UP * 9), true), Step::Leave);
        assert_eq!(step(&State::Stopping, long, true), Step::Leave);
    }
}
