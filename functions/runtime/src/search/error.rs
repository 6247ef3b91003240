//! Why the index did not do what was asked.

use annapurna_contract::PaperId;

use super::CHANGE_ATTEMPTS;
use super::transport::RETRY;

/// Why the index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The configured endpoint is not an address.
    #[error("OPENSEARCH_ENDPOINT must be a host or an http(s) address, got `{value}`")]
    Endpoint {
        /// The variable's text.
        value: String,
    },
    /// The configured index name is not one.
    #[error(
        "OPENSEARCH_INDEX must be of lower-case letters, digits, `-`, `_` and `.`, got `{value}`"
    )]
    Index {
        /// The variable's text.
        value: String,
    },
    /// There is nothing to sign with.
    #[error("no AWS credentials to sign a request to the index with: {reason}")]
    Credentials {
        /// What the SDK's sources of credentials said.
        reason: String,
    },
    /// It cannot be reached, or stays busy.
    #[error("index `{index}` is not available after {} attempts: {reason}", RETRY.attempts)]
    Unavailable {
        /// Its name or alias, as configured.
        index: String,
        /// The last thing heard.
        reason: String,
    },
    /// It refuses the request: a field that is not mapped, a bad query, missing permission.
    #[error("index `{index}` refused with status {status}: {reason}")]
    Refused {
        /// Its name or alias, as configured.
        index: String,
        /// HTTP status of OpenSearch's answer.
        status: u16,
        /// The start of OpenSearch's answer, in one line.
        reason: String,
    },
    /// The record kept changing while it was being changed.
    #[error("paper `{id}` was changed by others {CHANGE_ATTEMPTS} times in a row")]
    Contended {
        /// Its document; the change was not made.
        id: PaperId,
    },
    /// A near paper whose nearness is not told must not count as a far one.
    #[error("the index answered with paper `{id}` and without its score")]
    NoScore {
        /// The paper that was found.
        id: PaperId,
    },
    /// Its answer is not what OpenSearch answers.
    #[error("index `{index}` gave an answer that cannot be read")]
    Answer {
        /// Its name or alias, as configured.
        index: String,
        /// Where in the answer, and what was expected there.
        #[source]
        source: serde_json::Error,
    },
}
