//! What stands in the way of AWS and passes: said plainly, with what a person does about it.

use std::fmt;

use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

/// Why a request that is right was not carried out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There was no answer, or half of one.
    Network,
    /// The credentials were good and are no longer.
    Expired,
    /// The account sends more requests than AWS takes.
    Throttled,
    /// The service itself fails.
    Unavailable,
}

/// Source: IAM User Guide and STS API reference, "Common errors"; CloudFormation's is `ExpiredToken`.
const EXPIRED: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
];
/// Source: AWS SDKs and Tools Reference Guide, "Retry behavior", throttling errors.
const THROTTLED: [&str; 11] = [
    "BandwidthLimitExceeded",
    "LimitExceeded",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

impl Obstacle {
    /// What a failed call of an SDK says of itself; `None` when trying again would not help.
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
        match error {
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Some(Self::Network),
            SdkError::DispatchFailure(failure) => {
                // A connection that is cut halfway is neither; what the credentials say is of no kind.
                let connector = failure.as_connector_error();
                let is_cut = connector.is_some_and(|it| it.as_other().is_some());
                (failure.is_io() || failure.is_timeout() || is_cut).then_some(Self::Network)
            }
            SdkError::ServiceError(answer) => {
                Self::of_answer(answer.raw().status().as_u16(), error.code())
            }
            _ => None,
        }
    }

    /// What a service's own error says, by HTTP status and code; `None` when trying again would not help.
    pub(crate) fn of_answer(status: u16, code: Option<&str>) -> Option<Self> {
        match code {
            Some(code) if EXPIRED.contains(&code) => Some(Self::Expired),
            Some(code) if THROTTLED.contains(&code) => Some(Self::Throttled),
            _ => (status >= 500).then_some(Self::Unavailable),
        }
    }

    /// Whether it may be gone in a moment, without anybody doing anything.
    pub(crate) const fn passes_by_itself(self) -> bool {
        match self {
            Self::Network | Self::Throttled | Self::Unavailable => true,
            Self::Expired => false,
        }
    }

    /// What a person does about it.
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Network => {
                "when the network is back, run the same command again: it goes on from there"
            }
            Self::Expired => {
                "sign in again (`aws sso login`) and run the same command again: it goes on from there"
            }
            Self::Throttled | Self::Unavailable => {
                "wait a minute and run the same command again: it goes on from there"
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Network => "AWS was not reached",
            Self::Expired => "the credentials have expired",
            Self::Throttled => "AWS takes no more requests of this account for now",
            Self::Unavailable => "the service fails for now",
        })
    }
}
