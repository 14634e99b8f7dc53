//! What was last seen of each SealedSecret.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::{DynamicObject, ObjectMeta};
use sealed_secrets_crds::Scope;

use super::room::key_of;
use super::versions::Key;

/// Tells changes that matter from others, above all from those of the status that we write ourselves.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: Mutex<HashMap<Key, Shown>>,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    what_matters: u64,
    moment: Option<u64>,
}

impl Seen {
    /// Notes `object`, and tells whether it is new or has changed in what matters.
    pub(super) fn note(&self, object: &DynamicObject) -> bool {
        let now = Shown { what_matters: version_of(&object.metadata), moment: moment(object) };
        self.lock().insert(key_of(object), now).is_none_or(|before| before.what_matters != now.what_matters)
    }

    /// Whether the watch has shown `object` as it is in this moment, or later.
    pub(super) fn has_shown(&self, object: &DynamicObject) -> bool {
        self.lock().get(&key_of(object)).is_some_and(|shown| shown.moment >= moment(object))
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Shown>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The resourceVersion as a number: that of a later moment is greater (KEP 5504).
pub(super) fn moment(object: &DynamicObject) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

/// Differs where anything differs that an attempt depends on.
pub(super) fn version_of(metadata: &ObjectMeta) -> u64 {
    let mut hasher = DefaultHasher::new();
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

    #[test]
    fn what_the_watch_has_shown_is_told_from_what_it_is_still_to_show() {
        let seen = Seen::default();
        let at = |version: &str| object(&json!({"uid": "u", "resourceVersion": version}), &json!({}));
        assert!(!seen.has_shown(&at("9")));
        seen.note(&at("10"));
        assert!(seen.has_shown(&at("9")) && seen.has_shown(&at("10")) && !seen.has_shown(&at("11")));
    }
}
