//! The results that a test program prints.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counts::Counts;

const PROPERTY: &str = "property";

/// The results of one test program.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Results {
    /// Counts by kind of test: property tests are a kind of their own, in any file.
    pub(crate) counts: BTreeMap<String, Counts>,
    /// The names of the tests that failed.
    pub(crate) failed: Vec<String>,
    /// The duration of each test, if it was requested.
    pub(crate) durations: Vec<(Duration, String)>,
}

impl Results {
    /// Parses the output of a program with tests of this `kind`. Output without a result (a crash, or a killed program) counts as
    /// one failure.
    pub(crate) fn parse(kind: &str, output: &str) -> Self {
        let mut results = Self::default();
        let mut properties = 0;
        let mut sum = None::<Counts>;
        for line in output.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                *sum.get_or_insert_default() += parse_result(result);
            } else if let Some((name, verdict)) = parse_test(line) {
                properties += u32::from(verdict.starts_with("ok") && name.contains("propert"));
                results.note(name, verdict);
            }
        }
        let mut sum = sum.unwrap_or(Counts { failed: 1, ..Counts::default() });
        let properties = properties.min(sum.passed);
        if properties > 0 {
            sum.passed -= properties;
            results.counts.insert(PROPERTY.into(), Counts { passed: properties, ..Counts::default() });
        }
        *results.counts.entry(kind.into()).or_default() += sum;
        results
    }

    fn note(&mut self, name: &str, verdict: &str) {
        if verdict.starts_with("FAILED") {
            self.failed.push(name.to_owned());
        }
        let seconds = verdict.split_once('<').and_then(|(_, rest)| rest.strip_suffix("s>"));
        if let Some(duration) =
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok())
        {
            self.durations.push((duration, name.to_owned()));
        }
    }
}

/// Parses `test seal::round_trip ... ok <0.123s>`, the duration only if it was requested.
fn parse_test(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("test ")?.rsplit_once(" ... ")
}

/// Parses `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`.
fn parse_result(line: &str) -> Counts {
    let number = |word: &str| {
        let before = line.split(word).next().filter(|before| before.len() < line.len())?;
        before.rsplit(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    };
    let zero = |word: &str| number(word).unwrap_or(0);
    Counts {
        passed: zero(" passed"),
        // An unreadable result line counts as a failure.
        failed: number(" failed").unwrap_or(1),
        skipped: zero(" ignored"),
        filtered: zero(" filtered out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test seal::tests::a_wrong_label_does_not_open ... ok <0.250s>
test seal::properties::what_is_sealed_opens ... ok <1.500s>
test keyring::tests::an_empty_ring_opens_nothing ... FAILED <0.001s>
test slow ... ignored

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.23s
";

    fn counts(passed: u32, failed: u32, skipped: u32, filtered: u32) -> Counts {
        Counts { passed, failed, skipped, filtered }
    }

    #[test]
    fn property_tests_are_a_kind_of_their_own() {
        let expected = [("unit", counts(1, 1, 1, 3)), ("property", counts(1, 0, 0, 0))];
        let expected = expected.map(|(kind, counts)| (kind.to_owned(), counts)).into();
        assert_eq!(Results::parse("unit", OUTPUT).counts, expected);
    }

    #[test]
    fn failed_tests_and_durations_are_known_by_name() {
        let results = Results::parse("unit", OUTPUT);
        assert_eq!(results.failed, ["keyring::tests::an_empty_ring_opens_nothing"]);
        let slowest = results.durations.iter().max().unwrap();
        assert_eq!(
            *slowest,
            (Duration::from_millis(1500), "seal::properties::what_is_sealed_opens".to_owned())
        );
        assert_eq!(Results::parse("unit", &OUTPUT.replace(" <", " (")).durations, []);
    }

    #[test]
    fn several_results_are_added() {
        let output = "test result: ok. 2 passed; 0 failed;\ntest result: ok. 3 passed; 1 failed;\n";
        let results = Results::parse("documentation example", output);
        assert_eq!(results.counts["documentation example"], counts(5, 1, 0, 0));
    }

    #[test]
    fn a_program_that_crashed_is_a_failure() {
        let results = Results::parse("API server", "running 2 tests\nerror: test failed\n");
        assert_eq!(results.counts, [("API server".to_owned(), counts(0, 1, 0, 0))].into());
    }

    #[test]
    fn a_result_line_that_cannot_be_read_is_a_failure() {
        assert_eq!(parse_result("who knows"), counts(0, 1, 0, 0));
    }
}
