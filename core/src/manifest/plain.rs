//! Secrets of a file that are not sealed, and the replacement of their documents.

use k8s_openapi::api::core::v1::Secret;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::content::Content;
use super::edit_error::EditError;
use super::node::{Node, NodeKind};
use super::read::{Object, ReadError, objects, read_secret};
use super::scalar::{Resolved, resolve};
use super::span::overlaps;
use super::split::{Document, ManifestError, documents};
use super::texts::parse;
use super::write::Format;

/// The Secrets of a file cannot be read. Quotes no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlainSecretsError {
    /// A document cannot be parsed.
    #[error("{0}")]
    Unreadable(#[from] ManifestError),
    /// A Secret has a field that cannot be used.
    #[error("{0}")]
    Field(#[from] ReadError),
    /// A Helm template has a Secret.
    #[error("line {line}: a Secret in a Helm template")]
    Template {
        /// Line of the whole text, from 1.
        line: usize,
        /// False if the template fills in all values.
        is_literal: bool,
    },
    /// A List holds Secrets and other objects.
    #[error("line {line}: another object in a List with Secrets")]
    Mixed {
        /// Line of that object in the whole text, from 1.
        line: usize,
    },
}

/// A document that consists of Secrets with values: one Secret, or a List of them.
pub struct SecretDocument {
    /// Its Secrets.
    pub secrets: Vec<PlainSecret>,
    /// Its notation.
    pub format: Format,
    number: usize,
    start: usize,
    end: usize,
}

/// A Secret that is not sealed. Deliberately without `Debug`.
pub struct PlainSecret {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The Secret itself.
    pub secret: Secret,
}

/// The documents of a file, sorted by content.
pub struct PlainSecrets {
    /// Documents with Secrets, in the order of the text.
    pub documents: Vec<SecretDocument>,
    /// True if the file has other documents, too.
    pub has_others: bool,
}

/// Finds the documents with Secrets that have `data` or `stringData`.
///
/// # Errors
/// Returns an error if a document cannot be parsed or has a Secret that cannot be read, if a List holds other objects besides, or if
/// the file is a Helm template with a Secret.
pub fn plain_secrets(text: &str) -> Result<PlainSecrets, PlainSecretsError> {
    let (documents, masked) = parse(text)?;
    let mut found = PlainSecrets { documents: Vec::new(), has_others: false };
    for document in &documents {
        let all = objects(document);
        let Some(secret) = all.iter().find(|object| is_plain_secret(object)) else {
            found.has_others = true;
            continue;
        };
        let line = |object: &Object<'_>| document.line_of(object.node);
        if let Some(masked) = &masked {
            let is_filled_in = |value: &Node| overlaps(&masked.expressions, &document.range_of(value));
            let is_literal = values(secret.node).any(|value| !is_filled_in(value));
            return Err(PlainSecretsError::Template { line: line(secret), is_literal });
        }
        if let Some(other) = all.iter().find(|object| !is_plain_secret(object)) {
            return Err(PlainSecretsError::Mixed { line: line(other) });
        }
        let secret = |object: &Object<'_>| {
            Ok(PlainSecret { line: line(object), secret: read_secret(document, object.node)? })
        };
        let secrets = all.iter().map(secret).collect::<Result<_, ReadError>>()?;
        found.documents.push(of_document(text, document, secrets));
    }
    Ok(found)
}

fn of_document(text: &str, document: &Document, secrets: Vec<PlainSecret>) -> SecretDocument {
    let range = document.range.clone();
    let source = text.get(range.clone()).unwrap_or_default();
    let json = document.json && serde_json::from_str::<IgnoredAny>(source).is_ok();
    let lead = if json { source.len() - source.trim_start().len() } else { 0 };
    let format = if json { Format::Json } else { Format::Yaml };
    SecretDocument { secrets, format, number: document.number, start: range.start + lead, end: range.end }
}

/// True for a Secret of the core group with values. The items of a `SecretList` need no kind.
fn is_plain_secret(object: &Object<'_>) -> bool {
    let node = object.node;
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
    let is_in_list = || text(&object.document.root, "kind") == "SecretList";
    let kind = text(node, "kind");
    let is_secret =
        (kind == "Secret" || (kind.is_empty() && is_in_list())) && !text(node, "apiVersion").contains('/');
    is_secret && ["data", "stringData"].into_iter().filter_map(|key| node.get(key)).any(is_filled)
}

