//! The summary of a run.

use std::fmt;
use std::time::Duration;

use super::counts::Counts;
use super::step::Outcome;

/// The totals of a run. Displays as the closing table, whose last line is machine-readable.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    rows: Vec<(String, Counts)>,
    duration: Duration,
}

impl Summary {
    /// Adds up the outcomes of all steps. Rows of the same name become one.
    pub(crate) fn new(outcomes: &[Outcome], duration: Duration) -> Self {
        let mut rows = Vec::<(String, Counts)>::new();
        for (name, counts) in outcomes.iter().flat_map(|outcome| &outcome.rows) {
            match rows.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += *counts,
                None => rows.push((name.clone(), *counts)),
            }
        }
        Self { rows, duration }
    }

    /// Returns true if something passed and nothing failed.
    pub(crate) fn is_success(&self) -> bool {
        let total = self.total();
        total.failed == 0 && total.passed > 0
    }

    fn total(&self) -> Counts {
        let mut total = Counts::default();
        for (_, counts) in &self.rows {
            total += *counts;
        }
        total
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "\nSummary after {} min {} s",
            self.duration.as_secs() / 60,
            self.duration.as_secs() % 60
        )?;
        writeln!(out, "{:<24}{:>8}{:>8}{:>9}", "", "passed", "failed", "skipped")?;
        for (name, counts) in &self.rows {
            writeln!(out, "{name:<24}{:>8}{:>8}{:>9}", counts.passed, counts.failed, counts.skipped)?;
        }
        let Counts { passed, failed, skipped, .. } = self.total();
        write!(out, "\n{passed} passed, {failed} failed")?;
        if skipped > 0 { write!(out, ", {skipped} skipped") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(rows: &[(&str, Counts)]) -> Summary {
        let rows = rows.iter().map(|&(name, counts)| (name.to_owned(), counts)).collect();
        Summary::new(&[Outcome { rows, ..Outcome::default() }], Duration::from_secs(61))
    }

    #[test]
    fn the_last_line_is_for_machines() {
        let counts = Counts { passed: 3, failed: 1, ..Counts::default() };
        let text = summary(&[("format", Counts::one(true)), ("unit", counts)]).to_string();
        assert_eq!(text.lines().last(), Some("4 passed, 1 failed"));
        let skipping = Counts { skipped: 2, ..counts };
        assert_eq!(
            summary(&[("unit", skipping)]).to_string().lines().last(),
            Some("3 passed, 1 failed, 2 skipped")
        );
    }

    #[test]
    fn one_failure_anywhere_fails_all() {
        assert!(summary(&[("format", Counts::one(true))]).is_success());
        assert!(!summary(&[("format", Counts::one(true)), ("lints", Counts::one(false))]).is_success());
    }

    #[test]
    fn the_results_of_one_kind_are_one_row() {
        let counts = Counts { passed: 2, ..Counts::default() };
        let text = summary(&[("unit", counts), ("format", Counts::one(true)), ("unit", counts)]).to_string();
        assert_eq!(text.lines().filter(|line| line.starts_with("unit ")).count(), 1, "{text}");
        assert_eq!(text.lines().last(), Some("5 passed, 0 failed"));
    }

    #[test]
    fn nothing_run_is_no_success() {
        assert!(!summary(&[("unit", Counts::default())]).is_success());
        assert!(!summary(&[]).is_success());
    }
}
