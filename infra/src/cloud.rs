//! The AWS clients of a command, pointed at the environment's cloud.

use annapurna_cloud::{Sqs, s3_client};
use annapurna_stack::environment::{Environment, Place};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use std::time::Duration;

use crate::error::CommandError;

/// Tries of one request in all. CloudFormation throttles a whole account, so three tries, as the SDK has them, end
/// a deployment because of what somebody else does.
const ATTEMPTS: u32 = 12;
/// The wait after the first failure is at most this; it doubles, and the SDK takes a random part of it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The waits grow to this and no further, so twelve tries take half a minute on average.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// One request with all its tries; an upload has a limit of its own.
const REQUEST_LIMIT: Duration = Duration::from_secs(300);

/// Clients that share one configuration.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// Credentials, region and endpoint, for clients that are made elsewhere.
    pub config: SdkConfig,
    /// Stacks and their change sets.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// The state of the Trainium instance.
    pub ec2: aws_sdk_ec2::Client,
    /// Simulation of policies.
    pub iam: aws_sdk_iam::Client,
    /// Calls of functions.
    pub lambda: aws_sdk_lambda::Client,
    /// The functions' logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// The state of the search domain; the index itself is asked through `index`.
    pub opensearch: aws_sdk_opensearch::Client,
    /// Code, and buckets as a whole; single objects are read through `annapurna-cloud`.
    pub s3: aws_sdk_s3::Client,
    /// Executions of a scrape.
    pub sfn: aws_sdk_sfn::Client,
    /// Queues, their lengths and dead letters.
    pub sqs: Sqs,
    /// Restarts the agent on its instance.
    pub ssm: aws_sdk_ssm::Client,
    /// Whose credentials these are.
    pub sts: aws_sdk_sts::Client,
}

impl Cloud {
    /// The environment's cloud: AWS with the user's own credentials, or the emulator at
    /// `local_endpoint` with the emulator's.
    pub async fn connect(environment: &Environment, local_endpoint: Option<&str>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_timeout(REQUEST_LIMIT)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_WAIT)
            .with_max_backoff(LONGEST_WAIT);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(environment.region.clone()))
            .timeout_config(timeouts)
            .retry_config(retries);
        if let Place::Aws {
            profile: Some(profile),
            ..
        } = &environment.place
        {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = local_endpoint {
            use annapurna_local::emulator::{ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
            loader = loader
                .endpoint_url(endpoint)
                .credentials_provider(Credentials::new(
                    ROOT_ACCESS_KEY,
                    ROOT_SECRET_KEY,
                    None,
                    None,
                    "local emulator",
                ));
        }
        Self::with(loader.load().await)
    }

    fn with(config: SdkConfig) -> Self {
        Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            ec2: aws_sdk_ec2::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            opensearch: aws_sdk_opensearch::Client::new(&config),
            s3: s3_client(&config),
            sfn: aws_sdk_sfn::Client::new(&config),
            sqs: Sqs::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            config,
        }
    }

    /// The account of the credentials, checked against the environment's file.
    ///
    /// # Errors
    ///
    /// [`CommandError::WrongAccount`], and [`CommandError::NoAccount`] before anything is asked.
    pub async fn guard(&self, environment: &Environment) -> Result<String, CommandError> {
        let expected = match &environment.place {
            Place::Aws { account, .. } => {
                let none = || CommandError::NoAccount {
                    environment: environment.name.clone(),
                };
                Some(account.as_ref().ok_or_else(none)?)
            }
            Place::Local(_) => None,
        };
        let identity = self.sts.get_caller_identity().send().await;
        let identity =
            identity.map_err(CommandError::aws("learn the account of the credentials"))?;
        let actual = identity.account().map(str::to_owned);
        let actual = actual.ok_or_else(|| CommandError::Aws {
            doing: "learn the account of the credentials".to_owned(),
            reason: "the answer of STS names none".to_owned(),
        })?;
        match expected {
            Some(expected) if *expected != actual => Err(CommandError::WrongAccount {
                environment: environment.name.clone(),
                expected: expected.clone(),
                actual,
            }),
            _ => Ok(actual),
        }
    }
}
