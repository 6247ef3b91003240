//! What a program's run came to, and what was measured of it.
//!
//! What the program prints are its claims. [`Measured`] is what the harness around it saw (`measuring.py`, which
//! `dataset_loader` brings along): data taken, losses that training began from, steps of optimisers, results on held-out
//! data. It runs in the program's own process, so it stops accidents and laziness, not a program set on deceiving.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Steps of its optimisers from which a program counts as trained.
pub const LEAST_STEPS: u64 = 10;
/// The largest loss, up or down, that training has.
const LARGEST_LOSS: f64 = 1e9;
/// By how many standard errors the losses at the end must be below those at the beginning.
const STANDARD_ERRORS: f64 = 2.0;
/// Losses of a series that its first and its last quarter need together.
const LEAST_LOSSES: usize = 8;
/// What measures a program's own method.
const METHOD: &str = "method";
/// What it is compared with, under the same budget.
const BASELINE: &str = "baseline";
/// The half of a data set on which nothing is trained.
const HELD_OUT: &str = "test";

/// What a run came to, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did not end by itself with code 0, or what it reports cannot be.
    Failed,
    /// It ended with code 0, and it was not seen that it trained.
    Ran,
    /// Its loss fell over enough steps, finite and in range. Here `passed` begins.
    Trained,
    /// It trained, and on held-out data its method is better than its baseline.
    BeatsBaseline,
}

impl Outcome {
    /// What a run came to, by whether it ended well, what it reports can be, and what was measured.
    pub fn of(ended_well: bool, measured: Option<&Measured>) -> Self {
        if !ended_well {
            return Self::Failed;
        }
        match measured.map(|it| (it.trained(), it)) {
            Some((Ok(()), measured)) if measured.beats_baseline() => Self::BeatsBaseline,
            Some((Ok(()), _)) => Self::Trained,
            _ => Self::Ran,
        }
    }

    /// Whether the program really trained.
    pub fn is_pass(self) -> bool {
        self >= Self::Trained
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ran => "ran",
            Self::Trained => "trained",
            Self::BeatsBaseline => "beats-baseline",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why it was not seen that a program trained.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NotTrained {
    /// There is no report of the harness.
    #[error(
        "nothing was measured: it does not import dataset_loader, or ended before that could be told"
    )]
    NotMeasured,
    /// Neither a batch nor a sample.
    #[error("it took no data of dataset_loader's")]
    NoData,
    /// Fewer than [`LEAST_STEPS`].
    #[error("its optimisers made {0} steps, and {LEAST_STEPS} are the least")]
    FewSteps(u64),
    /// A NaN or an infinity.
    #[error("a loss was not finite")]
    NotFinite,
    /// A loss that none is.
    #[error("a loss was {0:e}")]
    OutOfRange(f64),
    /// The loss at the end is not below that at the beginning by more than chance.
    #[error("the loss given to backward() did not fall")]
    DidNotFall,
}

/// What the harness saw of a program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Data sets that it loaded, by name.
    #[serde(default)]
    pub datasets: Vec<String>,
    /// Batches that it took of any `DataLoader`.
    #[serde(default)]
    pub batches: u64,
    /// Samples that it took of the loader's data sets by itself.
    #[serde(default)]
    pub samples: u64,
    /// Calls of `backward()`.
    #[serde(default)]
    pub backwards: u64,
    /// Steps of all its optimisers.
    #[serde(default)]
    pub steps: u64,
    /// Its optimisers, in the order of their first step; the first of many.
    #[serde(default)]
    pub optimizers: Vec<Training>,
    /// What `dataset_loader.evaluate` measured; of two of the same the last.
    #[serde(default)]
    pub evaluations: Vec<Evaluation>,
}

/// What one optimiser did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Its steps.
    pub steps: u64,
    /// Losses given to `backward()` before its steps, evenly spaced over them, the first first; `None` is a NaN or an
    /// infinity.
    pub losses: Vec<Option<f64>>,
}

/// What `dataset_loader.evaluate` measured once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What was measured: `method`, `baseline`, or a word of the program's.
    pub name: String,
    /// On which data set.
    pub dataset: String,
    /// On which half of it: `test` or `train`.
    pub split: String,
    /// Of which repetition; `None` where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// On how many samples.
    pub samples: u64,
    /// Part of the samples whose class was right, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean cross entropy in nats, of a word in a language; mean squared error of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// e to the loss, for languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
}

