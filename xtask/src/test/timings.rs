//! The table of `cargo xtask test --timings`.

use std::fmt::Write as _;

use super::step::Outcome;

/// The number of slowest tests that are listed.
const SLOWEST: usize = 40;

/// Every step in the order of completion, and the slowest tests.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\nSteps (several run side by side)\n");
    for outcome in outcomes.iter().filter(|outcome| !outcome.name.is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>8.1} s  {}", outcome.duration.as_secs_f64(), outcome.name);
    }
    let mut tests: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.durations).collect();
    tests.sort_by(|one, other| other.cmp(one));
    let _ = writeln!(text, "\nSlowest tests, of {}", tests.len());
    for (duration, name) in tests.into_iter().take(SLOWEST) {
        let _ = writeln!(text, "{:>8.1} s  {name}", duration.as_secs_f64());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_slowest_test_comes_first() {
        let durations = vec![
            (Duration::from_millis(20), "quick".to_owned()),
            (Duration::from_secs(3), "slow".to_owned()),
        ];
        let outcome = Outcome { name: "unit".into(), durations, ..Outcome::default() };
        let text = table(&[outcome, Outcome::default()]);
        let expected = "\nSteps (several run side by side)\n     0.0 s  unit\n\nSlowest tests, of 2\n     3.0 s  slow\n     0.0 s  quick\n";
        assert_eq!(text, expected);
    }
}
