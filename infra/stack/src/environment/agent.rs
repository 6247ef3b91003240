//! Whether what `[testing]` says about an agent at an address can work.

use std::time::Duration;

use annapurna_contract::agent_call::least_function_time;
use annapurna_contract::config::AGENT_PULLS;
use url::{Host, Url};

use super::problems::Problems;
use super::settings::TrainiumEndpoint;

/// Longest timeout of a function, seconds. Source: AWS Lambda quotas page.
const LONGEST_FUNCTION: u64 = 900;

/// The agent's address and the name of its token's parameter.
pub(super) fn check_endpoint(
    endpoint: Option<String>,
    token_parameter: Option<String>,
    problems: &mut Problems,
) -> TrainiumEndpoint {
    let url = endpoint.filter(|endpoint| endpoint != AGENT_PULLS);
    if let Some(url) = &url {
        problems.base_url("testing.trainium-endpoint, unless `queue`,", Some(url));
    }
    if let Some(name) = &token_parameter {
        check_token_parameter(name, url.as_deref(), problems);
    }
    match url {
        None => TrainiumEndpoint::Queue,
        Some(url) => TrainiumEndpoint::Address {
            url,
            token_parameter,
        },
    }
}

fn check_token_parameter(name: &str, url: Option<&str>, problems: &mut Problems) {
    problems.require(
        is_parameter(name),
        format!(
            "testing.trainium-token-parameter must be the name of an SSM parameter such as \
             /annapurna/dev/agent-token, got `{name}`"
        ),
    );
    let Some(url) = url else {
        problems.require(
            false,
            "testing.trainium-token-parameter goes with an address in testing.trainium-endpoint only",
        );
        return;
    };
    problems.require(
        keeps_secrets(url),
        format!(
            "testing.trainium-endpoint must begin with https:// where testing.trainium-token-parameter is set: \
             anybody on the way could read the token, got `{url}`"
        ),
    );
}

/// A name with a path. Source: Systems Manager API reference, `PutParameter`, `Name`.
fn is_parameter(name: &str) -> bool {
    let parts = || name.split('/').skip(1);
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    let first = parts().next().unwrap_or("").to_ascii_lowercase();
    name.starts_with('/')
        && name.len() <= 1011
        && parts().count() <= 15
        && parts().all(fits)
        && !first.starts_with("aws")
        && !first.starts_with("ssm")
}

/// Whether a secret may go there: by https, or not beyond this machine. What is no address has its own problem.
fn keeps_secrets(url: &str) -> bool {
    Url::parse(url).map_or(true, |url| {
        let is_loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        url.scheme() == "https" || is_loopback
    })
}

/// The call lasts as long as its programs, so one must fit into the function's time.
pub(super) fn check_time(timeout_secs: u32, program_timeout_secs: u32, problems: &mut Problems) {
    let least = least_function_time(Duration::from_secs(program_timeout_secs.into())).as_secs();
    let beside = least_function_time(Duration::ZERO).as_secs();
    problems.require(
        u64::from(timeout_secs) >= least,
        format!(
            "testing.timeout-secs must be at least {least} where testing.trainium-endpoint is an address, got \
             {timeout_secs}: the call lasts as long as a program ({program_timeout_secs} s) and {beside} s besides. \
             Raise it ({LONGEST_FUNCTION} at most), lower testing.program-timeout-secs ({} at most), or leave \
             testing.trainium-endpoint out",
            LONGEST_FUNCTION - beside,
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(endpoint: Option<&str>, parameter: &str) -> String {
        let mut problems = Problems::default();
        let owned = |text: &str| text.to_owned();
        check_endpoint(endpoint.map(owned), Some(owned(parameter)), &mut problems);
        problems.0.join("\n")
    }

    #[test]
    fn a_token_goes_with_an_address_that_keeps_it() {
        let name = "/annapurna/dev/agent-token";
        for good in [
            "https://agent.example",
            "http://127.0.0.1:8765",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert_eq!(problems_of(Some(good), name), "", "{good}");
        }
        for open in ["http://agent.example", "http://10.0.0.7:8765"] {
            let problem = problems_of(Some(open), name);
            assert!(problem.contains("must begin with https://"), "{problem}");
        }
        for queue in [None, Some("queue")] {
            let problem = problems_of(queue, name);
            assert!(problem.contains("goes with an address"), "{problem}");
        }
    }

    #[test]
    fn a_parameters_name_is_one_that_ssm_takes() {
        let address = Some("https://agent.example");
        let long = format!("/{}", "a".repeat(1010));
        for good in ["/a", "/annapurna/prod/Agent_token.1-x", &long] {
            assert_eq!(problems_of(address, good), "", "{good}");
        }
        let too_long = format!("{long}a");
        let too_deep = "/a".repeat(16);
        for bad in [
            "", "/", "token", "/a//b", "/a/", "/a b", "/a*", "/aws/x", "/AWSx/y", "/ssm/x",
            &too_long, &too_deep,
        ] {
            let problem = problems_of(address, bad);
            assert!(
                problem.contains("name of an SSM parameter"),
                "{bad}: {problem}"
            );
        }
    }

    #[test]
    fn a_program_must_fit_into_the_functions_time() {
        let problems_with = |timeout, program| {
            let mut problems = Problems::default();
            check_time(timeout, program, &mut problems);
            problems.0.join("\n")
        };
        assert_eq!(problems_with(690, 600), "");
        assert_eq!(problems_with(900, 810), "");
        let problem = problems_with(689, 600);
        assert!(
            problem.contains("at least 690") && problem.contains("810 at most"),
            "{problem}"
        );
        assert!(!problems_with(900, 811).is_empty());
    }
}
