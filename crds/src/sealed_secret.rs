//! SealedSecret, upstream's custom resource.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{SealedSecretCondition, schema};

/// SealedSecretSpec holds the encrypted items and the template of the Secret that the controller creates.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bitnami.com",
    version = "v1alpha1",
    kind = "SealedSecret",
    namespaced,
    status = "SealedSecretStatus",
    derive = "PartialEq",
    doc = "SealedSecret is a Secret encrypted for one cluster. It is safe to publish: only the controller can decrypt it.",
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[0].message"}"#,
    printcolumn = r#"{"name":"Synced","type":"string","jsonPath":".status.conditions[0].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = as_upstream_requires)]
pub struct SealedSecretSpec {
    /// Template of the Secret that is created from this SealedSecret.
    #[serde(default, deserialize_with = "mapping_or_default")]
    pub template: SecretTemplate,
    /// Deprecated: a whole Secret as JSON, encrypted as one value. Use encryptedData instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "byte_schema")]
    pub data: Option<ByteString>,
    /// Encrypted items, base64. Each is decrypted to the item with the same key in the Secret.
    // A CRD without validation accepts values of any type. An item that is not a string is kept as an empty one, so that it fails
    // to decrypt under its key; if it were dropped, the Secret would lose an item.
    #[serde(default, deserialize_with = "texts_or_empty_texts")]
    #[schemars(schema_with = "encrypted_data_schema")]
    pub encrypted_data: BTreeMap<String, String>,
}

/// SecretTemplate describes the parts of the Secret that are not encrypted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Labels and annotations of the Secret. Name and namespace always come from the SealedSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template_metadata_schema")]
    pub metadata: Option<ObjectMeta>,
    /// Type of the Secret, for example kubernetes.io/dockerconfigjson. Defaults to Opaque.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub type_: Option<String>,
    /// If true, the data of the Secret cannot be changed after it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::boolean")]
    pub immutable: Option<bool>,
    /// Additional items of the Secret, rendered as Go templates over the decrypted items. A null value removes the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template_data_schema")]
    pub data: Option<BTreeMap<String, Option<String>>>,
}

/// SealedSecretStatus is the most recently observed status of a SealedSecret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretStatus {
    /// The generation of the SealedSecret to which the conditions refer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub observed_generation: Option<i64>,
    /// The latest observations of the SealedSecret's state. The condition "Synced" comes first.
    // Go's encoder writes a nil slice as null.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<SealedSecretCondition>,
    /// Inputs and results of the last successful decryption.
    /// A restarted controller skips objects for which all of them are unchanged. It only saves work: no write depends on it.
    // A value of another shape counts as absent.
    #[serde(default, deserialize_with = "none_if_unreadable", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "last_success_schema")]
    pub last_success: Option<LastSuccess>,
}

/// Inputs that determine the result of decrypting a SealedSecret, recorded at the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSuccess {
    /// UID of the SealedSecret.
    pub uid: String,
    /// Generation of the SealedSecret.
    pub generation: i64,
    /// Scope of the SealedSecret.
    pub scope: String,
    /// UID of the Secret.
    pub secret_uid: String,
    /// resourceVersion of the Secret.
    pub secret_resource_version: String,
    /// Keys that decrypted items, the most recently used first. Adding or removing other keys does not change the result.
    pub keys: Vec<ItemsOfKey>,
}

/// Number of items of a SealedSecret that one key decrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemsOfKey {
    /// SSH-style SHA-256 fingerprint of the public key.
    pub fingerprint: String,
    /// Number of items.
    pub items: u32,
}

/// Deserializes a structure from a mapping only. Derived deserializers also accept sequences: an empty one would become a
/// structure with all fields at their defaults, and so a Secret without items.
///
/// # Errors
/// Returns the deserializer's errors, and an error if the input is not a mapping.
pub fn mapping<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(MappingVisitor(PhantomData))
}

struct MappingVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MappingVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

fn mapping_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(transparent, bound = "T: Deserialize<'de>")]
    struct Mapping<T>(#[serde(deserialize_with = "mapping")] T);
    Ok(Option::<Mapping<T>>::deserialize(deserializer)?.map(|Mapping(read)| read).unwrap_or_default())
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn none_if_unreadable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LastSuccess>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

fn texts_or_empty_texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let text = |value| if let Value::String(text) = value { text } else { String::new() };
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(items) => Ok(items.into_iter().map(|(key, value)| (key, text(value))).collect()),
        _ => Err(D::Error::custom("encryptedData must be a mapping of keys to base64 text")),
    }
}

/// Requires `encryptedData` and sets no defaults, as upstream's schema does.
fn as_upstream_requires(schema: &mut Schema) {
    schema::without_defaults(schema);
    schema.insert("required".to_owned(), serde_json::json!(["encryptedData"]));
}

fn last_success_schema(_: &mut SchemaGenerator) -> Schema {
    let text = serde_json::json!({"type": "string"});
    json_schema!({
        "type": "object",
        "nullable": true,
        "properties": {
            "uid": text,
            "generation": {"type": "integer", "format": "int64"},
            "scope": text,
            "secretUid": text,
            "secretResourceVersion": text,
            "keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"fingerprint": text, "items": {"type": "integer", "format": "int64"}}
                }
            }
        }
    })
}

fn byte_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "byte"})
}

fn encrypted_data_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string"},
        "x-kubernetes-preserve-unknown-fields": true
    })
}

fn template_data_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "nullable": true,
        "additionalProperties": {"type": "string", "nullable": true}
    })
}

fn template_metadata_schema(_: &mut SchemaGenerator) -> Schema {
    let string_map = serde_json::json!({"type": "object", "additionalProperties": {"type": "string"}});
    json_schema!({
        "type": "object",
        "nullable": true,
        "properties": {
            "annotations": string_map,
            "finalizers": {"type": "array", "items": {"type": "string"}},
            "labels": string_map,
            "name": {"type": "string"},
            "namespace": {"type": "string"}
        },
        "x-kubernetes-preserve-unknown-fields": true
    })
}
