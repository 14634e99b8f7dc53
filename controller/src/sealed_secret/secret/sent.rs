//! Secrets and metadata as the API server sends them, with a summary of managedFields.
//!
//! Anybody who may write a Secret may write its managedFields. Their tree takes up to a hundred times the memory of their text, and
//! may be nested deeper than a decoder goes: then one Secret would spoil the list with all the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, OwnerReference, Time};
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::ownership::MANAGER;

/// Metadata of a Secret, or of another object that is not listed, without managedFields.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentMetadata {
    pub(crate) metadata: ObjectMeta,
}

/// A Secret. Its managedFields have at most two entries: one with the items that are recorded as ours alone, and one with manager
/// and time of the last write of others. They must not be sent back.
#[derive(Debug)]
pub(crate) struct SentSecret(pub(crate) Secret);

impl Resource for SentMetadata {
    type DynamicType = ();
    type Scope = <Secret as Resource>::Scope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        Secret::kind(&())
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        Secret::group(&())
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        Secret::version(&())
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        Secret::plural(&())
    }

    fn metadata_api() -> bool {
        true
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for SentMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Sent {
            metadata: Metadata<IgnoredAny>,
        }
        let (metadata, _) = Sent::deserialize(deserializer)?.metadata.split();
        Ok(Self { metadata })
    }
}

impl<'de> Deserialize<'de> for SentSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Sent {
            metadata: Metadata<Summary>,
            data: Option<BTreeMap<String, ByteString>>,
            immutable: Option<bool>,
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let Sent { metadata, data, immutable, kind } = Sent::deserialize(deserializer)?;
        let (mut metadata, summary) = metadata.split();
        metadata.managed_fields = summary.map(|summary| summary.entries(data.as_ref()));
        Ok(Self(Secret { metadata, data, immutable, type_: kind, string_data: None }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<M> {
    name: Option<String>,
    generate_name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    self_link: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
    managed_fields: Option<M>,
}

impl<M> Metadata<M> {
    fn split(self) -> (ObjectMeta, Option<M>) {
        let metadata = ObjectMeta {
            name: self.name,
            generate_name: self.generate_name,
            namespace: self.namespace,
            uid: self.uid,
            resource_version: self.resource_version,
            generation: self.generation,
            creation_timestamp: self.creation_timestamp,
            deletion_timestamp: self.deletion_timestamp,
            deletion_grace_period_seconds: self.deletion_grace_period_seconds,
            self_link: self.self_link,
            labels: self.labels,
            annotations: self.annotations,
            owner_references: self.owner_references,
            finalizers: self.finalizers,
            managed_fields: None,
        };
        (metadata, self.managed_fields)
    }
}

/// The parts of managedFields that are read.
#[derive(Default)]
struct Summary {
    /// Fields of items that an entry of ours names.
    ours: BTreeSet<String>,
    /// Fields of items that another entry names, too.
    of_others: BTreeSet<String>,
    last_of_others: Option<Writer>,
}

/// The manager of an entry, and its time.
struct Writer {
    manager: Option<String>,
    time: Option<Time>,
}

/// One entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    manager: Option<String>,
    time: Option<Time>,
    fields_v1: Option<Fields>,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "f:data")]
    items: Option<Names>,
}

/// The names of the fields of a mapping.
struct Names(Vec<String>);

impl Summary {
    fn note(&mut self, Entry { manager, time, fields_v1 }: Entry) {
        let is_ours = manager.as_deref() == Some(MANAGER);
        let names = fields_v1.and_then(|fields| fields.items).map(|Names(names)| names);
        for name in names.into_iter().flatten() {
            if !is_ours || self.ours.contains(&name) {
                self.of_others.insert(name);
            } else {
                self.ours.insert(name);
            }
        }
        let written_at = |writer: &Writer| writer.time.as_ref().map(|time| time.0);
        let writer = Writer { manager, time };
        if !is_ours && self.last_of_others.as_ref().is_none_or(|last| written_at(last) <= written_at(&writer))
        {
            self.last_of_others = Some(writer);
        }
    }

    /// Returns the entries, of ours with items among `data` only.
    fn entries(self, data: Option<&BTreeMap<String, ByteString>>) -> Vec<ManagedFieldsEntry> {
        let Self { ours, of_others, last_of_others } = self;
        let keys = data.into_iter().flat_map(BTreeMap::keys).map(|key| format!("f:{key}"));
        let alone = keys.filter(|field| ours.contains(field) && !of_others.contains(field));
        let items: Map<String, Value> = alone.map(|field| (field, json!({}))).collect();
        let ours = ManagedFieldsEntry {
            manager: Some(MANAGER.to_owned()),
            fields_v1: Some(FieldsV1(json!({"f:data": items}))),
            ..ManagedFieldsEntry::default()
        };
        let last = last_of_others.map(|Writer { manager, time }| ManagedFieldsEntry {
            manager,
            time,
            ..ManagedFieldsEntry::default()
        });
        [ours].into_iter().chain(last).collect()
    }
}

impl<'de> Deserialize<'de> for Summary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Summary;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of managers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Summary, A::Error> {
                let mut summary = Summary::default();
                while let Some(entry) = entries.next_element()? {
                    summary.note(entry);
                }
                Ok(summary)
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = fields.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Secret whose managedFields are nested deeper than any decoder goes.
    fn text() -> String {
        let deep = format!("{}{{}}{}", "{\"f:a\":".repeat(500), "}".repeat(500));
        let entry = |manager: &str, second: u32, items: &str| {
            format!(
                "{{\"manager\":\"{manager}\",\"time\":\"2026-01-01T00:00:0{second}Z\",\"fieldsV1\":{{\"f:x\":{deep},\"f:data\":{{{items}}}}}}}"
            )
        };
        let entries = [
            entry(MANAGER, 1, "\".\":{},\"f:ours\":{},\"f:shared\":{},\"f:gone\":{}"),
            entry("second", 3, "\"f:shared\":{}"),
            entry("first", 2, &format!("\"f:theirs\":{deep}")),
        ];
        let items = "\"ours\":\"AA==\",\"shared\":\"AA==\",\"theirs\":\"AA==\"";
        format!(
            "{{\"metadata\":{{\"name\":\"db\",\"finalizers\":[\"a/b\"],\"managedFields\":[{}]}},\"type\":\"Opaque\",\"data\":{{{items}}}}}",
            entries.join(",")
        )
    }

    #[test]
    fn managed_fields_of_any_depth_are_reduced_to_our_items_and_the_last_manager() {
        let SentSecret(secret) = serde_json::from_str(&text()).unwrap();
        let managed = secret.metadata.managed_fields.unwrap();
        assert_eq!(managed.len(), 2);
        assert_eq!(managed[0].fields_v1.as_ref().unwrap().0, json!({"f:data": {"f:ours": {}}}));
        assert_eq!(managed[1].manager.as_deref(), Some("second"));
        assert_eq!(secret.metadata.finalizers.unwrap(), ["a/b"]);
        assert_eq!((secret.data.unwrap().len(), secret.type_.as_deref()), (3, Some("Opaque")));
    }

    #[test]
    fn metadata_with_managed_fields_of_any_depth_is_read_without_them() {
        let SentMetadata { metadata } = serde_json::from_str(&text()).unwrap();
        assert_eq!((metadata.name.as_deref(), metadata.managed_fields), (Some("db"), None));
    }
}
