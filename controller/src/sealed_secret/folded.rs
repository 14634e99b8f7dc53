//! SealedSecrets as the API server sends them and the watch keeps them: what follows the metadata stays the JSON text that it is.
//!
//! A large spec, and one that was decided on already, is left out, so that the memory of a watch does not depend on what is sealed:
//! who needs it fetches the object ([`super::fetched`]).
//!
//! As text it takes a third of the memory of its tree, and nothing that somebody writes into one object, such as fields nested deeper
//! than a decoder goes, can spoil the list or the watch that holds all of them: text is passed over without a look inside.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use kube::core::{ApiResource, DynamicResourceScope};
use sealed_secrets_core::weight::heap_of;
use sealed_secrets_crds::names::{
    CLUSTER_WIDE_ANNOTATION, KUBECTL_LAST_APPLIED_ANNOTATION, NAMESPACE_WIDE_ANNOTATION,
    SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND,
};
use sealed_secrets_crds::{SealedSecret, SealedSecretSpec, SealedSecretStatus, mapping};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Error, Value, json};

use crate::error::Failure;
use crate::metrics::INSTANCE_LABEL;

/// A SealedSecret of this size is kept whole while its status does not tell of its generation: it is about to be opened.
const KEPT: usize = 8 << 10;

/// A SealedSecret without what is never read, and with everything but its metadata as text.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Folded(pub(super) DynamicObject);

/// The same with its spec, whatever its size.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) metadata: ObjectMeta,
    spec: Option<Box<RawValue>>,
}

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
        let sent = Sent::deserialize(deserializer)?;
        let is_kept = sent.bytes() <= KEPT && !sent.is_decided();
        Ok(Self(if is_kept { sent.whole() } else { sent.without_spec() }))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Sent { metadata, spec, .. } = Sent::deserialize(deserializer)?;
        Ok(Self { metadata: metadata.into(), spec })
    }
}

#[derive(Deserialize)]
struct Sent {
    metadata: Metadata,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

impl Sent {
    fn whole(self) -> DynamicObject {
        let fields = [text_of("spec", self.spec.as_deref()), text_of("status", self.status.as_deref())];
        object(self.metadata.into(), fields)
    }

    fn without_spec(self) -> DynamicObject {
        let spec = self.spec.as_deref().map_or("{}", RawValue::get);
        let kind = serde_json::from_str::<TypedSpec>(spec).ok().and_then(|spec| spec.template.kind);
        let omitted = Omitted {
            heap: heap_of([spec]) + self.heap_of_pairs(),
            has_templates: serde_json::from_str::<TemplatesForm>(spec).is_ok_and(|spec| spec.has_templates()),
            has_v1_data: serde_json::from_str::<SpecForm>(spec).is_ok_and(|spec| spec.data.is_some()),
            type_of_secret: kind.filter(|kind| kind.len() <= LONGEST_TYPE),
        };
        // Texts, a number and a truth value always have a JSON text.
        let omitted = serde_json::to_string(&omitted).unwrap_or_default();
        let fields = [Some(format!("{OMITTED}{omitted}")), text_of("status", self.status.as_deref())];
        let mut metadata = ObjectMeta::from(self.metadata);
        retain(&mut metadata.labels, &[INSTANCE_LABEL]);
        retain(&mut metadata.annotations, &[CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION]);
        object(metadata, fields)
    }

    fn bytes(&self) -> usize {
        let spec = self.spec.as_ref().map_or(0, |spec| spec.get().len());
        let pairs = [&self.metadata.labels, &self.metadata.annotations].into_iter().flatten().flatten();
        spec + pairs.map(|(key, value)| key.len() + value.len()).sum::<usize>()
    }

    fn heap_of_pairs(&self) -> usize {
        let pairs = [&self.metadata.labels, &self.metadata.annotations].into_iter().flatten();
        let texts: Vec<_> = pairs.filter_map(|pairs| serde_json::to_string(pairs).ok()).collect();
        heap_of(texts.iter().map(String::as_str))
    }

    /// Whether the status tells of this very generation.
    fn is_decided(&self) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Status {
            observed_generation: Option<i64>,
        }
        let status =
            self.status.as_ref().and_then(|status| serde_json::from_str::<Status>(status.get()).ok());
        status
            .and_then(|status| status.observed_generation)
            .is_some_and(|observed| Some(observed) == self.metadata.generation)
    }
}

fn text_of(name: &str, value: Option<&RawValue>) -> Option<String> {
    value.map(|text| format!("\"{name}\":{text}"))
}

