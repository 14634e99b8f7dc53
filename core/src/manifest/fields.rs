//! Fields of a SealedSecret, to find lines at a wrong place.

use super::node::Node;
use super::sealed::is_sealed_secret;

const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC: [&str; 3] = ["data", "encryptedData", "template"];
const TEMPLATE: [&str; 4] = ["data", "immutable", "metadata", "type"];
const METADATA: [&str; 16] = [
    "annotations",
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Returns true if this is not a SealedSecret, and holds values of a Secret or has the form of a SealedSecret.
pub(super) fn may_be_plaintext(object: &Node) -> bool {
    let is_secret = object.get("kind").and_then(Node::text) == Some("Secret");
    let has_values = is_secret && ["data", "stringData"].iter().any(|field| object.get(field).is_some());
    let has_items = object.get("spec").is_some_and(|spec| spec.get("encryptedData").is_some());
    !is_sealed_secret(object) && (has_values || has_items)
}

/// Returns the keys of fields that a SealedSecret does not have, at its root, in `spec`, in `spec.template` and in the metadata of both.
pub(super) fn unknown_fields(object: &Node) -> Vec<&Node> {
    let spec = object.get("spec");
    let template = spec.and_then(|spec| spec.get("template"));
    let levels = [
        (Some(object), &TOP[..]),
        (object.get("metadata"), &METADATA),
        (spec, &SPEC),
        (template, &TEMPLATE),
        (template.and_then(|template| template.get("metadata")), &METADATA),
    ];
    let mut unknown = Vec::new();
    for (node, known) in levels {
        let keys = node.map_or(&[][..], Node::entries).iter().map(|(key, _)| key);
        unknown.extend(keys.filter(|key| key.text().is_none_or(|text| !known.contains(&text))));
    }
    unknown
}
