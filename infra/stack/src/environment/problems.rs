//! What is wrong with the values of a file, all of it together.

use crate::constructs::function::FunctionSize;
use crate::constructs::limits::{FunctionTimeout, MemoryMib, OutOfRange};

/// Collects every problem of a file instead of stopping at the first.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn require(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.0.push(problem.into());
        }
    }

    pub(super) fn take<T>(&mut self, value: Result<T, OutOfRange>, otherwise: T) -> T {
        value.unwrap_or_else(|problem| {
            self.0.push(problem.to_string());
            otherwise
        })
    }

    pub(super) fn size(&mut self, table: &str, memory_mib: u32, timeout_secs: u32) -> FunctionSize {
        const MEMORY: MemoryMib = MemoryMib::new(128);
        const TIMEOUT: FunctionTimeout = FunctionTimeout::new(1);
        let memory = MemoryMib::checked(format!("{table}.memory-mib"), memory_mib);
        let timeout = FunctionTimeout::checked(format!("{table}.timeout-secs"), timeout_secs);
        FunctionSize {
            memory: self.take(memory, MEMORY),
            timeout: self.take(timeout, TIMEOUT),
        }
    }

    pub(super) fn range(&mut self, what: &str, value: u32, least: u32, most: u32) -> u32 {
        self.require(
            (least..=most).contains(&value),
            format!("{what} must be {least} to {most}, got {value}"),
        );
        value
    }

    pub(super) fn address(&mut self, what: &str, value: &str) {
        self.require(
            value.starts_with("https://") || value.starts_with("http://"),
            format!("{what} must begin with https:// or http://, got `{value}`"),
        );
    }

    /// A base URL: http or https, a host, and neither query nor fragment nor a slash at its end.
    pub(super) fn base_url(&mut self, what: &str, value: Option<&str>) {
        let fits = |value: &str| {
            url::Url::parse(value).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
            }) && !value.contains(['{', '}'])
                && !value.ends_with('/')
        };
        if let Some(value) = value.filter(|value| !fits(value)) {
            self.0.push(format!(
                "{what} must be an address such as https://example.org, without a slash at its end, got `{value}`"
            ));
        }
    }

    pub(super) fn name_part(&mut self, what: &str, value: &str, most: usize) {
        let fits = value.len() <= most
            && value
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        self.require(
            fits,
            format!("{what} must be at most {most} characters of a-z 0-9 -, got `{value}`"),
        );
    }
}