/// False for null and for an empty mapping.
fn is_filled(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Scalar { text, plain } => !plain || resolve(text) != Resolved::Null,
        NodeKind::Sequence(_) => true,
        NodeKind::Mapping(entries) => !entries.is_empty(),
    }
}

fn values(secret: &Node) -> impl Iterator<Item = &Node> {
    let fields = ["data", "stringData"].into_iter().filter_map(|key| secret.get(key));
    fields.flat_map(Node::entries).map(|(_, value)| value)
}

/// Replaces each document by the SealedSecrets of the same place, each a text as
/// [`sealed_secret_text`](super::sealed_secret_text) writes it in the document's format. All other bytes stay. Comments of the
/// replaced documents are dropped, since they may hold plaintext.
///
/// # Errors
/// Returns an error if the result would not have exactly the expected content.
pub fn replace_documents(
    text: &str,
    replacements: &[(SecretDocument, Vec<String>)],
) -> Result<String, EditError> {
    if replacements.is_empty() {
        return Ok(text.to_owned());
    }
    let output = replaced(text, replacements);
    let mut wanted = Vec::new();
    for document in documents(text)? {
        match replacements.iter().find(|(replaced, _)| replaced.number == document.number) {
            Some((_, sealed)) => {
                for text in sealed {
                    wanted.extend(contents(text)?);
                }
            }
            None => wanted.push(Content::of(&document.root)),
        }
    }
    if contents(&output).is_ok_and(|found| found == wanted) { Ok(output) } else { Err(EditError::Unsafe) }
}

fn contents(text: &str) -> Result<Vec<Content>, EditError> {
    Ok(documents(text)?.iter().map(|document| Content::of(&document.root)).collect())
}

fn replaced(text: &str, replacements: &[(SecretDocument, Vec<String>)]) -> String {
    let mut output = String::with_capacity(text.len());
    let mut end = 0;
    for (document, sealed) in replacements {
        output.push_str(text.get(end..document.start).unwrap_or_default());
        let old = text.get(document.start..document.end).unwrap_or_default();
        let new = match document.format {
            Format::Json => sealed.iter().map(|sealed| sealed.trim_end()).collect::<Vec<_>>().join("\n"),
            Format::Yaml => {
                let begins_line = output.is_empty() || output.ends_with(['\n', '\u{feff}']);
                let bodies = sealed.iter().map(|sealed| sealed.strip_prefix("---\n").unwrap_or(sealed));
                let joined = bodies.collect::<Vec<_>>().join("---\n");
                if begins_line { joined } else { format!("\n{joined}") }
            }
        };
        output.push_str(&if old.contains("\r\n") { new.replace('\n', "\r\n") } else { new });
        end = document.end;
    }
    output.push_str(text.get(end..).unwrap_or_default());
    output
}

