//! The place that the items of an object are sealed for, as the text writes it.

use sealed_secrets_crds::names::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};

use super::node::Node;
use super::read::Object;

/// Returns namespace and name for the scope strict, the namespace for namespace-wide, and nothing for cluster-wide. Expressions of a
/// template stay expressions: `text` is the text without masks.
pub(super) fn place_of(text: &str, object: &Object<'_>) -> Vec<String> {
    let annotations = object.node.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let is_on = |name| {
        annotations.and_then(|all| all.get(name)).and_then(Node::text).is_some_and(|text| text == "true")
    };
    let namespace = field_of(text, object, "namespace");
    if is_on(CLUSTER_WIDE_ANNOTATION) {
        Vec::new()
    } else if is_on(NAMESPACE_WIDE_ANNOTATION) {
        vec![namespace]
    } else {
        vec![namespace, field_of(text, object, "name")]
    }
}

/// Returns a field of the metadata without quotes; empty if it is absent.
pub(super) fn field_of(text: &str, object: &Object<'_>, key: &str) -> String {
    let node = object.node.get("metadata").and_then(|metadata| metadata.get(key));
    let written = node.and_then(|node| text.get(object.document.range_of(node))).unwrap_or_default();
    written.trim_matches(['"', '\'']).to_owned()
}
