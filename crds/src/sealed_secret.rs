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

/// The specification of a SealedSecret: what to open, and what the Secret looks like.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bitnami.com",
    version = "v1alpha1",
    kind = "SealedSecret",
    namespaced,
    status = "SealedSecretStatus",
    derive = "PartialEq",
    doc = "A Secret that was encrypted for one cluster: safe to publish, and opened only by the controller.",
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
    /// The deprecated form: a whole Secret as JSON, encrypted at once. Use encryptedData.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "byte_schema")]
    pub data: Option<ByteString>,
    /// The encrypted items, base64: each becomes the item of the same key in the Secret.
    // A CRD that does not validate lets everything through. An item that is no text stays, empty, so that it fails to open by
    // its name: without it the Secret would lose an item.
    #[serde(default, deserialize_with = "texts_or_empty_texts")]
    #[schemars(schema_with = "encrypted_data_schema")]
    pub encrypted_data: BTreeMap<String, String>,
}

/// Everything of the Secret that is not encrypted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Labels and annotations of the Secret. Name and namespace always come from the SealedSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template_metadata_schema")]
    pub metadata: Option<ObjectMeta>,
    /// Type of the Secret, for example kubernetes.io/dockerconfigjson; Opaque where absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub type_: Option<String>,
    /// If true, the data of the Secret can not be changed once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::boolean")]
    pub immutable: Option<bool>,
    /// Further items of the Secret, rendered as Go templates over the decrypted items. A null drops the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template_data_schema")]
    pub data: Option<BTreeMap<String, Option<String>>>,
}

/// What the controller last observed of a SealedSecret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretStatus {
    /// The generation of the SealedSecret that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub observed_generation: Option<i64>,
    /// The latest observations of the SealedSecret's state; "Synced" comes first.
    // Go's encoder writes a nil slice as null.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<SealedSecretCondition>,
    /// What the last success was made of, so that a restarted controller has nothing to do where all of it is unchanged. It may
    /// save work and never permits a write.
    // One of another shape is as good as none.
    #[serde(default, deserialize_with = "none_if_unreadable", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "last_success_schema")]
    pub last_success: Option<LastSuccess>,
}

/// Everything that the result of opening a SealedSecret depends on, as it was at the last success.
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
    /// The keys that opened its items, the one that was used last comes first. What these open no other key changes.
    pub keys: Vec<ItemsOfKey>,
}

/// How many items of a SealedSecret one key has opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemsOfKey {
    /// The SSH-style SHA-256 fingerprint of the public key.
    pub fingerprint: String,
    /// How many.
    pub items: u32,
}

/// Reads a structure from a mapping and from nothing else. What serde derives reads lists, too: an empty one would be a structure
/// whose fields all have their defaults, and so a Secret without items.
///
/// # Errors
/// The deserializer's, and where there is no mapping.
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

/// Upstream's schema wants `encryptedData` and fills in nothing.
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