impl Measured {
    /// Whether it was seen that the program trained.
    ///
    /// Each optimiser has a series of losses, and half of the steps must be of optimisers whose loss fell: a baseline
    /// that was made weak on purpose, or one of two adversaries, does not count against the other.
    ///
    /// # Errors
    ///
    /// [`NotTrained`]: the first that is missing.
    pub fn trained(&self) -> Result<(), NotTrained> {
        if self.batches == 0 && self.samples == 0 {
            return Err(NotTrained::NoData);
        }
        if self.steps < LEAST_STEPS {
            return Err(NotTrained::FewSteps(self.steps));
        }
        let with_losses = || self.optimizers.iter().filter(|it| !it.losses.is_empty());
        for loss in with_losses().flat_map(|it| &it.losses) {
            match loss {
                None => return Err(NotTrained::NotFinite),
                Some(loss) if loss.abs() > LARGEST_LOSS => {
                    return Err(NotTrained::OutOfRange(*loss));
                }
                Some(_) => {}
            }
        }
        let fell = steps(with_losses().filter(|it| it.fell()));
        match fell > 0 && fell >= steps(with_losses()) / 2 {
            true => Ok(()),
            false => Err(NotTrained::DidNotFall),
        }
    }

    /// Whether the method is better than the baseline on the held-out half of each data set on which both were
    /// measured, at least one: by accuracy, or where there is none by the loss; over all repetitions, by their mean.
    pub fn beats_baseline(&self) -> bool {
        let means = self.means();
        let better = means.iter().filter_map(|((dataset, name), method)| {
            let baseline = means
                .get(&(*dataset, BASELINE))
                .filter(|_| *name == METHOD)?;
            Some(method.is_better_than(baseline))
        });
        let better: Vec<bool> = better.collect();
        !better.is_empty() && better.into_iter().all(|it| it)
    }

    /// What was measured on held-out data, by data set and name.
    fn means(&self) -> BTreeMap<(&str, &str), Means> {
        let mut means = BTreeMap::<(&str, &str), Vec<&Evaluation>>::new();
        for found in self.evaluations.iter().filter(|it| it.split == HELD_OUT) {
            let key = (found.dataset.as_str(), found.name.as_str());
            means.entry(key).or_default().push(found);
        }
        let means = means.into_iter();
        means.map(|(key, found)| (key, Means::of(&found))).collect()
    }
}

impl Training {
    /// Whether its losses fell by more than chance: the mean of the last quarter is below that of the first by two
    /// standard errors.
    fn fell(&self) -> bool {
        let losses: Vec<f64> = self.losses.iter().flatten().copied().collect();
        if losses.len() < LEAST_LOSSES {
            return false;
        }
        let quarter = losses.len() / 4;
        let (first, last) = (&losses[..quarter], &losses[losses.len() - quarter..]);
        let (before, after) = (mean(first), mean(last));
        let chance = (square_error(first, before) + square_error(last, after)).sqrt();
        before - after > STANDARD_ERRORS * chance && before - after > before.abs() * 1e-6
    }
}

/// Over the repetitions of one measurement.
#[derive(Debug, Clone, Copy)]
struct Means {
    accuracy: Option<f64>,
    loss: Option<f64>,
}

impl Means {
    fn of(found: &[&Evaluation]) -> Self {
        let over = |value: fn(&Evaluation) -> Option<f64>| {
            let values: Option<Vec<f64>> = found.iter().map(|it| value(it)).collect();
            values.map(|values| mean(&values))
        };
        Self {
            accuracy: over(|it| it.accuracy),
            loss: over(|it| it.loss),
        }
    }

    fn is_better_than(&self, other: &Self) -> bool {
        match (self.accuracy, other.accuracy, self.loss, other.loss) {
            (Some(mine), Some(theirs), _, _) => mine > theirs,
            (None, None, Some(mine), Some(theirs)) => mine < theirs,
            _ => false,
        }
    }
}

