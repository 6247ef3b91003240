//! Whether Bedrock will answer: the model is there and active, the account may use it, and it was seen to answer once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_contract::models::ModelId;
use annapurna_local::doctor::{Check, State};
use annapurna_local::home::write_whole;
use annapurna_runtime::model::deadline;
use annapurna_runtime::{Ask, Model, ModelError, Tool};
use annapurna_stack::environment::{Environment, NamedModel};
use serde_json::{Value, json};

use super::signed::{Refusal, Service};
use super::{Subject, check as finding, missing, unseen, without};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::ui::one_line;

/// For one short question; a model that always thinks takes some seconds.
const LIMIT: Duration = Duration::from_secs(90);

pub(super) async fn check(subject: &Subject<'_>) -> Vec<Check> {
    let mut checks = vec![finding(
        "first-use form",
        "Anthropic's models",
        first_use(subject).await,
    )];
    for model in subject.environment.models() {
        let state = match one(subject, model).await {
            Ok(state) => state,
            Err(refusal) => unseen(&refusal.of(&format!("look at model `{}`", model.id))),
        };
        checks.push(finding(model.setting, "Bedrock", state));
    }
    checks
}

/// Anthropic asks each account once what it is for; until it is told, its models are refused.
/// Source: Bedrock user guide, "Access Amazon Bedrock foundation models"; API reference, `GetUseCaseForModelAccess`.
async fn first_use(subject: &Subject<'_>) -> State {
    let models = subject.environment.models();
    let is_anthropic = |model: &NamedModel<'_>| {
        let base = ModelId::parse(model.id).base;
        base.starts_with("anthropic.")
    };
    if !models.iter().any(is_anthropic) {
        return State::Ok("not needed for these models".to_owned());
    }
    let form = subject
        .signed
        .get(Service::Bedrock, "/use-case-for-model-access");
    match form.await {
        Ok(_) => State::Ok("submitted".to_owned()),
        Err(error) if error.is("ResourceNotFoundException") => {
            let region = &subject.environment.region;
            missing(
                "Anthropic's first-use form was never submitted in this account",
                format!(
                    "open a model of Anthropic and submit it: https://{region}.console.aws.amazon.com/bedrock/home?region={region}#/model-catalog"
                ),
            )
        }
        Err(error) => unseen(&error.of("look for the first-use form")),
    }
}

/// What Bedrock says of a model, and what this account may do with it.
async fn one(subject: &Subject<'_>, model: NamedModel<'_>) -> Result<State, Refusal> {
    let id = ModelId::parse(model.id);
    let region = &subject.environment.region;
    let path = format!("/foundation-models/{}", id.base);
    let model_card = match subject.signed.get(Service::Bedrock, &path).await {
        Ok(answer) => answer,
        Err(error) if error.is("ResourceNotFoundException") || error.is("ValidationException") => {
            return Ok(missing(
                format!("Bedrock knows no `{}` in {region}", id.base),
                format!("aws bedrock list-foundation-models --region {region}"),
            ));
        }
        Err(error) => return Err(error),
    };
    let path = format!("/foundation-model-availability/{}", id.base);
    let availability = subject.signed.get(Service::Bedrock, &path).await?;
    let refused = refused(subject, id, &availability);
    let lifecycle = model_card["modelDetails"]["modelLifecycle"]["status"].as_str();
    Ok(match (refused, lifecycle) {
        (Some(refused), _) => refused,
        (None, Some("ACTIVE")) => State::Ok(format!("`{}` is active{}", model.id, priced(id))),
        (None, status) => without(
            format!(
                "`{}` is {}",
                model.id,
                status.unwrap_or("in no known state")
            ),
            format!(
                "name another in {}; docs/costs.md has those that are known",
                subject.file()
            ),
        ),
    })
}

/// Why this account cannot ask for the model. An agreement that is not there yet is made by the first question.
fn refused(subject: &Subject<'_>, id: ModelId<'_>, availability: &Value) -> Option<State> {
    let says = |key: &str, word: &str| availability[key] == word;
    let model = id.base;
    if says("authorizationStatus", "NOT_AUTHORIZED") {
        return Some(missing(
            format!("this account may not use `{model}`"),
            "ask whoever manages the organization: a service control policy denies it",
        ));
    }
    let agreement = &availability["agreementAvailability"];
    if agreement["status"] == "ERROR" {
        let reason = agreement["errorMessage"].as_str();
        let reason = one_line(reason.unwrap_or("no reason given"), 300);
        return Some(missing(
            format!("the agreement for `{model}` failed: {reason}"),
            "AWS Marketplace needs a payment method: https://console.aws.amazon.com/billing/home#/paymentmethods",
        ));
    }
    // A profile may lead to a region that has the model.
    if id.geography.is_none() && says("regionAvailability", "NOT_AVAILABLE") {
        let region = &subject.environment.region;
        return Some(missing(
            format!("`{model}` is not in {region}"),
            format!(
                "an inference profile that leads to it: aws bedrock list-inference-profiles --region {region}"
            ),
        ));
    }
    None
}

