//! A call of the agent's HTTP API, which lasts as long as its programs and within a function's time.
//!
//! The tester sends as many programs as [`programs_in`] says; `infra` refuses settings whose time is less
//! than [`least_function_time`]. AWS ends a function after fifteen minutes at most.

use std::time::Duration;

/// Time of a call besides the programs' own: their start, their outputs' way to S3, and what the tester writes
/// after it.
pub const MARGIN: Duration = Duration::from_secs(60);
/// Time of the function before the call: its cold start, and its looks at queues, bucket and index.
const BEFORE: Duration = Duration::from_secs(30);

/// How many programs surely finish in `left`, each of which may run for `program`, on an agent that runs `slots` at a time.
pub fn programs_in(left: Duration, program: Duration, slots: usize) -> usize {
    let usable = left.saturating_sub(MARGIN).as_secs();
    let rounds = usable.checked_div(program.as_secs()).unwrap_or(0);
    usize::try_from(rounds)
        .unwrap_or(usize::MAX)
        .saturating_mul(slots)
}

/// Timeout of a function that calls the agent with at least one program of this limit.
pub fn least_function_time(program: Duration) -> Duration {
    BEFORE + MARGIN + program
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(left: u64, program: u64) -> usize {
        programs_in(Duration::from_secs(left), Duration::from_secs(program), 2)
    }

    #[test]
    fn as_many_programs_as_surely_finish() {
        assert_eq!(programs(895, 600), 2);
        assert_eq!(programs(895, 120), 12);
        assert_eq!(programs(659, 600), 0);
        assert_eq!(programs(10, 600), 0);
        let one = programs_in(Duration::from_secs(895), Duration::from_secs(120), 1);
        assert_eq!(one, 6, "a Neuron device runs one at a time");
        assert_eq!(programs(895, 0), 0);
    }

    #[test]
    fn the_least_time_holds_a_program_whatever_came_before_the_call() {
        let program = Duration::from_secs(600);
        let least = least_function_time(program);
        assert_eq!(least.as_secs(), 690);
        assert_eq!(programs_in(least - BEFORE, program, 1), 1);
    }
}
