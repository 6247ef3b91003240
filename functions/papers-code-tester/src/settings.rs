//! The function's variables, checked.

use std::time::Duration;

use annapurna_contract::config::{AGENT_PULLS, NO_RESOURCE, number};
use annapurna_contract::{ConfigError, TesterConfig};
use url::Url;

/// How programs reach the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// Through `code-testing.fifo`, from which the agent takes batches.
    Queue,
    /// By calling the agent's HTTP API.
    Http {
        /// Base address; ends with a slash.
        url: Url,
        /// SSM parameter of the bearer token; `None` where none is sent.
        token_parameter: Option<String>,
    },
}

/// Which instances run the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The one with this id.
    Id(String),
    /// Every one with both tags.
    Tags {
        purpose: String,
        environment: String,
    },
}

/// The checked settings of the tester.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) code_bucket: String,
    pub(crate) outputs_bucket: String,
    pub(crate) evaluation_queue_url: String,
    pub(crate) testing_queue_url: String,
    pub(crate) generation_queue_url: String,
    pub(crate) route: Route,
    pub(crate) instances: Option<Selection>,
    pub(crate) batch_size: usize,
    pub(crate) max_wait: Duration,
    /// Wall-clock limit of one program, seconds.
    pub(crate) timeout_secs: u32,
    /// How long an instance is without work before it stops itself.
    pub(crate) idle_stop: Duration,
    pub(crate) hourly_price_usd: f64,
}

impl Settings {
    /// Wall-clock limit of one program.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs.into())
    }

    /// The settings, or the first variable that cannot be used.
    pub(crate) fn parse(config: TesterConfig<String>) -> Result<Self, ConfigError> {
        let timeout_secs: u32 = number("TRAINIUM_TIMEOUT", &config.trainium_timeout)?;
        if timeout_secs == 0 {
            return Err(invalid(
                "TRAINIUM_TIMEOUT",
                "seconds from 1",
                config.trainium_timeout,
            ));
        }
        let batch_size: usize = number("BATCH_SIZE", &config.batch_size)?;
        if !(1..=10).contains(&batch_size) {
            return Err(invalid("BATCH_SIZE", "from 1 to 10", config.batch_size));
        }
        let price: f64 = number("HOURLY_PRICE_USD", &config.hourly_price_usd)?;
        if !price.is_finite() || price < 0.0 {
            let expected = "US dollars from 0";
            return Err(invalid(
                "HOURLY_PRICE_USD",
                expected,
                config.hourly_price_usd,
            ));
        }
        Ok(Self {
            route: route(&config.trainium_endpoint, config.trainium_token_parameter)?,
            instances: selection(
                config.trainium_instance_id,
                config.trainium_purpose,
                config.trainium_environment,
            ),
            batch_size,
            max_wait: Duration::from_secs(number("MAX_WAIT_SECONDS", &config.max_wait)?),
            timeout_secs,
            idle_stop: idle_stop(&config.idle_stop_minutes)?,
            hourly_price_usd: price,
            code_bucket: config.code_bucket,
            outputs_bucket: config.outputs_bucket,
            evaluation_queue_url: config.evaluation_queue_url,
            testing_queue_url: config.testing_queue_url,
            generation_queue_url: config.generation_queue_url,
        })
    }
}

fn idle_stop(minutes: &str) -> Result<Duration, ConfigError> {
    let name = "IDLE_STOP_MINUTES";
    match number::<u64>(name, minutes)? {
        minutes @ 1..=1440 => Ok(Duration::from_secs(60 * minutes)),
        _ => Err(invalid(name, "minutes from 1 to 1440", minutes.to_owned())),
    }
}

/// The resource's name, where the environment has one.
fn named(variable: String) -> Option<String> {
    Some(variable).filter(|name| name != NO_RESOURCE)
}

/// An id goes before tags; `None` where the agent is a process.
fn selection(id: String, purpose: String, environment: String) -> Option<Selection> {
    if let Some(id) = named(id) {
        return Some(Selection::Id(id));
    }
    Some(Selection::Tags {
        purpose: named(purpose)?,
        environment: named(environment)?,
    })
}

