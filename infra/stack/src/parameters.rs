//! What a deployment gives to the template: keys of built code, and addresses of services of this machine.
//! The template itself depends on the environment's file alone.

use annapurna_contract::Function;

use crate::cloudformation::Expr;
use crate::environment::Environment;

/// A value that each deployment gives anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parameter {
    /// Name of the bucket with code and templates.
    AssetsBucket,
    /// Key, in that bucket, of the zip of a function crate, such as `papers-judge`.
    CodeKey(&'static str),
    /// Key, in that bucket, of the agent's bundle; where the stack has an instance.
    AgentKey,
    /// Address of what answers for Bedrock; on this machine only.
    ModelUrl,
    /// Address of the site with the sample papers; on this machine only.
    PaperSiteUrl,
}

impl Parameter {
    /// Its name in the template, letters and digits only: what CloudFormation's calls name.
    pub fn name(self) -> String {
        match self {
            Self::AssetsBucket => "AssetsBucket".to_owned(),
            Self::CodeKey(package) => code_key(package),
            Self::AgentKey => "TrainiumAgentKey".to_owned(),
            Self::ModelUrl => "ModelUrl".to_owned(),
            Self::PaperSiteUrl => "PaperSiteUrl".to_owned(),
        }
    }

    /// What CloudFormation's console shows beside it.
    pub(crate) fn description(self) -> String {
        match self {
            Self::AssetsBucket => "Bucket with code and templates".to_owned(),
            Self::CodeKey(package) => format!("Key of the code of {package}"),
            Self::AgentKey => "Key of the agent's bundle".to_owned(),
            Self::ModelUrl => "What answers for Bedrock on this machine".to_owned(),
            Self::PaperSiteUrl => "The site with the sample papers".to_owned(),
        }
    }
}

/// `papers-judge` is `PapersJudgeCodeKey`: a template's names hold letters and digits only.
fn code_key(package: &str) -> String {
    let words = package.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect::<String>() + "CodeKey"
}

/// What a deployment of this environment has to give, in any order.
pub(crate) fn of(environment: &Environment) -> Vec<Parameter> {
    let code = function_packages().into_iter().map(Parameter::CodeKey);
    let mut parameters: Vec<Parameter> = code.chain([Parameter::AssetsBucket]).collect();
    if environment.local().is_some() {
        parameters.extend([Parameter::ModelUrl, Parameter::PaperSiteUrl]);
    }
    if environment.trainium.is_some() {
        parameters.push(Parameter::AgentKey);
    }
    parameters
}

/// The value that a deployment gives for a parameter.
pub(crate) fn given(parameter: Parameter) -> Expr {
    Expr::Ref(parameter.name())
}

/// The crates whose binaries are functions, each once.
pub fn function_packages() -> Vec<&'static str> {
    let mut packages: Vec<&str> = Function::ALL
        .iter()
        .map(|function| function.package())
        .collect();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_named_after_their_crate() {
        assert_eq!(
            Parameter::CodeKey("papers-judge").name(),
            "PapersJudgeCodeKey"
        );
        assert_eq!(
            function_packages(),
            [
                "paper-scraper",
                "papers-judge",
                "papers-code-generator",
                "papers-code-tester"
            ]
        );
    }
}
