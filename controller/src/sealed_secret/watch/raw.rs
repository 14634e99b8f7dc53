//! SealedSecrets as the API server sends them and the watch keeps them: everything but the metadata stays JSON text.
//!
//! The spec is dropped if it is large or was reconciled already, so that the memory of a watch does not depend on the sealed
//! content: an attempt fetches the object ([`crate::sealed_secret::decrypt::fetch`]).
//!
//! Text takes a third of the memory of its tree. Nothing in one object, such as fields nested deeper than a decoder goes, can
//! spoil the list or the watch with all the others, because the text is not parsed.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::ObjectMeta;
use sealed_secrets_core::names::{MAX_LABEL_LENGTH, MAX_NAME_LENGTH};
use sealed_secrets_core::weight::heap_of;
use sealed_secrets_crds::names::{
    CLUSTER_WIDE_ANNOTATION, KUBECTL_LAST_APPLIED_ANNOTATION, NAMESPACE_WIDE_ANNOTATION,
    SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND,
};
use sealed_secrets_crds::{SealedSecret, SealedSecretSpec, SealedSecretStatus, mapping};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Error;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::Failure;

/// Largest SealedSecret that is kept whole until its status tells of its generation: it is about to be decrypted.
const KEPT: usize = 8 << 10;

/// Largest status that is read, in bytes: the controller's own is much smaller. Others may write any number of conditions, which take
/// ten times the memory of their text. A larger status counts as none, and is replaced.
const MAX_STATUS: usize = 64 << 10;

/// Label whose value upstream's metric shows.
pub(crate) const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Longest type that is kept, so that the memory of an object is bounded. A user has no reason to deny a longer type by its name.
const MAX_TYPE_LENGTH: usize = MAX_NAME_LENGTH;

/// A SealedSecret with the fields that are read, and with everything but its metadata as text.
#[derive(Clone, Debug, Default, Resource)]
#[resource(inherit = "SealedSecret")]
pub(crate) struct RawSealedSecret {
    pub(crate) metadata: ObjectMeta,
    spec: RawSpec,
    status: Option<Box<RawValue>>,
}

#[derive(Clone, Debug)]
enum RawSpec {
    /// The text, if the object has a spec.
    Kept(Option<Box<RawValue>>),
    Omitted(SpecSummary),
}

/// Summary of a spec that is not kept.
#[derive(Clone, Debug)]
struct SpecSummary {
    heap: usize,
    has_templates: bool,
    has_v1_data: bool,
    type_of_secret: Option<String>,
}

/// A SealedSecret with its spec, whatever its size.
#[derive(Debug)]
pub(crate) struct UnabridgedSealedSecret {
    pub(crate) metadata: ObjectMeta,
    spec: Option<Box<RawValue>>,
}

impl Default for RawSpec {
    fn default() -> Self {
        Self::Kept(None)
    }
}

impl<'de> Deserialize<'de> for RawSealedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sent = Sent::deserialize(deserializer)?;
        sent.status = sent.status.filter(|status| status.get().len() <= MAX_STATUS);
        let is_kept = sent.bytes() <= KEPT && !sent.is_decided();
        let pairs = if is_kept { 0 } else { sent.heap_of_pairs() };
        let Sent { metadata, spec, status } = sent;
        let whole = Self { metadata: metadata.into(), spec: RawSpec::Kept(spec), status };
        Ok(if is_kept { whole } else { whole.without_spec_and(pairs) })
    }
}

