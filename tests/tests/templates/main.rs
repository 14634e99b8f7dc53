//! Our template engine compared with Go's: the recorded cases and thousands of generated ones, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod generator;
mod oracle;
#[path = "../../../core/tests/world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sealed_secrets_core::template::{Budget, Class, Data, TemplateError, render_text};
use zeroize::Zeroizing;

use self::oracle::{Answer, Oracle};
use self::world::Still;

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Recorded {
    tpl: String,
    data: BTreeMap<String, String>,
}

fn recorded() -> Vec<Recorded> {
    serde_json::from_str(include_str!("../../../core/tests/data/go-templates.json")).unwrap()
}

fn context() -> Data {
    let recorded = recorded().swap_remove(0);
    recorded.data.into_iter().map(|(key, value)| (key, Zeroizing::new(value.into_bytes()))).collect()
}

fn ours(template: &str, data: &Data) -> Result<Vec<u8>, TemplateError> {
    render_text("case", template, data, &Budget::default(), &mut Still::forever())
        .map(|output| output.to_vec())
}

/// Returns true if Go would exhaust the machine's memory or time.
fn exceeds_the_budget(template: &str, data: &Data) -> bool {
    ours(template, data).is_err_and(|error| error.class == Class::Budget)
}

/// Returns true for pointers inside of lists, which Go prints as addresses, in hexadecimal or decimal digits.
fn shows_an_address(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output).to_lowercase();
    let hex_after = |start: &str| start.chars().take_while(char::is_ascii_hexdigit).count();
    let in_hex = text.split("0x").skip(1).any(|after| hex_after(after) >= 9);
    let mut numbers = text.split(|character: char| !character.is_ascii_digit());
    in_hex || numbers.any(|digits| (12..=15).contains(&digits.len()))
}

/// Returns true if `slice` reaches into the spare capacity of a Go list, which depends on Go's runtime; ours ends at the length
/// of the list.
fn reaches_spare_room(ours: &Result<Vec<u8>, TemplateError>, go: &Answer) -> bool {
    let out_of_range = "failed in function slice: out of range";
    go.ok && ours.as_ref().is_err_and(|error| error.to_string().ends_with(out_of_range))
}

/// Describes the difference of the two answers, if any. Two failures are equal: error texts are our own.
fn difference(template: &str, data: &Data, go: &Answer) -> Option<String> {
    if shows_an_address(&go.output) {
        return None;
    }
    let ours = ours(template, data);
    if reaches_spare_room(&ours, go) {
        return None;
    }
    let agrees = match &ours {
        Ok(output) => go.ok && *output == go.output,
        Err(_) => !go.ok,
    };
    (!agrees).then(|| {
        let ours = ours
            .map(|output| String::from_utf8_lossy(&output).into_owned())
            .map_err(|error| error.to_string());
        format!("{template}\nours: {ours:?}\nGo:   {:?} {}", String::from_utf8_lossy(&go.output), go.error)
    })
}

#[test]
fn go_still_answers_the_recorded_cases_as_we_do() {
    let mut oracle = Oracle::start();
    // These print random values or the time.
    let is_stable = |case: &&Recorded| !case.tpl.contains("ago");
    let differences: Vec<_> = recorded()
        .iter()
        .filter(is_stable)
        .filter_map(|case| {
            let data = case
                .data
                .iter()
                .map(|(key, value)| (key.clone(), Zeroizing::new(value.clone().into_bytes())))
                .collect();
            difference(&case.tpl, &data, &oracle.ask(&case.tpl, &data))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn generated_templates_give_the_result_of_go() {
    let oracle = Mutex::new(Oracle::start());
    let data = context();
    // The variable sets a higher number for longer runs.
    let number = std::env::var("HARNESS_TEMPLATES").map_or(2500, |number| number.parse().unwrap());
    let config = ProptestConfig {
        cases: number,
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let compared = TestRunner::new(config).run(&generator::template(), |template| {
        prop_assume!(!exceeds_the_budget(&template, &data));
        let go = oracle.lock().unwrap().ask(&template, &data);
        difference(&template, &data, &go).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    compared.unwrap();
}
