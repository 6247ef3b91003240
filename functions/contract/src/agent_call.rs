//! A call of the agent's HTTP API, which lasts as long as its programs and within a function's time.
//!
//! The tester sends as many programs as [`programs_in`] says; `infra` refuses settings whose time is less
//! than [`least_function_time`]. AWS ends a function after fifteen minutes at most.

use std::time::Duration;

/// Programs that an agent runs at a time where `AGENT_SLOTS` does not say otherwise: one on each NeuronCore of
/// a `trn1.2xlarge`. Source: AWS Neuron documentation, "Trn1 Architecture".
pub const SLOTS: u16 = 2;
/// Time of a call besides the programs' own: their start, their outputs' way to S3, and what the tester writes
/// after it.
pub const MARGIN: Duration = Duration::from_secs(60);
/// Time of the function before the call: its cold start, and its looks at queues, bucket and index.
const BEFORE: Duration = Duration::from_secs(30);

/// How many programs surely finish in `left`, each of which may run for `program`.
pub fn programs_in(left: Duration, program: Duration) -> usize {
    let usable = left.saturating_sub(MARGIN).as_secs();
    let rounds = usable.checked_div(program.as_secs()).unwrap_or(0);
    usize::try_from(rounds)
        .unwrap_or(usize::MAX)
        .saturating_mul(usize::from(SLOTS))
}

/// Timeout of a function that calls the agent with at least one program of this limit.
pub fn least_function_time(program: Duration) -> Duration {
    BEFORE + MARGIN + program
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(left: u64, program: u64) -> usize {
        programs_in(Duration::from_secs(left), Duration::from_secs(program))
    }

    #[test]
    fn as_many_programs_as_surely_finish() {
        assert_eq!(programs(895, 600), 2);
        assert_eq!(programs(895, 120), 12);
        assert_eq!(programs(659, 600), 0);
        assert_eq!(programs(10, 600), 0);
        assert_eq!(programs(895, 0), 0);
    }

    #[test]
    fn the_least_time_holds_a_program_whatever_came_before_the_call() {
        let program = Duration::from_secs(600);
        let least = least_function_time(program);
        assert_eq!(least.as_secs(), 690);
        assert_eq!(programs_in(least - BEFORE, program), usize::from(SLOTS));
    }
}
