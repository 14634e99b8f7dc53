use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What a person says about a sealing key; the controller writes the rest.
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
    doc = "The public side of one sealing key: a view of the key Secret of the same name, written by the controller.",
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
    /// What is to become of the key: Active, Compromised (not offered for sealing any more, and replaced at once) or Retired (off
    /// the ring as soon as nothing needs it).
    #[serde(default)]
    #[schemars(schema_with = "schema::of::<SealingKeyState>")]
    pub state: SealingKeyState,
    /// How long a compromised key still decrypts; no end where absent or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_moment")]
    pub decrypt_until: Option<Time>,
}

/// What a person wants of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SealingKeyState {
    /// It decrypts, and may be offered for sealing.
    #[default]
    Active,
    /// Somebody else may have it.
    Compromised,
    /// It is not needed any more.
    Retired,
}

/// What a key does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SealingKeyPhase {
    /// It decrypts, and will be offered for sealing when its activation delay is over.
    Pending,
    /// It is the one that is offered for sealing.
    Primary,
    /// It decrypts.
    DecryptOnly,
    /// It is off the ring, because nothing needed it or a person said so.
    Retired,
    /// Somebody else may have it; it may still decrypt.
    Compromised,
    /// Its Secret holds no usable private key.
    Unreadable,
}

impl SealingKeyPhase {
    /// The word that is stored.
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

/// The public side of the key, and who still needs it. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeyStatus {
    /// The generation whose spec is heeded: what a person changes later is copied to the key Secret first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    pub observed_generation: Option<i64>,
    /// What the key does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<SealingKeyPhase>")]
    pub phase: Option<SealingKeyPhase>,
    /// The SSH-style SHA-256 fingerprint of the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub fingerprint: Option<String>,
    /// The public certificate, PEM: what kubeseal seals with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub certificate: Option<String>,
    /// Start of the certificate's validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub not_before: Option<Time>,
    /// End of the certificate's validity. The key opens what was sealed to it also after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub not_after: Option<Time>,
    /// What in this cluster needs the key; absent until everything was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::of::<SealingKeyUsage>")]
    pub usage: Option<SealingKeyUsage>,
    /// Why the key is Unreadable, is not offered for sealing, or does not retire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::text")]
    pub message: Option<String>,
}

/// What in this cluster was sealed to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct SealingKeyUsage {
    /// SealedSecrets with at least one item that only this key opens.
    #[schemars(schema_with = "schema::integer")]
    pub objects: u64,
    /// Items that only this key opens.
    #[schemars(schema_with = "schema::integer")]
    pub items: u64,
}

fn nullable_moment(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "nullable": true})
}