fn object(metadata: ObjectMeta, fields: [Option<String>; 2]) -> DynamicObject {
    let fields: Vec<_> = fields.into_iter().flatten().collect();
    let mut text = format!("{{{}}}", fields.join(","));
    text.shrink_to_fit();
    DynamicObject { types: None, metadata, data: Value::String(text) }
}

/// Keeps these keys only, with values that are no longer than those that matter.
fn retain(pairs: &mut Option<BTreeMap<String, String>>, keys: &[&str]) {
    if let Some(pairs) = pairs {
        pairs.retain(|key, value| keys.contains(&key.as_str()) && value.len() <= LONGEST_LABEL);
    }
}

/// Begins the text of an object whose spec is not kept.
const OMITTED: &str = "\"omitted\":";
/// The API server takes no longer value of a label.
const LONGEST_LABEL: usize = 63;

/// A longer type is not kept, so that the memory of an object stays bounded. Nobody has a reason to deny one by its name.
const LONGEST_TYPE: usize = 253;

/// What is kept of a spec that is not kept.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Omitted {
    heap: usize,
    has_templates: bool,
    has_v1_data: bool,
    type_of_secret: Option<String>,
}

/// As much of a spec, or of its template, as tells its form.
#[derive(Deserialize)]
struct SpecForm {
    data: Option<IgnoredAny>,
}

/// As much of a spec as tells whether it has templates.
#[derive(Deserialize)]
struct TemplatesForm {
    template: Option<SpecForm>,
}

impl TemplatesForm {
    fn has_templates(&self) -> bool {
        self.template.as_ref().is_some_and(|template| template.data.is_some())
    }
}

/// As much of a spec as tells the type of its Secret.
#[derive(Deserialize)]
struct TypedSpec {
    #[serde(default)]
    template: TypedTemplate,
}

#[derive(Default, Deserialize)]
struct TypedTemplate {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Whether the spec of `object` is kept.
pub(super) fn is_whole(object: &DynamicObject) -> bool {
    !text(object).strip_prefix('{').is_some_and(|fields| fields.starts_with(OMITTED))
}

/// The bytes of heap that `object` takes while it is worked on.
pub(super) fn heap(object: &DynamicObject) -> usize {
    omitted(object).map_or_else(|| heap_of([text(object)]), |omitted| omitted.heap)
}

/// Whether templates of `object` are to be rendered.
pub(super) fn has_templates(object: &DynamicObject) -> bool {
    #[derive(Deserialize)]
    struct Fields {
        spec: TemplatesForm,
    }
    match omitted(object) {
        Some(omitted) => omitted.has_templates,
        None => fields::<Fields>(object).is_ok_and(|fields| fields.spec.has_templates()),
    }
}

fn omitted(object: &DynamicObject) -> Option<Omitted> {
    #[derive(Deserialize)]
    struct Fields {
        omitted: Omitted,
    }
    if is_whole(object) { None } else { fields::<Fields>(object).ok().map(|fields| fields.omitted) }
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
        #[serde(deserialize_with = "mapping")]
        spec: SealedSecretSpec,
    }
    let Fields { spec } = fields(object).map_err(|error| malformed(&error))?;
    Ok(SealedSecret { metadata: object.metadata.clone(), spec, status: None })
}

/// The same of one that is whole.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_whole(Whole { metadata, spec }: Whole) -> Result<SealedSecret, Failure> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Field {
        #[serde(deserialize_with = "mapping")]
        spec: SealedSecretSpec,
    }
    let text = spec.as_deref().map_or("null", RawValue::get);
    let Field { spec } = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    Ok(SealedSecret { metadata, spec, status: None })
}

fn malformed(error: &Error) -> Failure {
    Failure::Malformed(without_place(error))
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
    struct Fields {
        spec: SpecForm,
    }
    match omitted(object) {
        Some(omitted) => omitted.has_v1_data,
        None => fields::<Fields>(object).is_ok_and(|fields| fields.spec.data.is_some()),
    }
}

/// The type that the template gives the Secret; `None` where it gives none, or it cannot be read.
pub(super) fn type_of_secret(object: &DynamicObject) -> Option<String> {
    #[derive(Deserialize)]
    struct Fields {
        spec: TypedSpec,
    }
    match omitted(object) {
        Some(omitted) => omitted.type_of_secret,
        None => fields::<Fields>(object).ok()?.spec.template.kind,
    }
}

fn fields<T: DeserializeOwned>(object: &DynamicObject) -> Result<T, Error> {
    serde_json::from_str(text(object))
}