/// Returns true if the text has a line that makes an object one of these kinds, whether or not it can be parsed.
#[must_use]
pub fn mentions_kind(text: &str, kinds: &[&str]) -> bool {
    let is_kind = |line: &str| {
        let line: String = line.chars().filter(|character| !" \t\"'{-".contains(*character)).collect();
        kinds.iter().any(|kind| {
            line.split_once(&format!("kind:{kind}"))
                .is_some_and(|(_, rest)| !rest.starts_with(char::is_alphanumeric))
        })
    };
    text.lines().any(is_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "kind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n";

    /// The text with each Secret replaced by a document that names it.
    fn replaced(text: &str) -> Result<String, PlainSecretsError> {
        let found = plain_secrets(text)?;
        let sealed = |document: &SecretDocument| -> Vec<String> {
            let name = |secret: &PlainSecret| secret.secret.metadata.name.clone().unwrap_or_default();
            let text = |secret| match document.format {
                Format::Yaml => format!("---\nsealed: {}\n", name(secret)),
                Format::Json => format!("{{\"sealed\": \"{}\"}}\n", name(secret)),
            };
            document.secrets.iter().map(text).collect()
        };
        let replacements: Vec<_> = found
            .documents
            .into_iter()
            .map(|document| {
                let sealed = sealed(&document);
                (document, sealed)
            })
            .collect();
        Ok(replace_documents(text, &replacements).unwrap())
    }

    #[test]
    fn only_documents_with_secrets_are_replaced_and_each_other_byte_stays() {
        for (text, wanted) in [
            (SECRET.to_owned(), "sealed: db\n".to_owned()),
            (format!("---\n{SECRET}"), "---\nsealed: db\n".to_owned()),
            (format!("\u{feff}{SECRET}"), "\u{feff}sealed: db\n".to_owned()),
            (
                format!("# header\n---\nkind: Pod # a\n---\n{SECRET}...\n# end\n---\na:   1"),
                "# header\n---\nkind: Pod # a\n---\nsealed: db\n...\n# end\n---\na:   1".to_owned(),
            ),
            (format!("--- # hunter2\n# hunter2\n{SECRET}# hunter2\n---\na: 1\n"), "---\nsealed: db\n---\na: 1\n".to_owned()),
            ("--- {kind: Secret, metadata: {name: x}, data: {a: YQ==}}\n".to_owned(), "---\nsealed: x\n".to_owned()),
            (SECRET.replace('\n', "\r\n"), "sealed: db\r\n".to_owned()),
            (format!("%YAML 1.2\n---\n{SECRET}"), "%YAML 1.2\n---\nsealed: db\n".to_owned()),
            (format!("{SECRET}---\n{SECRET}"), "sealed: db\n---\nsealed: db\n".to_owned()),
            (
                "kind: List\nitems:\n- {kind: Secret, metadata: {name: a}, data: {a: YQ==}}\n- {kind: Secret, metadata: {name: b}, data: {a: YQ==}}\n".to_owned(),
                "sealed: a\n---\nsealed: b\n".to_owned(),
            ),
            (
                "kind: SecretList\nitems:\n- {metadata: {name: a}, data: {a: YQ==}}\n".to_owned(),
                "sealed: a\n".to_owned(),
            ),
            (
                "{\"a\": 1}\n  {\"kind\": \"Secret\", \"metadata\": {\"name\": \"x\"}, \"data\": {\"a\": \"YQ==\"}}\n{\"b\":2}".to_owned(),
                "{\"a\": 1}\n  {\"sealed\": \"x\"}\n{\"b\":2}".to_owned(),
            ),
        ] {
            assert_eq!(replaced(&text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn documents_other_than_secrets_with_values_stay() {
        for text in [
            "kind: SealedSecret\nspec: {encryptedData: {a: AgX}}\n",
            "kind: Secret\nmetadata: {name: token}\ntype: kubernetes.io/service-account-token\n",
            "kind: Secret\ndata:\n",
            "kind: Secret\ndata: {}\nstringData: ~\n",
            "apiVersion: secretsmanager.aws.crossplane.io/v1beta1\nkind: Secret\ndata: {a: b}\n",
            "kind: ConfigMap\ndata: {kind: Secret}\n",
            "kind: List\nitems:\n- kind: Pod\n",
            "kind: Secret\nmetadata:\n  name: {{ .x }}\n",
            "data: {a: b}\n",
            "- a\n- b\n",
            "",
        ] {
            assert_eq!(replaced(text).unwrap(), text);
        }
    }

    #[test]
    fn a_list_with_other_objects_and_a_template_with_a_secret_are_refused_by_line() {
        let list = "a: 1\n---\nkind: List\nitems:\n- {kind: Secret, data: {a: YQ==}}\n- {kind: Pod}\n";
        assert_eq!(replaced(list).unwrap_err(), PlainSecretsError::Mixed { line: 6 });
        for (value, is_literal) in [("{{ .x }}", false), ("x-{{ .x }}", false), ("hunter2", true)] {
            let text = format!("{{{{ if .y }}}}\nkind: Secret\nstringData:\n  a: {value}\n{{{{ end }}}}\n");
            assert_eq!(
                replaced(&text).unwrap_err(),
                PlainSecretsError::Template { line: 2, is_literal },
                "{text}"
            );
        }
        let odd = replaced("kind: Pod\n---\nkind: Secret\nstringData: {a: 012}\n").unwrap_err();
        assert!(odd.to_string().starts_with("document 2, line 4: stringData[\"a\"]"), "{odd}");
        assert!(matches!(replaced("kind: Secret\na: [\n"), Err(PlainSecretsError::Unreadable(_))));
    }

    #[test]
    fn a_kind_is_found_in_text_that_is_no_yaml() {
        for text in [
            "kind: Secret\n<<<<<<<\n",
            "  - kind: 'Secret'\n",
            "{\"kind\":\"Secret\",",
            "- {kind: Secret}",
            "{\"kind\": \"List\", \"items\": [{\"kind\": \"Secret\"}",
        ] {
            assert!(mentions_kind(text, &["Secret"]), "{text}");
        }
        for text in ["kind: SecretStore\n", "kinds: Secret\n", "a: Secret\n", "kind: SealedSecret\n"] {
            assert!(!mentions_kind(text, &["Secret"]), "{text}");
        }
    }
}
