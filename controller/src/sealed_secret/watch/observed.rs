//! Version of a SealedSecret that the watch has delivered last.

use crate::sealed_secret::object::ObjectVersion;
use crate::sealed_secret::watch::raw::RawSealedSecret;

/// Version last delivered by the watch. It tells relevant changes from others, above all from our own status updates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObservedVersion {
    version: ObjectVersion,
    resource_version: Option<u64>,
}

impl ObservedVersion {
    pub(crate) fn of(object: &RawSealedSecret) -> Self {
        Self { version: ObjectVersion::of(&object.metadata), resource_version: resource_version(object) }
    }

    /// Returns true if the object is new or has changed since `before` in anything that an attempt depends on.
    pub(crate) fn differs_from(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| before.version != self.version)
    }

    /// Returns true if the watch has delivered `object` at its resourceVersion or at a later one.
    pub(crate) fn includes(&self, object: &RawSealedSecret) -> bool {
        self.resource_version >= resource_version(object)
    }
}

/// Returns the resourceVersion as a number: later versions have greater numbers (KEP 5504).
pub(crate) fn resource_version(object: &RawSealedSecret) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(metadata: &Value, more: &Value) -> RawSealedSecret {
        let mut object = json!({"metadata": {"namespace": "shop", "name": "db"}});
        object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn only_inputs_of_an_attempt_count_as_a_change() {
        let mut observed = None;
        let mut observe = |object: &RawSealedSecret| {
            let now = ObservedVersion::of(object);
            now.differs_from(observed.replace(now).as_ref())
        };
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
            assert_eq!(observe(&object(&metadata, &more)), changed, "{metadata} {more}");
        }
        let last = object(&json!({"uid": "v", "generation": 2, "annotations": {scope: "true"}}), &none);
        assert!(ObservedVersion::of(&last).differs_from(None), "a forgotten object is new again");
    }

    #[test]
    fn delivered_versions_are_distinguished_from_pending_ones() {
        let at = |version: &str| object(&json!({"uid": "u", "resourceVersion": version}), &json!({}));
        let observed = ObservedVersion::of(&at("10"));
        assert!(observed.includes(&at("9")) && observed.includes(&at("10")) && !observed.includes(&at("11")));
    }
}
