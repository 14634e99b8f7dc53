//! docs/operating.md agrees with the controller's sources.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use sealed_secrets_tests::{sources, workspace};

/// Words in capitals that are neither reasons nor condition types.
const OTHER_WORDS: [&str; 20] = [
    "Active",
    "CertNotBefore",
    "Compromised",
    "False",
    "Failure",
    "FieldValue",
    "InOctets",
    "Normal",
    "Opaque",
    "OutOctets",
    "Retired",
    "SealedSecret",
    "SealingKeyPolicy",
    "SealingKeys",
    "Secret",
    "SecretCreationTimestamp",
    "Status",
    "True",
    "Unknown",
    "Warning",
];

fn page() -> String {
    fs::read_to_string(workspace::root().join("docs/operating.md")).unwrap()
}

/// The code spans in the first column of the tables of a section.
fn first_column(section: &str) -> BTreeSet<String> {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).expect(section);
    let (section, _) = rest.split_once("\n## ").unwrap_or((rest, ""));
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(cell, _)| cell.to_owned()).collect()
}

/// The controller's sources without their tests.
fn sources() -> String {
    let sources = sources::sources("controller/src").unwrap().into_iter();
    let sources = sources.filter(|(path, _)| !path.ends_with("tests.rs"));
    let text: String = sources.map(|(_, source)| sources::shipped(&source).to_owned()).collect();
    // Quote characters that neither begin nor end a string literal.
    text.replace(r"\\", "").replace(r#"\""#, "").replace("'\"'", "")
}

/// String literals without escapes.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').skip(1).step_by(2)
}

/// The first literal after each occurrence of `call`.
fn literals_after<'a>(source: &'a str, call: &str) -> Vec<&'a str> {
    source.split(call).skip(1).filter_map(|rest| literals(rest).next()).collect()
}

#[test]
fn every_condition_reason_and_event_is_on_the_page() {
    let source: String =
        sources().lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let is_word = |text: &&str| {
        text.len() > 4
            && text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.bytes().all(|byte| byte.is_ascii_alphabetic())
            && text.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    let used: BTreeSet<_> = literals(&source)
        .filter(is_word)
        .filter(|word| !OTHER_WORDS.contains(word))
        .map(str::to_owned)
        .collect();
    let mut told = first_column("Conditions");
    told.extend(first_column("Events"));
    assert_eq!(used, told);
}

#[test]
fn every_metric_is_on_the_page() {
    let source = sources();
    let ours = literals_after(&source, "registry.register(");
    let collected = literals_after(&source, "&metric_name(");
    let process = literals(&source).filter(|text| text.starts_with("process_"));
    let stem = |name: &str| name.trim_end_matches("_total").to_owned();
    let mut used: BTreeSet<_> =
        ours.iter().chain(&collected).map(|name| format!("sealed_secrets_controller_{name}")).collect();
    used.extend(process.map(str::to_owned));
    assert_eq!(used, first_column("Metrics").iter().map(|name| stem(name)).collect());
}

/// Log calls with a whole message in a variable, whose beginnings are on the page: failures, errors of the start and the
/// keystore, and repairs.
const WHOLE_MESSAGES: [&str; 3] = ["{}", "{error}", "{message}"];

/// The text before the first variable part.
fn beginning(line: &str) -> &str {
    line.split(['{', '…']).next().unwrap_or_default().trim_end()
}

#[test]
fn every_log_line_is_on_the_page() {
    let source = sources().replace("{DEFAULT_CONTROLLER_NAME}", "sealed-secrets-controller");
    let told = first_column("Log lines");
    let mut missing = Vec::new();
    for level in ["info", "warn", "error"] {
        for call in source.split(&format!("tracing::{level}!(")).skip(1) {
            let first = call.find('"').unwrap_or_default();
            let ends =
                [");", "),\n", ")\n"].into_iter().filter_map(|end| Some(first + call[first..].find(end)?));
            let call = &call[..ends.min().unwrap_or(call.len())];
            // Fields come first; the message is the last literal.
            let message = literals(call).last().unwrap_or_default();
            let known = told.iter().any(|line| beginning(line) == beginning(message));
            if !known && !WHOLE_MESSAGES.contains(&message) {
                missing.push(message.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

#[test]
fn no_log_line_is_on_the_page_twice_with_the_same_level() {
    let page = page();
    let (_, section) = page.split_once("\n## Log lines\n").unwrap();
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    let mut seen = BTreeSet::new();
    for row in rows.filter(|row| row.starts_with("| `")) {
        let (line, rest) = row.split_once("` | ").unwrap();
        let level = rest.split_once(" |").unwrap().0;
        assert!(seen.insert((line, level)), "twice: {line}");
    }
}

#[test]
fn every_log_line_on_the_page_can_be_logged() {
    let source = sources().replace("{DEFAULT_CONTROLLER_NAME}", "sealed-secrets-controller");
    for line in first_column("Log lines") {
        assert!(source.contains(beginning(&line)), "nobody says {line:?}");
    }
}