fn priced(id: ModelId<'_>) -> String {
    let dollars = |millionths: u32| f64::from(millionths) / 1e6;
    id.known().map_or_else(String::new, |known| {
        let price = known.price(id.geography);
        let input = dollars(price.input);
        match price.output {
            0 => format!(", {input} USD a million tokens"),
            output => format!(
                ", {input} USD in and {} USD out a million tokens",
                dollars(output)
            ),
        }
    })
}

/// Which models were seen to answer in which account, with the day.
///
/// A file beside the state of local environments: the question costs a hundredth of a cent, so asking once more from
/// another machine does no harm, and before the first deploy an account has no place that every deployer may write.
#[derive(Debug)]
pub(crate) struct Answered {
    path: PathBuf,
    /// By account and model.
    days: BTreeMap<String, String>,
}

impl Answered {
    /// Reads it. A file that is not there, or that something tore, says that nothing was asked: asking again mends it.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read.
    pub(crate) fn load(state: &Path) -> Result<Self, CommandError> {
        let path = state.join("models-answered.json");
        let days = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|_| BTreeMap::new()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(CommandError::file("read", path)(error)),
        };
        Ok(Self { path, days })
    }

    /// The environment's models that were not seen to answer yet.
    pub(crate) fn missing<'a>(
        &self,
        environment: &'a Environment,
        account: &str,
    ) -> Vec<NamedModel<'a>> {
        let mut models: Vec<_> = environment.models().into();
        models.retain(|model| !self.days.contains_key(&key(account, model.id)));
        // One that serves twice is asked once.
        models.dedup_by_key(|model| (model.makes_vectors, model.id));
        models
    }

    /// Asks one model and remembers that it answered.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(crate) async fn ask(
        &mut self,
        cloud: &Cloud,
        account: &str,
        model: NamedModel<'_>,
        today: &str,
    ) -> Result<Check, CommandError> {
        let answer = tokio::time::timeout(LIMIT, try_once(cloud, model)).await;
        let state = match answer {
            Err(_) => without(
                format!("`{}` did not answer within {} s", model.id, LIMIT.as_secs()),
                "try again",
            ),
            Ok(Ok(())) => {
                self.days.insert(key(account, model.id), today.to_owned());
                self.save()?;
                State::Ok(format!("`{}` answers", model.id))
            }
            Ok(Err(error)) => failed(&error),
        };
        Ok(finding(model.setting, "one short question", state))
    }

    fn save(&self) -> Result<(), CommandError> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(CommandError::file("create", folder))?;
        }
        let bytes = serde_json::to_vec_pretty(&self.days)?;
        Ok(write_whole(&self.path, &bytes)?)
    }
}

fn key(account: &str, model: &str) -> String {
    format!("{account} {model}")
}

/// One question as the functions ask theirs. The first one also makes the account's agreement for the model.
async fn try_once(cloud: &Cloud, model: NamedModel<'_>) -> Result<(), ModelError> {
    let client = Model::new(&cloud.config);
    let end = deadline(LIMIT);
    if model.makes_vectors {
        client.embed(model.id, "ready", None, end).await?;
        return Ok(());
    }
    let tool = Tool {
        name: "record_ready",
        description: "Records that you are ready.",
        schema: json!({
            "type": "object",
            "properties": {"ready": {"type": "boolean"}},
            "required": ["ready"],
        }),
        max_tokens: 200,
    };
    let ask = Ask {
        model_id: model.id,
        system: "You record.",
        shared: "",
        question: "Record that you are ready.",
        tool: &tool,
        beside: &[],
        paper_id: None,
        deadline: end,
    };
    client.ask(&ask, |_: &Value| Ok(())).await?;
    Ok(())
}

fn failed(error: &ModelError) -> State {
    match error {
        ModelError::Refused { .. } => missing(
            error.to_string(),
            "what Bedrock says names the step: form, agreement, permission or quota",
        ),
        ModelError::Throttled(_) => without(
            error.to_string(),
            "the account's quota is used up for now: try again, or have it raised",
        ),
        ModelError::Declined(_) | ModelError::Guardrail(_) => missing(
            error.to_string(),
            "a filter or guardrail stops a harmless question: see the account's settings of Bedrock",
        ),
        ModelError::Unavailable(_)
        | ModelError::TimedOut(_)
        | ModelError::Faulted(_)
        | ModelError::Truncated(_)
        | ModelError::Unusable(_)
        // Neither is met by a client without a ledger.
        | ModelError::OverBudget(_)
        | ModelError::Ledger(_) => without(error.to_string(), "try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_file_of_answers_starts_anew() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("state");
        let mut answered = Answered::load(&folder).unwrap();
        let day = (key("123456789012", "model"), "2026-01-02".to_owned());
        answered.days.extend([day.clone()]);
        answered.save().unwrap();
        let names = std::fs::read_dir(&folder).unwrap();
        let names: Vec<_> = names.map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["models-answered.json"]);
        let read = Answered::load(&folder).unwrap();
        assert_eq!(read.days, BTreeMap::from([day]));
        let bytes = std::fs::read(&read.path).unwrap();
        for length in 0..bytes.len() - 1 {
            std::fs::write(&read.path, &bytes[..length]).unwrap();
            let torn = Answered::load(&folder).unwrap();
            assert!(torn.days.is_empty(), "{length} bytes");
        }
    }
}
