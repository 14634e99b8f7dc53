//! Links between our pages resolve.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use sealed_secrets_core::lint::RULES;
use sealed_secrets_tests::sources::known_files;
use sealed_secrets_tests::{shipped_manifests, workspace};
use serde_json::Value;

/// Every file of this pattern that Git tracks or would add.
fn files(pattern: &str) -> Vec<PathBuf> {
    let files = known_files(&[pattern]).unwrap();
    assert!(files.len() > 10, "{files:?}");
    files.into_iter().map(|file| workspace::root().join(file)).collect()
}

fn pages() -> Vec<PathBuf> {
    files("*.md")
}

/// The text of a page without code.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    let outside = text.split("```").step_by(2).collect::<String>();
    outside.lines().flat_map(|line| line.split('`').step_by(2).chain(["\n"])).collect()
}

/// The targets of the links of a page.
fn links(page: &Path) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of the headings of a page.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let outside = text.split("```").step_by(2).collect::<String>();
    let headings = outside.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    target.exists() && (place.is_empty() || anchors(&target).iter().any(|anchor| anchor == place))
}

#[test]
fn every_link_to_a_file_of_this_repository_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        for link in links(&page).iter().filter(|link| !link.contains("://")) {
            assert!(leads_somewhere(&page, link), "{}: {link}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn every_alert_links_to_its_page() {
    let alerts = fs::read_to_string(workspace::root().join("deploy/monitoring/alerts.yaml")).unwrap();
    let told = |name: &str| -> Vec<String> {
        let lines = alerts.lines().filter_map(|line| line.split_once(name));
        lines.map(|(_, value)| value.trim().to_owned()).collect()
    };
    let urls = told("runbook_url:");
    assert_eq!(urls.len(), told("- alert:").len());
    for url in urls {
        let (_, link) = url.split_once("/blob/main/").unwrap();
        assert!(link.contains('#') && leads_somewhere(&workspace::root().join("README.md"), link), "{url}");
    }
}

#[test]
fn every_page_for_users_is_reached_from_the_list_of_pages() {
    let docs = workspace::root().join("docs");
    let listed = links(&docs.join("README.md"));
    for entry in fs::read_dir(&docs).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_page = Path::new(&name).extension().is_some_and(|extension| extension == "md");
        assert!(
            !is_page || name == "README.md" || listed.contains(&name),
            "docs/README.md does not list {name}"
        );
    }
}

/// The version that the Go module in `folder` requires of another module.
fn required(folder: &str, module: &str) -> String {
    let definition = fs::read_to_string(workspace::root().join(folder).join("go.mod")).unwrap();
    let line =
        definition.lines().find_map(|line| line.trim().strip_prefix(module)?.strip_prefix(" v")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_page_on_gitops_tools_names_the_versions_that_were_run() {
    let page = fs::read_to_string(workspace::root().join("docs/gitops.md")).unwrap();
    for (begin, folder, module) in [
        ("| [Helm]", "tests/helm", "helm.sh/helm/v3"),
        ("| [kustomize]", "tests/control-plane", "sigs.k8s.io/kustomize/kustomize/v5"),
    ] {
        let row = page.lines().find(|line| line.starts_with(begin)).unwrap();
        assert!(row.contains(&format!(" | v{} | ", required(folder, module))), "{row}");
    }
}

#[test]
fn the_chart_names_the_versions_that_it_was_tested_with() {
    let kubernetes = required("tests/control-plane", "k8s.io/kubernetes");
    let helm = required("tests/helm", "helm.sh/helm/v3");
    let page = workspace::root().join("deploy/helm/sealed-secrets/README.md");
    let text = fs::read_to_string(page).unwrap().replace('\n', " ");
    let tried = format!("with Kubernetes {kubernetes} and Helm {helm}; other versions were not tried");
    assert!(text.contains(&tried), "{tried}");
}

/// The rules of a role, in the notation of the threat model.
fn permissions(role: &Value) -> String {
    let words = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let rules = role["rules"].as_array().unwrap().iter().flat_map(|rule| {
        let verbs = words(&rule["verbs"]).join(", ");
        words(&rule["resources"]).into_iter().map(move |resource| format!("`{resource}` {verbs}"))
    });
    rules.collect::<Vec<_>>().join("; ")
}

#[test]
fn the_threat_model_names_the_shipped_permissions() {
    let page = fs::read_to_string(workspace::root().join("docs/threat-model.md")).unwrap();
    let mut told =
        page.lines().filter(|line| line.starts_with("| Role") || line.starts_with("| ClusterRole"));
    let shipped = shipped_manifests().unwrap();
    for role in shipped.iter().filter(|object| object.get("rules").is_some()) {
        let (kind, name) = (&role["kind"].as_str().unwrap(), &role["metadata"]["name"].as_str().unwrap());
        let row = format!("| {kind} `{name}` | {} |", permissions(role));
        let line = told.next().unwrap_or_default();
        assert!(line.starts_with(&row), "should be:\n{row}\nis:\n{line}");
    }
    assert_eq!(told.next(), None);
}

#[test]
fn headings_are_named_as_github_names_them() {
    assert_eq!(anchor("6. Change a value"), "6-change-a-value");
    assert_eq!(anchor("It says `no key`: why?"), "it-says-no-key-why");
}

/// The names of all tests in our sources.
fn names_of_tests() -> Vec<String> {
    let sources = files("*.rs").into_iter().filter_map(|file| fs::read_to_string(file).ok());
    let names = |source: String| source.split("test").skip(1).filter_map(name_of_test).collect::<Vec<_>>();
    sources.flat_map(names).collect()
}

/// Parses the name from the text after `#[test`, skipping other attributes.
fn name_of_test(rest: &str) -> Option<String> {
    let (head, rest) = rest.split_once("fn ")?;
    let is_attribute = head.starts_with([']', '(']) && head.len() < 300 && !head.contains([';', '{']);
    let name = rest.split(['(', '<']).next()?;
    is_attribute.then(|| name.to_owned())
}

/// The rows of a section whose first cell is a number and whose last cell names tests in code: number and tests.
fn tests_by_number(page: &str, section: &str) -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(workspace::root().join(page)).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {section}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| A") || line.starts_with("| F"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    cells.map(|cells| (cells[1].to_owned(), names(cells[3]))).collect()
}

#[test]
fn every_attack_and_fault_is_listed_with_tests_that_exist() {
    let known = names_of_tests();
    let attacks = tests_by_number("docs/threat-model.md", "Attacks and their tests");
    let faults = tests_by_number("docs/operating.md", "Faults and their tests");
    let numbers: Vec<_> = attacks.iter().chain(&faults).map(|(number, _)| number.clone()).collect();
    let faults_expected = (1..=27).map(|number| format!("F{number}"));
    let expected: Vec<_> = (1..=30).map(|number| format!("A{number}")).chain(faults_expected).collect();
    assert_eq!(numbers, expected);
    for (number, tests) in attacks.into_iter().chain(faults) {
        assert!(!tests.is_empty(), "{number} has no test");
        for test in tests {
            assert!(known.contains(&test), "{number}: no test is called {test}");
        }
    }
}

#[test]
fn the_page_on_git_names_every_rule_of_lint_with_its_severity() {
    let page = fs::read_to_string(workspace::root().join("docs/git-workflow.md")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| KS")).collect();
    assert_eq!(rows.len(), RULES.len(), "{rows:?}");
    for rule in RULES {
        let begin = format!("| {} | {} | ", rule.id, rule.severity.as_str());
        assert!(rows.iter().any(|row| row.starts_with(&begin)), "no row begins with {begin:?}");
    }
}
