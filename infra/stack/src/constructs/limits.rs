//! Values that AWS accepts. A value of one of these types is inside AWS's range: the `const`
//! constructors refuse to compile outside it, and `checked` refuses at run time where a setting gives it.

/// A setting outside its range; the text names both ends and the unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {least} to {most} {unit}, got {value}")]
pub(crate) struct OutOfRange {
    what: String,
    least: u32,
    most: u32,
    unit: &'static str,
    value: u32,
}

/// A doctest with a value in a `const`.
macro_rules! example {
    ($kind:literal, $name:ident, $value:literal, $more:literal) => {
        concat!(
            "```",
            $kind,
            "\n",
            "use annapurna_stack::constructs::limits::",
            stringify!($name),
            ";\n",
            "const VALUE: ",
            stringify!($name),
            " = ",
            stringify!($name),
            "::new(",
            $value,
            $more,
            ");\n",
            "```"
        )
    };
}

macro_rules! limited {
    // One that a setting gives, too.
    ($(#[$doc:meta])* setting $name:ident, $what:literal, $least:literal..=$most:literal $unit:literal) => {
        limited!($(#[$doc])* $name, $what, $least..=$most $unit);

        impl $name {
            /// A value from a setting called `what`.
            ///
            /// # Errors
            ///
            /// [`OutOfRange`] names the setting, the value and the range.
            pub(crate) fn checked(what: impl Into<String>, value: u32) -> Result<Self, OutOfRange> {
                if ($least..=$most).contains(&value) {
                    Ok(Self(value))
                } else {
                    Err(OutOfRange { what: what.into(), least: $least, most: $most, unit: $unit, value })
                }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $what:literal, $least:literal..=$most:literal $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u32);

        // `RangeInclusive::contains` is not const, and one range begins at the type's own zero.
        #[allow(clippy::manual_range_contains, clippy::absurd_extreme_comparisons, unused_comparisons)]
        impl $name {
            #[cfg(test)]
            #[allow(dead_code, reason = "not every range stands in a schema to be compared with")]
            pub(crate) const RANGE: std::ops::RangeInclusive<u32> = $least..=$most;

            /// A value known when this program is compiled; use it in a `const`, where a value
            /// outside the range does not compile.
            ///
            /// The range's ends compile:
            ///
            #[doc = example!("", $name, $least, "")]
            #[doc = example!("", $name, $most, "")]
            ///
            /// One less, or one more, does not:
            ///
            #[doc = example!("compile_fail,E0080", $name, $least, " - 1")]
            #[doc = example!("compile_fail,E0080", $name, $most, " + 1")]
            pub const fn new(value: u32) -> Self {
                assert!(
                    value >= $least && value <= $most,
                    concat!($what, " must be ", $least, " to ", $most, " ", $unit)
                );
                Self(value)
            }

            pub(crate) const fn get(self) -> u32 {
                self.0
            }
        }
    };
}

limited!(
    /// Seconds a function may run. Source: Lambda quotas, "Function timeout".
    setting FunctionTimeout, "a function's timeout", 1..=900 "seconds"
);
limited!(
    /// MiB of a function. Source: Lambda quotas, "Function memory allocation".
    setting MemoryMib, "a function's memory", 128..=10240 "MiB"
);
limited!(
    /// Messages of one call from a FIFO queue. Source: Lambda guide, "Using Lambda with Amazon SQS".
    BatchSize, "a FIFO queue's batch size", 1..=10 "messages"
);
limited!(
    /// Seconds a received message stays invisible. Source: CloudFormation reference, `AWS::SQS::Queue`.
    VisibilityTimeout, "a visibility timeout", 0..=43200 "seconds"
);
limited!(
    /// Receives before a message moves to the dead-letter queue. Source: SQS, `maxReceiveCount`.
    MaxReceives, "a maximum receive count", 1..=1000 "receives"
);
limited!(
    /// Copies of a function that one queue may start. Source: Lambda guide, "maximum concurrency".
    MaxConcurrency, "a mapping's maximum concurrency", 2..=1000 "copies"
);

/// Days of a log group; CloudWatch Logs allows only these.
/// Source: `PutRetentionPolicy`, CloudWatch Logs API reference.
pub(crate) const RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// The name of a FIFO queue: up to 80 characters of `A-Za-z0-9_-`, with `.fifo` at its end.
/// Source: SQS quotas, "Queue name".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FifoQueueName(String);

/// A name that SQS refuses; the text says the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a FIFO queue's name is 1 to 80 characters of A-Z a-z 0-9 _ - and ends in `.fifo`, got `{0}`"
)]
pub struct InvalidQueueName(String);

impl FifoQueueName {
    /// Whether SQS takes this name for a FIFO queue. In a `const`, `assert!` it.
    pub(crate) const fn is_valid(name: &str) -> bool {
        let bytes = name.as_bytes();
        let ending = b".fifo";
        if bytes.len() <= ending.len() || bytes.len() > 80 {
            return false;
        }
        let stem = bytes.len() - ending.len();
        let mut at = 0;
        while at < bytes.len() {
            let fits = if at < stem {
                bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || bytes[at] == b'-'
            } else {
                bytes[at] == ending[at - stem]
            };
            if !fits {
                return false;
            }
            at += 1;
        }
        true
    }

    /// Checks a name made of an environment's prefix and a queue's name.
    ///
    /// # Errors
    ///
    /// [`InvalidQueueName`] with the rule.
    pub(crate) fn checked(name: String) -> Result<Self, InvalidQueueName> {
        if Self::is_valid(&name) {
            Ok(Self(name))
        } else {
            Err(InvalidQueueName(name))
        }
    }

    /// A name known when this program is compiled; in a `const`, a name that SQS refuses does not
    /// compile.
    ///
    /// ```
    /// use annapurna_stack::constructs::limits::FifoQueueName;
    /// const NAME: &str = FifoQueueName::assert("researchQueue.fifo");
    /// ```
    ///
    /// ```compile_fail,E0080
    /// use annapurna_stack::constructs::limits::FifoQueueName;
    /// const NAME: &str = FifoQueueName::assert("researchQueue");
    /// ```
    pub const fn assert(name: &'static str) -> &'static str {
        assert!(
            Self::is_valid(name),
            "a FIFO queue's name is 1 to 80 characters of A-Z a-z 0-9 _ - and ends in .fifo"
        );
        name
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_stops_at_fifteen_minutes() {
        assert!(FunctionTimeout::checked("judge.timeout-secs", 900).is_ok());
        let error = FunctionTimeout::checked("judge.timeout-secs", 901).unwrap_err();
        assert_eq!(
            error.to_string(),
            "judge.timeout-secs must be 1 to 900 seconds, got 901"
        );
        assert!(FunctionTimeout::checked("judge.timeout-secs", 0).is_err());
    }

    #[test]
    fn a_function_has_128_mib_to_ten_gib() {
        assert!(MemoryMib::checked("m", 127).is_err() && MemoryMib::checked("m", 128).is_ok());
        assert!(
            MemoryMib::checked("m", 10_240).is_ok() && MemoryMib::checked("m", 10_241).is_err()
        );
    }

    #[test]
    #[should_panic(expected = "a function's memory must be 128 to 10240 MiB")]
    fn the_compiler_shows_the_range() {
        MemoryMib::new(64);
    }

    #[test]
    fn only_names_that_sqs_takes_are_queue_names() {
        for good in ["researchQueue.fifo", "dev-code-testing-dlq.fifo"] {
            assert!(FifoQueueName::checked(good.to_owned()).is_ok(), "{good}");
        }
        let long = format!("{}.fifo", "q".repeat(76));
        for bad in [
            "",
            ".fifo",
            "queue",
            "queue.fifo.fifo",
            "qu eue.fifo",
            long.as_str(),
        ] {
            assert!(FifoQueueName::checked(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
