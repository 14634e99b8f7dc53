//! SealedSecrets as the API server sends them and the watch keeps them: what follows the metadata stays the JSON text that it is.
//!
//! So it takes a third of the memory of its tree, and nothing that somebody writes into one object, such as fields nested deeper
//! than a decoder goes, can spoil the list or the watch that holds all of them: text is passed over without a look inside.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use kube::core::{ApiResource, DynamicResourceScope};
use sealed_secrets_crds::names::{
    KUBECTL_LAST_APPLIED_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND,
};
use sealed_secrets_crds::{SealedSecret, SealedSecretSpec, SealedSecretStatus};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Error, Value, json};

use crate::error::Failure;

/// A SealedSecret without what is never read, and with everything but its metadata as text.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Folded(pub(super) DynamicObject);

impl Resource for Folded {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(kind)
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(kind)
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(kind)
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

impl<'de> Deserialize<'de> for Folded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Sent { metadata, spec, status } = Sent::deserialize(deserializer)?;
        let fields = [("spec", spec), ("status", status)];
        let fields =
            fields.into_iter().filter_map(|(name, text)| text.map(|text| format!("\"{name}\":{text}")));
        let mut text = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        text.shrink_to_fit();
        Ok(Self(DynamicObject { types: None, metadata: metadata.into(), data: Value::String(text) }))
    }
}

#[derive(Deserialize)]
struct Sent {
    metadata: Metadata,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

/// What is read of the metadata. The managed fields nest as deep as the object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl From<Metadata> for ObjectMeta {
    fn from(sent: Metadata) -> Self {
        let mut annotations = sent.annotations;
        if let Some(annotations) = &mut annotations {
            annotations.remove(KUBECTL_LAST_APPLIED_ANNOTATION);
        }
        Self {
            name: sent.name,
            namespace: sent.namespace,
            uid: sent.uid,
            resource_version: sent.resource_version,
            generation: sent.generation,
            deletion_timestamp: sent.deletion_timestamp,
            labels: sent.labels,
            annotations,
            ..Self::default()
        }
    }
}

/// The typed object.
///
/// # Errors
/// The decoder's: everything in the object is public.
pub(super) fn decode(object: &DynamicObject) -> Result<SealedSecret, Failure> {
    #[derive(Deserialize)]
    struct Fields {
        spec: SealedSecretSpec,
    }
    let Fields { spec } = fields(object).map_err(|error| Failure::Malformed(without_place(&error)))?;
    Ok(SealedSecret { metadata: object.metadata.clone(), spec, status: None })
}

/// The status as it is stored; `None` where there is none, or it cannot be read.
pub(super) fn status(object: &DynamicObject) -> Option<SealedSecretStatus> {
    #[derive(Deserialize)]
    struct Fields {
        status: Option<SealedSecretStatus>,
    }
    fields::<Fields>(object).ok()?.status
}