/// Without the spec: only the status is ever sent.
impl Serialize for RawSealedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            api_version: &'a str,
            kind: &'a str,
            metadata: &'a ObjectMeta,
            status: Option<&'a RawValue>,
        }
        let (api_version, kind) = (SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND);
        Body { api_version, kind, metadata: &self.metadata, status: self.status.as_deref() }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UnabridgedSealedSecret {
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
    fn bytes(&self) -> usize {
        let spec = self.spec.as_ref().map_or(0, |spec| spec.get().len());
        spec + bytes_of_pairs([&self.metadata.labels, &self.metadata.annotations])
    }

    fn heap_of_pairs(&self) -> usize {
        let pairs = [&self.metadata.labels, &self.metadata.annotations].into_iter().flatten();
        let texts: Vec<_> = pairs.filter_map(|pairs| serde_json::to_string(pairs).ok()).collect();
        heap_of(texts.iter().map(String::as_str))
    }

    /// Returns true if the status reports this generation.
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

impl RawSealedSecret {
    /// Returns the object without its spec, of which only the size in heap and the form are kept.
    pub(crate) fn without_spec(self) -> Self {
        self.without_spec_and(0)
    }

    /// Returns the object without its spec, and without labels and annotations that take this much heap.
    fn without_spec_and(mut self, pairs: usize) -> Self {
        let RawSpec::Kept(spec) = &self.spec else { return self };
        let heap = heap_of([text(spec.as_deref())]) + pairs;
        let kind = self.type_of_secret().filter(|kind| kind.len() <= MAX_TYPE_LENGTH);
        self.spec = RawSpec::Omitted(SpecSummary {
            heap,
            has_templates: self.has_templates(),
            has_v1_data: self.has_v1_data(),
            type_of_secret: kind,
        });
        retain(&mut self.metadata.labels, &[INSTANCE_LABEL]);
        retain(&mut self.metadata.annotations, &[CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION]);
        self
    }

    /// Returns true if the spec is kept.
    pub(crate) fn has_spec(&self) -> bool {
        matches!(self.spec, RawSpec::Kept(_))
    }

    /// Returns the bytes of heap that an attempt takes.
    pub(crate) fn heap(&self) -> usize {
        match &self.spec {
            RawSpec::Kept(spec) => heap_of([text(spec.as_deref()), text(self.status.as_deref())]),
            RawSpec::Omitted(summary) => summary.heap,
        }
    }

    /// Returns true if there are templates to render.
    pub(crate) fn has_templates(&self) -> bool {
        match &self.spec {
            RawSpec::Kept(spec) => part::<TemplatesForm>(spec.as_deref())
                .and_then(|spec| spec.template)
                .is_some_and(|template| template.data.is_some()),
            RawSpec::Omitted(summary) => summary.has_templates,
        }
    }

    /// Returns true if the object has the deprecated form.
    pub(crate) fn has_v1_data(&self) -> bool {
        match &self.spec {
            RawSpec::Kept(spec) => part::<SpecForm>(spec.as_deref()).is_some_and(|spec| spec.data.is_some()),
            RawSpec::Omitted(summary) => summary.has_v1_data,
        }
    }

    /// Returns the type that the template gives the Secret; `None` if it gives none, or it cannot be read.
    pub(crate) fn type_of_secret(&self) -> Option<String> {
        match &self.spec {
            RawSpec::Kept(spec) => part::<TypedSpec>(spec.as_deref())?.template.kind,
            RawSpec::Omitted(summary) => summary.type_of_secret.clone(),
        }
    }

    /// Returns the bytes that are kept, without the constant part.
    pub(crate) fn length(&self) -> usize {
        let spec = match &self.spec {
            RawSpec::Kept(spec) => text(spec.as_deref()).len(),
            RawSpec::Omitted(summary) => summary.type_of_secret.as_ref().map_or(0, String::len),
        };
        let pairs = bytes_of_pairs([&self.metadata.labels, &self.metadata.annotations]);
        spec + text(self.status.as_deref()).len() + pairs
    }

    /// Decodes the typed object.
    ///
    /// # Errors
    /// The error of the decoder, also if the spec is not kept. It may quote the object, which is public.
    pub(crate) fn decode(&self) -> Result<SealedSecret, Failure> {
        let spec = if let RawSpec::Kept(Some(spec)) = &self.spec { Some(&**spec) } else { None };
        decode(self.metadata.clone(), spec)
    }

    /// Returns the stored status; `None` if there is none, or it cannot be read.
    pub(crate) fn status(&self) -> Option<SealedSecretStatus> {
        part(self.status.as_deref())
    }

    /// Returns the body of an update of the status on condition that the object has not changed: the API server ignores the rest.
    ///
    /// # Errors
    /// When the status has no JSON text.
    pub(crate) fn with_status_only(&self, status: &SealedSecretStatus) -> Result<Self, Error> {
        let ObjectMeta { name, namespace, uid, resource_version, .. } = self.metadata.clone();
        let metadata = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Ok(Self { metadata, spec: RawSpec::default(), status: Some(to_raw_value(status)?) })
    }
}

impl UnabridgedSealedSecret {
    /// Decodes the typed object.
    ///
    /// # Errors
    /// As [`RawSealedSecret::decode`].
    pub(crate) fn decode(self) -> Result<SealedSecret, Failure> {
        decode(self.metadata, self.spec.as_deref())
    }
}

fn decode(metadata: ObjectMeta, spec: Option<&RawValue>) -> Result<SealedSecret, Failure> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Field {
        #[serde(deserialize_with = "mapping")]
        spec: SealedSecretSpec,
    }
    let decoded = serde_json::from_str(spec.map_or("null", RawValue::get));
    let Field { spec } = decoded.map_err(|error| Failure::Malformed(without_place(&error)))?;
    Ok(SealedSecret { metadata, spec, status: None })
}

