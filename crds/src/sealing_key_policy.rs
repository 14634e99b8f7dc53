use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{PolicyDuration, schema};

/// How sealing keys are made, chosen and retired. Every absent field means the controller's flag.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sealedsecrets.rs",
    version = "v1alpha1",
    kind = "SealingKeyPolicy",
    plural = "sealingkeypolicies",
    shortname = "skp",
    namespaced,
    status = "SealingKeyPolicyStatus",
    derive = "PartialEq",
    doc = "How the controller of this namespace makes, chooses and retires sealing keys; the one named default is in force.",
    printcolumn = r#"{"name":"Primary","type":"string","jsonPath":".status.primary.name"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Next","type":"string","jsonPath":".status.nextRotationTime"}"#,
    printcolumn = r#"{"name":"Keys","type":"integer","jsonPath":".status.counts.keys"}"#,
    printcolumn = r#"{"name":"Stale","type":"integer","jsonPath":".status.counts.staleItems"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
// Whoever applies `spec: {}` after a spec with fields has a null stored without it, which the API server then refuses itself.
#[schemars(extend("default" = {}))]
pub struct SealingKeyPolicySpec {
    /// If true, no key is made by schedule; explicit requests still work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::boolean")]
    pub suspend: Option<bool>,
    /// Where keys come from: Generate (the controller makes them) or External (they arrive as Secrets, for example by GitOps).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeySource>")]
    pub key_source: Option<KeySource>,
    /// What new keys are like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeyGeneration>")]
    pub generate: Option<KeyGeneration>,
    /// When new keys are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<Rotation>")]
    pub rotation: Option<Rotation>,
    /// Which key is offered for sealing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PrimaryChoice>")]
    pub primary: Option<PrimaryChoice>,
    /// When keys that nothing needs leave the ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<Retention>")]
    pub retention: Option<Retention>,
}

/// Where keys come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum KeySource {
    /// The controller makes them.
    #[default]
    Generate,
    /// They arrive as Secrets; the controller makes none.
    External,
}

/// What new keys are like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct KeyGeneration {
    /// Bits of the RSA modulus: 2048, 3072 or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "key_size")]
    pub key_size: Option<u16>,
    /// Validity of the certificate, such as 87600h. A key opens what was sealed to it also after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "certificate_validity")]
    pub certificate_validity: Option<PolicyDuration>,
    /// Common name of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common_name")]
    pub common_name: Option<String>,
    /// Prefix of the names of key Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "secret_prefix")]
    pub secret_prefix: Option<String>,
}

/// When new keys are made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": EVERY_RULE, "message": "every must be 0 (off) or at least 1h"}, {"rule": DELAY_RULE, "message": "activationDelay must be shorter than every, or no key would ever be offered for sealing"}]))]
pub struct Rotation {
    /// A new key is made when the newest is this old, such as 30d; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub every: Option<PolicyDuration>,
    /// The newest key must not be older than this moment: a past one asks for a key now, a future one schedules it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub rotate_after: Option<Time>,
    /// A new key decrypts at once, and is offered for sealing only after this, such as 2d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub activation_delay: Option<PolicyDuration>,
}

/// Which key is offered for sealing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PrimaryChoice {
    /// What newest means: by the certificate's start of validity (the default), or by the Secret's creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeyOrder>")]
    pub order_by: Option<KeyOrder>,
    /// Name of the key Secret to offer, instead of the newest; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub pin: Option<String>,
}

/// What newest means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum KeyOrder {
    /// The certificate's start of validity.
    #[default]
    CertNotBefore,
    /// The Secret's creation time.
    SecretCreationTimestamp,
}

/// When keys that nothing needs leave the ring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": DELETION_RULE, "message": "deleteAfterRetired needs keepAtLeast of 2 or more"}]))]
pub struct Retention {
    /// No key retires or is deleted if fewer than this would stay on the ring; 3 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "keep_at_least")]
    pub keep_at_least: Option<u32>,
    /// A key retires when nothing in this cluster has needed it for this long; 0 is never, the default. Only this cluster is
    /// looked at: manifests elsewhere may still need the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub retire_when_unused_for: Option<PolicyDuration>,
    /// A retired key is deleted after this long; 0 is never, the default. What was sealed to a deleted key is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub delete_after_retired: Option<PolicyDuration>,
}

