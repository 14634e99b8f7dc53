//! The one key that a name or a fingerprint means.

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use sealed_secrets_crds::SealingKey;
use serde_json::Value;

use super::{KeysError, list};
use crate::api::{ApiServer, Refusal};

const FINGERPRINT: &str = "SHA256:";
/// As often at most is a change begun anew, because the key has changed meanwhile.
const ATTEMPTS: u32 = 10;

/// Finds the key and changes its spec, unless that is refused in view of what it is; returns the key as it was before.
///
/// # Errors
/// When there is no such key, or it may not or cannot be changed.
pub(super) fn change(
    api: &ApiServer,
    wanted: &str,
    spec: &Value,
    allowed: impl Fn(&SealingKey) -> Result<(), KeysError>,
) -> Result<SealingKey, KeysError> {
    for _ in 0..ATTEMPTS {
        let mut keys = list::sealing_keys(api)?;
        let key = keys.swap_remove(position(&keys, wanted, &api.namespace)?);
        allowed(&key)?;
        match write(api, &key, spec) {
            Ok(()) => return Ok(key),
            // Its status is written at any time; what was looked at may be another state now.
            Err(Refusal::Conflict(_)) => {}
            Err(refusal) => return Err(refused(api, refusal)),
        }
    }
    Err(refused(api, Refusal::Conflict(format!("the key changed {ATTEMPTS} times meanwhile; try again"))))
}

/// Writes the spec of the very version that was read.
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

/// Where the key of this name, of this fingerprint, or of the only fingerprint that begins so stands.
fn position(keys: &[SealingKey], wanted: &str, namespace: &str) -> Result<usize, KeysError> {
    let has_begin = |key: &SealingKey| {
        let fingerprint = key.status.as_ref().and_then(|status| status.fingerprint.as_deref());
        fingerprint.is_some_and(|text| text.starts_with(wanted))
    };
    if let Some(found) = keys.iter().position(|key| key.name_any() == wanted) {
        return Ok(found);
    }
    let is_fingerprint = wanted.len() > FINGERPRINT.len() && wanted.starts_with(FINGERPRINT);
    let mut found = keys.iter().enumerate().filter(|(_, key)| is_fingerprint && has_begin(key));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some(_), Some(_)) => Err(KeysError::Ambiguous(wanted.to_owned())),
        (None, _) => Err(KeysError::NoSuchKey { name: wanted.to_owned(), namespace: namespace.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_found_by_name_and_by_the_begin_of_its_fingerprint_if_that_is_unique() {
        let key = |name: &str, fingerprint: &str| -> SealingKey {
            serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey",
                "metadata": {"name": name}, "spec": {}, "status": {"fingerprint": fingerprint}
            }))
            .unwrap()
        };
        let keys = [key("a", "SHA256:abc"), key("b", "SHA256:abd"), key("c", "SHA256:xyz")];
        let found = |wanted: &str| position(&keys, wanted, "kube-system").map_err(|error| error.to_string());
        assert_eq!((found("b"), found("SHA256:abd"), found("SHA256:x")), (Ok(1), Ok(1), Ok(2)));
        assert!(found("SHA256:ab").unwrap_err().contains("more than one fingerprint"));
        for wanted in ["SHA256:", "", "abc", "SHA256:q", "A"] {
            assert!(found(wanted).unwrap_err().starts_with("no sealing key"), "{wanted}");
        }
    }
}
