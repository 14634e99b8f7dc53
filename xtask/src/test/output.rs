//! The results that a test program prints.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::counts::Counts;

const PROPERTY: &str = "property";
/// The lines of a panic's message that are repeated at the end of a run.
const REASON_LINES: usize = 15;

/// The results of one test program.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Results {
    /// Counts by kind of test: property tests are a kind of their own, in any file.
    pub(crate) counts: BTreeMap<String, Counts>,
    /// The tests that failed.
    pub(crate) failed: Vec<FailedTest>,
    /// The duration of each test, if it was requested.
    pub(crate) durations: Vec<(Duration, String)>,
}

/// A test that failed. Displays as its name, its reason, and how to run it alone.
#[derive(Debug, PartialEq)]
pub(crate) struct FailedTest {
    name: String,
    /// The beginning of the panic's message, of at most [`REASON_LINES`] lines; empty if there is none.
    reason: String,
}

impl fmt::Display for FailedTest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\nfailed: {}", self.name)?;
        for line in self.reason.lines() {
            writeln!(out, "    {line}")?;
        }
        write!(out, "to run it alone: cargo xtask test {}", self.name)
    }
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
        for test in &mut results.failed {
            test.reason = panic_message(output, &test.name);
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
            self.failed.push(FailedTest { name: name.to_owned(), reason: String::new() });
        }
        let seconds = verdict.split_once('<').and_then(|(_, rest)| rest.strip_suffix("s>"));
        if let Some(duration) =
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok())
        {
            self.durations.push((duration, name.to_owned()));
        }
    }
}

/// The beginning of the first panic's message in what the test of this name has printed.
fn panic_message(output: &str, name: &str) -> String {
    let printed = output.split_once(&format!("\n---- {name} stdout ----\n")).map_or("", |(_, rest)| rest);
    let message = printed
        .lines()
        .take_while(|line| !line.starts_with("---- "))
        .skip_while(|line| !line.contains("panicked at "))
        .take_while(|line| !line.starts_with("note: ") && *line != "stack backtrace:");
    message.take(REASON_LINES).collect::<Vec<_>>().join("\n")
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

failures:

---- keyring::tests::an_empty_ring_opens_nothing stdout ----
preparing

thread 'keyring::tests::an_empty_ring_opens_nothing' (7) panicked at core/src/keyring.rs:1:2:
assertion failed: it decrypts
left: 1
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

failures:
    keyring::tests::an_empty_ring_opens_nothing

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
    fn a_failed_test_is_reported_with_its_panic_and_the_command_that_runs_it_alone() {
        let failed = Results::parse("unit", OUTPUT).failed;
        let reports: Vec<_> = failed.iter().map(ToString::to_string).collect();
        let name = "keyring::tests::an_empty_ring_opens_nothing";
        let panic = format!("thread '{name}' (7) panicked at core/src/keyring.rs:1:2:");
        let expected = format!(
            "\nfailed: {name}\n    {panic}\n    assertion failed: it decrypts\n    left: 1\nto run it alone: cargo xtask test {name}"
        );
        assert_eq!(reports, [expected]);
    }

    #[test]
    fn a_panic_message_is_cut_and_may_be_missing() {
        let long = format!("\n---- a stdout ----\nthread 'a' panicked at a.rs:\n{}", "line\n".repeat(99));
        assert_eq!(panic_message(&long, "a").lines().count(), REASON_LINES);
        assert_eq!(panic_message(&long, "b"), "");
    }

    #[test]
    fn durations_are_known_by_name() {
        let results = Results::parse("unit", OUTPUT);
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
