//! The models that an environment names, against the table of models in the contract.
//!
//! An id that the region cannot ask for is a problem of the file. What is only likely to be wrong, an id that the
//! table does not know or a model at its end, is a warning: Bedrock knows better, and `doctor` asks it.

use annapurna_contract::models::{AS_OF, Answers, Geography, Lifecycle, ModelId};
use serde::Deserialize;

use super::problems::Problems;
use super::{Environment, ModelSettings, Place};

/// The model that judges, with either preset.
const JUDGES: &str = "anthropic.claude-haiku-5-5";

/// Which models judge and write where `[judge]` and `[generator]` name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Preset {
    /// Claude Haiku judges and writes.
    Economical,
    /// Claude Haiku judges, Claude Sonnet writes.
    Thorough,
}

impl Preset {
    const fn writer(self) -> &'static str {
        match self {
            Self::Economical => JUDGES,
            Self::Thorough => "anthropic.claude-sonnet-5-5",
        }
    }
}

/// `[models]` as written.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ModelsFile {
    /// Which models judge and write where `[judge]` and `[generator]` name none: `economical`, Claude Haiku does both,
    /// or `thorough`, Claude Sonnet writes. They are asked by the profile of the region's geography, else by the global one.
    preset: Option<Preset>,
    /// US dollars that models may cost for one paper, all stages together; absent: 2. A paper that has cost as much is
    /// asked about no more.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1_000.0)))]
    budget_per_paper_usd: Option<f64>,
    /// US dollars that models may cost on one day of UTC, all stages together; absent: 100. Papers then wait for the next
    /// day, and `status` says so.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 100_000.0)))]
    budget_per_day_usd: Option<f64>,
}

/// `[models]`, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelsSettings {
    /// US dollars for one paper.
    pub budget_per_paper_usd: f64,
    /// US dollars for one day.
    pub budget_per_day_usd: f64,
}

impl ModelsFile {
    /// The model that a table names, or else the preset's.
    pub(super) fn chosen(
        &self,
        named: Option<String>,
        setting: &str,
        region: &str,
        problems: &mut Problems,
    ) -> String {
        let writes = setting == "generator.model";
        let preset = self.preset.map(|preset| match writes {
            true => preset.writer(),
            false => JUDGES,
        });
        problems.require(
            named.is_some() || preset.is_some(),
            format!("{setting} must be set, or models.preset"),
        );
        let preset = preset.map(|base| asked_in(region, base));
        named.or(preset).unwrap_or_default()
    }

    pub(super) fn check(&self, problems: &mut Problems) -> ModelsSettings {
        let mut amount = |what: &str, given: Option<f64>, absent: f64, most: f64| {
            let dollars = given.unwrap_or(absent);
            problems.require(
                (0.0..=most).contains(&dollars),
                format!("models.{what} must be 0 to {most}, got {dollars}"),
            );
            dollars
        };
        ModelsSettings {
            budget_per_paper_usd: amount(
                "budget-per-paper-usd",
                self.budget_per_paper_usd,
                2.0,
                1e3,
            ),
            budget_per_day_usd: amount("budget-per-day-usd", self.budget_per_day_usd, 100.0, 1e5),
        }
    }
}

/// The id by which a region asks for a model: of its own geography, so that papers stay there, else the global one.
fn asked_in(region: &str, base: &str) -> String {
    let offered = ModelId::parse(base)
        .known()
        .map_or(&[][..], |it| it.profiles);
    let own = |it: &&Geography| **it != Geography::Global && it.serves(region);
    let own = offered.iter().find(own).copied();
    format!("{}.{base}", own.unwrap_or(Geography::Global).prefix())
}

/// A model that a setting names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedModel<'a> {
    /// The setting, such as `judge.model`.
    pub setting: &'static str,
    /// A model's or an inference profile's id, as the setting has it.
    pub id: &'a str,
    /// Whether it is asked for vectors, and not for answers.
    pub makes_vectors: bool,
}

impl Environment {
    /// Every model that the functions ask.
    pub fn models(&self) -> [NamedModel<'_>; 3] {
        let named = |setting, id, makes_vectors| NamedModel {
            setting,
            id,
            makes_vectors,
        };
        [
            named("judge.model", self.judge.model.as_str(), false),
            named("generator.model", self.generator.model.as_str(), false),
            named(
                "judge.embedding-model",
                self.judge.embedding_model.as_str(),
                true,
            ),
        ]
    }

    /// The region whose Bedrock is asked; `None` where something else answers for it.
    pub(super) fn bedrock_region(&self) -> Option<&str> {
        match &self.place {
            Place::Aws { .. } => Some(&self.region),
            Place::Local(local) => match &local.model {
                ModelSettings::Bedrock { region, .. } => Some(region),
                ModelSettings::OfflineRules | ModelSettings::OpenAi { .. } => None,
            },
        }
    }

    /// What is likely to be wrong with its models on a day, `YYYY-MM-DD`; one sentence each.
    pub fn model_warnings(&self, today: &str) -> Vec<String> {
        if self.bedrock_region().is_none() {
            return Vec::new();
        }
        let warn = |model: &NamedModel<'_>| warning(*model, today);
        self.models().iter().filter_map(warn).collect()
    }
}

fn warning(model: NamedModel<'_>, today: &str) -> Option<String> {
    let NamedModel { setting, id, .. } = model;
    let Some(known) = ModelId::parse(id).known() else {
        return Some(format!(
            "{setting}: `{id}` is not in the table of models of {AS_OF}; nothing is known of its price, its end and how it answers"
        ));
    };
    match known.lifecycle {
        Lifecycle::Legacy(_) if known.has_ended(today) => Some(format!(
            "{setting}: `{id}` has ended, by the table of models of {AS_OF}; name another (docs/costs.md)"
        )),
        Lifecycle::Legacy(ends) => Some(format!(
            "{setting}: `{id}` ends on {ends}, by the table of models of {AS_OF}; name another (docs/costs.md)"
        )),
        Lifecycle::Active(_) => None,
    }
}

