//! Names and keys by the API server's rules, so that people hear of a mistake before they deploy it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;

/// Bytes of a DNS subdomain, and of a key.
const LONGEST: usize = 253;
/// Bytes of a DNS label.
const LONGEST_LABEL: usize = 63;

/// What the API server will refuse in a Secret that has these names and keys: one sentence each.
#[must_use]
pub fn refusals(secret: &Secret) -> Vec<String> {
    let metadata = &secret.metadata;
    let keys = secret.data.iter().flat_map(|items| items.keys());
    let keys: BTreeSet<&String> =
        keys.chain(secret.string_data.iter().flat_map(|items| items.keys())).collect();
    let name = metadata.name.as_deref().and_then(refused_name);
    let namespace = metadata.namespace.as_deref().and_then(refused_namespace);
    name.into_iter().chain(namespace).chain(keys.into_iter().filter_map(|key| refused_key(key))).collect()
}

/// What is wrong with a `metadata.name`, if anything; an empty one counts as none.
#[must_use]
pub fn refused_name(name: &str) -> Option<String> {
    let is_right = name.len() <= LONGEST && name.split('.').all(is_label);
    (!is_right && !name.is_empty()).then(|| {
        format!(
            "metadata.name {name:?}: a name has at most {LONGEST} lower case letters, digits, - and ., and begins and ends with a letter or digit"
        )
    })
}

/// What is wrong with a `metadata.namespace`, if anything; an empty one counts as none.
#[must_use]
pub fn refused_namespace(namespace: &str) -> Option<String> {
    let is_right = namespace.len() <= LONGEST_LABEL && is_label(namespace);
    (!is_right && !namespace.is_empty()).then(|| {
        format!(
            "metadata.namespace {namespace:?}: a namespace has at most {LONGEST_LABEL} lower case letters, digits and -, and begins and ends with a letter or digit"
        )
    })
}

/// What is wrong with the key of an item, if anything.
#[must_use]
pub fn refused_key(key: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_right = (1..=LONGEST).contains(&key.len())
        && key.bytes().all(is_allowed)
        && key != "."
        && !key.starts_with("..");
    (!is_right).then(|| {
        format!(
            "data[{key:?}]: a key has 1 to {LONGEST} letters, digits, -, _ and ., and is neither . nor begins with .."
        )
    })
}

/// One part of a DNS name. Its length counts only where it stands alone.
fn is_label(text: &str) -> bool {
    let is_end =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_api_server_judges_them() {
        let long = "a".repeat(253);
        for name in ["db", "a", "0", "a.b-c.d", "1.2", long.as_str(), ""] {
            assert_eq!(refused_name(name), None, "{name}");
        }
        let longer = "a".repeat(254);
        for name in ["runnerToken", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", "a b", "é", "a.-b", &longer]
        {
            assert!(refused_name(name).is_some_and(|said| said.contains(&format!("{name:?}"))), "{name}");
        }
    }

    #[test]
    fn namespaces_are_one_label() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        assert_eq!((refused_namespace("kube-system"), refused_namespace(&long)), (None, None));
        for namespace in ["a.b", "Shop", &longer, "a_b"] {
            assert!(refused_namespace(namespace).is_some(), "{namespace}");
        }
    }

    #[test]
    fn keys_are_judged_as_the_api_server_judges_them() {
        let long = "a".repeat(253);
        for key in
            ["runnerToken", "a_b", ".dockerconfigjson", "tls.key", "-", "A", "a..b", "._", long.as_str()]
        {
            assert_eq!(refused_key(key), None, "{key}");
        }
        let longer = "a".repeat(254);
        for key in ["", ".", "..", "..a", "a/b", "a b", "a:b", "é", "a\n", &longer] {
            assert!(refused_key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_secret_is_judged_with_all_its_keys() {
        let secret = serde_json::json!({
            "metadata": {"name": "X", "namespace": "Y"}, "data": {"a/b": "", "good": ""}, "stringData": {"c d": ""}
        });
        let said = refusals(&serde_json::from_value(secret).unwrap());
        let places: Vec<&str> = said.iter().map(|said| said.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            ["metadata.name \"X\"", "metadata.namespace \"Y\"", "data[\"a/b\"]", "data[\"c d\"]"]
        );
    }
}
