//! The differences that docs/differences.md documents.

use super::case::Verdict;
use super::differences::{ALL, TESTED_ELSEWHERE};
use super::offline::OFFLINE;
use super::online::{ONLINE, ONLINE_WITH_UPSTREAMS_CONTROLLER};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/differences.md"));

/// The original's behaviour and our reason, of each row about kubeseal.
fn rows() -> Vec<(&'static str, &'static str)> {
    let section = PAGE.split_once("\n## kubeseal\n").unwrap().1;
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").collect::<Vec<_>>());
    cells.map(|cells| (cells[0], *cells.last().unwrap())).collect()
}

#[test]
fn every_difference_of_the_table_is_told_to_users_with_the_same_reason() {
    for difference in ALL {
        assert!(rows().contains(&(difference.original, difference.why)), "{difference:?}");
    }
}

#[test]
fn every_difference_that_users_are_told_of_is_tested() {
    let compared: Vec<&str> = OFFLINE
        .iter()
        .chain(ONLINE)
        .chain(ONLINE_WITH_UPSTREAMS_CONTROLLER)
        .filter_map(|case| match case.verdict {
            Verdict::Differs { difference, .. } => Some(difference.original),
            Verdict::Same => None,
        })
        .collect();
    for (original, _) in rows() {
        let elsewhere = TESTED_ELSEWHERE.iter().find(|(row, _)| *row == original);
        assert!(compared.contains(&original) != elsewhere.is_some(), "once, here or elsewhere: {original}");
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
