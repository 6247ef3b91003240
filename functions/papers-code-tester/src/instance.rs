//! The instance that runs the agent: started when work waits, stopped when none does.
//!
//! It costs money while it runs, so it is stopped when nothing is queued or being run and it has been up
//! for ten minutes. The rule needs no memory: a start begins the ten minutes anew.

use std::time::{Duration, SystemTime};

use annapurna_contract::text::chain;
use aws_config::SdkConfig;
use aws_sdk_ec2::{
    Client,
    error::SdkError,
    types::{Instance, InstanceStateName as State},
};
use tracing::{info, warn};

/// How long an instance is up before it may be stopped: long enough to boot and to ask for a batch.
const LEAST_UP: Duration = Duration::from_secs(600);

/// A client of EC2 for one instance.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    client: Client,
    instance_id: String,
}

/// What to do about the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Stop,
    Leave,
}

impl Machine {
    pub(crate) fn new(sdk: &SdkConfig, instance_id: String) -> Self {
        Self {
            client: Client::new(sdk),
            instance_id,
        }
    }

    /// Starts or stops the instance as the work demands, and says how it is. An error is said and not
    /// returned: batches wait in their queue and the next look, a minute later, tries again.
    pub(crate) async fn tend(&self, work_waits: bool) -> String {
        match self.try_tend(work_waits).await {
            Ok(state) => state,
            Err(reason) => {
                let instance = &self.instance_id;
                warn!(instance, reason, "cannot start, stop or see the instance");
                format!("error: {reason}")
            }
        }
    }

    async fn try_tend(&self, work_waits: bool) -> Result<String, String> {
        let id = &self.instance_id;
        let output = self
            .client
            .describe_instances()
            .instance_ids(id)
            .send()
            .await;
        let output = output.map_err(reason)?;
        let reservations = output.reservations.unwrap_or_default();
        let mut instances = reservations
            .into_iter()
            .flat_map(|reservation| reservation.instances.unwrap_or_default());
        let instance = instances.next().ok_or("there is no such instance")?;
        let state = instance.state.as_ref().and_then(|state| state.name.clone());
        let state = state.unwrap_or(State::Pending);
        match step(&state, up_for(&instance), work_waits) {
            Step::Start => {
                let sent = self.client.start_instances().instance_ids(id).send().await;
                sent.map_err(reason)?;
                info!(instance = id, "started: work waits");
                Ok("starting".to_owned())
            }
            Step::Stop => {
                let sent = self.client.stop_instances().instance_ids(id).send().await;
                sent.map_err(reason)?;
                info!(instance = id, "stopped: nothing to do");
                Ok("stopping".to_owned())
            }
            Step::Leave => Ok(state.as_str().to_owned()),
        }
    }
}

fn step(state: &State, up_for: Duration, work_waits: bool) -> Step {
    match state {
        State::Stopped if work_waits => Step::Start,
        State::Running if !work_waits && up_for >= LEAST_UP => Step::Stop,
        _ => Step::Leave,
    }
}

fn up_for(instance: &Instance) -> Duration {
    let launched = instance
        .launch_time
        .and_then(|time| SystemTime::try_from(time).ok());
    launched
        .and_then(|time| time.elapsed().ok())
        .unwrap_or_default()
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
        let minute = Duration::from_secs(60);
        assert_eq!(step(&State::Stopped, minute, true), Step::Start);
        assert_eq!(step(&State::Stopped, minute, false), Step::Leave);
        assert_eq!(step(&State::Running, LEAST_UP, false), Step::Stop);
        assert_eq!(step(&State::Running, LEAST_UP - minute, false), Step::Leave);
        assert_eq!(step(&State::Running, LEAST_UP * 9, true), Step::Leave);
        assert_eq!(step(&State::Stopping, LEAST_UP, true), Step::Leave);
    }
}
