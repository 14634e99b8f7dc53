//! Findings for people, programs, GitHub Actions and code scanning.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use sealed_secrets_core::lint::{Finding, RULES, Severity};
use sealed_secrets_core::manifest::{Format, object_text};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::workflow::SourceFile;
use crate::{escape, io};

/// A format of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LintFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// Workflow commands of GitHub Actions
    Github,
    /// SARIF 2.1.0
    Sarif,
}

/// A finding and its file.
pub(super) struct Located {
    pub(super) file: SourceFile,
    /// Path of the file below the root of its work tree.
    pub(super) path: String,
    pub(super) finding: Finding,
}

impl Located {
    pub(super) fn place(&self) -> (&str, usize, &str) {
        (&self.path, self.finding.line, self.finding.rule.id)
    }
}

/// Writes the findings to stdout, and for people the totals to stderr; a hook says nothing if there are no findings.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn write(format: LintFormat, files: usize, found: &[Located], is_hook: bool) -> Result<(), Error> {
    let text = match format {
        LintFormat::Text => text(found),
        LintFormat::Json => object_text(&json(files, found), Format::Json),
        LintFormat::Github => github(found),
        LintFormat::Sarif => object_text(&sarif(found), Format::Json),
    };
    io::write(None, text.as_bytes())?;
    if format == LintFormat::Text && !(is_hook && found.is_empty()) {
        io::log(&totals(files, found));
    }
    Ok(())
}

fn count(found: &[Located], severity: Severity) -> usize {
    found.iter().filter(|located| located.finding.rule.severity == severity).count()
}

fn totals(files: usize, found: &[Located]) -> String {
    let number = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!(
        "{}: {}, {}, {}",
        number(files, "file"),
        number(count(found, Severity::Error), "error"),
        number(count(found, Severity::Warning), "warning"),
        number(count(found, Severity::Note), "note")
    )
}

/// The message with its item.
fn message(finding: &Finding) -> String {
    match &finding.item {
        Some(item) if !finding.message.contains(item.as_str()) => format!("{item}: {}", finding.message),
        _ => finding.message.clone(),
    }
}

fn text(found: &[Located]) -> String {
    let mut text = String::new();
    for Located { file, finding, .. } in found {
        let rule = finding.rule;
        let line = format!(
            "{}:{}: {}[{}]: {}",
            file.path,
            finding.line,
            rule.severity.as_str(),
            rule.id,
            message(finding)
        );
        text.extend([&escape::line(&line), "\n"]);
        if !rule.help.is_empty() {
            text.extend(["  help: ", rule.help, "\n"]);
        }
    }
    text
}

fn json(files: usize, found: &[Located]) -> Value {
    let findings = found.iter().map(|Located { file, finding, .. }| {
        json!({
            "rule": finding.rule.id,
            "severity": finding.rule.severity.as_str(),
            "file": file.path,
            "line": finding.line,
            "object": finding.object,
            "item": finding.item,
            "message": finding.message,
            "help": finding.rule.help,
        })
    });
    json!({
        "files": files,
        "errors": count(found, Severity::Error),
        "warnings": count(found, Severity::Warning),
        "notes": count(found, Severity::Note),
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// Workflow commands, whose data and properties are escaped as the runner decodes them, for the terminal of its log.
fn github(found: &[Located]) -> String {
    let mut text = String::new();
    for Located { path, finding, .. } in found {
        let command = match finding.rule.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let (path, line, id) = (property(&escape::lines(path)), finding.line, finding.rule.id);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "::{command} file={path},line={line},title={id}::{}",
            data(&escape::lines(&message(finding)))
        );
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn sarif(found: &[Located]) -> Value {
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let rules = RULES.iter().map(|rule| {
        let help = if rule.help.is_empty() { rule.summary } else { rule.help };
        json!({
            "id": rule.id,
            "shortDescription": {"text": rule.summary},
            "help": {"text": help},
            "defaultConfiguration": {"level": level(rule.severity)},
        })
    });
    let mut seen = BTreeMap::new();
    let results = found.iter().map(|located| {
        let finding = &located.finding;
        json!({
            "ruleId": finding.rule.id,
            "ruleIndex": RULES.iter().position(|rule| *rule == finding.rule),
            "level": level(finding.rule.severity),
            "message": {"text": message(finding)},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": uri(&located.path), "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": finding.line},
            }}],
            "partialFingerprints": {"kubesealLint/v1": fingerprint(located, &mut seen)},
        })
    });
    let results: Vec<Value> = results.collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubeseal",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://github.com/sealed-secrets-rs/sealed-secrets-rs",
                "rules": rules.collect::<Vec<_>>(),
            }},
            "results": results,
        }],
    })
}

/// A hash that stays when lines move: of rule, file, object, item and message, and a number among equal ones.
fn fingerprint(located: &Located, seen: &mut BTreeMap<String, usize>) -> String {
    let Finding { rule, object, item, message, .. } = &located.finding;
    let identity = format!("{}\0{}\0{object:?}\0{item:?}\0{message}", rule.id, located.path);
    let number = seen.entry(identity.clone()).or_default();
    *number += 1;
    let hash = Sha256::digest(format!("{identity}\0{number}").as_bytes());
    hash.iter().take(16).fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
