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

use crate::manifest::{FileObject, Manifest, ManifestError, NodeError, mentions_kind, parts};

pub use finding::{Expectations, ExpectedKey, Finding};
pub use kustomization::{Bound, Kustomization, bound_objects, kustomization};
pub use rules::*;
use suppression::Suppression;

/// Checks a file. The findings are in the order of their lines.
#[must_use]
pub fn check(text: &str, expectations: &Expectations) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for part in parts(text) {
        let suppression = Suppression::of(part.text);
        let mut found = match &part.manifest {
            Ok(manifest) => of_manifest(manifest, expectations, &mut seen),
            Err(error) => of_unreadable(part.text, error),
        };
        found.retain(|finding| !suppression.covers(finding.rule));
        for finding in &mut found {
            finding.line += part.lines_before;
        }
        findings.append(&mut found);
    }
    findings.sort_by_key(|finding| finding.line);
    findings
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
    let finding = |rule, line, message| vec![Finding { rule, line, object: None, item: None, message }];
    let conflict = text.lines().position(|line| line.starts_with("<<<<<<<")).map(|at| at + 1);
    match (&error.cause, conflict) {
        _ if !mentions_kind(text, &["Secret", "SealedSecret", "SecretList"]) => Vec::new(),
        (_, Some(line)) => finding(UNREADABLE, line, "a merge conflict that is not resolved".to_owned()),
        (NodeError::DuplicateKey(_), None) => finding(DUPLICATE, error.line, "duplicate key".to_owned()),
        (NodeError::Template, None) => finding(
            SKIPPED,
            error.line,
            "not checked: a template that is not YAML even without its expressions".to_owned(),
        ),
        (_, None) if text.contains("{{") => finding(
            SKIPPED,
            error.line,
            "not checked: a template that is not YAML even without its expressions".to_owned(),
        ),
        (cause, None) => finding(UNREADABLE, error.line, cause.to_string()),
    }
}
