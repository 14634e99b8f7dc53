//! SealingKeyPolicy: the rotation policy of a cluster, and its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{PolicyDuration, schema};

/// SealingKeyPolicySpec defines how sealing keys are created, selected and retired.
/// For absent fields the flags of the controller apply.
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
    doc = "SealingKeyPolicy defines how the controller of this namespace creates, selects and retires sealing keys. Only the one named default is in force.",
    printcolumn = r#"{"name":"Primary","type":"string","jsonPath":".status.primary.name"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Next","type":"string","jsonPath":".status.nextRotationTime"}"#,
    printcolumn = r#"{"name":"Keys","type":"integer","jsonPath":".status.counts.keys"}"#,
    printcolumn = r#"{"name":"Stale","type":"integer","jsonPath":".status.counts.staleItems"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
// After `spec: {}` was applied over a spec with fields, the API server would store a null without this default, and then refuse
// it.
#[schemars(extend("default" = {}))]
pub struct SealingKeyPolicySpec {
    /// If true, no key is created by schedule. Explicit requests still create keys. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::boolean")]
    pub suspend: Option<bool>,
    /// Origin of the keys: Generate (created by the controller) or External (delivered as Secrets, for example by GitOps).
    /// Defaults to Generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeySource>")]
    pub key_source: Option<KeySource>,
    /// Parameters of new keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeyGeneration>")]
    pub generate: Option<KeyGeneration>,
    /// Schedule for new keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<Rotation>")]
    pub rotation: Option<Rotation>,
    /// Selection of the primary key, which is offered for sealing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PrimaryChoice>")]
    pub primary: Option<PrimaryChoice>,
    /// Retirement and deletion of keys that nothing needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<Retention>")]
    pub retention: Option<Retention>,
}

/// Origin of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum KeySource {
    /// The controller creates the keys.
    #[default]
    Generate,
    /// The keys are delivered as Secrets. The controller creates none.
    External,
}

/// Parameters of new keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct KeyGeneration {
    /// Size of the RSA modulus in bits: 2048, 3072 or 4096. Defaults to the flag --key-size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "key_size")]
    pub key_size: Option<u16>,
    /// Validity period of the certificate, such as 87600h. Defaults to the flag --key-ttl.
    /// A key decrypts items also after its certificate has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "certificate_validity")]
    pub certificate_validity: Option<PolicyDuration>,
    /// Common name of the certificate. Defaults to the flag --my-cn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common_name")]
    pub common_name: Option<String>,
    /// Prefix of the names of key Secrets. Defaults to the flag --key-prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "secret_prefix")]
    pub secret_prefix: Option<String>,
}

/// Schedule for new keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": EVERY_RULE, "message": "every must be 0 (off) or at least 1h"}, {"rule": DELAY_RULE, "message": "activationDelay must be shorter than every, or no key would ever be offered for sealing"}]))]
pub struct Rotation {
    /// Age of the newest key at which a new one is created, such as 30d. 0 turns the schedule off.
    /// Defaults to the flag --key-renew-period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub every: Option<PolicyDuration>,
    /// Requests that the newest key be no older than this time.
    /// A time in the past creates a key at once, a time in the future schedules its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub rotate_after: Option<Time>,
    /// Delay until a new key is offered for sealing, such as 2d. It decrypts at once. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub activation_delay: Option<PolicyDuration>,
}

/// Selection of the primary key, which is offered for sealing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PrimaryChoice {
    /// Time that orders keys by age: CertNotBefore (start of the certificate's validity) or SecretCreationTimestamp.
    /// The newest key becomes the primary key. Defaults to the flag --key-order-priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeyOrder>")]
    pub order_by: Option<KeyOrder>,
    /// Name of the key Secret to use as the primary key instead of the newest one. Empty means the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub pin: Option<String>,
}

/// Time by which the newest key is determined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum KeyOrder {
    /// Start of the certificate's validity.
    #[default]
    CertNotBefore,
    /// Creation time of the Secret.
    SecretCreationTimestamp,
}

