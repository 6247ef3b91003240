//! The token of an agent that is called at an address.
//!
//! It is in a parameter of Systems Manager, encrypted; settings, templates and variables name the parameter
//! only. It is read at every call, a few an hour, so that a new token needs no deploy.

use std::fmt;

use annapurna_contract::text::chain;
use aws_config::SdkConfig;

use crate::AgentError;
use crate::aws::Parameters;

/// Where the token is.
#[derive(Clone)]
pub(crate) struct AgentToken {
    parameters: Parameters,
    parameter: String,
}

impl fmt::Debug for AgentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentToken").field(&self.parameter).finish()
    }
}

impl AgentToken {
    pub(crate) fn new(sdk: &SdkConfig, parameter: String) -> Self {
        Self {
            parameters: Parameters::new(sdk),
            parameter,
        }
    }

    /// Name of the parameter.
    pub(crate) fn parameter(&self) -> &str {
        &self.parameter
    }

    /// The token as the agent has it: without the line's end that a file brings with it.
    pub(crate) async fn read(&self) -> Result<String, AgentError> {
        let value = self.parameters.read(&self.parameter).await;
        let value = value.map_err(|refusal| self.unusable(chain(&refusal)))?;
        let token = checked(&value);
        token
            .map(str::to_owned)
            .map_err(|reason| self.unusable(reason.to_owned()))
    }

    fn unusable(&self, reason: String) -> AgentError {
        AgentError::Token {
            parameter: self.parameter.clone(),
            reason,
        }
    }
}

fn checked(value: &str) -> Result<&str, &'static str> {
    let token = value.trim();
    if token.is_empty() {
        return Err("it is empty");
    }
    // What the value of a header may hold; a line's end in it would begin another header.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token has no spaces and only visible ASCII characters");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_of_visible_characters() {
        assert_eq!(checked("0123456789abcdef\n"), Ok("0123456789abcdef"));
        for bad in ["", " \n", "two words", "a\nX-Other: b", "t\u{e9}"] {
            let reason = checked(bad).unwrap_err();
            assert!(bad.trim().is_empty() || !reason.contains(bad), "{reason}");
        }
    }
}
