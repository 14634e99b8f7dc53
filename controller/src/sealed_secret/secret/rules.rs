//! Rules of the API server for Secrets, as far as messages explain them. Pure. The API server decides; this only gives the
//! reason.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sealed_secrets_core::names::{is_label_value, is_qualified_name, refused_key};
use serde::de::IgnoredAny;

/// Sentence about a Secret that is too large.
pub(crate) const TOO_LARGE: &str =
    "its values are larger than the 1 MiB that a Secret may have; split them between several Secrets";

const MAX_DATA: usize = 1 << 20;
const MAX_ANNOTATIONS: usize = 256 << 10;

/// Returns one sentence for each rule that the Secret breaks, with the remedy. No sentence quotes a value.
pub(crate) fn broken_rules(secret: &Secret) -> Vec<String> {
    let data = secret.data.clone().unwrap_or_default();
    let kind = secret.type_.as_deref().unwrap_or_default();
    let mut broken = of_type(kind, &data, secret);
    broken.extend(data.keys().filter(|key| refused_key(key).is_some()).map(|key| {
        format!("the key {key:?} is not valid: keys consist of letters, digits, '-', '_' and '.'; rename it")
    }));
    if is_too_large(secret) {
        broken.push(TOO_LARGE.to_owned());
    }
    broken.extend(of_labels(secret.labels()));
    broken.extend(of_annotations(secret.annotations()));
    broken
}

/// Returns true if the values are larger than the API server allows.
pub(crate) fn is_too_large(secret: &Secret) -> bool {
    secret.data.iter().flatten().map(|(_, value)| value.0.len()).sum::<usize>() > MAX_DATA
}

fn of_type(kind: &str, data: &BTreeMap<String, ByteString>, secret: &Secret) -> Vec<String> {
    let needs = |key: &str| format!("a Secret of type {kind} needs the item `{key}`; add it");
    let missing =
        |keys: &[&str]| keys.iter().filter(|key| !data.contains_key(**key)).map(|key| needs(key)).collect();
    match kind {
        "kubernetes.io/dockerconfigjson" => of_json(".dockerconfigjson", data, needs),
        "kubernetes.io/dockercfg" => of_json(".dockercfg", data, needs),
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        "kubernetes.io/ssh-auth" => {
            let is_there = data.get("ssh-privatekey").is_some_and(|value| !value.0.is_empty());
            if is_there { Vec::new() } else { vec![needs("ssh-privatekey")] }
        }
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            vec![format!("a Secret of type {kind} needs the item `username` or `password`; add it")]
        }
        "kubernetes.io/service-account-token" => {
            let account = secret.annotations().get("kubernetes.io/service-account.name");
            let sentence = "a Secret of type kubernetes.io/service-account-token needs the annotation \
                            kubernetes.io/service-account.name; add it to spec.template.metadata.annotations";
            if account.is_some_and(|name| !name.is_empty()) { Vec::new() } else { vec![sentence.to_owned()] }
        }
        _ => Vec::new(),
    }
}

/// Checks an item that must be a JSON object. The position of an error is not shown: it would reveal the content.
fn of_json(key: &str, data: &BTreeMap<String, ByteString>, needs: impl Fn(&str) -> String) -> Vec<String> {
    let Some(value) = data.get(key) else { return vec![needs(key)] };
    if serde_json::from_slice::<IgnoredAny>(&value.0).is_err() {
        return vec![format!("`{key}` is not valid JSON; correct the sealed value or its template")];
    }
    let text = value.0.trim_ascii();
    let is_object = text.starts_with(b"{") || text == b"null";
    if is_object {
        Vec::new()
    } else {
        vec![format!("`{key}` is not a JSON object; correct the sealed value or its template")]
    }
}

fn of_labels(labels: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    labels.iter().filter_map(|(name, value)| {
        if !is_qualified_name(name) {
            return Some(format!("{name:?} cannot be the name of a label; correct spec.template.metadata.labels"));
        }
        (!is_label_value(value)).then(|| {
            format!(
                "the value of label {name} is not one of at most 63 letters, digits, '-', '_' and '.'; correct \
                 spec.template.metadata.labels"
            )
        })
    })
}

fn of_annotations(annotations: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let size: usize = annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
    let too_large =
        (size > MAX_ANNOTATIONS).then(|| "its annotations are larger than 256 KiB together".to_owned());
    let misnamed =
        annotations.keys().filter(|name| !is_qualified_name(&name.to_ascii_lowercase())).map(|name| {
            format!(
                "{name:?} cannot be the name of an annotation; correct spec.template.metadata.annotations"
            )
        });
    misnamed.chain(too_large)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_valid_exactly_if_the_api_server_accepts_them() {
        for key in ["a", "A_b.c-9", ".dockerconfigjson", "...a".get(2..).unwrap(), &"a".repeat(253)] {
            assert_eq!(refused_key(key), None, "{key}");
        }
        for key in ["", ".", "..", "..a", "a/b", "a b", "é", &"a".repeat(254)] {
            assert!(refused_key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn labels_and_annotations_are_valid_exactly_if_the_api_server_accepts_them() {
        for name in ["a", "app.kubernetes.io/name", "A_b", "x-y.z/Q"] {
            assert!(is_qualified_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "a/b/c", "/a", "a/", "B.c/d", "a_b/c", &"a".repeat(64)] {
            assert!(!is_qualified_name(name), "{name}");
        }
        let secret = |metadata| serde_json::from_value::<Secret>(json!({"metadata": metadata})).unwrap();
        let fine = json!({"labels": {"a": "", "b": "v1.2_x"}, "annotations": {"UPPER.case/ok": "any value"}});
        assert_eq!(broken_rules(&secret(fine)), [""; 0]);
        let wrong = json!({"labels": {"a": "not a value", "b c": ""}, "annotations": {"d e": "", "f": "x".repeat(300_000)}});
        assert_eq!(broken_rules(&secret(wrong)).len(), 4);
    }
}
