//! Lookup of a key by name or fingerprint.

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use sealed_secrets_crds::SealingKey;
use serde_json::Value;

use super::list;
use crate::api::ApiServer;
use crate::error::{KeysError, Refusal};

const FINGERPRINT: &str = "SHA256:";
/// Characters of a fingerprint that no other key shares.
const UNIQUE: usize = 16;
/// Maximum number of attempts to change a key that is modified concurrently.
const ATTEMPTS: u32 = 10;

/// Finds the key and changes the spec of every SealingKey object that holds it, unless the state of one of them forbids the
/// change. Returns the objects before the change, the named one first.
///
/// # Errors
/// When there is no such key, or it may not or cannot be changed.
pub(super) fn change(
    api: &ApiServer,
    wanted: &str,
    spec: &Value,
    allowed: impl Fn(&SealingKey) -> Result<(), KeysError>,
) -> Result<Vec<SealingKey>, KeysError> {
    for _ in 0..ATTEMPTS {
        let found = named(list::sealing_keys(api)?, wanted, &api.namespace)?;
        found.iter().try_for_each(&allowed)?;
        match found.iter().try_for_each(|key| write(api, key, spec)) {
            Ok(()) => return Ok(found),
            // The controller may have written the status; read the state again.
            Err(Refusal::Conflict(_)) => {}
            Err(refusal) => return Err(refused(api, refusal)),
        }
    }
    Err(refused(api, Refusal::Conflict(format!("the key changed {ATTEMPTS} times meanwhile; try again"))))
}

/// Returns the fingerprint of a key that is given by the name of its `SealingKey`, or by 16 or more characters of the fingerprint
/// itself. For these no `SealingKey` is read.
///
/// # Errors
/// When there is no such key, or the `SealingKey`s cannot be read.
pub(crate) fn fingerprint_of(api: &ApiServer, wanted: &str) -> Result<String, KeysError> {
    if wanted.strip_prefix(FINGERPRINT).is_some_and(|rest| rest.len() >= UNIQUE) {
        return Ok(wanted.to_owned());
    }
    let found = named(list::sealing_keys(api)?, wanted, &api.namespace)?;
    let missing = || KeysError::NoSuchKey { name: wanted.to_owned(), namespace: api.namespace.clone() };
    found.first().and_then(fingerprint).map(str::to_owned).ok_or_else(missing)
}

/// The subject of a sentence about the objects of one key, with its verb.
pub(super) fn describe(keys: &[SealingKey]) -> String {
    let names: Vec<String> = keys.iter().map(SealingKey::name_any).collect();
    match names.as_slice() {
        [name] => format!("sealing key {name} is"),
        names => format!("sealing keys {}, which are the same key, are", names.join(" and ")),
    }
}

/// Writes the spec, if the object is still the version that was read.
fn write(api: &ApiServer, key: &SealingKey, spec: &Value) -> Result<(), Refusal> {
    let version = key.resource_version();
    let patch = Patch::Merge(serde_json::json!({"metadata": {"resourceVersion": version}, "spec": spec}));
    let keys = api.sealing_keys();
    let patched = api.runtime.block_on(keys.patch(&key.name_any(), &PatchParams::default(), &patch));
    patched.map(drop).map_err(Refusal::from)
}

fn refused(api: &ApiServer, refusal: Refusal) -> KeysError {
    KeysError::of("change the sealing key", "SealingKey", &api.namespace, refusal)
}

/// Finds the key by name, fingerprint or unique prefix of a fingerprint, with all other objects of the same key.
fn named(keys: Vec<SealingKey>, wanted: &str, namespace: &str) -> Result<Vec<SealingKey>, KeysError> {
    if let Some(found) = keys.iter().find(|key| key.name_any() == wanted).cloned() {
        let is_duplicate = |key: &SealingKey| {
            key.name_any() != wanted && fingerprint(key).is_some() && fingerprint(key) == fingerprint(&found)
        };
        let duplicates = keys.into_iter().filter(is_duplicate);
        return Ok(std::iter::once(found.clone()).chain(duplicates).collect());
    }
    let is_fingerprint = wanted.len() > FINGERPRINT.len() && wanted.starts_with(FINGERPRINT);
    let begins = |key: &SealingKey| fingerprint(key).is_some_and(|text| text.starts_with(wanted));
    let found: Vec<SealingKey> = keys.into_iter().filter(|key| is_fingerprint && begins(key)).collect();
    match found.first() {
        None => Err(KeysError::NoSuchKey { name: wanted.to_owned(), namespace: namespace.to_owned() }),
        Some(first) if found.iter().any(|key| fingerprint(key) != fingerprint(first)) => {
            Err(KeysError::Ambiguous(wanted.to_owned()))
        }
        Some(_) => Ok(found),
    }
}

fn fingerprint(key: &SealingKey) -> Option<&str> {
    key.status.as_ref()?.fingerprint.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys() -> Vec<SealingKey> {
        let key = |(name, fingerprint): (&str, &str)| -> SealingKey {
            serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey",
                "metadata": {"name": name}, "spec": {}, "status": {"fingerprint": fingerprint}
            }))
            .unwrap()
        };
        let mut unreadable = [key(("u", "")), key(("v", ""))];
        for key in &mut unreadable {
            key.status = None;
        }
        let readable =
            [("a", "SHA256:abc"), ("b", "SHA256:abd"), ("c", "SHA256:xyz"), ("anew", "SHA256:abd")];
        readable.map(key).into_iter().chain(unreadable).collect()
    }

    fn found(wanted: &str) -> Result<Vec<String>, String> {
        let found = named(keys(), wanted, "kube-system").map_err(|error| error.to_string())?;
        Ok(found.iter().map(SealingKey::name_any).collect())
    }

    #[test]
    fn a_key_is_found_by_name_and_by_the_begin_of_its_fingerprint_if_that_is_unique() {
        assert_eq!(found("a").unwrap(), ["a"]);
        assert_eq!(found("SHA256:abc").unwrap(), ["a"]);
        assert_eq!(found("SHA256:x").unwrap(), ["c"]);
        assert!(found("SHA256:ab").unwrap_err().contains("more than one fingerprint"));
        for wanted in ["SHA256:", "", "abc", "SHA256:q", "A"] {
            assert!(found(wanted).unwrap_err().starts_with("no sealing key"), "{wanted}");
        }
    }

    #[test]
    fn all_that_holds_the_same_key_is_found_with_it() {
        assert_eq!(found("SHA256:abd").unwrap(), ["b", "anew"]);
        assert_eq!(found("b").unwrap(), ["b", "anew"]);
        assert_eq!(found("anew").unwrap(), ["anew", "b"]);
        assert_eq!(found("u").unwrap(), ["u"], "what cannot be read is the same as nothing");
        let both = named(keys(), "b", "kube-system").unwrap();
        assert_eq!(describe(&both), "sealing keys b and anew, which are the same key, are");
        assert_eq!(describe(&both[..1]), "sealing key b is");
    }
}