fn steps<'a>(optimizers: impl Iterator<Item = &'a Training>) -> u64 {
    optimizers.fold(0, |sum, it| sum.saturating_add(it.steps))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The square of a mean's standard error.
fn square_error(values: &[f64], mean: f64) -> f64 {
    let count = values.len() as f64;
    let squares = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
    squares / (count - 1.0).max(1.0) / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trains(losses: impl IntoIterator<Item = f64>, steps: u64) -> Measured {
        let losses = losses.into_iter().map(Some).collect();
        Measured {
            batches: steps,
            backwards: steps,
            steps,
            optimizers: vec![Training { steps, losses }],
            ..Measured::default()
        }
    }

    fn falling() -> Measured {
        trains((0..40).map(|step| 2.3 / f64::from(step + 1)), 40)
    }

    fn measured(name: &str, accuracy: Option<f64>, loss: f64) -> Evaluation {
        Evaluation {
            name: name.to_owned(),
            dataset: "mnist".to_owned(),
            split: "test".to_owned(),
            samples: 2_000,
            accuracy,
            loss: Some(loss),
            ..Evaluation::default()
        }
    }

    #[test]
    fn a_loss_that_falls_over_enough_steps_is_training() {
        assert_eq!(falling().trained(), Ok(()));
        assert_eq!(
            trains([2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1], 10).trained(),
            Ok(())
        );
        let few = trains([2.0, 1.0], 9).trained();
        assert_eq!(few, Err(NotTrained::FewSteps(9)));
        let mut nothing = falling();
        nothing.batches = 0;
        assert_eq!(nothing.trained(), Err(NotTrained::NoData));
        nothing.samples = 1;
        assert_eq!(nothing.trained(), Ok(()));
        // Steps without a loss given to backward().
        let none = Measured {
            optimizers: Vec::new(),
            ..falling()
        };
        assert_eq!(none.trained(), Err(NotTrained::DidNotFall));
    }

    #[test]
    fn a_loss_that_only_wavers_or_cannot_be_is_none() {
        let noise = (0..64).map(|step| 2.3 + 0.1 * f64::from(step * 37 % 11 - step % 2));
        assert_eq!(trains(noise, 64).trained(), Err(NotTrained::DidNotFall));
        assert_eq!(
            trains([2.3; 64], 64).trained(),
            Err(NotTrained::DidNotFall),
            "the same each time"
        );
        let rising = (0..40).map(|step| 1.0 + f64::from(step));
        assert_eq!(trains(rising, 40).trained(), Err(NotTrained::DidNotFall));
        let mut broken = falling();
        broken.optimizers[0].losses[20] = None;
        assert_eq!(broken.trained(), Err(NotTrained::NotFinite));
        broken.optimizers[0].losses[20] = Some(-1e30);
        assert_eq!(broken.trained(), Err(NotTrained::OutOfRange(-1e30)));
    }

    #[test]
    fn half_of_the_steps_must_be_of_optimisers_whose_loss_fell() {
        let mut some = falling();
        let stuck = Training {
            steps: 40,
            losses: vec![Some(2.3); 40],
        };
        some.optimizers.push(stuck.clone());
        some.steps = 80;
        assert_eq!(some.trained(), Ok(()), "a baseline that is weak on purpose");
        some.optimizers.push(stuck);
        assert_eq!(some.trained(), Err(NotTrained::DidNotFall));
    }

    #[test]
    fn only_a_method_better_on_each_held_out_set_beats_its_baseline() {
        let outcome = |evaluations: Vec<Evaluation>| {
            let measured = Measured {
                evaluations,
                ..falling()
            };
            Outcome::of(true, Some(&measured))
        };
        let (worse, better) = (Some(0.8), Some(0.9));
        let method = measured("method", better, 0.4);
        let baseline = measured("baseline", worse, 0.2);
        let both = || vec![method.clone(), baseline.clone()];
        assert_eq!(outcome(both()), Outcome::BeatsBaseline);
        assert_eq!(outcome(vec![method.clone()]), Outcome::Trained);
        let equal = measured("baseline", better, 0.4);
        assert_eq!(outcome(vec![method.clone(), equal]), Outcome::Trained);
        // Languages have no accuracy; their loss counts.
        let language = |name: &str, loss| measured(name, None, loss);
        let lower = vec![language("method", 3.0), language("baseline", 3.1)];
        assert_eq!(outcome(lower), Outcome::BeatsBaseline);
        let mut on_train = both();
        on_train[0].split = "train".to_owned();
        assert_eq!(outcome(on_train), Outcome::Trained);
        let mut elsewhere = both();
        elsewhere.extend(both().into_iter().map(|mut it| {
            it.dataset = "cifar10".to_owned();
            it.accuracy = it.accuracy.map(|accuracy| 1.0 - accuracy);
            it
        }));
        assert_eq!(outcome(elsewhere), Outcome::Trained, "worse on another set");
        let mut seeds = both();
        seeds.push(measured("method", Some(0.1), 9.0));
        assert_eq!(outcome(seeds), Outcome::Trained, "by the mean");
    }

    #[test]
    fn passing_begins_where_training_was_seen() {
        assert_eq!(Outcome::of(false, Some(&falling())), Outcome::Failed);
        assert_eq!(Outcome::of(true, None), Outcome::Ran);
        assert_eq!(Outcome::of(true, Some(&falling())), Outcome::Trained);
        let passes = [
            Outcome::Failed,
            Outcome::Ran,
            Outcome::Trained,
            Outcome::BeatsBaseline,
        ];
        assert_eq!(passes.map(Outcome::is_pass), [false, false, true, true]);
        for outcome in passes {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