/// Retirement and deletion of keys that nothing needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": DELETION_RULE, "message": "deleteAfterRetired needs keepAtLeast of 2 or more"}]))]
pub struct Retention {
    /// Minimum number of keys on the key ring. No key retires or is deleted if fewer would remain. Defaults to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "keep_at_least")]
    pub keep_at_least: Option<u32>,
    /// Time without use in this cluster after which a key retires. Defaults to 0, which means never.
    /// Only this cluster is examined: manifests elsewhere may still need the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub retire_when_unused_for: Option<PolicyDuration>,
    /// Time after its retirement at which a key is deleted. Defaults to 0, which means never.
    /// Items that were sealed to a deleted key are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PolicyDuration>")]
    pub delete_after_retired: Option<PolicyDuration>,
}

/// SealingKeyPolicyStatus is the most recently observed status of key management.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_defaults)]
pub struct SealingKeyPolicyStatus {
    /// The generation of the SealingKeyPolicy to which this status refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub observed_generation: Option<i64>,
    /// Value of the annotation sealedsecrets.rs/rotate-requested-at that the controller handled last, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub last_handled_rotate_request: Option<String>,
    /// Current phase of rotation: Idle, Generating, ActivationDelay, Suspended or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<RotationPhase>")]
    pub phase: Option<RotationPhase>,
    /// The primary key, which is offered for sealing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PrimaryKey>")]
    pub primary: Option<PrimaryKey>,
    /// The key that will be offered for sealing next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<PendingKey>")]
    pub pending: Option<PendingKey>,
    /// Time at which the next key is due, by schedule or by a request for a future time.
    // A string, because a date column of kubectl shows a future time as <invalid>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub next_rotation_time: Option<String>,
    /// Number of failed attempts to create a key since the last success.
    #[serde(default)]
    #[schemars(schema_with = "schema::integer")]
    pub failed_attempts: u32,
    /// Numbers of keys, and of objects and items that were sealed to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<KeyCounts>")]
    pub counts: Option<KeyCounts>,
    /// The latest observations of key management.
    /// Ready is True if a key can be offered for sealing. Rotating is True while a new key is due or awaits activation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Current phase of rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RotationPhase {
    /// Nothing is due.
    Idle,
    /// A key is being created.
    Generating,
    /// A new key awaits the end of its activation delay.
    ActivationDelay,
    /// The schedule is suspended.
    Suspended,
    /// The last attempt failed and will be retried.
    Failed,
}

/// The primary key, which is offered for sealing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PrimaryKey {
    /// Name of the key Secret and of the SealingKey.
    #[schemars(schema_with = "schema::text")]
    pub name: String,
    /// SSH-style SHA-256 fingerprint of the public key. kubeseal rejects certificates of other keys.
    #[schemars(schema_with = "schema::text")]
    pub fingerprint: String,
    /// Time since which the key has been offered for sealing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub activated_at: Option<Time>,
}

/// The key that will be offered for sealing next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PendingKey {
    /// Name of the key Secret and of the SealingKey.
    #[schemars(schema_with = "schema::text")]
    pub name: String,
    /// Time at which the key was created.
    #[schemars(schema_with = "schema::date_time")]
    pub created_at: Time,
    /// Earliest time at which the key is offered for sealing.
    #[schemars(schema_with = "schema::text")]
    pub earliest_activation: String,
}

/// Numbers of keys, objects and items in this cluster.
/// All but the number of keys are absent until the controller has processed all SealedSecrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct KeyCounts {
    /// Number of key Secrets in all phases.
    #[schemars(schema_with = "schema::integer")]
    pub keys: u64,
    /// Number of SealedSecrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub objects: Option<u64>,
    /// Number of items of all SealedSecrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub items: Option<u64>,
    /// Number of items that a key other than the primary decrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub stale_items: Option<u64>,
    /// Number of items that no key decrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub undecryptable_items: Option<u64>,
}

/// Length of a duration in minutes, in CEL, whose own `duration()` supports neither days nor weeks.
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

// Fields that do not match their pattern are rejected before these rules run.
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
