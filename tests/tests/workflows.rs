//! Workflows of this repository and the recipe for GitHub Actions: checked by actionlint, with pinned actions and few rights.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealed_secrets_tests::sources::files_below;
use sealed_secrets_tests::{programs, workspace};
use serde_json::Value;

const RECIPE: &str = "deploy/gitops/ci/github-actions.yaml";

fn workflows() -> Vec<PathBuf> {
    let files = files_below(&workspace::root().join(".github/workflows"), "yaml").unwrap();
    assert_eq!(files.len(), 3, "{files:?}");
    files
}

fn workflows_and_recipe() -> Vec<PathBuf> {
    let mut files = workflows();
    files.push(workspace::root().join(RECIPE));
    files
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

fn text_of_workflow(name: &str) -> String {
    text(&workspace::root().join(".github/workflows").join(name))
}

fn workflow(name: &str) -> Value {
    serde_saphyr::from_str(&text_of_workflow(name)).unwrap()
}

/// actionlint's findings; empty if there are none. Other programs, which it would run if they were installed, are left out.
fn findings(files: &[PathBuf]) -> String {
    let mut command = Command::new(programs::actionlint().unwrap());
    let output = command.args(["-shellcheck=", "-pyflakes=", "-no-color"]).args(files).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn actionlint_has_no_finding_in_any_workflow() {
    assert_eq!(findings(&workflows_and_recipe()), "");
}

#[test]
fn actionlint_finds_a_job_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("release.yaml");
    let broken = text_of_workflow("release.yaml").replace("[version, publish]", "[version, published]");
    fs::write(&file, broken).unwrap();
    let findings = findings(&[file]);
    assert!(findings.contains("needs job \"published\" which does not exist"), "{findings}");
}

/// An action with its revision and the comment behind it, from a line such as `uses: owner/action@REVISION # v1.2.3`.
fn action(line: &str) -> Option<(&str, &str, &str)> {
    let (_, reference) = line.split_once("uses: ")?;
    let (reference, comment) = reference.split_once(" # ").unwrap_or((reference, ""));
    let (name, revision) = reference.split_once('@').unwrap_or((reference, ""));
    Some((name, revision, comment))
}

fn is_digest(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_full_version(comment: &str) -> bool {
    let numbers: Vec<_> = comment.strip_prefix('v').unwrap_or_default().split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

/// The lines of a workflow whose action is not pinned by a digest with its version behind it.
fn unpinned(workflow: &str) -> Vec<&str> {
    let is_pinned = |line: &&str| {
        action(line).is_none_or(|(_, revision, comment)| is_digest(revision) && is_full_version(comment))
    };
    workflow.lines().filter(|line| !is_pinned(line)).collect()
}

#[test]
fn every_action_is_pinned_by_a_digest_and_has_its_version_beside_it() {
    let texts: Vec<_> = workflows_and_recipe().iter().map(|file| text(file)).collect();
    let mut pins = BTreeMap::<&str, BTreeSet<(&str, &str)>>::new();
    for text in &texts {
        assert_eq!(unpinned(text), [""; 0]);
        for (name, revision, comment) in text.lines().filter_map(action) {
            pins.entry(name).or_default().insert((revision, comment));
        }
    }
    assert!(pins.len() >= 6, "{pins:?}");
    for (name, pins) in pins {
        assert_eq!(pins.len(), 1, "{name} has several versions: {pins:?}");
    }
}

#[test]
fn an_action_that_is_not_pinned_is_found() {
    let digest = "de0fac2e4500dabe0009e67214ff5f5447ce83dd";
    for action in [
        "actions/checkout@v6 # v6.0.2".to_owned(),
        "actions/checkout".to_owned(),
        "./.github/actions/toolchain".to_owned(),
        format!("actions/checkout@{digest}"),
        format!("actions/checkout@{digest} # v6"),
        format!("actions/checkout@{} # v6.0.2", &digest[1..]),
    ] {
        assert_eq!(unpinned(&format!("      - uses: {action}")).len(), 1, "{action}");
    }
}

#[test]
fn the_first_lines_of_a_workflow_say_that_no_test_can_run_it() {
    for file in workflows() {
        let text = text(&file);
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with("# ")).collect();
        assert!(head.join(" ").contains("cannot run"), "{}", file.display());
    }
}

/// The commands of all jobs, with `matrix.command` of a job.
fn commands(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_object().unwrap().values();
    let steps = jobs.clone().flat_map(|job| job["steps"].as_array().unwrap());
    let included = jobs.filter_map(|job| job.pointer("/strategy/matrix/include")?.as_array()).flatten();
    let run = steps.map(|step| &step["run"]).chain(included.map(|entry| &entry["command"]));
    run.filter_map(|command| Some(command.as_str()?.to_owned())).collect()
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let readme = text(&workspace::root().join("README.md"));
    assert!(readme.contains("\ncargo xtask test\n"));
    let commands = commands(&workflow("ci.yaml"));
    assert!(commands.iter().any(|command| command.starts_with("cargo xtask test")), "{commands:?}");
}

#[test]
fn every_fuzz_target_is_run_each_night() {
    let nightly = workflow("nightly.yaml");
    let fuzzed = nightly.pointer("/jobs/fuzz/strategy/matrix/target").unwrap().as_array().unwrap();
    let fuzzed: BTreeSet<_> = fuzzed.iter().map(|target| target.as_str().unwrap().to_owned()).collect();
    let targets = files_below(&workspace::root().join("fuzz/fuzz_targets"), "rs").unwrap();
    let targets = targets.iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(fuzzed, targets.collect());
}

#[test]
fn only_jobs_of_the_release_that_publish_may_write() {
    for file in workflows() {
        let workflow: Value = serde_saphyr::from_str(&text(&file)).unwrap();
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{}", file.display());
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let writes = job["permissions"].to_string().contains("write");
            let publishes = ["image-for-ci", "publish", "bill-of-materials"].contains(&name.as_str());
            assert_eq!(writes, publishes, "{}: {name}", file.display());
        }
    }
}

/// Each folder in `tests/control-plane` pins a version of Kubernetes that tests can be run with.
#[test]
fn each_other_version_of_kubernetes_is_tested_each_night() {
    let commands = commands(&workflow("nightly.yaml"));
    let entries = fs::read_dir(workspace::root().join("tests/control-plane")).unwrap();
    for folder in entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir()) {
        let version = folder.file_name().into_string().unwrap();
        let command = format!("HARNESS_KUBERNETES={version} cargo xtask test");
        assert!(commands.contains(&command), "{command}");
    }
}

/// A published file was made twice before.
#[test]
fn nothing_is_published_before_it_was_reproduced() {
    let release = workflow("release.yaml");
    for job in ["image-for-ci", "publish"] {
        let needs = release.pointer(&format!("/jobs/{job}/needs")).unwrap();
        assert!(needs.as_array().unwrap().iter().any(|needed| needed == "reproduce"), "{job}: {needs}");
    }
}

#[test]
fn the_page_about_verifying_names_the_workflow_the_registry_and_the_files_of_a_release() {
    let page = text(&workspace::root().join("docs/verifying.md"));
    let release = text_of_workflow("release.yaml");
    for both in ["ghcr.io/sealed-secrets-rs", "SHA256SUMS.sigstore.json", "grep -v ' krew.yaml$'", "1.95.0"] {
        assert!(page.contains(both) && release.contains(both), "{both}");
    }
    for identity in [
        "$repository/.github/workflows/release.yaml@refs/tags/v$version",
        "sealed-secrets-rs/sealed-secrets-rs/.github/workflows/release.yaml@refs/tags/v0.1.0",
    ] {
        assert!(page.contains(identity), "{identity}");
    }
    assert_eq!(workflow("release.yaml")["on"]["push"]["tags"], serde_json::json!(["v*"]));
}
