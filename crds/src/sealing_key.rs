//! SealingKey: a key Secret without its private key, and the state that a user requests.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// SealingKeySpec holds the state that a user requests for a sealing key. The controller writes all other fields.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sealedsecrets.rs",
    version = "v1alpha1",
    kind = "SealingKey",
    plural = "sealingkeys",
    shortname = "sk",
    namespaced,
    status = "SealingKeyStatus",
    derive = "PartialEq",
    doc = "SealingKey is the public part of one sealing key: a view of the key Secret of the same name, written by the controller.",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Items","type":"integer","jsonPath":".status.usage.items"}"#,
    printcolumn = r#"{"name":"Fingerprint","type":"string","jsonPath":".status.fingerprint","priority":1}"#,
    printcolumn = r#"{"name":"Not-After","type":"string","jsonPath":".status.notAfter","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_defaults)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.decryptUntil) || self.decryptUntil == null || (has(self.state) && self.state == 'Compromised')", "message": "decryptUntil is for keys in state Compromised"}]))]
pub struct SealingKeySpec {
    /// Requested state of the key: Active, Compromised or Retired. Defaults to Active.
    /// Compromised keys are replaced at once and not offered for sealing any more.
    /// Retired keys leave the key ring as soon as nothing needs them.
    #[serde(default)]
    #[schemars(schema_with = "schema::of::<SealingKeyState>")]
    pub state: SealingKeyState,
    /// Time until which a compromised key still decrypts. If unset, it decrypts indefinitely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_date_time")]
    pub decrypt_until: Option<Time>,
}

/// State of a key that a user requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SealingKeyState {
    /// The key decrypts, and may be offered for sealing.
    #[default]
    Active,
    /// The private key may be known to others.
    Compromised,
    /// The key is not needed any more.
    Retired,
}

/// Current phase of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SealingKeyPhase {
    /// The key decrypts, and will be offered for sealing after its activation delay.
    Pending,
    /// The key decrypts, and is offered for sealing.
    Primary,
    /// The key decrypts.
    DecryptOnly,
    /// The key is off the key ring, because nothing needed it or a user retired it.
    Retired,
    /// The private key may be known to others. It may still decrypt.
    Compromised,
    /// The key Secret holds no usable private key.
    Unreadable,
}

impl SealingKeyPhase {
    /// Returns the stored value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Primary => "Primary",
            Self::DecryptOnly => "DecryptOnly",
            Self::Retired => "Retired",
            Self::Compromised => "Compromised",
            Self::Unreadable => "Unreadable",
        }
    }
}

/// SealingKeyStatus holds the public part of a key and its usage. It contains nothing secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeyStatus {
    /// The generation of the SealingKey whose spec is in effect.
    /// A later change of the spec takes effect after the controller has copied it to the key Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub observed_generation: Option<i64>,
    /// Current phase of the key: Pending, Primary, DecryptOnly, Retired, Compromised or Unreadable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<SealingKeyPhase>")]
    pub phase: Option<SealingKeyPhase>,
    /// SSH-style SHA-256 fingerprint of the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub fingerprint: Option<String>,
    /// Public certificate in PEM format, which kubeseal encrypts to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub certificate: Option<String>,
    /// Start of the certificate's validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub not_before: Option<Time>,
    /// End of the certificate's validity. The key decrypts items also after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub not_after: Option<Time>,
    /// Objects and items of this cluster that need the key. Absent until the controller has processed all SealedSecrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<SealingKeyUsage>")]
    pub usage: Option<SealingKeyUsage>,
    /// Human-readable reason if the key is Unreadable, is not offered for sealing, or does not retire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub message: Option<String>,
}

/// Objects and items of this cluster that need a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct SealingKeyUsage {
    /// Number of SealedSecrets with at least one item that only this key decrypts.
    #[schemars(schema_with = "schema::integer")]
    pub objects: u64,
    /// Number of items that only this key decrypts.
    #[schemars(schema_with = "schema::integer")]
    pub items: u64,
}

fn nullable_date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "nullable": true})
}
