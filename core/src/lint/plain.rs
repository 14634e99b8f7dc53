//! Plaintext: Secrets, private keys, literal values of generators.

use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use super::Finding;
use super::rules::{LITERALS, PLAIN_SECRET, PRIVATE_KEY};
use crate::manifest::{FileObject, Node, NodeKind};

/// Findings of an object of any kind.
pub(super) fn check(object: &FileObject<'_>) -> Vec<Finding> {
    let node = object.node();
    let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
    let at = |rule, node: &Node, message: &str| Finding {
        rule,
        line: object.line_of(node),
        object: object.shown_name(),
        item: None,
        message: message.to_owned(),
    };
    if kind == "Secret" || (kind.is_empty() && object.is_in("SecretList")) {
        let Some(kind) = node.get("kind").or(Some(node)).filter(|_| has_values(object)) else {
            return Vec::new();
        };
        return vec![if is_sealing_key(node) {
            at(PRIVATE_KEY, kind, "a private sealing key")
        } else {
            at(PLAIN_SECRET, kind, "a Secret that is not sealed")
        }];
    }
    let is_filled = |value: &Node| matches!(&value.kind, NodeKind::Sequence(items) if !items.is_empty());
    let entries = secret_generators(node).flat_map(Node::entries);
    let literals = entries.filter(|(key, value)| key.text() == Some("literals") && is_filled(value));
    literals.map(|(key, _)| at(LITERALS, key, "literal values in a secretGenerator")).collect()
}

/// True if `data` or `stringData` has a value that is not filled in by a template.
fn has_values(object: &FileObject<'_>) -> bool {
    let is_literal = |(_, value): &(Node, Node)| {
        let is_empty = value.text().is_some_and(|text| text.is_empty() || matches!(text, "null" | "~"));
        !is_empty && !object.is_templated(value)
    };
    let fields = ["data", "stringData"].into_iter().filter_map(|field| object.node().get(field));
    fields.flat_map(Node::entries).any(is_literal)
}

fn is_sealing_key(node: &Node) -> bool {
    let labels = node.get("metadata").and_then(|metadata| metadata.get("labels"));
    labels.is_some_and(|labels| labels.get(SEALING_KEY_LABEL).is_some())
}

fn secret_generators(node: &Node) -> impl Iterator<Item = &Node> {
    let generators = match node.get("secretGenerator").map(|generators| &generators.kind) {
        Some(NodeKind::Sequence(generators)) => generators.as_slice(),
        _ => &[],
    };
    generators.iter()
}