/// Adds a problem for each id that the region cannot ask for, and for each that does not do what it is asked for.
pub(super) fn check(environment: &Environment, problems: &mut Problems) {
    let Some(region) = environment.bedrock_region() else {
        return;
    };
    for NamedModel {
        setting,
        id,
        makes_vectors,
    } in environment.models()
    {
        let parsed = ModelId::parse(id);
        if let Err(misfit) = parsed.fits(region) {
            problems.require(false, format!("{setting}: {misfit}"));
        }
        let does_it = |answers: Answers| (answers == Answers::Vector) == makes_vectors;
        problems.require(
            parsed.known().is_none_or(|known| does_it(known.answers)),
            format!("{setting}: `{id}` is no model for this"),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::environment::EnvironmentError;

    fn prod_with(changes: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
        let text = std::fs::read_to_string(folder.join("prod.toml")).unwrap();
        let change = |text: String, (from, to): &(&str, &str)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        };
        let text = changes.iter().fold(text, change);
        Environment::parse("prod", Path::new("prod.toml"), &text)
    }

    fn prod(judge: &str, generator: &str) -> Result<Environment, EnvironmentError> {
        let judge = format!("[judge]\nmodel = \"{judge}\"");
        let generator = format!("[generator]\nmodel = \"{generator}\"");
        prod_with(&[("[judge]", &judge), ("[generator]", &generator)])
    }

    #[test]
    fn a_preset_names_the_models_that_no_table_names() {
        for (preset, region, judge, generator) in [
            (
                "thorough",
                "us-east-1",
                "us.anthropic.claude-haiku-5-5",
                "us.anthropic.claude-sonnet-5-5",
            ),
            (
                "economical",
                "eu-west-1",
                "eu.anthropic.claude-haiku-5-5",
                "eu.anthropic.claude-haiku-5-5",
            ),
            (
                "thorough",
                "sa-east-1",
                "global.anthropic.claude-haiku-5-5",
                "global.anthropic.claude-sonnet-5-5",
            ),
        ] {
            let preset = format!("preset = \"{preset}\"");
            let region = format!("region = \"{region}\"");
            let changes = [
                ("preset = \"thorough\"", preset.as_str()),
                ("region = \"us-east-1\"", &region),
            ];
            let [judges, writes, _] = prod_with(&changes)
                .unwrap()
                .models()
                .map(|it| it.id.to_owned());
            assert_eq!((judges.as_str(), writes.as_str()), (judge, generator));
        }
        let named = prod(
            "us.anthropic.claude-sonnet-4-6",
            "us.anthropic.claude-haiku-5-5",
        )
        .unwrap();
        assert_eq!(named.models()[0].id, "us.anthropic.claude-sonnet-4-6");
        let error = prod_with(&[("preset = \"thorough\"\n", "")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("judge.model must be set, or models.preset"),
            "{error}"
        );
        assert!(error.contains("generator.model must be set"), "{error}");
    }

    #[test]
    fn an_id_of_another_part_of_the_world_is_refused_with_those_that_fit() {
        let error = prod(
            "eu.anthropic.claude-haiku-5-5",
            "anthropic.claude-sonnet-5-5",
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(
                "judge.model: `eu.anthropic.claude-haiku-5-5` cannot be asked for in us-east-1; there it is \
                 us.anthropic.claude-haiku-5-5 or global.anthropic.claude-haiku-5-5"
            ),
            "{error}"
        );
        assert!(
            error.contains("generator.model: `anthropic.claude-sonnet-5-5`"),
            "{error}"
        );
    }

    #[test]
    fn a_model_of_vectors_does_not_judge() {
        let error = prod(
            "amazon.titan-embed-text-v2:0",
            "us.anthropic.claude-sonnet-5-5",
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains("judge.model: `amazon.titan-embed-text-v2:0` is no model for this"));
    }

    #[test]
    fn the_models_of_the_project_are_current() {
        let usual = prod(
            "us.anthropic.claude-haiku-5-5",
            "us.anthropic.claude-sonnet-5-5",
        );
        assert_eq!(usual.unwrap().model_warnings(AS_OF), Vec::<String>::new());
    }

    #[test]
    fn another_model_is_taken_with_a_warning() {
        let old = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        let environment = prod("us.amazon.nova-lite-v1:0", old).unwrap();
        let before = environment.model_warnings("2026-11-29");
        assert!(before[0].contains("`us.amazon.nova-lite-v1:0` is not in the table"));
        assert!(before[1].contains("ends on 2026-11-30"), "{}", before[1]);
        let after = environment.model_warnings("2026-12-01");
        assert!(after[1].contains("has ended"), "{}", after[1]);
    }

    #[test]
    fn rules_and_other_servers_have_models_of_their_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
        let local = Environment::load(&folder, "local").unwrap();
        assert_eq!(local.model_warnings(AS_OF), Vec::<String>::new());
        let text = std::fs::read_to_string(folder.join("local.toml")).unwrap();
        let text = text.replace(
            "backend = \"offline-rules\"",
            "backend = \"bedrock\"\nregion = \"eu-west-1\"",
        );
        let text = text.replace("offline-judge", "us.anthropic.claude-haiku-5-5");
        let error = Environment::parse("local", Path::new("local.toml"), &text).unwrap_err();
        assert!(error.to_string().contains("eu.anthropic.claude-haiku-5-5"));
    }
}
