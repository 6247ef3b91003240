//! What is known of the models on Bedrock, on the day [`AS_OF`], in one place.
//!
//! In: an id as a setting has it, `us.anthropic.claude-haiku-5-5`. Out: the foundation model behind it, whether a
//! region may ask it, until when it is there, what it costs and how it gives an answer of a known shape.
//! Settings, grants, the functions' questions, `docs/costs.md` and `doctor` read it; `doctor` also asks Bedrock, which
//! knows better. An id that is not in the table is allowed: nothing is claimed about it.

mod table;

pub use table::AS_OF;

use table::TABLE;

/// A group of regions among which Bedrock chooses, as the first part of an inference profile's id.
///
/// Source: Bedrock user guide, "Geographic cross-Region inference" and the regional tables of the model cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Geography {
    /// Asia and the Pacific, for models before Claude 4.5.
    Apac,
    /// Australia and New Zealand.
    Au,
    /// Canada.
    Ca,
    /// The European Union, London and Zurich.
    Eu,
    /// Every commercial region; the cheapest.
    Global,
    /// India.
    In,
    /// Japan.
    Jp,
    /// The United States; also asked from Canada.
    Us,
    /// AWS GovCloud (US).
    UsGov,
}

impl Geography {
    /// Each of them. `us-gov` goes before `us`: one begins with the other.
    pub const ALL: [Self; 9] = [
        Self::UsGov,
        Self::Us,
        Self::Eu,
        Self::Apac,
        Self::Jp,
        Self::Au,
        Self::Ca,
        Self::In,
        Self::Global,
    ];

    /// As a profile's id begins, without the dot.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Apac => "apac",
            Self::Au => "au",
            Self::Ca => "ca",
            Self::Eu => "eu",
            Self::Global => "global",
            Self::In => "in",
            Self::Jp => "jp",
            Self::Us => "us",
            Self::UsGov => "us-gov",
        }
    }

    /// Whether a request of this region may name the profile.
    pub fn serves(self, region: &str) -> bool {
        match self {
            Self::Global => !region.starts_with("us-gov-") && !region.starts_with("cn-"),
            other => other.source_regions().contains(&region),
        }
    }

    const fn source_regions(self) -> &'static [&'static str] {
        match self {
            Self::Apac => &table::APAC,
            Self::Au => &["ap-southeast-2", "ap-southeast-4", "ap-southeast-6"],
            Self::Ca => &["ca-central-1", "ca-west-1"],
            Self::Eu => &table::EU,
            Self::Global => &[],
            Self::In => &["ap-south-1", "ap-south-2"],
            Self::Jp => &["ap-northeast-1", "ap-northeast-3"],
            Self::Us => &table::US,
            Self::UsGov => &["us-gov-east-1", "us-gov-west-1"],
        }
    }
}

/// An id of a setting: a foundation model's, or that of an inference profile in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelId<'a> {
    /// Whose regions the request may go to; `None`: the request's own region only.
    pub geography: Option<Geography>,
    /// Id of the foundation model.
    pub base: &'a str,
}

impl<'a> ModelId<'a> {
    /// Takes an id apart; one with no known prefix is a foundation model's.
    pub fn parse(id: &'a str) -> Self {
        let of = |geography: Geography| {
            let base = id.strip_prefix(geography.prefix())?.strip_prefix('.')?;
            Some(Self {
                geography: Some(geography),
                base,
            })
        };
        let profile = Geography::ALL.into_iter().find_map(of);
        profile.unwrap_or(Self {
            geography: None,
            base: id,
        })
    }

    /// What the table says of the model behind it.
    pub fn known(self) -> Option<&'static KnownModel> {
        TABLE.iter().find(|model| model.id == self.base)
    }

    /// Whether a region may ask for this id.
    ///
    /// # Errors
    ///
    /// [`Misfit`] where it cannot, with the ids that can. An id that is not in the table fits, unless its prefix
    /// is one of another part of the world.
    pub fn fits(self, region: &str) -> Result<(), Misfit> {
        let known = self.known();
        let fits = match (self.geography, known) {
            (Some(geography), Some(known)) => {
                known.profiles.contains(&geography) && geography.serves(region)
            }
            (Some(geography), None) => geography.serves(region),
            (None, Some(known)) => known.in_region,
            (None, None) => true,
        };
        if fits {
            return Ok(());
        }
        let offered: &[Geography] = known.map_or(&Geography::ALL, |it| it.profiles);
        let serving = offered.iter().filter(|it| it.serves(region));
        let mut instead: Vec<String> = serving
            .map(|it| format!("{}.{}", it.prefix(), self.base))
            .collect();
        if known.is_some_and(|it| it.in_region) {
            instead.push(self.base.to_owned());
        }
        Err(Misfit {
            id: match self.geography {
                Some(geography) => format!("{}.{}", geography.prefix(), self.base),
                None => self.base.to_owned(),
            },
            region: region.to_owned(),
            instead,
        })
    }
}

