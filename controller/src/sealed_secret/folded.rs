//! SealedSecrets as the watch keeps them: what follows the metadata stays the JSON text that it is, which takes a third of the
//! memory of its tree.

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use sealed_secrets_crds::names::{
    KUBECTL_LAST_APPLIED_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Drops what is never read, and turns the rest but the metadata into text.
pub(super) fn fold(object: &mut DynamicObject) {
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(KUBECTL_LAST_APPLIED_ANNOTATION);
    }
    object.types = None;
    let mut text = object.data.to_string();
    text.shrink_to_fit();
    object.data = Value::String(text);
}

/// The object with its fields, whether it was folded or not.
pub(super) fn unfolded(object: &DynamicObject) -> DynamicObject {
    let data = match &object.data {
        // It was written by `fold`.
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        tree => tree.clone(),
    };
    DynamicObject { types: object.types.clone(), metadata: object.metadata.clone(), data }
}

/// The status as it is stored.
pub(super) fn status(object: &DynamicObject) -> Option<Value> {
    #[derive(Default, Deserialize)]
    struct Fields {
        status: Option<Value>,
    }
    match &object.data {
        Value::String(text) => serde_json::from_str::<Fields>(text).unwrap_or_default().status,
        tree => tree.get("status").cloned(),
    }
}

/// What is sent to write the status of `object`, if it is still as it was seen: the API server takes the rest from what it has.
pub(super) fn with_status_only(object: &DynamicObject, status: &Value) -> DynamicObject {
    let ObjectMeta { name, namespace, uid, resource_version, .. } = object.metadata.clone();
    let types =
        TypeMeta { api_version: SEALED_SECRET_API_VERSION.to_owned(), kind: SEALED_SECRET_KIND.to_owned() };
    DynamicObject {
        types: Some(types),
        metadata: ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() },
        data: json!({ "status": status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> DynamicObject {
        let object = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {
                "name": "db", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {KUBECTL_LAST_APPLIED_ANNOTATION: "{}", "note": "kept"}
            },
            "spec": {"encryptedData": {"password": "AgB"}, "unknown": [1, null]},
            "status": {"observedGeneration": 1}
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn folding_keeps_every_field_that_is_read() {
        let (plain, mut folded) = (object(), object());
        fold(&mut folded);
        assert_eq!(unfolded(&folded).data, plain.data);
        assert_eq!(unfolded(&plain).data, plain.data);
        assert_eq!(status(&folded), status(&plain));
        assert_eq!(status(&folded), Some(json!({"observedGeneration": 1})));
        let annotations = folded.metadata.annotations.unwrap();
        assert_eq!(annotations.into_iter().collect::<Vec<_>>(), [("note".to_owned(), "kept".to_owned())]);
        assert_eq!(folded.metadata.managed_fields, None);
    }

    #[test]
    fn a_status_is_sent_without_anything_that_could_be_lost() {
        let mut folded = object();
        fold(&mut folded);
        let sent = serde_json::to_value(with_status_only(&folded, &json!({"conditions": []}))).unwrap();
        let expected = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": "db", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "status": {"conditions": []}
        });
        assert_eq!(sent, expected);
    }
}
