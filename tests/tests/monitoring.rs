//! Alerts and dashboard use existing metrics, and the alerts fire when they should.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sealed_secrets_tests::{programs, workspace};
use serde_json::Value;

const PREFIXES: [&str; 2] = ["sealed_secrets_controller_", "process_"];
/// The suffixes of a histogram's name.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn folder() -> PathBuf {
    workspace::root().join("deploy/monitoring")
}

fn alerts() -> Value {
    serde_saphyr::from_str(&fs::read_to_string(folder().join("alerts.yaml")).unwrap()).unwrap()
}

fn rules() -> Vec<Value> {
    let groups = alerts()["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn dashboard() -> Value {
    serde_json::from_slice(&fs::read(folder().join("dashboard.json")).unwrap()).unwrap()
}

/// Every value of `name` anywhere in the document.
fn fields<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
    match document {
        Value::Object(map) => {
            let own = map.get(name).into_iter();
            own.chain(map.values().flat_map(|value| fields(value, name))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| fields(value, name)).collect(),
        _ => Vec::new(),
    }
}

fn queries() -> Vec<String> {
    let dashboard = dashboard();
    let on_dashboard = ["expr", "query"].map(|name| fields(&dashboard, name)).concat();
    let in_rules = rules();
    let in_rules = in_rules.iter().map(|rule| &rule["expr"]);
    let texts = on_dashboard.into_iter().chain(in_rules).filter_map(Value::as_str);
    texts.filter(|text| *text != "prometheus").map(str::to_owned).collect()
}

/// The names in a query that are not inside quotes, brackets or braces.
fn names(query: &str) -> BTreeSet<String> {
    let mut bare = String::new();
    let mut depth = 0_u32;
    for (place, part) in query.split('"').enumerate() {
        for character in part.chars().filter(|_| place % 2 == 0) {
            depth += u32::from(matches!(character, '{' | '['));
            bare.push(if depth == 0 { character } else { ' ' });
            depth -= u32::from(matches!(character, '}' | ']'));
        }
    }
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_ascii_alphabetic());
    let words = bare.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(is_name).map(str::to_owned).collect()
}

/// The names of metrics in docs/operating.md, which another test compares with the controller.
fn existing() -> BTreeSet<String> {
    let page = fs::read_to_string(workspace::root().join("docs/operating.md")).unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let is_metric = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    cells.map(|(name, _)| name).filter(is_metric).map(str::to_owned).collect()
}

fn is_metric(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn assert_exist(names: &BTreeSet<String>, query: &str) {
    let existing = existing();
    for name in names.iter().filter(|name| is_metric(name)) {
        let of_histogram = OF_HISTOGRAMS.iter().find_map(|end| name.strip_suffix(end));
        let stem = of_histogram.filter(|stem| stem.ends_with("_seconds")).unwrap_or(name);
        assert!(existing.contains(stem), "{query}\nasks for {name}, which is not in docs/operating.md");
    }
}

#[test]
fn every_query_asks_for_a_metric_that_exists() {
    let queries = queries();
    assert!(queries.len() > 12, "{queries:?}");
    for query in queries {
        let names = names(&query);
        assert!(names.iter().any(|name| is_metric(name)), "{query} asks for nothing");
        assert_exist(&names, &query);
    }
}

#[test]
fn a_metric_that_does_not_exist_is_noticed() {
    let of_misspelt = names("rate(sealed_secrets_controller_unseal_erors_total{a=\"b\"}[5m]) > 0");
    assert_eq!(of_misspelt.iter().filter(|name| is_metric(name)).count(), 1);
    assert!(std::panic::catch_unwind(|| assert_exist(&of_misspelt, "")).is_err());
}

#[test]
fn every_alert_describes_the_fault_and_its_consequence() {
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{name}");
        for annotation in ["summary", "description"] {
            assert!(
                rule["annotations"][annotation].as_str().is_some_and(|text| text.ends_with('.')),
                "{name}"
            );
        }
    }
}

/// The alert that is about each replica by itself.
const OF_EACH_REPLICA: &str = "SealedSecretsControllerNotReady";

/// Returns true if the result of a query has no label by which replicas differ.
fn is_the_same_for_another_replica(query: &str) -> bool {
    let labels = |word: &str| {
        let (aggregation, rest) = query.split_once(&format!(" {word} ("))?;
        let is_outermost = matches!(aggregation, "max" | "sum");
        let labels = rest.split_once(')').filter(|_| is_outermost)?.0;
        Some(labels.split(',').map(str::trim).collect::<BTreeSet<_>>())
    };
    let of_replica = BTreeSet::from(["instance", "pod"]);
    let keeps = labels("by").is_some_and(|kept| kept.is_disjoint(&of_replica));
    let drops = labels("without").is_some_and(|dropped| dropped.is_superset(&of_replica));
    keeps || drops || query.starts_with("absent(")
}

#[test]
fn every_alert_goes_on_when_another_replica_leads_but_the_one_about_each_replica() {
    for rule in rules() {
        let (name, query) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        assert_eq!(is_the_same_for_another_replica(query), name != OF_EACH_REPLICA, "{name}: {query}");
    }
}

#[test]
fn panels_have_numbers_of_their_own_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} at {x}, {y}", panel["title"]);
            }
        }
    }
}

fn promtool(arguments: &[&str]) -> String {
    let program = programs::promtool().unwrap();
    let output = Command::new(program).args(arguments).current_dir(folder()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}\n{said}");
    said
}

#[test]
fn the_alerts_are_rules_that_prometheus_takes() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"]);
}

#[test]
fn the_alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules", "alerts.test.yaml"]);
}

#[test]
fn every_alert_is_tested_firing_and_silent() {
    let tests = fs::read_to_string(folder().join("alerts.test.yaml")).unwrap();
    let tests: Value = serde_saphyr::from_str(&tests).unwrap();
    let cases = fields(&tests, "alert_rule_test");
    let cases: Vec<_> = cases.iter().flat_map(|cases| cases.as_array().unwrap()).collect();
    for rule in rules() {
        for fires in [true, false] {
            let about = |case: &&&Value| case["alertname"] == rule["alert"];
            let found = cases.iter().filter(about).any(|case| case["exp_alerts"].is_array() == fires);
            assert!(
                found,
                "{}: no test in which it {}",
                rule["alert"],
                if fires { "fires" } else { "is silent" }
            );
        }
    }
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    for query in queries().iter().filter(|query| !query.starts_with("label_values(")) {
        let query = query.replace("$__rate_interval", "5m").replace("$job", ".*");
        promtool(&["--experimental", "promql", "format", &query]);
    }
}