/// What the controller does with its keys now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_defaults)]
pub struct SealingKeyPolicyStatus {
    /// The generation of the policy that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub observed_generation: Option<i64>,
    /// The value of annotation sealedsecrets.rs/rotate-requested-at that was handled last, as it was written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub last_handled_rotate_request: Option<String>,
    /// What rotation does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<RotationPhase>")]
    pub phase: Option<RotationPhase>,
    /// The key that is offered for sealing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PrimaryKey>")]
    pub primary: Option<PrimaryKey>,
    /// The key that will be offered next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PendingKey>")]
    pub pending: Option<PendingKey>,
    /// When the next key is due by schedule.
    // A date column would show a future time as <invalid>, so it is a plain string for kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub next_rotation_time: Option<String>,
    /// Attempts to make a key that have failed since the last one that worked.
    #[serde(default)]
    #[schemars(schema_with = "schema::integer")]
    pub failed_attempts: u32,
    /// Numbers of keys and of what was sealed to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeyCounts>")]
    pub counts: Option<KeyCounts>,
    /// Ready says whether there is a key to seal with; Rotating whether a successor is being made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What rotation does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RotationPhase {
    /// Nothing is due.
    Idle,
    /// A key is being made.
    Generating,
    /// A new key waits until it may be offered.
    ActivationDelay,
    /// The schedule is suspended.
    Suspended,
    /// The last attempt failed, and is repeated.
    Failed,
}

/// The key that is offered for sealing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PrimaryKey {
    /// Name of the key Secret, and of the SealingKey.
    #[schemars(schema_with = "schema::text")]
    pub name: String,
    /// Fingerprint of its public key; kubeseal accepts no certificate of another key.
    #[schemars(schema_with = "schema::text")]
    pub fingerprint: String,
    /// Since when it is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub activated_at: Option<Time>,
}

/// The key that will be offered next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PendingKey {
    /// Name of the key Secret, and of the SealingKey.
    #[schemars(schema_with = "schema::text")]
    pub name: String,
    /// When it was made.
    #[schemars(schema_with = "schema::moment")]
    pub created_at: Time,
    /// When it is offered at the earliest.
    #[schemars(schema_with = "schema::text")]
    pub earliest_activation: String,
}

/// Numbers of keys and of what was sealed to them, in this cluster. All but that of the keys are absent until every object was
/// looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct KeyCounts {
    /// Key Secrets of every phase.
    #[schemars(schema_with = "schema::integer")]
    pub keys: u64,
    /// SealedSecrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub objects: Option<u64>,
    /// Their items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub items: Option<u64>,
    /// Items that another key than the primary opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub stale_items: Option<u64>,
    /// Items that no key opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub undecryptable_items: Option<u64>,
}

/// Length of a duration in minutes, in CEL, whose own `duration()` knows neither days nor weeks.
macro_rules! minutes {
    ($field:literal) => {
        concat!(
            "(",
            $field,
            ".startsWith('0') ? 0 : int(",
            $field,
            ".substring(0, size(",
            $field,
            ") - 1)) * (",
            $field,
            ".endsWith('m') ? 1 : ",
            $field,
            ".endsWith('h') ? 60 : ",
            $field,
            ".endsWith('d') ? 1440 : 10080))"
        )
    };
}

// Fields that do not match their pattern never get here.
const EVERY_RULE: &str = "!has(self.every) || !self.every.endsWith('m') || int(self.every.substring(0, size(self.every) - 1)) >= 60";
const DELAY_RULE: &str = concat!(
    "!has(self.every) || !has(self.activationDelay) || self.every.startsWith('0') || ",
    minutes!("self.activationDelay"),
    " < ",
    minutes!("self.every")
);
const DELETION_RULE: &str = "!has(self.deleteAfterRetired) || self.deleteAfterRetired.startsWith('0') || !has(self.keepAtLeast) || self.keepAtLeast >= 2";

fn key_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "enum": [2048, 3072, 4096]})
}

fn certificate_validity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 9, "pattern": "^[1-9][0-9]{0,7}(m|h|d|w)$"})
}

fn common_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 64})
}

fn secret_prefix(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$", "maxLength": 245})
}

fn keep_at_least(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1, "maximum": 1000})
}
