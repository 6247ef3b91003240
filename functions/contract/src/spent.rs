//! What calls of models took: tokens, and dollars by the table of models.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, number};
use crate::models::ModelId;

/// Tokens of one call, as Bedrock counts them: each token is in one of the four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the question, without what came from the cache or went there.
    pub input: u64,
    /// Of the answer, with what was thought before it.
    pub output: u64,
    /// Of the question, read from the cache.
    pub cache_read: u64,
    /// Of the question, written to the cache.
    pub cache_write: u64,
}

/// What some calls of models took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Answers that came, also those that were of no use.
    pub calls: u32,
    /// Tokens of the questions, without those of the cache.
    pub input_tokens: u64,
    /// Tokens of the answers, with what was thought before them.
    pub output_tokens: u64,
    /// Tokens of the questions that came from the cache.
    pub cache_read_tokens: u64,
    /// Tokens of the questions that went to the cache.
    pub cache_write_tokens: u64,
    /// Millionths of a US dollar; 0 for a model that is not in the table.
    pub micro_dollars: u64,
}

impl Spent {
    /// One call of a model, priced by the table for the way that the id names, rounded up.
    pub fn of_call(model_id: &str, tokens: Tokens) -> Self {
        let model = ModelId::parse(model_id);
        let price = model.known().map(|known| known.price(model.geography));
        let micro_dollars = price.map_or(0, |price| {
            let part = |n_tokens: u64, price: u32| u128::from(n_tokens) * u128::from(price);
            let sum = part(tokens.input, price.input)
                + part(tokens.output, price.output)
                + part(tokens.cache_read, price.cache_read)
                + part(tokens.cache_write, price.cache_write);
            u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
        });
        Self {
            calls: 1,
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cache_read_tokens: tokens.cache_read,
            cache_write_tokens: tokens.cache_write,
            micro_dollars,
        }
    }
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_read_tokens: self
                .cache_read_tokens
                .saturating_add(other.cache_read_tokens),
            cache_write_tokens: self
                .cache_write_tokens
                .saturating_add(other.cache_write_tokens),
            micro_dollars: self.micro_dollars.saturating_add(other.micro_dollars),
        }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(calls: I) -> Self {
        calls.fold(Self::default(), Add::add)
    }
}

/// A stage that asks models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spender {
    /// Verdicts and the vectors of abstracts.
    Judge,
    /// Plans, programs, what is made of them.
    Generator,
}

impl Spender {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Judge, Self::Generator];

    /// As keys, metrics and tables have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Judge => "judge",
            Self::Generator => "generator",
        }
    }
}

/// How much models may cost, all stages together. A question is asked while less is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// On one paper, millionths of a US dollar.
    pub paper_micro_dollars: u64,
    /// On one day, UTC, millionths of a US dollar.
    pub day_micro_dollars: u64,
}

impl Budget {
    /// Reads the variables of a function, in US dollars such as `0.5`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for one that is no amount from 0 to a million.
    pub fn from_variables(paper: &str, day: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            paper_micro_dollars: micro_dollars("BUDGET_PER_PAPER_USD", paper)?,
            day_micro_dollars: micro_dollars("BUDGET_PER_DAY_USD", day)?,
        })
    }
}

fn micro_dollars(name: &'static str, value: &str) -> Result<u64, ConfigError> {
    let dollars: f64 = number(name, value)?;
    if !(0.0..=1e6).contains(&dollars) {
        return Err(ConfigError::Invalid {
            name,
            expected: "US dollars from 0 to a million",
            value: value.to_owned(),
        });
    }
    // Not negative and at most 10^12, so nothing is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok((dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLION_EACH: Tokens = Tokens {
        input: 1_000_000,
        output: 1_000_000,
        cache_read: 1_000_000,
        cache_write: 1_000_000,
    };

    #[test]
    fn each_kind_of_token_has_its_own_price_by_the_way_that_is_asked() {
        let dollars = |id: &str| Spent::of_call(id, MILLION_EACH).micro_dollars;
        // 2.00 + 10.00 + 0.10 + 2.50
        assert_eq!(dollars("global.anthropic.claude-sonnet-5-5"), 14_600_000);
        assert_eq!(dollars("us.anthropic.claude-sonnet-5-5"), 16_060_000);
        assert_eq!(dollars("amazon.titan-embed-text-v2:0"), 20_000);
        assert_eq!(dollars("offline-judge"), 0);
    }

    #[test]
    fn a_call_costs_at_least_a_millionth_and_sums_do_not_overflow() {
        let one = Tokens {
            input: 1,
            ..Tokens::default()
        };
        let call = Spent::of_call("us.anthropic.claude-haiku-5-5", one);
        assert_eq!((call.calls, call.micro_dollars), (1, 1));
        let all: Spent = [call, call].into_iter().sum();
        assert_eq!((all.calls, all.input_tokens, all.micro_dollars), (2, 2, 2));
        let most = Tokens {
            input: u64::MAX,
            ..MILLION_EACH
        };
        let mut most = Spent::of_call("us.anthropic.claude-haiku-5-5", most);
        most += most;
        assert_eq!(most.input_tokens, u64::MAX);
    }

    #[test]
    fn a_budget_is_dollars_and_nothing_else() {
        let budget = Budget::from_variables("0.5", "50").unwrap();
        assert_eq!(
            (budget.paper_micro_dollars, budget.day_micro_dollars),
            (500_000, 50_000_000)
        );
        for wrong in ["-1", "NaN", "inf", "lots", "2000000"] {
            let error = Budget::from_variables("1", wrong).unwrap_err();
            assert!(error.to_string().contains("BUDGET_PER_DAY_USD"), "{error}");
        }
    }
}
