//! `lint` over repositories as people keep them: a Helm chart, kustomizations, Argo CD, Flux, several clusters, and plaintext in
//! every disguise. `cli/tests/data/lint/expected.txt` has the findings of each file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sealed_secrets_core::lint::RULES;
use serde_json::Value;

use crate::json_schema::assert_valid;
use crate::run::SECRET;
use crate::workspace::Workspace;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data");
/// A name with the characters that the formats escape.
const ODD_NAME: &str = "odd, na:me%2C\u{fc} ::x\n.yaml";

/// A file of the corpus.
struct Expected {
    path: String,
    findings: BTreeSet<String>,
    /// Rules that the file comes close to breaking.
    near: BTreeSet<String>,
}

fn expected() -> Vec<Expected> {
    let text = fs::read_to_string(format!("{DATA}/lint/expected.txt")).unwrap();
    let words = |text: &str| text.split(' ').filter(|word| *word != "-").map(str::to_owned).collect();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [path, findings, near] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
            Expected { path: path.to_owned(), findings: words(findings), near: words(near) }
        })
        .collect()
}

/// The corpus as a Git repository.
fn repository() -> Workspace {
    let workspace = Workspace::new();
    copy(Path::new(&format!("{DATA}/lint/repository")), workspace.path());
    fs::create_dir(workspace.file("clusters/certificates")).unwrap();
    for (from, to) in
        [("rsa2048.crt", "prod.pem"), ("rsa4096.crt", "big.pem"), ("expired.crt", "expired.pem")]
    {
        fs::copy(format!("{CERTIFICATES}/{from}"), workspace.file(&format!("clusters/certificates/{to}")))
            .unwrap();
    }
    workspace.git(&["init", "--quiet"]);
    workspace
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            _ = fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn report(workspace: &Workspace, format: &str) -> String {
    let ran = workspace.run(&format!("lint -o {format}"));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    ran.stdout
}

fn findings(workspace: &Workspace) -> Vec<Value> {
    let report: Value = serde_json::from_str(&report(workspace, "json")).unwrap();
    report["findings"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn each_file_of_the_corpus_has_exactly_its_findings() {
    let workspace = repository();
    let expected = expected();
    assert!(expected.len() >= 60, "{} files", expected.len());
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in findings(&workspace) {
        let place = format!("{}:{}", text(&finding["rule"]), finding["line"]);
        assert!(
            found.entry(text(&finding["file"]).to_owned()).or_default().insert(place),
            "{finding} is there twice"
        );
    }
    for Expected { path, findings, .. } in &expected {
        assert!(workspace.file(path).is_file(), "{path}");
        assert_eq!(&found.remove(path).unwrap_or_default(), findings, "{path}");
    }
    assert_eq!(found, BTreeMap::new(), "files that expected.txt does not name");
}

#[test]
fn each_rule_is_broken_by_a_file_of_the_corpus_and_nearly_broken_by_another() {
    for rule in RULES {
        let expected = expected();
        let breaks = |file: &&Expected| file.findings.iter().any(|finding| finding.starts_with(rule.id));
        assert!(expected.iter().any(|file| breaks(&file)), "{} has no true case", rule.id);
        assert!(expected.iter().any(|file| file.near.contains(rule.id)), "{} has no false case", rule.id);
    }
}

#[test]
fn the_corpus_is_found_in_other_encodings_too() {
    let workspace = repository();
    let secret = SECRET.replace("hunter2", "x");
    let utf16 = |bytes: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{secret}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    for (name, bytes) in [
        ("utf16le.yaml", utf16(u16::to_le_bytes)),
        ("utf16be.yaml", utf16(u16::to_be_bytes)),
        ("crlf.yaml", secret.replace('\n', "\r\n").into_bytes()),
        ("bom.json", b"\xef\xbb\xbf{\"a\": 1,\n\"kind\": \"Secret\", \"data\": {\"a\": \"Yg==\"}}".to_vec()),
    ] {
        fs::write(workspace.file(&format!("disguise/{name}")), bytes).unwrap();
        let ran = workspace.run(&format!("lint -o json disguise/{name}"));
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            (&report["findings"][0]["rule"], &report["findings"][0]["line"]),
            (&"KS001".into(), &2.into()),
            "{name}"
        );
        assert_eq!(report["errors"], 1, "{name}");
    }
}

#[test]
fn the_sarif_report_is_valid_by_its_schema() {
    let workspace = repository();
    fs::write(workspace.file(ODD_NAME), SECRET).unwrap();
    let sarif: Value = serde_json::from_str(&report(&workspace, "sarif")).unwrap();
    let schema = fs::read_to_string(format!("{DATA}/sarif/sarif-schema-2.1.0.json")).unwrap();
    assert_valid(&serde_json::from_str(&schema).unwrap(), &sarif);
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let all = findings(&workspace);
    assert_eq!((rules.len(), results.len()), (RULES.len(), all.len()));
    for (result, finding) in results.iter().zip(&all) {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!((&rules[index]["id"], &result["ruleId"]), (&finding["rule"], &finding["rule"]));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["region"]["startLine"], finding["line"]);
        assert_eq!(decoded(text(&place["artifactLocation"]["uri"])), text(&finding["file"]));
    }
    let prints: BTreeSet<&str> =
        results.iter().map(|result| text(&result["partialFingerprints"]["kubesealLint/v1"])).collect();
    assert_eq!(prints.len(), results.len(), "fingerprints are distinct");
}

/// Decodes `%XX`.
fn decoded(uri: &str) -> String {
    let mut pieces = uri.split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A workflow command, as the runner of GitHub Actions reads a line.
#[derive(Debug, PartialEq, Eq)]
struct WorkflowCommand {
    name: String,
    properties: BTreeMap<String, String>,
    message: String,
}

impl WorkflowCommand {
    /// Parses `::name key=value,key=value::message`. In values `%25 %0D %0A %3A %2C` stand for `% CR LF : ,`, in the message the
    /// first three. `None` for a line that is not a command.
    fn parse(line: &str) -> Option<Self> {
        let (head, message) = line.strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            Some((
                key.to_owned(),
                unescaped(value, &[("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")]),
            ))
        };
        let properties =
            properties.split(',').filter(|pair| !pair.is_empty()).map(pair).collect::<Option<_>>()?;
        let message = unescaped(message, &[("%0D", "\r"), ("%0A", "\n"), ("%25", "%")]);
        Some(Self { name: name.to_owned(), properties, message })
    }
}

fn unescaped(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[test]
fn workflow_commands_are_read_as_they_are_meant() {
    let workspace = repository();
    fs::write(workspace.file(ODD_NAME), SECRET).unwrap();
    let written = report(&workspace, "github");
    let commands: Vec<WorkflowCommand> = written
        .lines()
        .map(|line| WorkflowCommand::parse(line).unwrap_or_else(|| panic!("{line}")))
        .collect();
    let all = findings(&workspace);
    assert_eq!(commands.len(), all.len());
    for (command, finding) in commands.iter().zip(&all) {
        let name = match text(&finding["severity"]) {
            "note" => "notice",
            severity => severity,
        };
        let properties = [
            ("file", text(&finding["file"]).to_owned()),
            ("line", finding["line"].to_string()),
            ("title", text(&finding["rule"]).to_owned()),
        ];
        assert_eq!(command.name, name);
        assert_eq!(command.properties, properties.map(|(key, value)| (key.to_owned(), value)).into());
        assert!(command.message.contains(text(&finding["message"])), "{command:?}");
    }
}