fn text(object: &DynamicObject) -> &str {
    object.data.as_str().unwrap_or_default()
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

    fn whole(sent: &Value) -> Whole {
        serde_json::from_str(&sent.to_string()).unwrap()
    }

    #[test]
    fn a_spec_is_not_kept_where_it_is_large_or_was_decided_on_and_all_that_is_read_without_it_stays() {
        let (mut decided, mut large) = (sent(), sent());
        decided["status"]["observedGeneration"] = json!(3);
        large["spec"]["encryptedData"]["password"] = json!("A".repeat(KEPT));
        large["metadata"]["annotations"][CLUSTER_WIDE_ANNOTATION] = json!("true");
        large["metadata"]["labels"][INSTANCE_LABEL] = json!("blue");
        assert!(is_whole(&shown(&sent())));
        for sent in [decided, large.clone()] {
            let kept = shown(&sent);
            assert!(!is_whole(&kept) && heap(&kept) > 0 && kept.data.as_str().unwrap().len() < 200);
            assert_eq!(
                status(&kept).unwrap().observed_generation,
                sent["status"]["observedGeneration"].as_i64()
            );
            assert!(decode(&kept).is_err(), "it must be fetched");
            assert!(!decode_whole(whole(&sent)).unwrap().spec.encrypted_data.is_empty());
        }
        let kept = shown(&large).metadata;
        let pair = |key: &str, value: &str| Some([(key.to_owned(), value.to_owned())].into());
        assert_eq!(kept.annotations, pair(CLUSTER_WIDE_ANNOTATION, "true"));
        assert_eq!(kept.labels, pair(INSTANCE_LABEL, "blue"));
    }

    #[test]
    fn many_annotations_are_as_large_as_a_large_spec() {
        let mut large = sent();
        large["metadata"]["annotations"]["note"] = json!("A".repeat(KEPT));
        let kept = shown(&large);
        assert!(!is_whole(&kept) && heap(&kept) > KEPT && kept.metadata.annotations.unwrap().is_empty());
    }

    #[test]
    fn an_object_that_says_that_something_is_omitted_is_not_believed() {
        let mut sent = sent();
        sent["omitted"] = json!({"heap": 1, "hasTemplates": false, "hasV1Data": false});
        assert!(is_whole(&shown(&sent)));
    }

    #[test]
    fn the_deprecated_form_is_told_from_the_other() {
        let mut old = sent();
        assert!(!has_v1_data(&shown(&old)));
        old["spec"]["data"] = json!("AgB");
        assert!(has_v1_data(&shown(&old)));
        old["spec"]["data"] = json!("A".repeat(KEPT));
        assert!(!is_whole(&shown(&old)) && has_v1_data(&shown(&old)));
    }

    #[test]
    fn templates_and_many_small_fields_are_known_of_a_spec_that_is_not_kept() {
        let many =
            |letter: &str| (0..2_000).map(|item| (format!("{letter}{item}"), json!(""))).collect::<Value>();
        for (templates, expected) in [(Value::Null, false), (json!({"a": "b"}), true), (many("a"), true)] {
            for generation in [1, 3] {
                let mut object = sent();
                object["metadata"]["generation"] = json!(generation);
                object["spec"]["template"]["data"] = templates.clone();
                assert_eq!(has_templates(&shown(&object)), expected);
            }
        }
        let (mut items, mut annotations) = (sent(), sent());
        items["spec"]["template"]["data"] = many("a");
        annotations["metadata"]["annotations"] = many("b");
        for object in [items, annotations] {
            assert!(heap(&shown(&object)) > 50 * object.to_string().len());
        }
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
    fn form_and_type_are_known_of_a_spec_that_is_not_kept() {
        let mut typed = sent();
        typed["spec"]["template"] = json!({"type": "example.com/\"risky\""});
        typed["spec"]["data"] = json!("AgB");
        typed["metadata"]["generation"] = json!(3);
        typed["status"] = json!({"observedGeneration": 3});
        let Folded(decided) = serde_json::from_str(&typed.to_string()).unwrap();
        assert!(!is_whole(&decided));
        assert_eq!(type_of_secret(&decided).as_deref(), Some("example.com/\"risky\""));
        assert!(has_v1_data(&decided));
    }

    #[test]
    fn a_list_in_the_place_of_a_mapping_is_malformed_and_no_empty_object() {
        for path in ["/spec", "/spec/template", "/spec/encryptedData"] {
            let mut wrong = sent();
            wrong["spec"]["template"] = json!({});
            *wrong.pointer_mut(path).unwrap() = json!([]);
            for error in [decode(&shown(&wrong)), decode_whole(whole(&wrong))].map(Result::unwrap_err) {
                assert!(
                    matches!(&error, Failure::Malformed(text) if text.contains("mapping")),
                    "{path}: {error}"
                );
            }
        }
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
