//! What was last seen of each SealedSecret.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::DynamicObject;
use sealed_secrets_crds::Scope;

use super::room::key_of;
use super::versions::Key;

/// Tells changes that matter from others, above all from those of the status that we write ourselves.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: Mutex<HashMap<Key, u64>>,
}

impl Seen {
    /// Notes `object`, and tells whether it is new or has changed in what matters.
    pub(super) fn note(&self, object: &DynamicObject) -> bool {
        let now = version_of(object);
        self.lock().insert(key_of(object), now) != Some(now)
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Differs where anything differs that an attempt depends on.
pub(super) fn version_of(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = &object.metadata;
    (&metadata.uid, metadata.generation, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
    Scope::from_annotations(metadata.annotations.as_ref()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(metadata: &Value, more: &Value) -> DynamicObject {
        let mut object = json!({"metadata": {"namespace": "shop", "name": "db"}});
        object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn only_what_an_attempt_depends_on_is_a_change() {
        let seen = Seen::default();
        let (one, none) = (json!({"uid": "u", "generation": 1}), json!({}));
        let scope = "sealedsecrets.bitnami.com/cluster-wide";
        let steps = [
            (one.clone(), none.clone(), true),
            (one.clone(), json!({"status": {"observedGeneration": 1}}), false),
            (json!({"uid": "u", "generation": 1, "annotations": {"a": "b"}}), none.clone(), false),
            (json!({"uid": "u", "generation": 1, "annotations": {scope: "true"}}), none.clone(), true),
            (json!({"uid": "u", "generation": 2, "annotations": {scope: "true"}}), none.clone(), true),
            (json!({"uid": "v", "generation": 2, "annotations": {scope: "true"}}), none.clone(), true),
        ];
        for (metadata, more, changed) in steps {
            assert_eq!(seen.note(&object(&metadata, &more)), changed, "{metadata} {more}");
        }
        let last = object(&json!({"uid": "v", "generation": 2, "annotations": {scope: "true"}}), &none);
        seen.forget(&key_of(&last));
        assert!(seen.note(&last));
    }
}