fn text(value: Option<&RawValue>) -> &str {
    value.map_or("", RawValue::get)
}

fn part<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

fn bytes_of_pairs(pairs: [&Option<BTreeMap<String, String>>; 2]) -> usize {
    pairs.into_iter().flatten().flatten().map(|(key, value)| key.len() + value.len()).sum()
}

/// Keeps these keys only, with values that may be valid.
fn retain(pairs: &mut Option<BTreeMap<String, String>>, keys: &[&str]) {
    if let Some(pairs) = pairs {
        pairs.retain(|key, value| keys.contains(&key.as_str()) && value.len() <= MAX_LABEL_LENGTH);
    }
}

/// Part of a spec, or of its template, that tells its form.
#[derive(Deserialize)]
struct SpecForm {
    data: Option<IgnoredAny>,
}

/// Part of a spec that tells whether it has templates.
#[derive(Deserialize)]
struct TemplatesForm {
    template: Option<SpecForm>,
}

/// Part of a spec that tells the type of its Secret.
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

/// Metadata without managedFields, which may be nested as deeply as the object.
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

/// Returns the text of an error without the position in our text, which says nothing to a reader of the object.
fn without_place(error: &Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Returns the object as the watch would deliver what the API server sends.
#[cfg(test)]
pub(crate) fn raw_object(sent: &serde_json::Value) -> RawSealedSecret {
    serde_json::from_str(&sent.to_string()).expect("a SealedSecret has metadata")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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

    /// Returns text nested deeper than any decoder goes.
    fn deep() -> String {
        format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500))
    }

    #[test]
    fn decoding_keeps_every_field_that_is_read() {
        let object = raw_object(&sent());
        let sealed = object.decode().unwrap();
        assert_eq!(sealed.spec.encrypted_data["password"], "AgB");
        assert_eq!(object.status().unwrap().observed_generation, Some(1));
        let ObjectMeta { name, namespace, uid, resource_version, generation, labels, annotations, .. } =
            sealed.metadata;
        let texts = [name, namespace, uid, resource_version].map(Option::unwrap);
        assert_eq!((texts, generation), (["db", "shop", "u", "7"].map(str::to_owned), Some(3)));
        let pair = |key: &str, value: &str| Some([(key.to_owned(), value.to_owned())].into());
        assert_eq!((labels, annotations), (pair("a", "b"), pair("note", "kept")));
        assert_eq!(object.metadata.managed_fields, None);
    }

    #[test]
    fn a_status_that_is_larger_than_any_of_ours_counts_as_none() {
        for (conditions, is_read) in [(100, true), (3_000, false)] {
            let mut object = sent();
            object["status"]["conditions"] = json!(vec![json!({"type": "a", "status": "b"}); conditions]);
            assert_eq!(raw_object(&object).status().is_some(), is_read, "{conditions}");
        }
    }

    fn whole(sent: &Value) -> UnabridgedSealedSecret {
        serde_json::from_str(&sent.to_string()).unwrap()
    }

    #[test]
    fn a_spec_is_not_kept_where_it_is_large_or_was_decided_on_and_all_that_is_read_without_it_stays() {
        let (mut decided, mut large) = (sent(), sent());
        decided["status"]["observedGeneration"] = json!(3);
        large["spec"]["encryptedData"]["password"] = json!("A".repeat(KEPT));
        large["metadata"]["annotations"][CLUSTER_WIDE_ANNOTATION] = json!("true");
        large["metadata"]["labels"][INSTANCE_LABEL] = json!("blue");
        assert!(raw_object(&sent()).has_spec());
        for sent in [decided, large.clone()] {
            let kept = raw_object(&sent);
            assert!(!kept.has_spec() && kept.heap() > 0 && kept.length() < 200);
            assert_eq!(
                kept.status().unwrap().observed_generation,
                sent["status"]["observedGeneration"].as_i64()
            );
            assert!(kept.decode().is_err(), "it must be fetched");
            assert!(!whole(&sent).decode().unwrap().spec.encrypted_data.is_empty());
        }
        let kept = raw_object(&large).metadata;
        let pair = |key: &str, value: &str| Some([(key.to_owned(), value.to_owned())].into());
        assert_eq!(kept.annotations, pair(CLUSTER_WIDE_ANNOTATION, "true"));
        assert_eq!(kept.labels, pair(INSTANCE_LABEL, "blue"));
    }

    #[test]
    fn a_spec_that_is_dropped_later_equals_one_that_was_never_kept() {
        let mut typed = sent();
        typed["metadata"]["annotations"][CLUSTER_WIDE_ANNOTATION] = json!("true");
        typed["spec"]["template"] = json!({"type": "example.com/risky"});
        let kept = raw_object(&typed).without_spec();
        assert!(!kept.has_spec() && kept.heap() > 0 && kept.length() < 250);
        assert_eq!(kept.status(), raw_object(&typed).status());
        assert_eq!(kept.type_of_secret().as_deref(), Some("example.com/risky"));
        assert_eq!(kept.metadata.annotations.as_ref().unwrap().len(), 1);
        assert_eq!(format!("{:?}", kept.clone().without_spec()), format!("{kept:?}"));
    }

    #[test]
    fn many_annotations_are_as_large_as_a_large_spec() {
        let mut large = sent();
        large["metadata"]["annotations"]["note"] = json!("A".repeat(KEPT));
        let kept = raw_object(&large);
        assert!(!kept.has_spec() && kept.heap() > KEPT && kept.metadata.annotations.unwrap().is_empty());
    }

    #[test]
    fn an_object_cannot_claim_that_its_spec_was_omitted() {
        let mut sent = sent();
        sent["omitted"] = json!({"heap": 1, "hasTemplates": false, "hasV1Data": false});
        assert!(raw_object(&sent).has_spec());
    }

    #[test]
    fn the_deprecated_form_is_distinguished_from_the_current_one() {
        let mut old = sent();
        assert!(!raw_object(&old).has_v1_data());
        old["spec"]["data"] = json!("AgB");
        assert!(raw_object(&old).has_v1_data());
        old["spec"]["data"] = json!("A".repeat(KEPT));
        assert!(!raw_object(&old).has_spec() && raw_object(&old).has_v1_data());
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
                assert_eq!(raw_object(&object).has_templates(), expected);
            }
        }
        let (mut items, mut annotations) = (sent(), sent());
        items["spec"]["template"]["data"] = many("a");
        annotations["metadata"]["annotations"] = many("b");
        for object in [items, annotations] {
            assert!(raw_object(&object).heap() > 50 * object.to_string().len());
        }
    }

    #[test]
    fn an_object_nested_too_deeply_breaks_neither_a_list_nor_a_watch() {
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
        let listed: kube::api::ObjectList<RawSealedSecret> = serde_json::from_str(&list).unwrap();
        assert_eq!(listed.items[1].decode().unwrap().spec.encrypted_data["password"], "AgB");
        let line = format!("{{\"type\":\"ADDED\",\"object\":{}}}", object("deep", &metadata));
        let event: kube::api::WatchEvent<RawSealedSecret> = serde_json::from_str(&line).unwrap();
        assert!(matches!(event, kube::api::WatchEvent::Added(object) if object.metadata.name.is_some()));
    }

    #[test]
    fn a_field_of_another_type_is_malformed_and_the_error_names_no_position_in_our_text() {
        let mut wrong = sent();
        wrong["spec"]["template"] = json!({"type": 7});
        let error = raw_object(&wrong).decode().unwrap_err();
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
        let decided = raw_object(&typed);
        assert!(!decided.has_spec());
        assert_eq!(decided.type_of_secret().as_deref(), Some("example.com/\"risky\""));
        assert!(decided.has_v1_data());
    }

    #[test]
    fn a_list_in_the_place_of_a_mapping_is_malformed_and_no_empty_object() {
        for path in ["/spec", "/spec/template", "/spec/encryptedData"] {
            let mut wrong = sent();
            wrong["spec"]["template"] = json!({});
            *wrong.pointer_mut(path).unwrap() = json!([]);
            for error in [raw_object(&wrong).decode(), whole(&wrong).decode()].map(Result::unwrap_err) {
                assert!(
                    matches!(&error, Failure::Malformed(text) if text.contains("mapping")),
                    "{path}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_status_is_sent_without_anything_that_could_be_lost() {
        let object = raw_object(&sent());
        let status = SealedSecretStatus { observed_generation: Some(3), ..SealedSecretStatus::default() };
        let sent = serde_json::to_value(object.with_status_only(&status).unwrap()).unwrap();
        let expected = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": "db", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "status": status
        });
        assert_eq!(sent, expected);
    }
}
