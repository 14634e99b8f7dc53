//! What `cargo test` says about the tests it ran.

use std::collections::BTreeMap;

use super::summary::Counts;

/// Counts by kind of test, from what `cargo test` printed on both of its outputs, in order.
///
/// A test program that left no result line (it crashed, or was killed) counts as one failure.
pub(crate) fn counts_by_kind(output: &str) -> BTreeMap<String, Counts> {
    let mut counts = BTreeMap::<String, Counts>::new();
    let mut running = None::<Program>;
    for line in output.lines() {
        if let Some(kind) = kind_of_program(line) {
            add(&mut counts, running.replace(Program { kind, properties: 0 }), None);
        } else if let Some(result) = line.strip_prefix("test result: ") {
            add(&mut counts, running.take(), Some(parse_result(result)));
        } else if let (Some(program), true) = (&mut running, is_passed_property(line)) {
            program.properties += 1;
        }
    }
    add(&mut counts, running, None);
    counts
}

const PROPERTY: &str = "property";

/// A test program that has started.
struct Program {
    kind: String,
    /// Passed tests in it that are property tests.
    properties: u32,
}

fn add(counts: &mut BTreeMap<String, Counts>, program: Option<Program>, result: Option<Counts>) {
    let program = match (program, result) {
        (None, None) => return,
        (program, _) => program.unwrap_or(Program { kind: "unit".into(), properties: 0 }),
    };
    let mut result = result.unwrap_or(Counts { failed: 1, ..Counts::default() });
    if program.properties > 0 {
        let properties = program.properties.min(result.passed);
        result.passed -= properties;
        *counts.entry(PROPERTY.into()).or_default() += Counts { passed: properties, ..Counts::default() };
    }
    *counts.entry(program.kind).or_default() += result;
}

/// Reads `Running unittests src/lib.rs (…)`, `Running tests/tree.rs (…)` and `Doc-tests name`.
fn kind_of_program(line: &str) -> Option<String> {
    let line = line.trim_start();
    if line.starts_with("Doc-tests ") {
        return Some("documentation example".into());
    }
    let path = line.strip_prefix("Running ")?.split(" (").next()?;
    if path.starts_with("unittests ") {
        return Some("unit".into());
    }
    let name = path.strip_prefix("tests/")?.split(['/', '.']).next()?;
    Some(match name {
        "api" => "API server".into(),
        name if name.contains("propert") => PROPERTY.into(),
        name if name.contains("transcript") => "CLI transcript".into(),
        name => name.replace('_', " "),
    })
}

/// Property tests are in modules or have names that say so: `test seal::properties::round_trip ... ok`.
fn is_passed_property(line: &str) -> bool {
    line.strip_prefix("test ")
        .and_then(|rest| rest.strip_suffix(" ... ok"))
        .is_some_and(|name| name.contains("propert"))
}

/// Reads `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`.
fn parse_result(line: &str) -> Counts {
    let number = |word: &str| {
        let before = line.split(word).next().filter(|before| before.len() < line.len())?;
        before.rsplit(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    };
    let zero = |word: &str| number(word).unwrap_or(0);
    Counts {
        passed: zero(" passed"),
        // A result line that cannot be read is no success.
        failed: number(" failed").unwrap_or(1),
        skipped: zero(" ignored"),
        filtered: zero(" filtered out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
   Compiling sealed-secrets-core v0.1.0
     Running unittests src/lib.rs (target/debug/deps/sealed_secrets_core-0a1b)

running 4 tests
test seal::tests::a_wrong_label_does_not_open ... ok
test seal::properties::what_is_sealed_opens ... ok
test keyring::tests::an_empty_ring_opens_nothing ... FAILED
test slow ... ignored

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.23s

     Running tests/transcripts.rs (target/debug/deps/transcripts-0a1b)

test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.05s

   Doc-tests sealed_secrets_core

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s
";

    fn counts(passed: u32, failed: u32, skipped: u32, filtered: u32) -> Counts {
        Counts { passed, failed, skipped, filtered }
    }

    #[test]
    fn every_kind_is_counted_apart() {
        let found = counts_by_kind(OUTPUT);
        let expected = [
            ("unit", counts(1, 1, 1, 0)),
            ("property", counts(1, 0, 0, 0)),
            ("CLI transcript", counts(12, 0, 0, 3)),
            ("documentation example", counts(1, 0, 0, 0)),
        ];
        assert_eq!(found, expected.map(|(kind, counts)| (kind.to_owned(), counts)).into());
    }

    #[test]
    fn a_program_that_crashed_is_a_failure() {
        let output = "     Running tests/api/main.rs (target/debug/deps/api-1)\n\nrunning 2 tests\nerror: test failed\n";
        assert_eq!(counts_by_kind(output), [("API server".to_owned(), counts(0, 1, 0, 0))].into());
        let output =
            format!("{output}     Running unittests src/lib.rs (x)\ntest result: ok. 1 passed; 0 failed;\n");
        assert_eq!(counts_by_kind(&output)["API server"].failed, 1);
        assert_eq!(counts_by_kind(&output)["unit"], counts(1, 0, 0, 0));
    }

    #[test]
    fn nothing_run_is_nothing_counted() {
        assert!(counts_by_kind("error[E0308]: mismatched types\n").is_empty());
    }

    #[test]
    fn a_result_line_that_cannot_be_read_is_a_failure() {
        assert_eq!(parse_result("who knows"), counts(0, 1, 0, 0));
    }
}