/// Whether the object is of the deprecated form.
pub(super) fn has_v1_data(object: &DynamicObject) -> bool {
    #[derive(Deserialize)]
    struct Spec {
        data: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Fields {
        spec: Spec,
    }
    fields::<Fields>(object).is_ok_and(|fields| fields.spec.data.is_some())
}

/// The type that the template gives the Secret; `None` where it gives none, or it cannot be read.
pub(super) fn type_of_secret(object: &DynamicObject) -> Option<String> {
    #[derive(Default, Deserialize)]
    struct Template {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        template: Template,
    }
    #[derive(Deserialize)]
    struct Fields {
        spec: Spec,
    }
    fields::<Fields>(object).ok()?.spec.template.kind
}

fn fields<T: DeserializeOwned>(object: &DynamicObject) -> Result<T, Error> {
    serde_json::from_str(object.data.as_str().unwrap_or_default())
}

/// The text of an error without where in our text it was found, which says nothing to a reader of the object.
fn without_place(error: &Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// What is sent to write the status of `object`, if it is still as it was seen: the API server takes the rest from what it has.
pub(super) fn with_status_only(object: &DynamicObject, status: &Value) -> Folded {
    let ObjectMeta { name, namespace, uid, resource_version, .. } = object.metadata.clone();
    let types =
        TypeMeta { api_version: SEALED_SECRET_API_VERSION.to_owned(), kind: SEALED_SECRET_KIND.to_owned() };
    Folded(DynamicObject {
        types: Some(types),
        metadata: ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() },
        data: json!({ "status": status }),
    })
}

/// As the watch would show what the API server sends so.
#[cfg(test)]
pub(super) fn shown(sent: &Value) -> DynamicObject {
    let folded: Folded = serde_json::from_str(&sent.to_string()).expect("a SealedSecret has metadata");
    folded.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Value {
        json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {
                "name": "db", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3,
                "labels": {"a": "b"}, "managedFields": [{"manager": "kubectl"}],
                "annotations": {KUBECTL_LAST_APPLIED_ANNOTATION: "{}", "note": "kept"}
            },
            "spec": {"encryptedData": {"password": "AgB"}, "unknown": [1, null]},
            "status": {"observedGeneration": 1}
        })
    }

    /// So deep that no decoder follows.
    fn deep() -> String {
        format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500))
    }

    #[test]
    fn folding_keeps_every_field_that_is_read() {
        let object = shown(&sent());
        let sealed = decode(&object).unwrap();
        assert_eq!(sealed.spec.encrypted_data["password"], "AgB");
        assert_eq!(status(&object).unwrap().observed_generation, Some(1));
        let ObjectMeta { name, namespace, uid, resource_version, generation, labels, annotations, .. } =
            sealed.metadata;
        let texts = [name, namespace, uid, resource_version].map(Option::unwrap);
        assert_eq!((texts, generation), (["db", "shop", "u", "7"].map(str::to_owned), Some(3)));
        let pair = |key: &str, value: &str| Some([(key.to_owned(), value.to_owned())].into());
        assert_eq!((labels, annotations), (pair("a", "b"), pair("note", "kept")));
        assert_eq!(object.metadata.managed_fields, None);
    }

    #[test]
    fn the_deprecated_form_is_told_from_the_other() {
        let mut old = sent();
        assert!(!has_v1_data(&shown(&old)));
        old["spec"]["data"] = json!("AgB");
        assert!(has_v1_data(&shown(&old)));
    }

    #[test]
    fn what_is_nested_too_deep_spoils_neither_a_list_nor_a_watch() {
        let object = |name: &str, spec: &str| {
            let fields = format!("{{\"f:spec\":{}}}", deep());
            let managed = format!("[{{\"manager\":\"kubectl\",\"fieldsV1\":{fields}}}]");
            format!("{{\"metadata\":{{\"name\":\"{name}\",\"managedFields\":{managed}}},\"spec\":{spec}}}")
        };
        let metadata = format!("{{\"template\":{{\"metadata\":{{\"x\":{}}}}}}}", deep());
        let list = format!(
            "{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"7\"}},\"items\":[{},{}]}}",
            object("deep", &metadata),
            object("plain", "{\"encryptedData\":{\"password\":\"AgB\"}}")
        );
        let listed: kube::api::ObjectList<Folded> = serde_json::from_str(&list).unwrap();
        assert_eq!(decode(&listed.items[1].0).unwrap().spec.encrypted_data["password"], "AgB");
        let line = format!("{{\"type\":\"ADDED\",\"object\":{}}}", object("deep", &metadata));
        let event: kube::api::WatchEvent<Folded> = serde_json::from_str(&line).unwrap();
        assert!(
            matches!(event, kube::api::WatchEvent::Added(Folded(object)) if object.metadata.name.is_some())
        );
    }

    #[test]
    fn what_is_of_another_type_is_malformed_and_the_error_names_no_place_in_our_text() {
        let mut wrong = sent();
        wrong["spec"]["template"] = json!({"type": 7});
        let error = decode(&shown(&wrong)).unwrap_err();
        assert!(
            matches!(&error, Failure::Malformed(text) if text == "invalid type: integer `7`, expected a string")
        );
    }

    #[test]
    fn a_status_is_sent_without_anything_that_could_be_lost() {
        let object = shown(&sent());
        let sent = serde_json::to_value(with_status_only(&object, &json!({"conditions": []}))).unwrap();
        let expected = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": "db", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "status": {"conditions": []}
        });
        assert_eq!(sent, expected);
    }
}
