//! The figures. Each row names its sources and what of it could not be confirmed there.
//!
//! "Card" is the model's page in the Bedrock user guide, `model-card-anthropic-….html`; "price list" is AWS's
//! `AmazonBedrockFoundationModels` of us-east-1; "Anthropic" is platform.claude.com/docs, its pages "Pricing", "Models
//! overview" and the model's own. Copies of these pages were read, not the pages of this day.

use super::Geography::{Au, Eu, Global, In, Jp, Us, UsGov};
use super::{Answers, KnownModel, Lifecycle, Price, Thinking};

/// The day on which the table was written; no figure in it is newer.
pub const AS_OF: &str = "2026-11-29";

/// Source: card of Claude Haiku 4.5, "Regional availability".
pub(super) const US: [&str; 5] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
];

/// Source: card of Claude Haiku 4.5, "Regional availability".
pub(super) const EU: [&str; 8] = [
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
];

/// Source: AWS CDK, `CrossRegionInferenceProfileRegion.APAC`.
pub(super) const APAC: [&str; 13] = [
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "me-central-1",
];

/// Dollars as a price list writes them: `usd(2, 50)` is 2.50.
const fn usd(dollars: u32, cents: u32) -> u32 {
    dollars * 1_000_000 + cents * 10_000
}

pub(super) const TABLE: [KnownModel; 8] = [
    KnownModel {
        id: "anthropic.claude-haiku-5-5",
        in_region: false,
        profiles: &[Us, Eu, Jp, Au, UsGov, Global],
        lifecycle: Lifecycle::Active(Some("2027-10-07")),
        price: Price {
            input: usd(0, 10),
            output: usd(0, 50),
            cache_write: 125_000,
            cache_read: usd(0, 1),
        },
        answers: Answers::ForcedTool,
        thinking: Thinking::UnlessOff,
        cached_from: Some(4_096),
        context_tokens: 1_000_000,
        max_output_tokens: 128_000,
        sources: "Card and Anthropic, October 2026. Five times the price where a question is over 100,000 tokens, \
                  which none of ours is. GovCloud's profile: litellm's table only. Least for the cache: Haiku 4.5's",
    },
    KnownModel {
        id: "anthropic.claude-sonnet-5-5",
        in_region: false,
        profiles: &[Us, Eu, Jp, Au, UsGov, Global],
        lifecycle: Lifecycle::Active(Some("2027-09-28")),
        price: Price {
            input: usd(2, 0),
            output: usd(10, 0),
            cache_write: usd(2, 50),
            cache_read: usd(0, 10),
        },
        answers: Answers::OfferedTool,
        thinking: Thinking::Always,
        cached_from: Some(1_024),
        context_tokens: 1_000_000,
        max_output_tokens: 128_000,
        sources: "Card as quoted on 2026-10-07, price list of 2026-09-30, Anthropic, October 2026 (cache read since \
                  2026-10-07). First possible end: Google Cloud's date for it; Bedrock's not confirmed. GovCloud's profile: litellm's table only. Least for the cache: Sonnet 5's",
    },
    KnownModel {
        id: "anthropic.claude-opus-5-5",
        in_region: true,
        profiles: &[Us, Eu, Jp, Au, Global],
        lifecycle: Lifecycle::Active(None),
        price: Price {
            input: usd(4, 0),
            output: usd(20, 0),
            cache_write: usd(5, 0),
            cache_read: usd(0, 20),
        },
        answers: Answers::OfferedTool,
        thinking: Thinking::Always,
        cached_from: Some(1_024),
        context_tokens: 1_000_000,
        max_output_tokens: 128_000,
        sources: "Anthropic, October 2026; litellm, issue 42717 (forced tools refused on Bedrock). Profiles beside `us` and \
                  `global`, and first possible end, not confirmed",
    },
    KnownModel {
        id: "anthropic.claude-sonnet-5",
        in_region: true,
        profiles: &[Us, Eu, Jp, Au, In, Global],
        lifecycle: Lifecycle::Active(None),
        price: Price {
            input: usd(2, 0),
            output: usd(10, 0),
            cache_write: usd(2, 50),
            cache_read: usd(0, 20),
        },
        answers: Answers::ForcedTool,
        thinking: Thinking::Always,
        cached_from: Some(1_024),
        context_tokens: 1_000_000,
        max_output_tokens: 128_000,
        sources: "Anthropic, which calls it legacy since Sonnet 5.5, and litellm's table, October 2026. State on Bedrock not confirmed",
    },
    KnownModel {
        id: "anthropic.claude-sonnet-4-6",
        in_region: true,
        profiles: &[Us, Eu, Jp, Au, Global],
        lifecycle: Lifecycle::Active(Some("2027-02-17")),
        price: Price {
            input: usd(3, 0),
            output: usd(15, 0),
            cache_write: usd(3, 75),
            cache_read: usd(0, 30),
        },
        answers: Answers::ForcedTool,
        thinking: Thinking::OnRequest,
        cached_from: Some(2_048),
        context_tokens: 1_000_000,
        max_output_tokens: 64_000,
        sources: "Anthropic, 2026. First possible end: twelve months after its launch, as the lifecycle page promises; state on Bedrock not \
                  confirmed",
    },
    KnownModel {
        id: "anthropic.claude-haiku-4-5-20251001-v1:0",
        in_region: true,
        profiles: &[Us, Eu, Jp, Au, In, Global],
        lifecycle: Lifecycle::Active(Some("2026-10-01")),
        price: Price {
            input: usd(1, 0),
            output: usd(5, 0),
            cache_write: usd(1, 25),
            cache_read: usd(0, 10),
        },
        answers: Answers::ForcedTool,
        thinking: Thinking::OnRequest,
        cached_from: Some(4_096),
        context_tokens: 200_000,
        max_output_tokens: 64_000,
        sources: "Card, May 2026; Bedrock pricing page as quoted on 2026-09-29. Anthropic calls it legacy since Haiku 5.5; a date of its \
                  end on Bedrock was not found",
    },
    KnownModel {
        id: "anthropic.claude-sonnet-4-5-20250929-v1:0",
        in_region: true,
        profiles: &[Us, Eu, Jp, Au, UsGov, Global],
        lifecycle: Lifecycle::Legacy("2026-11-30"),
        price: Price {
            input: usd(3, 0),
            output: usd(15, 0),
            cache_write: usd(3, 75),
            cache_read: usd(0, 30),
        },
        answers: Answers::ForcedTool,
        thinking: Thinking::OnRequest,
        cached_from: Some(1_024),
        context_tokens: 200_000,
        max_output_tokens: 64_000,
        sources: "Anthropic, which retires it on 2026-11-30; a date of its end on Bedrock was not found",
    },
    KnownModel {
        id: "amazon.titan-embed-text-v2:0",
        in_region: true,
        profiles: &[],
        lifecycle: Lifecycle::Active(None),
        price: Price {
            input: usd(0, 2),
            output: 0,
            cache_write: 0,
            cache_read: 0,
        },
        answers: Answers::Vector,
        thinking: Thinking::OnRequest,
        cached_from: None,
        context_tokens: 8_192,
        max_output_tokens: 0,
        sources: "Bedrock user guide, \"Amazon Titan Text Embeddings models\"; price: openrouter.ai, October 2026, not confirmed at AWS",
    },
];
