//! Validates names and keys by the API server's rules, so that users see mistakes before they deploy.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;

/// Maximum length of a name (a DNS subdomain) and of a key, in bytes.
pub const MAX_NAME_LENGTH: usize = 253;
/// Maximum length of a DNS label, and of the value of a label, in bytes.
pub const MAX_LABEL_LENGTH: usize = 63;

/// Returns the reasons why the API server would reject the names and keys of this Secret, one sentence each.
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

/// Returns the reason why a `metadata.name` is invalid. An empty name counts as absent.
#[must_use]
pub fn refused_name(name: &str) -> Option<String> {
    let is_right = name.len() <= MAX_NAME_LENGTH && name.split('.').all(is_label);
    (!is_right && !name.is_empty()).then(|| {
        format!(
            "metadata.name {name:?}: a name has at most {MAX_NAME_LENGTH} lower case letters, digits, - and ., and begins and ends with a letter or digit"
        )
    })
}

/// Returns the reason why a `metadata.namespace` is invalid. An empty one counts as absent.
#[must_use]
pub fn refused_namespace(namespace: &str) -> Option<String> {
    let is_right = namespace.len() <= MAX_LABEL_LENGTH && is_label(namespace);
    (!is_right && !namespace.is_empty()).then(|| {
        format!(
            "metadata.namespace {namespace:?}: a namespace has at most {MAX_LABEL_LENGTH} lower case letters, digits and -, and begins and ends with a letter or digit"
        )
    })
}

/// The API server's rule for keys of items.
pub const KEY_RULE: &str =
    "a key has 1 to 253 letters, digits, -, _ and ., and is neither . nor begins with ..";
/// The API server's rule for keys of labels and annotations.
pub const QUALIFIED_NAME_RULE: &str = "a key is a name of 1 to 63 letters, digits, -, _ and ., which begins and ends with a letter or digit, after a DNS name and / if it has a prefix";
/// The API server's rule for values of labels.
pub const LABEL_VALUE_RULE: &str = "the value of a label is empty, or has at most 63 letters, digits, -, _ and ., and begins and ends with a letter or digit";

/// Returns true if the text is a valid key of a label or annotation.
#[must_use]
pub fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => {
            prefix.len() <= MAX_NAME_LENGTH && prefix.split('.').all(is_label) && is_label_word(name)
        }
        None => is_label_word(text),
    }
}

/// Returns true if the text is a valid value of a label.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_word(text)
}

fn is_label_word(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_LABEL_LENGTH
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Returns the reason why the key of an item is invalid.
#[must_use]
pub fn refused_key(key: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_right = (1..=MAX_NAME_LENGTH).contains(&key.len())
        && key.bytes().all(is_allowed)
        && key != "."
        && !key.starts_with("..");
    (!is_right).then(|| format!("data[{key:?}]: {KEY_RULE}"))
}

/// Shown in place of the key of an item that the API server rejects.
pub const INVALID_KEY: &str = "(invalid key)";

/// Returns the key of an item for a message: [`INVALID_KEY`] instead of an invalid one, which may be a value at the wrong place.
#[must_use]
pub fn shown_key(key: &str) -> &str {
    if refused_key(key).is_some() { INVALID_KEY } else { key }
}

/// Returns true if the text is one part of a DNS name. Its length is limited only if it stands alone.
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
            assert!(
                refused_name(name).is_some_and(|refusal| refusal.contains(&format!("{name:?}"))),
                "{name}"
            );
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
    fn an_invalid_key_is_not_shown() {
        assert_eq!((shown_key("tls.key"), shown_key("password=hunter2")), ("tls.key", INVALID_KEY));
    }

    #[test]
    fn keys_and_values_of_labels_are_judged_as_the_api_server_judges_them() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        for key in ["app", "App_1.x-y", "example.org/team", "a.b/C", long.as_str()] {
            assert!(is_qualified_name(key), "{key}");
        }
        for key in ["", "-x", "x-", "/a", "a/", "a/b/c", "Example.org/a", "a b", "é", longer.as_str()] {
            assert!(!is_qualified_name(key), "{key}");
        }
        for (value, is_right) in [("", true), ("a_B", true), ("-x", false), (&long, true), (&longer, false)] {
            assert_eq!(is_label_value(value), is_right, "{value}");
        }
    }

    #[test]
    fn a_secret_is_judged_with_all_its_keys() {
        let secret = serde_json::json!({
            "metadata": {"name": "X", "namespace": "Y"}, "data": {"a/b": "", "good": ""}, "stringData": {"c d": ""}
        });
        let found = refusals(&serde_json::from_value(secret).unwrap());
        let places: Vec<&str> = found.iter().map(|refusal| refusal.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            ["metadata.name \"X\"", "metadata.namespace \"Y\"", "data[\"a/b\"]", "data[\"c d\"]"]
        );
    }
}
