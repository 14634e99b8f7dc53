//! Rendered manifests of the chart: all of them for the default values, and the differences for each set in `data/chart/values`.

use std::fs;
use std::path::PathBuf;

use sealed_secrets_tests::Tool;
use similar::TextDiff;

use crate::support::{CHART, assert_recorded, data, template};

/// The line after which an object of this kind is a copy of a file with tests of its own.
const COPIES: [(&str, &str); 3] = [
    ("kind: CustomResourceDefinition", "spec:"),
    ("kind: PrometheusRule", "spec:"),
    ("kind: ConfigMap", "  sealed-secrets.json: |-"),
];

fn without_copies(manifest: &str) -> String {
    let cut = |document: &str| {
        let copy = COPIES.iter().find(|(kind, _)| document.lines().any(|line| line == *kind));
        let whole = |line: &&str| copy.is_none_or(|(_, first)| line != first);
        document.lines().take_while(whole).flat_map(|line| [line, "\n"]).collect::<String>()
    };
    manifest
        .split_inclusive("\n---\n")
        .map(|document| {
            let (body, end) = document.strip_suffix("---\n").map_or((document, ""), |body| (body, "---\n"));
            cut(body) + end
        })
        .collect()
}

fn rendered(values: &str) -> String {
    without_copies(&template(values).ok().unwrap())
}

fn sets() -> Vec<PathBuf> {
    let entries = fs::read_dir(data().join("values")).unwrap().map(|entry| entry.unwrap().path());
    let mut sets: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    sets.sort();
    sets
}

#[test]
fn helm_finds_nothing_to_complain_of() {
    let output = Tool::helm().unwrap().run(&["lint", "--strict", CHART], "").unwrap();
    assert!(output.status.success(), "{}{}", output.stdout, output.stderr);
}

#[test]
fn without_values_the_chart_renders_as_recorded() {
    assert_recorded(&data().join("default.yaml"), &rendered(""));
}

#[test]
fn every_set_of_values_changes_the_recorded_manifests() {
    let (sets, default) = (sets(), rendered(""));
    assert!(sets.len() >= 20, "{}", sets.len());
    for set in sets {
        let rendered = rendered(&fs::read_to_string(&set).unwrap());
        let diff = TextDiff::from_lines(&default, &rendered).unified_diff().context_radius(2).to_string();
        assert_recorded(&set.with_extension("diff"), &diff);
    }
}