fn route(endpoint: &str, token_parameter: String) -> Result<Route, ConfigError> {
    if endpoint == AGENT_PULLS {
        return Ok(Route::Queue);
    }
    let url = Url::parse(&format!("{}/", endpoint.trim_end_matches('/')));
    match url {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Route::Http {
            url,
            token_parameter: named(token_parameter),
        }),
        _ => {
            let expected = "`queue` or an http(s) address";
            Err(invalid("TRAINIUM_ENDPOINT", expected, endpoint.to_owned()))
        }
    }
}

fn invalid(name: &'static str, expected: &'static str, value: String) -> ConfigError {
    ConfigError::Invalid {
        name,
        expected,
        value,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Settings of a queue-mode tester without an instance.
    pub(crate) fn config() -> TesterConfig<String> {
        TesterConfig {
            opensearch_endpoint: "http://127.0.0.1:1".to_owned(),
            opensearch_index: "papers".to_owned(),
            code_bucket: "code".to_owned(),
            outputs_bucket: "outputs".to_owned(),
            evaluation_queue_url: "http://127.0.0.1:1/evaluation.fifo".to_owned(),
            testing_queue_url: "http://127.0.0.1:1/testing.fifo".to_owned(),
            generation_queue_url: "http://127.0.0.1:1/generation.fifo".to_owned(),
            trainium_endpoint: AGENT_PULLS.to_owned(),
            trainium_token_parameter: NO_RESOURCE.to_owned(),
            trainium_purpose: NO_RESOURCE.to_owned(),
            trainium_environment: NO_RESOURCE.to_owned(),
            trainium_instance_id: NO_RESOURCE.to_owned(),
            batch_size: "10".to_owned(),
            max_wait: "900".to_owned(),
            trainium_timeout: "600".to_owned(),
            idle_stop_minutes: "10".to_owned(),
            hourly_price_usd: "1.5".to_owned(),
        }
    }

    #[test]
    fn none_is_no_instance_and_queue_is_no_address() {
        let settings = Settings::parse(config()).unwrap();
        assert_eq!(settings.instances, None);
        assert_eq!(settings.route, Route::Queue);
    }

    #[test]
    fn an_instances_id_goes_before_tags_and_one_tag_alone_selects_nothing() {
        let tagged = || TesterConfig {
            trainium_purpose: "dev-PapersCodeTester".to_owned(),
            trainium_environment: "dev".to_owned(),
            ..config()
        };
        let instances = |config| Settings::parse(config).unwrap().instances;
        let tags = Selection::Tags {
            purpose: "dev-PapersCodeTester".to_owned(),
            environment: "dev".to_owned(),
        };
        assert_eq!(instances(tagged()), Some(tags));
        let id = "i-0123456789abcdef0".to_owned();
        let chosen = TesterConfig {
            trainium_instance_id: id.clone(),
            ..tagged()
        };
        assert_eq!(instances(chosen), Some(Selection::Id(id)));
        // Every instance of that purpose, also another environment's, would be started.
        let half = TesterConfig {
            trainium_environment: NO_RESOURCE.to_owned(),
            ..tagged()
        };
        assert_eq!(instances(half), None);
    }

    #[test]
    fn settings_that_cannot_be_are_refused_with_what_can() {
        let mut eleven = config();
        eleven.batch_size = "11".to_owned();
        let error = Settings::parse(eleven).unwrap_err();
        assert_eq!(
            error.to_string(),
            "BATCH_SIZE must be from 1 to 10, got `11`"
        );
        let mut odd = config();
        odd.trainium_endpoint = "trn.local:8000".to_owned();
        let error = Settings::parse(odd).unwrap_err();
        assert!(
            error.to_string().contains("`queue` or an http(s) address"),
            "{error}"
        );
        for minutes in ["0", "1441", "soon"] {
            let mut never = config();
            never.idle_stop_minutes = minutes.to_owned();
            assert!(Settings::parse(never).is_err(), "{minutes}");
        }
        let mut free = config();
        free.hourly_price_usd = "NaN".to_owned();
        assert!(Settings::parse(free).is_err());
    }
}