/// A region cannot ask for an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` cannot be asked for in {region}; {}", said(instead))]
pub struct Misfit {
    id: String,
    region: String,
    instead: Vec<String>,
}

fn said(instead: &[String]) -> String {
    match instead {
        [] => "the model is offered in other regions only".to_owned(),
        ids => format!("there it is {}", ids.join(" or ")),
    }
}

/// One foundation model. Money is whole millionths of a US dollar for a million tokens.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// Without a profile's prefix.
    pub id: &'static str,
    /// Whether some region may serve it without a profile: not known to be false.
    pub in_region: bool,
    /// The profiles that lead to it.
    pub profiles: &'static [Geography],
    /// Until when it is there.
    pub lifecycle: Lifecycle,
    /// By the global profile, or in the region.
    price: Price,
    /// How it gives an answer of a known shape.
    pub answers: Answers,
    /// Whether it thinks before it answers.
    pub thinking: Thinking,
    /// Tokens from which on the beginning of a question is kept for five minutes; `None`: it takes no cache point.
    /// A shorter one is no error and is not kept. Source: Anthropic, "Prompt caching".
    pub cached_from: Option<u32>,
    /// Tokens of question and answer together.
    pub context_tokens: u32,
    /// Tokens of an answer, its thinking included; 0 where the answer is a vector.
    pub max_output_tokens: u32,
    /// Where the figures are from, and what could not be confirmed.
    pub sources: &'static str,
}

/// Dates are days as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Its end is not set; it is not before this day, where one is promised.
    Active(Option<&'static str>),
    /// Replaced by another; from this day on it does not answer.
    Legacy(&'static str),
}

/// What a million tokens cost, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of the question.
    pub input: u32,
    /// Of the answer and its thinking.
    pub output: u32,
    /// Of a question's part that is kept for five minutes.
    pub cache_write: u32,
    /// Of a part that was kept.
    pub cache_read: u32,
}

impl Price {
    const fn times(self, tenths: u32) -> Self {
        Self {
            input: self.input / 10 * tenths,
            output: self.output / 10 * tenths,
            cache_write: self.cache_write / 10 * tenths,
            cache_read: self.cache_read / 10 * tenths,
        }
    }
}

/// How a model is brought to answer in a known shape. Native JSON schemas (`outputConfig.textFormat`) are not among
/// them: Bedrock has refused them for Claude models that took them before.
/// Source: github.com/vercel/ai, issue 19988 (Haiku 4.5, August 2026) and pull request of 2 November 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// `toolChoice` names a tool, and it calls that.
    ForcedTool,
    /// It refuses such a `toolChoice`; it is offered the tool and told to call it.
    OfferedTool,
    /// It makes vectors.
    Vector,
}

/// Whether a model thinks before it answers, which is paid for as its answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// Only where a request asks for it.
    OnRequest,
    /// Unless a request turns it off.
    UnlessOff,
    /// Always; a request says how much.
    Always,
}

impl KnownModel {
    /// What a million tokens cost by one way to it.
    ///
    /// A geography costs a tenth more than the global profile, GovCloud a fifth.
    /// Source: Bedrock pricing page, "Anthropic"; AWS price list `AmazonBedrockFoundationModels`, 2026-09-30.
    pub fn price(&self, geography: Option<Geography>) -> Price {
        match geography {
            Some(Geography::Global) => self.price,
            Some(Geography::UsGov) => self.price.times(12),
            Some(_) => self.price.times(11),
            None if self.profiles.is_empty() => self.price,
            None => self.price.times(11),
        }
    }

    /// Whether it does not answer any more on a day, `YYYY-MM-DD`.
    pub fn has_ended(&self, today: &str) -> bool {
        matches!(self.lifecycle, Lifecycle::Legacy(ends) if ends <= today)
    }
}

#[cfg(test)]
mod tests;
