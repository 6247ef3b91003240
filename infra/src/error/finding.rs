//! What CloudFormation found, as lines of a message.

use annapurna_contract::text::safe;

/// Something that CloudFormation found before it changed anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Logical id.
    pub resource: String,
    /// Such as `AWS::S3::Bucket`.
    pub type_name: String,
    /// CloudFormation's words.
    pub reason: String,
    /// The setting that decides what was refused, such as `bucket-suffix`.
    pub setting: Option<&'static str>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (resource, type_name) = (safe(&self.resource), safe(&self.type_name));
        write!(
            formatter,
            "`{resource}` ({type_name}): {}",
            safe(&self.reason)
        )?;
        match self.setting {
            Some(setting) => write!(formatter, " [setting `{setting}`]"),
            None => Ok(()),
        }
    }
}

/// What CloudFormation found, or else its reason, which says only that something was.
pub(super) fn refusal(reason: &str, findings: &[Finding]) -> String {
    match findings {
        [] => format!(" {}", safe(reason)),
        findings => format!("\n{}", lines(findings)),
    }
}

pub(super) fn lines(of: &[impl std::fmt::Display]) -> String {
    of.iter()
        .map(|it| format!("  {it}"))
        .collect::<Vec<_>>()
        .join("\n")
}
