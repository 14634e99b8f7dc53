//! Checks of manifests in a repository, without a cluster and without a private key.
//!
//! No finding quotes a value.

mod ciphertext;
mod finding;
mod kustomization;
mod plain;
mod rules;
mod sealed;
mod suppression;

use crate::manifest::{FileObject, Manifest, ManifestError, NodeError, conflict_line, mentions_kind, parts};

pub use finding::{Expectations, ExpectedKey, Finding};
pub use kustomization::{Bound, Kustomization, bound_objects, kustomization};
pub use rules::*;
use suppression::Suppression;

/// Kinds of the objects that this module is about.
const KINDS: [&str; 3] = ["Secret", "SealedSecret", "SecretList"];

/// Checks a file. The findings are in the order of their lines.
#[must_use]
pub fn check(text: &str, expectations: &Expectations) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    let conflict = conflict_line(text).filter(|_| mentions_kind(text, &KINDS));
    for part in parts(text) {
        let suppression = Suppression::of(part.text, part.manifest.as_ref().ok());
        let mut found = match &part.manifest {
            Ok(manifest) => of_manifest(manifest, expectations, &mut seen),
            // A conflict is one finding, whatever it does to the documents around it.
            Err(_) if conflict.is_some() => Vec::new(),
            Err(error) => of_unreadable(part.text, error),
        };
        found.retain(|finding| !suppression.covers(finding.rule));
        for finding in &mut found {
            finding.line += part.lines_before;
        }
        findings.append(&mut found);
    }
    findings.extend(conflict.filter(|_| !Suppression::of(text, None).covers(UNREADABLE)).map(of_conflict));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Returns true if a comment in the document of a finding suppresses its rule. [`check`] leaves such findings out; this is for
/// those of other checks.
#[must_use]
pub fn is_suppressed(text: &str, finding: &Finding) -> bool {
    let parts = parts(text);
    let part = parts.iter().rfind(|part| part.lines_before < finding.line);
    part.is_some_and(|part| Suppression::of(part.text, part.manifest.as_ref().ok()).covers(finding.rule))
}

fn of_manifest(manifest: &Manifest, expectations: &Expectations, seen: &mut Vec<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for object in manifest.objects() {
        findings.append(&mut plain::check(&object));
        if let Some(sealed) = object.sealed_secret() {
            findings.append(&mut sealed::check(&object, &sealed, expectations));
            findings.extend(duplicate(&object, seen));
        }
    }
    findings
}

/// A finding if an object of this name was in the file before.
fn duplicate(object: &FileObject<'_>, seen: &mut Vec<String>) -> Option<Finding> {
    let name = object.shown_name()?;
    if seen.contains(&name) {
        let message = format!("the SealedSecret {name} is in this file twice");
        return Some(Finding {
            rule: DUPLICATE,
            line: object.line(),
            object: Some(name),
            item: None,
            message,
        });
    }
    seen.push(name);
    None
}

/// Findings of a document that cannot be parsed.
fn of_unreadable(text: &str, error: &ManifestError) -> Vec<Finding> {
    let finding = |rule, message| vec![Finding { rule, line: error.line, object: None, item: None, message }];
    match &error.cause {
        _ if !mentions_kind(text, &KINDS) => Vec::new(),
        NodeError::Conflict => vec![of_conflict(error.line)],
        NodeError::DuplicateKey(_) => finding(DUPLICATE, "duplicate key".to_owned()),
        NodeError::Template => finding(SKIPPED, UNREADABLE_TEMPLATE.to_owned()),
        _ if text.contains("{{") => finding(SKIPPED, UNREADABLE_TEMPLATE.to_owned()),
        cause => finding(UNREADABLE, cause.to_string()),
    }
}

const UNREADABLE_TEMPLATE: &str = "not checked: a template that is not YAML even without its expressions";

fn of_conflict(line: usize) -> Finding {
    let message = "a merge conflict that is not resolved".to_owned();
    Finding { rule: UNREADABLE, line, object: None, item: None, message }
}
