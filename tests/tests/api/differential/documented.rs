//! The differences that docs/differences.md documents.

use super::case::{Case, Verdict};
use super::differences::TESTED_ELSEWHERE;
use super::offline::OFFLINE;
use super::online::{ONLINE, ONLINE_WITH_UPSTREAMS_CONTROLLER};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/differences.md"));

/// The original's behaviour, of each row about kubeseal.
fn rows() -> Vec<&'static str> {
    let section = PAGE.split_once("\n## kubeseal\n").unwrap().1;
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").next().unwrap()).collect()
}

/// The differences that comparisons of two invocations show.
fn compared() -> Vec<&'static str> {
    let cases = OFFLINE.iter().chain(ONLINE).chain(ONLINE_WITH_UPSTREAMS_CONTROLLER);
    let difference = |case: &Case| match case.verdict {
        Verdict::Differs { difference, .. } => Some(difference),
        Verdict::Same => None,
    };
    cases.filter_map(difference).collect()
}

#[test]
fn every_difference_between_invocations_is_documented() {
    for difference in compared() {
        assert!(rows().contains(&difference), "{difference}");
    }
}

#[test]
fn every_documented_difference_is_tested() {
    for row in rows() {
        let elsewhere = TESTED_ELSEWHERE.iter().find(|(tested, _)| *tested == row);
        assert!(compared().contains(&row) != elsewhere.is_some(), "once, here or elsewhere: {row}");
    }
}

#[test]
fn the_tests_that_are_elsewhere_exist() {
    let sources = [
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/bad_input.rs")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/certificates.rs")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/create.rs")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/credentials.rs")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/edits.rs")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/terminal.rs")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/program/transcripts.rs")),
        include_str!("../kubeseal_keys.rs"),
        include_str!("../kubeseal_keys_of_controller.rs"),
    ];
    for (row, test) in TESTED_ELSEWHERE {
        let heading = format!("fn {test}()");
        assert!(sources.iter().any(|source| source.contains(&heading)), "{row}: {test}");
    }
}
